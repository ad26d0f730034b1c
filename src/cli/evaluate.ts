/** `climax evaluate`: scores forecast files of any system, beside persistence, climatology and published rows. */
import { createHash } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { z } from "zod";
import { formatTime } from "../data/time.ts";
import { parseName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import {
  baselineNames,
  type Climatology,
  evaluationClimatology,
  openClimatology,
  trainingClimatology,
} from "../eval/baselines.ts";
import { type Bench, bench, benches } from "../eval/benches.ts";
import { type Definition, definition, definitionNames } from "../eval/definitions.ts";
import { evaluate } from "../eval/evaluate.ts";
import { dimensionless, metricNames } from "../eval/metrics.ts";
import { publishedRows } from "../eval/published.ts";
import {
  publishedBeside,
  type ReportRow,
  type ScoreDocument,
  scoreTables,
  toCsv,
  toJson,
} from "../eval/report.ts";
import { findSamples, type Samples } from "../eval/samples.ts";
import { type ForecastSystem, openSystems } from "../eval/systems.ts";
import { isPreparedSet, manifestOf, openTruth, type Truth } from "../eval/truth.ts";
import { describeGrid, sameGrid } from "../grid/grid.ts";
import { type Context, command } from "./command.ts";
import { version } from "./main.ts";
import { progress } from "./progress.ts";
import { table } from "./table.ts";

const config = z.strictObject({
  forecast: z
    .array(z.string())
    .default([])
    .describe("forecast files of one system or several, ours or anyone's: NetCDF with initial time and lead"),
  files: z.array(z.string()).default([]).describe("more forecast files"),
  truth: z.array(z.string()).min(1).describe("what happened: the folder of a prepared set, or NetCDF files"),
  bench: z
    .enum(benches.map(({ name }) => name))
    .default("weatherbench")
    .describe("which benchmark"),
  definition: z
    .enum([...definitionNames])
    .optional()
    .describe("whose formulas; climax unless given, since the published ClimaX rows were made with it"),
  variables: z
    .array(z.string())
    .optional()
    .describe("fields to score, such as geopotential_500 or t2m; those of the bench unless given"),
  leads: z
    .array(z.union([z.number(), z.string()]))
    .optional()
    .describe("leads to score: 24, 24h, 3d, 2w, 1mo; all of the forecasts unless given"),
  metrics: z
    .array(z.enum(metricNames))
    .min(1)
    .default([...metricNames])
    .describe("which scores"),
  baselines: z
    .array(z.enum([...baselineNames, "none"]))
    .default([...baselineNames])
    .describe("what to score beside the forecasts, at the same times"),
  climatology: z
    .string()
    .optional()
    .describe(
      "what acc takes anomalies from: evaluation (the mean of the truth over the test period, as climax and " +
        "weatherbench1 define it), train (the training mean of the set), or a prepared set or NetCDF file, which " +
        "then also is the climatology baseline",
    ),
  missing: z
    .enum(["error", "skip"])
    .default("error")
    .describe("what to do with forecasts for whose times there is no truth"),
  name: z.array(z.string()).optional().describe("name of the system, or one name for each forecast file"),
  published: z
    .boolean()
    .optional()
    .describe(
      "show published scores too; unless given, those on the same grid, and none beside synthetic weather",
    ),
  json: z.string().optional().describe("write the scores and where they come from to this file"),
  csv: z.string().optional().describe("write the scores to this file"),
});
type Config = z.output<typeof config>;

export const evaluateCommand = command({
  name: "evaluate",
  aliases: ["eval"],
  summary: "score a forecast file of any system against the truth and simple baselines",
  description:
    "Scores forecasts against what happened: latitude-weighted RMSE, MAE, bias and ACC for each variable and lead, " +
    "with persistence and climatology at exactly the same initial and valid times. No model is needed. " +
    "The definition of the scores stands in every output.",
  examples: [
    "climax evaluate --forecast forecast.nc --truth set --json scores.json --csv scores.csv",
    "climax eval --forecast a.nc,b.nc --name ours,theirs --truth era5_2018.nc --definition weatherbench2 --leads 1d,3d,5d",
  ],
  positional: { key: "files", name: "FORECAST...", variadic: true },
  config,
  run,
});

async function run(config: Config, context: Context): Promise<void> {
  const paths = [...config.forecast, ...config.files];
  if (paths.length === 0) {
    throw new ClimaxError("config", "no forecast file was given", "name one: --forecast forecast.nc");
  }
  const chosen = bench(config.bench);
  const by = definition(config.definition ?? chosen.definition);
  const baselines = baselineNames.filter((name) => config.baselines.includes(name));
  const opened: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(resource: T): T => {
    opened.push(resource);
    return resource;
  };
  try {
    const truth = keep(await openTruth(config.truth));
    const { systems, notes, close } = await openSystems(paths, config.name);
    keep({ close });
    for (const system of systems) checkGrid(system, truth);
    for (const note of [...truth.notes, ...notes]) context.info(note);
    const variables = chooseVariables(config.variables, chosen, systems, truth, context);
    const samples = findSamples({
      systems,
      truth,
      variables,
      leads: config.leads?.map(leadHours),
      baselines,
      missing: config.missing,
    });
    const { climatology, anomalies } = await chooseClimatology(config, by, truth, samples, keep);
    const needed = config.metrics.includes("acc") ? anomalies : undefined;
    const said = remarks(truth, systems, samples, by, config, needed, climatology);
    for (const text of said) context.warn(text);

    const total = samples.byVariable.reduce((sum, { samples }) => sum + samples.length, 0);
    const bar = progress({ label: "evaluate", total, quiet: context.quiet });
    const rows = await evaluate({
      systems,
      truth,
      samples,
      definition: by,
      metrics: config.metrics,
      baselines,
      climatology,
      anomalies: needed,
      onProgress: (done) => bar.update(done),
      warn: (text) => {
        said.push(text);
        bar.log(`warning: ${text}`);
      },
    }).finally(() => bar.stop());

    const synthetic = truth.synthetic || systems.some((system) => system.synthetic);
    const measured = rows.map(
      (row): ReportRow => ({
        ...row,
        units: dimensionless.has(row.metric) ? "1" : (truth.units.get(row.variable) ?? ""),
        source: "measured",
        synthetic,
      }),
    );
    const published = choosePublished(config, by, truth, synthetic, measured, context);
    const document: ScoreDocument = {
      format: "climax-scores",
      version: 1,
      bench: chosen.name,
      definition: { name: by.name, description: by.description, source: by.source },
      anomalies: needed?.label ?? null,
      climatology: baselines.includes("climatology") ? (climatology?.label ?? null) : null,
      initial_times: [formatTime(samples.initial[0]), formatTime(samples.initial[1])],
      valid_times: [formatTime(samples.valid[0]), formatTime(samples.valid[1])],
      grid: describeGrid(truth.grid),
      synthetic,
      notes: [...truth.notes, ...notes, ...said],
      provenance: await provenance(config, paths, context),
      rows: [...measured, ...published],
    };
    if (config.json !== undefined) await writeWhole(config.json, toJson(document));
    if (config.csv !== undefined) await writeWhole(config.csv, toCsv(document.rows));
    print(document, systems, truth, context);
  } finally {
    for (const resource of opened.toReversed()) await resource.close();
  }
}

function checkGrid(system: ForecastSystem, truth: Truth): void {
  if (sameGrid(system.grid, truth.grid)) return;
  throw new ClimaxError(
    "grid",
    `${system.paths[0]} is on ${describeGrid(system.grid)}, the truth ${truth.path} on ${describeGrid(truth.grid)}`,
    "put both on one grid first: climax regrid IN --res ... -o OUT",
  );
}

/** Hours of a lead as people write it: 24, "24h", "3d", "2w", "1mo" (30 days). */
export function leadHours(lead: number | string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(h|d|w|mo)?$/.exec(String(lead).trim());
  if (!match) {
    throw new ClimaxError("config", `"${lead}" is not a lead`, "write 24, 24h, 3d, 2w or 1mo");
  }
  return Number(match[1]) * { h: 1, d: 24, w: 168, mo: 720 }[(match[2] ?? "h") as "h" | "d" | "w" | "mo"];
}

/** What was asked for, or those of the bench that all systems and the truth have. */
function chooseVariables(
  asked: readonly string[] | undefined,
  { name, variables }: Bench,
  systems: readonly ForecastSystem[],
  truth: Truth,
  context: Context,
): string[] {
  const wanted = asked?.map((text) => parseName(text).name) ?? [...variables];
  const lacking = wanted.flatMap((variable) => {
    const where = systems.filter((system) => !system.units.has(variable)).map(({ name }) => name);
    if (!truth.units.has(variable)) where.push("the truth");
    return where.length > 0 ? [`${variable} (not in ${where.join(", ")})`] : [];
  });
  const left = wanted.filter((variable) => !lacking.some((text) => text.startsWith(`${variable} `)));
  if (lacking.length > 0 && (asked || left.length === 0)) {
    const shared = systems
      .map(({ units }) => [...units.keys()])
      .reduce((a, b) => a.filter((variable) => b.includes(variable)))
      .filter((variable) => truth.units.has(variable));
    throw new ClimaxError(
      "data",
      `cannot score ${lacking.join(", ")}`,
      shared.length > 0
        ? `forecast and truth share ${shared.join(", ")}: choose among these with --variables`
        : `forecast and truth share no variable; the forecast has ${[...systems[0]!.units.keys()].join(", ") || "none that is known"}`,
    );
  }
  if (lacking.length > 0) context.warn(`of the variables of ${name}, left out: ${lacking.join(", ")}`);
  return left;
}

/** The climatology that is a baseline, and the one that anomalies are taken from. */
async function chooseClimatology(
  { climatology: asked }: Config,
  by: Definition,
  truth: Truth,
  samples: Samples,
  keep: <T extends { close(): Promise<void> }>(resource: T) => T,
): Promise<{ climatology: Climatology | undefined; anomalies: Climatology | undefined }> {
  const training = trainingClimatology(truth);
  if (asked === "train") {
    if (training) return { climatology: training, anomalies: training };
    throw new ClimaxError(
      "config",
      `--climatology train wants a prepared set as the truth; ${truth.path} is none`,
      "give the set's folder as --climatology, or --climatology evaluation",
    );
  }
  if (asked !== undefined && asked !== "evaluation") {
    const own = keep(await openClimatology(asked, truth.grid));
    return { climatology: own, anomalies: own };
  }
  const { steps, what } = evaluationSteps(truth, samples);
  const evaluation = evaluationClimatology(truth, steps, what);
  const useTraining = asked === undefined && by.anomalies === "climatology" && training;
  return { climatology: training, anomalies: useTraining || evaluation };
}

/** The whole splits that are scored on; of archive files, everything from the first initial to the last valid time. */
function evaluationSteps(truth: Truth, { initial, valid, validSteps }: Samples) {
  const splits = new Set(validSteps.map((step) => truth.splitOf(step)));
  const steps = truth.times.flatMap(({ seconds }, step) => {
    const inside = splits.has(undefined)
      ? seconds >= initial[0].seconds && seconds <= valid[1].seconds
      : splits.has(truth.splitOf(step));
    return inside ? [step] : [];
  });
  const span = [steps[0]!, steps.at(-1)!].map((step) => formatTime(truth.times[step]!));
  const part = splits.has(undefined) ? "" : `the ${[...splits].join(" and ")} split, `;
  return { steps, what: `${part}${span.join(" to ")} (${steps.length} states)` };
}

/** What a reader must know beside the numbers. */
function remarks(
  truth: Truth,
  systems: readonly ForecastSystem[],
  samples: Samples,
  by: Definition,
  config: Config,
  anomalies: Climatology | undefined,
  climatology: Climatology | undefined,
): string[] {
  const said: string[] = [];
  const synthetic = [
    ...(truth.synthetic ? ["the truth"] : []),
    ...systems.filter((system) => system.synthetic).map(({ name }) => name),
  ];
  if (synthetic.length > 0) {
    said.push(
      `synthetic: ${synthetic.join(" and ")} ${synthetic.length > 1 ? "come" : "comes"} from simulated weather`,
    );
  }
  for (const name of ["train", "val"] as const) {
    const inside = samples.validSteps.filter((step) => truth.splitOf(step) === name).length;
    if (inside === 0) continue;
    said.push(`${inside} of ${samples.validSteps.length} valid times lie in the ${name} split: not held out`);
  }
  if (samples.skipped > 0) said.push(`${samples.skipped} forecast fields have no truth and were skipped`);
  if (samples.unshared > 0)
    said.push(`${samples.unshared} forecast fields are not in all systems and were left out`);
  if (config.baselines.includes("climatology") && !climatology) {
    said.push("no climatology baseline: the truth is no prepared set, and no --climatology was given");
  }
  if (by.name === "weatherbench2" && anomalies) {
    said.push(
      `WeatherBench 2 takes anomalies from a day-of-year climatology of 1990-2019; here: ${anomalies.label}`,
    );
  }
  return said;
}

function choosePublished(
  { published }: Config,
  by: Definition,
  truth: Truth,
  synthetic: boolean,
  measured: readonly ReportRow[],
  context: Context,
): ReportRow[] {
  const resolution = truth.grid.lon.length > 1 ? 360 / truth.grid.lon.length : Number.NaN;
  const rows = publishedBeside(
    measured,
    publishedRows,
    (row) =>
      published === true || (row.definition === by.name && Math.abs(row.resolution - resolution) < 1e-3),
  );
  if (published === false || rows.length === 0) return [];
  if (!synthetic) return rows;
  if (published === undefined) {
    context.info(
      "published scores are about real weather and do not compare with synthetic: see them with --published",
    );
    return [];
  }
  context.warn(
    "published scores are about real weather (ERA5, 2017-2018); they do not compare with synthetic",
  );
  return rows;
}

async function provenance(config: Config, forecasts: readonly string[], { commandLine }: Context) {
  // A set's own list of checksums stands for all of its files; an archive may be too large to read twice.
  const hashed = [...forecasts, ...config.truth.filter(isPreparedSet).map(manifestOf)];
  const files = [...hashed, ...config.truth.filter((path) => !isPreparedSet(path))];
  return {
    command: commandLine,
    version: version(),
    created: new Date().toISOString(),
    files: await Promise.all(
      files.map(async (path) => ({
        path,
        bytes: statSync(path).size,
        sha256: hashed.includes(path) ? await checksum(path) : null,
      })),
    ),
  };
}

async function checksum(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Writes beside the target and renames, so that the file is whole or not there. */
async function writeWhole(path: string, text: string): Promise<void> {
  const partial = `${path}.partial-${process.pid}`;
  try {
    await writeFile(partial, text);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw new ClimaxError(
      "data",
      `cannot write ${path}: ${(error as Error).message}`,
      "choose another path",
      {
        cause: error,
      },
    );
  }
}

function print(
  document: ScoreDocument,
  systems: readonly ForecastSystem[],
  truth: Truth,
  context: Context,
): void {
  const width = process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : 100;
  const from = systems.map(({ name, paths }) => {
    const more = paths.length > 1 ? ` and ${paths.length - 1} more` : "";
    return `${name} (${paths[0]}${more})`;
  });
  const facts = [
    ["bench", `${document.bench}, ${document.grid}`],
    ["forecasts", from.join(", ")],
    ["truth", truth.path],
    ["dates", `initial ${document.initial_times.join(" to ")}, valid ${document.valid_times.join(" to ")}`],
    ["definition", `${document.definition.name}: ${document.definition.description}`],
    ...(document.anomalies === null ? [] : [["anomalies", `from ${document.anomalies}`]]),
    ...(document.climatology === null ? [] : [["climatology", document.climatology]]),
    ...(document.synthetic
      ? [["synthetic", "SIMULATED WEATHER: these scores say nothing about the real atmosphere"]]
      : []),
  ];
  context.print(table(facts, { header: false, width }));
  for (const { title, rows, align } of scoreTables(document.rows, width)) {
    context.print(`\n${title} (${document.definition.name})\n${table(rows, { align, width })}`);
  }
  for (const source of new Set(
    document.rows.map((row) => row.source).filter((text) => text !== "measured"),
  )) {
    context.print(`\n${source}`);
  }
}
