/** Score files on disk: written whole or not at all, and the record of the files they were made from. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { rename, rm, stat, writeFile } from "node:fs/promises";
import { ClimaxError } from "../errors.ts";

const partialOf = (path: string) => `${path}.partial-${process.pid}`;

/** Writes beside the target and renames. Throws a `data` error when that cannot be done, and leaves nothing behind. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  await guarded(path, async (partial) => {
    await writeFile(partial, content);
    await rename(partial, path);
  });
}

/** Throws the same error now, before the work is done, for a path that cannot be written. */
export async function checkOutput(path: string): Promise<void> {
  const folder = await stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
  if (folder) throw new ClimaxError("data", `cannot write ${path}: it is a folder`, "name a file in it");
  await guarded(path, async (partial) => {
    await writeFile(partial, "");
    await rm(partial);
  });
}

async function guarded(path: string, work: (partial: string) => Promise<void>): Promise<void> {
  try {
    await work(partialOf(path));
  } catch (error) {
    await rm(partialOf(path), { force: true }).catch(() => undefined);
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: "its folder does not exist",
      ENOTDIR: "a part of its path is a file",
      EACCES: "permission denied",
      EROFS: "the file system is read-only",
      ENOSPC: "no space is left",
    };
    throw new ClimaxError(
      "data",
      `cannot write ${path}: ${reasons[code ?? ""] ?? message}`,
      "choose another path, or make room",
      { cause: error },
    );
  }
}

/** Size, and SHA-256 where wanted, of files; null for what is no file: a folder, a store that is far away. */
export async function fileRecords(
  paths: readonly string[],
  hash: boolean,
): Promise<{ path: string; bytes: number | null; sha256: string | null }[]> {
  const records = [];
  // One after the other: a run may have thousands of them.
  for (const path of paths) {
    const info = await stat(path).catch(() => undefined);
    const isFile = info?.isFile() ?? false;
    records.push({
      path,
      bytes: isFile ? info!.size : null,
      sha256: isFile && hash ? await checksum(path) : null,
    });
  }
  return records;
}

async function checksum(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
