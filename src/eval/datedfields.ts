/** Fields by the time of the year in a file: which one belongs to a valid time, and reading it. */
import type { Horizontal } from "../data/coordinates.ts";
import { type SlabCache, stepReader } from "../data/stepreader.ts";
import { type CfTime, formatTime, timeParts } from "../data/time.ts";
import type { UnitsConverter } from "../data/units.ts";
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "../files/dataset.ts";
import { minuteOfDay } from "../sets/seasonal.ts";

/** How a file counts the time of the year. */
export interface DateAxes {
  readonly kind: "day of the year" | "month";
  /** Name of the dimension of days or months, and its values, from 1. */
  readonly dimension: string;
  readonly dates: readonly number[];
  /** Name of the dimension of hours of the day and its values; undefined: the same field all day. */
  readonly hour: { readonly dimension: string; readonly hours: readonly number[] } | undefined;
  /** For the reader of a score: "by day of the year and hour (366 days, hours 0, 6, 12, 18)". */
  readonly words: string;
}

/**
 * The axes of a file; undefined when it has neither days of the year nor months.
 *
 * @throws ClimaxError "data" for such a dimension without values
 */
export async function dateAxes(dataset: Dataset): Promise<DateAxes | undefined> {
  const find = (pattern: RegExp) => [...dataset.dimensions.keys()].find((name) => pattern.test(name));
  const day = find(/^day_?of_?year$/i);
  const dimension = day ?? find(/^months?$/i);
  if (dimension === undefined) return undefined;
  const hour = find(/^hours?(_?of_?day)?$/i);
  const dates = await axisValues(dataset, dimension);
  const hours = hour === undefined ? undefined : await axisValues(dataset, hour);
  const kind = day === undefined ? "month" : "day of the year";
  const count = `${dates.length} ${day === undefined ? "month" : "day"}${dates.length === 1 ? "" : "s"}`;
  return {
    kind,
    dimension,
    dates,
    hour: hour === undefined ? undefined : { dimension: hour, hours: hours! },
    words: hours ? `by ${kind} and hour (${count}, hours ${hours.join(", ")})` : `by ${kind} (${count})`,
  };
}

async function axisValues({ path, variables, dimensions }: Dataset, name: string): Promise<number[]> {
  const axis = variables.get(name);
  if (axis?.dimensions.join() === name) return Array.from(await axis.readUnpacked());
  throw new ClimaxError(
    "data",
    `${path} has a dimension ${name} of ${dimensions.get(name)}, but no variable ${name} that says which they are`,
    `add it: ncap2 -s '${name}=array(1,1,$${name})' in.nc out.nc`,
  );
}

export interface DatedFields {
  /** The field [H * W] of a valid time, south to north; `level` is an index of the level axis. */
  at(valid: CfTime, level?: number): Promise<Float32Array>;
  /** The mean of all that the file has, [H * W] of the first level, over what is known. */
  mean(): Promise<Float32Array>;
}

export interface DatedOptions {
  /** Position of the level axis among the variable's dimensions. */
  readonly levelAxis?: number | undefined;
  readonly converter: UnitsConverter;
  /** Of the file, for all of its variables. */
  readonly cache: SlabCache;
}

/**
 * The fields of a variable, whatever the order of its dimensions. Blocks of days that suit the file's chunks are kept in
 * the cache.
 *
 * @throws ClimaxError "data", when read, for a time that the file lacks
 */
export function datedFields(
  path: string,
  axes: DateAxes,
  variable: DatasetVariable,
  place: Horizontal,
  { levelAxis, converter, cache }: DatedOptions,
): DatedFields {
  const { dimensions, shape, chunks } = variable;
  const dateAxis = dimensions.indexOf(axes.dimension);
  const hourAxis = axes.hour ? dimensions.indexOf(axes.hour.dimension) : -1;
  const levels = levelAxis === undefined ? [0] : Array.from({ length: shape[levelAxis]! }, (_, i) => i);
  const ofHour = (hour: number) =>
    stepReader({
      shape: shape.map((n, at) => (at === hourAxis ? 1 : n)),
      chunks: chunks?.map((n, at) => (at === hourAxis ? 1 : n)),
      place,
      axes: { time: dateAxis, level: levelAxis },
      levels,
      converter,
      cache,
      use: (work) => work(hourAxis < 0 ? variable : atIndex(variable, hourAxis, hour)),
    });
  const readers = new Map<number, ReturnType<typeof stepReader>>();
  const read = (hour: number, date: number, level: number) => {
    let reader = readers.get(hour);
    if (!reader) readers.set(hour, (reader = ofHour(hour)));
    return reader(date, level);
  };
  return {
    at(valid, level = 0) {
      const { date, hour } = indicesOf(path, axes, valid);
      return read(hour, date, level);
    },
    async mean() {
      const cells = place.rows.length * place.columns.length;
      const [sum, known] = [new Float64Array(cells), new Int32Array(cells)];
      for (let hour = 0; hour < (axes.hour?.hours.length ?? 1); hour++) {
        for (let date = 0; date < axes.dates.length; date++) {
          const field = await read(hour, date, 0);
          for (let i = 0; i < cells; i++) {
            if (Number.isNaN(field[i]!)) continue;
            sum[i]! += field[i]!;
            known[i]!++;
          }
        }
      }
      return Float32Array.from(sum, (x, i) => x / known[i]!);
    },
  };
}

/** The dimension that keeps a variable from being one field for each time of the year, if there is one. */
export function extraDimension(
  axes: DateAxes,
  { dimensions, shape }: DatasetVariable,
  { latitudeAxis, longitudeAxis }: Horizontal,
  levelAxis: number | undefined,
): string | undefined {
  const known = [axes.dimension, axes.hour?.dimension];
  const places = [latitudeAxis, longitudeAxis, levelAxis];
  return dimensions.find((name, at) => !known.includes(name) && !places.includes(at) && shape[at]! > 1);
}

/** A variable at one index of an axis; hyperslabs of it start with 0 there, and count 1. */
export function atIndex(variable: DatasetVariable, axis: number, index: number): DatasetVariable {
  const put = (start: readonly number[]) => start.map((from, at) => (at === axis ? index : from));
  return {
    ...variable,
    readUnpacked: (start, count) => variable.readUnpacked(start && put(start), count),
  };
}

/** Where the field of a valid time lies. */
function indicesOf(path: string, { kind, dates, hour }: DateAxes, valid: CfTime) {
  const { dayOfYear, month } = timeParts(valid);
  const wanted = kind === "month" ? month : dayOfYear;
  const date = dates.indexOf(wanted);
  const minute = minuteOfDay(valid);
  const at = hour ? hour.hours.findIndex((each) => Math.round(each * 60) === minute) : 0;
  // A year of 360 days reaches day 360 in December, where one of 365 is still in it.
  const otherCalendar =
    kind === "day of the year" && valid.calendar === "360_day" && Math.max(...dates) > 360;
  if (date >= 0 && at >= 0 && !otherCalendar) return { date, hour: at };
  if (otherCalendar) {
    throw new ClimaxError(
      "data",
      `the climatology ${path} has a day ${Math.max(...dates)}, the calendar of ${formatTime(valid)} has 360`,
      "give a climatology of the calendar of the forecasts",
    );
  }
  const clock = `${Math.floor(minute / 60)}${minute % 60 === 0 ? "" : `:${String(minute % 60).padStart(2, "0")}`}`;
  const lacking = [
    ...(date < 0 ? [`${kind === "month" ? "month" : "day"} ${wanted}`] : []),
    ...(at < 0 ? [`hour ${clock}`] : []),
  ];
  throw new ClimaxError(
    "data",
    `the climatology ${path} has no ${lacking.join(" and no ")}, which ${formatTime(valid)} needs; ` +
      `it has ${kind === "month" ? "months" : "days"} ${ranges(dates)}${hour ? ` and hours ${hour.hours.join(", ")}` : ""}`,
    "give one that has all times of the forecasts, or choose forecasts that it covers with --leads",
  );
}

/** "1 to 3, 7". */
function ranges(values: readonly number[]): string {
  const sorted = [...values].toSorted((a, b) => a - b);
  const runs: [number, number][] = [];
  for (const value of sorted) {
    const last = runs.at(-1);
    if (last && value === last[1] + 1) last[1] = value;
    else runs.push([value, value]);
  }
  const shown = runs.slice(0, 6).map(([a, b]) => (a === b ? `${a}` : `${a} to ${b}`));
  return shown.join(", ") + (runs.length > 6 ? ", ..." : "");
}
