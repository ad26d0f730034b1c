// From stored numbers to physical ones, by CF-1.11 sections 2.5.1 and 8.1 and the NetCDF User Guide's attribute
// conventions: scale_factor, add_offset, _FillValue, missing_value, valid_min/max/range, _Unsigned.
import type { AttributeValue, Dtype } from "./dataset.ts";
import { type NumericArray, plainArrays } from "./hyperslab.ts";

/** How the numbers of one variable are unpacked: compare in stored units first, then stored * scale + offset. */
export interface Packing {
  scale: number;
  offset: number;
  /** Stored values that mean "missing". NaN always does. */
  missing: number[];
  /** Stored values outside [low, high] are missing. */
  low: number;
  high: number;
  /** Stored bits to be read with the other sign, by `_Unsigned`. */
  reinterpret: "int8" | "uint8" | "int16" | "uint16" | "int32" | "uint32" | undefined;
  /** Whether the physical numbers need 64 bits. */
  double: boolean;
}

/** Fill values of the NetCDF library for data never written (netcdf.h, NC_FILL_*). Bytes have none. */
export const defaultFill: Partial<Record<Dtype, number>> = {
  int16: -32767,
  uint16: 65535,
  int32: -2147483647,
  uint32: 4294967295,
  int64: -(2 ** 63), // rounded to the float64 that the readers return

  uint64: 2 ** 64,
  float32: 9.969209968386869e36,
  float64: 9.969209968386869e36,
};

const otherSign = {
  int8: "uint8",
  int16: "uint16",
  int32: "uint32",
  uint8: "int8",
  uint16: "int16",
  uint32: "int32",
} as const;

/**
 * Reads the packing of a variable off its attributes.
 * `types`: the stored type of each attribute. It decides two things CF leaves to types: unpacked numbers
 * are float64 if scale_factor or add_offset is, and a valid_* of a wider type than packed data is in
 * physical units (NetCDF User Guide, "valid_range").
 */
export function packingOf(
  dtype: Dtype,
  attributes: ReadonlyMap<string, AttributeValue>,
  types: ReadonlyMap<string, Dtype>,
): Packing {
  const unsigned = attributes.get("_Unsigned");
  const signed = dtype.startsWith("int");
  const reinterpret =
    dtype in otherSign &&
    ((unsigned === "true" && signed) || (unsigned === "false" && dtype.startsWith("uint")))
      ? otherSign[dtype as keyof typeof otherSign]
      : undefined;
  const stored = reinterpret ?? dtype;
  /** An attribute as numbers of the variable's own type; what that type cannot hold never matches. */
  const values = (name: string): number[] =>
    numbers(attributes.get(name))
      .map((value) => asStored(value, stored, reinterpret !== undefined))
      .filter((value) => value !== undefined);

  const [scale = 1] = numbers(attributes.get("scale_factor"));
  const [offset = 0] = numbers(attributes.get("add_offset"));
  const packed = attributes.has("scale_factor") || attributes.has("add_offset");
  const missing = [...values("_FillValue"), ...values("missing_value")];
  const library = defaultFill[stored];
  if (!attributes.has("_FillValue") && library !== undefined) missing.push(library);

  let [low = -Infinity, high = Infinity] = numbers(attributes.get("valid_range"));
  [low = low] = numbers(attributes.get("valid_min"));
  [high = high] = numbers(attributes.get("valid_max"));
  const validType = ["valid_range", "valid_min", "valid_max"].map((name) => types.get(name)).find(Boolean);
  if (validType && packed && isInteger(stored) && !isInteger(validType)) {
    const bounds = [(low - offset) / scale, (high - offset) / scale];
    // Half a packing step of slack: the bound itself was rounded when it was written.
    low = Math.min(...bounds) - 0.5;
    high = Math.max(...bounds) + 0.5;
  } else if (reinterpret) {
    low = Number.isFinite(low) ? (asStored(low, stored, true) ?? low) : low;
    high = Number.isFinite(high) ? (asStored(high, stored, true) ?? high) : high;
  } else if (stored === "float32") {
    low = Math.fround(low);
    high = Math.fround(high);
  }
  const wide = ["int32", "uint32", "int64", "uint64", "float64"].includes(stored);
  const doubleAttribute = ["scale_factor", "add_offset"].some((name) => {
    const type = types.get(name);
    return type !== undefined && type !== "float32";
  });
  return {
    scale,
    offset,
    missing: [...new Set(missing)].filter((value) => !Number.isNaN(value)),
    low,
    high,
    reinterpret,
    double: wide || (packed && doubleAttribute),
  };
}

/** Physical numbers of stored ones; missing ones are NaN. May return `raw` itself when nothing changes. */
export function unpack(
  raw: NumericArray,
  packing: Packing,
): Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> {
  const { scale, offset, missing, low, high, reinterpret, double } = packing;
  const stored = reinterpret ? reinterpreted(raw, reinterpret) : raw;
  const inPlace = double ? stored instanceof Float64Array : stored instanceof Float32Array;
  const out = inPlace
    ? (stored as Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>)
    : double
      ? new Float64Array(stored.length)
      : new Float32Array(stored.length);
  const [first = Number.NaN] = missing;
  const others = missing.slice(1);
  const plain = scale === 1 && offset === 0;
  const unbounded = low === -Infinity && high === Infinity;
  if (unbounded && others.length === 0) {
    // Nearly all files: one pass with one comparison, or none.
    if (plain && inPlace) {
      if (!Number.isNaN(first)) markMissing(out, first);
      return out;
    }
    for (let i = 0; i < out.length; i++) {
      const value = stored[i]!;
      out[i] = value === first ? Number.NaN : value * scale + offset;
    }
    return out;
  }
  for (let i = 0; i < out.length; i++) {
    const value = stored[i]!;
    if (value === first || (others.length > 0 && others.includes(value))) out[i] = Number.NaN;
    else if (!unbounded && !(value >= low && value <= high)) out[i] = Number.NaN;
    else out[i] = plain ? value : value * scale + offset;
  }
  return out;
}

/** Numbers equal to `missing` become NaN. Those of 4 bytes are compared as whole numbers, several times as fast. */
function markMissing(values: Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>, missing: number): void {
  if (values instanceof Float32Array && missing !== 0) {
    const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
    const [wanted] = new Int32Array(Float32Array.of(missing).buffer);
    for (let i = 0; i < bits.length; i++) if (bits[i] === wanted) values[i] = Number.NaN;
    return;
  }
  for (let i = 0; i < values.length; i++) if (values[i] === missing) values[i] = Number.NaN;
}

function isInteger(dtype: Dtype): boolean {
  return dtype.includes("int");
}

function numbers(value: AttributeValue | undefined): number[] {
  if (value === undefined) return [];
  if (typeof value === "number") return [value];
  if (typeof value === "string") {
    // Some writers store numbers as text.
    const parsed = value.trim() === "" ? Number.NaN : Number(value);
    return Number.isNaN(parsed) ? [] : [parsed];
  }
  return value;
}

/**
 * `value` as the type `stored` holds it; undefined if it cannot. With `sameBits`, an integer of the other sign
 * stands for its bits, as in the attributes of an `_Unsigned` variable: -1 for 255.
 */
function asStored(value: number, stored: Dtype, sameBits: boolean): number | undefined {
  if (stored === "float32") return Math.fround(value);
  if (!isInteger(stored)) return value;
  if (!Number.isInteger(value)) return undefined;
  const bits = Number(/\d+/.exec(stored)?.[0]);
  if (bits === 64 || Math.abs(value) > 2 ** bits) return bits === 64 ? value : undefined;
  const asType = stored.startsWith("uint") ? BigInt.asUintN : BigInt.asIntN;
  const held = Number(asType(bits, BigInt(value)));
  return sameBits || held === value ? held : undefined;
}

function reinterpreted(raw: NumericArray, dtype: NonNullable<Packing["reinterpret"]>): NumericArray {
  return new plainArrays[dtype](raw.buffer, raw.byteOffset, raw.length);
}
