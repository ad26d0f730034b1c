// set.json: what a prepared training set says about itself. It is written last, so a set without it is unfinished.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ClimaxError } from "../errors.ts";

export const splitNames = ["train", "val", "test"] as const;
export type SplitName = (typeof splitNames)[number];

export const dtypes = ["float32", "float16"] as const;
export type SetDtype = (typeof dtypes)[number];

/** How mean and std were made: over the whole train period, or as ClimaX's own scripts make them. */
export const statisticsKinds = ["train", "climax"] as const;
export type StatisticsKind = (typeof statisticsKinds)[number];

const finite = z.number();

/** JSON has no infinity, which is the range of nothing. */
export const rangeFields = {
  min: z
    .number()
    .nullable()
    .transform((min) => min ?? Infinity),
  max: z
    .number()
    .nullable()
    .transform((max) => max ?? -Infinity),
};

/** Moments as statistics.ts has them. */
export const momentsSchema = z.strictObject({
  count: z.int().nonnegative(),
  mean: finite,
  squares: z.number().nonnegative(),
  ...rangeFields,
  missing: z.int().nonnegative(),
});
export const yearSchema = z.strictObject({ year: z.int(), moments: momentsSchema });

const shardSchema = z.strictObject({
  /** [T, V, H, W] of the set's dtype, V the variables that vary in time, in the manifest's order. */
  file: z.string().regex(/^(train|val|test)\/-?\d+(_\d+)?\.npy$/, "must be SPLIT/YEAR.npy"),
  steps: z.int().positive(),
  firstTime: z.string(),
  /** Float64 [T], seconds since 1970-01-01 in the set's calendar. */
  times: z.string().regex(/^(train|val|test)\/-?\d+(_\d+)?\.time\.npy$/, "must be SPLIT/YEAR.time.npy"),
  /**
   * Of the last shard of each year of train: what statistics and mean state of the whole are made of, so that a longer
   * train period needs only the new states.
   */
  sums: z
    .strictObject({
      /** Float64 [2, V, H, W]: sums of the year's values, cell by cell, and how many. */
      file: z.string().regex(/^train\/-?\d+(_\d+)?\.sums\.npy$/, "must be train/YEAR.sums.npy"),
      /** By variable, over the year. */
      moments: z.record(z.string(), momentsSchema),
      /** The same by calendar year without the 366th day: what "climax" is made of. */
      years: z.record(z.string(), z.array(yearSchema)).optional(),
    })
    .optional(),
});
const splitSchema = z.strictObject({
  /** First and last state of the split. */
  start: z.string(),
  end: z.string(),
  steps: z.int().positive(),
  shards: z.array(shardSchema).min(1),
});

const provenanceSchema = z.strictObject({
  command: z.string(),
  version: z.string(),
  created: z.string(),
  files: z.array(z.string()),
  /** By which a job of an array knows that what it was to make is there. */
  recipe: z.string().optional(),
});

/** DIR/set.json. */
export const manifestSchema = z.strictObject({
  format: z.literal("climax-set"),
  version: z.literal(1),
  variables: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        units: z.string(),
        constant: z.boolean(),
        /** Of rain: over which time the numbers are sums or means. */
        meaning: z.string().optional(),
      }),
    )
    .min(1),
  dtype: z.enum(dtypes).default("float32"),
  /** Of float16: value = stored * scale + offset, by the variables that vary in time, in their order. */
  packing: z.strictObject({ scale: z.array(z.number().positive()), offset: z.array(finite) }).optional(),
  grid: z.strictObject({ lat: z.array(finite).min(1), lon: z.array(finite).min(1) }),
  calendar: z.enum(["standard", "proleptic_gregorian", "julian", "noleap", "all_leap", "360_day"]),
  /** The usual step, hours; 0 when there is only one state. */
  stepHours: z.number().nonnegative(),
  splits: z.strictObject({
    train: splitSchema,
    val: splitSchema.optional(),
    test: splitSchema.optional(),
  }),
  /** Over all cells and steps of `train`, without area weights; std is 1 for a field that does not vary. */
  mean: z.record(z.string(), finite),
  std: z.record(z.string(), z.number().positive()),
  /** What mean and std are made of: those of the years of train, put together in their order. */
  statistics: z
    .strictObject({
      kind: z.enum(statisticsKinds),
      moments: z.record(z.string(), momentsSchema),
      /** By calendar year, without the 366th day: what "climax" is made of. */
      years: z.record(z.string(), z.array(yearSchema)).optional(),
    })
    .optional(),
  /**
   * BASE.npy is the mean over train, float32 [V, H, W]; BASE/weekly/NAME.npy is [52, H, W], BASE/dayofyear/NAME.npy
   * [days, times of day, H, W].
   */
  climatology: z
    .strictObject({
      base: z.string().regex(/^climatology(_\d+)?$/, "must be climatology or climatology_N"),
      /** Of sets made before sums were kept by year: BASE/sum.npy and BASE/count.npy (float64, uint32) are of all of train. */
      sums: z.boolean(),
      weekly: z.boolean().optional(),
      /** The times of day that there are, minutes. */
      dayofyear: z.strictObject({ minutes: z.array(z.int().min(0).max(1439)).min(1) }).optional(),
    })
    .default({ base: "climatology", sums: false }),
  /** What replaced missing values, and the number by variable where it is the mean. */
  filled: z
    .strictObject({
      by: z.union([z.literal("mean"), finite]),
      values: z.record(z.string(), finite).optional(),
    })
    .optional(),
  synthetic: z.boolean(),
  source: z.string(),
  notes: z.array(z.string()),
  provenance: provenanceSchema.extend({
    /** What was added later, oldest first. */
    appended: z.array(provenanceSchema.extend({ splits: z.record(z.string(), z.string()) })).optional(),
  }),
  /** SHA-256 by file. */
  checksums: z.record(z.string(), z.string()),
});
export type Manifest = z.output<typeof manifestSchema>;

/** Where a set is written before it takes its name. */
export function partialPath(dir: string): string {
  return `${dir.replace(/[/\\]+$/, "")}.partial`;
}

/** @throws ClimaxError (data) when set.json is missing (never written, or unfinished) or not as it should be */
export async function readManifest(dir: string): Promise<Manifest> {
  const path = join(dir, "set.json");
  if (!existsSync(path)) {
    const unfinished = existsSync(dir) ? dir : existsSync(partialPath(dir)) ? partialPath(dir) : undefined;
    if (unfinished === undefined)
      throw new ClimaxError("data", `${dir}: there is no such prepared set`, "make one with climax prepare");
    throw new ClimaxError(
      "data",
      `${unfinished}: unfinished or not a prepared set: set.json is missing`,
      "run climax prepare again, it writes set.json last",
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new ClimaxError("data", `${path} cannot be read: ${(error as Error).message}`, damagedHint, {
      cause: error,
    });
  }
  const { data, error } = manifestSchema.safeParse(json);
  if (error) {
    const { path: key, message } = error.issues[0]!;
    throw new ClimaxError("data", `${path}: ${key.join(".") || "it"} is wrong: ${message}`, damagedHint);
  }
  const dynamic = data.variables.filter(({ constant }) => !constant).length;
  const { scale, offset } = data.packing ?? {};
  if (data.dtype === "float16" && (scale?.length !== dynamic || offset?.length !== dynamic))
    throw new ClimaxError(
      "data",
      `${path}: packing has ${scale?.length ?? 0} scales and ${offset?.length ?? 0} offsets for ${dynamic} variables`,
      damagedHint,
    );
  return data;
}

/** Names of the variables that vary in time, in the order of the shards. */
export function dynamicNames({ variables }: Pick<Manifest, "variables">): string[] {
  return variables.flatMap(({ name, constant }) => (constant ? [] : [name]));
}

export const damagedHint = "the set is damaged or of another version; run climax prepare again";
