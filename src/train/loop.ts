// The training loop: batches in, checkpoints out, able to stop anywhere and go on as if it had not.
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { makeFolder } from "../data/folder.ts";
import { Random } from "../engine/random.ts";
import { done, free, readAll, size, type Tensor } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";
import { type CheckpointInfo, type Moments, writeCheckpoint } from "../model/checkpoint.ts";
import { alone, type World } from "../parallel/world.ts";
import { readAhead } from "../sets/readahead.ts";
import type { Batch, BatchSource } from "../sets/samples.ts";
import { withAllMoments } from "./allmoments.ts";
import { bucketCount } from "./buckets.ts";
import { type OptimiserSettings, overRanks, type TrainingSettings } from "./config.ts";
import type { Learner } from "./learner.ts";
import { Meter } from "./meter.ts";
import { averageStates, digestOf } from "./onemodel.ts";
import { type Exchange, gradientSumOf } from "./reduce.ts";
import { bestCheckpoint, checkAlike, lastCheckpoint, type RunProgress, settingsOf } from "./resume.ts";
import { openLog, type RunLog } from "./runlog.ts";
import { learningRate } from "./schedule.ts";
import { byAll, ofAllRanks, Together } from "./together.ts";
import { validate } from "./validate.ts";

export interface Run {
  readonly learner: Learner;
  readonly train: BatchSource;
  readonly validation: BatchSource | undefined;
  readonly optimiser: OptimiserSettings;
  /** Of each rank: a step is of `accumulate` batches times the number of ranks. */
  readonly training: TrainingSettings;
  /** The ranks that train together; one process without. */
  readonly world?: World | undefined;
  /** The numbers in which its gradients go from rank to rank; f32 without. */
  readonly allreduce?: Exchange["wire"] | undefined;
  /** What every checkpoint of the run says about itself. */
  readonly info: CheckpointInfo;
  readonly out: string;
  /** Where to go on, from `resumeRun`; a fresh run without. */
  readonly from?: RunProgress | undefined;
  readonly signal: AbortSignal;
  readonly onStep?: (progress: StepReport) => void;
  readonly onValidation?: (report: ValidationReport) => void;
}

export interface StepReport {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly samplesPerSecond: number;
}

export interface ValidationReport {
  readonly step: number;
  readonly loss: number;
  readonly best: boolean;
}

export interface RunResult {
  readonly steps: number;
  readonly best: number | undefined;
  readonly stoppedEarly: boolean;
}

/** Optimiser steps of a run. */
export function totalSteps(train: BatchSource, { epochs, maxSteps, accumulate }: TrainingSettings): number {
  return Math.min(
    Math.max(1, Math.floor((epochs * train.batches) / accumulate)),
    maxSteps ?? Number.POSITIVE_INFINITY,
  );
}

/** Optimiser steps of the warm-up. */
export function warmupSteps(
  train: BatchSource,
  { warmup }: OptimiserSettings,
  { accumulate }: TrainingSettings,
): number {
  if (typeof warmup === "number") return warmup;
  return Math.round((Number.parseFloat(warmup) * train.batches) / accumulate); // of epochs
}

/**
 * Trains until the last step, until validation stops improving, or until `signal` is aborted: then the checkpoint
 * is written before the reason is thrown.
 *
 * Ranks see together what one rank with as many batches a step would: of the run's batches in their order, rank r has
 * every size-th, and micro-batch m draws the dropout of micro-batch m. They make every step, and stop, as one; rank 0
 * alone writes.
 *
 * @throws ClimaxError when the loss is no longer a number; the checkpoints are then from before
 */
export async function trainRun(run: Run): Promise<RunResult> {
  const { learner, train, optimiser, out, signal, world = alone } = run;
  const { accumulate } = run.training;
  const training = overRanks(run.training, world.size);
  const steps = totalSteps(train, training);
  const { lr, endLr } = optimiser;
  const schedule = { lr, warmup: warmupSteps(train, optimiser, training), steps, endLr };
  const every = training.validateEvery ?? Math.max(1, Math.floor(train.batches / training.accumulate));
  let { step, best, worse, due } = run.from ?? { step: 0, best: null, worse: 0, due: false };
  if (run.from) world.keptCheckpoint(lastCheckpoint(out));
  const together = new Together(world, signal);
  const settings = settingsOf(run);
  const exchange: Exchange = { shares: learner.share !== undefined, wire: run.allreduce ?? "f32" };
  await checkAlike(world, alikeOf(run, settings, exchange, every));
  const { shares: shardOptimiser, wire: allreduce } = exchange;
  const log = await byAll(world, () => openRankLog(run, world));
  log.write({
    ...{ event: run.from ? "resume" : "start", step, steps, adapter: learner.gpu.name },
    gradient_bytes: learner.trained.reduce((sum, { shape }) => sum + 4 * size(shape), 0), // in f32
    gradient_buckets: bucketCount(learner.trained),
    ...(world.size > 1
      ? {
          ranks: world.size,
          shard_optimiser: shardOptimiser,
          allreduce,
          hosts: await world.gather(hostname()),
        }
      : {}),
    settings: JSON.parse(settings),
  });

  const save = async (path: string, resumable: boolean): Promise<void> => {
    const write = async (moments?: Moments): Promise<void> => {
      const progress = { step, best, worse, due, settings, scaler: await learner.scaler() };
      // What is used is the running mean of the weights where there is one; what is trained on is then kept beside it.
      const trained = learner.averages ? { trained: (name: string) => learner.parameter(name) } : {};
      const resume = moments && { moments, training: progress, ...trained };
      const provenance = { ...run.info.provenance, step, best_validation_loss: best };
      await writeCheckpoint(path, { ...run.info, provenance }, (name) => learner.averaged(name), resume);
    };
    await byAll(world, async () => {
      if (resumable) await withAllMoments(world, learner, write);
      else if (world.rank === 0) await write();
    });
    if (resumable) world.keptCheckpoint(path);
  };

  const meter = new Meter();
  const waiting = { seconds: 0, steps: 0 };
  let pending: { step: number; waited: number; values: Promise<Float32Array[]> } | undefined;
  /** Looks at the numbers of an earlier step: the device is never waited for while it has nothing to do. */
  const settle = async (): Promise<void> => {
    if (!pending) return;
    const { step: of, waited, values } = pending;
    pending = undefined;
    const [state, ...losses] = await values;
    const [norm, factor, , , scale] = state!;
    const loss = await together.step(
      of,
      losses.reduce((sum, value) => sum + value[0]!, 0),
      norm!,
    );
    // In f16 a gradient that is not finite was scaled by too much: the step is skipped, and the scale is halved.
    const skipped = factor === 0;
    if ((skipped && scale === 1) || !Number.isFinite(loss)) {
      throw diverged(run, `at step ${of} the loss is ${loss} and the gradient's norm ${norm}`);
    }
    run.onStep?.({ step: of, steps, loss, samplesPerSecond: meter.rate });
    waiting.seconds += waited;
    waiting.steps++;
    if (of % training.logEvery === 0 || of === steps) {
      log.write({
        event: "step",
        step: of,
        epoch: Math.floor(((of - 1) * training.accumulate) / train.batches),
        loss,
        lr: learningRate(of - 1, schedule),
        gradient_norm: norm,
        ...(learner.gpu.precision === "f16" ? { loss_scale: scale, skipped } : {}),
        samples_per_second: meter.rate,
        // Of a step, on the mean since the last line: what the device of rank 0 stood still for.
        ...(world.size > 1 ? { seconds_waiting_for_ranks: waiting.seconds / waiting.steps } : {}),
      });
      waiting.seconds = waiting.steps = 0;
    }
  };

  let proven = -1;
  /** What is validated or saved is one model, that of all ranks. */
  const prove = async (): Promise<void> => {
    if (world.size === 1 || proven === step) return;
    proven = step;
    await averageStates(world, learner);
    await together.same(`after step ${step} they have other weights`, await digestOf(learner));
  };
  let saved = -1;
  const keep = async (): Promise<void> => {
    await settle();
    await prove();
    await save(lastCheckpoint(out), true);
    saved = step;
    meter.skip();
  };
  /** Stays due when the run is interrupted meanwhile: a resumed run validates first. */
  const validateNow = async (source: BatchSource): Promise<void> => {
    await settle();
    await prove();
    const what = { source, limit: training.validationBatches, outputs: run.info.outputs };
    const found = await validate(learner, what, world, together);
    if (!found) return;
    const { loss, losses } = found;
    if (!Number.isFinite(loss)) throw diverged(run, `at step ${step} the validation loss is ${loss}`);
    const better = best === null || loss < best;
    [best, worse, due] = better ? [loss, 0, false] : [best, worse + 1, false];
    log.write({ event: "validation", step, loss, best: better, losses });
    run.onValidation?.({ step, loss, best: better });
    if (better) await save(bestCheckpoint(out), false);
    await keep();
  };

  const exhausted = () => training.patience !== undefined && worse >= training.patience;
  const sum = world.size > 1 ? gradientSumOf(learner, world, exchange) : undefined;
  let sent: Promise<void> | undefined;
  let batch: Batch | undefined; // the device has a copy of the last one
  const own = (n: number): number => n * world.size + world.rank; // among the batches of all ranks
  const ahead = readAhead(
    (n, spare) => train.batchAt(Math.floor(own(n) / train.batches), own(n) % train.batches, spare),
    { first: step * accumulate, end: steps * accumulate, ahead: train.ahead },
  );
  try {
    if (due && run.validation) await validateNow(run.validation);
    while (step < steps && !exhausted() && !together.stopping) {
      const losses: Tensor[] = [];
      let state: Tensor | undefined;
      const rate = learningRate(step, schedule);
      for (let micro = 0; micro < accumulate; micro++) {
        batch = (await ahead.next(batch))!;
        const random = new Random(training.seed, own(step * accumulate + micro));
        if (learner.early) {
          const made = learner.stepEarly(batch, random, rate, step + 1);
          losses.push(made.loss);
          state = made.state;
        } else {
          const complete = micro + 1 === accumulate ? sum?.complete : undefined;
          losses.push(learner.accumulate(batch, 1 / training.accumulate, random, complete));
        }
        meter.count(batch.size * world.size);
        // Two batches on their way keep the device busy; the uploads of more would fill the host's memory.
        const before = sent;
        sent = done(learner.gpu);
        sent.catch(() => undefined); // thrown where it is awaited
        await before;
      }
      let waited = 0;
      if (!state) {
        const summed = await sum?.finish();
        state = learner.step(rate, step + 1, summed?.squares);
        waited = summed?.seconds ?? 0;
        if (sum && learner.share) {
          waited += await sum.handOut();
          learner.follow(step + 1);
        }
      }
      step++;
      const values = readAll([state, ...losses]);
      for (const t of [state, ...losses]) free(t); // what is read is copied already, in order
      values.catch(() => undefined); // thrown where it is awaited
      await settle();
      pending = { step, waited, values };
      if (step % every !== 0 && step !== steps) continue;
      due = run.validation !== undefined;
      if (run.validation) await validateNow(run.validation);
      else await keep();
    }
    if (saved !== step) await keep();
  } finally {
    await ahead.end();
  }
  sum?.close();
  if (!run.validation && step >= steps) await save(bestCheckpoint(out), false);
  const stoppedEarly = step < steps && exhausted();
  log.write({ event: together.stopping ? "interrupted" : "end", step, best, stopped_early: stoppedEarly });
  together.throwIfStopping();
  return { steps: step, best: best ?? undefined, stoppedEarly };
}

/** What ranks must do alike, as JSON: also what does not decide what the run is, but when they meet, and for what. */
function alikeOf({ training, validation }: Run, settings: string, exchange: Exchange, every: number): string {
  const decided = JSON.parse(settings) as { readonly training: object };
  const { validationBatches = null, patience = null } = training;
  return JSON.stringify({
    ...decided,
    training: { ...decided.training, validateEvery: every, validationBatches, patience },
    validation: { batches: validation?.batches ?? 0 },
    shardOptimiser: exchange.shares,
    allreduce: exchange.wire,
  });
}

/** The log of the run, on the rank that writes it. */
async function openRankLog({ out, from }: Run, { rank }: World): Promise<RunLog> {
  if (rank > 0) return { write: () => undefined };
  await makeFolder(out);
  return openLog(join(out, "log.jsonl"), from?.step);
}

function diverged({ out, learner }: Run, what: string): ClimaxError {
  const kept = [bestCheckpoint(out), lastCheckpoint(out)].filter((path) => existsSync(path));
  const half = learner.gpu.precision === "f16";
  return ofAllRanks(
    new ClimaxError(
      "data",
      `${what}: the run has diverged`,
      `lower --optimiser.lr, lengthen --optimiser.warmup${half ? ", set --precision f32" : ""} or set --optimiser.clip 1, in another --output` +
        (kept.length > 0 ? `; ${kept.join(" and ")} are from before` : ""),
    ),
  );
}
