// One file as ClimaX fields: each recognised variable, level by level, with its grid, times and units settled,
// read one step at a time (stepreader.ts). Joining several files is archive.ts.
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "../files/dataset.ts";
import type { Grid } from "../grid/grid.ts";
import {
  type Coordinates,
  findCoordinates,
  horizontalOf,
  isBounds,
  timesOf,
  type Vertical,
  verticalOf,
} from "./coordinates.ts";
import { type Interned, interned } from "./interned.ts";
import { type Candidate, recognise, text } from "./recognise.ts";
import { type SlabCache, slabCache, stepReader, type UseVariable } from "./stepreader.ts";
import type { CfTime } from "./time.ts";
import { unitsConverter } from "./units.ts";
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

/** What the files of an archive share, and how a variable is come by when its file may have been closed since. */
export interface Sharing {
  interned: Interned;
  cache: SlabCache;
  use: <T>(name: string, work: (variable: DatasetVariable) => Promise<T>) => Promise<T>;
}

/** A file on its own, open all the time. */
const alone = ({ variables }: Dataset): Sharing => ({
  interned: interned(),
  cache: slabCache(),
  use: (name, work) => work(variables.get(name)!),
});

/**
 * The fields of a file that `wanted` accepts. Reads coordinates, and data only where units are absent.
 * @throws ClimaxError "data" for units and times that cannot be understood.
 */
export async function fieldsOf(
  dataset: Dataset,
  wanted: (info: VariableInfo, level: number | undefined) => boolean,
  sharing: Sharing = alone(dataset),
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
        sharing,
      );
      if (reader.note) result.notes.push(`${variable.name}: ${reader.note}`);
      for (const { level, index } of kept) {
        const name = fieldName(info, level);
        if (taken.has(name)) {
          result.notes.push(`${variable.name} left out: ${taken.get(name)} gives ${name} already`);
          continue;
        }
        taken.set(name, variable.name);
        result.fields.push({
          ...{ name, info, ...(level === undefined ? {} : { level }) },
          ...{ path: dataset.path, variable, grid: reader.grid, times: reader.times },
          read: readLevel(reader, index),
        });
      }
    } catch (error) {
      if (!(error instanceof ClimaxError)) throw error;
      if (error.kind !== "grid" && error.kind !== "shape") throw error;
      result.refused.push({ name: variable.name, error });
    }
  }
  result.notes.push(...coordinates.notes, ...(dataset.notes ?? []));
  return result;
}

/** Apart, so that what outlives the file holds on to nothing of it. */
function readLevel({ read, times }: Reader, index: number): Field["read"] {
  return times ? (step) => read(step, index) : () => read(0, index);
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
  sharing: Sharing,
): Promise<Reader> {
  const { dataset, notes } = coordinates;
  const time = await timesOf(coordinates, variable);
  // One number for the globe is meant only of what drives the climate; of anything else the grid is missing.
  const single = info.role === "forcing" && variable.shape.every((n, at) => n === 1 || at === time?.axis);
  const place = single ? undefined : sharing.interned.place(await horizontalOf(coordinates, variable));
  const known = [place?.latitudeAxis, place?.longitudeAxis, time?.axis, levelAxis];
  variable.dimensions.forEach((dimension, at) => {
    const length = variable.shape[at]!;
    if (known.includes(at) || length === 1) return;
    throw refusal(
      dataset,
      variable,
      `its dimension ${dimension} has ${length} entries that are no time, level, latitude or longitude (${variable.dimensions.join(", ")})`,
      dataset.format.startsWith("GRIB")
        ? `choose one of them: grib_copy -w ${dimension}=0 ${dataset.path} out.grib`
        : `choose one of them: ncks -d ${dimension},0 ${dataset.path} out.nc`,
    );
  });

  const units = text(variable.attributes, "units");
  const converter = unitsConverter(units, info, `${variable.name} in ${dataset.path}`);
  const read = stepReader({
    ...{ shape: variable.shape, chunks: variable.chunks, place, levels, converter, cache: sharing.cache },
    axes: { time: time?.axis, level: levelAxis },
    use: named(sharing.use, variable.name),
  });
  if (units === "") checkPlausible(await read(0, levels[0]!), variable, info, dataset);

  let times = time && sharing.interned.times(time.times);
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

const named = (use: Sharing["use"], name: string): UseVariable => {
  return (work) => use(name, work);
};

/** Without units, the numbers must at least be possible in those assumed. */
export function checkPlausible(
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
