// The way out of a process that a C library holds a thread of.
import { createRequire } from "node:module";

/**
 * Ends this process at once, from any thread, with this exit code. process.exit waits for the threads that calls were
 * handed to: for one inside MPI whose partner has died, for ever. No exit handler runs.
 */
export function leaveNow(code: number): never {
  if (process.platform !== "win32") {
    const koffi = createRequire(import.meta.url)("koffi") as {
      load(path: null): { func(name: string, result: string, parameters: string[]): (code: number) => void };
    };
    koffi.load(null).func("_exit", "void", ["int"])(code);
  }
  process.kill(process.pid, "SIGKILL"); // has no code to give, but never waits
  throw new Error("unreachable");
}
