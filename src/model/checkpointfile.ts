// A file of weights in the making: it grows under a temporary name beside its target, is flushed to the disk, then renamed.
import { type FileHandle, open, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ClimaxError } from "../errors.ts";

/** Node refuses single writes of 2 GiB and more. */
const CHUNK = 1 << 30;

/** A file in the making has not grown for so long, ms: nobody writes it any more, on whichever host that shares the disk. */
const abandoned = 120_000;

/** Appends bytes to the file; they may be reused once it resolves. */
export type Append = (bytes: Uint8Array) => Promise<void>;

/**
 * Writes a file that appears whole or not at all. What a link leads to is written, and the link stays.
 *
 * @param write  appends the content piece by piece, so that it need not be in memory; what it throws undoes the file and comes back as it is
 * @throws       ClimaxError "checkpoint" if the place cannot be written or is full; nothing is left behind
 */
export async function writeCheckpointFile(
  path: string,
  write: (append: Append) => Promise<void>,
): Promise<void> {
  const target = await targetOf(path);
  const partial = `${target}.partial-${process.pid}`;
  const explain = (error: unknown): never => {
    throw explained(path, error);
  };
  let handle: FileHandle | undefined;
  try {
    await rm(partial, { force: true }).catch(explain); // of an earlier process that had this id
    const file = await open(partial, "wx").catch(explain);
    handle = file;
    await removeAbandoned(target, (await file.stat()).mtimeMs);
    await write((bytes) => writeAll(file, bytes).catch(explain));
    await file.sync().catch(explain);
    await file.close();
    handle = undefined;
    await rename(partial, target).catch(explain);
    await syncFolder(target);
  } catch (error) {
    await handle?.close().catch(() => {});
    await rm(partial, { force: true }).catch(() => {});
    throw error;
  }
}

/**
 * Removes what processes that were killed while they wrote this very file have left of it: of each that is not here (any
 * more) and has written nothing for a while. A process id says nothing of other hosts, and of a host that is down nothing
 * else is to be seen.
 *
 * @param now  by the clock of the disk, which sets the times of all hosts' files: ms since 1970
 */
async function removeAbandoned(target: string, now: number): Promise<void> {
  const [folder, start] = [dirname(target), `${basename(target)}.partial-`];
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = name.startsWith(start) ? name.slice(start.length) : "";
    if (!/^[1-9]\d{0,9}$/.test(pid) || isHere(Number(pid))) continue;
    const left = await stat(join(folder, name)).catch(() => undefined); // another may be first to remove it
    if (left?.isFile() && now - left.mtimeMs >= abandoned)
      await rm(join(folder, name), { force: true }).catch(() => undefined); // it is in nobody's way
  }
}

function isHere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH"; // another user's is here too
  }
}

async function targetOf(path: string): Promise<string> {
  const there = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ELOOP") throw explained(path, error);
  });
  if (!there) return path;
  if (there.isDirectory()) throw refusal(path, "it is a folder", "name a file in it");
  // A rename would replace the device itself.
  if (!there.isFile()) throw refusal(path, "it is a device or a pipe", "name a file");
  return await realpath(path);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(CHUNK, bytes.length - done));
    done += bytesWritten;
  }
}

/** Makes the rename itself last; not every file system can. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), "r").catch(() => undefined);
  await folder?.sync().catch(() => {});
  await folder?.close();
}

function refusal(path: string, reason: string, hint: string, cause?: unknown): ClimaxError {
  return new ClimaxError("checkpoint", `cannot write ${path}: ${reason}`, hint, { cause });
}

function explained(path: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const known: Record<string, [string, string]> = {
    ENOENT: ["its folder does not exist", "make the folder first"],
    ENOTDIR: ["a part of the path is a file, not a folder", "choose another path"],
    ENAMETOOLONG: ["the name is too long", "choose a shorter one"],
    ELOOP: ["its links lead in a circle", "choose another path"],
    EACCES: ["permission denied", "choose a folder you may write to"],
    EPERM: ["permission denied", "choose a folder you may write to"],
    EROFS: ["the file system is read-only", "choose another folder"],
    ENOSPC: ["no space left on the device", "free some space or choose another folder"],
    EDQUOT: ["the disk quota is used up", "free some space or choose another folder"],
    EFBIG: ["the file would be larger than allowed here", "choose another folder, or raise the limit"],
  };
  const [reason, hint] = known[code ?? ""] ?? [];
  return reason === undefined ? error : refusal(path, reason, hint!, error);
}
