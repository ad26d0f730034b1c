// Reads hyperslabs through the HDF5 library. Each call opens the dataset anew and drops its chunk cache, so we read
// whole chunks and keep them: reading a variable step by step decompresses each chunk once.

import { decode, texts } from "./chartext.ts";
import type { Dtype } from "./dataset.ts";
import { fromHalf } from "./half.ts";
import type { Hdf5Attributes, Hdf5File } from "./hdf5.ts";
import { Hdf5Failure, type Hdf5Library } from "./hdf5library.ts";
import { copyBox, elements, type Hyperslab, isPlain, type NumericArray, plainArrays } from "./hyperslab.ts";
import { defaultFill } from "./packing.ts";

/** A dataset of the root group. */
export interface Node {
  file: Hdf5File;
  /** Its name in HDF5. */
  link: string;
  dtype: Dtype;
  itemBytes: number;
  /** Strings of variable length. */
  vlen: boolean;
  /** Its own extent, which may be shorter than the unlimited dimension it lies along. */
  stored: number[];
  /** Which axes may grow. */
  growing: boolean[];
  chunks: number[] | null;
  attributes: Hdf5Attributes;
}

const MiB = 2 ** 20;
/** Bytes of one call into the library: its memory is 2 GiB, and holds every read twice. */
const callBytes = 64 * MiB;
/** Decompressed chunks kept between reads, over all files. */
const cacheBytes = 256 * MiB;
/** No filter packs better than this (zstd over constant fields comes near): more is a damaged shape. */
const bestCompression = 20_000;

interface Slab extends Hyperslab {
  data: NumericArray;
}

/** The last slab of each variable, least recently used first. */
const cache = new Map<Node, Slab>();

/** Drops what is kept of a file. */
export function forget(file: Hdf5File): void {
  for (const node of cache.keys()) if (node.file === file) cache.delete(node);
}

/** Stored numbers of a box inside the variable's shape. What was never stored is fill. */
export function readNumbers(node: Node, { start, count }: Hyperslab): NumericArray {
  const bytes = elements(count) * node.itemBytes;
  if (bytes > Math.max(256 * MiB, node.file.size * bestCompression) || bytes >= 2 ** 32) {
    throw new Hdf5Failure(`${bytes} bytes were asked for, of a file of ${node.file.size} bytes`);
  }
  const available = count.map((n, i) => Math.max(0, Math.min(n, node.stored[i]! - start[i]!)));
  if (available.every((n, i) => n === count[i])) return readBox(node, start, count);
  const out = allocate(node.dtype, elements(count));
  const fill = node.attributes.values.get("_FillValue") ?? defaultFill[node.dtype];
  out.fill(typeof fill === "number" ? fill : 0);
  if (!available.includes(0)) {
    const zeros = count.map(() => 0);
    copyBox(readBox(node, start, available), available, zeros, available, out, count, zeros);
  }
  return out;
}

function readBox(node: Node, start: number[], count: number[]): NumericArray {
  if (elements(count) === 0) return allocate(node.dtype, 0);
  if (!node.chunks) return readStored(node, start, count);
  const kept = cache.get(node);
  if (kept?.start.every((a, i) => a <= start[i]! && a + kept.count[i]! >= start[i]! + count[i]!)) {
    cache.delete(node);
    cache.set(node, kept);
    return cut(kept, start, count);
  }
  // The smallest box of whole chunks around the request.
  const from = start.map((a, i) => a - (a % node.chunks![i]!));
  const whole = from.map((a, i) => {
    const chunk = node.chunks![i]!;
    return Math.min(node.stored[i]!, Math.ceil((start[i]! + count[i]!) / chunk) * chunk) - a;
  });
  const needed = elements(whole) * node.itemBytes;
  if (elements(whole) === elements(count) || !(needed <= callBytes)) return readStored(node, start, count);
  const slab = { start: from, count: whole, data: readStored(node, from, whole) };
  cache.delete(node);
  let held = needed;
  for (const other of cache.values()) held += other.data.byteLength;
  for (const [other, { data }] of cache) {
    if (held <= cacheBytes) break;
    cache.delete(other);
    held -= data.byteLength;
  }
  cache.set(node, slab);
  return cut(slab, start, count);
}

function cut(slab: Slab, start: readonly number[], count: readonly number[]): NumericArray {
  const out = new (slab.data.constructor as new (length: number) => NumericArray)(elements(count));
  const inside = start.map((a, i) => a - slab.start[i]!);
  copyBox(
    slab.data,
    slab.count,
    inside,
    count,
    out,
    count,
    count.map(() => 0),
  );
  return out;
}

/** One box straight from the file, in calls of at most `callBytes` that end at chunk borders where they can. */
function readStored(node: Node, start: readonly number[], count: readonly number[]): NumericArray {
  const bytes = elements(count) * node.itemBytes;
  const axis = count.findIndex((n) => n > 1);
  if (bytes <= callBytes || axis < 0) {
    return numbersOf(readBytes(node, start, count), node.dtype);
  }
  const out = allocate(node.dtype, elements(count));
  const perIndex = elements(count) / count[axis]!;
  const most = Math.max(1, Math.floor((count[axis]! * callBytes) / bytes));
  const chunk = node.chunks?.[axis] ?? 1;
  const end = start[axis]! + count[axis]!;
  for (let a = start[axis]!; a < end; ) {
    const over = (a + most) % chunk;
    const take = Math.min(end - a, most > over ? most - over : most);
    const piece = readStored(node, start.with(axis, a), count.with(axis, take));
    out.set(piece, (a - start[axis]!) * perIndex);
    a += take;
  }
  return out;
}

function readBytes(
  node: Node,
  start: readonly number[],
  count: readonly number[],
  use?: (raw: Uint8Array<ArrayBuffer>) => void,
): Uint8Array<ArrayBuffer> {
  const { library, id } = node.file;
  const path = `/${node.link}`;
  const bytes = elements(count) * node.itemBytes;
  // Filters numbered from 256 on are plug-ins (HDF5's registry of filters).
  if (
    node.chunks &&
    library.call((h5) => h5.get_dataset_filters(id, path)).some((filter) => filter.id >= 256)
  ) {
    library.installPlugins();
  }
  return library.withMemory(bytes, (pointer) => {
    // A scalar has no hyperslabs: it is read whole.
    const box = [count, start, count.map(() => 1)].map((list) => (list.length > 0 ? list.map(BigInt) : null));
    const [n, from, stride] = box as [bigint[] | null, bigint[] | null, bigint[] | null];
    library.call((h5) => h5.get_dataset_data(id, path, n, from, stride, BigInt(pointer)));
    const raw = library.call((h5) => new Uint8Array(h5.HEAPU8.slice(pointer, pointer + bytes).buffer));
    if (use) {
      use(raw);
      library.call((h5) => h5.reclaim_vlen_memory_count(id, path, "", BigInt(pointer), n ?? []));
    }
    return raw;
  });
}

/** All strings of a variable of strings, row-major. */
export function readStrings(node: Node): string[] {
  if (elements(node.stored) === 0) return [];
  const bytes = elements(node.stored) * node.itemBytes;
  if (!(bytes <= callBytes)) throw new Hdf5Failure(`its text claims ${bytes} bytes`);
  const start = node.stored.map(() => 0);
  if (!node.vlen) return texts(readBytes(node, start, node.stored), node.itemBytes);
  let strings: string[] = [];
  readBytes(node, start, node.stored, (raw) => {
    strings = stringsAt(node.file.library, raw);
  });
  return strings;
}

/** Strings of variable length, from their 32-bit addresses in the library's memory. */
export function stringsAt(library: Hdf5Library, pointers: Uint8Array<ArrayBuffer>): string[] {
  return library.call((h5) =>
    Array.from(new Uint32Array(pointers.buffer), (address) => {
      if (address === 0 || address >= h5.HEAPU8.length) return "";
      const end = h5.HEAPU8.indexOf(0, address);
      return decode(h5.HEAPU8.slice(address, end < 0 ? address : end));
    }),
  );
}

function allocate(dtype: Dtype, length: number): NumericArray {
  return new (numbersOf(new Uint8Array(0), dtype).constructor as new (n: number) => NumericArray)(length);
}

/** Little-endian bytes as numbers; 64-bit integers become float64, half precision float32. */
export function numbersOf({ buffer }: Uint8Array<ArrayBuffer>, dtype: Dtype): NumericArray {
  if (isPlain(dtype)) return new plainArrays[dtype](buffer);
  switch (dtype) {
    case "int64":
      return Float64Array.from(new BigInt64Array(buffer), Number);
    case "uint64":
      return Float64Array.from(new BigUint64Array(buffer), Number);
    case "float16":
      return fromHalf(new Uint16Array(buffer));
    default:
      return new Uint8Array(buffer);
  }
}
