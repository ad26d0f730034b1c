// One file as ClimaX fields: each recognised variable, level by level, with its grid, times and units settled,
// read one step at a time. Joining several files is archive.ts.
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "../files/dataset.ts";
import type { Grid } from "../grid/grid.ts";
import {
  type Coordinates,
  findCoordinates,
  type Horizontal,
  horizontalOf,
  isBounds,
  timesOf,
  type Vertical,
  verticalOf,
} from "./coordinates.ts";
import { type Candidate, recognise, text } from "./recognise.ts";
import type { CfTime } from "./time.ts";
import { type UnitsConverter, unitsConverter } from "./units.ts";
import { fieldName, type VariableInfo } from "./variables.ts";

/** One variable on one level in one file. */
export interface Field {
  /** ClimaX name, with its level. */
  name: string;
  info: VariableInfo;
  /** hPa */
  level?: number;
  path: string;
  /** The variable in the file. */
  variable: DatasetVariable;
  /** undefined for one number for the whole globe, such as the CO2 of a year. */
  grid: Grid | undefined;
  /** Valid times in the file's order; undefined for a constant and for a field without a time. */
  times: CfTime[] | undefined;
  /** [H, W] of one step of the file, [1] without a grid, in ClimaX units; missing values are NaN. */
  read(step: number): Promise<Float32Array>;
}

export interface FileFields {
  fields: Field[];
  /** ClimaX names of all that the file holds, wanted or not. */
  holds: string[];
  /** Variables that are no ClimaX variable. */
  unrecognised: { name: string; reason: string }[];
  /** Variables that are, but cannot be used, with what is wrong. */
  refused: { name: string; error: ClimaxError }[];
  notes: string[];
}

/**
 * The fields of a file that `wanted` accepts. Reads coordinates, and data only where units are absent.
 * @throws ClimaxError "data" for units and times that cannot be understood.
 */
export async function fieldsOf(
  dataset: Dataset,
  wanted: (info: VariableInfo, level: number | undefined) => boolean,
): Promise<FileFields> {
  const coordinates = findCoordinates(dataset);
  const result: FileFields = { fields: [], holds: [], unrecognised: [], refused: [], notes: [] };
  const taken = new Map<string, string>();
  for (const variable of dataset.variables.values()) {
    if (!isData(coordinates, variable)) continue;
    let vertical = await verticalOf(coordinates, variable);
    let found = recognise(candidate(variable, vertical));
    if ("reason" in found && vertical.kind === "pressure" && vertical.axis === undefined) {
      // A scalar pressure in the file need not be this variable's.
      vertical = { kind: "none" };
      found = recognise(candidate(variable, vertical));
    }
    if ("reason" in found) {
      if (variable.dimensions.length > 1) {
        result.unrecognised.push({ name: variable.name, reason: found.reason });
      }
      continue;
    }
    const { info } = found;
    const levels = levelsOf(variable, vertical.kind === "pressure" ? vertical.levels : [found.level], result);
    result.holds.push(...levels.map(({ level }) => fieldName(info, level)));
    const kept = levels.filter(({ level }) => wanted(info, level)); // without a level: an axis that is refused below
    if (kept.length === 0) continue;
    try {
      if (vertical.kind === "refused") throw refusal(dataset, variable, vertical.what, vertical.hint);
      if (found.note) result.notes.push(`${variable.name} ${found.note}`);
      const reader = await readerOf(
        coordinates,
        variable,
        info,
        vertical.kind === "pressure" ? vertical.axis : undefined,
        kept.map(({ index }) => index),
      );
      if (reader.note) result.notes.push(`${variable.name}: ${reader.note}`);
      for (const { level, index } of kept) {
        const name = fieldName(info, level);
        if (taken.has(name)) {
          result.notes.push(`${variable.name} left out: ${taken.get(name)} gives ${name} already`);
          continue;
        }
        taken.set(name, variable.name);
        const { grid, times } = reader;
        const read = (step: number) => reader.read(times ? step : 0, index);
        const at = level === undefined ? {} : { level };
        result.fields.push({ name, info, ...at, path: dataset.path, variable, grid, times, read });
      }
    } catch (error) {
      if (!(error instanceof ClimaxError)) throw error;
      if (error.kind !== "grid" && error.kind !== "shape") throw error;
      result.refused.push({ name: variable.name, error });
    }
  }
  result.notes.push(...coordinates.notes);
  return result;
}

/** The grid of the first variable that has one; for what needs no field of the file. */
export async function gridOf(dataset: Dataset): Promise<Grid | undefined> {
  const coordinates = findCoordinates(dataset);
  const kinds = (variable: DatasetVariable) => variable.dimensions.map((d) => coordinates.axes.get(d)?.kind);
  const variable = [...dataset.variables.values()].find(
    (each) => kinds(each).includes("latitude") && kinds(each).includes("longitude"),
  );
  return variable && (await horizontalOf(coordinates, variable)).grid;
}

const candidate = ({ name, attributes }: DatasetVariable, vertical: Vertical): Candidate => ({
  name,
  attributes,
  onPressure: vertical.kind === "pressure" || vertical.kind === "refused",
  height: vertical.kind === "height" ? vertical.height : undefined,
});

/** Whether a variable can be a field at all: numbers with a dimension, neither coordinate nor bounds. */
function isData({ all, dataset }: Coordinates, variable: DatasetVariable): boolean {
  const { name, dtype, dimensions, attributes } = variable;
  if (dtype === "char" || dtype === "string" || dtype === "other" || dimensions.length === 0) return false;
  return !all.has(name) && !attributes.has("grid_mapping_name") && !isBounds(dataset, name);
}

/** The whole-hPa levels with their index in the file; others are left out and named in the notes. */
function levelsOf(variable: DatasetVariable, levels: (number | undefined)[], { notes }: FileFields) {
  const whole = levels.map((level, index) => ({
    index,
    level: level === undefined ? undefined : Math.round(level),
    // 0.01 hPa: what float32 pascals leave of a whole level.
    exact: level === undefined || (level > 0.5 && Math.abs(level - Math.round(level)) < 0.01),
  }));
  const odd = whole.filter(({ exact }) => !exact).map(({ index }) => levels[index]);
  if (odd.length > 0)
    notes.push(`${variable.name}: levels of ${odd.join(", ")} hPa left out; names take whole hPa`);
  return whole.filter(({ exact }) => exact);
}

/** Kind "shape" marks a layout that cannot be used, as "grid" does a grid. */
function refusal(dataset: Dataset, variable: DatasetVariable, what: string, hint: string): ClimaxError {
  return new ClimaxError("shape", `${variable.name} in ${dataset.path} cannot be used: ${what}`, hint);
}

interface Reader {
  grid: Grid | undefined;
  times: CfTime[] | undefined;
  note: string | undefined;
  read(step: number, levelIndex: number): Promise<Float32Array>;
}

async function readerOf(
  coordinates: Coordinates,
  variable: DatasetVariable,
  info: VariableInfo,
  levelAxis: number | undefined,
  levels: number[],
): Promise<Reader> {
  const { dataset, notes } = coordinates;
  const time = await timesOf(coordinates, variable);
  // One number for the globe is meant only of what drives the climate; of anything else the grid is missing.
  const single = info.role === "forcing" && variable.shape.every((n, at) => n === 1 || at === time?.axis);
  const place = single ? undefined : await horizontalOf(coordinates, variable);
  const known = [place?.latitudeAxis, place?.longitudeAxis, time?.axis, levelAxis];
  variable.dimensions.forEach((dimension, at) => {
    const length = variable.shape[at]!;
    if (known.includes(at) || length === 1) return;
    throw refusal(
      dataset,
      variable,
      `its dimension ${dimension} has ${length} entries that are no time, level, latitude or longitude (${variable.dimensions.join(", ")})`,
      `choose one of them: ncks -d ${dimension},0 ${dataset.path} out.nc`,
    );
  });

  const units = text(variable.attributes, "units");
  const converter = unitsConverter(units, info, `${variable.name} in ${dataset.path}`);
  const read = stepReader(variable, place, { time: time?.axis, level: levelAxis }, levels, converter);
  if (units === "") checkPlausible(await read(0, levels[0]!), variable, info, dataset);

  let times = time?.times;
  if (info.role === "constant") {
    const steps = times?.length ?? 1;
    if (steps > 1 && time?.axis !== undefined) {
      notes.add(`${variable.name}: ${info.name} is constant; the first of its ${steps} steps is taken`);
    }
    times = undefined;
  } else if (!times) {
    notes.add(`${variable.name} has no time; taken as the same at all times`);
  }
  return { grid: place?.grid, times, note: converter.note, read };
}

/** A slab of one step of all levels is kept in memory up to this size, elements: 64 MiB of float32. */
const keptSlab = 2 ** 24;

/**
 * Reads [H, W] of one step and one level index, south to north and eastward, converted; [1] without a place. The second level that is
 * asked for of a step brings the others along, for files whose compressed chunks hold all levels.
 */
function stepReader(
  variable: DatasetVariable,
  place: Horizontal | undefined,
  axes: { time: number | undefined; level: number | undefined },
  levels: number[],
  { scale, offset }: UnitsConverter,
): Reader["read"] {
  if (!place) {
    return async (step) => {
      const start = variable.shape.map((_, at) => (at === axes.time ? step : 0));
      const one = await variable.readUnpacked(
        start,
        start.map(() => 1),
      );
      return Float32Array.of(one[0]! * scale + offset);
    };
  }
  const { rows, columns, latitudeAxis, longitudeAxis } = place;
  const lowest = Math.min(...levels);
  const range = Math.max(...levels) - lowest + 1;
  const horizontal = variable.shape[latitudeAxis]! * variable.shape[longitudeAxis]!;
  const together = range > 1 && levels.length * 2 >= range && range * horizontal <= keptSlab;

  const load = (step: number, level: number, depth: number) => {
    const start = variable.shape.map((_, at) => (at === axes.time ? step : at === axes.level ? level : 0));
    const count = variable.shape.map((n, at) => {
      if (at === axes.level) return depth;
      return at === latitudeAxis || at === longitudeAxis ? n : 1;
    });
    return variable.readUnpacked(start, count);
  };
  const orient = (slab: ArrayLike<number>, level: number, depth: number) => {
    const lengths = variable.shape.map((n, at) => (at === axes.level ? depth : n));
    // Of a slab, only these three axes are longer than 1.
    const stride = (axis: number | undefined) =>
      [latitudeAxis, longitudeAxis, axes.level ?? -1]
        .filter((other) => axis !== undefined && other > axis)
        .reduce((product, other) => product * lengths[other]!, 1);
    const [rowStride, columnStride] = [stride(latitudeAxis), stride(longitudeAxis)];
    const first = axes.level === undefined ? 0 : level * stride(axes.level);
    const field = new Float32Array(rows.length * columns.length); // [H, W]
    let to = 0;
    for (const row of rows) {
      const from = first + row * rowStride;
      for (const column of columns) field[to++] = slab[from + column * columnStride]! * scale + offset;
    }
    return field;
  };

  let before = -1;
  let kept: { step: number; slab: ReturnType<typeof load> } | undefined;
  return async (step, level) => {
    if (!together) return orient(await load(step, level, 1), 0, 1);
    if (kept?.step !== step) {
      kept = before === step ? { step, slab: load(step, lowest, range) } : undefined;
      before = step;
    }
    return kept ? orient(await kept.slab, level - lowest, range) : orient(await load(step, level, 1), 0, 1);
  };
}

/** Without units, the numbers must at least be possible in those assumed. */
function checkPlausible(
  field: Float32Array,
  variable: DatasetVariable,
  info: VariableInfo,
  dataset: Dataset,
): void {
  const [low, high] = info.bounds;
  let [least, most] = [Infinity, -Infinity];
  for (const value of field) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  if (least > most || (least >= low && most <= high)) return;
  throw new ClimaxError(
    "data",
    `${variable.name} in ${dataset.path} has no units, and its values (${least} to ${most}) cannot be ${info.name} in ${info.units} (${low} to ${high})`,
    `say what they are: cdo setattribute,${variable.name}@units="..." ${dataset.path} out.nc`,
  );
}
