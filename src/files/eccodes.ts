// The binding to ECMWF's ecCodes, the C library that knows GRIB's tables and packings. Runs in a process of its own
// (gribchild.ts): on damaged messages the library may abort, overrun or loop, and no handler survives that.
import { createRequire } from "node:module";
import { join } from "node:path";
import { gribSeconds } from "./gribfield.ts";

/** What the library says of a message, without its values. Texts are "" and numbers undefined where it does not know. */
export interface GribKeys {
  shortName: string;
  /** CF standard name. */
  cfName: string;
  name: string;
  units: string;
  paramId: number | undefined;
  /** What was coded, for what has no name: "0.3.192", or "table 2, 11" in GRIB 1. */
  code: string;
  typeOfLevel: string;
  /** In the units of the coding: hPa for isobaricInhPa, Pa for isobaricInPa. */
  level: number | undefined;
  /** Both ends of a layer. */
  layer: [number, number] | undefined;
  gridType: string;
  columns: number | undefined;
  rows: number | undefined;
  /** Whether the points of a column follow one another. */
  columnwise: boolean;
  /** Whether winds point along the axes of the grid rather than east and north. */
  gridWinds: boolean;
  stepType: string;
  stepRange: string;
  dataType: string;
  /** Ensemble mean, probability, percentile...: what sets a field apart from others of its parameter. */
  variant: string;
  number: number | undefined;
  /** Seconds since 1970-01-01 UTC. */
  reference: number;
  valid: number;
}

export interface Eccodes {
  /** "2.28.0" */
  version: string;
  keys(message: Uint8Array): GribKeys;
  /** Degrees of each point, in the order of the values. */
  coordinates(message: Uint8Array, points: number): { latitude: Float64Array; longitude: Float64Array };
  /** The values of a message, NaN where missing, in the order of the coordinates. */
  values(message: Uint8Array, points: number): Float64Array<ArrayBuffer>;
}

/** The library is not there, or cannot be loaded; `message` says what was tried. */
export class EccodesMissing extends Error {}

type Native = (...args: unknown[]) => unknown;
interface Koffi {
  load(path: string | null): { func(name: string, result: string, parameters: string[]): Native };
}

/** Marks missing values: no field holds it, and every packing keeps it apart. */
const missingValue = -1.5e300;

/** @throws EccodesMissing */
export function loadEccodes(): Eccodes {
  const koffi = loadKoffi();
  const library = loadLibrary(koffi);
  const open = library.func("codes_handle_new_from_message_copy", "void *", ["void *", "void *", "size_t"]);
  const close = library.func("codes_handle_delete", "int", ["void *"]);
  const text = library.func("codes_get_error_message", "str", ["int"]);
  const getLong = library.func("codes_get_long", "int", ["void *", "str", "void *"]);
  const getString = library.func("codes_get_string", "int", ["void *", "str", "void *", "void *"]);
  const isMissing = library.func("codes_is_missing", "int", ["void *", "str", "void *"]);
  const setLong = library.func("codes_set_long", "int", ["void *", "str", "long"]);
  const setArray = library.func("codes_set_double_array", "int", ["void *", "str", "void *", "size_t"]);
  const setDouble = library.func("codes_set_double", "int", ["void *", "str", "double"]);
  const getSize = library.func("codes_get_size", "int", ["void *", "str", "void *"]);
  const getArray = library.func("codes_get_double_array", "int", ["void *", "str", "void *", "void *"]);
  const getData = library.func("codes_grib_get_data", "int", ["void *", "void *", "void *", "void *"]);
  const number = library.func("codes_get_api_version", "long", [])() as number;

  const check = (status: unknown, doing: string): void => {
    if (status !== 0) throw new Error(`${doing}: ${String(text(status))}`);
  };
  const withHandle = <T>(message: Uint8Array, use: (handle: unknown) => T): T => {
    const handle = open(null, message, message.length);
    if (handle === null) throw new Error("it does not accept the message");
    try {
      return use(handle);
    } finally {
      close(handle);
    }
  };
  const sized = (handle: unknown, key: string, points: number): void => {
    const size = new BigUint64Array(1);
    check(getSize(handle, key, size), `the size of ${key}`);
    if (Number(size[0]) !== points) throw new Error(`it finds ${size[0]} ${key}, not ${points}`);
  };
  const long = (handle: unknown, key: string): number | undefined => {
    const [value, error] = [new BigInt64Array(1), new Int32Array(1)];
    if (isMissing(handle, key, error) === 1 || error[0] !== 0) return undefined;
    return getLong(handle, key, value) === 0 ? Number(value[0]) : undefined;
  };
  const string = (handle: unknown, key: string): string => {
    const [value, length] = [Buffer.alloc(1024), BigUint64Array.of(1024n)];
    if (getString(handle, key, value, length) !== 0) return "";
    const end = value.indexOf(0);
    const found = value.toString("utf8", 0, end < 0 ? value.length : end);
    return /^(unknown|undef|MISSING|not_found)$/.test(found) ? "" : found;
  };

  return {
    version: [1e4, 100, 1].map((unit) => Math.floor(number / unit) % 100).join("."),
    keys: (message) =>
      withHandle(message, (handle) =>
        keysOf(
          (key) => string(handle, key),
          (key) => long(handle, key),
        ),
      ),
    coordinates: (message, points) =>
      withHandle(message, (handle) => {
        // For some grids and versions the coordinates come in another order than the values: numbered values tell.
        const order = Float64Array.from({ length: points }, (_, i) => i);
        check(setLong(handle, "bitsPerValue", points < 2 ** 24 ? 24 : 32), "numbering its points");
        check(setArray(handle, "values", order, points), "numbering its points");
        sized(handle, "values", points);
        const [latitudes, longitudes] = [new Float64Array(points), new Float64Array(points)];
        check(getData(handle, latitudes, longitudes, order), "the coordinates of its grid");
        const [latitude, longitude] = [new Float64Array(points).fill(Number.NaN), new Float64Array(points)];
        for (let i = 0; i < points; i++) {
          const to = Math.round(order[i]!);
          latitude[to] = latitudes[i]!;
          longitude[to] = longitudes[i]!;
        }
        return { latitude, longitude };
      }),
    values: (message, points) =>
      withHandle(message, (handle) => {
        sized(handle, "values", points);
        check(setDouble(handle, "missingValue", missingValue), "marking missing values");
        const values = new Float64Array(points);
        const length = BigUint64Array.of(BigInt(points));
        check(getArray(handle, "values", values, length), "unpacking its values");
        if (Number(length[0]) !== points) throw new Error(`it unpacked ${length[0]} values, not ${points}`);
        for (let i = 0; i < points; i++) if (values[i] === missingValue) values[i] = Number.NaN;
        return values;
      }),
  };
}

function keysOf(string: (key: string) => string, long: (key: string) => number | undefined): GribKeys {
  const second = long("edition") === 2;
  /** A surface of GRIB 2: a value and the power of ten it is divided by; negative ones have the first bit set. */
  const scaled = (which: string): number | undefined => {
    const [value, factor] = [long(`scaledValueOf${which}`), long(`scaleFactorOf${which}`)];
    if (value === undefined || factor === undefined) return undefined;
    return (value >= 2 ** 31 ? 2 ** 31 - value : value) / 10 ** factor;
  };
  const typeOfLevel = string("typeOfLevel");
  const level = second ? (scaled("FirstFixedSurface") ?? long("level")) : long("level");
  const ends = second
    ? [scaled("FirstFixedSurface"), scaled("SecondFixedSurface")]
    : [long("topLevel"), long("bottomLevel")];
  const [top, bottom] = ends;
  const isLayer = top !== undefined && bottom !== undefined && top !== bottom;
  const code = second
    ? ["discipline", "parameterCategory", "parameterNumber"].map((key) => long(key)).join(".")
    : `table ${long("table2Version")}, ${long("indicatorOfParameter")}`;
  const variant = [
    ["derivedForecast", "derived"],
    ["percentileValue", "percentile"],
    ["probabilityType", "probability"],
    ["scaledValueOfLowerLimit", "above"],
    ["scaledValueOfUpperLimit", "below"],
  ].flatMap(([key, word]) => {
    const value = second ? long(key!) : undefined;
    return value === undefined ? [] : [`${word}${value}`];
  });
  return {
    shortName: string("shortName").replace(/^~$/, ""),
    cfName: string("cfName"),
    name: string("name").replace(/^unknown.*$/i, ""),
    units: string("units"),
    paramId: long("paramId"),
    code,
    typeOfLevel,
    // In hPa and Pa alike the surface itself is coded in Pa in GRIB 2.
    level: second && typeOfLevel === "isobaricInhPa" && level !== undefined ? level / 100 : level,
    layer: isLayer ? [top, bottom] : undefined,
    gridType: string("gridType"),
    columns: long("Ni"),
    rows: long("Nj"),
    columnwise: long("jPointsAreConsecutive") === 1,
    gridWinds: long("uvRelativeToGrid") === 1,
    stepType: string("stepType"),
    stepRange: string("stepRange"),
    dataType: string("dataType"),
    variant: variant.join("_"),
    number: long("number"),
    reference: dated(long("dataDate"), long("dataTime"), long("second")),
    valid: dated(long("validityDate"), long("validityTime"), long("second")),
  };
}

/** yyyymmdd and hhmm as seconds since 1970. */
function dated(date: number | undefined, time: number | undefined, second = 0): number {
  if (date === undefined || time === undefined) return Number.NaN;
  const [year, month, day] = [Math.floor(date / 10000), Math.floor(date / 100) % 100, date % 100];
  return gribSeconds(year, month, day, Math.floor(time / 100), time % 100, second);
}

function loadKoffi(): Koffi {
  try {
    return createRequire(import.meta.url)("koffi") as Koffi;
  } catch (error) {
    throw new EccodesMissing(`the npm package koffi is not installed (${firstLine(error)})`);
  }
}

/** Where systems, conda and module files put the library. */
export function libraryPaths(environment: NodeJS.ProcessEnv, platform: NodeJS.Platform): string[] {
  const chosen = environment.CLIMAX_ECCODES_LIB;
  if (chosen) return [chosen];
  const names = {
    darwin: ["libeccodes.dylib"],
    win32: ["eccodes.dll"],
    linux: ["libeccodes.so.0", "libeccodes.so"],
  };
  const own = names[platform as keyof typeof names] ?? names.linux;
  const roots = ["ECCODES_DIR", "ECCODES_HOME", "ECCODES_ROOT", "CONDA_PREFIX"]
    .map((name) => environment[name])
    .filter((root) => root !== undefined && root !== "");
  const brew = platform === "darwin" ? ["/opt/homebrew", "/usr/local", "/opt/local"] : [];
  const folders = [...roots, ...brew].flatMap((root) =>
    platform === "win32"
      ? [join(root!, "Library", "bin"), join(root!, "bin")]
      : [join(root!, "lib"), join(root!, "lib64")],
  );
  return [...folders.flatMap((folder) => own.map((name) => join(folder, name))), ...own];
}

function loadLibrary(koffi: Koffi): ReturnType<Koffi["load"]> {
  const reasons: string[] = [];
  for (const path of libraryPaths(process.env, process.platform)) {
    try {
      return koffi.load(path);
    } catch (error) {
      reasons.push(firstLine(error));
    }
  }
  throw new EccodesMissing(reasons.at(-1) ?? "no library was found");
}

const firstLine = (error: unknown) =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
