/** climax prepare: regridded files in, a training set out, split by date, with statistics and climatology. */
import { z } from "zod";
import { openArchive } from "../data/archive.ts";
import { describeStep, type Manifest, splitNames } from "../data/manifest.ts";
import { bytesText, type PrepareResult, prepare } from "../data/prepare.ts";
import { describeGrid, makeGrid } from "../grid/grid.ts";
import { command } from "./command.ts";
import { interruptible } from "./interrupt.ts";
import { version } from "./main.ts";
import { duration, progress } from "./progress.ts";
import { table } from "./table.ts";

const period = (what: string) => z.string().min(1).describe(what);

export const prepareCommand = command({
  name: "prepare",
  summary: "turn regridded files into a training set: splits, statistics, climatology",
  description:
    "Turns files on one grid into a training set. States are divided into train, val and test by date; " +
    "mean and standard deviation of each variable, and the climatology, are those of the whole train period " +
    "(every cell with equal weight, as ClimaX computes them). Shards are plain float32 .npy files, [time, variable, " +
    'latitude, longitude] in physical units: np.load("DIR/train/1979.npy", mmap_mode="r") opens one. They hold a ' +
    "year each, and all of the split where states are means of months or years. A folder without set.json is unfinished.",
  examples: [
    "climax prepare era5/*.nc --train 1979..2015 --val 2016 --test 2017..2018 -o era5-set",
    "climax prepare t.nc --train 2001-01-01..2001-01-08 --val 2001-01-09T00..2001-01-10 -o t-set",
    "climax prepare cmip/*.nc --train 1850..2010 --variables geopotential,temperature_850,tas --nan-fill mean -o set",
  ],
  positional: { key: "input", name: "IN...", variadic: true },
  config: z.strictObject({
    input: z
      .array(z.string())
      .min(1)
      .describe(
        "files on one grid; times and variables are joined. What drives the climate may also come as text, a number for " +
          'the globe for each year: "year,CO2 (Gt)" and rows below it',
      ),
    output: z.string().min(1).describe("folder to make").meta({ short: "o" }),
    train: period("dates to train on, both ends included: 1979..2015, 1979-01..2015-06, 2016"),
    val: period("dates to validate on").optional(),
    test: period("dates to test on").optional(),
    variables: z
      .array(z.string())
      .min(1)
      .optional()
      .describe(
        "what to store, e.g. geopotential_500,t2m; a pressure-level variable without a level means all its levels; " +
          "lattitude [sic] is made from the grid; default: all that the files have",
      ),
    nanFill: z
      .union([z.string(), z.number()])
      .transform((value, { addIssue }) => {
        const number = Number(value);
        if (value === "mean" || (value !== "" && Number.isFinite(number)))
          return value === "mean" ? value : number;
        addIssue({ code: "custom", message: `"${value}" is neither mean nor a number` });
        return z.NEVER;
      })
      .optional()
      .describe(
        "what replaces missing values: mean (of the variable over train) or a number; default: refuse them",
      ),
    force: z.boolean().default(false).describe("replace a set that is there already"),
  }),

  async run({ input, output, train, val, test, variables, nanFill, force }, context) {
    const started = performance.now();
    const archive = await openArchive(input, variables ? { variables } : {});
    try {
      for (const { name, reason } of archive.unrecognised) context.info(`not used: ${name}: ${reason}`);
      const result = await interruptible(async (signal) => {
        let bar: ReturnType<typeof progress> | undefined;
        try {
          return await prepare(archive, output, {
            train,
            val,
            test,
            variables,
            nanFill,
            force,
            provenance: { command: context.commandLine, version: version(), files: input },
            signal,
            onStep: (done, total) => {
              bar ??= progress({ label: "prepare", total, quiet: context.quiet });
              bar.update(done);
            },
          });
        } finally {
          bar?.stop();
        }
      });
      context.print(summary(output, result));
      for (const note of result.manifest.notes) context.print(`note: ${note}`);
      context.info(`${output} done in ${duration((performance.now() - started) / 1000)}`);
    } finally {
      await archive.close();
    }
  },
});

function summary(dir: string, { manifest, bytes }: PrepareResult): string {
  const { grid, splits, calendar, synthetic } = manifest;
  const periods = splitNames.flatMap((name) => {
    const split = splits[name];
    return split ? [[name, split.start, split.end, String(split.steps), String(split.shards.length)]] : [];
  });
  return [
    `${dir}: ${manifest.variables.length} variable${manifest.variables.length === 1 ? "" : "s"} on ${describeGrid(makeGrid(grid.lat, grid.lon))}, ` +
      `${describeStep(manifest)}, ${calendar} calendar, ${bytesText(bytes)}${synthetic ? ", SYNTHETIC" : ""}`,
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
