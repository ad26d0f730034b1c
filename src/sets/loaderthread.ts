// One loading thread, seen from the main thread: asked for batches, answering with promises of them.
import { errorOf } from "../errors.ts";
import { startThread } from "../thread.ts";
import {
  type Answer,
  type BatchRequest,
  buffersOf,
  type LoadingJob,
  type Request,
} from "./loadermessages.ts";
import type { Batch } from "./samples.ts";

export interface LoadingThread {
  /** Batches that were asked for and are not there yet. */
  readonly waiting: number;
  /**
   * The arrays of a spare batch are gone from this thread.
   *
   * @throws what making the batch threw there, or why the thread is no more
   */
  make(request: Omit<BatchRequest, "id">): Promise<Batch>;
  /** Lets it finish what it is at, close its files, and end. */
  close(): Promise<void>;
}

/** Starts a thread. While no batch is awaited it does not keep the process from ending. */
export function startLoadingThread(job: LoadingJob): LoadingThread {
  const worker = startThread(import.meta.url, "loaderworker", { workerData: job });
  const waiting = new Map<number, { resolve: (batch: Batch) => void; reject: (error: unknown) => void }>();
  let ended: unknown;
  let next = 0;
  const fail = (error: unknown): void => {
    ended ??= error;
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  };
  const exited = new Promise<void>((resolve) => {
    worker.once("exit", (code) => {
      fail(new Error(`a loading thread ended with code ${code}`));
      resolve();
    });
  });
  worker.on("error", fail); // an error that nothing there caught, or memory that ran out; "exit" follows
  worker.on("message", (answer: Answer) => {
    const { resolve, reject } = waiting.get(answer.id)!;
    waiting.delete(answer.id);
    if (waiting.size === 0) worker.unref();
    if ("batch" in answer) resolve(answer.batch);
    else reject(errorOf(answer.failure));
  });
  worker.unref();
  return {
    get waiting() {
      return waiting.size;
    },
    make: (request) =>
      new Promise((resolve, reject) => {
        if (ended !== undefined) {
          reject(ended);
          return;
        }
        const id = next++;
        waiting.set(id, { resolve, reject });
        worker.ref(); // a process that awaits nothing else would end here
        const { spare } = request;
        worker.postMessage({ id, ...request } satisfies Request, spare ? buffersOf(spare) : []);
      }),
    close: async () => {
      worker.ref();
      worker.postMessage("close" satisfies Request);
      await exited;
    },
  };
}
