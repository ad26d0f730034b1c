// Files that ranks hand over to rank 0, which puts them together.
import { existsSync, rmSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import { removeAbandoned } from "../data/regriddone.ts";
import { ClimaxError } from "../errors.ts";
import { byAll } from "../train/together.ts";
import type { RanksAtWork } from "./ranks.ts";

/**
 * Lets rank 0 take what every rank has written. The files are gone when this ends; what fails on rank 0 fails on all.
 *
 * @param path   of this rank's file
 * @param write  makes it
 * @param take   on rank 0: the files of all, by rank
 * @param keep   the file stays where it is when another rank, or `take`, fails: it took long to make, and can be gone on
 *               with. Otherwise it goes, but where the process is ended at once
 * @returns      what `take` does, on rank 0; undefined on the others
 * @throws ClimaxError "data" for a file that rank 0 cannot see
 */
export async function handOver<T>(
  { world, meet }: Pick<RanksAtWork, "world" | "meet">,
  path: string,
  write: () => Promise<unknown>,
  take: (paths: readonly string[]) => Promise<T>,
  keep = false,
): Promise<T | undefined> {
  await removeAbandoned(path);
  const sweep = (): void => {
    try {
      rmSync(path, { force: true });
    } catch {
      // A folder of that name is none of ours; that it cannot be written was said.
    }
  };
  if (!keep) process.on("exit", sweep);
  let done = false;
  try {
    await write();
    const paths = await meet(path);
    // None goes before it is read.
    const taken = await byAll(world, async () => {
      if (world.rank > 0) return undefined;
      await waitForFiles(paths);
      return await take(paths);
    });
    done = true;
    return taken;
  } finally {
    if (done || !keep) sweep();
    process.off("exit", sweep);
  }
}

/** Seconds. NFS keeps what it knows of a folder for up to 60 (`acdirmax`). */
const patience = 90;

/**
 * Waits until all files can be seen from here: a network file system may show late what another host has written.
 *
 * @param seconds  how long at most
 * @throws ClimaxError "data" for the first that cannot
 */
export async function waitForFiles(paths: readonly string[], seconds = patience): Promise<void> {
  const until = performance.now() + 1000 * seconds;
  for (const path of paths) {
    while (!existsSync(path)) {
      if (performance.now() >= until)
        throw new ClimaxError(
          "data",
          `${path}, which another rank has written, is not to be seen from here`,
          "name an output on a file system that all hosts share",
        );
      await readdir(dirname(path)).catch(() => undefined); // asks the server again
      await setTimeout(200);
    }
  }
}
