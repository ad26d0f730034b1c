// Files that ranks hand over to rank 0, which puts them together.
import { existsSync, rmSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import { ClimaxError } from "../errors.ts";
import type { RanksAtWork } from "./ranks.ts";

/**
 * Lets rank 0 take what every rank has written. The files are gone when this ends, also when another rank ends this one.
 *
 * @param path   of this rank's file
 * @param write  makes it
 * @param take   on rank 0: the files of all, by rank
 * @returns      what `take` does, on rank 0; undefined on the others
 * @throws ClimaxError "data" for a file that rank 0 cannot see
 */
export async function handOver<T>(
  { world, meet }: Pick<RanksAtWork, "world" | "meet">,
  path: string,
  write: () => Promise<unknown>,
  take: (paths: readonly string[]) => Promise<T>,
): Promise<T | undefined> {
  const sweep = (): void => {
    try {
      rmSync(path, { force: true });
    } catch {
      // A folder of that name is none of ours; that it cannot be written was said.
    }
  };
  process.on("exit", sweep);
  try {
    await write();
    const paths = await meet(path);
    if (world.rank === 0) await waitForFiles(paths);
    const taken = world.rank === 0 ? await take(paths) : undefined;
    await meet(); // none goes before it is read
    return taken;
  } finally {
    sweep();
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
