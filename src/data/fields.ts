// One file as ClimaX fields: each recognised variable, level by level, with its grid, times and units settled,
// read one step at a time. Joining several files is archive.ts.
import { ClimaxError } from "../errors.ts";
import type { Grid } from "../grid/grid.ts";
import {
  type Coordinates,
  findCoordinates,
  type Horizontal,
  horizontalOf,
  isBounds,
  timesOf,
  verticalOf,
} from "./coordinates.ts";
import type { Dataset, DatasetVariable } from "./dataset.ts";
import { recognise, text } from "./recognise.ts";
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
  grid: Grid;
  /** Valid times in the file's order; undefined for a constant and for a field without a time. */
  times: CfTime[] | undefined;
  /** [H, W] of one step of the file, in ClimaX units on `grid`; missing values are NaN. */
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
    const vertical = await verticalOf(coordinates, variable);
    const found = recognise({
      name: variable.name,
      attributes: variable.attributes,
      onPressure: vertical.kind === "pressure" || vertical.kind === "refused",
      height: vertical.kind === "height" ? vertical.height : undefined,
    });
    if ("reason" in found) {
      if (variable.dimensions.length > 1) {
        result.unrecognised.push({ name: variable.name, reason: found.reason });
      }
      continue;
    }
    const { info } = found;
    const levels = levelsOf(variable, vertical.kind === "pressure" ? vertical.levels : [found.level], result);
    result.holds.push(...levels.map(({ level }) => fieldName(info, level)));
    const kept = levels.filter(({ level }) => wanted(info, level));
    if (kept.length === 0) continue;
    try {
      if (vertical.kind === "refused") throw refusal(dataset, variable, vertical.what, vertical.hint);
      if (found.note) result.notes.push(`${variable.name} ${found.note}`);
      const reader = await readerOf(coordinates, variable, info, vertical);
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
  grid: Grid;
  times: CfTime[] | undefined;
  note: string | undefined;
  read(step: number, levelIndex: number): Promise<Float32Array>;
}

async function readerOf(
  coordinates: Coordinates,
  variable: DatasetVariable,
  info: VariableInfo,
  vertical: { kind: string; axis?: number },
): Promise<Reader> {
  const { dataset, notes } = coordinates;
  const place = await horizontalOf(coordinates, variable);
  const time = await timesOf(coordinates, variable);
  const { latitudeAxis, longitudeAxis, grid } = place;
  const known = [latitudeAxis, longitudeAxis, time?.axis, vertical.axis];
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
  const slab = (step: number, level: number) => {
    const start = variable.shape.map((_, at) =>
      at === time?.axis ? step : at === vertical.axis ? level : 0,
    );
    const count = variable.shape.map((n, at) => (at === latitudeAxis || at === longitudeAxis ? n : 1));
    return variable.readUnpacked(start, count);
  };
  const orient = orientation(place, variable, converter);
  const read = async (step: number, level: number) => orient(await slab(step, level));
  if (units === "") checkPlausible(await read(0, 0), variable, info, dataset);

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
  return { grid, times, note: converter.note, read };
}

/** Puts the numbers of a one-step slab in order, south to north and eastward, and converts them. */
function orientation(
  { rows, columns, latitudeAxis, longitudeAxis }: Horizontal,
  variable: DatasetVariable,
  { scale, offset }: UnitsConverter,
) {
  const latitudeFirst = latitudeAxis < longitudeAxis;
  const rowStride = latitudeFirst ? variable.shape[longitudeAxis]! : 1;
  const columnStride = latitudeFirst ? 1 : variable.shape[latitudeAxis]!;
  const [height, width] = [rows.length, columns.length];
  return (slab: ArrayLike<number>) => {
    const field = new Float32Array(height * width); // [H, W]
    for (let row = 0; row < height; row++) {
      const from = rows[row]! * rowStride;
      for (let column = 0; column < width; column++) {
        field[row * width + column] = slab[from + columns[column]! * columnStride]! * scale + offset;
      }
    }
    return field;
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
