/** climax prepare: regridded files in, a training set out, split by date, with statistics and climatology. */

import { z } from "zod";
import { openArchive } from "../data/archive.ts";
import { expandPaths } from "../data/paths.ts";
import { describeStep } from "../data/timestep.ts";
import { ClimaxError } from "../errors.ts";
import { bytesText } from "../files/bytes.ts";
import { describeGrid, makeGrid } from "../grid/grid.ts";
import { seasonalKinds } from "../sets/climatology.ts";
import {
  dtypes,
  dynamicNames,
  type Manifest,
  readManifest,
  splitNames,
  statisticsKinds,
} from "../sets/manifest.ts";
import { rainNames } from "../sets/precipitation.ts";
import { type PrepareResult, prepare, type Stage, type WriteOptions } from "../sets/prepare.ts";
import { appendToSet } from "../sets/prepareappend.ts";
import { type Context, command } from "./command.ts";
import { interruptible } from "./interrupt.ts";
import { version } from "./main.ts";
import { duration, type Progress, progress } from "./progress.ts";
import { table } from "./table.ts";

const period = (what: string) => z.string().min(1).describe(what);

const config = z.strictObject({
  input: z
    .array(z.string())
    .min(1)
    .describe(
      "files on one grid, or patterns in quotes, Zarr stores, a folder of ClimaX's npz shards; times and variables are " +
        "joined. What drives the climate may also come as text, a number for " +
        'the globe for each year: "year,CO2 (Gt)" and rows below it',
    ),
  output: z.string().min(1).describe("folder to make, or to add to").meta({ short: "o" }),
  train: period(
    "dates to train on, both ends included: 1979..2015, 1979-01..2015-06, 2016; required without --append",
  ).optional(),
  val: period("dates to validate on").optional(),
  test: period("dates to test on").optional(),
  append: z
    .boolean()
    .default(false)
    .describe("add these states to the set: same grid, variables and step, dates that it does not span"),
  variables: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      "what to store, e.g. geopotential_500,t2m; a pressure-level variable without a level means all its levels; " +
        "what the files lack is derived where it can be (humidities, winds, tisr, lattitude [sic]...); default: all that " +
        "the files have",
    ),
  dtype: z
    .enum(dtypes)
    .optional()
    .describe(
      "numbers of the shards; float16 halves the size, error 2^-11 of a value's distance from its offset",
    ),
  nanFill: z
    .union([z.string(), z.number()])
    .transform((value, { addIssue }) => {
      const number = Number(value);
      if (value === "mean" || (value !== "" && Number.isFinite(number)))
        return value === "mean" ? ("mean" as const) : number;
      addIssue({ code: "custom", message: `"${value}" is neither mean nor a number` });
      return z.NEVER;
    })
    .optional()
    .describe(
      "what replaces missing values: mean (of the variable over train) or a number; default: refuse them",
    ),
  stats: z
    .enum(statisticsKinds)
    .optional()
    .describe(
      "mean and std over the whole train period, or as ClimaX's scripts make them by mistake (upper air: last year " +
        "only), for checkpoints that were trained with those",
    ),
  climatology: z
    .array(z.enum(seasonalKinds))
    .optional()
    .describe("climatologies to store beside the mean; those that are not are made when they are needed"),
  precipitation: z
    .number()
    .positive()
    .optional()
    .describe("make total_precipitation over so many hours of the files' shorter sums or mean rate")
    .meta({ value: "HOURS" }),
  force: z
    .boolean()
    .default(false)
    .describe("replace a set that is there already, and an unfinished one that was begun otherwise"),
});
type Config = z.output<typeof config>;

export const prepareCommand = command({
  name: "prepare",
  summary: "turn regridded files into a training set: splits, statistics, climatology",
  description:
    "Turns files on one grid into a training set. States are divided into train, val and test by date; " +
    "mean and standard deviation of each variable, and the climatology, are those of the whole train period " +
    "(every cell with equal weight, as ClimaX computes them). Shards are plain .npy files, [time, variable, " +
    'latitude, longitude], float32 in physical units: np.load("DIR/train/1979.npy", mmap_mode="r") opens one. They hold a ' +
    "year each, and all of the split where states are means of months or years. A folder without set.json is unfinished. " +
    "Stopped or killed at any moment, the same command goes on from the last whole shard in DIR.partial.",
  examples: [
    "climax prepare era5/*.nc --train 1979..2015 --val 2016 --test 2017..2018 -o era5-set",
    "climax prepare era5/*.nc --train 1979..2015 --dtype float16 --climatology weekly,dayofyear -o era5-set",
    "climax prepare more.nc --append --test 2019..2020 -o era5-set",
    "climax prepare cmip/*.nc --train 1850..2010 --variables geopotential,temperature_850,tas --nan-fill mean -o set",
  ],
  positional: { key: "input", name: "IN...", variadic: true },
  config,

  async run(given, context) {
    const { output, train, val, test, nanFill, precipitation, force } = given;
    const input = await expandPaths(given.input);
    const started = performance.now();
    const variables = given.append ? await variablesOf(given) : given.variables;
    if (!given.append && train === undefined)
      throw new ClimaxError(
        "config",
        "--train is required, or --append to add to a set",
        "climax prepare --help lists the flags",
      );
    // Rain that is yet to be made is in no file.
    const rain = precipitation !== undefined && variables ? { missing: "skip" as const } : {};
    const wanted = variables && precipitation !== undefined ? [...variables, ...rainNames] : variables;
    const archive = await openArchive(input, wanted ? { variables: wanted, ...rain } : {});
    try {
      for (const { name, reason } of archive.unrecognised) context.info(`not used: ${name}: ${reason}`);
      const result = await working(context, given.append, (options) => {
        const how = { ...options, nanFill, precipitation, force };
        const provenance = { command: context.commandLine, version: version(), files: input };
        if (given.append) return appendToSet(archive, output, { ...how, train, val, test, provenance });
        return prepare(archive, output, {
          ...how,
          train: train!,
          val,
          test,
          variables,
          dtype: given.dtype,
          statistics: given.stats,
          climatology: given.climatology,
          provenance,
        });
      });
      context.print(summary(output, result));
      for (const note of result.manifest.notes) context.print(`note: ${note}`);
      context.info(`${output} done in ${duration((performance.now() - started) / 1000)}`);
    } finally {
      await archive.close();
    }
  },
});

/** What files must hold that are added to a set. @throws ClimaxError (config) for what the set has decided */
async function variablesOf({ output, train, val, test, ...given }: Config): Promise<string[]> {
  const decided = (["variables", "dtype", "stats", "climatology"] as const).filter(
    (key) => given[key] !== undefined,
  );
  if (decided.length > 0)
    throw new ClimaxError(
      "config",
      `found --append with ${decided.map((key) => `--${key}`).join(", ")}, which ${output} has decided`,
      "leave out what is not a matter of the new states",
    );
  if (train === undefined && val === undefined && test === undefined)
    throw new ClimaxError(
      "config",
      "--append adds to train, val or test, and none of them was given a period",
      "say which dates go where: --test 2019..2020",
    );
  return dynamicNames(await readManifest(output));
}

/** Runs the work with its progress shown, and says what there was and what is left when it is stopped. */
async function working(
  context: Context,
  append: boolean,
  work: (options: Pick<WriteOptions, "signal" | "onStep" | "onResume" | "onKept">) => Promise<PrepareResult>,
): Promise<PrepareResult> {
  let shown: { stage: Stage; bar: Progress } | undefined;
  let kept: string | undefined;
  try {
    return await interruptible((signal) =>
      work({
        signal,
        onResume: ({ folder, done, files }) =>
          context.info(`going on with ${folder}: ${done} of ${files} files are whole`),
        onKept: ({ folder, done, files }) => {
          kept = `${folder} keeps ${done} of ${files} ${append ? "new " : ""}files; the same command goes on from there`;
        },
        onStep: (done, total, stage) => {
          if (shown?.stage !== stage) {
            shown?.bar.stop();
            const label = stage === "states" ? "prepare" : "climatology";
            shown = { stage, bar: progress({ label, total, quiet: context.quiet }) };
          }
          shown.bar.update(done);
        },
      }),
    );
  } finally {
    shown?.bar.stop();
    if (kept !== undefined) context.warn(kept);
  }
}

function summary(dir: string, { manifest, bytes }: PrepareResult): string {
  const { grid, splits, calendar, synthetic, dtype } = manifest;
  const periods = splitNames.flatMap((name) => {
    const split = splits[name];
    return split ? [[name, split.start, split.end, String(split.steps), String(split.shards.length)]] : [];
  });
  return [
    `${dir}: ${manifest.variables.length} variable${manifest.variables.length === 1 ? "" : "s"} on ${describeGrid(makeGrid(grid.lat, grid.lon))}, ` +
      `${describeStep(manifest)}, ${calendar} calendar, ${bytesText(bytes)}${dtype === "float32" ? "" : `, ${dtype}`}${synthetic ? ", SYNTHETIC" : ""}`,
    "",
    table([["split", "first", "last", "states", "files"], ...periods], {
      align: ["left", "left", "left", "right", "right"],
    }),
    "",
    table(
      [["variable", "units", "mean", "std", ""], ...manifest.variables.map((v) => statistics(manifest, v))],
      {
        align: ["left", "left", "right", "right", "left"],
      },
    ),
  ].join("\n");
}

function statistics({ mean, std }: Manifest, variable: Manifest["variables"][number]): string[] {
  const { name, units, constant } = variable;
  return [
    name,
    units,
    mean[name]!.toPrecision(6),
    std[name]!.toPrecision(6),
    constant ? "constant" : "state",
  ];
}
