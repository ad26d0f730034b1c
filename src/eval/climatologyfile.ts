/**
 * Climatologies in files by the time of the year: by day of the year, with or without the hour of the day, as
 * WeatherBench 2 stores them, or by month. A file may hold only the days and hours that are needed.
 */
import { findCoordinates, horizontalOf, verticalOf } from "../data/coordinates.ts";
import { checkPlausible } from "../data/fields.ts";
import { openDataset } from "../data/open.ts";
import { recognise, text } from "../data/recognise.ts";
import { slabCache } from "../data/stepreader.ts";
import { unitsConverter } from "../data/units.ts";
import { fieldName, type VariableInfo } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "../files/dataset.ts";
import { describeGrid, type Grid, sameGrid } from "../grid/grid.ts";
import { type DateAxes, type DatedFields, dateAxes, datedFields, extraDimension } from "./datedfields.ts";
import type { FieldAt } from "./truth.ts";

export interface ClimatologyFile {
  readonly path: string;
  readonly grid: Grid;
  readonly axes: DateAxes;
  /** What was converted or assumed, and left out. */
  readonly notes: readonly string[];
  /** ClimaX names. */
  readonly variables: readonly string[];
  /**
   * [H * W] for each valid time, in ClimaX units; undefined for a variable that it does not have. A time of the year
   * or of the day that the file lacks is a ClimaxError "data" that names it.
   */
  field(name: string): FieldAt | undefined;
  /** All that it holds, by the file's own names. */
  readonly names: readonly string[];
  /** For what is no state: a variable by its own name, in the file's units. */
  raw(name: string): Promise<(DatedFields & Pick<DatasetVariable, "attributes">) | undefined>;
  close(): Promise<void>;
}

/** Endings of other statistics than the mean, by which WeatherBench 2 tells them apart. */
const noMean = /_(std|seeps_threshold|seeps_dry_fraction|quantile)$/;

/**
 * Opens a NetCDF file or Zarr store with a dimension dayofyear or month, in any order of dimensions; undefined for a
 * file without. Reads coordinates only.
 *
 * @throws ClimaxError "data" for a file that cannot be read or has no variable that is known, "grid" for one of
 *         several grids
 */
export async function openClimatologyFile(path: string): Promise<ClimatologyFile | undefined> {
  const dataset = await openDataset(path);
  try {
    const axes = await dateAxes(dataset);
    if (axes) return await describe(path, dataset, axes);
  } catch (error) {
    await dataset.close();
    throw error;
  }
  await dataset.close();
  return undefined;
}

/** Elements of the file that are kept: 64 MiB of float32. */
const cacheSize = 2 ** 24;

interface Found {
  readonly info: VariableInfo;
  readonly fields: DatedFields;
  readonly levelIndex: number;
  readonly variable: DatasetVariable;
}

async function describe(path: string, dataset: Dataset, axes: DateAxes): Promise<ClimatologyFile> {
  const coordinates = findCoordinates(dataset);
  const cache = slabCache(cacheSize);
  const notes: string[] = [];
  const found = new Map<string, Found>();
  let grid: Grid | undefined;
  for (const variable of dataset.variables.values()) {
    if (!variable.dimensions.includes(axes.dimension) || noMean.test(variable.name)) continue;
    if (coordinates.all.has(variable.name) || variable.dimensions.length < 3) continue;
    const vertical = await verticalOf(coordinates, variable);
    const own = variable.name.replace(/_mean$/, "");
    const recognised = recognise({
      name: own,
      attributes: variable.attributes,
      onPressure: vertical.kind === "pressure",
      height: vertical.kind === "height" ? vertical.height : undefined,
    });
    if ("reason" in recognised || vertical.kind === "refused") {
      const why = vertical.kind === "refused" ? vertical.what : "reason" in recognised && recognised.reason;
      notes.push(`${path}: ${variable.name} left out: ${why}`);
      continue;
    }
    const { info } = recognised;
    const place = await horizontalOf(coordinates, variable);
    if (grid && !sameGrid(grid, place.grid)) {
      throw new ClimaxError(
        "grid",
        `${variable.name} of ${path} is on ${describeGrid(place.grid)}, the variables before it on ${describeGrid(grid)}`,
        "put the variables on one grid first: climax regrid IN --res ... -o OUT",
      );
    }
    grid = place.grid;
    const units = text(variable.attributes, "units");
    const converter = unitsConverter(units, info, `${variable.name} in ${path}`);
    if (converter.note) notes.push(`${path}: ${variable.name}: ${converter.note}`);
    const levelAxis = vertical.kind === "pressure" ? vertical.axis : undefined;
    const extra = extraDimension(axes, variable, place, levelAxis);
    if (extra !== undefined) {
      notes.push(`${path}: ${variable.name} left out: its dimension ${extra} is no time of the year`);
      continue;
    }
    const fields = datedFields(path, axes, variable, place, { levelAxis, converter, cache });
    const levels = vertical.kind === "pressure" ? vertical.levels : [recognised.level];
    for (const [levelIndex, exact] of levels.entries()) {
      // float32 pascals leave a little of a whole level; names take whole hPa.
      const level = exact === undefined ? undefined : Math.round(exact);
      if (level !== undefined && Math.abs(exact! - level) > 0.01) continue;
      const name = fieldName(info, level);
      if (found.has(name)) {
        notes.push(
          `${path}: ${variable.name} left out: ${found.get(name)!.variable.name} gives ${name} already`,
        );
      } else found.set(name, { info, fields, levelIndex, variable });
    }
  }
  const seeps = [...dataset.variables.values()].find(({ name }) => name.endsWith("_seeps_threshold"));
  if (!grid && seeps) grid = (await horizontalOf(coordinates, seeps)).grid;
  if (!grid) {
    throw new ClimaxError(
      "data",
      `${path} holds no climatology of a variable that is known; it has ${[...dataset.variables.keys()].join(", ")}`,
      "give its variables ClimaX, ERA5 or CMIP6 names, or CF standard names",
    );
  }
  return {
    path,
    grid,
    axes,
    notes: [...notes, ...[...coordinates.notes].map((note) => `${path}: ${note}`)],
    variables: [...found.keys()],
    names: [...dataset.variables.keys()],
    field(name) {
      const one = found.get(name);
      return one && plausibleFields(dataset, one);
    },
    async raw(name) {
      const variable = dataset.variables.get(name);
      if (!variable) return undefined;
      const place = await horizontalOf(coordinates, variable);
      const fields = datedFields(path, axes, variable, place, {
        converter: { scale: 1, offset: 0 },
        cache,
      });
      return { ...fields, attributes: variable.attributes };
    },
    close: () => dataset.close(),
  };
}

/** The first field without units must at least be possible in those assumed. */
function plausibleFields(dataset: Dataset, { info, fields, levelIndex, variable }: Found): FieldAt {
  let checked = text(variable.attributes, "units") !== "";
  return async (valid) => {
    const field = await fields.at(valid, levelIndex);
    if (!checked) checkPlausible(field, variable, info, dataset);
    checked = true;
    return field;
  };
}
