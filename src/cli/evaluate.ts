/** `climax evaluate`: scores forecast files of any system, beside persistence, climatology and published rows. */
import { z } from "zod";
import { parseLead } from "../data/leadtime.ts";
import { formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { baselineNames, chooseClimatology } from "../eval/baselines.ts";
import { bench, benches, chooseVariables } from "../eval/benches.ts";
import { type Definition, definition, definitionNames } from "../eval/definitions.ts";
import { evaluate } from "../eval/evaluate.ts";
import { dimensionless, metricNames } from "../eval/metrics.ts";
import { publishedRows } from "../eval/published.ts";
import { remarks } from "../eval/remarks.ts";
import {
  publishedBeside,
  type ReportRow,
  type ScoreDocument,
  scoreTables,
  toCsv,
  toJson,
} from "../eval/report.ts";
import { findSamples } from "../eval/samples.ts";
import { checkOutput, fileRecords, writeWhole } from "../eval/scorefile.ts";
import { type ForecastSystem, openSystems } from "../eval/systems.ts";
import { isPreparedSet, manifestOf, openTruth, type Truth } from "../eval/truth.ts";
import { describeGrid, sameGrid } from "../grid/grid.ts";
import { type Context, command } from "./command.ts";
import { progress } from "./progress.ts";
import { table } from "./table.ts";
import { version } from "./version.ts";

const config = z.strictObject({
  forecast: z
    .array(z.string())
    .default([])
    .describe("forecast files of one system or several, ours or anyone's: NetCDF with initial time and lead")
    .meta({ value: "FILE" }),
  files: z.array(z.string()).default([]).describe("more forecast files"),
  truth: z
    .array(z.string())
    .min(1)
    .describe("what happened: the folder of a prepared set, or NetCDF files")
    .meta({ value: "PATH" }),
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
    .describe("fields to score, such as geopotential_500 or t2m; those of the bench unless given")
    .meta({ value: "FIELD,..." }),
  leads: z
    .array(z.union([z.number(), z.string()]))
    .optional()
    .describe("leads to score: 24, 24h, 3d, 2w, 1mo; all of the forecasts unless given")
    .meta({ value: "LEAD,..." }),
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
    )
    .meta({ value: "WHICH" }),
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
  json: z
    .string()
    .optional()
    .describe("write the scores and where they come from to this file")
    .meta({ value: "FILE" }),
  csv: z.string().optional().describe("write the scores to this file").meta({ value: "FILE" }),
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
  for (const path of [config.json, config.csv]) if (path !== undefined) await checkOutput(path);
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
    const { variables, left } = chooseVariables(config.variables, chosen, systems, truth);
    if (left.length > 0) context.warn(`of the variables of ${chosen.name}, left out: ${left.join(", ")}`);
    const samples = findSamples({
      systems,
      truth,
      variables,
      leads: config.leads?.map(parseLead),
      baselines,
      missing: config.missing,
    });
    const chosenClimatology = await chooseClimatology(config.climatology, by, truth, samples);
    keep(chosenClimatology);
    const climatology = baselines.includes("climatology") ? chosenClimatology.baseline : undefined;
    const anomalies = config.metrics.includes("acc") ? chosenClimatology.anomalies : undefined;
    const said = remarks({ truth, systems, samples, definition: by, anomalies });
    if (baselines.includes("climatology") && !climatology) {
      said.push("no climatology baseline: the truth is no prepared set, and no --climatology was given");
    }
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
      anomalies,
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
      anomalies: anomalies?.label ?? null,
      climatology: climatology?.label ?? null,
      initial_times: [formatTime(samples.initial[0]), formatTime(samples.initial[1])],
      valid_times: [formatTime(samples.valid[0]), formatTime(samples.valid[1])],
      grid: describeGrid(truth.grid),
      synthetic,
      notes: [...truth.notes, ...notes, ...said],
      provenance: {
        command: context.commandLine,
        version: version(),
        created: new Date().toISOString(),
        // A set's own list of checksums stands for all of its files; an archive may be too large to read twice.
        files: [
          ...(await fileRecords([...paths, ...config.truth.filter(isPreparedSet).map(manifestOf)], true)),
          ...(await fileRecords(
            config.truth.filter((path) => !isPreparedSet(path)),
            false,
          )),
        ],
      },
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
    ["dates", `initial ${short(document.initial_times)}, valid ${short(document.valid_times)}`],
    ["definition", `${document.definition.name}: ${document.definition.description}`],
    ...(document.anomalies === null ? [] : [["anomalies", `from ${document.anomalies}`]]),
    ...(document.climatology === null ? [] : [["climatology", document.climatology]]),
    ...(document.synthetic
      ? [["synthetic", "SIMULATED WEATHER: these scores say nothing about the real atmosphere"]]
      : []),
  ];
  context.print(table(facts, { header: false, width }));
  for (const { title, rows, align } of scoreTables(document.rows, width)) {
    const starred = rows.some((row) => row.some((cell) => cell.endsWith("*")));
    const head = `${title} (definition ${document.definition.name}${starred ? "; * best measured" : ""})`;
    context.print(`\n${head}\n${table(rows, { align, width })}`);
  }
  for (const source of new Set(
    document.rows.map((row) => row.source).filter((text) => text !== "measured"),
  )) {
    context.print(`\n${source}`);
  }
}

/** Minutes are enough for the eye. */
const short = (times: readonly string[]) => times.map((time) => time.slice(0, -3)).join(" to ");
