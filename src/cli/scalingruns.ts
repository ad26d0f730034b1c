// What the logs of training runs say about the time of their steps.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import type { Way } from "../train/scaling.ts";

/** One run, since it was started or resumed last. */
export interface MeasuredRun {
  readonly dir: string;
  readonly ranks: number;
  readonly hosts: number;
  readonly way: Way;
  /** Of each rank in a step. */
  readonly samples: number;
  /** Micro-batches of each rank in a step. */
  readonly microBatches: number;
  /** Seconds, the median. */
  readonly step: number;
  /** How many times that is the median of. */
  readonly times: number;
  /** Of a step, seconds that rank 0's device stood still for other ranks, the median. */
  readonly waited: number;
  /** Bytes of the gradients in f32; undefined in logs that do not tell. */
  readonly bytes: number | undefined;
  /** Into how many buckets they go; likewise. */
  readonly buckets: number | undefined;
  /** What runs that are compared have in common, as text. */
  readonly model: string;
}

const Start = z.looseObject({
  event: z.enum(["start", "resume"]),
  ranks: z.int().positive().default(1),
  hosts: z.array(z.string()).min(1).default(["one"]),
  shard_optimiser: z.boolean().default(false),
  allreduce: z.enum(["f32", "f16"]).default("f32"),
  gradient_bytes: z.number().positive().optional(),
  gradient_buckets: z.int().positive().optional(),
  settings: z.looseObject({
    precision: z.string(),
    model: z.unknown(),
    training: z.looseObject({
      batchSize: z.int().positive(),
      microBatch: z.int().positive(),
      accumulate: z.int().positive(),
    }),
  }),
});

const Step = z.looseObject({
  event: z.literal("step"),
  step: z.int(),
  time: z.iso.datetime(),
  seconds_waiting_for_ranks: z.number().default(0),
});

/** The first part of the steps, left out: shaders are compiled, caches fill, connections are opened. */
const WARM_UP = 1 / 3;
/** A median of fewer is none. */
const LEAST = 3;

/**
 * Reads the log of the run in a folder.
 *
 * @throws ClimaxError "data" for a folder without such a log, or one with too few steps
 */
export async function readRun(dir: string): Promise<MeasuredRun> {
  const path = join(dir, "log.jsonl");
  const text = await readFile(path, "utf8").catch((error: Error) => {
    const hint = "name the --output of a run of climax pretrain or finetune";
    throw new ClimaxError("data", `cannot read ${path}: ${error.message}`, hint, { cause: error });
  });
  const entries = text.split("\n").flatMap(entryOf);
  const first = entries.findLastIndex(({ event }) => event === "start" || event === "resume");
  const { data: start } = Start.safeParse(entries[first]);
  if (!start)
    throw new ClimaxError(
      "data",
      `${path} does not tell with what settings the run was started`,
      "make the run again with this version",
    );

  const { settings, ranks } = start;
  const { batchSize, microBatch, accumulate } = settings.training; // accumulate counts the batches of all ranks
  const each = accumulate / ranks;
  const found = intervals(entries.slice(first + 1));
  const kept = found.slice(Math.ceil(WARM_UP * found.length));
  if (kept.length < LEAST)
    throw new ClimaxError(
      "data",
      `${path} has ${found.length} time${found.length === 1 ? "" : "s"} of steps, of which the first third is left out; wanted ${LEAST} after that`,
      "train for longer, or with --training.log-every 1",
    );
  return {
    dir,
    ranks,
    hosts: new Set(start.hosts).size,
    way: start.shard_optimiser ? (start.allreduce === "f16" ? "zero-f16" : "zero") : start.allreduce,
    samples: batchSize * each,
    microBatches: Math.ceil(batchSize / microBatch) * each,
    step: median(kept.map(({ seconds }) => seconds)),
    times: kept.length,
    waited: median(kept.map(({ waited }) => waited)),
    bytes: start.gradient_bytes,
    buckets: start.gradient_buckets,
    model: JSON.stringify([settings.model, settings.precision]),
  };
}

/** Seconds a step between lines of the log that follow one another: what a validation lies between is left out. */
function intervals(entries: readonly Entry[]): { seconds: number; waited: number }[] {
  const found: { seconds: number; waited: number }[] = [];
  let before: z.output<typeof Step> | undefined;
  for (const entry of entries) {
    const { data } = Step.safeParse(entry);
    if (data && before && data.step > before.step) {
      const seconds = (Date.parse(data.time) - Date.parse(before.time)) / 1000 / (data.step - before.step);
      found.push({ seconds, waited: data.seconds_waiting_for_ranks });
    }
    before = data;
  }
  return found;
}

type Entry = Readonly<Record<string, unknown>>;

/** None of a line that was cut short. */
function entryOf(line: string): Entry[] {
  try {
    return [JSON.parse(line)];
  } catch {
    return [];
  }
}

/** The middle of an odd number of values, the mean of the two in the middle otherwise. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
