/** climax prepare: regridded files in, a training set out, split by date, with statistics and climatology. */

import { z } from "zod";
import { openArchive } from "../data/archive.ts";
import { expandPaths } from "../data/paths.ts";
import { ClimaxError } from "../errors.ts";
import { seasonalKinds } from "../sets/climatology.ts";
import type { Crew } from "../sets/crew.ts";
import type { Outcome, Stage, Unfinished, WriteOptions } from "../sets/growset.ts";
import { dtypes, dynamicNames, readManifest, statisticsKinds } from "../sets/manifest.ts";
import { rainNames } from "../sets/precipitation.ts";
import { prepareTogether } from "../sets/prepare.ts";
import { appendTogether } from "../sets/prepareappend.ts";
import { command } from "./command.ts";
import { waitForFiles } from "./handover.ts";
import { interruptible } from "./interrupt.ts";
import { version } from "./main.ts";
import { summary } from "./preparesummary.ts";
import { duration, type Progress, progress } from "./progress.ts";
import { inRanks, mpiField, type RanksAtWork } from "./ranks.ts";

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
  shard: z
    .string()
    .optional()
    .describe(
      "make every N-th file of the set only, from the I-th on: for job arrays; the last job to end finishes the set, and so " +
        "does the same command without --shard; ranks of mpirun or srun share the work by themselves",
    )
    .meta({ value: "I/N" }),
  mpi: mpiField,
  force: z
    .boolean()
    .default(false)
    .describe(
      "replace a set that is there already, and an unfinished one that was begun otherwise; with --shard not for jobs that " +
        "come again when the set is finished, which would begin it anew",
    ),
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
    "Stopped or killed at any moment, the same command goes on from the whole shards in DIR.partial. Ranks of mpirun or " +
    "srun, and the jobs of an array (--shard), share the work; the set is that of one process, byte for byte.",
  examples: [
    "climax prepare era5/*.nc --train 1979..2015 --val 2016 --test 2017..2018 -o era5-set",
    "climax prepare era5/*.nc --train 1979..2015 --dtype float16 --climatology weekly,dayofyear -o era5-set",
    "climax prepare 'regridded/*.nc' --train 1979..2015 --val 2016 -o era5-set --shard $SLURM_ARRAY_TASK_ID/8",
    "mpirun -n 4 climax prepare 'regridded/*.nc' --train 1979..2015 --val 2016 -o era5-set",
    "climax prepare more.nc --append --test 2019..2020 -o era5-set",
    "climax prepare cmip/*.nc --train 1850..2010 --variables geopotential,temperature_850,tas --nan-fill mean -o set",
  ],
  positional: { key: "input", name: "IN...", variadic: true },
  config,
  together: true,
  run: (given, context) => inRanks(given, context, (ranks) => run(given, ranks)),
});

async function run(given: Config, ranks: RanksAtWork): Promise<void> {
  const { output, train, val, test, nanFill, precipitation, force } = given;
  const { context } = ranks;
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
    const outcome = await working(ranks, given.append, (options) => {
      const how = { ...options, nanFill, precipitation, force };
      const provenance = { command: context.commandLine, version: version(), files: input };
      const crew = crewOf(ranks);
      if (given.append)
        return appendTogether(archive, output, { ...how, train, val, test, provenance }, crew);
      return prepareTogether(
        archive,
        output,
        {
          ...how,
          train: train!,
          val,
          test,
          variables,
          dtype: given.dtype,
          statistics: given.stats,
          climatology: given.climatology,
          provenance,
        },
        crew,
      );
    });
    if (outcome === "by another rank") return;
    if (outcome === "finished by another job") {
      context.print(`${output}: share ${given.shard} has nothing to do, the set is finished`);
      return;
    }
    if ("unfinished" in outcome) {
      context.print(unfinished(output, given.shard!, outcome.unfinished));
      return;
    }
    const { result } = outcome;
    context.print(summary(output, result));
    for (const note of result.manifest.notes) context.print(`note: ${note}`);
    context.info(`${output} done in ${duration((performance.now() - started) / 1000)}`);
  } finally {
    await archive.close();
  }
}

function crewOf({ share, world, meet }: RanksAtWork): Crew {
  if (world.size === 1) return { share };
  const all = async (files: readonly string[]): Promise<void> => {
    await meet();
    await waitForFiles(files);
  };
  return { share, meet: all };
}

const listed = 5;

/** What a job says that has done its share, and not finished the set. */
function unfinished(
  output: string,
  shard: string,
  { folder, own, files, missing, finisher }: Unfinished,
): string {
  const share = `${output}: share ${shard}, ${own} of ${files} files, is done`;
  if (finisher !== undefined) return `${share}; all are there, and ${finisher} is finishing the set`;
  const names = missing.slice(0, listed).join(", ") + (missing.length > listed ? ", ..." : "");
  return (
    `${share}; ${missing.length} ${missing.length === 1 ? "is" : "are"} missing in ${folder} (${names}): the last of the other shares finishes the set, ` +
    "or the same command without --shard does"
  );
}

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
  { context, world }: RanksAtWork,
  append: boolean,
  work: (
    options: Pick<WriteOptions, "signal" | "onStep" | "onResume" | "onWait" | "onKept">,
  ) => Promise<Outcome>,
): Promise<Outcome> {
  let shown: { stage: Stage; bar: Progress } | undefined;
  let kept: string | undefined;
  try {
    const stoppable = (signal: AbortSignal) =>
      work({
        signal,
        onWait: (text) => context.info(text),
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
      });
    return await interruptible(stoppable, undefined, { resumable: true, oneOfSeveral: world.size > 1 });
  } finally {
    shown?.bar.stop();
    if (kept !== undefined && world.rank === 0) context.warn(kept);
  }
}
