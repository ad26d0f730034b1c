// The threads that regrid, shared by all files of a call. Each has one slab at a time. Without threads the same work is
// done here.

import type { Worker } from "node:worker_threads";
import { errorOf, type Failure } from "../errors.ts";
import { startThread } from "../thread.ts";

import {
  type FieldJob,
  type OpenVariable,
  type SlabResult,
  type SlabRunner,
  type SlabTask,
  slabRunner,
} from "./regridslab.ts";

export type PoolRequest =
  | { id: number; number: number; job: FieldJob | undefined; task: SlabTask }
  | { done: number };
export type PoolAnswer = { id: number } & ({ result: SlabResult } | { failure: Failure });

export interface RegridPool {
  /** 0 when all is done on this thread. */
  readonly threads: number;
  /** A runner of one job. `here` opens its variable when there are no threads. */
  runner(job: FieldJob, here: () => Promise<OpenVariable>): SlabRunner;
  /** Ends the threads, at once. */
  close(): Promise<void>;
}

interface Thread {
  worker: Worker;
  /** Jobs that it knows. */
  knows: Set<number>;
  /** The slab it is at. */
  waiting: Waiting | undefined;
}

interface Waiting {
  number: number;
  job: FieldJob;
  task: SlabTask;
  resolve: (result: SlabResult) => void;
  reject: (error: unknown) => void;
}

/**
 * At most `threads` threads; with 0 or 1 the work is done on this one. `ready` of them start at once, while files are
 * opened, and the others when there is work for them.
 */
export function regridPool(threads: number, ready = 0): RegridPool {
  if (threads < 2) {
    return { threads: 0, runner: (job, here) => slabRunner(job, here), close: async () => undefined };
  }
  const all: Thread[] = [];
  const queue: Waiting[] = [];
  let next = 0;
  let closed = false;

  function start(): Thread {
    const thread: Thread = {
      worker: startThread(import.meta.url, "regridworker"),
      knows: new Set(),
      waiting: undefined,
    };
    const fail = (error: unknown): void => {
      all.splice(all.indexOf(thread), 1);
      thread.waiting?.reject(error);
      thread.waiting = undefined;
      // Those left do the rest, or none is left to do it.
      if (all.length === 0) for (const { reject } of queue.splice(0)) reject(error);
    };
    thread.worker.once("error", fail);
    thread.worker.once("exit", (code) => {
      if (!closed && all.includes(thread)) fail(new Error(`a regridding thread ended with code ${code}`));
    });
    thread.worker.on("message", (answer: PoolAnswer) => {
      const { resolve, reject } = thread.waiting!;
      thread.waiting = undefined;
      if ("result" in answer) resolve(answer.result);
      else reject(errorOf(answer.failure));
      pump();
    });
    all.push(thread);
    return thread;
  }

  function pump(): void {
    while (queue.length > 0) {
      const free = all.find(({ waiting }) => !waiting) ?? (all.length < threads ? start() : undefined);
      if (!free) return;
      const waiting = queue.shift()!;
      free.waiting = waiting;
      const job = free.knows.has(waiting.number) ? undefined : waiting.job;
      free.knows.add(waiting.number);
      free.worker.postMessage({
        id: next++,
        number: waiting.number,
        job,
        task: waiting.task,
      } satisfies PoolRequest);
    }
  }

  for (let i = 0; i < Math.min(threads, ready); i++) start();
  let jobs = 0;
  return {
    threads,
    runner(job) {
      const number = jobs++;
      return {
        run: (task) =>
          new Promise((resolve, reject) => {
            queue.push({ number, job, task, resolve, reject });
            pump();
          }),
        async close() {
          for (const { worker, knows } of all) {
            if (knows.delete(number)) worker.postMessage({ done: number } satisfies PoolRequest);
          }
        },
      };
    },
    async close() {
      closed = true;
      await Promise.all(all.map(({ worker }) => worker.terminate()));
    },
  };
}
