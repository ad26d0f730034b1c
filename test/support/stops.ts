/** Work stopped at one file operation, as a kill would: nothing after it happens, and of a write only half. */
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const changing = ["rename", "rm", "rmdir", "mkdir"] as const;

/**
 * Runs `work` up to its `at`th change of the disk (counted from 1).
 *
 * @returns whether it was stopped; false when it ended before
 */
export async function stopsAt(at: number, work: () => Promise<unknown>): Promise<boolean> {
  let count = 0;
  let stop: () => void = () => undefined;
  const stopped = new Promise<boolean>((resolve) => {
    stop = () => resolve(true);
  });
  const never = new Promise<never>(() => undefined);
  const open = new Set<fs.FileHandle>();
  const real = { ...fs };
  const writable = fs as unknown as Record<string, unknown>;
  for (const name of changing) {
    const original = real[name] as (...given: unknown[]) => Promise<unknown>;
    writable[name] = (...given: unknown[]) => {
      if (++count < at) return original(...given);
      stop();
      return never;
    };
  }
  writable.open = async (path: string, flags: string, ...rest: []) => {
    if (flags === "r") {
      const handle = await real.open(path, flags, ...rest);
      open.add(handle);
      return handle;
    }
    if (++count >= at) {
      stop();
      return never;
    }
    const handle = await real.open(path, flags, ...rest);
    open.add(handle);
    for (const name of ["writeFile", "write"] as const) {
      const original = handle[name].bind(handle) as (...given: unknown[]) => Promise<never>;
      handle[name] = async (data: Uint8Array | string, ...given: unknown[]) => {
        if (++count < at) return original(data, ...given);
        const half = Math.floor(data.length / 2);
        if (name === "writeFile") await original(data.slice(0, half));
        else await original(data, 0, half, given[2]);
        stop();
        return never;
      };
    }
    return handle;
  };
  syncBuiltinESMExports();
  try {
    return await Promise.race([stopped, work().then(() => false)]);
  } finally {
    for (const handle of open) await handle.close(); // a second time does nothing
    Object.assign(fs, real);
    syncBuiltinESMExports();
  }
}
