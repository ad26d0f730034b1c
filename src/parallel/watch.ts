// The watch over the ranks of a run, as the main thread of one sees it. A rank that is lost ends the run on all ranks
// within 30 s: watchworker.ts.
import { startThread } from "../thread.ts";
import type { End, Kept, Limits, Member } from "./watchmessages.ts";
import type { Rendezvous } from "./watchspoke.ts";

export interface Job {
  readonly rank: number;
  readonly limits: Limits;
  /** [0] becomes 1 when the last words of this rank have been passed on. */
  readonly told: Int32Array;
}

/** What the main thread asks its watching thread. */
export type Order = { readonly id: number } & Request;
type Request =
  | { readonly kind: "prepare"; readonly library: string | undefined }
  | { readonly kind: "open"; readonly members: readonly Member[]; readonly loopback: boolean }
  | { readonly kind: "join"; readonly members: readonly Member[]; readonly rendezvous: Rendezvous }
  | { readonly kind: "keep"; readonly kept: Kept }
  | { readonly kind: "end"; readonly end: End; readonly code: number }
  /** `alone`: nobody in this process handles SIGTERM but the watch. */
  | { readonly kind: "terminated"; readonly alone: boolean }
  | { readonly kind: "leave" };

/** Where rank 0 listens: an address, or "::" or "0.0.0.0", which stand for all of its host. */
export interface Listening extends Omit<Rendezvous, "addresses"> {
  readonly address: string;
}

export interface Answer {
  readonly id: number;
  readonly result?: Listening | undefined;
  readonly failure?: string;
}

export interface Watch {
  /** To be called before the others: loads what will end the process. The library is the MPI library as loaded. */
  prepare(library: string | undefined): Promise<void>;
  /** Rank 0 listens: on loopback alone, or on all interfaces. */
  open(members: readonly Member[], loopback: boolean): Promise<Listening>;
  /**
   * Any other rank joins.
   *
   * @throws Error that says what happened at each address
   */
  join(members: readonly Member[], rendezvous: Rendezvous): Promise<void>;
  /** Tells all ranks of a checkpoint. */
  keep(path: string): void;
  /** Tells all ranks that this one ends, and with which code the run does. This process has some seconds left. */
  end(end: End, code: number): Promise<void>;
  /** Ends the watch in good order. */
  leave(): Promise<void>;
}

/** The others hear the last words of a process that ends at once within this time, ms. */
const lastMoment = 3500;

/**
 * Starts the watching thread of a rank. Until `leave` it also sees to it that an exit of this process, an exception that
 * nothing catches, and SIGTERM are told to the other ranks.
 */
export function startWatch(rank: number, limits: Limits): Watch {
  const told = new Int32Array(new SharedArrayBuffer(4));
  const worker = startThread(import.meta.url, "watchworker", {
    workerData: { rank, limits, told } satisfies Job,
  });
  const waiting = new Map<
    number,
    { resolve: (result: Answer["result"]) => void; reject: (e: unknown) => void }
  >();
  let next = 0;
  let left = false;
  let ended = false;
  worker.on("message", ({ id, result, failure }: Answer) => {
    const { resolve, reject } = waiting.get(id)!;
    waiting.delete(id);
    if (waiting.size === 0) worker.unref();
    if (failure === undefined) resolve(result);
    else reject(new Error(failure));
  });
  // Without its watch a rank could wait for ever: "error" that nothing hears is an exception, which ends the process.
  worker.unref();
  const ask = (request: Request): Promise<Answer["result"]> =>
    new Promise((resolve, reject) => {
      const id = next++;
      waiting.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ id, ...request } satisfies Order);
    });
  /** Tells it while this thread stands still: it ends when this returns. */
  const endNow = (end: End, code: number): void => {
    if (left || ended) return;
    ended = true;
    void ask({ kind: "end", end, code });
    Atomics.wait(told, 0, 0, lastMoment);
  };

  const onExit = (code: number): void => endNow({ kind: "exited", code }, code);
  const onException = (error: unknown): void =>
    endNow({ kind: "failed", message: error instanceof Error ? error.message : String(error), code: 1 }, 1);
  const onTerminate = (): void => {
    void ask({ kind: "terminated", alone: process.listenerCount("SIGTERM") === 1 });
  };
  process.on("exit", onExit);
  process.on("uncaughtExceptionMonitor", onException);
  process.on("SIGTERM", onTerminate);

  return {
    prepare: async (library) => void (await ask({ kind: "prepare", library })),
    open: async (members, loopback) => (await ask({ kind: "open", members, loopback }))!,
    join: async (members, rendezvous) => void (await ask({ kind: "join", members, rendezvous })),
    keep: (path) => void ask({ kind: "keep", kept: { path, at: Date.now() } }),
    end: async (end, code) => {
      if (ended) return;
      ended = true;
      await ask({ kind: "end", end, code });
    },
    leave: async () => {
      await ask({ kind: "leave" });
      left = true;
      process.off("exit", onExit);
      process.off("uncaughtExceptionMonitor", onException);
      process.off("SIGTERM", onTerminate);
      await worker.terminate();
    },
  };
}
