// The CF file that forecasts are written to, field by field: name(time, prediction_timedelta, latitude, longitude), and
// with members name(time, prediction_timedelta, number, latitude, longitude).

import { addHours, type CfTime, encodeTimes } from "../data/time.ts";
import { parseName } from "../data/variables.ts";
import { createNetcdf } from "../files/netcdf4writer.ts";
import { type Grid, latitudeEdges, longitudeEdges } from "../grid/grid.ts";

export interface OutputShape {
  readonly grid: Grid;
  /** Initial times; of a projection or a downscaling the times of the fields. */
  readonly initial: readonly CfTime[];
  /** Hours, ascending. */
  readonly leads: readonly number[];
  readonly members: number;
  readonly variables: readonly { readonly name: string; readonly units: string }[];
  /** The fields are means over so many hours, beginning at the lead. */
  readonly averageHours?: number | undefined;
  /** Global attributes. */
  readonly attributes: Readonly<Record<string, string>>;
}

export interface ForecastOutput {
  /** Writes one field, [H, W]. */
  write(name: string, at: { t: number; l: number; member: number }, field: Float32Array): Promise<void>;
  /** Completes the file, which then takes its name. */
  close(): Promise<void>;
  /** Leaves nothing behind. */
  abort(): Promise<void>;
}

/**
 * Starts the file; it appears whole or not at all.
 *
 * @throws ClimaxError for a place that cannot be written
 */
export async function createOutput(path: string, shape: OutputShape): Promise<ForecastOutput> {
  const writer = await createNetcdf(path, contents(shape));
  const [H, W] = [shape.grid.lat.length, shape.grid.lon.length];
  const several = shape.members > 1;
  return {
    write: (name, { t, l, member }, field) =>
      several
        ? writer.write(name, [t, l, member, 0, 0], field, [1, 1, 1, H, W])
        : writer.write(name, [t, l, 0, 0], field, [1, 1, H, W]),
    close: () => writer.close(),
    abort: () => writer.abort(),
  };
}

function contents({ grid, initial, leads, members, variables, averageHours, attributes }: OutputShape) {
  const calendar = initial[0]!.calendar;
  const units = "hours since 1970-01-01 00:00:00";
  const valid = initial.flatMap((time) => leads.map((lead) => addHours(time, lead)));
  const hours = (times: readonly CfTime[]): Float64Array => encodeTimes([...times], units);
  const several = members > 1;
  const dimensions = [
    "time",
    "prediction_timedelta",
    ...(several ? ["number"] : []),
    "latitude",
    "longitude",
  ];
  const mean = averageHours !== undefined;
  const [H, W] = [grid.lat.length, grid.lon.length];
  return {
    dimensions: {
      time: initial.length,
      prediction_timedelta: leads.length,
      ...(several ? { number: members } : {}),
      latitude: H,
      longitude: W,
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
        attributes: {
          standard_name: "forecast_period",
          long_name: mean ? "lead time of the beginning of the mean" : "lead time",
          units: "hours",
          ...(mean ? { bounds: "prediction_timedelta_bnds" } : {}),
        },
        data: leads,
      },
      ...(mean
        ? [
            {
              name: "prediction_timedelta_bnds",
              dimensions: ["prediction_timedelta", "bnds"],
              dtype: "float64" as const,
              data: leads.flatMap((lead) => [lead, lead + averageHours]),
            },
          ]
        : []),
      ...(several
        ? [
            {
              name: "number",
              dimensions: ["number"],
              dtype: "int32" as const,
              attributes: { standard_name: "realization", long_name: "member of the ensemble", units: "1" },
              data: Int32Array.from({ length: members }, (_, member) => member),
            },
          ]
        : []),
      {
        name: "valid_time",
        dimensions: ["time", "prediction_timedelta"],
        dtype: "float64" as const,
        attributes: {
          standard_name: "time",
          long_name: mean ? "beginning of the mean" : "time the forecast is for",
          units,
          calendar,
        },
        data: hours(valid),
      },
      ...horizontal("latitude", "degrees_north", grid.lat, latitudeBounds(grid)),
      ...horizontal("longitude", "degrees_east", grid.lon, longitudeEdges(grid)),
      ...variables.map((variable) => ({
        name: variable.name,
        dimensions,
        dtype: "float32" as const,
        attributes: {
          ...fieldAttributes(variable),
          ...(mean ? { cell_methods: "prediction_timedelta: mean" } : {}),
          coordinates: "valid_time",
        },
        chunk: [...dimensions.slice(2).map(() => 1), H, W],
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

function fieldAttributes({ name, units }: { name: string; units: string }) {
  const { info: variable, level } = parseName(name);
  const standard = variable.cfStandardNames[0];
  return {
    long_name: `${variable.name.replaceAll("_", " ")}${level === undefined ? "" : ` at ${level} hPa`}`,
    ...(standard ? { standard_name: standard } : {}),
    units,
    ...(level === undefined ? {} : { pressure_level_hPa: Float64Array.of(level) }),
  };
}
