// A cache of fetched bytes on disk, shared by all processes of a user: one file per entry, which carries a checksum
// of its content, is written whole under another name first, and is removed when it was not used for longest.
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

export interface HttpCache {
  folder: string;
  /** The content stored under a key; undefined when there is none, or only a damaged one. */
  read(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Stores content; a disk that will not take it is said once, as a warning, and does no further harm. */
  write(key: string, content: Uint8Array): Promise<void>;
}

/** Before the content: these bytes, then its SHA-256. */
const magic = Buffer.from("climax cache 1\n");
const headBytes = magic.length + 32;

/** Where the cache lies: CLIMAX_CACHE, or climax in XDG_CACHE_HOME or ~/.cache; undefined when CLIMAX_CACHE is "off". */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const { CLIMAX_CACHE: own, XDG_CACHE_HOME: shared } = environment;
  if (own === "off") return undefined;
  return own || join(shared || join(homedir(), ".cache"), "climax");
}

/**
 * Opens the cache in `folder`, which need not exist.
 * @param maxBytes of all entries together; 10 GiB. Passed for a moment only, by what is written between two looks.
 */
export function openCache(folder: string, maxBytes = 10 * 2 ** 30): HttpCache {
  const pathOf = (key: string) => {
    const name = createHash("sha256").update(key).digest("hex");
    return join(folder, name.slice(0, 2), name.slice(2));
  };
  let warned = false;
  /** Bytes written since the folder was last looked through; the first write looks. */
  let unseen = Infinity;

  return {
    folder,
    async read(key) {
      const path = pathOf(key);
      const stored = await readFile(path).catch(() => undefined);
      if (!stored) return undefined;
      const content = new Uint8Array(stored.subarray(headBytes));
      if (
        stored.subarray(0, magic.length).equals(magic) &&
        sum(content).equals(stored.subarray(magic.length, headBytes))
      ) {
        const now = new Date();
        // Its age is since its last use. Another process may have removed it meanwhile, which is no harm.
        await utimes(path, now, now).catch(() => undefined);
        return content;
      }
      await rm(path, { force: true });
      return undefined;
    },
    async write(key, content) {
      if (content.length > maxBytes / 4) return; // it would push out all else
      const path = pathOf(key);
      const unfinished = `${path}.${randomUUID()}`;
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await writeFile(unfinished, Buffer.concat([magic, sum(content), content]), { mode: 0o600 });
        await rename(unfinished, path);
        unseen += content.length;
        if (unseen > maxBytes / 10) {
          unseen = 0;
          await trim(folder, maxBytes);
        }
      } catch (error) {
        await rm(unfinished, { force: true }).catch(() => undefined);
        if (!warned) {
          const mend = "set CLIMAX_CACHE to a folder with room, or to off";
          process.emitWarning(`cannot keep fetched data in ${folder}: ${(error as Error).message}; ${mend}`);
        }
        warned = true;
      }
    },
  };
}

function sum(content: Uint8Array): Buffer {
  return createHash("sha256").update(content).digest();
}

/** Removes what was used longest ago until the rest is well below the limit; unfinished files of the dead as well. */
async function trim(folder: string, maxBytes: number): Promise<void> {
  const names = await readdir(folder, { recursive: true });
  const entries: { path: string; bytes: number; used: number }[] = [];
  for (const name of names) {
    if (!/^[0-9a-f]{2}[/\\][0-9a-f]{62}(\.[0-9a-f-]{36})?$/.test(name)) continue; // nothing of ours
    const path = join(folder, name);
    const info = await stat(path).catch(() => undefined);
    if (!info?.isFile()) continue;
    const unfinished = name.includes(".");
    if (unfinished && Date.now() - info.mtimeMs > 3_600_000) await rm(path, { force: true });
    else if (!unfinished) entries.push({ path, bytes: info.size, used: info.mtimeMs });
  }
  let total = entries.reduce((bytes, entry) => bytes + entry.bytes, 0);
  if (total <= maxBytes) return;
  for (const { path, bytes } of entries.sort((a, b) => a.used - b.used)) {
    if (total <= maxBytes * 0.9) break;
    await rm(path, { force: true });
    total -= bytes;
  }
}
