// What the variables of a GRIB file are called and what their attributes say, in the words of NetCDF files: the names
// that ECMWF's tools give them (t2m, u10, msl), CF standard names, cell methods.
import type { AttributeValue } from "./dataset.ts";
import type { GribKeys } from "./eccodes.ts";
import { type GribCube, levelType } from "./gribcube.ts";
import type { GribGrid } from "./gribgrid.ts";

/**
 * Levels where a parameter is what its name says. On others (cloud tops, the tropopause, layers of the soil) "pres" is
 * no surface pressure and "tcc" not the whole sky's: those carry the level in their names and no others'.
 */
const ordinary = new Set([
  "pressure",
  "surface",
  "meanSea",
  "heightAboveGround",
  "heightAboveSea",
  "atmosphere",
  "atmosphereSingleLayer",
  "entireAtmosphere",
  "nominalTop",
  "hybrid",
  "",
]);
const onOrdinaryLevel = (keys: GribKeys) => ordinary.has(levelType(keys));

/** The spread of an ensemble, a probability, a percentile: no state of the air. Means (derived forecasts 0 and 1) are. */
function statistic({ dataType, variant }: GribKeys): string {
  if (/^e[ps]$/.test(dataType)) return dataType;
  return /^(derived[01])?$/.test(variant) ? "" : variant;
}

const isOrdinary = (keys: GribKeys) => onOrdinaryLevel(keys) && statistic(keys) === "";

/** Names that NetCDF files give to parameters whose short name begins with a height in metres. */
const inNetcdf: Record<string, string> = {
  "2t": "t2m",
  "2d": "d2m",
  "10u": "u10",
  "10v": "v10",
  "10si": "si10",
  "100u": "u100",
  "100v": "v100",
};

/** A name for each cube: the parameter's, with what sets it apart where several share it. */
export function gribNames(cubes: readonly GribCube[], grids: readonly GribGrid[]): string[] {
  const taken = new Set<string>();
  const bases = cubes.map((cube) => baseName(cube.keys, grids[cube.grid]!));
  /** The plain name goes to the one on pressure levels, else to the first. */
  const plain = new Map<string, number>();
  bases.forEach((base, i) => {
    const before = plain.get(base);
    const rank = (at: number) =>
      (levelType(cubes[at]!.keys) === "pressure" ? 0 : 1) + cubes[at]!.marks.length * 2;
    if (before === undefined || rank(i) < rank(before)) plain.set(base, i);
  });
  const names = bases.map((base, i) => (plain.get(base) === i && isOrdinary(cubes[i]!.keys) ? base : ""));
  for (const name of names) taken.add(name);
  return names.map((name, i) => {
    if (name !== "") return name;
    const [cube, first] = [cubes[i]!, cubes[plain.get(bases[i]!)!]!];
    const type = levelType(cube.keys);
    const marks = [
      type === levelType(first.keys) && onOrdinaryLevel(cube.keys) ? "" : type,
      cube.keys.stepType === first.keys.stepType ? "" : cube.keys.stepType,
      cube.keys.dataType === "em" && first.keys.dataType !== "em" ? "em" : "",
      statistic(cube.keys) || (cube.keys.variant === first.keys.variant ? "" : cube.keys.variant),
      ...cube.marks,
    ];
    const marked = legal([bases[i], ...marks].filter((mark) => mark !== "").join("_"));
    let unique = marked;
    for (let n = 2; taken.has(unique); n++) unique = `${marked}_${n}`;
    taken.add(unique);
    return unique;
  });
}

function baseName(keys: GribKeys, grid: GribGrid): string {
  const { shortName, code } = keys;
  if (shortName === "") return legal(`param_${code.replace(/^table /, "")}`);
  // Turned round, 200u and 2r would be read as wind and humidity on levels of 200 and 2 hPa.
  const [, height, letters] = /^(\d+)([A-Za-z]+)$/.exec(shortName) ?? [];
  const inMetres = height !== undefined && keys.typeOfLevel === "heightAboveGround";
  const name = inNetcdf[shortName] ?? (inMetres ? `${letters}_${height}m` : legal(shortName));
  return isAlongGrid(keys, grid) ? `${name}_along_grid` : name;
}

/** A name begins with a letter and holds letters, digits and underscores (CF 2.3). */
function legal(name: string): string {
  const plain = name.replaceAll(/[^A-Za-z0-9]+/g, "_").replace(/_+$/, "");
  return /^[A-Za-z]/.test(plain) ? plain : `var_${plain}`;
}

/** Components of the wind along the rows and columns of a grid whose rows are no circles of latitude. */
const isAlongGrid = ({ gridWinds, shortName }: GribKeys, { layout }: GribGrid) =>
  gridWinds && layout !== "rectilinear" && /^(\d+)?[uv]$|^[uv]gust$/.test(shortName);

const methods: Record<string, string> = {
  avg: "mean",
  accum: "sum",
  max: "maximum",
  min: "minimum",
  sd: "standard_deviation",
};

/** What no library of the field's names tells: the temperature of the surface is not that of the air. */
const ofSurface: Record<string, string> = { t: "surface_temperature" };

/** Attributes of the variable of a cube. `others`: coordinates of it that are no dimensions. */
export function gribAttributes(
  cube: GribCube,
  grid: GribGrid,
  edition: number,
  packing: string,
  others: readonly string[],
): Map<string, AttributeValue> {
  const { keys } = cube;
  const attributes = new Map<string, AttributeValue>();
  const set = (name: string, value: string | number | undefined) => {
    if (value !== undefined && value !== "") attributes.set(name, value);
  };
  const alongGrid = isAlongGrid(keys, grid);
  const own = isOrdinary(keys);
  const component = /u/.test(keys.shortName) ? "x_wind" : "y_wind";
  const surface = levelType(keys) === "surface" ? ofSurface[keys.shortName] : undefined;
  if (own) set("standard_name", alongGrid ? component : (surface ?? keys.cfName));
  const apart = [
    alongGrid ? "along the grid" : "",
    onOrdinaryLevel(keys) ? "" : keys.typeOfLevel,
    statistic(keys),
  ].filter((each) => each !== "");
  set("long_name", apart.length > 0 && keys.name ? `${keys.name} (${apart.join(", ")})` : keys.name);
  set("units", keys.units === "~" ? "1" : keys.units);
  // ecCodes calls NCEP's maxima instantaneous.
  const stepType = /^t(max|min)$/.exec(keys.shortName)?.[1] ?? keys.stepType;
  const method = methods[stepType];
  const interval = cube.interval ? ` (interval of ${cube.interval})` : "";
  const over = cube.sinceStart ? " (comment: since the initial time)" : interval;
  set("cell_methods", method && `time: ${method}${over}`);
  set("coordinates", others.join(" "));
  set("GRIB_edition", edition);
  set("GRIB_paramId", keys.paramId);
  // Readers know a variable by its short name, and must not take x_wind for u.
  if (own && !alongGrid) set("GRIB_shortName", keys.shortName);
  if (keys.shortName === "") set("GRIB_parameter", keys.code);
  set("GRIB_typeOfLevel", keys.typeOfLevel);
  set("GRIB_gridType", grid.type);
  set("GRIB_packing", packing);
  set("GRIB_dataType", keys.dataType);
  return attributes;
}
