// The header of a NetCDF classic file (CDF-1, CDF-2, CDF-5): its parser, and the bytes below it.
// Format: NetCDF User Guide, appendix B, "The NetCDF Classic Format Specification"; CDF-5 by PnetCDF.
// Every count is checked against the size of the file before anything is allocated.
import type { FileHandle } from "node:fs/promises";
import { ClimaxError } from "../errors.ts";
import { decode } from "./chartext.ts";
import type { AttributeValue, Dtype } from "./dataset.ts";
import type { NumericArray } from "./hyperslab.ts";

/** nc_type codes, the type and its bytes on disk. 7 to 11 exist in CDF-5 only. */
const types: Record<number, readonly [Dtype, number]> = {
  1: ["int8", 1],
  2: ["char", 1],
  3: ["int16", 2],
  4: ["int32", 4],
  5: ["float32", 4],
  6: ["float64", 8],
  7: ["uint8", 1],
  8: ["uint16", 2],
  9: ["uint32", 4],
  10: ["int64", 8],
  11: ["uint64", 8],
};

interface Attributes {
  values: Map<string, AttributeValue>;
  types: Map<string, Dtype>;
}

/** A variable as the header tells it. `begin`: byte of its first element. */
export interface Layout {
  name: string;
  dimensions: number[];
  attributes: Attributes;
  dtype: Dtype;
  bytes: number;
  begin: number;
  isRecord: boolean;
}

export interface Header {
  version: number;
  /** undefined: "streaming", to be told from the file's size. */
  records: number | undefined;
  dimensions: { name: string; length: number }[];
  attributes: Attributes;
  variables: Layout[];
}

/** Bytes up to the next multiple of 4. */
export const padded = (bytes: number): number => Math.ceil(bytes / 4) * 4;

export function corrupt(path: string, what: string, cause?: unknown): ClimaxError {
  return new ClimaxError(
    "data",
    `${path} is corrupt: ${what}`,
    "fetch or write it again; ncdump -h shows how far it can be read",
    cause === undefined ? undefined : { cause },
  );
}

/** Thrown inside the header parser when it needs bytes that were not read yet. */
class MoreBytes extends Error {}

/** Parses the header from ever more of the file: headers are small, but nothing says how small. */
export async function readHeader(path: string, handle: FileHandle, size: number): Promise<Header> {
  for (let length = 64 * 1024; ; length *= 4) {
    const buffer = Buffer.alloc(Math.min(length, size));
    await readFully(path, handle, buffer, 0);
    try {
      return parse(path, buffer, size);
    } catch (error) {
      if (!(error instanceof MoreBytes)) throw error;
      if (buffer.length === size) {
        throw new ClimaxError(
          "data",
          `${path} is truncated: its ${size} bytes end inside the header`,
          "the copy or the run that wrote it was cut off: fetch or write it again",
        );
      }
    }
  }
}

function parse(path: string, buffer: Buffer, size: number): Header {
  const version = buffer[3]!;
  let at = 4;
  const take = (bytes: number): number => {
    if (at + bytes > buffer.length) throw new MoreBytes();
    at += bytes;
    return at - bytes;
  };
  const uint32 = (): number => buffer.readUInt32BE(take(4));
  const uint64 = (): number => Number(buffer.readBigUInt64BE(take(8)));
  /** A count: 4 bytes, 8 in CDF-5. */
  const count = version === 5 ? uint64 : uint32;
  const offset = version === 1 ? uint32 : uint64;
  /** A count of things that take at least `each` bytes of this file. */
  const bounded = (what: string, each: number): number => {
    const n = count();
    if (n * each > size) throw corrupt(path, `it claims ${n} ${what} in ${size} bytes`);
    return n;
  };
  const name = (): string => {
    const length = bounded("bytes of a name", 1);
    const start = take(padded(length));
    return decode(buffer.subarray(start, start + length));
  };
  /** A list is its tag and a count; ABSENT is two zeros. */
  const list = (tag: number, what: string, each: number): number => {
    const found = uint32();
    const n = bounded(what, each);
    if (found !== tag && !(found === 0 && n === 0)) {
      throw corrupt(path, `a list of ${what} should begin with tag ${tag}, found ${found}`);
    }
    return n;
  };
  const type = (): readonly [Dtype, number] => {
    const code = uint32();
    const known = types[code];
    if (!known || (code > 6 && version !== 5)) throw corrupt(path, `unknown type code ${code}`);
    return known;
  };
  const attributes = (): Attributes => {
    const result: Attributes = { values: new Map(), types: new Map() };
    for (let n = list(12, "attributes", 12); n > 0; n--) {
      const key = name();
      const [dtype, bytes] = type();
      const length = bounded("values of an attribute", bytes);
      const start = take(padded(length * bytes));
      const raw = buffer.subarray(start, start + length * bytes);
      result.types.set(key, dtype);
      if (dtype === "char") result.values.set(key, decode(raw));
      else {
        // A copy of its own: `native` swaps in place and wants aligned bytes.
        const values = Array.from(native(Buffer.from(Uint8Array.from(raw).buffer), dtype));
        result.values.set(key, values.length === 1 ? values[0]! : values);
      }
    }
    return result;
  };

  const streaming = version === 5 ? 2 ** 64 : 2 ** 32 - 1;
  const promised = count();
  const records = promised >= streaming ? undefined : promised;
  const dimensions = Array.from({ length: list(10, "dimensions", 8) }, () => ({
    name: name(),
    length: count(),
  }));
  if (dimensions.filter((dimension) => dimension.length === 0).length > 1) {
    throw corrupt(path, "it has more than one record dimension");
  }
  const globals = attributes();
  const variables: Layout[] = [];
  for (let n = list(11, "variables", 28); n > 0; n--) {
    const variable = name();
    const rank = bounded("dimensions of a variable", 4);
    const ids = Array.from({ length: rank }, () => count());
    for (const [axis, id] of ids.entries()) {
      const dimension = dimensions[id];
      if (!dimension)
        throw corrupt(path, `variable "${variable}" has a dimension ${id} of ${dimensions.length}`);
      if (dimension.length === 0 && axis > 0) {
        throw corrupt(path, `variable "${variable}" has the record dimension at position ${axis}`);
      }
    }
    const own = attributes();
    const [dtype, bytes] = type();
    count(); // vsize: redundant, and wrong by design for variables of 4 GiB and more
    const begin = offset();
    const isRecord = ids.length > 0 && dimensions[ids[0]!]!.length === 0;
    variables.push({ name: variable, dimensions: ids, attributes: own, dtype, bytes, begin, isRecord });
  }
  for (const { name: variable, begin } of variables) {
    if (begin < at) throw corrupt(path, `variable "${variable}" begins at byte ${begin}, inside the header`);
  }
  if (new Set(variables.map((variable) => variable.name)).size < variables.length) {
    throw corrupt(path, "two variables have the same name");
  }
  return { version, records, dimensions, attributes: globals, variables };
}

/** Reads exactly `bytes.length` bytes at `position`, in pieces the system call can take. */
export async function readFully(
  path: string,
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const piece = Math.min(bytes.length - done, 64 * 1024 * 1024);
    const { bytesRead } = await handle.read(bytes, done, piece, position + done).catch((cause: Error) => {
      throw corrupt(path, `reading at byte ${position + done} failed: ${cause.message}`, cause);
    });
    if (bytesRead === 0) {
      throw corrupt(path, `it ended at byte ${position + done} while being read; it was shortened meanwhile`);
    }
    done += bytesRead;
  }
}

/** Big-endian bytes, which are swapped in place, as numbers of this machine. */
export function native(bytes: Buffer, dtype: Dtype): NumericArray {
  const buffer = bytes.buffer as ArrayBuffer;
  const view = <T>(
    array: new (buffer: ArrayBuffer, offset: number, length: number) => T,
    size: number,
  ): T => {
    if (size === 2) bytes.swap16();
    if (size === 4) bytes.swap32();
    if (size === 8) bytes.swap64();
    return new array(buffer, bytes.byteOffset, bytes.length / size);
  };
  switch (dtype) {
    case "int8":
      return view(Int8Array<ArrayBuffer>, 1);
    case "int16":
      return view(Int16Array<ArrayBuffer>, 2);
    case "uint16":
      return view(Uint16Array<ArrayBuffer>, 2);
    case "int32":
      return view(Int32Array<ArrayBuffer>, 4);
    case "uint32":
      return view(Uint32Array<ArrayBuffer>, 4);
    case "float32":
      return view(Float32Array<ArrayBuffer>, 4);
    case "float64":
      return view(Float64Array<ArrayBuffer>, 8);
    case "int64":
      return Float64Array.from(view(BigInt64Array<ArrayBuffer>, 8), Number);
    case "uint64":
      return Float64Array.from(view(BigUint64Array<ArrayBuffer>, 8), Number);
    default:
      return view(Uint8Array<ArrayBuffer>, 1);
  }
}
