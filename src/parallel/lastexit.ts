// Ends this process from any of its threads, whatever the others are doing: they may wait inside MPI, or compute.
import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { leaveNow } from "./leave.ts";
import { loadLibrary } from "./mpilibrary.ts";

interface Koffi {
  load(path: null): {
    func(name: string, result: string, parameters: readonly string[]): (n: number) => number;
  };
}

/** Seconds after which the system ends a process that has begun to end and cannot. */
const longest = 8;

/** Time for MPI_Abort, ms: it asks the launcher on this host to end all ranks, and usually does not return. */
const abortTime = 2000;

export interface Exit {
  /** From now on the process ends in some seconds, by SIGALRM, should nothing else end it. */
  begin(): void;
  /** Ends it. */
  now(code: number): void;
}

/**
 * What ends the process. All that it needs is loaded now: at the end there may be no memory, and no
 * disk.
 *
 * @param library  the MPI library in use, as loaded: Open MPI's launcher then ends hung ranks too. MPICH's MPI_Abort
 *   calls exit(), whose handlers crash Node while other threads run; its launcher ends the others by itself.
 */
export function prepareExit(library: string | undefined): Exit {
  const mpi = library === undefined ? undefined : loadLibrary(library, undefined);
  const abort = mpi?.kind === "Open MPI" ? mpi.func("MPI_Abort", ["intptr_t", "int"]) : undefined;
  const alarm = alarmClock(); // koffi takes its settings before it loads the first library
  return {
    begin: () => void alarm?.(longest),
    now: (code) => {
      if (!mpi || !abort) leaveNow(code);
      setTimeout(leaveNow, abortTime, code);
      abort.async(mpi.constants.world, code, () => leaveNow(code));
    },
  };
}

/** `alarm` of the C library: the system ends the process after so many seconds. */
function alarmClock(): ((seconds: number) => number) | undefined {
  if (process.platform === "win32") return undefined;
  const koffi = createRequire(import.meta.url)("koffi") as Koffi;
  return koffi.load(null).func("alarm", "uint", ["uint"]);
}

/** Time in which a reader of stderr that is slow may take what is written, ms. */
const patience = 500;

/** Writes to stderr itself: what a stream of a dying process still holds is lost. */
export function sayLast(text: string): void {
  const bytes = Buffer.from(text);
  const until = performance.now() + patience;
  for (let from = 0; from < bytes.length; ) {
    try {
      from += writeSync(2, bytes, from);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN" || performance.now() > until) return; // nobody reads it
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}
