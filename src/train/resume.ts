// What a run's folder holds, and going on from it: the same run, or a refusal that says what differs.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { type Checkpoint, openCheckpoint } from "../model/checkpoint.ts";
import { alone, type World } from "../parallel/world.ts";
import { overRanks } from "./config.ts";
import type { ReadParameter } from "./learner.ts";
import type { Run } from "./loop.ts";
import { fromFirst } from "./onemodel.ts";
import { byAll, ofAllRanks } from "./together.ts";

export const lastCheckpoint = (out: string): string => join(out, "last.safetensors");
export const bestCheckpoint = (out: string): string => join(out, "best.safetensors");

/** What a run must know, beside parameters and moments, to go on. Random numbers and order follow from the step. */
const RunProgress = z.object({
  /** Optimiser steps done. */
  step: z.int().nonnegative(),
  best: z.number().nullable(),
  /** Validations since the best one. */
  worse: z.int().nonnegative(),
  /** Whether the validation of `step` is still to be done: the run was stopped in it. */
  due: z.boolean().default(false),
  /** The settings it was started with, as JSON. */
  settings: z.string(),
  /** The state of loss scaling, in f16. */
  scaler: z.array(z.number()).length(4).optional(),
});
export type RunProgress = z.output<typeof RunProgress>;

/**
 * What decides the numbers of a run; a resumed run must have been started with the same. `accumulate` is that of all
 * ranks together: their number may change as long as it stays.
 */
export function settingsOf({ learner, info, optimiser, training, world = alone }: Run): string {
  const { batchSize, accumulate, seed, epochs, maxSteps } = overRanks(training, world.size);
  return JSON.stringify({
    optimiser,
    precision: learner.gpu.precision,
    training: {
      batchSize,
      microBatch: Math.min(batchSize, learner.microBatch),
      accumulate,
      seed,
      epochs,
      maxSteps: maxSteps ?? null,
    },
    ema: training.ema ?? null,
    learner: learner.kind,
    task: info.task,
    region: info.region ?? null,
    model: info.model,
    inputs: info.inputs ?? null,
    outputs: info.outputs,
    leads: info.leads,
    data: (info.provenance.data as { dir: string }[]).map(({ dir: _, ...what }) => what), // it may have moved
    weights: info.provenance.weights ?? null,
  });
}

/** The size of the micro-batches of the run in this folder: a resumed run has the same, to go on bit for bit. */
export async function microBatchOf(out: string): Promise<number | undefined> {
  const checkpoint = await openCheckpoint(lastCheckpoint(out));
  await checkpoint.close();
  const { data } = RunProgress.safeParse(checkpoint.training);
  const settings = JSON.parse(data?.settings ?? "{}") as { training?: { microBatch?: number } };
  return settings.training?.microBatch;
}

/** @throws ClimaxError "config" when a rank was started with other settings than rank 0 */
export async function checkAlike(world: World, settings: string): Promise<void> {
  if (world.size === 1) return;
  const all = await world.gather(settings);
  const other = all.findIndex((text) => text !== all[0]);
  if (other < 0) return;
  const changed = differences(JSON.parse(all[0]!), JSON.parse(all[other]!));
  throw ofAllRanks(
    new ClimaxError(
      "config",
      `rank ${other} has other settings than rank 0: ${changed.join("; ")}`,
      "start all ranks with the same command, files of settings and version of climax",
    ),
  );
}

/**
 * Opens what a resumed run goes on from, and checks that it is the same run. Rank 0 reads, for all.
 *
 * @throws ClimaxError "config" naming the settings that differ, "checkpoint" when there is nothing to go on from
 */
export async function resumeRun(run: Run): Promise<RunProgress> {
  const { learner, world = alone } = run;
  const opened = await byAll(world, () => (world.rank === 0 ? openRun(run) : undefined));
  try {
    const [text] = await world.gather(JSON.stringify(opened?.progress ?? null));
    const progress = RunProgress.parse(JSON.parse(text!));
    // On other ranks than 0 nobody reads.
    const from = (read: (checkpoint: Checkpoint) => ReadParameter): ReadParameter =>
      fromFirst(world, learner, (name) => read(opened!.checkpoint)(name));
    const moments = {
      expAvg: from(({ moments: own }) => own!.expAvg),
      expAvgSq: from(({ moments: own }) => own!.expAvgSq),
    };
    await learner.load(
      from((checkpoint) => (name) => checkpoint.trained(name)),
      moments,
      { scaler: progress.scaler, average: from((checkpoint) => (name) => checkpoint.parameter(name)) },
    );
    return progress;
  } finally {
    await opened?.checkpoint.close();
  }
}

async function openRun(run: Run): Promise<{ checkpoint: Checkpoint; progress: RunProgress }> {
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
      const ranks = run.world?.size ?? 1;
      const others = ranks > 1 && changed.some((one) => one.startsWith("training.accumulate"));
      const counted = others ? ` (training.accumulate is that of all ${ranks} ranks together)` : "";
      throw new ClimaxError(
        "config",
        `the run in ${run.out} was started with other settings: ${changed.join("; ")}${counted}`,
        "resume with the settings it was started with, or start a new run in another --output",
      );
    }
    return { checkpoint, progress: parsed.data };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/** `optimiser.lr was 0.0005, is 0.001` for every leaf that differs; lists of another length as a whole. */
export function differences(before: unknown, now: unknown, path = ""): string[] {
  const [was, is] = [JSON.stringify(before), JSON.stringify(now)];
  if (was === is) return [];
  if (!isTree(before) || !isTree(now) || before.length !== now.length)
    return [`${path} was ${was}, is ${is}`];
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...keys].flatMap((key) => differences(before[key], now[key], path ? `${path}.${key}` : key));
}

/** An object or a list. */
function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** A checkpoint that an earlier run left in this folder, if any. */
export function heldCheckpoint(out: string): string | undefined {
  return [lastCheckpoint(out), bestCheckpoint(out)].find((path) => existsSync(path));
}
