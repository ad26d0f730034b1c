// The writing half of the HDF5 library in NetCDF-4's dialect: datasets, dimension scales, attributes, boxes.
import { roomForShuffle } from "./hdf5append.ts";
import type { Hdf5Library } from "./hdf5library.ts";
import { elements } from "./hyperslab.ts";

export type WrittenDtype = "float32" | "float64" | "int32" | "int16" | "int8";
export type WrittenArray = Float32Array | Float64Array | Int32Array | Int16Array | Int8Array;

/**
 * Text is written as UTF-8. Plain numbers take the variable's type in _FillValue, missing_value, valid_* and flag_*;
 * elsewhere they are int32 if all are whole, else float64. A typed array keeps its type.
 */
export type WrittenAttributes = Record<string, string | number | readonly number[] | WrittenArray>;

/** An open file inside the library. */
export interface OpenFile {
  library: Hdf5Library;
  id: bigint;
}

const arrays = {
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
} as const;

const H5S_UNLIMITED = 2n ** 64n - 1n;
const MiB = 2 ** 20;
/** Bytes of one call into the library. */
const callBytes = 64 * MiB;

export const bytesOf = (dtype: WrittenDtype): number => arrays[dtype].BYTES_PER_ELEMENT;

/** h5wasm's description of a type: HDF5's class 0 is integer, 1 float, 3 string. */
function description(dtype: WrittenDtype | "text", size: number): object {
  const integer = dtype.startsWith("int");
  const type = dtype === "text" ? 3 : integer ? 0 : 1;
  return { type, size, signed: integer, vlen: false, littleEndian: true, cset: 1 };
}

/**
 * Numbers as the stored type. Into integers NaN goes as `fill`; others are rounded.
 * @throws RangeError for a number the integer type cannot hold
 */
export function stored(dtype: WrittenDtype, data: ArrayLike<number>, fill: number): WrittenArray {
  const array = arrays[dtype];
  if (data instanceof array) return data;
  const out = new array(data.length);
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (dtype.startsWith("float")) out[i] = value;
    else {
      out[i] = Number.isNaN(value) ? fill : Math.round(value);
      if (!Number.isNaN(value) && out[i] !== Math.round(value))
        throw new RangeError(`${value} is no ${dtype}`);
    }
  }
  return out;
}

/** Attributes whose numbers are compared with, or decoded as, the variable's own. */
const likeTheVariable = /^(_FillValue|missing_value|valid_(min|max|range)|flag_(values|masks))$/;

/** Writes attributes to the object `owner` ("/", "/tas"). `dtype`: the variable's type, if it is one. */
export function writeAttributes(
  { library, id }: OpenFile,
  owner: string,
  attributes: WrittenAttributes,
  dtype?: WrittenDtype,
): void {
  for (const [name, value] of Object.entries(attributes)) {
    // Fixed length, scalar: NetCDF-C reads anything else as its newer `string` type, which older tools refuse.
    const text = typeof value === "string" ? new TextEncoder().encode(value || "\0") : undefined;
    const numbers = text ? undefined : attributeNumbers(name, value as Exclude<typeof value, string>, dtype);
    if (numbers?.length === 0) continue;
    const bytes = text ?? new Uint8Array(numbers!.buffer, numbers!.byteOffset, numbers!.byteLength);
    const type = text ? description("text", text.length) : descriptionOf(numbers!);
    const shape = text ? [] : [BigInt(numbers!.length)];
    library.withMemory(bytes.length, (pointer) =>
      library.call((h5) => {
        h5.HEAPU8.set(bytes, pointer);
        const metadata = { ...type, shape, maxshape: shape };
        return h5.create_attribute(id, owner, name, BigInt(pointer), metadata as never);
      }),
    );
  }
}

function attributeNumbers(
  name: string,
  value: number | readonly number[] | WrittenArray,
  dtype: WrittenDtype | undefined,
): WrittenArray {
  if (ArrayBuffer.isView(value)) return value;
  const list = typeof value === "number" ? [value] : value;
  if (dtype && likeTheVariable.test(name)) return stored(dtype, list, Number.NaN);
  const packing = name === "scale_factor" || name === "add_offset";
  const whole = list.every((n) => Number.isInteger(n) && Math.abs(n) < 2 ** 31);
  return whole && !packing ? Int32Array.from(list) : Float64Array.from(list);
}

function descriptionOf(numbers: WrittenArray): object {
  const dtype = (Object.keys(arrays) as WrittenDtype[]).find((key) => numbers instanceof arrays[key])!;
  return description(dtype, bytesOf(dtype));
}

/** How a dataset is laid out on disk. `chunk` undefined: in one piece, uncompressed. */
export interface StoredLayout {
  dtype: WrittenDtype;
  shape: readonly number[];
  /** Axes that may grow. */
  growing: readonly boolean[];
  chunk: readonly number[] | undefined;
  /** gzip level, 0 to 9 */
  deflate: number;
  /** Whether its chunks come past the library, by ChunkAppender. */
  packed?: boolean;
}

/**
 * Makes a dataset. Without chunks it holds `fill` everywhere; with chunks it has its shape but no values yet
 * (h5wasm cannot tell HDF5 a fill value, so whatever stays unwritten would read as zero).
 */
export function createVariable(file: OpenFile, name: string, layout: StoredLayout, fill: number): void {
  const { dtype, shape, growing, chunk, deflate, packed } = layout;
  // h5wasm writes all values on creation; a chunked dataset is made empty and enlarged instead.
  const first = chunk ? shape.map((n, axis) => (axis === 0 ? 0 : n)) : shape;
  const data = new arrays[dtype](elements(first)).fill(fill);
  const bytes = new Uint8Array(data.buffer);
  const metadata = {
    ...description(dtype, bytesOf(dtype)),
    shape: first.map(BigInt),
    maxshape: shape.map((n, axis) => (growing[axis] ? H5S_UNLIMITED : BigInt(n))),
    chunks: chunk ? chunk.map(BigInt) : null,
    compression: chunk && deflate > 0 ? 1 : 0, // HDF5's filter number of deflate
    compression_opts: chunk && deflate > 0 ? (packed ? roomForShuffle(deflate) : [deflate]) : [],
    track_order: true,
  };
  const { library, id } = file;
  library.withMemory(bytes.length, (pointer) =>
    library.call((h5) => {
      h5.HEAPU8.set(bytes, pointer);
      return h5.create_dataset(id, `/${name}`, BigInt(pointer), metadata as never);
    }),
  );
  if (chunk) resize(file, name, shape);
}

/**
 * Makes a dataset of texts of any length, row-major: NetCDF-C's `string`.
 * @throws RangeError unless they fill the shape
 */
export function createText(
  { library, id }: OpenFile,
  name: string,
  shape: readonly number[],
  texts: readonly string[],
): void {
  if (elements(shape) !== texts.length)
    throw new RangeError(`${texts.length} texts do not fit "${name}" [${shape}]`);
  const lengths = shape.map(BigInt);
  const metadata = {
    ...{ type: 3, size: 4, signed: false, vlen: true, littleEndian: true, cset: 1 }, // UTF-8
    ...{ shape: lengths, maxshape: lengths, chunks: null, compression: 0, compression_opts: [] },
    track_order: true,
  };
  library.call((h5) => h5.create_vlen_str_dataset(id, `/${name}`, [...texts], metadata as never));
}

export function resize({ library, id }: OpenFile, name: string, shape: readonly number[]): void {
  library.call((h5) => h5.resize_dataset(id, `/${name}`, shape.map(BigInt)));
}

/** Writes a box in calls of bounded size. */
export function writeBox(
  file: OpenFile,
  name: string,
  start: readonly number[],
  count: readonly number[],
  data: WrittenArray,
): void {
  const axis = count.findIndex((n) => n > 1);
  if (data.byteLength > callBytes && axis >= 0) {
    const half = Math.ceil(count[axis]! / 2);
    const split = (half * data.length) / count[axis]!;
    writeBox(file, name, start, count.with(axis, half), data.subarray(0, split));
    const rest = count.with(axis, count[axis]! - half);
    writeBox(file, name, start.with(axis, start[axis]! + half), rest, data.subarray(split));
    return;
  }
  if (data.length === 0) return;
  const { library, id } = file;
  library.withMemory(data.byteLength, (pointer) =>
    library.call((h5) => {
      h5.HEAPU8.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), pointer);
      const at = BigInt(pointer);
      // A scalar has no hyperslabs.
      if (count.length === 0) return h5.set_dataset_data(id, `/${name}`, null, null, null, at);
      const [n, from, stride] = [count, start, count.map(() => 1)].map((list) => list.map(BigInt));
      return h5.set_dataset_data(id, `/${name}`, n!, from!, stride!, at);
    }),
  );
}

/**
 * Chunk lengths for fields read one time step at a time: all but the last two axes are cut to 1, small chunks
 * of a growing variable are lengthened to about 8 kB, and large fields are cut to rows of at most 16 MiB.
 */
export function chunkFor(shape: readonly number[], growing: readonly boolean[], itemBytes: number): number[] {
  const chunk = shape.map((n, axis) => (growing[axis] || axis < shape.length - 2 ? 1 : Math.max(1, n)));
  const bytes = (): number => elements(chunk) * itemBytes;
  const last = growing.lastIndexOf(true);
  if (last >= 0 && bytes() < 8192) chunk[last] = Math.floor(8192 / bytes());
  const rows = shape.length - 2;
  if (rows >= 0 && bytes() > 16 * MiB) {
    chunk[rows] = Math.max(1, Math.floor((chunk[rows]! * 16 * MiB) / bytes()));
  }
  return chunk;
}
