// One process at a time writes a set: a second one would take the first one's files for those of a killed run.
import { open, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { ClimaxError } from "../errors.ts";

/**
 * Writes TARGET.lock, which names this process, and gives what removes it. The lock of a process that is no more, as
 * SIGKILL leaves it, or of another machine, of which nothing can be known, is taken over.
 *
 * @param target  its folder exists
 * @throws ClimaxError (data) when a process of this machine is at it
 */
export async function holdSet(target: string): Promise<() => Promise<void>> {
  const path = `${target}.lock`;
  const own = `${process.pid} ${hostname()}`;
  try {
    const handle = await open(path, "wx");
    await handle.writeFile(own).finally(() => handle.close());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const [pid = "", host] = (await readFile(path, "utf8")).split(" ");
    if (host === hostname() && Number(pid) !== process.pid && isAlive(Number(pid)))
      throw new ClimaxError(
        "data",
        `${target} is being written by process ${pid}`,
        "wait until it has ended, or choose another folder with --output",
        { cause: error },
      );
    await writeFile(path, own);
  }
  return () => rm(path, { force: true });
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    return process.kill(pid, 0); // signal 0 is sent to nobody
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // another user's
  }
}
