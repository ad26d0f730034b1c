// NumPy's .npz archives with their arrays left in the file: stored members (numpy.savez) are read by position, deflated
// ones (savez_compressed) are inflated once and kept while there is room. Reading whole archives is npy.ts.
import { openPromise, type ZipFile } from "yauzl";
import { ClimaxError } from "../errors.ts";
import {
  checkMember,
  memberBytes,
  type NpyReader,
  openForReading,
  readExactly,
  readerOf,
  type ZipEntry,
} from "./npy.ts";
import { damaged } from "./npyformat.ts";

export interface NpzReader {
  path: string;
  /** Bytes of each array with its header, by its name without ".npy". */
  sizes: Map<string, number>;
  /**
   * An array, read on demand. Stored members are not checked against their CRC-32, which would read all of them.
   * @throws ClimaxError "data" for a damaged member, and for one that there is not
   */
  array(name: string): Promise<NpyReader>;
  close(): Promise<void>;
}

/** Inflated members, over all archives that share it; the least recently used goes first. */
export interface InflatedCache {
  get(key: string): Promise<Uint8Array> | undefined;
  set(key: string, bytes: Promise<Uint8Array>, size: number): void;
}

/** @param capacity  bytes; a larger member is inflated, used and forgotten */
export function inflatedCache(capacity = 2 ** 28): InflatedCache {
  const kept = new Map<string, { bytes: Promise<Uint8Array>; size: number }>();
  let held = 0;
  return {
    get(key) {
      const found = kept.get(key);
      if (!found) return undefined;
      kept.delete(key);
      kept.set(key, found);
      return found.bytes;
    },
    set(key, bytes, size) {
      if (size > capacity) return;
      for (const [oldest, { size: freed }] of kept) {
        if (held + size <= capacity) break;
        kept.delete(oldest);
        held -= freed;
      }
      kept.set(key, { bytes, size });
      held += size;
    },
  };
}

/** The most members that are believed; the reference's shards have 48, and numpy's users a few hundred. */
const mostMembers = 10_000;
/** The largest deflated member, bytes: inflating takes it whole into memory. */
const largestInflated = 2 ** 30;

/**
 * Opens an archive: reads its table of contents only.
 * @throws ClimaxError "data" when it is no .npz or is damaged
 */
export async function openNpz(path: string, cache: InflatedCache = inflatedCache()): Promise<NpzReader> {
  const handle = await openForReading(path);
  let zip: ZipFile | undefined;
  try {
    const { size } = await handle.stat();
    zip = await openPromise(path, { autoClose: false });
    const entries = new Map<string, ZipEntry>();
    let claimed = 0;
    for await (const entry of zip.eachEntry()) {
      const name = entry.fileName.replace(/\.npy$/, "");
      if (entry.fileName === name) damaged(path, `its member ${name} is no .npy array`);
      if (entries.has(name)) damaged(path, `two members are called ${entry.fileName}`);
      claimed += entry.compressedSize;
      if (claimed > size) damaged(path, "members claim more bytes than the archive has");
      if (entries.size >= mostMembers) damaged(path, `more than ${mostMembers} members`);
      entries.set(name, entry);
    }
    const open = zip;
    return {
      path,
      sizes: new Map([...entries].map(([name, entry]) => [name, entry.uncompressedSize])),
      async array(name) {
        const entry = entries.get(name);
        if (!entry)
          throw new ClimaxError(
            "data",
            `${path} has no array ${name}; it has ${[...entries.keys()].slice(0, 8).join(", ")}${entries.size > 8 ? "..." : ""}`,
            "choose one of these, or write the file again with it",
          );
        const where = `${path}: member ${entry.fileName}`;
        const deflated = checkMember(entry, where);
        if (deflated) return readerOf(inflated(where, entry));
        if (entry.compressedSize !== entry.uncompressedSize)
          damaged(
            where,
            `is stored in ${entry.compressedSize} bytes, ${entry.uncompressedSize} were claimed`,
          );
        const { fileDataStart } = await open
          .readLocalFileHeaderPromise(entry, { minimal: true })
          .catch((error: Error) => damaged(where, error.message));
        const readInto = (target: Uint8Array, position: number) =>
          readExactly(handle, target, fileDataStart + position, where);
        if (fileDataStart + entry.compressedSize > size) damaged(where, "ends beyond the archive");
        return readerOf({ name: where, size: entry.compressedSize, readInto });
      },
      async close() {
        open.close();
        await handle.close();
      },
    };

    function inflated(name: string, entry: ZipEntry) {
      const { uncompressedSize } = entry;
      if (uncompressedSize > largestInflated)
        throw new ClimaxError(
          "data",
          `${name} is compressed and has ${uncompressedSize} bytes, more than can be inflated at once`,
          "write it with numpy.savez, uncompressed, or in shorter shards",
        );
      const key = `${path} ${entry.fileName}`;
      const bytes = () => {
        const known = cache.get(key);
        if (known) return known;
        const made = memberBytes(handle, open, entry, name).catch((error: Error) => {
          if (error instanceof ClimaxError) throw error;
          return damaged(name, error.message);
        });
        cache.set(key, made, uncompressedSize);
        return made;
      };
      const readInto = async (target: Uint8Array, position: number) => {
        const all = await bytes();
        if (position + target.length > all.length)
          damaged(name, `ends at byte ${all.length}, ${position + target.length} were wanted`);
        target.set(all.subarray(position, position + target.length));
      };
      return { name, size: uncompressedSize, readInto };
    }
  } catch (error) {
    zip?.close();
    await handle.close();
    if (error instanceof ClimaxError) throw error;
    return damaged(path, `not a readable .npz (ZIP) archive: ${(error as Error).message}`);
  }
}
