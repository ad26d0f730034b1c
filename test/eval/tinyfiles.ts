/** Tiny truth and forecast files for tests, on 2 x 2 points whose rows weigh 2/3 and 4/3. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetcdf, type WrittenVariable } from "../../src/files/netcdf4writer.ts";

export const tinyFolder = () => mkdtemp(join(tmpdir(), "climax-eval-"));

/** Adds a shift in longitude, another order of rows, units and names of one's own. */
export interface Layout {
  lat?: number[];
  lon?: number[];
  attributes?: Record<string, string>;
  /** Units and other attributes of the variables. */
  variableAttributes?: Record<string, string>;
}

const axes = (lat: number[], lon: number[]): WrittenVariable[] => [
  {
    name: "latitude",
    dimensions: ["latitude"],
    dtype: "float64",
    attributes: { standard_name: "latitude", units: "degrees_north" },
    data: lat,
  },
  {
    name: "longitude",
    dimensions: ["longitude"],
    dtype: "float64",
    attributes: { standard_name: "longitude", units: "degrees_east" },
    data: lon,
  },
];

const since = "hours since 2018-01-01";

/** States of variables at hours since 2018-01-01: [T][H * W] each. */
export async function writeTruth(
  path: string,
  hours: number[],
  states: Record<string, number[][]>,
  { lat = [-60, 0], lon = [0, 180], attributes = {}, variableAttributes = { units: "K" } }: Layout = {},
): Promise<string> {
  const file = await createNetcdf(path, {
    dimensions: { time: hours.length, latitude: lat.length, longitude: lon.length },
    attributes: { Conventions: "CF-1.11", ...attributes },
    variables: [
      {
        name: "time",
        dimensions: ["time"],
        dtype: "float64",
        attributes: { standard_name: "time", units: since, calendar: "standard" },
        data: hours,
      },
      ...axes(lat, lon),
      ...Object.entries(states).map(
        ([name, fields]): WrittenVariable => ({
          name,
          dimensions: ["time", "latitude", "longitude"],
          dtype: "float32",
          attributes: variableAttributes,
          data: fields.flat(),
        }),
      ),
    ],
  });
  await file.close();
  return path;
}

/** Forecasts [initial][lead][H * W] of variables, as climax forecast writes them. */
export function writeForecast(
  path: string,
  initialHours: number[],
  leads: number[],
  forecasts: Record<string, number[][][]>,
  layout: Layout = {},
): Promise<string> {
  const flat = Object.entries(forecasts).map(([name, fields]) => [name, fields.flat(2)] as const);
  return write(path, initialHours, leads, undefined, Object.fromEntries(flat), layout);
}

/** Forecasts [initial][lead][member][H * W] of variables. */
export function writeEnsemble(
  path: string,
  initialHours: number[],
  leads: number[],
  forecasts: Record<string, number[][][][]>,
  layout: Layout = {},
): Promise<string> {
  const flat = Object.entries(forecasts).map(([name, fields]) => [name, fields.flat(3)] as const);
  const members = Object.values(forecasts)[0]![0]![0]!.length;
  return write(path, initialHours, leads, members, Object.fromEntries(flat), layout);
}

async function write(
  path: string,
  initialHours: number[],
  leads: number[],
  members: number | undefined,
  forecasts: Record<string, number[]>,
  { lat = [-60, 0], lon = [0, 180], attributes = {}, variableAttributes = { units: "K" } }: Layout,
): Promise<string> {
  const file = await createNetcdf(path, {
    dimensions: {
      time: initialHours.length,
      prediction_timedelta: leads.length,
      ...(members === undefined ? {} : { number: members }),
      latitude: lat.length,
      longitude: lon.length,
    },
    attributes: { Conventions: "CF-1.11", ...attributes },
    variables: [
      {
        name: "time",
        dimensions: ["time"],
        dtype: "float64",
        attributes: { standard_name: "forecast_reference_time", units: since, calendar: "standard" },
        data: initialHours,
      },
      {
        name: "prediction_timedelta",
        dimensions: ["prediction_timedelta"],
        dtype: "float64",
        attributes: { standard_name: "forecast_period", units: "hours" },
        data: leads,
      },
      ...axes(lat, lon),
      ...Object.entries(forecasts).map(
        ([name, fields]): WrittenVariable => ({
          name,
          dimensions: [
            "time",
            "prediction_timedelta",
            ...(members === undefined ? [] : ["number"]),
            "latitude",
            "longitude",
          ],
          dtype: "float32",
          attributes: variableAttributes,
          data: fields,
        }),
      ),
    ],
  });
  await file.close();
  return path;
}
