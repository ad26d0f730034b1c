// Where the objects of a Zarr store lie: in a folder, or behind an address. Keys are "name/0.0.0", never with "..".
import { createHash } from "node:crypto";
import { type FileHandle, open, readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { ClimaxError } from "../errors.ts";
import { type ByteRange, get, getIfChanged, getIfThere } from "./http.ts";
import { cacheFolder, type HttpCache, openCache } from "./httpcache.ts";
import { type HttpOptions, publicUrl } from "./httprequest.ts";

export interface ZarrStore {
  /** As the user named it. */
  path: string;
  /** A document that describes the store, at most 64 MiB; undefined when it is not there. */
  document(key: string): Promise<Uint8Array | undefined>;
  /**
   * A chunk, or the bytes of a range of it; undefined when it is not there.
   * @throws ClimaxError "data" when it is larger than `maxBytes` or cannot be had.
   */
  chunk(key: string, range: ByteRange | undefined, maxBytes: number): Promise<Uint8Array | undefined>;
  /** A chunk of an array came damaged: its chunks are fetched anew from now on. False where they always are. */
  distrust(name: string): boolean;
  /** Names of the folders in the store; undefined where they cannot be listed. */
  folders?(): Promise<string[]>;
}

const longestDocument = 2 ** 26;

/** A store in a folder. What symbolic links inside it lead to must lie inside as well. */
export async function folderStore(path: string, absolute: string): Promise<ZarrStore> {
  const root = await realpath(absolute);
  const fail = (key: string, what: string, hint: string, cause?: unknown): never => {
    throw new ClimaxError("data", `${path}: ${key} ${what}`, hint, { cause });
  };

  async function withFile<T>(
    key: string,
    use: (file: FileHandle, size: number) => Promise<T>,
  ): Promise<T | undefined> {
    let file: FileHandle | undefined;
    try {
      const real = await realpath(join(root, key));
      if (!real.startsWith(root.endsWith(sep) ? root : root + sep)) {
        fail(key, "is a symbolic link out of the store", "copy what it leads to into the store");
      }
      file = await openFile(real);
      if (!file) return fail(key, "is not a regular file", "copy or fetch the store again");
      return await use(file, (await file.stat()).size);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      if (error instanceof ClimaxError) throw error;
      const denied = code === "EACCES";
      const hint = denied ? `ask its owner, or: chmod -R +r ${path}` : "check the disk";
      return fail(key, denied ? "may not be read by you" : `cannot be read: ${message}`, hint, error);
    } finally {
      await file?.close();
    }
  }

  async function chunk(key: string, range: ByteRange | undefined, maxBytes: number) {
    return withFile(key, async (file, size) => {
      const part = range && "offset" in range ? range : { offset: 0, length: size };
      if (range && "suffixLength" in range) {
        part.length = Math.min(size, range.suffixLength);
        part.offset = size - part.length;
      }
      if (part.offset + part.length > size) {
        fail(key, `has ${size} bytes, its index leads beyond them`, "it is cut off: copy or fetch it again");
      }
      if (part.length > maxBytes) {
        fail(key, `has ${part.length} bytes; at most ${maxBytes} were expected`, "copy or fetch it again");
      }
      const bytes = new Uint8Array(part.length);
      const { bytesRead } = await file.read(bytes, 0, part.length, part.offset);
      if (bytesRead < part.length) fail(key, "became shorter while it was read", "wait until it is written");
      return bytes;
    });
  }

  return {
    path,
    chunk,
    document: (key) => chunk(key, undefined, longestDocument),
    distrust: () => false,
    async folders() {
      const entries = await readdir(root, { withFileTypes: true });
      return entries.filter((entry) => !entry.isFile()).map(({ name }) => name);
    },
  };
}

/** A regular file; undefined for folders, and for pipes and devices, which would keep us waiting. */
async function openFile(path: string): Promise<FileHandle | undefined> {
  return (await stat(path)).isFile() ? open(path, "r") : undefined;
}

export interface WebStoreOptions extends HttpOptions {
  /** Where chunks and documents are kept; null for nowhere. Default: the user's cache. */
  cache?: HttpCache | null;
}

/** One for each folder, which then is looked through once a process. */
const caches = new Map<string, HttpCache>();

function userCache(): HttpCache | null {
  const folder = cacheFolder();
  if (folder === undefined) return null;
  const cache = caches.get(folder) ?? openCache(folder);
  caches.set(folder, cache);
  return cache;
}

/**
 * A store behind http://, https://, gs:// or s3://. Chunks kept in the cache belong to one version of the store's
 * documents, which are asked for again each time it is opened: what was appended or rewritten is seen.
 */
export function webStore(address: string, options: WebStoreOptions = {}): ZarrStore {
  const base = publicUrl(address);
  const cache = options.cache === undefined ? userCache() : options.cache;
  const versions = createHash("sha256");
  let version: string | undefined;
  const distrusted = new Set<string>();
  const urlOf = (key: string): string => {
    const url = new URL(base);
    const path = key.split("/").map(encodeURIComponent).join("/");
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/${path}`;
    return url.href;
  };

  async function document(key: string): Promise<Uint8Array | undefined> {
    const url = urlOf(key);
    // S3 answers 403 for what is not there to those who may not list a bucket.
    const limits = { ...options, maxBytes: longestDocument, absent: [403, 404, 410] };
    const kept = await cache?.read(`document ${url}`);
    const end = kept?.indexOf(10) ?? -1;
    const known = kept && end >= 0 ? JSON.parse(Buffer.from(kept.subarray(0, end)).toString()) : undefined;
    const found = known ? await getIfChanged(url, known, limits) : await getIfThere(url, limits);
    if (found === undefined) return undefined;
    if (found === "unchanged") {
      versions.update(kept!);
      return kept!.subarray(end + 1);
    }
    const { bytes, etag, lastModified } = found;
    const entry = Buffer.concat([Buffer.from(`${JSON.stringify({ etag, lastModified })}\n`), bytes]);
    versions.update(entry);
    if (etag ?? lastModified) await cache?.write(`document ${url}`, entry);
    return bytes;
  }

  return {
    path: address,
    document,
    async chunk(key, range, maxBytes) {
      if (range && "length" in range && range.length === 0) return new Uint8Array(0); // no range of HTTP is empty
      version ??= versions.copy().digest("hex");
      const url = urlOf(key);
      const name = `chunk ${url} ${range ? JSON.stringify(range) : "all"} ${version}`;
      const trusted = !distrusted.has(key.slice(0, key.indexOf("/")));
      const kept = trusted ? await cache?.read(name) : undefined;
      if (kept && kept.length <= maxBytes) return kept;
      const found = await getIfThere(url, { ...options, range, maxBytes });
      if (found) await cache?.write(name, found.bytes);
      return found?.bytes;
    },
    distrust(name) {
      distrusted.add(name);
      return cache !== null;
    },
  };
}

/** The first bytes of what lies at an address itself; undefined when nothing does. */
export async function firstBytes(address: string, options: HttpOptions): Promise<Uint8Array | undefined> {
  try {
    return (await get(address, { ...options, range: { offset: 0, length: 512 } })).bytes;
  } catch (error) {
    if (error instanceof ClimaxError) return undefined;
    throw error;
  }
}
