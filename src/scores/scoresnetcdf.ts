/** Scores, differences, curves and maps of a run as one NetCDF file, for xarray. */
import {
  createNetcdf,
  type NetcdfContents,
  type WrittenText,
  type WrittenVariable,
} from "../files/netcdf4writer.ts";
import { type Axes, type Axis, axesOf, axisOf, Table } from "./scoreaxes.ts";
import type { DifferenceRow, Profile, ReportRow, ScoreDocument, ScoreMap, Scores } from "./scoredocument.ts";

/** The contents of the file as they come together. */
interface Draft extends NetcdfContents {
  readonly variables: WrittenVariable[];
  readonly texts: WrittenText[];
}

const scoreAxes = ["system", "metric", "variable", "lead_time", "region", "season"] as const;
const missing = { samples: -1, better: -128 } as const;

/**
 * Writes what was measured; published rows are in the JSON. Where there is no score, there is NaN.
 *
 *   value, low, high, samples      [system, metric, variable, lead_time, region, season]
 *   difference and its limits, p   [system, versus, metric, variable, lead_time, region, season]
 *   spectrum, rank_histogram       [system, variable, lead_time, region, zonal_wavenumber or rank]
 *   rmse_map, bias_map             [system, variable, lead_time, latitude, longitude]
 *
 * Names are coordinates: `xarray.open_dataset(path).value.sel(system="ours", metric="rmse")`.
 *
 * @throws ClimaxError "data" if the file cannot be written; nothing is left behind
 */
export async function writeScoresNetcdf(path: string, { document, maps }: Scores): Promise<void> {
  const rows = document.rows.filter(({ source }) => source === "measured");
  const axes = axesOf(document, rows, maps);
  const contents: Draft = {
    dimensions: {},
    attributes: attributesOf(document),
    variables: [],
    texts: [...axes.values()].flatMap(({ name, values }) =>
      typeof values[0] === "string" ? [{ name, dimensions: [name], text: values as string[] }] : [],
    ),
  };
  for (const axis of axes.values()) {
    contents.dimensions[axis.name] = axis.values.length;
    if (typeof axis.values[0] === "number") contents.variables.push(coordinate(axis));
  }
  if (rows.length > 0) addRows(contents, axes, rows);
  if (document.differences.length > 0) addDifferences(contents, axes, document.differences);
  for (const metric of unique(document.profiles.map((profile) => profile.metric))) {
    addProfiles(
      contents,
      axes,
      document.profiles.filter((profile) => profile.metric === metric),
    );
  }
  if (maps.length > 0) addMaps(contents, axes, maps);
  const members = new Map<string | number, number>(
    document.systems.map(({ name, members }) => [name, members]),
  );
  const systems = axes.get("system")?.values;
  if (systems) {
    contents.variables.push({
      name: "members",
      dimensions: ["system"],
      dtype: "int32",
      attributes: { long_name: "members of the ensemble" },
      data: systems.map((system) => members.get(system) ?? 1),
    });
  }
  const file = await createNetcdf(path, contents);
  for (const map of maps) {
    const place = [map.system, map.variable, map.lead_hours].map((value, i) =>
      axes.get(mapAxes[i]!)!.at(value),
    );
    await file.write(`${map.what}_map`, [...place, 0, 0], map.values);
  }
  await file.close();
}

const mapAxes = ["system", "variable", "lead_time"] as const;

const coordinateAttributes: Readonly<Record<string, Record<string, string>>> = {
  lead_time: { standard_name: "forecast_period", units: "hours" },
  latitude: { standard_name: "latitude", units: "degrees_north" },
  longitude: { standard_name: "longitude", units: "degrees_east" },
};

function coordinate({ name, values }: Axis): WrittenVariable {
  const attributes = coordinateAttributes[name] ?? { units: "1" };
  return { name, dimensions: [name], dtype: "float64", attributes, data: values as readonly number[] };
}

const placeOf = (row: ReportRow | DifferenceRow) => [
  row.metric,
  row.variable,
  row.lead_hours,
  row.region,
  row.season,
];

function addRows(contents: Draft, axes: Axes, rows: readonly ReportRow[]) {
  const words = {
    value: "score, in the units of score_units",
    low: "lower confidence limit",
    high: "upper confidence limit",
  } as const;
  for (const key of ["value", "low", "high"] as const) {
    const table = new Table(axes, scoreAxes, Number.NaN);
    for (const row of rows) table.set([row.system, ...placeOf(row)], row[key] ?? Number.NaN);
    contents.variables.push(table.variable(key, "float64", { long_name: words[key] }));
  }
  const samples = new Table(axes, scoreAxes, missing.samples);
  for (const row of rows) samples.set([row.system, ...placeOf(row)], row.samples ?? missing.samples);
  const counted = { long_name: "forecasts that entered", _FillValue: missing.samples };
  contents.variables.push(samples.variable("samples", "int32", counted));
  const metrics = axes.get("metric")!.values;
  const variables = axes.get("variable")!.values;
  const units = new Map(rows.map((row) => [`${row.metric}\n${row.variable}`, row.units]));
  contents.texts.push({
    name: "score_units",
    dimensions: ["metric", "variable"],
    text: metrics.flatMap((metric) => variables.map((variable) => units.get(`${metric}\n${variable}`) ?? "")),
  });
}

function addDifferences(contents: Draft, axes: Axes, differences: readonly DifferenceRow[]) {
  const names = ["system", "versus", ...scoreAxes.slice(1)];
  const place = (row: DifferenceRow) => [row.system, row.versus, ...placeOf(row)];
  const words = {
    difference: "score of system minus score of versus on the same forecasts, in the units of score_units",
    low: "lower confidence limit of the difference",
    high: "upper confidence limit of the difference",
    p: "two-sided p of no difference",
  } as const;
  for (const key of ["difference", "low", "high", "p"] as const) {
    const table = new Table(axes, names, Number.NaN);
    for (const row of differences) table.set(place(row), row[key] ?? Number.NaN);
    const name = key === "difference" ? key : `difference_${key}`;
    contents.variables.push(table.variable(name, "float64", { long_name: words[key] }));
  }
  const codes = { versus: -1, tie: 0, system: 1 } as const;
  const better = new Table(axes, names, missing.better);
  for (const row of differences) {
    better.set(place(row), row.better === null ? missing.better : codes[row.better]);
  }
  contents.variables.push(
    better.variable("better", "int8", {
      long_name: "which of the two is better by more than chance",
      flag_values: [-1, 0, 1],
      flag_meanings: "versus tie system",
      _FillValue: missing.better,
    }),
  );
}

/** Curves of one metric. */
function addProfiles(contents: Draft, axes: Axes, profiles: readonly Profile[]) {
  const [{ metric }] = profiles as [Profile];
  const axis = axisOf(profiles[0]!);
  for (const key of ["values", "truth"] as const) {
    const table = new Table(axes, ["system", "variable", "lead_time", "region", axis], Number.NaN);
    for (const profile of profiles) {
      for (const [i, x] of profile.axis.values.entries()) {
        const place = [profile.system, profile.variable, profile.lead_hours, profile.region, x];
        table.set(place, profile[key][i] ?? Number.NaN);
      }
    }
    const name = key === "values" ? metric : `${metric}_truth`;
    const words = `${metric} of the ${key === "values" ? "forecasts" : "truth"}, in the units of ${metric}_units`;
    contents.variables.push(table.variable(name, "float64", { long_name: words }));
  }
  contents.texts.push(unitsBy(`${metric}_units`, axes, profiles));
}

const unitsBy = (name: string, axes: Axes, from: readonly { variable: string; units: string }[]) => {
  const units = new Map(from.map((one) => [one.variable, one.units]));
  const text = axes.get("variable")!.values.map((variable) => units.get(variable as string) ?? "");
  return { name, dimensions: ["variable"], text };
};

function addMaps(contents: Draft, axes: Axes, maps: readonly ScoreMap[]) {
  const words = { rmse: "root of the mean squared error", bias: "mean error, forecast minus truth" };
  for (const what of unique(maps.map((map) => map.what))) {
    contents.variables.push({
      name: `${what}_map`,
      dimensions: [...mapAxes, "latitude", "longitude"],
      dtype: "float32",
      attributes: { long_name: `${words[what]} at each point, in the units of map_units` },
    });
  }
  contents.texts.push(unitsBy("map_units", axes, maps));
}

function attributesOf(document: ScoreDocument): Record<string, string | number> {
  const { definition, intervals, provenance } = document;
  const known: Record<string, string | number | null | undefined> = {
    Conventions: "CF-1.11",
    title: `Scores of ${document.bench} by the definition ${definition.name}`,
    bench: document.bench,
    definition: definition.name,
    definition_description: definition.description,
    definition_source: definition.source,
    anomalies: document.anomalies,
    climatology: document.climatology,
    average_hours: document.average_hours,
    initial_times: document.initial_times.join(" to "),
    valid_times: document.valid_times.join(" to "),
    grid: document.grid,
    systems: document.systems.map(({ name, files }) => [name, ...files].join(" ")).join("\n"),
    truth: document.truth.join("\n"),
    versus: document.versus,
    intervals: intervals?.method,
    confidence_level: intervals?.level,
    seed: intervals?.seed,
    synthetic: document.synthetic
      ? "simulated weather: these scores say nothing of the real atmosphere"
      : null,
    notes: document.notes.join("\n"),
    source: `climax ${provenance.version}`,
    history: `${provenance.created}: ${provenance.command}`,
    machine: provenance.machine,
    files: provenance.files
      .map(({ path, bytes, sha256 }) => [path, bytes, sha256 && `sha256:${sha256}`].filter(Boolean).join(" "))
      .join("\n"),
  };
  const given = Object.entries(known).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return Object.fromEntries(given) as Record<string, string | number>;
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
