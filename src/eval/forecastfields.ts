/** The fields of a forecast file: what its variables are, where and when they lie, and how each is read. */
import {
  type Coordinates,
  findCoordinates,
  isBounds,
  type Vertical,
  verticalOf,
} from "../data/coordinates.ts";
import { type Recognised, recognise, text } from "../data/recognise.ts";
import { scatteredPair } from "../data/scattered.ts";
import type { CfTime } from "../data/time.ts";
import { unitsConverter } from "../data/units.ts";
import { fieldName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "../files/dataset.ts";
import { describeGrid, type Grid, sameGrid } from "../grid/grid.ts";
import type { FieldTimes } from "./fieldtimes.ts";
import type { ForecastField, Presence } from "./forecastfile.ts";
import { type ForecastGrid, forecastGrid } from "./forecastgrid.ts";
import { rainNames, rainSince, rainSum } from "./forecastrain.ts";
import { noForecasts, type TimesOptions, timesFinder } from "./forecasttimes.ts";

/** A variable on one level, before the times of the file are known. */
interface Found {
  readonly name: string;
  readonly variable: DatasetVariable;
  readonly times: FieldTimes;
  readonly units: string;
  readonly members: number;
  readonly read: (at: readonly number[], member: number) => Promise<Float32Array>;
  readonly holds: ((at: readonly number[]) => boolean) | undefined;
}

/**
 * The fields of a file, and the initial times and leads of all of them.
 *
 * @param knownRain  whether its rain is summed over what it is named for
 * @throws ClimaxError as openForecastFile
 */
export async function readFields(dataset: Dataset, options: TimesOptions, knownRain: boolean) {
  const coordinates = findCoordinates(dataset);
  const timesOf = timesFinder(dataset, options);
  const found = new Map<string, Found>();
  const notes: string[] = [];
  const regridded = new Set<string>();
  let grid: Grid | undefined;
  let forecasts = 0;
  for (const variable of dataset.variables.values()) {
    const times = await timesOfField(variable, coordinates, timesOf);
    if (!times) continue;
    forecasts++;
    const { name, attributes } = variable;
    const { vertical, known } = await recogniseOn(coordinates, variable);
    if ("reason" in known) {
      notes.push(`${dataset.path}: ${name} left out: ${known.reason}`);
      continue;
    }
    const place = await forecastGrid(coordinates, variable);
    grid = oneGrid(dataset, name, place.grid, grid);
    if (place.note) regridded.add(`${dataset.path}: ${place.note}`);
    const levelAxis = vertical.kind === "pressure" ? vertical.axis : undefined;
    const memberAxis = memberAxisOf(variable);
    checkDimensions(dataset, variable, place, times, [levelAxis, memberAxis]);
    const { info } = known;
    const convert = unitsConverter(
      text(attributes, "units") || undefined,
      info,
      `${name} of ${dataset.path}`,
    );
    if (convert.note) notes.push(`${dataset.path}: ${name}: ${convert.note}`);
    if (known.note) notes.push(`${dataset.path}: ${name}: ${known.note}`);
    const aloft = vertical.kind === "pressure" ? vertical.levels : [known.level];
    for (const [levelIndex, exact] of (info.levels === "pressure" ? aloft : [undefined]).entries()) {
      // float32 pascals leave a little of a whole level; names take whole hPa.
      const hPa = exact === undefined ? undefined : Math.round(exact);
      if (hPa !== undefined && Math.abs(exact! - hPa) > 0.01) continue;
      const field = fieldName(info, hPa);
      const other = found.get(field)?.variable.name;
      if (other !== undefined) {
        throw new ClimaxError(
          "data",
          `${dataset.path}: ${other} and ${name} are both ${field}`,
          dataset.format.startsWith("GRIB")
            ? `leave one of them in the file: grib_copy -w shortName!=${text(attributes, "GRIB_shortName") || "NAME"} in.grib out.grib`
            : `leave one of them in the file: ncks -x -v ${name} in.nc out.nc`,
        );
      }
      const reader = fieldReader(variable, place, times, { levelAxis, levelIndex, memberAxis });
      const { scale, offset } = convert;
      const unchanged = scale === 1 && offset === 0;
      found.set(field, {
        ...{ name: field, variable, times, units: info.units },
        members: memberAxis === undefined ? 1 : variable.shape[memberAxis]!,
        read: async (at, member) => {
          const values = await reader.read(at, member);
          return unchanged ? values : values.map((value) => value * scale + offset);
        },
        holds: reader.holds,
      });
    }
  }
  if (forecasts === 0) throw noForecasts(dataset);
  if (!grid) {
    throw new ClimaxError(
      "data",
      `${dataset.path} holds no forecast of a variable that is known; it has ${[...dataset.variables.keys()].join(", ")}`,
      "give its variables ClimaX, ERA5 or CMIP6 names, or CF standard names",
    );
  }
  const { initial, leads } = timesOfAll([...found.values()].map(({ times }) => times));
  if (initial.length === 0 || leads.length === 0) {
    throw new ClimaxError(
      "data",
      `${dataset.path} holds no forecasts: its axis of ${initial.length === 0 ? "initial times" : "leads"} is empty`,
      "the program that wrote it found none: write it again, or leave the file out",
    );
  }
  const fields = placed(found, initial, leads);
  if (!knownRain) notes.push(...(await settleRain(dataset, found, fields, initial, leads)));
  const said = (dataset.notes ?? []).filter((note) => !aboutTimes.test(note));
  const general = [...coordinates.notes, ...said].map((note) => `${dataset.path}: ${note}`);
  return { grid, initial, leads, fields, notes: [...regridded, ...general, ...notes] };
}

/** What GRIB's reader notes of fields along valid times, which here have their own initial times, and of gaps, which are absent. */
const aboutTimes = /put together by valid time$|missing values stand for them$/;

/** The times of a variable that can be a forecast: it has theirs, and two dimensions more or that of a mesh's cells. */
async function timesOfField(
  variable: DatasetVariable,
  coordinates: Coordinates,
  timesOf: ReturnType<typeof timesFinder>,
): Promise<FieldTimes | undefined> {
  const { all, dataset } = coordinates;
  const { name, dimensions, dtype, attributes } = variable;
  const isNumbers = dtype !== "char" && dtype !== "string" && dtype !== "other";
  if (all.has(name) || !isNumbers || isBounds(dataset, name)) return undefined;
  if (attributes.has("grid_mapping_name")) return undefined;
  const times = await timesOf(variable);
  const more = times && dimensions.length - times.dimensions.length;
  const isPlaced = more !== undefined && (more >= 2 || (more === 1 && scatteredPair(coordinates, variable)));
  return isPlaced ? times : undefined;
}

/** What a variable is; a scalar level of the file may not be its own. */
async function recogniseOn(
  coordinates: Coordinates,
  variable: DatasetVariable,
): Promise<{ vertical: Vertical; known: Recognised }> {
  const { name, attributes } = variable;
  const on = (vertical: Vertical) => ({
    vertical,
    known: recognise({
      ...{ name, attributes, onPressure: vertical.kind === "pressure" },
      height: vertical.kind === "height" ? vertical.height : undefined,
    }),
  });
  const vertical = await verticalOf(coordinates, variable);
  if (vertical.kind === "refused") return { vertical, known: { reason: vertical.what } };
  const own = on(vertical);
  const scalar = vertical.kind === "pressure" && vertical.axis === undefined;
  return scalar && "reason" in own.known ? on({ kind: "none" }) : own;
}

/** Initial times and leads of all variables: in the order of the file where all have the same, else ascending. */
function timesOfAll(all: readonly FieldTimes[]): { initial: readonly CfTime[]; leads: readonly number[] } {
  const kinds = [...new Set(all)];
  const [first] = kinds as [FieldTimes];
  if (kinds.length === 1) return first;
  const initial = new Map(kinds.flatMap((one) => one.initial.map((time) => [time.seconds, time] as const)));
  return {
    initial: [...initial.values()].toSorted((a, b) => a.seconds - b.seconds),
    leads: [...new Set(kinds.flatMap(({ leads }) => leads))].toSorted((a, b) => a - b),
  };
}

/** Fields by their place among the initial times and leads of the file. */
function placed(
  found: ReadonlyMap<string, Found>,
  initial: readonly CfTime[],
  leads: readonly number[],
): Map<string, ForecastField> {
  const shared = new Map<FieldTimes, Presence>();
  return new Map(
    [...found].map(([name, { times, units, members, read, holds }]) => {
      const at = (i: number, j: number) => times.at(initial[i]!.seconds, leads[j]!);
      const presence: Presence = holds
        ? {
            has: (i, j) => {
              const place = at(i, j);
              return place !== undefined && holds(place);
            },
          }
        : (shared.get(times) ?? { has: (i, j) => at(i, j) !== undefined });
      if (!holds) shared.set(times, presence);
      const field: ForecastField = {
        ...{ units, members, presence, has: presence.has },
        read: async (i, j, member = 0) => {
          const place = at(i, j);
          if (!place) throw new RangeError(`${name} has no forecast ${j} of initial time ${i}`);
          return read(place, member);
        },
      };
      return [name, field];
    }),
  );
}

/** Gives sums of rain the name of what they are sums over. */
async function settleRain(
  { path }: Dataset,
  found: ReadonlyMap<string, Found>,
  fields: Map<string, ForecastField>,
  initial: readonly CfTime[],
  leads: readonly number[],
): Promise<string[]> {
  const name = rainNames.get(1)!;
  const field = fields.get(name);
  if (!field) return [];
  const { variable } = found.get(name)!;
  const sum = await rainSum(variable, field, leads);
  const said = `${path}: ${variable.name}`;
  if (sum.over === "unknown") {
    return [`${said} does not say over how many hours it is summed; taken as one, as ERA5's ${name}`];
  }
  if (sum.over === "hours" && sum.hours === 1) return [];
  fields.delete(name);
  if (sum.over === "hours") {
    const own = rainNames.get(sum.hours);
    if (own === undefined || fields.has(own)) {
      return [
        `${said} left out: it is what falls in ${sum.hours} h; ${own ? `another variable gives ${own}` : `only 1, 6, 12 and 24 h have a name`}`,
      ];
    }
    fields.set(own, field);
    return [`${said} is what falls in ${sum.hours} h: taken as ${own}`];
  }
  const made = [...rainSince(field, initial, leads)].filter(([own]) => !fields.has(own));
  for (const [own, one] of made) fields.set(own, one);
  const why = sum.because === "values" ? ", by its numbers, which never fall from lead to lead" : "";
  const what =
    made.length > 0
      ? `differences between leads give ${made.map(([own]) => own).join(", ")}`
      : "its leads are not 1, 6, 12 or 24 h apart, so it is left out";
  return [`${said} is summed since the initial time${why}; ${what}`];
}

function oneGrid({ path }: Dataset, name: string, found: Grid, others: Grid | undefined): Grid {
  if (!others || sameGrid(found, others)) return others ?? found;
  throw new ClimaxError(
    "grid",
    `${name} of ${path} is on ${describeGrid(found)}, the variables before it on ${describeGrid(others)}`,
    "put the variables on one grid first: climax regrid IN --res ... -o OUT",
  );
}

/** Position of the dimension of an ensemble's members, by the names in use for it. */
function memberAxisOf({ dimensions }: DatasetVariable): number | undefined {
  const axis = dimensions.findIndex((name) => /^(number|realization|member|ensemble)(_\d+)?$/i.test(name));
  return axis < 0 ? undefined : axis;
}

/** Every dimension is an axis that is known, or has one element. */
function checkDimensions(
  { path }: Dataset,
  { name, dimensions, shape }: DatasetVariable,
  { axes }: ForecastGrid,
  times: FieldTimes,
  others: readonly (number | undefined)[],
): void {
  const extra = dimensions.findIndex(
    (dimension, axis) =>
      ![...axes, ...others].includes(axis) && !times.dimensions.includes(dimension) && shape[axis]! > 1,
  );
  if (extra < 0) return;
  const dimension = dimensions[extra]!;
  throw new ClimaxError(
    "data",
    `${name} of ${path} has a dimension ${dimension} of ${shape[extra]}; wanted one forecast for each initial time and ` +
      "lead, or the members of an ensemble in a dimension number, realization, member or ensemble",
    "rename it if it holds members (ncrename -d OLD,number in.nc out.nc), else take one element, or the mean: " +
      `ncks -d ${dimension},0 in.nc out.nc, or ncwa -a ${dimension} in.nc out.nc`,
  );
}

/** Reads a field, whatever the order of dimensions and the direction of the axes in the file. */
function fieldReader(
  variable: DatasetVariable,
  { axes, arrange }: ForecastGrid,
  times: FieldTimes,
  on: { levelAxis: number | undefined; levelIndex: number; memberAxis: number | undefined },
) {
  const { dimensions, shape, holds } = variable;
  const count = shape.map((n, axis) => (axes.includes(axis) ? n : 1));
  const startOf = (at: readonly number[], member: number) =>
    dimensions.map((name, axis) => {
      const time = times.dimensions.indexOf(name);
      if (time >= 0) return at[time]!;
      if (axis === on.memberAxis) return member;
      return axis === on.levelAxis ? on.levelIndex : 0;
    });
  return {
    read: async (at: readonly number[], member: number): Promise<Float32Array> =>
      arrange(await variable.readUnpacked(startOf(at, member), count)),
    holds: holds && ((at: readonly number[]) => holds(startOf(at, 0))),
  };
}
