// How fast a prepared set can be read on this machine: its files from end to end, single states in random order, and
// batches as training takes them.
import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { openLoader } from "./loader.ts";
import type { PreparedSet } from "./prepared.ts";
import { readAhead } from "./readahead.ts";
import type { Recipe } from "./recipe.ts";
import { drawInteger } from "./shuffle.ts";

export interface Speed {
  /** Of the files. */
  bytes: number;
  /** Samples of training that these bytes are. */
  samples: number;
  seconds: number;
}

export interface LoadingSpeed extends Speed {
  /** Until the first batch was there, threads started and files opened. */
  firstSeconds: number;
  /** Batches ahead. */
  prefetch: number;
}

/** When to stop: after so long, or when the signal is aborted, whose reason is thrown. */
export interface Limit {
  seconds: number;
  signal: AbortSignal;
}

/** Bytes of a state's variables that change, as they lie in the files. */
export function stateBytes({ manifest, grid }: PreparedSet): number {
  const dynamic = manifest.variables.filter(({ constant }) => !constant).length;
  return dynamic * grid.lat.length * grid.lon.length * (manifest.dtype === "float16" ? 2 : 4);
}

/** Bytes of all training states. */
export async function trainBytes({ dir, manifest }: PreparedSet): Promise<number> {
  const sizes = manifest.splits.train.shards.map(async ({ file }) => (await stat(join(dir, file))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

// Longer reads are no faster on a disk, nor on most networks.
const chunk = 4 << 20; // bytes

/** Reads the files of the training states from end to end, once or again and again while there is time. */
export async function sequentialSpeed(
  set: PreparedSet,
  { seconds, signal, once = false }: Limit & { once?: boolean },
): Promise<Speed> {
  const buffer = new Uint8Array(chunk);
  const watch = stopwatch(seconds, signal);
  let bytes = 0;
  while (true) {
    for (const { file } of set.manifest.splits.train.shards) {
      const handle = await open(join(set.dir, file), "r");
      try {
        for (let read = 1; read > 0; bytes += read) {
          if (watch.over()) return speedOf(set, bytes, watch.seconds());
          ({ bytesRead: read } = await handle.read(buffer, 0, chunk, null));
        }
      } finally {
        await handle.close();
      }
    }
    if (once) return speedOf(set, bytes, watch.seconds());
  }
}

/** Reads single training states in random order, one after the other, as they are. */
export async function randomSpeed(set: PreparedSet, { seconds, signal }: Limit): Promise<Speed> {
  const split = set.split("train");
  const names = set.variables.flatMap(({ name, constant }) => (constant ? [] : [name]));
  const into = await split.read(0, names);
  const watch = stopwatch(seconds, signal);
  let count = 0;
  for (; !watch.over(); count++) await split.read(drawInteger(split.times.length, 1, count), names, into);
  return speedOf(set, count * stateBytes(set), watch.seconds());
}

/** Makes batches as a run asks for them, epoch after epoch, and leaves the first few out. */
export async function loaderSpeed(
  set: PreparedSet,
  recipe: Recipe,
  { workers, prefetch, seconds, signal }: Limit & { workers: number; prefetch?: number | undefined },
): Promise<LoadingSpeed> {
  const begun = performance.now();
  const loader = openLoader([set], { train: recipe }, { workers, prefetch });
  const { batchAt, batches, ahead } = loader.sources.train;
  const reading = readAhead((n, spare) => batchAt(Math.floor(n / batches), n % batches, spare), {
    end: Number.POSITIVE_INFINITY,
    ahead,
  });
  try {
    let batch = await reading.next();
    const firstSeconds = (performance.now() - begun) / 1000;
    // As many as are ahead have been made while threads started, and as many again are made in new memory.
    for (let i = 0; i < 2 * loader.prefetch; i++) batch = await reading.next(batch);
    const watch = stopwatch(seconds, signal);
    let samples = 0;
    while (!watch.over()) {
      batch = await reading.next(batch);
      samples += batch!.size;
    }
    const bytes = samples * bytesOfSample(set);
    return { bytes, samples, seconds: watch.seconds(), firstSeconds, prefetch: loader.prefetch };
  } finally {
    await reading.end();
    await loader.close();
  }
}

/** A sample is two states: the one that enters and the one that is predicted. */
function bytesOfSample(set: PreparedSet): number {
  return 2 * stateBytes(set);
}

function speedOf(set: PreparedSet, bytes: number, seconds: number): Speed {
  return { bytes, samples: bytes / bytesOfSample(set), seconds };
}

function stopwatch(limit: number, signal: AbortSignal) {
  const begun = performance.now();
  const seconds = (): number => (performance.now() - begun) / 1000;
  return {
    seconds,
    over: (): boolean => {
      signal.throwIfAborted();
      return seconds() >= limit;
    },
  };
}
