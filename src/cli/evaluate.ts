/** `climax evaluate`: scores forecast files of any system, beside persistence, climatology and published rows. */
import { z } from "zod";
import { parseLead } from "../data/leadtime.ts";
import { formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { baselineNames, chooseClimatology } from "../eval/baselines.ts";
import { bench, benches, checkBench, chooseMetrics, chooseVariables } from "../eval/benches.ts";
import { definition, definitionNames } from "../eval/definitions.ts";
import { evaluate } from "../eval/evaluate.ts";
import { dimensionless, metricNames } from "../eval/metrics.ts";
import { remarks } from "../eval/remarks.ts";
import { type ReportRow, type ScoreDocument, toCsv, toJson } from "../eval/report.ts";
import { findSamples } from "../eval/samples.ts";
import { checkOutput, fileRecords, writeWhole } from "../eval/scorefile.ts";
import { checkControl, openSystems } from "../eval/systems.ts";
import { isPreparedSet, manifestOf, openTruth } from "../eval/truth.ts";
import { viewAll } from "../eval/view.ts";
import { describeGrid } from "../grid/grid.ts";
import { type Context, command } from "./command.ts";
import { choosePublished, printScores } from "./evaluatepage.ts";
import { progress } from "./progress.ts";
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
    .optional()
    .describe(
      "which scores; those of the bench unless given, and those of ensembles where there are members",
    ),
  baselines: z
    .array(z.enum([...baselineNames, "none"]))
    .optional()
    .describe(
      "what to score beside the forecasts, at the same times; persistence and climatology for weather, none for " +
        "projections and downscaling, unless given. Those of climatology are of the training period of the set",
    ),
  control: z
    .boolean()
    .default(false)
    .describe("score the first member of an ensemble too, beside the mean of all"),
  climatology: z
    .string()
    .optional()
    .describe(
      "what acc takes anomalies from: evaluation (the mean of the truth over the test period, as climax and " +
        "weatherbench1 define it), train (the training mean of the set), weekly or dayofyear (its seasonal means), or " +
        "a prepared set or NetCDF file, which then also is the climatology baseline",
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
    "with persistence and climatology at exactly the same initial and valid times; CRPS and spread of ensembles; " +
    "two-week means (--bench s2s), projections (climatebench) and downscaled fields (downscaling) by their own scores. " +
    "A regional forecast is scored on its region. No model is needed. The definition of the scores stands in every output.",
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
  const baselines = baselineNames.filter((name) => (config.baselines ?? chosen.baselines).includes(name));
  const opened: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(resource: T): T => {
    opened.push(resource);
    return resource;
  };
  try {
    const whole = keep(await openTruth(config.truth));
    const files = keep(await openSystems(paths, config.name, chosen.leadZero));
    checkBench(chosen, files.systems, baselines);
    if (config.control) checkControl(files.systems);
    for (const note of [...whole.notes, ...files.notes]) context.info(note);
    const { truth, systems, region, note } = viewAll(whole, files.systems, chosen.units);
    if (note !== undefined) context.info(note);
    const { variables, left } = chooseVariables(config.variables, chosen, systems, truth);
    if (left.length > 0) context.warn(`of the variables of ${chosen.name}, left out: ${left.join(", ")}`);
    const metrics = chooseMetrics(config.metrics, chosen, systems);
    const samples = findSamples({
      systems,
      truth,
      variables,
      leads: config.leads?.map(parseLead),
      leadZero: chosen.leadZero,
      baselines,
      missing: config.missing,
    });
    const climatology = keep(
      await chooseClimatology({
        asked: config.climatology,
        definition: by,
        truth,
        samples,
        baselines,
        units: chosen.units,
      }),
    );
    const anomalies = metrics.includes("acc") ? climatology.anomalies : undefined;
    const said = remarks({ truth, systems, samples, definition: by, anomalies, baselines });
    if (baselines.includes("climatology") && !climatology.baselines.has("climatology")) {
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
      metrics,
      baselines,
      climatologies: climatology.baselines,
      anomalies,
      control: config.control,
      region,
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
    const published = choosePublished({
      asked: config.published,
      bench: chosen,
      definition: by,
      grid: truth.grid,
      region,
      valid: samples.valid,
      synthetic,
      measured,
      context,
    });
    const labels = [...climatology.baselines.values()].map(({ label }) => label);
    const document: ScoreDocument = {
      format: "climax-scores",
      version: 1,
      bench: chosen.name,
      definition: { name: by.name, description: by.description, source: by.source },
      anomalies: anomalies?.label ?? null,
      climatology: labels.length > 0 ? labels.join("; ") : null,
      average_hours: systems[0]?.averageHours ?? null,
      initial_times: [formatTime(samples.initial[0]), formatTime(samples.initial[1])],
      valid_times: [formatTime(samples.valid[0]), formatTime(samples.valid[1])],
      grid: describeGrid(truth.grid),
      synthetic,
      notes: [...whole.notes, ...files.notes, ...(note === undefined ? [] : [note]), ...said],
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
    printScores(document, systems, truth, context);
  } finally {
    for (const resource of opened.toReversed()) await resource.close();
  }
}
