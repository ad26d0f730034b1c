// Calls of an MPI library from JavaScript: on this thread, on another, or begun and asked after.
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { ClimaxError } from "../errors.ts";
import type { MpiLibrary, Native } from "./mpilibrary.ts";

const handle = "intptr_t";
const pointer = "void *";

/** The parameters of the functions used. Counts and levels are int; out-parameters, arrays and requests pointers. */
const signatures = {
  Abort: [handle, "int"],
  Allgather: [handle, "int", handle, pointer, "int", handle, handle],
  Alltoall: [pointer, "int", handle, pointer, "int", handle, handle],
  Allreduce: [handle, pointer, "int", handle, handle, handle],
  Bcast: [pointer, "int", handle, "int", handle],
  Comm_rank: [handle, pointer],
  Comm_set_errhandler: [handle, handle],
  Comm_size: [handle, pointer],
  Error_string: ["int", pointer, pointer],
  Finalize: [],
  Finalized: [pointer],
  Iallgatherv: [handle, "int", handle, pointer, pointer, pointer, handle, handle, pointer],
  Iallreduce: [handle, pointer, "int", handle, handle, handle, pointer],
  Iallgather: [handle, "int", handle, pointer, "int", handle, handle, pointer],
  Ialltoall: [pointer, "int", handle, pointer, "int", handle, handle, pointer],
  Ibarrier: [handle, pointer],
  Ibcast: [pointer, "int", handle, "int", handle, pointer],
  Init_thread: [pointer, pointer, "int", pointer],
  Initialized: [pointer],
  Ireduce_scatter_block: [pointer, pointer, "int", handle, handle, handle, pointer],
  Reduce_scatter_block: [pointer, pointer, "int", handle, handle, handle],
  Test: [pointer, pointer, handle],
} as const;
export type Name = keyof typeof signatures;

/**
 * A wait looks again at every turn of the event loop for 1 ms, then sleeps a twentieth of what it has waited, from 1 to
 * 5 ms: looking costs about 60 microseconds of a core, the software adapter's as well.
 */
function pause(waited: number): Promise<unknown> {
  return waited < 1 ? turn() : sleep(Math.min(Math.max(waited / 20, 1), 5));
}

export interface MpiCalls {
  /** On this thread, which waits. */
  now(name: Name, ...args: unknown[]): void;
  /** On a thread of libuv's, which spins until the other ranks have come. */
  offThread(name: Name, ...args: unknown[]): Promise<void>;
  /** A non-blocking one, without its request: waits for its end with timers, and leaves cores and threads to others. */
  waited(name: Name, ...args: unknown[]): Promise<void>;
  /** The int that the last parameter points to. */
  int(name: Name, ...args: unknown[]): number;
}

/**
 * The functions of a library. Arguments are held until a call has ended.
 *
 * @throws ClimaxError "device", from each, with MPI's own words
 */
export function callsOf({ version, constants, func }: MpiLibrary): MpiCalls {
  const functions = new Map<Name, Native>();
  const named = (name: Name): Native => {
    const known = functions.get(name) ?? func(`MPI_${name}`, signatures[name]);
    functions.set(name, known);
    return known;
  };
  const check = (name: Name, status: number): void => {
    if (status === 0) return;
    const [text, length] = [Buffer.alloc(8192), new Int32Array(1)];
    named("Error_string")(status, text, length);
    const words = text
      .toString("utf8", 0, length[0])
      .trim()
      .replace(/\s*\n\s*/g, "; ");
    throw new ClimaxError(
      "device",
      `MPI_${name} failed: ${words || `error ${status}`} (${version})`,
      "another rank or the network to it may have failed: see what the other ranks and the launcher say",
    );
  };
  const now = (name: Name, ...args: unknown[]): void => check(name, named(name)(...args));

  return {
    now,
    int: (name, ...args) => {
      const value = new Int32Array(1);
      now(name, ...args, value);
      return value[0]!;
    },
    offThread: (name, ...args) =>
      new Promise((resolve, reject) => {
        named(name).async(...args, (error, status) => {
          args.length = 0; // held until here
          try {
            if (error) throw error;
            check(name, status);
            resolve();
          } catch (failure) {
            reject(failure);
          }
        });
      }),
    waited: async (name, ...args) => {
      // Requests are pointers or ints; the library writes what it needs of eight bytes.
      const [request, done] = [new BigInt64Array(1), new Int32Array(1)];
      now(name, ...args, request);
      const start = performance.now();
      for (;;) {
        now("Test", request, done, constants.ignoreStatus);
        if (done[0] !== 0) break;
        await pause(performance.now() - start);
      }
      args.length = 0; // held until here
    },
  };
}
