// Forecasts from many initial times, streamed to one CF file: memory does not grow with their number.
import { createNetcdf } from "../data/netcdf4writer.ts";
import { addHours, type CfTime, encodeTimes } from "../data/time.ts";
import { parseName } from "../data/variables.ts";
import { type Grid, latitudeEdges, longitudeEdges } from "../grid/grid.ts";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import { checkField, type Missing } from "./inputs.ts";
import type { Predictor } from "./predictor.ts";
import type { States } from "./states.ts";

export interface ForecastJob {
  readonly predictor: Predictor;
  readonly states: States;
  /** Steps of `states` to start from, ascending. */
  readonly steps: readonly number[];
  /** Hours, ascending. */
  readonly leads: readonly number[];
  /** Variables that enter; those that `states` lacks enter as their mean. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly missing: Missing;
  /** States that go through the network at once. */
  readonly batchSize: number;
  readonly output: string;
  /** Global attributes beside the usual ones: where it comes from. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Forecasts every lead from every initial time and writes them as `name(time, prediction_timedelta, latitude,
 * longitude)`. The file appears whole or not at all.
 *
 * @throws ClimaxError for missing values, or a place that cannot be written
 */
export async function forecast(job: ForecastJob): Promise<void> {
  const { predictor, states, steps, leads, outputs, signal } = job;
  const { grid } = states;
  const [H, W] = [grid.lat.length, grid.lon.length];
  const pairs = steps.flatMap((step, t) => leads.map((lead, l) => ({ step, t, lead, l })));
  const writer = await createNetcdf(job.output, contents(job));
  try {
    let held: { step: number; fields: Float32Array } | undefined;
    for (let first = 0; first < pairs.length; first += job.batchSize) {
      signal.throwIfAborted();
      const chunk = pairs.slice(first, first + job.batchSize);
      const fields = new Float32Array(chunk.length * job.inputs.length * H * W);
      for (const [b, { step }] of chunk.entries()) {
        if (held?.step !== step) held = { step, fields: await readState(job, step) };
        fields.set(held.fields, b * held.fields.length);
      }
      const leadHours = chunk.map(({ lead }) => lead);
      const pred = await predictor.predict({ variables: job.inputs, fields, leadHours }, outputs);
      for (const [b, { t, l }] of chunk.entries()) {
        for (const [v, name] of outputs.entries()) {
          const start = (b * outputs.length + v) * H * W;
          await writer.write(name, [t, l, 0, 0], pred.subarray(start, start + H * W), [1, 1, H, W]);
        }
      }
      job.onProgress?.(first + chunk.length, pairs.length);
    }
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** One state, [V, H, W], with means where variables or cells are missing and that is allowed. */
async function readState(
  { predictor, states, inputs, missing }: ForecastJob,
  step: number,
): Promise<Float32Array> {
  const cells = states.grid.lat.length * states.grid.lon.length;
  const fields = new Float32Array(inputs.length * cells);
  const means = new Map(predictor.info.variables.map(({ name, mean }) => [name, mean]));
  for (const [v, name] of inputs.entries()) {
    const mean = means.get(name)!;
    if (!states.variables.includes(name)) {
      fields.fill(mean, v * cells, (v + 1) * cells);
      continue;
    }
    const field = await states.read(step, name);
    checkField(field, { name, mean, time: states.times[step]!, from: states.name, missing });
    fields.set(field, v * cells);
  }
  return fields;
}

const DIMENSIONS = ["time", "prediction_timedelta", "latitude", "longitude"];

function contents({ predictor, states, steps, leads, outputs, attributes }: ForecastJob) {
  const { grid } = states;
  const initial = steps.map((step) => states.times[step]!);
  const calendar = initial[0]!.calendar;
  const units = "hours since 1970-01-01 00:00:00";
  const valid = initial.flatMap((time) => leads.map((lead) => addHours(time, lead)));
  const hours = (times: CfTime[]): Float64Array => encodeTimes(times, units);
  return {
    dimensions: {
      time: initial.length,
      prediction_timedelta: leads.length,
      latitude: grid.lat.length,
      longitude: grid.lon.length,
      bnds: 2,
    },
    attributes,
    variables: [
      {
        name: "time",
        dimensions: ["time"],
        dtype: "float64" as const,
        attributes: { standard_name: "forecast_reference_time", long_name: "initial time", units, calendar },
        data: hours(initial),
      },
      {
        name: "prediction_timedelta",
        dimensions: ["prediction_timedelta"],
        dtype: "float64" as const,
        attributes: { standard_name: "forecast_period", long_name: "lead time", units: "hours" },
        data: leads,
      },
      {
        name: "valid_time",
        dimensions: ["time", "prediction_timedelta"],
        dtype: "float64" as const,
        attributes: { standard_name: "time", long_name: "time the forecast is for", units, calendar },
        data: hours(valid),
      },
      ...horizontal("latitude", "degrees_north", grid.lat, latitudeBounds(grid)),
      ...horizontal("longitude", "degrees_east", grid.lon, longitudeEdges(grid)),
      ...outputs.map((name) => ({
        name,
        dimensions: DIMENSIONS,
        dtype: "float32" as const,
        attributes: { ...fieldAttributes(name, predictor.info), coordinates: "valid_time" },
        chunk: [1, 1, grid.lat.length, grid.lon.length],
      })),
    ],
  };
}

function horizontal(
  name: "latitude" | "longitude",
  units: string,
  centres: Float64Array,
  /** [n, 2] */
  bounds: ArrayLike<number>,
) {
  return [
    {
      name,
      dimensions: [name],
      dtype: "float64" as const,
      attributes: { standard_name: name, long_name: name, units, bounds: `${name}_bnds` },
      data: centres,
    },
    {
      name: `${name}_bnds`,
      dimensions: [name, "bnds"],
      dtype: "float64" as const,
      data: bounds,
    },
  ];
}

/** South and north edge of each row, [H, 2], degrees. */
function latitudeBounds(grid: Grid): number[] {
  const edges = latitudeEdges(grid);
  return [...grid.lat.keys()].flatMap((i) => [edges[i]!, edges[i + 1]!]);
}

function fieldAttributes(name: string, info: CheckpointInfo): Record<string, string | Float64Array> {
  const { info: variable, level } = parseName(name);
  const { units } = info.variables.find((other) => other.name === name)!;
  const standard = variable.cfStandardNames[0];
  return {
    long_name: `${variable.name.replaceAll("_", " ")}${level === undefined ? "" : ` at ${level} hPa`}`,
    ...(standard ? { standard_name: standard } : {}),
    units,
    ...(level === undefined ? {} : { pressure_level_hPa: Float64Array.of(level) }),
  };
}
