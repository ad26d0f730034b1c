// The training loop: batches in, checkpoints out, able to stop anywhere and go on as if it had not.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../data/folder.ts";
import { Random } from "../engine/random.ts";
import { done, free, readAll, type Tensor } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";
import { type CheckpointInfo, writeCheckpoint } from "../model/checkpoint.ts";
import { readAhead } from "../sets/readahead.ts";
import type { Batch, BatchSource } from "../sets/samples.ts";
import type { OptimiserSettings, TrainingSettings } from "./config.ts";
import type { Learner } from "./learner.ts";
import { bestCheckpoint, lastCheckpoint, type RunProgress, settingsOf } from "./resume.ts";
import { openLog } from "./runlog.ts";
import { learningRate } from "./schedule.ts";

export interface Run {
  readonly learner: Learner;
  readonly train: BatchSource;
  readonly validation: BatchSource | undefined;
  readonly optimiser: OptimiserSettings;
  readonly training: TrainingSettings;
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
 * @throws ClimaxError when the loss is no longer a number; the checkpoints are then from before
 */
export async function trainRun(run: Run): Promise<RunResult> {
  const { learner, train, training, optimiser, out, signal } = run;
  const steps = totalSteps(train, training);
  const { lr, endLr } = optimiser;
  const schedule = { lr, warmup: warmupSteps(train, optimiser, training), steps, endLr };
  const every = training.validateEvery ?? Math.max(1, Math.floor(train.batches / training.accumulate));
  let { step, best, worse, due } = run.from ?? { step: 0, best: null, worse: 0, due: false };
  await makeFolder(out);
  const log = openLog(join(out, "log.jsonl"), run.from?.step);
  const settings = settingsOf(run);
  const { name: adapter } = learner.gpu;
  log.write({ event: run.from ? "resume" : "start", step, steps, adapter, settings: JSON.parse(settings) });

  const save = async (path: string, resumable: boolean): Promise<void> => {
    const progress = { step, best, worse, due, settings, scaler: await learner.scaler() };
    // What is used is the running mean of the weights where there is one; what is trained on is then kept beside it.
    const trained = learner.averages ? { trained: (name: string) => learner.parameter(name) } : {};
    const resume = resumable ? { moments: learner.moments, training: progress, ...trained } : undefined;
    const provenance = { ...run.info.provenance, step, best_validation_loss: best };
    await writeCheckpoint(path, { ...run.info, provenance }, (name) => learner.averaged(name), resume);
  };

  const meter = new Meter();
  let pending: { step: number; values: Promise<Float32Array[]> } | undefined;
  /** Looks at the numbers of an earlier step: the device is never waited for while it has nothing to do. */
  const settle = async (): Promise<void> => {
    if (!pending) return;
    const { step: of, values } = pending;
    pending = undefined;
    const [state, ...losses] = await values;
    const loss = losses.reduce((sum, value) => sum + value[0]!, 0);
    const [norm, factor, , , scale] = state!;
    // In f16 a gradient that is not finite was scaled by too much: the step is skipped, and the scale is halved.
    const skipped = factor === 0;
    if ((skipped && scale === 1) || !Number.isFinite(loss)) {
      throw diverged(run, `at step ${of} the loss is ${loss} and the gradient's norm ${norm}`);
    }
    run.onStep?.({ step: of, steps, loss, samplesPerSecond: meter.rate });
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
      });
    }
  };

  let saved = -1;
  const keep = async (): Promise<void> => {
    await settle();
    await save(lastCheckpoint(out), true);
    saved = step;
    meter.skip();
  };
  /** Stays due when the run is interrupted meanwhile: a resumed run validates first. */
  const validateNow = async (source: BatchSource): Promise<void> => {
    await settle();
    const found = await validate(learner, source, training.validationBatches, signal);
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
  let sent: Promise<void> | undefined;
  let batch: Batch | undefined; // the device has a copy of the last one
  const ahead = readAhead(
    (n, spare) => train.batchAt(Math.floor(n / train.batches), n % train.batches, spare),
    {
      first: step * training.accumulate,
      end: steps * training.accumulate,
      ahead: train.ahead,
    },
  );
  try {
    if (due && run.validation) await validateNow(run.validation);
    while (step < steps && !exhausted() && !signal.aborted) {
      const losses: Tensor[] = [];
      let state: Tensor | undefined;
      const rate = learningRate(step, schedule);
      for (let micro = 0; micro < training.accumulate; micro++) {
        batch = (await ahead.next(batch))!;
        const random = new Random(training.seed, step * training.accumulate + micro);
        if (learner.early) {
          const made = learner.stepEarly(batch, random, rate, step + 1);
          losses.push(made.loss);
          state = made.state;
        } else losses.push(learner.accumulate(batch, 1 / training.accumulate, random));
        meter.count(batch.size);
        // Two batches on their way keep the device busy; the uploads of more would fill the host's memory.
        const before = sent;
        sent = done(learner.gpu);
        sent.catch(() => undefined); // thrown where it is awaited
        await before;
      }
      state ??= learner.step(rate, step + 1);
      step++;
      const values = readAll([state, ...losses]);
      for (const t of [state, ...losses]) free(t); // what is read is copied already, in order
      values.catch(() => undefined); // thrown where it is awaited
      await settle();
      pending = { step, values };
      if (step % every !== 0 && step !== steps) continue;
      due = run.validation !== undefined;
      if (run.validation) await validateNow(run.validation);
      else await keep();
    }
    if (saved !== step) await keep();
  } finally {
    await ahead.end();
  }
  if (!run.validation && step >= steps) await save(bestCheckpoint(out), false);
  const stoppedEarly = step < steps && exhausted();
  log.write({ event: signal.aborted ? "interrupted" : "end", step, best, stopped_early: stoppedEarly });
  signal.throwIfAborted();
  return { steps: step, best: best ?? undefined, stoppedEarly };
}

function diverged({ out, learner }: Run, what: string): ClimaxError {
  const kept = [bestCheckpoint(out), lastCheckpoint(out)].filter((path) => existsSync(path));
  const half = learner.gpu.precision === "f16";
  return new ClimaxError(
    "data",
    `${what}: the run has diverged`,
    `lower --optimiser.lr, lengthen --optimiser.warmup${half ? ", set --precision f32" : ""} or set --optimiser.clip 1, in another --output` +
      (kept.length > 0 ? `; ${kept.join(" and ")} are from before` : ""),
  );
}

type Evaluated = Awaited<ReturnType<Learner["evaluate"]>> & {
  readonly size: number;
  readonly outputs: readonly string[];
};

/** Mean loss over a validation set, and that of each variable; undefined when `signal` was aborted on the way. */
async function validate(
  learner: Learner,
  source: BatchSource,
  limit = source.batches,
  signal: AbortSignal,
): Promise<{ loss: number; losses: Record<string, number> } | undefined> {
  const count = Math.min(limit, source.batches);
  let [total, samples] = [0, 0];
  const sums = new Map<string, { sum: number; samples: number }>();
  const add = ({ size, outputs, loss, losses }: Evaluated): void => {
    total += loss * size;
    samples += size;
    for (const [v, name] of outputs.entries()) {
      const before = sums.get(name) ?? { sum: 0, samples: 0 };
      sums.set(name, { sum: before.sum + losses[v]! * size, samples: before.samples + size });
    }
  };
  let earlier: Promise<Evaluated> | undefined; // the next batch is read while the device is at work on it
  const ahead = readAhead((i, spare) => source.batchAt(0, Math.floor((i * source.batches) / count), spare), {
    end: count,
    ahead: source.ahead,
  });
  try {
    for (let batch = await ahead.next(); batch; batch = await ahead.next(batch)) {
      if (signal.aborted) return undefined;
      const { size, outputs } = batch;
      const now = learner.evaluate(batch).then((found) => ({ size, outputs, ...found }));
      now.catch(() => undefined); // thrown where it is awaited
      if (earlier) add(await earlier);
      earlier = now;
    }
    if (earlier) add(await earlier);
  } finally {
    await ahead.end();
  }
  const losses = Object.fromEntries([...sums].map(([name, { sum, samples: n }]) => [name, sum / n]));
  return { loss: total / samples, losses };
}

/** Samples per second over the last half minute or so. */
class Meter {
  #since = performance.now();
  #samples = 0;
  rate = 0;

  count(samples: number): void {
    this.#samples += samples;
    const seconds = (performance.now() - this.#since) / 1000;
    // Soon after a pause a rate says nothing: recording is ahead of the device. The last one stands.
    if (seconds > 2 || this.rate === 0) this.rate = this.#samples / Math.max(seconds, 1e-3);
    if (seconds > 30) {
      this.#since += 15_000;
      this.#samples -= 15 * this.rate;
    }
  }

  /** Leaves out the time that validation took. */
  skip(): void {
    this.#since = performance.now();
    this.#samples = 0;
  }
}
