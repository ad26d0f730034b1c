/** Output files that are made in memory: written whole or not at all. */
import { realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { ClimaxError } from "../errors.ts";

const partialOf = (path: string) => `${path}.partial-${process.pid}`;

/**
 * Writes beside the target and renames; into a device or a pipe (/dev/stdout, /dev/null), which a rename would replace, at
 * once. Throws a `data` error when that cannot be done, and leaves nothing behind.
 */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const { target, stream } = await targetOf(path);
  await guarded(path, target, async (partial) => {
    if (stream) return writeFile(target, content);
    await writeFile(partial, content);
    await rename(partial, target);
  });
}

/** Where a path leads to, by links as well: the link stays. */
async function targetOf(path: string): Promise<{ target: string; stream: boolean }> {
  const info = await stat(path).catch(() => undefined);
  if (!info) return { target: path, stream: false };
  // A pipe has no name but that of its link.
  if (!info.isFile()) return { target: path, stream: !info.isDirectory() };
  return { target: await realpath(path), stream: false };
}

/** Throws the same error now, before the work is done, for a path that cannot be written. */
export async function checkOutput(path: string): Promise<void> {
  const folder = await stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
  if (folder) throw new ClimaxError("data", `cannot write ${path}: it is a folder`, "name a file in it");
  const { target, stream } = await targetOf(path);
  if (stream) return;
  await guarded(path, target, async (partial) => {
    await writeFile(partial, "");
    await rm(partial);
  });
}

async function guarded(
  path: string,
  target: string,
  work: (partial: string) => Promise<void>,
): Promise<void> {
  try {
    await work(partialOf(target));
  } catch (error) {
    await rm(partialOf(target), { force: true }).catch(() => undefined);
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
