// Element types of Zarr arrays, of either version: what they are in our words, and what zarrita is told instead of
// those it does not know (booleans, halves and dates are read as the integers that hold their bits).
import type { Dtype } from "./dataset.ts";
import { fromHalf, toHalf } from "./half.ts";
import { isPlain, type NumericArray, plainArrays } from "./hyperslab.ts";

export interface ElementType {
  dtype: Dtype;
  /** Of one element in a decoded chunk; undefined for text of any length. */
  bytes: number | undefined;
  /** The type zarrita is to read, in the words of the version; undefined for what cannot be read. */
  readAs: string | undefined;
  /** Attributes that the type implies and a NetCDF file would have: the units of dates. */
  implied?: { units: string; calendar?: string };
  /** What the stored integers are divided by: CF knows no nanoseconds, they are read as microseconds. */
  divisor?: bigint;
}

const unreadable: ElementType = { dtype: "other", bytes: 0, readAs: undefined };

const units: Record<string, string> = {
  W: "weeks",
  D: "days",
  h: "hours",
  m: "minutes",
  s: "seconds",
  ms: "milliseconds",
  us: "microseconds",
  ns: "microseconds",
};

/** NumPy's "not a time", as the readers return it. */
export const notATime = -(2 ** 63);

/**
 * A NumPy type string of Zarr 2: "<f4", "|b1", ">M8[ns]".
 * @param filters names of the array's filters, which say what Python objects are.
 */
export function typeOfV2(text: string, filters: readonly string[]): ElementType {
  const [, order = "", kind = "", size = "", unit] =
    /^([<>|])([a-zA-Z])(\d*)(?:\[1?(\w+)\])?$/.exec(text) ?? [];
  const bytes = Number(size);
  switch (kind) {
    case "b":
      return bytes === 1 ? { dtype: "uint8", bytes, readAs: "|u1" } : unreadable;
    case "i":
    case "u":
      if (![1, 2, 4, 8].includes(bytes)) return unreadable;
      return { dtype: `${kind === "u" ? "u" : ""}int${8 * bytes}` as Dtype, bytes, readAs: text };
    case "f":
      if (bytes === 2) return { dtype: "float16", bytes, readAs: `${order}u2` };
      return bytes === 4 || bytes === 8
        ? { dtype: bytes === 4 ? "float32" : "float64", bytes, readAs: text }
        : unreadable;
    case "M":
    case "m":
      return bytes === 8 ? timeType(kind === "M", unit ?? "", `${order}i8`) : unreadable;
    case "S":
    case "U":
      return textType(kind, bytes, text);
    case "O":
      return filters.some((id) => id === "vlen-utf8" || id === "json2")
        ? { dtype: "string", bytes: undefined, readAs: text }
        : unreadable;
    default:
      return unreadable;
  }
}

/** A type of Zarr 3: a name, with a configuration where the type has one. */
export function typeOfV3(name: string, configuration: Record<string, unknown>): ElementType {
  const [, integer] = /^u?int(8|16|32|64)$/.exec(name) ?? [];
  if (integer) return { dtype: name as Dtype, bytes: Number(integer) / 8, readAs: name };
  const length = Number(configuration.length_bytes);
  switch (name) {
    case "bool":
      return { dtype: "uint8", bytes: 1, readAs: "uint8" };
    case "float16":
      return { dtype: "float16", bytes: 2, readAs: "uint16" };
    case "float32":
      return { dtype: name, bytes: 4, readAs: name };
    case "float64":
      return { dtype: name, bytes: 8, readAs: name };
    case "string":
      return { dtype: name, bytes: undefined, readAs: name };
    case "fixed_length_utf32":
      return textType("U", length / 4, `v2:U${length / 4}`);
    case "null_terminated_bytes":
      return textType("S", length, `v2:S${length}`);
    case "numpy.datetime64":
    case "numpy.timedelta64":
      return configuration.scale_factor === 1 || configuration.scale_factor === undefined
        ? timeType(name === "numpy.datetime64", String(configuration.unit), "int64")
        : unreadable;
    default:
      return unreadable;
  }
}

function timeType(isDate: boolean, unit: string, readAs: string): ElementType {
  const name = units[unit];
  if (!name) return unreadable; // years and months have no fixed length
  const implied = isDate
    ? { units: `${name} since 1970-01-01`, calendar: "proleptic_gregorian" }
    : { units: name };
  return { dtype: "int64", bytes: 8, readAs, implied, ...(unit === "ns" && { divisor: 1000n }) };
}

function textType(kind: "S" | "U", characters: number, readAs: string): ElementType {
  if (!Number.isInteger(characters) || characters < 1 || characters > 2 ** 16) return unreadable;
  return { dtype: "string", bytes: characters * (kind === "U" ? 4 : 1), readAs };
}

/**
 * The value of elements that were never written, as the readers return it; 0 where none is set.
 * @throws Error for what is no value of the type.
 */
export function fillOf(value: unknown, { dtype, bytes, implied }: ElementType): number {
  if (value === null || value === undefined) return 0;
  if (typeof value === "boolean") return Number(value);
  const named: Record<string, number> = {
    NaN: Number.NaN,
    Infinity: Infinity,
    "-Infinity": -Infinity,
    ...(implied && { NaT: notATime }),
  };
  let found = typeof value === "string" ? named[value] : value;
  if (typeof value === "string" && dtype.startsWith("float") && /^0x[0-9a-f]+$/i.test(value)) {
    found = fromBits(BigInt(value), bytes!);
  }
  const isInteger = dtype.includes("int");
  if (typeof found !== "number" || (isInteger && !Number.isInteger(found))) {
    throw new Error(`its fill_value ${JSON.stringify(value)} is no ${dtype}`);
  }
  return found;
}

/** A float by its bits. */
function fromBits(bits: bigint, bytes: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits << BigInt(64 - 8 * bytes));
  if (bytes === 8) return view.getFloat64(0);
  return bytes === 4 ? view.getFloat32(0) : fromHalf(Uint16Array.of(view.getUint16(0)))[0]!;
}

/** A fill value as zarrita takes it from JSON, of the type it is told. */
export function fillForZarrita(fill: number, { dtype }: ElementType): number | string {
  if (dtype === "string") return "";
  if (dtype === "float16") return toHalf(fill);
  return Number.isFinite(fill) ? fill : String(fill);
}

/** Numbers as the readers return them, from those zarrita decoded. */
export function numbersOf(
  data: ArrayLike<number> | ArrayLike<bigint>,
  { dtype, divisor }: ElementType,
): NumericArray {
  if (dtype === "float16") return fromHalf(data as Uint16Array) as NumericArray;
  if (dtype !== "int64" && dtype !== "uint64") return data as NumericArray;
  if (divisor === undefined) return Float64Array.from(data as ArrayLike<bigint>, Number);
  return Float64Array.from(data as ArrayLike<bigint>, (value) => {
    const inTime = Number(value) !== notATime;
    return inTime ? Number(value / divisor) + Number(value % divisor) / Number(divisor) : notATime;
  });
}

/** An array of `length` elements as the readers return them, all `fill`. */
export function filled(length: number, { dtype }: ElementType, fill: number): NumericArray {
  const stored = dtype === "float16" ? "float32" : dtype;
  const Elements = isPlain(stored) ? plainArrays[stored] : plainArrays.float64;
  const out: NumericArray = new Elements(new ArrayBuffer(length * Elements.BYTES_PER_ELEMENT));
  return fill === 0 ? out : out.fill(fill);
}
