/**
 * A forecast file of any system: fields by ClimaX name, initial time and lead, in ClimaX units, south to north and
 * from 0 to 360 degrees east, read one at a time.
 */
import {
  type Coordinates,
  findCoordinates,
  type Horizontal,
  horizontalOf,
  verticalOf,
} from "../data/coordinates.ts";
import { openDataset } from "../data/open.ts";
import { recognise, text } from "../data/recognise.ts";
import type { CfTime } from "../data/time.ts";
import { unitsConverter } from "../data/units.ts";
import { fieldName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "../files/dataset.ts";
import { describeGrid, type Grid, sameGrid } from "../grid/grid.ts";
import { type ForecastTimes, readForecastTimes } from "./forecasttimes.ts";

export interface ForecastField {
  /** ClimaX units. */
  readonly units: string;
  /** Members of an ensemble; 1 without a dimension for them. */
  readonly members: number;
  /** [H * W]; NaN where missing. The first member unless another is asked for. */
  read(initialIndex: number, leadIndex: number, member?: number): Promise<Float32Array>;
}

export interface ForecastFile {
  readonly path: string;
  /** The system's name if the file gives one. */
  readonly system: string | undefined;
  readonly grid: Grid;
  readonly initial: readonly CfTime[];
  /** Hours. */
  readonly leads: readonly number[];
  /** By ClimaX name. */
  readonly fields: ReadonlyMap<string, ForecastField>;
  /** Conversions made or assumed. */
  readonly notes: readonly string[];
  readonly synthetic: boolean;
  /** Each field is the mean of the states from its valid time on for so many hours; undefined: the state at that time. */
  readonly averageHours: number | undefined;
  /** Name of the region that the grid is, if the file gives one. */
  readonly region: string | undefined;
  close(): Promise<void>;
}

/**
 * Opens a forecast file. Only coordinates are read.
 *
 * @param leadZero take a file without a lead as one of lead 0: a projection, a downscaled analysis
 * @throws ClimaxError "data" when it has no lead or initial time, two variables of one name, or units that are
 *         unknown; "grid" when it has no regular grid
 */
export async function openForecastFile(path: string, leadZero = false): Promise<ForecastFile> {
  const dataset = await openDataset(path);
  try {
    const times = await readForecastTimes(dataset, leadZero);
    const { grid, fields, notes } = await readFields(dataset, times);
    return {
      path,
      system: systemName(dataset),
      grid,
      initial: times.initial,
      leads: times.leads,
      fields,
      notes,
      synthetic: isSynthetic(dataset),
      averageHours: averageOf(dataset),
      region: text(dataset.attributes, "climax_region") || undefined,
      close: () => dataset.close(),
    };
  } catch (error) {
    await dataset.close();
    throw error;
  }
}

function systemName({ attributes }: Dataset): string | undefined {
  for (const name of ["system", "model", "model_name", "forecast_system"]) {
    const value = text(attributes, name);
    if (value !== "") return value;
  }
  return [...attributes.keys()].some((name) => name.startsWith("climax_")) ? "climax" : undefined;
}

function isSynthetic({ attributes }: Dataset): boolean {
  const value = attributes.get("synthetic");
  return value === 1 || (typeof value === "string" && /^(true|yes|1)$/i.test(value.trim()));
}

/** Hours that every field is the mean of, by the attribute that says so. */
function averageOf({ path, attributes }: Dataset): number | undefined {
  const value = attributes.get("climax_average_hours");
  if (value === undefined) return undefined;
  const hours = Number(value);
  if (hours > 0 && Number.isFinite(hours)) return hours;
  throw new ClimaxError(
    "data",
    `${path}: its attribute climax_average_hours is "${value}"; wanted a number of hours above zero`,
    `set it: ncatted -a climax_average_hours,global,o,d,336 ${path}, or delete it if the file holds states at single times`,
  );
}

async function readFields(dataset: Dataset, times: ForecastTimes) {
  const coordinates = findCoordinates(dataset);
  const fields = new Map<string, ForecastField>();
  const origin = new Map<string, string>();
  const notes: string[] = [];
  let grid: Grid | undefined;
  for (const variable of dataset.variables.values()) {
    if (!isForecast(variable, coordinates, times)) continue;
    const { name, attributes } = variable;
    const vertical = await verticalOf(coordinates, variable);
    if (vertical.kind === "refused") {
      notes.push(`${dataset.path}: ${name} left out: ${vertical.what}`);
      continue;
    }
    const found = recognise({
      name,
      attributes,
      onPressure: vertical.kind === "pressure",
      height: vertical.kind === "height" ? vertical.height : undefined,
    });
    if ("reason" in found) {
      notes.push(`${dataset.path}: ${name} left out: ${found.reason}`);
      continue;
    }
    const horizontal = await horizontalOf(coordinates, variable);
    grid = oneGrid(dataset, name, horizontal.grid, grid);
    const levelAxis = vertical.kind === "pressure" ? vertical.axis : undefined;
    const memberAxis = memberAxisOf(variable);
    checkDimensions(dataset, variable, horizontal, times, [levelAxis, memberAxis]);
    const { info } = found;
    const where = `${name} of ${dataset.path}`;
    const convert = unitsConverter(text(attributes, "units") || undefined, info, where);
    if (convert.note) notes.push(`${dataset.path}: ${name}: ${convert.note}`);
    if (found.note) notes.push(`${dataset.path}: ${name}: ${found.note}`);
    const aloft = vertical.kind === "pressure" ? vertical.levels : [found.level];
    for (const [levelIndex, exact] of (info.levels === "pressure" ? aloft : [undefined]).entries()) {
      // float32 pascals leave a little of a whole level; names take whole hPa.
      const hPa = exact === undefined ? undefined : Math.round(exact);
      if (hPa !== undefined && Math.abs(exact! - hPa) > 0.01) continue;
      const field = fieldName(info, hPa);
      const other = origin.get(field);
      if (other !== undefined) {
        throw new ClimaxError(
          "data",
          `${dataset.path}: ${other} and ${name} are both ${field}`,
          "leave one of them in the file: ncks -x -v NAME in.nc out.nc",
        );
      }
      origin.set(field, name);
      const read = fieldReader(variable, horizontal, times, { levelAxis, levelIndex, memberAxis });
      fields.set(field, {
        units: info.units,
        members: memberAxis === undefined ? 1 : variable.shape[memberAxis]!,
        read: async (initialIndex, leadIndex, member = 0) => {
          const values = await read(initialIndex, leadIndex, member);
          const { scale, offset } = convert;
          return scale === 1 && offset === 0 ? values : values.map((value) => value * scale + offset);
        },
      });
    }
  }
  if (!grid) {
    throw new ClimaxError(
      "data",
      `${dataset.path} holds no forecast of a variable that is known; it has ${[...dataset.variables.keys()].join(", ")}`,
      "give its variables ClimaX, ERA5 or CMIP6 names, or CF standard names",
    );
  }
  return {
    grid,
    fields,
    notes: [...coordinates.notes].map((note) => `${dataset.path}: ${note}`).concat(notes),
  };
}

/** Whether a variable has the axes of a forecast: those of the times, and at least two more. */
function isForecast(
  { name, dimensions }: DatasetVariable,
  { all }: Coordinates,
  { initialDimension, leadDimension }: ForecastTimes,
): boolean {
  const carried = [initialDimension, leadDimension].filter((dimension) => dimension !== undefined);
  return (
    !all.has(name) &&
    dimensions.length >= carried.length + 2 &&
    carried.every((dimension) => dimensions.includes(dimension))
  );
}

function oneGrid({ path }: Dataset, name: string, found: Grid, others: Grid | undefined): Grid {
  if (!others || sameGrid(found, others)) return found;
  throw new ClimaxError(
    "grid",
    `${name} of ${path} is on ${describeGrid(found)}, the variables before it on ${describeGrid(others)}`,
    "put the variables on one grid first: climax regrid IN --res ... -o OUT",
  );
}

/** Position of the dimension of an ensemble's members, by the names in use for it. */
function memberAxisOf({ dimensions }: DatasetVariable): number | undefined {
  const axis = dimensions.findIndex((name) => /^(number|realization|member|ensemble)$/i.test(name));
  return axis < 0 ? undefined : axis;
}

/** Every dimension is an axis that is known, or has one element. */
function checkDimensions(
  { path }: Dataset,
  { name, dimensions, shape }: DatasetVariable,
  { latitudeAxis, longitudeAxis }: Horizontal,
  { initialDimension, leadDimension }: ForecastTimes,
  others: readonly (number | undefined)[],
): void {
  const extra = dimensions.findIndex(
    (dimension, axis) =>
      ![latitudeAxis, longitudeAxis, ...others].includes(axis) &&
      ![initialDimension, leadDimension].includes(dimension) &&
      shape[axis]! > 1,
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
  { rows, columns, latitudeAxis, longitudeAxis }: Horizontal,
  { initialDimension, leadDimension }: ForecastTimes,
  at: { levelAxis: number | undefined; levelIndex: number; memberAxis: number | undefined },
) {
  const { dimensions, shape } = variable;
  const W = columns.length;
  const [height, width] = [shape[latitudeAxis]!, shape[longitudeAxis]!];
  const source = Int32Array.from({ length: rows.length * W }, (_, i) => {
    const [row, column] = [rows[Math.floor(i / W)]!, columns[i % W]!];
    return latitudeAxis < longitudeAxis ? row * width + column : column * height + row;
  });
  const count = shape.map((n, axis) => (axis === latitudeAxis || axis === longitudeAxis ? n : 1));
  return async (initialIndex: number, leadIndex: number, member: number): Promise<Float32Array> => {
    const start = dimensions.map((name, axis) => {
      if (name === initialDimension) return initialIndex;
      if (name === leadDimension) return leadIndex;
      if (axis === at.memberAxis) return member;
      return axis === at.levelAxis ? at.levelIndex : 0;
    });
    const stored = await variable.readUnpacked(start, count);
    const field = new Float32Array(source.length);
    for (let i = 0; i < source.length; i++) field[i] = stored[source[i]!]!;
    return field;
  };
}
