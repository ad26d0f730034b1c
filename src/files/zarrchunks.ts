// Hyperslabs of Zarr arrays: fetches and decodes the chunks a box touches, several at once, and keeps decoded ones,
// because reads come one field at a time, often level after level from the same chunk.
import { ClimaxError } from "../errors.ts";
import { copyBox, elements, type Hyperslab, type NumericArray } from "./hyperslab.ts";
import { knownCompressors, zarr } from "./zarrcodecs.ts";
import type { ArrayMetadata } from "./zarrmetadata.ts";
import type { ZarrStore } from "./zarrstore.ts";
import { filled, numbersOf } from "./zarrtypes.ts";

/** An array of a store. */
export interface ZarrArray {
  store: ZarrStore;
  name: string;
  metadata: ArrayMetadata;
}

const MiB = 2 ** 20;
/** Decoded chunks kept between reads, over all stores. A single larger one is kept alone. */
const cacheBytes = 128 * MiB;
/** Chunks of one read that are fetched and decoded at a time, and the bytes they may have together. */
const mostAtOnce = 8;
const bytesAtOnce = 128 * MiB;
/** Of one read: more is a damaged shape, or no way to read. */
const largestRead = 2 ** 31;
const mostChunks = 2 ** 17;

/** Numbers, or texts where the array holds texts; row-major in the shape of a chunk. Undefined: never written. */
type Chunk = NumericArray | string[] | undefined;

interface Kept {
  array: ZarrArray;
  chunk: Promise<Chunk>;
  bytes: number;
}

/** By array and coordinates; the least recently used first. */
const cache = new Map<string, Kept>();
let held = 0;
const ids = new WeakMap<ZarrArray, number>();
let nextId = 0;

/** Drops what is kept of a store. */
export function forgetChunks(store: ZarrStore): void {
  for (const [key, { array }] of cache) if (array.store === store) drop(key);
}

function drop(key: string): void {
  held -= cache.get(key)?.bytes ?? 0;
  cache.delete(key);
}

/** @throws ClimaxError "data" when the box is too large or a chunk cannot be had. */
export async function readNumbers(array: ZarrArray, slab: Hyperslab): Promise<NumericArray> {
  const { type, fill } = array.metadata;
  const out = filled(sizeOf(array, slab), type, fill);
  await eachChunk(array, slab, (chunk, source, count, target) => {
    if (chunk) {
      copyBox(chunk as NumericArray, array.metadata.chunks, source, count, out, slab.count, target);
    }
  });
  return out;
}

/** All texts of the array, row-major. @throws as `readNumbers`. */
export async function readTexts(array: ZarrArray): Promise<string[]> {
  const { shape, chunks } = array.metadata;
  const slab = { start: shape.map(() => 0), count: shape };
  const out: string[] = new Array(sizeOf(array, slab)).fill("");
  const at = (place: number[], lengths: number[]) =>
    place.reduce((index, n, axis) => index * lengths[axis]! + n, 0);
  await eachChunk(array, slab, (chunk, source, count, target) => {
    for (let i = 0; chunk && i < elements(count); i++) {
      const inside: number[] = [];
      for (let axis = count.length - 1, rest = i; axis >= 0; axis--) {
        inside.unshift(rest % count[axis]!);
        rest = Math.floor(rest / count[axis]!);
      }
      const [from, to] = [source, target].map((corner) => inside.map((n, axis) => n + corner[axis]!));
      out[at(to!, shape)] = (chunk as string[])[at(from!, chunks)]!;
    }
  });
  return out;
}

/** Elements of a box that may be read at once. */
function sizeOf({ store, name, metadata }: ZarrArray, { count }: Hyperslab): number {
  const size = elements(count);
  const bytes = size * (metadata.type.bytes ?? 8);
  const touched = count.reduce((n, c, axis) => n * Math.ceil(c / metadata.chunks[axis]!), 1);
  if (bytes <= largestRead && touched <= mostChunks) return size;
  throw new ClimaxError(
    "data",
    `${store.path}: ${bytes} bytes in ${touched} chunks of "${name}" were asked for at once; at most ${largestRead} in ${mostChunks} are read`,
    "its shape is damaged, or it was meant to be read in parts; write it anew with larger chunks",
  );
}

/** Hands over each chunk that a box touches: which part of it, and where in the box that lies. */
async function eachChunk(
  array: ZarrArray,
  { start, count }: Hyperslab,
  use: (chunk: Chunk, source: number[], count: number[], target: number[]) => void,
): Promise<void> {
  if (count.includes(0)) return;
  const { chunks, chunkBytes } = array.metadata;
  const first = start.map((a, axis) => Math.floor(a / chunks[axis]!));
  const last = start.map((a, axis) => Math.floor((a + count[axis]! - 1) / chunks[axis]!));
  let next: number[] | undefined = [...first];
  const take = (): number[] | undefined => {
    const taken = next;
    if (!taken) return undefined;
    next = undefined;
    for (let axis = taken.length - 1; axis >= 0 && !next; axis--) {
      if (taken[axis]! < last[axis]!)
        next = [...taken.slice(0, axis), taken[axis]! + 1, ...first.slice(axis + 1)];
    }
    return taken;
  };
  const work = async (): Promise<void> => {
    for (let place = take(); place; place = take()) {
      const chunk = await decoded(array, place);
      const corner = place.map((n, axis) => n * chunks[axis]!);
      const from = corner.map((a, axis) => Math.max(a, start[axis]!));
      const to = corner.map((a, axis) => Math.min(a + chunks[axis]!, start[axis]! + count[axis]!));
      use(
        chunk,
        from.map((a, axis) => a - corner[axis]!),
        to.map((a, axis) => a - from[axis]!),
        from.map((a, axis) => a - start[axis]!),
      );
    }
  };
  const workers = Math.max(1, Math.min(mostAtOnce, Math.floor(bytesAtOnce / chunkBytes)));
  const results = await Promise.allSettled(Array.from({ length: workers }, () => work().catch(stop)));
  function stop(error: unknown): never {
    next = undefined; // the others need not go on
    throw error;
  }
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** A decoded chunk, kept or made. */
function decoded(array: ZarrArray, place: number[]): Promise<Chunk> {
  if (!ids.has(array)) ids.set(array, nextId++);
  const key = `${ids.get(array)} ${place}`;
  const kept = cache.get(key);
  if (kept) {
    cache.delete(key);
    cache.set(key, kept);
    return kept.chunk;
  }
  const entry: Kept = { array, chunk: decode(array, place), bytes: array.metadata.chunkBytes };
  cache.set(key, entry);
  held += entry.bytes;
  for (const [oldest] of cache) {
    if (held <= cacheBytes || oldest === key) break;
    drop(oldest);
  }
  entry.chunk.then(
    (chunk) => {
      if (cache.get(key) !== entry) return;
      // What was never written takes no room, and the bytes of texts and halves were a guess.
      const texts = Array.isArray(chunk) ? chunk.reduce((sum, text) => sum + 2 * text.length, 0) : 0;
      const bytes = chunk && !Array.isArray(chunk) ? chunk.byteLength : texts;
      held += bytes - entry.bytes;
      entry.bytes = bytes;
    },
    () => {
      if (cache.get(key) === entry) drop(key); // a later read may have more luck
    },
  );
  return entry.chunk;
}

/** Thrown through zarrita, which would fill a whole chunk for one that is not there. */
const absent = new Error("this chunk was never written");

type Opened = zarr.Array<zarr.DataType, zarr.Readable>;
const opened = new WeakMap<ZarrArray, Promise<Opened>>();

/** The array as zarrita sees it: alone in a store of its own, of which our metadata is the only document. */
function open(array: ZarrArray): Promise<Opened> {
  const { store, name, metadata } = array;
  const { version, json } = metadata.forZarrita;
  const document = version === 2 ? "/.zarray" : "/zarr.json";
  // No compressor makes more of its data than this, indices of shards included.
  const maxBytes = metadata.chunkBytes * 1.125 + MiB;
  const view = {
    async get(key: string) {
      if (key === document) return new TextEncoder().encode(JSON.stringify(json));
      return (await store.chunk(name + key, undefined, maxBytes)) ?? Promise.reject(absent);
    },
    async getRange(key: string, range: { offset: number; length: number } | { suffixLength: number }) {
      const index = "suffixLength" in range;
      const part = index && metadata.indexFirst ? { offset: 0, length: range.suffixLength } : range;
      if (!index && !(range.length <= maxBytes && range.offset <= Number.MAX_SAFE_INTEGER)) {
        throw new Error(`its shard's index claims ${range.length} bytes for it from ${range.offset} on`);
      }
      const found = await store.chunk(name + key, part, index ? 2 ** 27 : maxBytes);
      return found ?? Promise.reject(absent);
    },
  };
  const known = opened.get(array);
  if (known) return known;
  const made = (
    version === 2
      ? zarr.open.v2(view, { kind: "array", attrs: false })
      : zarr.open.v3(view, { kind: "array" })
  ) as Promise<Opened>;
  opened.set(array, made);
  return made;
}

async function decode(array: ZarrArray, place: number[], again = false): Promise<Chunk> {
  const { store, name, metadata } = array;
  const { version, json } = metadata.forZarrita;
  try {
    const { data, stride } = await (await open(array)).getChunk(place);
    const size = elements(metadata.chunks);
    if (data.length !== size) throw new Error(`it decodes to ${data.length} elements; wanted ${size}`);
    return inOrder(array, data as unknown as Elements, stride);
  } catch (error) {
    if (error === absent) return undefined;
    if (error instanceof ClimaxError) throw error;
    if (error instanceof zarr.UnknownCodecError) {
      throw new ClimaxError(
        "data",
        `${store.path}: "${name}" is compressed by ${error.codec}, which is not read; read are ${knownCompressors.join(", ")}`,
        "write it anew with one of those, for example by Python's zarr.copy",
      );
    }
    // What lies in a cache of ours may have come damaged: once more from where it came from.
    if (!again && store.distrust(name)) {
      opened.delete(array);
      return decode(array, place, true);
    }
    const { dimension_separator: dots } = json as { dimension_separator?: string };
    const what = error instanceof zarr.CodecPipelineError ? error.cause : error;
    throw new ClimaxError(
      "data",
      `${store.path}: chunk ${place.join(version === 2 ? dots : "/") || "0"} of "${name}" is damaged: ${(what as Error).message}`,
      "copy or fetch that chunk again; the rest of the store may be whole",
      { cause: error },
    );
  }
}

type Elements = (ArrayLike<number> | ArrayLike<bigint>) & { get?: (i: number) => string };

/** The elements of a chunk row by row, whatever the order they are stored in. */
function inOrder({ metadata }: ZarrArray, data: Elements, stride: number[]): Chunk {
  const { chunks, type } = metadata;
  const plain = stride.every((n, axis) => n === elements(chunks.slice(axis + 1)));
  const order = plain ? undefined : rowMajor(chunks, stride);
  if (type.dtype === "string") {
    const texts = data as unknown as string[] & { get?: (i: number) => string };
    const at = (i: number) => String(texts.get ? texts.get(i) : (texts[i] ?? ""));
    return Array.from({ length: texts.length }, (_, i) => at(order ? order[i]! : i));
  }
  const numbers = numbersOf(data, type);
  return order ? numbers.map((_, i) => numbers[order[i]!]!) : numbers;
}

/** Where the elements of a chunk lie, row by row. */
function rowMajor(shape: number[], stride: number[]): Uint32Array {
  const places = new Uint32Array(elements(shape));
  let block = 1;
  // Axis by axis from the last: the places of one row, then of all rows of a plane...
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    for (let i = 1; i < shape[axis]!; i++) {
      for (let j = 0; j < block; j++) places[i * block + j] = places[j]! + i * stride[axis]!;
    }
    block *= shape[axis]!;
  }
  return places;
}
