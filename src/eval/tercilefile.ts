/** Tercile edges in a file, as the S2S AI challenge distributes them. */
import {
  type Coordinates,
  coordinateKind,
  findCoordinates,
  horizontalOf,
  timesOf,
} from "../data/coordinates.ts";
import { openDataset } from "../data/open.ts";
import { recognise, text } from "../data/recognise.ts";
import { slabCache, stepReader } from "../data/stepreader.ts";
import { type CfTime, formatTime, timeParts } from "../data/time.ts";
import { parseUnit, unitsConverter } from "../data/units.ts";
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "../files/dataset.ts";
import type { Aligned } from "./align.ts";
import { atIndex } from "./datedfields.ts";
import type { OpenTerciles } from "./terciles.ts";
import type { TercileFields, Terciles } from "./usual.ts";

/** Hours of the means and sums that the challenge is about. */
const twoWeeks = 336;

const edgeNames = /^(category_edges?|edges?|quantiles?)$/i;

/**
 * Opens a file whose variables have the dimensions, in any order, category_edge (lower, upper), latitude, longitude,
 * perhaps lead_time, and one of `week` (of the year, of the initial time: in weeks of seven days from 1 January of a
 * leap year, so that the 53 Thursdays of 2020 are 1 to 53), `weekofyear` (ISO) and `forecast_time`. The challenge's
 * precipitation is the sum of two weeks: it serves mean_total_precipitation_rate.
 *
 * @param units       of the truth, as scored
 * @throws ClimaxError "data" for a file without such a variable, or without the week of a forecast
 */
export async function openTercileFile(
  path: string,
  units: ReadonlyMap<string, string>,
  averageHours: number | undefined,
  alignmentOf: Aligned["alignmentOf"],
): Promise<OpenTerciles> {
  const dataset = await openDataset(path);
  try {
    const coordinates = findCoordinates(dataset);
    const found = new Map<string, DatasetVariable>();
    for (const variable of dataset.variables.values()) {
      if (!variable.dimensions.some((name) => edgeNames.test(name)) || variable.dimensions.length < 3)
        continue;
      const { name, attributes } = variable;
      const recognised = recognise({ name, attributes, onPressure: false });
      if (!("reason" in recognised)) found.set(recognised.info.name, variable);
    }
    const first = found.values().next().value;
    if (!first) {
      throw new ClimaxError(
        "data",
        `${path} holds no tercile edges; wanted a variable such as t2m(category_edge, lead_time, week, latitude, longitude)`,
        `name the dimension of lower and upper edge so: ncrename -d OLD,category_edge ${path}; it has ` +
          [...dataset.dimensions.keys()].join(", "),
      );
    }
    const { grid } = await horizontalOf(coordinates, first);
    const alignment = alignmentOf(grid, `the terciles ${path}`);
    const notes = alignment.note ? [alignment.note] : [];
    const terciles: Terciles = {
      label: `the tercile edges of ${path}`,
      async field(variable, leadHours) {
        const one = found.get(variable);
        const sums =
          variable === "mean_total_precipitation_rate" ? found.get("total_precipitation") : undefined;
        const source = one ?? sums;
        if (!source || !units.has(variable)) return undefined;
        if (!one && averageHours !== twoWeeks) return undefined;
        const rate = one ? 1 : 1000 / (twoWeeks * 3600); // m in two weeks to kg m-2 s-1
        const read = await edgeReader(dataset, coordinates, source, leadHours);
        if (!read) return undefined;
        const converted = (field: Float32Array) =>
          alignment.apply(variable, rate === 1 ? field : field.map((x) => x * rate));
        const made = new Map<string, Promise<TercileFields>>();
        return (initial) => {
          const { key, edges } = read(initial);
          let fields = made.get(key);
          if (!fields) made.set(key, (fields = edges().then(([a, b]) => [converted(a), converted(b)])));
          return fields;
        };
      },
    };
    return { terciles, notes, close: () => dataset.close() };
  } catch (error) {
    await dataset.close();
    throw error;
  }
}

type EdgeReader = (initial: CfTime) => {
  readonly key: string;
  edges(): Promise<[lower: Float32Array, upper: Float32Array]>;
};

/** Edges of one lead by initial time; undefined when the file has other leads only. */
async function edgeReader(
  dataset: Dataset,
  coordinates: Coordinates,
  variable: DatasetVariable,
  leadHours: number,
): Promise<EdgeReader | undefined> {
  const { dimensions, shape, name, attributes } = variable;
  const { path } = dataset;
  const axis = (pattern: RegExp) => dimensions.findIndex((dimension) => pattern.test(dimension));
  const place = await horizontalOf(coordinates, variable);
  const edgeAxis = axis(edgeNames);
  const leadAxis = dimensions.findIndex((dimension) => {
    const coordinate = dataset.variables.get(dimension);
    return coordinate && coordinateKind(coordinate) === "lead";
  });
  const lead = leadAxis < 0 ? 0 : await leadIndex(dataset, dimensions[leadAxis]!, leadHours);
  if (lead < 0) return undefined;
  const date = axis(/^(week|week_?of_?year|forecast_time|time|init_time)$/i);
  const known = [edgeAxis, leadAxis, date, place.latitudeAxis, place.longitudeAxis];
  const extra = dimensions.findIndex((_, at) => !known.includes(at) && shape[at]! > 1);
  if (shape[edgeAxis] !== 2 || extra >= 0 || date < 0) {
    throw new ClimaxError(
      "data",
      `${name} of ${path} is ${name}(${dimensions.map((dimension, at) => `${dimension} ${shape[at]}`).join(", ")}); ` +
        "wanted two edges by week, weekofyear or forecast_time, on latitudes and longitudes, with a lead_time or without",
      "rename its dimensions: ncrename -d OLD,NEW in.nc out.nc",
    );
  }
  const where = `${name} of ${path}`;
  const indexOf = await dateIndex(coordinates, variable, date, where);
  const info = recognise({ name, attributes, onPressure: false });
  if ("reason" in info) throw new TypeError(info.reason);
  const read = stepReader({
    shape: shape.map((n, at) => (at === leadAxis ? 1 : n)),
    chunks: variable.chunks?.map((n, at) => (at === leadAxis ? 1 : n)),
    place,
    axes: { time: date, level: edgeAxis },
    levels: [0, 1],
    converter: unitsConverter(text(attributes, "units"), info.info, where),
    cache: slabCache(),
    use: (work) => work(leadAxis < 0 ? variable : atIndex(variable, leadAxis, lead)),
  });
  return (initial) => {
    const index = indexOf(initial);
    return {
      key: String(index),
      async edges() {
        const [a, b] = [await read(index, 0), await read(index, 1)];
        const falls = a.some((x, i) => x > b[i]!);
        if (!falls) return [a, b];
        throw new ClimaxError(
          "data",
          `the first tercile edge of ${where} lies above the second; wanted lower, then upper`,
          `turn them round: ncpdq -a -${dimensions[edgeAxis]} in.nc out.nc`,
        );
      },
    };
  };
}

async function leadIndex(dataset: Dataset, dimension: string, leadHours: number): Promise<number> {
  const coordinate = dataset.variables.get(dimension)!;
  const hours = (parseUnit(text(coordinate.attributes, "units") || "hours")?.factor ?? 3600) / 3600;
  return Array.from(await coordinate.readUnpacked()).findIndex(
    (value) => Math.abs(value * hours - leadHours) < 1e-3,
  );
}

/** Which entry of the axis of weeks or initial times is a forecast's. */
async function dateIndex(
  coordinates: Coordinates,
  variable: DatasetVariable,
  axis: number,
  where: string,
): Promise<(initial: CfTime) => number> {
  const dimension = variable.dimensions[axis]!;
  const { dataset } = coordinates;
  const coordinate = dataset.variables.get(dimension);
  const weekly = /^week/i.test(dimension);
  if (!coordinate) {
    throw new ClimaxError(
      "data",
      `the dimension ${dimension} of ${where} has no variable that says which ${weekly ? "weeks" : "times"} they are`,
      "add one, such as week = 1 to 53",
    );
  }
  const lacking = (initial: CfTime, what: string): never => {
    throw new ClimaxError(
      "data",
      `${where} has no tercile edges for ${what}, the initial time ${formatTime(initial)}`,
      "give edges for all initial times of the forecasts",
    );
  };
  if (!weekly) {
    const found = await timesOf(coordinates, {
      ...variable,
      dimensions: [dimension],
      shape: [variable.shape[axis]!],
    });
    const seconds = found?.times.map((time) => time.seconds) ?? [];
    return (initial) => {
      const index = seconds.indexOf(initial.seconds);
      return index >= 0 ? index : lacking(initial, "a forecast from that time");
    };
  }
  const weeks = Array.from(await coordinate.readUnpacked());
  const weekOf = /^week$/i.test(dimension) ? weekOfLeapYear : isoWeek;
  return (initial) => {
    const index = weeks.indexOf(weekOf(initial));
    return index >= 0 ? index : lacking(initial, `week ${weekOf(initial)}`);
  };
}

/** Days of a leap year before each month. */
const before = [0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335];

/** Weeks of seven days from 1 January, 1 to 53; a date is in the same week in every year. */
export function weekOfLeapYear(time: CfTime): number {
  const { month, day } = timeParts(time);
  return Math.floor((before[month - 1]! + day - 1) / 7) + 1;
}

/** ISO 8601: the week with that week's Thursday in the year, weeks from Monday. */
export function isoWeek(time: CfTime): number {
  // 1970-01-01 was a Thursday.
  const weekday = (((Math.floor(time.seconds / 86400) + 3) % 7) + 7) % 7; // 0 on Monday
  const thursday = { ...time, seconds: time.seconds + (3 - weekday) * 86400 };
  return Math.floor((timeParts(thursday).dayOfYear - 1) / 7) + 1;
}
