/** Runs of a tiny model on prepared sets, made the way the commands make them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Gpu } from "../../src/engine/device.ts";
import { Learner, type LearnerOptions } from "../../src/train/learner.ts";
import { type Run, type RunResult, trainRun } from "../../src/train/loop.ts";
import { PretrainConfig, pretrainObjective } from "../../src/train/pretrain.ts";
import { resumeRun } from "../../src/train/resume.ts";
import { gpu } from "./gpu.ts";

/** D 16, one block, no noise: a step takes about 20 ms on a software adapter. */
export const tinyModel = {
  patchSize: 2,
  embedDim: 16,
  depth: 1,
  decoderDepth: 1,
  heads: 2,
  dropout: 0,
  dropPath: 0,
};

export interface ToyRunSettings {
  readonly output: string;
  readonly sources: readonly string[];
  readonly weights?: readonly number[];
  readonly leads?: { min: number; max: number; step: number };
  /** How batches are made. */
  readonly loader?: { workers: number; prefetch?: number };
  readonly model?: Record<string, unknown>;
  readonly optimiser?: Record<string, unknown>;
  readonly training?: Record<string, unknown>;
  readonly recompute?: boolean;
  readonly device?: Gpu;
  readonly learner?: Pick<LearnerOptions, "frozen" | "share">;
}

export interface ToyRun {
  readonly run: Run;
  close(): Promise<void>;
}

/** A run whose parameters have their starting values. */
export async function openToyRun(settings: ToyRunSettings): Promise<ToyRun> {
  const { output, sources, weights, model, optimiser, training } = settings;
  const { leads = { min: 12, max: 12, step: 12 } } = settings;
  const config = PretrainConfig.parse({
    output,
    recompute: settings.recompute,
    data: { sources, weights, leads, ...settings.loader },
    model: { ...tinyModel, ...model },
    optimiser: { lr: 0.01, warmup: 5, ...optimiser },
    training: { batchSize: 8, logEvery: 1, ...training },
  });
  const objective = await pretrainObjective(config, { command: "a test" });
  const { microBatch } = config.training;
  const { recompute } = config;
  const device = settings.device ?? gpu;
  const options = { microBatch, recompute, average: config.training.ema, ...settings.learner };
  const learner = new Learner(device, objective.model, objective.sets[0]!.grid, config.optimiser, options);
  await learner.load(objective.start);
  return {
    run: {
      learner,
      train: objective.train,
      validation: objective.validation,
      optimiser: config.optimiser,
      training: config.training,
      info: objective.info,
      out: output,
      signal: new AbortController().signal,
    },
    close: objective.close,
  };
}

export interface Trained {
  readonly result: RunResult | undefined;
  /** Of every step that was made. */
  readonly losses: readonly number[];
  /** Every parameter, in the order of the model. */
  readonly parameters: ReadonlyMap<string, Float32Array>;
}

export interface TrainToyOptions {
  readonly resume?: boolean;
  /** Aborts the run when this step has been looked at: the result is then undefined. */
  readonly stopAt?: number;
  /** Replaces parts of the run. */
  readonly change?: (run: Run) => Partial<Run>;
}

/** Trains, or goes on with a run. */
export async function trainToy(settings: ToyRunSettings, options: TrainToyOptions = {}): Promise<Trained> {
  const { resume = false, stopAt, change } = options;
  const toy = await openToyRun(settings);
  try {
    const stop = new AbortController();
    const losses: number[] = [];
    const made: Run = { ...toy.run, signal: stop.signal };
    const changed: Run = { ...made, ...change?.(made) };
    const onStep: Run["onStep"] = (report) => {
      losses.push(report.loss);
      changed.onStep?.(report);
      if (report.step === stopAt) stop.abort(new Error("stopped by the test"));
    };
    const run = { ...changed, onStep };
    const from = resume ? await resumeRun(run) : undefined;
    const result = await trainRun({ ...run, from }).catch((error: unknown) => {
      if (stop.signal.aborted && error === stop.signal.reason) return undefined;
      throw error;
    });
    const parameters = new Map<string, Float32Array>();
    for (const name of run.learner.names) parameters.set(name, await run.learner.parameter(name));
    return { result, losses, parameters };
  } finally {
    await toy.close();
  }
}

/** The lines of a run's log, without what differs from run to run: times and speeds. */
export function readLog(out: string): Record<string, unknown>[] {
  return readFileSync(join(out, "log.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => {
      const { time: _, samples_per_second: __, ...rest } = JSON.parse(line) as Record<string, unknown>;
      const { seconds_waiting_for_ranks: ___, ...entry } = rest;
      return entry;
    });
}

/** The first parameter of two runs that is not the same in every bit, if any. */
export function firstDifference(a: Trained, b: Trained): string | undefined {
  for (const [name, values] of a.parameters) {
    const others = b.parameters.get(name)!;
    const at = values.findIndex((value, i) => value !== others[i]);
    if (at >= 0) return `${name}[${at}]: ${values[at]} and ${others[at]}`;
  }
  return undefined;
}
