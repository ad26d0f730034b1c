// Where a file's numbers lie: which of its variables are coordinates, what each dimension means, and from that
// the grid, the times and the levels of a variable. By units, standard name, axis and name, in that order (CF 4).
import { ClimaxError } from "../errors.ts";
import type { Dataset, DatasetVariable } from "../files/dataset.ts";
import { type Grid, makeGrid } from "../grid/grid.ts";
import { orderLatitudes, orderLongitudes } from "./orientation.ts";
import { text } from "./recognise.ts";
import { refusePlace } from "./refuseplace.ts";
import { readDegrees, readScattered, type Scattered, scatteredPair } from "./scattered.ts";
import { addHours, type CfTime, decodeTimes } from "./time.ts";
import { parseUnit } from "./units.ts";

/** What a coordinate measures. `reference` is the initial time of a forecast, `lead` the time since it. */
export type CoordinateKind =
  | "latitude"
  | "longitude"
  | "time"
  | "reference"
  | "lead"
  | "month"
  | "pressure"
  | "height"
  | "model"
  | "rotated";

export type { Scattered } from "./scattered.ts";

export interface Coordinate {
  kind: CoordinateKind;
  variable: DatasetVariable;
}

export interface Coordinates {
  dataset: Dataset;
  /** The coordinate of each dimension that has one, by the dimension's name. */
  axes: Map<string, Coordinate>;
  /** All coordinate variables by name: axes, scalars, and latitudes and longitudes of two dimensions. */
  all: Map<string, Coordinate>;
  /** What was assumed, for the user. */
  notes: Set<string>;
  /** Times decoded so far, by coordinate, so that variables share them. */
  decoded: Map<DatasetVariable, CfTime[]>;
}

/** A variable's place on the sphere: file row of each grid row, file column of each grid column. */
export interface Horizontal {
  grid: Grid;
  /** [H] */
  rows: Int32Array;
  /** [W] */
  columns: Int32Array;
  /** Positions of latitude and longitude among the variable's dimensions. */
  latitudeAxis: number;
  longitudeAxis: number;
}

/** A variable's place in the vertical. `axis` is the position among its dimensions; absent for a scalar coordinate. */
export type Vertical =
  | { kind: "pressure"; axis?: number /** hPa */; levels: number[] }
  | { kind: "height" /** m */; height: number }
  | { kind: "refused"; what: string; hint: string }
  | { kind: "none" };

const latitudeUnits = /^degrees?_?n(orth)?$/i;
const longitudeUnits = /^degrees?_?e(ast)?$/i;
const pressureNames = /^(p|lev|levels?|levelist|plevs?|pressure(_level)?s?|isobaric\w*|air_pressure|pfull)$/i;
const modelNames = /^(hybrid|model_?levels?|mlev|nhym|ilev|sigma|eta)$/i;

/** What a variable of at most two dimensions measures as a coordinate; undefined when it is data. */
export function coordinateKind(variable: DatasetVariable): CoordinateKind | undefined {
  const { name, attributes } = variable;
  const units = text(attributes, "units");
  const standard = text(attributes, "standard_name");
  const axis = text(attributes, "axis").toUpperCase();
  if (/^grid_(lat|long)itude$/.test(standard) || /^r(lat|lon)$/i.test(name)) return "rotated";
  const angle = units === "" || /^(deg(rees?)?|rad(ians?)?)$/i.test(units);
  // By units first: CDO calls a latitude of a file with a grid mapping a projection_y_coordinate.
  if (standard === "latitude" || latitudeUnits.test(units)) return "latitude";
  if (standard === "longitude" || longitudeUnits.test(units)) return "longitude";
  if (/^projection_[xy]_coordinate$/.test(standard)) return "rotated";
  // ICON has clat, MPAS latCell, NEMO nav_lat.
  if (angle && /^(c|nav_)?lat(s|itudes?|cell)?$/i.test(name)) return "latitude";
  if (angle && /^(c|nav_)?lon(s|g|gitudes?|cell)?$/i.test(name)) return "longitude";
  if (standard === "forecast_reference_time") return "reference";
  if (standard === "forecast_period" || /^(prediction_timedelta|lead_?time|step)$/i.test(name)) return "lead";
  if (standard === "time" || axis === "T" || / since |^day as %Y/.test(units)) return "time";
  if (/^(valid_)?time$/i.test(name)) return "time";
  if (/^months?$/i.test(name)) return "month";
  if (variable.dimensions.length > 1) return undefined;
  return verticalKind(variable, units, standard, axis);
}

function verticalKind(
  variable: DatasetVariable,
  units: string,
  standard: string,
  axis: string,
): CoordinateKind | undefined {
  const { name, attributes } = variable;
  if (standard.startsWith("atmosphere_") || attributes.has("formula_terms")) return "model";
  if (modelNames.test(name) || standard === "model_level_number") return "model";
  const unit = parseUnit(units)?.dimension.join();
  const pascals = units !== "" && unit === parseUnit("Pa")!.dimension.join();
  // A scalar in Pa may be a constant of the model, such as CESM's P0: it must be named as a level.
  const named = variable.dimensions.length === 1 || pressureNames.test(name);
  if (standard === "air_pressure" || (pascals && named)) return "pressure";
  const vertical = axis === "Z" || attributes.has("positive") || pressureNames.test(name);
  if (standard === "height" || standard === "altitude" || /^height(_?\d+m?)?$/i.test(name)) return "height";
  if (vertical && unit === parseUnit("m")!.dimension.join()) return "height";
  if (pressureNames.test(name) && units === "") return "pressure";
  return vertical ? "model" : undefined;
}

/** Finds the coordinates of a file. Reads attributes only. */
export function findCoordinates(dataset: Dataset): Coordinates {
  const all = new Map<string, Coordinate>();
  const axes = new Map<string, Coordinate>();
  const onDimension = new Map<string, Coordinate[]>();
  for (const variable of dataset.variables.values()) {
    if (variable.dimensions.length > 2 || isBounds(dataset, variable.name)) continue;
    const kind = coordinateKind(variable);
    if (kind === undefined) continue;
    const coordinate = { kind, variable };
    if (variable.dimensions.length === 2 && kind !== "latitude" && kind !== "longitude") continue;
    all.set(variable.name, coordinate);
    if (variable.dimensions.length === 1) {
      const dimension = variable.dimensions[0]!;
      onDimension.set(dimension, [...(onDimension.get(dimension) ?? []), coordinate]);
    }
  }
  for (const [dimension, list] of onDimension) {
    // The variable named as its dimension comes first (CF 2.4); else a lone latitude, time... along it.
    const own = list.find((coordinate) => coordinate.variable.name === dimension);
    const valid = list.find((coordinate) => coordinate.kind === "time");
    const cells = list.some((c) => c.kind === "latitude") && list.some((c) => c.kind === "longitude");
    if (own && !cells) axes.set(dimension, own);
    else if (!cells) axes.set(dimension, valid ?? list[0]!);
  }
  return { dataset, axes, all, notes: new Set(), decoded: new Map() };
}

/** Whether it holds cell bounds of another variable: no data, though it has that variable's dimensions. */
export function isBounds(dataset: Dataset, name: string): boolean {
  if (/_(bnds|bounds|vertices)$|^vertices_|^(bounds|bnds)_/i.test(name)) return true;
  return [...dataset.variables.values()].some(({ attributes }) =>
    ["bounds", "climatology"].some((key) => text(attributes, key) === name),
  );
}

/**
 * A coordinate without a dimension of this variable: named by its `coordinates`, or else any scalar of the file. An axis
 * of one element is a scalar only where it is named: other variables lie on that level, this one does not.
 */
function scalarOf(
  { all, dataset }: Coordinates,
  variable: DatasetVariable,
  kinds: CoordinateKind[],
): Coordinate | undefined {
  const listed = [variable.attributes, dataset.attributes].map((from) => text(from, "coordinates")).join(" ");
  const named = text(variable.attributes, "coordinates") !== "";
  const names = named ? listed.split(/\s+/) : [...all.keys()];
  for (const kind of kinds) {
    const isLevel = kind === "pressure" || kind === "height";
    for (const name of names) {
      const found = all.get(name);
      if (found?.kind !== kind || (isLevel && !named && found.variable.shape.length > 0)) continue;
      const single = found.variable.shape.every((n) => n === 1);
      if (single && !found.variable.dimensions.some((d) => variable.dimensions.includes(d))) return found;
    }
  }
  return undefined;
}

const values = (coordinate: Coordinate) => coordinate.variable.readUnpacked();

/** Position among the variable's dimensions of the one of that kind; -1 when it has none. */
function axisOf({ axes }: Coordinates, variable: DatasetVariable, ...kinds: CoordinateKind[]): number {
  return variable.dimensions.findIndex((dimension) => {
    const kind = axes.get(dimension)?.kind;
    return kind !== undefined && kinds.includes(kind);
  });
}

/** Where a variable lies, on latitudes by longitudes or not. */
export type Place = Horizontal | Scattered;

/**
 * The place of a variable: its grid, or the points of a curvilinear or an unstructured one. `corners` asks for
 * the corners of the latter's cells.
 * @throws ClimaxError "grid" when the file does not say where its numbers lie
 */
export async function placeOf(
  coordinates: Coordinates,
  variable: DatasetVariable,
  corners = false,
): Promise<Place> {
  const rectilinear =
    axisOf(coordinates, variable, "latitude") >= 0 && axisOf(coordinates, variable, "longitude") >= 0;
  const pair = rectilinear ? undefined : scatteredPair(coordinates, variable);
  return pair ? readScattered(coordinates, variable, pair, corners) : horizontalOf(coordinates, variable);
}

/**
 * The grid of a variable, south to north and eastward from 0.
 * @throws ClimaxError "grid" for curvilinear, unstructured and rotated grids and for a file without latitudes.
 */
export async function horizontalOf(coordinates: Coordinates, variable: DatasetVariable): Promise<Horizontal> {
  const latitudeAxis = axisOf(coordinates, variable, "latitude");
  const longitudeAxis = axisOf(coordinates, variable, "longitude");
  if (latitudeAxis < 0 || longitudeAxis < 0) return refusePlace(coordinates, variable);
  const { axes, dataset, notes } = coordinates;
  const [latitude, longitude] = [latitudeAxis, longitudeAxis].map(
    (at) => axes.get(variable.dimensions[at]!)!,
  );
  for (const { kind, variable: axis } of [latitude!, longitude!]) {
    if (text(axis.attributes, "units") === "")
      notes.add(`${axis.name} has no units; taken as ${kind} by its name`);
  }
  const { lat, rows } = orderLatitudes(await readDegrees(latitude!.variable), dataset.path);
  const { lon, columns } = orderLongitudes(await readDegrees(longitude!.variable), dataset.path, notes);
  return { grid: makeGrid(lat, lon), rows, columns, latitudeAxis, longitudeAxis };
}

/** The levels of a variable, in hPa. Model and height levels are not refused here but described. */
export async function verticalOf(coordinates: Coordinates, variable: DatasetVariable): Promise<Vertical> {
  const { axes, dataset, notes } = coordinates;
  const axis = axisOf(coordinates, variable, "pressure", "height", "model");
  const coordinate =
    axis < 0 ? scalarOf(coordinates, variable, ["pressure", "height"]) : axes.get(variable.dimensions[axis]!);
  if (!coordinate) return { kind: "none" };
  const raw = await values(coordinate);
  const { name, attributes } = coordinate.variable;
  if (coordinate.kind === "height" && raw.length === 1) return { kind: "height", height: raw[0]! };
  if (coordinate.kind === "pressure") {
    const levels = pressureLevels(raw, text(attributes, "units"), name, notes);
    if (levels) return axis < 0 ? { kind: "pressure", levels } : { kind: "pressure", axis, levels };
  }
  if (raw.length === 1) return { kind: "none" }; // one level that is neither: the ground, the top, the air's column
  const long = text(attributes, "standard_name") || text(attributes, "long_name") || "no standard name";
  return {
    kind: "refused",
    what: `its vertical axis ${name}(${coordinate.variable.shape[0]}) is no pressure (${long}, units "${text(attributes, "units")}")`,
    hint: `bring it to pressure levels first: cdo -f nc4 ml2pl,5000,25000,50000,60000,70000,85000,92500 ${dataset.path} out.nc (needs the surface pressure in the file)`,
  };
}

/** Levels in hPa; undefined when numbers without units look like counts of model levels. */
function pressureLevels(
  raw: ArrayLike<number>,
  units: string,
  name: string,
  notes: Set<string>,
): number[] | undefined {
  const list = Array.from(raw);
  if (units !== "") {
    const factor = parseUnit(units)?.factor ?? 100; // standard name air_pressure with strange units: seldom, hPa
    return list.map((value) => (value * factor) / 100);
  }
  const counted = list.every((value, i) => value === list[0]! + i) && list[0]! <= 1 && list.length > 1;
  if (counted) return undefined;
  // The highest pressure at the ground is 1085 hPa; the lowest level in use, 1000 Pa = 10 hPa, is below that in Pa.
  const pascals = Math.max(...list) > 1100;
  notes.add(
    `${name} has no units; taken as ${pascals ? "Pa" : "hPa"} by its values, ${Math.min(...list)} to ${Math.max(...list)}`,
  );
  return pascals ? list.map((value) => value / 100) : list;
}

/**
 * Valid times of a variable's steps: `axis` among its dimensions, or none for a scalar time coordinate; undefined
 * when the file gives it no time at all.
 */
export async function timesOf(
  coordinates: Coordinates,
  variable: DatasetVariable,
): Promise<{ axis?: number; times: CfTime[] } | undefined> {
  const { axes, dataset, notes, decoded } = coordinates;
  const axis = axisOf(coordinates, variable, "time", "reference", "month");
  const coordinate =
    axis < 0 ? scalarOf(coordinates, variable, ["time", "reference"]) : axes.get(variable.dimensions[axis]!);
  if (!coordinate) return undefined;
  const place = axis < 0 ? {} : { axis };
  let times = decoded.get(coordinate.variable);
  if (!times) {
    const raw = await values(coordinate);
    const month = coordinate.kind === "month";
    times = month
      ? months(raw, coordinate.variable, dataset, notes)
      : decode(coordinate, raw, dataset, notes);
    decoded.set(coordinate.variable, times);
  }
  if (coordinate.kind === "reference") {
    const leadAxis = axisOf(coordinates, variable, "lead");
    const lead =
      leadAxis < 0 ? scalarOf(coordinates, variable, ["lead"]) : axes.get(variable.dimensions[leadAxis]!);
    const hours = lead?.variable.shape.every((n) => n === 1) ? await leadHours(lead) : undefined;
    if (hours) {
      times = times.map((time) => addHours(time, hours));
      notes.add(`valid time is ${coordinate.variable.name} plus ${lead!.variable.name}, ${hours} h`);
    }
  }
  return { ...place, times };
}

function decode(
  { variable }: Coordinate,
  raw: ArrayLike<number>,
  dataset: Dataset,
  notes: Set<string>,
): CfTime[] {
  const units = text(variable.attributes, "units");
  const calendar = text(variable.attributes, "calendar") || undefined;
  const years = units === "" ? bareYears(raw, calendar) : undefined;
  if (years) {
    notes.add(`${variable.name} has no units and counts years (${raw[0]}, ...); dated to their 1 July`);
    return years;
  }
  if (units === "") {
    throw new ClimaxError(
      "data",
      `${variable.name} in ${dataset.path} has no units, so its steps have no dates`,
      `set them: cdo -r settaxis,2001-01-01,00:00,6hour ${dataset.path} out.nc`,
    );
  }
  try {
    return decodeTimes(raw, units, calendar);
  } catch (error) {
    if (!(error instanceof ClimaxError)) throw error;
    throw new ClimaxError(error.kind, `${variable.name} in ${dataset.path}: ${error.message}`, error.hint, {
      cause: error,
    });
  }
}

/**
 * Annual means as ClimateBench has them: a time that is the year, 1850, 1851, ..., dated to the middle of it. Years have
 * four digits and follow one another, so that a count of steps is not taken for them.
 */
function bareYears(raw: ArrayLike<number>, calendar: string | undefined): CfTime[] | undefined {
  const list = Array.from(raw);
  const yearly = list.every((year, i) => Number.isInteger(year) && (i === 0 || year === list[i - 1]! + 1));
  if (list.length === 0 || !yearly || list[0]! < 1000 || list.at(-1)! > 9999) return undefined;
  return list.map((year) => decodeTimes([0], `days since ${year}-07-01`, calendar)[0]!);
}

async function leadHours(lead: Coordinate): Promise<number> {
  const [value = 0] = await values(lead);
  const seconds = parseUnit(text(lead.variable.attributes, "units") || "hours")?.factor ?? 3600;
  return (value * seconds) / 3600;
}

/** Months of no year in particular, such as a climatology's: the middle of each month of year 1. */
function months(
  raw: ArrayLike<number>,
  variable: DatasetVariable,
  dataset: Dataset,
  notes: Set<string>,
): CfTime[] {
  const list = Array.from(raw);
  const valid = list.every(
    (m, i) => Number.isInteger(m) && m >= 1 && m <= 12 && (i === 0 || m > list[i - 1]!),
  );
  if (!valid) {
    throw new ClimaxError(
      "data",
      `${variable.name} in ${dataset.path} holds ${list.slice(0, 12).join(", ")}; wanted rising months 1 to 12, or a time with units`,
      `set real dates: cdo -r settaxis,2001-01-16,00:00,1month ${dataset.path} out.nc`,
    );
  }
  notes.add(
    `${variable.name} names months without a year (${list.join(", ")}); dated to the 16th of each in year 1`,
  );
  return list.map((month) => decodeTimes([0], `days since 0001-${month}-16`, "proleptic_gregorian")[0]!);
}
