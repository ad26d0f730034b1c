// The NPY format itself: headers and element types, apart from any file. Format: numpy/lib/format.py
// (versions 1.0 to 3.0).

import { ClimaxError } from "../errors.ts";
import { fromHalf } from "./half.ts";
import { isPlain, plainArrays } from "./hyperslab.ts";

export type NpyDtype =
  | "bool"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"
  | "float16"
  | "float32"
  | "float64";

/** int64 and uint64 become Float64Array (refused beyond 2^53), float16 becomes Float32Array, bool Uint8Array. */
export type NpyData =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array;

/** `data` is in C (row-major) order whatever the file's order was. */
export interface NpyArray {
  shape: number[];
  dtype: NpyDtype;
  data: NpyData;
}

export interface NpyHeader {
  shape: number[];
  dtype: NpyDtype;
  bigEndian: boolean;
  fortran: boolean;
  /** Bytes before the first element. */
  dataStart: number;
  /** Bytes of all elements. */
  dataBytes: number;
}

const descriptors: Record<string, [NpyDtype, number]> = {
  b1: ["bool", 1],
  i1: ["int8", 1],
  u1: ["uint8", 1],
  i2: ["int16", 2],
  u2: ["uint16", 2],
  i4: ["int32", 4],
  u4: ["uint32", 4],
  i8: ["int64", 8],
  u8: ["uint64", 8],
  f2: ["float16", 2],
  f4: ["float32", 4],
  f8: ["float64", 8],
};

// numpy itself refuses headers over 10 000 characters unless told otherwise.
export const longestHeader = 65_536;
const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

export function damaged(name: string, message: string): never {
  throw new ClimaxError(
    "data",
    `${name}: ${message}`,
    "the file is damaged or not a NumPy array; write it again with numpy.save",
  );
}

/** Parses the first bytes of an array; `bytes` may run on past the header. */
export function parseNpyHeader(bytes: Uint8Array, name: string): NpyHeader {
  if (bytes.length < 10 || magic.some((byte, i) => bytes[i] !== byte))
    damaged(name, "does not begin with the NPY magic bytes");
  const version = bytes[6]!;
  if (version < 1 || version > 3) damaged(name, `NPY version ${version}; versions 1 to 3 are read`);
  const prefix = version === 1 ? 10 : 12;
  if (bytes.length < prefix) damaged(name, "ends within the NPY header");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > longestHeader)
    damaged(name, `NPY header of ${length} bytes; at most ${longestHeader} are read`);
  if (bytes.length < prefix + length) damaged(name, "ends within the NPY header");
  const text = new TextDecoder(version === 3 ? "utf-8" : "latin1").decode(
    bytes.subarray(prefix, prefix + length),
  );

  const descriptor = /['"]descr['"]\s*:\s*['"]([^'"]*)['"]/.exec(text)?.[1];
  const order = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text)?.[1];
  const dimensions = /['"]shape['"]\s*:\s*\(([^)]*)\)/.exec(text)?.[1];
  if (order === undefined || dimensions === undefined)
    damaged(name, "NPY header lacks fortran_order or shape");
  const found = descriptor === undefined ? undefined : descriptors[descriptor.slice(1)];
  if (found === undefined || !"<>=|".includes(descriptor![0]!))
    throw new ClimaxError(
      "data",
      `${name}: NPY element type ${descriptor ?? "structured"}; known: ${Object.keys(descriptors).join(", ")}`,
      "save plain numbers: array.astype('float32')",
    );
  const [dtype, bytesEach] = found;

  const parts = dimensions
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  if (parts.length > 32) damaged(name, `${parts.length} dimensions; NumPy allows 32`);
  const shape = parts.map((part) => {
    // Python 2 wrote long integers with a trailing L.
    const extent = /^\d{1,16}L?$/.test(part) ? Number.parseInt(part, 10) : Number.NaN;
    return Number.isSafeInteger(extent)
      ? extent
      : damaged(name, `NPY shape (${dimensions}) is not of integers`);
  });
  // Not a running product from the left: a zero extent may follow a huge one.
  const dataBytes = shape.includes(0) ? 0 : shape.reduce((product, n) => product * n, bytesEach);
  if (!Number.isSafeInteger(dataBytes)) damaged(name, `NPY shape (${dimensions}) is beyond any file`);
  return {
    shape,
    dtype,
    bigEndian: descriptor![0] === ">" && bytesEach > 1,
    fortran: order === "True" && shape.length > 1,
    dataStart: prefix + length,
    dataBytes,
  };
}

/** The header numpy would write for a little-endian C-order array, padded to a multiple of 64 bytes, at least 128. */
export function npyHeader(shape: readonly number[], dtype: NpyDtype): Uint8Array {
  const key = Object.keys(descriptors).find((d) => descriptors[d]![0] === dtype)!;
  const descriptor = (descriptors[key]![1] === 1 ? "|" : "<") + key;
  const dimensions = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${descriptor}', 'fortran_order': False, 'shape': (${dimensions}), }`;
  // At least 128, so that a streamed array's header keeps its length while its first extent grows.
  const total = Math.max(128, Math.ceil((10 + text.length + 1) / 64) * 64);
  const bytes = new Uint8Array(total).fill(0x20);
  bytes.set([...magic, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, total - 10, true);
  bytes.set(new TextEncoder().encode(text), 10);
  bytes[total - 1] = 0x0a;
  return bytes;
}

/** Raw bytes to numbers; swaps `buffer` in place when the file is big-endian. */
export function decode(buffer: ArrayBuffer, header: NpyHeader, name: string): NpyData {
  if (header.bigEndian) {
    const bytes = Buffer.from(buffer);
    const width = Number.parseInt(/\d+$/.exec(header.dtype)![0], 10);
    if (width === 16) bytes.swap16();
    else if (width === 32) bytes.swap32();
    else bytes.swap64();
  }
  if (isPlain(header.dtype)) return new plainArrays[header.dtype](buffer);
  switch (header.dtype) {
    case "bool":
      return new Uint8Array(buffer);
    case "float16":
      return fromHalf(new Uint16Array(buffer));
    case "int64":
    case "uint64": {
      const wide = header.dtype === "int64" ? new BigInt64Array(buffer) : new BigUint64Array(buffer);
      const out = new Float64Array(wide.length);
      for (let i = 0; i < out.length; i++) {
        out[i] = Number(wide[i]!);
        if (!Number.isSafeInteger(out[i]!)) damaged(name, `integer ${wide[i]} is beyond 2^53`);
      }
      return out;
    }
  }
}

/** Fortran (column-major) order to C order. */
export function toRowMajor(data: NpyData, shape: readonly number[]): NpyData {
  const out = data.slice();
  const index = new Array<number>(shape.length).fill(0);
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((product, n) => product * n, 1));
  let from = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

/** The NPY element type that stores `data` as it is. */
export function dtypeOf(data: NpyData): NpyDtype {
  return data.constructor.name.replace("Array", "").toLowerCase() as NpyDtype;
}
