// Batches made ahead of time on worker threads. Which thread makes one changes nothing in it: a batch depends on its
// recipe, epoch and index alone.
import { availableParallelism, cpus } from "node:os";
import { type LoadingThread, startLoadingThread } from "./loaderthread.ts";
import type { PreparedSet } from "./prepared.ts";
import { batchBytes, type Recipe, sourceOf } from "./recipe.ts";
import type { Batch, BatchSource } from "./samples.ts";

export interface LoaderOptions {
  /** Threads; 0 makes batches in the main thread. By the size of a batch and the cores there are unless told otherwise. */
  workers?: number | undefined;
  /** Batches that are made ahead of the one in use; one for each thread and one more unless told otherwise. */
  prefetch?: number | undefined;
  /** That do the same on this machine, and share its cores; this one alone unless told otherwise. */
  processes?: number | undefined;
}

export interface Loader<Name extends string> {
  readonly sources: Readonly<Record<Name, BatchSource>>;
  readonly workers: number;
  /** Batches ahead. */
  readonly prefetch: number;
  /** Ends the threads. The sets stay open: they are the caller's. */
  close(): Promise<void>;
}

/**
 * Sources that make their batches on threads, which are started at the first batch and shared by all sources. Memory
 * is bounded by whoever asks: no batch is made that was not asked for.
 *
 * @param sets     what the recipes' places stand for; each thread opens their folders again for itself
 * @param recipes  by name, such as train and val
 * @throws ClimaxError where `sourceOf` does: before any thread is started
 */
export function openLoader<Name extends string>(
  sets: readonly PreparedSet[],
  recipes: Readonly<Record<Name, Recipe>>,
  options: LoaderOptions = {},
): Loader<Name> {
  const names = Object.keys(recipes) as Name[];
  const largest = Math.max(0, ...names.map((name) => batchBytes(recipes[name], sets)));
  const { workers = usualWorkers(largest, coresOf(options.processes)), prefetch = workers + 1 } = options;
  const job = { dirs: sets.map(({ dir }) => dir), recipes };
  const threads: LoadingThread[] = [];
  const make = (name: Name, epoch: number, index: number, spare?: Batch): Promise<Batch> => {
    while (threads.length < workers) threads.push(startLoadingThread(job));
    const idlest = threads.reduce((a, b) => (b.waiting < a.waiting ? b : a));
    return idlest.make({ recipe: name, epoch, index, spare });
  };
  const sourceFor = (name: Name): BatchSource => {
    const local = sourceOf(recipes[name], sets);
    const { samples, batches } = local;
    const batchAt = workers > 0 ? make.bind(undefined, name) : local.batchAt;
    return { samples, batches, ahead: prefetch, batchAt };
  };
  return {
    sources: Object.fromEntries(names.map((name) => [name, sourceFor(name)])) as Record<Name, BatchSource>,
    workers,
    prefetch,
    close: async () => void (await Promise.all(threads.splice(0).map((thread) => thread.close()))),
  };
}

/** Cores for one of so many processes; a launcher may have bound this one to its part of them already. */
function coresOf(processes = 1): number {
  const own = availableParallelism();
  return processes === 1 ? own : Math.min(own, Math.max(1, Math.floor(cpus().length / processes)));
}

// Making a smaller batch takes about as long as asking a thread for it.
const worthAThread = 1 << 20; // bytes

/**
 * What climax bench data found: one thread keeps up with any model by far, and so does the main thread, which loses a
 * few milliseconds a batch to it. On two cores a thread is slower than none, and takes half a second to start.
 */
export function usualWorkers(bytes: number, cores = availableParallelism()): number {
  if (bytes < worthAThread || cores < 4) return 0;
  return cores < 16 ? 1 : 2;
}
