// Our own reader of NetCDF classic files: CDF-1, CDF-2 (64-bit offsets) and CDF-5 (64-bit data).
// Reads by position, so a file may be larger than memory.
import type { FileHandle } from "node:fs/promises";
import { resolve } from "node:path";
import { ClimaxError } from "../errors.ts";
import { texts } from "./chartext.ts";
import type { Dataset, DatasetVariable } from "./dataset.ts";
import { elements, type Hyperslab, hyperslab, isPlain, type NumericArray } from "./hyperslab.ts";
import { corrupt, type Layout, native, padded, readFully, readHeader } from "./netcdf3header.ts";
import { packingOf, unpack } from "./packing.ts";

const versions: Record<number, string> = {
  1: "NetCDF classic (CDF-1)",
  2: "NetCDF 64-bit offset (CDF-2)",
  5: "NetCDF 64-bit data (CDF-5)",
};

/**
 * Opens a classic file and takes over its handle.
 * @throws ClimaxError "data" if the header is not sound or the data are shorter than it promises.
 */
export async function openNetcdf3(path: string, handle: FileHandle, size: number): Promise<Dataset> {
  const header = await readHeader(path, handle, size);
  const recordVariables = header.variables.filter((variable) => variable.isRecord);
  /** Bytes of one variable, or of one record of it, without padding. */
  const bytesOf = (variable: Layout): number =>
    variable.bytes *
    elements(variable.dimensions.slice(variable.isRecord ? 1 : 0).map((d) => header.dimensions[d]!.length));
  // A lone record variable is not padded to 4 bytes; several are.
  const recordBytes =
    recordVariables.length === 1
      ? bytesOf(recordVariables[0]!)
      : recordVariables.reduce((sum, variable) => sum + padded(bytesOf(variable)), 0);
  const firstRecord = Math.min(...recordVariables.map((variable) => variable.begin));
  const whole = recordBytes > 0 ? Math.max(0, Math.floor((size - firstRecord) / recordBytes)) : 0;
  const records = header.records ?? whole;

  let needed = 0;
  for (const variable of header.variables) {
    const before = variable.isRecord ? (records - 1) * recordBytes : 0;
    const end = variable.isRecord && records === 0 ? 0 : variable.begin + before + bytesOf(variable);
    if (!Number.isSafeInteger(end)) {
      throw corrupt(path, `variable "${variable.name}" would end beyond any file`);
    }
    needed = Math.max(needed, end);
  }
  if (needed > size) {
    throw new ClimaxError(
      "data",
      `${path} is truncated: its header promises ${needed} bytes, the file has ${size}; ${needed - size} bytes are missing`,
      "the copy or the run that wrote it was cut off: fetch or write it again",
    );
  }

  const lengths = header.dimensions.map((dimension) => (dimension.length === 0 ? records : dimension.length));
  const variables = new Map<string, DatasetVariable>();
  for (const layout of header.variables) {
    const shape = layout.dimensions.map((d) => lengths[d]!);
    const packing = packingOf(layout.dtype, layout.attributes.values, layout.attributes.types);
    const read = async (start?: readonly number[], count?: readonly number[]): Promise<NumericArray> =>
      readSlab(path, handle, layout, shape, recordBytes, hyperslab(layout.name, shape, start, count));
    variables.set(layout.name, {
      name: layout.name,
      dimensions: layout.dimensions.map((d) => header.dimensions[d]!.name),
      shape,
      dtype: layout.dtype,
      attributes: layout.attributes.values,
      read,
      async readUnpacked(start, count) {
        if (layout.dtype === "char") throw notNumbers(path, layout.name);
        return unpack(await read(start, count), packing);
      },
      async pieces() {
        const { dtype, begin, isRecord } = layout;
        if (!isPlain(dtype) || shape.length === 0 || shape.includes(0)) return undefined;
        const at = isRecord
          ? Float64Array.from({ length: shape[0]! }, (_, record) => begin + record * recordBytes)
          : Float64Array.of(begin);
        const piece = isRecord ? [1, ...shape.slice(1)] : [...shape];
        const common = { path: resolve(path), shape, dtype, packing };
        return { ...common, piece, at, shuffled: false, bigEndian: true };
      },
      async readText() {
        if (layout.dtype !== "char") {
          throw new ClimaxError(
            "data",
            `${path}: "${layout.name}" holds numbers, not text`,
            "read it as numbers",
          );
        }
        return texts((await read()) as Uint8Array, shape.at(-1) ?? 1);
      },
    });
  }
  return {
    path,
    format: versions[header.version]!,
    dimensions: new Map(header.dimensions.map((dimension, i) => [dimension.name, lengths[i]!])),
    unlimited: new Set(header.dimensions.filter((d) => d.length === 0).map((d) => d.name)),
    attributes: header.attributes.values,
    variables,
    close: () => handle.close(),
  };
}

function notNumbers(path: string, name: string): ClimaxError {
  return new ClimaxError(
    "data",
    `${path}: variable "${name}" holds text, not numbers`,
    "choose another variable",
  );
}

/** The next runs are read in one go if no more than this many bytes lie between them. */
const smallGap = 64 * 1024;
const windowBytes = 1024 * 1024;

async function readSlab(
  path: string,
  handle: FileHandle,
  layout: Layout,
  shape: readonly number[],
  recordBytes: number,
  { start, count }: Hyperslab,
): Promise<NumericArray> {
  const bytes = Buffer.from(new ArrayBuffer(elements(count) * layout.bytes));
  if (bytes.length === 0) return native(bytes, layout.dtype);

  /** Bytes from one index to the next along each axis. */
  const strides = shape.map((_, axis) => elements(shape.slice(axis + 1)) * layout.bytes);
  if (layout.isRecord) strides[0] = recordBytes;
  // Axes that lie close together make one contiguous run, up to and including the first not taken whole.
  let run = layout.bytes;
  let axis = shape.length;
  while (axis > 0 && strides[axis - 1] === run) {
    run *= count[--axis]!;
    if (count[axis] !== shape[axis]) break;
  }
  const outer = count.slice(0, axis);
  const gap = axis > 0 ? strides[axis - 1]! - run : 0;

  let cache = Buffer.alloc(0);
  let cacheStart = 0;
  const end =
    layout.begin + start.reduce((sum, a, i) => sum + (a + count[i]! - 1) * strides[i]!, layout.bytes);
  const index = outer.map(() => 0);
  for (let done = 0; done < bytes.length; done += run) {
    const from = layout.begin + start.reduce((sum, a, i) => sum + (a + (index[i] ?? 0)) * strides[i]!, 0);
    if (gap > smallGap || run >= windowBytes) {
      await readFully(path, handle, bytes.subarray(done, done + run), from);
    } else {
      if (from < cacheStart || from + run > cacheStart + cache.length) {
        cache = Buffer.alloc(Math.min(windowBytes, end - from));
        cacheStart = from;
        await readFully(path, handle, cache, from);
      }
      cache.copy(bytes, done, from - cacheStart, from - cacheStart + run);
    }
    for (let i = outer.length - 1; i >= 0; i--) {
      if (++index[i]! < outer[i]!) break;
      index[i] = 0;
    }
  }
  return native(bytes, layout.dtype);
}
