// The training loop: batches in, checkpoints out, able to stop anywhere and go on as if it had not.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Batch, BatchSource } from "../data/samples.ts";
import { Random } from "../engine/random.ts";
import { free, read, type Tensor } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";
import { type CheckpointInfo, openCheckpoint, writeCheckpoint } from "../model/checkpoint.ts";
import type { OptimiserSettings, TrainingSettings } from "./config.ts";
import type { Learner } from "./learner.ts";
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
  /** Where to go on, from `readProgress`; a fresh run without. */
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

/** What a run must know, beside parameters and moments, to go on. Random numbers and order follow from the step. */
const RunProgress = z.object({
  /** Optimiser steps done. */
  step: z.int().nonnegative(),
  best: z.number().nullable(),
  /** Validations since the best one. */
  worse: z.int().nonnegative(),
  /** The settings it was started with, as JSON. */
  settings: z.string(),
});
export type RunProgress = z.output<typeof RunProgress>;

export interface RunResult {
  readonly steps: number;
  readonly best: number | undefined;
  readonly stoppedEarly: boolean;
}

export const lastCheckpoint = (out: string): string => join(out, "last.safetensors");
export const bestCheckpoint = (out: string): string => join(out, "best.safetensors");

/** Optimiser steps of a run. */
export function totalSteps(train: BatchSource, { epochs, maxSteps, accumulate }: TrainingSettings): number {
  return Math.min(
    Math.max(1, Math.floor((epochs * train.batches) / accumulate)),
    maxSteps ?? Number.POSITIVE_INFINITY,
  );
}

/**
 * Trains until the last step, until validation stops improving, or until `signal` is aborted: then the checkpoint
 * is written before the reason is thrown.
 *
 * @throws ClimaxError when the loss is no longer a number
 */
export async function trainRun(run: Run): Promise<RunResult> {
  const { learner, train, training, optimiser, out, signal } = run;
  const steps = totalSteps(train, training);
  const { warmup, lr, endLr } = optimiser;
  const schedule = { lr, warmup, steps, endLr };
  const every = training.validateEvery ?? Math.max(1, Math.floor(train.batches / training.accumulate));
  let { step, best, worse } = run.from ?? { step: 0, best: null, worse: 0 };
  await mkdir(out, { recursive: true });
  const log = openLog(join(out, "log.jsonl"), run.from?.step);
  const { name: adapter } = learner.gpu;
  log.write({
    event: run.from ? "resume" : "start",
    step,
    steps,
    adapter,
    settings: JSON.parse(settingsOf(run)),
  });

  const save = async (path: string, resumable: boolean): Promise<void> => {
    const progress = { step, best, worse, settings: settingsOf(run) };
    const resume = resumable ? { moments: learner.moments, training: progress } : undefined;
    const provenance = { ...run.info.provenance, step, best_validation_loss: best };
    await writeCheckpoint(path, { ...run.info, provenance }, (name) => learner.parameter(name), resume);
  };

  const meter = new Meter();
  const batches = readAhead(train, step * training.accumulate, steps * training.accumulate);
  let pending: { step: number; values: Promise<Float32Array[]> } | undefined;
  /** Looks at the numbers of an earlier step: the device is never waited for while it has nothing to do. */
  const settle = async (): Promise<void> => {
    if (!pending) return;
    const { step: of, values } = pending;
    pending = undefined;
    const [state, ...losses] = await values;
    const loss = losses.reduce((sum, value) => sum + value[0]!, 0);
    const [norm, factor] = state!;
    if (factor === 0 || !Number.isFinite(loss)) {
      throw new ClimaxError(
        "data",
        `at step ${of} the loss is ${loss} and the gradient's norm ${norm}: the run has diverged`,
        "lower --optimiser.lr, lengthen --optimiser.warmup or set --optimiser.clip 1; best.safetensors is from before",
      );
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
        samples_per_second: meter.rate,
      });
    }
  };

  let saved = -1;
  let stoppedEarly = false;
  while (step < steps && !stoppedEarly && !signal.aborted) {
    const losses: Tensor[] = [];
    for (let micro = 0; micro < training.accumulate; micro++) {
      const batch = await batches();
      const random = new Random(training.seed, step * training.accumulate + micro);
      losses.push(learner.accumulate(batch, 1 / training.accumulate, random));
      meter.count(batch.size);
    }
    const state = learner.step(learningRate(step, schedule), step + 1);
    step++;
    const values = Promise.all([state, ...losses].map(read));
    for (const t of [state, ...losses]) free(t); // what is read is copied already, in order
    await settle();
    pending = { step, values };
    values.catch(() => undefined); // thrown where it is awaited

    if ((step % every === 0 || step === steps) && run.validation) {
      await settle();
      const { loss, losses: byVariable } = await validate(
        learner,
        run.validation,
        training.validationBatches,
      );
      const better = best === null || loss < best;
      [best, worse] = better ? [loss, 0] : [best, worse + 1];
      log.write({ event: "validation", step, loss, best: better, losses: byVariable });
      run.onValidation?.({ step, loss, best: better });
      if (better) await save(bestCheckpoint(out), false);
      await save(lastCheckpoint(out), true);
      saved = step;
      stoppedEarly = training.patience !== undefined && worse >= training.patience;
      meter.skip();
    }
  }
  await settle();
  if (saved !== step) await save(lastCheckpoint(out), true);
  if (!run.validation && step >= steps) await save(bestCheckpoint(out), false);
  log.write({ event: signal.aborted ? "interrupted" : "end", step, best, stopped_early: stoppedEarly });
  signal.throwIfAborted();
  return { steps: step, best: best ?? undefined, stoppedEarly };
}

/** Mean loss over a validation set, and that of each variable. */
async function validate(
  learner: Learner,
  source: BatchSource,
  limit = source.batches,
): Promise<{ loss: number; losses: Record<string, number> }> {
  const count = Math.min(limit, source.batches);
  let [total, samples] = [0, 0];
  const sums = new Map<string, { sum: number; samples: number }>();
  for (let i = 0; i < count; i++) {
    const batch = await source.batchAt(0, Math.floor((i * source.batches) / count));
    const { loss, losses } = await learner.evaluate(batch);
    total += loss * batch.size;
    samples += batch.size;
    for (const [v, name] of batch.outputs.entries()) {
      const before = sums.get(name) ?? { sum: 0, samples: 0 };
      sums.set(name, { sum: before.sum + losses[v]! * batch.size, samples: before.samples + batch.size });
    }
  }
  const losses = Object.fromEntries([...sums].map(([name, { sum, samples: n }]) => [name, sum / n]));
  return { loss: total / samples, losses };
}

/** Hands out the batches of all epochs in order, reading one ahead. */
function readAhead(source: BatchSource, first: number, end: number): () => Promise<Batch> {
  let next = first;
  const fetch = (): Promise<Batch> | undefined => {
    if (next >= end) return undefined;
    const batch = source.batchAt(Math.floor(next / source.batches), next % source.batches);
    next++;
    batch.catch(() => undefined); // thrown where it is awaited
    return batch;
  };
  let ahead = fetch();
  return async () => {
    const batch = await ahead!;
    ahead = fetch();
    return batch;
  };
}

/** Samples per second over the last half minute or so. */
class Meter {
  #since = performance.now();
  #samples = 0;
  rate = 0;

  count(samples: number): void {
    this.#samples += samples;
    const seconds = (performance.now() - this.#since) / 1000;
    if (seconds > 0) this.rate = this.#samples / seconds;
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

/** What decides the numbers of a run; a resumed run must have been started with the same. */
function settingsOf({ info, optimiser, training }: Run): string {
  const { batchSize, accumulate, seed, epochs, maxSteps } = training;
  return JSON.stringify({
    optimiser,
    training: { batchSize, accumulate, seed, epochs, maxSteps: maxSteps ?? null },
    model: info.model,
    outputs: info.outputs,
    leads: info.leads,
    data: info.provenance.data,
  });
}

/**
 * Opens what a resumed run goes on from, and checks that it is the same run.
 *
 * @throws ClimaxError "config" naming the settings that differ, "checkpoint" when there is nothing to go on from
 */
export async function resumeRun(run: Run): Promise<RunProgress> {
  const path = lastCheckpoint(run.out);
  const checkpoint = await openCheckpoint(path);
  try {
    const parsed = RunProgress.safeParse(checkpoint.training);
    if (!parsed.success || !checkpoint.moments) {
      throw new ClimaxError(
        "checkpoint",
        `${path} has no state of a run to go on from`,
        "start afresh without --resume, in another --output",
      );
    }
    const [before, now] = [JSON.parse(parsed.data.settings), JSON.parse(settingsOf(run))];
    const changed = differences(before, now);
    if (changed.length > 0) {
      throw new ClimaxError(
        "config",
        `the run in ${run.out} was started with other settings: ${changed.join("; ")}`,
        "resume with the settings it was started with, or start a new run in another --output",
      );
    }
    await run.learner.load((name) => checkpoint.parameter(name), checkpoint.moments);
    return parsed.data;
  } finally {
    await checkpoint.close();
  }
}

/** `optimiser.lr was 0.0005, is 0.001` for every leaf that differs. */
function differences(before: unknown, now: unknown, path = ""): string[] {
  if (isObject(before) && isObject(now)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
    return [...keys].flatMap((key) => differences(before[key], now[key], path ? `${path}.${key}` : key));
  }
  const [was, is] = [JSON.stringify(before), JSON.stringify(now)];
  return was === is ? [] : [`${path} was ${was}, is ${is}`];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Removes the checkpoints of an earlier run in the same folder. */
export async function clearRun(out: string): Promise<void> {
  for (const path of [lastCheckpoint(out), bestCheckpoint(out), join(out, "log.jsonl")])
    await rm(path, { force: true });
}
