/** `climax inspect`: what is in files as ClimaX sees them, and the exact command that makes them usable. */
import { z } from "zod";
import { inspectFile } from "../data/inspect.ts";
import { inspectTogether } from "../data/inspecttogether.ts";
import { expandPaths } from "../data/paths.ts";
import { ClimaxError } from "../errors.ts";
import { inspectSet, looksLikeSet } from "../sets/inspectset.ts";
import { type Context, command } from "./command.ts";
import { type InspectReport, inspectIfWeights, reportSchema } from "./inspectcheckpoint.ts";
import { weightsText } from "./inspectcheckpointtext.ts";
import { fitsOf, fitsText } from "./inspectfit.ts";
import { filesText, fileText, setText, togetherText } from "./inspecttext.ts";
import { progress } from "./progress.ts";

const config = z.strictObject({
  paths: z.array(z.string()).describe("files, Zarr stores, URLs, prepared sets or checkpoints").default([]),
  variables: z
    .array(z.string())
    .min(1)
    .optional()
    .describe("only these, by their name in the file or to ClimaX; all by default"),
  json: z.boolean().default(false).describe("print one JSON document instead; its form: --schema"),
  schema: z.boolean().default(false).describe("print the JSON Schema of --json, and look at no file"),
  checksums: z
    .boolean()
    .default(false)
    .describe("of a prepared set, read every file again and compare its SHA-256 with set.json"),
  tensors: z.boolean().default(false).describe("of a checkpoint, list every tensor with its range"),
  allow: z
    .array(z.string())
    .default([])
    .describe("classes in a PyTorch file that may be left out unread, by their full name")
    .meta({ value: "CLASS" }),
});

export const inspectCommand = command({
  name: "inspect",
  summary: "show what is in files as ClimaX sees them, and the command that makes them usable",
  description:
    "Shows variables recognised and not, units, levels, grid, times with their gaps, missing values, and ranges against what " +
    "occurs on Earth, from a few steps of each file. Then the commands that make a training set of it. A file that " +
    "cannot be read is refused with what to do about it, and the exit code is 2. Of a checkpoint (climax's, PyTorch's, " +
    "safetensors) it shows network, variables, grid, training and SHA-256; nothing in it is ever run.",
  examples: [
    "climax inspect ta_day_MPI-ESM1-2-HR_historical_r1i1p1f1_gn_20000101-20041231.nc",
    "climax inspect era5/*.nc --variables z,t2m",
    "climax inspect era5-set --checksums",
    "climax inspect 5.625deg.ckpt --tensors",
    "climax inspect tas.nc --json | jq '.files[0].next.commands'",
  ],
  positional: { key: "paths", name: "PATH...", variadic: true },
  config,
  run: async ({ paths, variables, json, schema, checksums, tensors, allow }, context) => {
    if (schema) {
      context.print(JSON.stringify(z.toJSONSchema(reportSchema), null, 2));
      return 0;
    }
    if (paths.length === 0)
      throw new ClimaxError(
        "config",
        "no file was given; at least one is wanted",
        "name files: climax inspect era5.nc",
      );
    const report = await inspectAll(paths, { variables, checksums, allow }, context);
    if (json) context.print(JSON.stringify(report, null, 2));
    else printText(report, tensors, context);
    for (const { path, why, mend } of report.refused) {
      // Messages of files name their path already.
      context.warn(`${why.includes(path) ? "" : `${path}: `}${why}\nhint: ${mend}`);
    }
    return report.refused.length > 0 ? 2 : 0;
  },
});

async function inspectAll(
  given: readonly string[],
  { variables, checksums, allow }: Pick<z.output<typeof config>, "variables" | "checksums" | "allow">,
  { quiet }: Context,
): Promise<InspectReport> {
  const paths = await expandPaths(given);
  const report: InspectReport = {
    files: [],
    sets: [],
    checkpoints: [],
    fits: [],
    refused: [],
    together: null,
  };
  for (const path of paths) {
    try {
      const weights = looksLikeSet(path) ? undefined : await inspectIfWeights(path, { allow, quiet });
      if (weights) report.checkpoints.push(weights);
      else if (looksLikeSet(path)) report.sets.push(await readSet(path, checksums, quiet));
      else report.files.push(await inspectFile(path, { variables }));
    } catch (error) {
      if (!(error instanceof ClimaxError)) throw error;
      report.refused.push({ path, why: error.message, mend: error.hint });
    }
  }
  report.fits = fitsOf(report.checkpoints, report.files, report.sets);
  if (report.files.length > 1) {
    const used = report.files.filter((file) => file.variables.length > 0);
    if (used.length > 1)
      report.together = await inspectTogether(
        used,
        used.length === paths.length ? given : used.map(({ path }) => path),
      );
  }
  return report;
}

async function readSet(path: string, checksums: boolean, quiet: boolean) {
  if (!checksums) return inspectSet(path, false);
  let bar: ReturnType<typeof progress> | undefined;
  const megabytes = (bytes: number) => Math.round(bytes / 1e5) / 10;
  return inspectSet(path, true, (done, total) => {
    bar ??= progress({ label: "checksums, MB", total: megabytes(total), quiet });
    bar.update(megabytes(done));
  }).finally(() => bar?.stop());
}

function printText(
  { files, sets, checkpoints, fits, together }: InspectReport,
  tensors: boolean,
  context: Context,
): void {
  const parts = [
    ...(files.length === 1 ? [fileText(files[0]!)] : files.length > 1 ? [filesText(files)] : []),
    ...(together ? [togetherText(together)] : []),
    ...sets.map(setText),
    ...checkpoints.map((weights) => weightsText(weights, tensors)),
    ...(fits.length > 0 ? [fitsText(fits, checkpoints)] : []),
  ];
  if (parts.length > 0) context.print(parts.join("\n\n"));
}
