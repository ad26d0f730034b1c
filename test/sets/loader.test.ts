// Batches from threads: those of the main thread to the last bit, in order, with errors that say what they said there.
import { mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { patchWindow, regionNamed } from "../../src/grid/regions.ts";
import { type Loader, type LoaderOptions, openLoader, usualWorkers } from "../../src/sets/loader.ts";
import { openSet, type PreparedSet } from "../../src/sets/prepared.ts";
import { readAhead } from "../../src/sets/readahead.ts";
import { batchBytes, type Recipe, sourceOf } from "../../src/sets/recipe.ts";
import type { Batch } from "../../src/sets/samples.ts";
import { toyNames, writeToySet } from "../support/toyset.ts";

const coarseGrid = regularGrid(45);
let root: string;
let sets: PreparedSet[];
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-loader-"));
  sets = [];
  const names = [...toyNames, "orography"];
  for (const [name, options] of Object.entries({
    one: { names },
    two: { offset: 5 },
    coarse: { grid: coarseGrid },
  })) {
    sets.push(await openSet(await writeToySet(join(root, name), options)));
  }
});
afterAll(async () => {
  for (const set of sets) await set.close();
  rmSync(root, { recursive: true });
});

const common = { inputs: toyNames, outputs: ["temperature_850"], batchSize: 4, seed: 7 };
const forecast: Recipe = {
  kind: "samples",
  set: 0,
  split: "train",
  options: { ...common, inputs: [...toyNames, "orography"], leads: { min: 6, max: 48, step: 6 } },
};
const recipes = (): Record<string, Recipe> => ({
  forecast,
  everyLead: { ...forecast, options: { ...common, leads: [6, 72], everyLead: true, fraction: 0.5 } },
  rollout: { ...forecast, options: { ...common, outputs: toyNames, leads: [6], steps: 3 } },
  mean: { ...forecast, options: { ...common, leads: [24], average: 48 } },
  region: {
    ...forecast,
    options: { ...common, leads: [6], window: patchWindow(sets[0]!.grid, regionNamed("-60..60,300..60"), 2) },
  },
  projection: { kind: "history", sets: [0, 1], split: "train", options: { ...common, history: 3 } },
  pairs: { kind: "pairs", coarse: 2, fine: 0, split: "train", options: { ...common, method: "bilinear" } },
  coarsened: { kind: "pairs", coarse: { coarsen: 2 }, fine: 1, split: "val", options: common },
  mixture: {
    kind: "mixture",
    parts: [forecast, { ...forecast, set: 1, options: { ...common, leads: [6] } }],
    seed: 3,
    weights: [1, 2],
  },
});

async function withLoader<T>(
  chosen: Record<string, Recipe>,
  options: LoaderOptions,
  use: (loader: Loader<string>) => Promise<T>,
): Promise<T> {
  const loader = openLoader(sets, chosen, options);
  try {
    return await use(loader);
  } finally {
    await loader.close();
  }
}

/** The end of one epoch and the beginning of the next, as a run asks for them. */
async function acrossEpochs({ sources }: Loader<string>, name: string, reuse = false): Promise<Batch[]> {
  const { batches, batchAt, ahead } = sources[name]!;
  const reading = readAhead((n, spare) => batchAt(Math.floor(n / batches), n % batches, spare), {
    first: batches - 2,
    end: batches + 2,
    ahead,
  });
  const made: Batch[] = [];
  for (let batch = await reading.next(); batch; batch = await reading.next(reuse ? batch : undefined)) {
    made.push(reuse ? structuredClone(batch) : batch);
  }
  return made;
}

describe("a batch is the same", () => {
  test("whatever the number of threads and the memory it is made in, for every kind of task", async () => {
    const all = recipes();
    const names = Object.keys(all);
    const made = async (workers: number, reuse = false) =>
      withLoader(all, { workers }, async (loader) => {
        expect(loader.workers).toBe(workers);
        const of: Record<string, Batch[]> = {};
        for (const name of names) of[name] = await acrossEpochs(loader, name, reuse);
        return of;
      });
    const plain = await made(0);
    for (const name of names) expect(plain[name], name).toHaveLength(4);
    // Compared number by number, 0 and -0 apart.
    expect(await made(0, true)).toEqual(plain);
    expect(await made(1)).toEqual(plain);
    expect(await made(3, true)).toEqual(plain);
  });

  test("after a run has stopped in the middle and goes on", async () => {
    const take = (first: number, end: number) =>
      withLoader({ train: forecast }, { workers: 1 }, async ({ sources }) => {
        const { batchAt, batches, ahead } = sources.train!;
        const reading = readAhead((n) => batchAt(Math.floor(n / batches), n % batches), {
          first,
          end,
          ahead,
        });
        const made: Batch[] = [];
        for (let n = first; n < Math.min(end, first + 3); n++) made.push((await reading.next())!);
        await reading.end(); // stopped here: what was made ahead is lost
        return made;
      });
    const source = sourceOf(forecast, sets);
    const whole: Batch[] = [];
    for (let n = 0; n < 6; n++) whole.push(await source.batchAt(0, n));
    expect([...(await take(0, 20)), ...(await take(3, 20))]).toEqual(whole);
  });
});

describe("errors", () => {
  test("of the recipe come before any thread is started, as they are", () => {
    const wrong: Recipe = { ...forecast, options: { ...common, leads: [7] } };
    expect(() => openLoader(sets, { wrong }, { workers: 2 })).toThrow(/has no two states 7 h apart/);
  });

  test("of a file come with what they say, how to mend it, and do not end the thread", async () => {
    const dir = await writeToySet(join(root, "damaged"), { names: toyNames });
    const damaged = await openSet(dir);
    const shard = join(dir, damaged.manifest.splits.train.shards[0]!.file);
    const recipe: Recipe = { ...forecast, options: { ...common, leads: [6] } };
    const loader = openLoader([damaged], { train: recipe }, { workers: 1 });
    try {
      truncateSync(shard, 1000);
      const error = await loader.sources.train.batchAt(0, 0).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ClimaxError);
      const { kind, message, hint } = error as ClimaxError;
      expect([kind, hint.length > 0]).toEqual(["data", true]);
      expect(message).toContain(shard);
      expect(message).toContain("found 872");
    } finally {
      await loader.close();
      await damaged.close();
    }
  });

  test("that nobody foresaw keep their message and their stack", async () => {
    await withLoader({ train: forecast }, { workers: 1 }, async ({ sources }) => {
      const { batchAt, batches } = sources.train!;
      const error = (await batchAt(0, batches).catch((thrown: unknown) => thrown)) as Error;
      expect(error).not.toBeInstanceOf(ClimaxError);
      expect(error.message).toBe(`batch ${batches} of ${batches}`);
      expect(error.stack).toContain("batching.ts");
      expect((await batchAt(0, 0)).size).toBe(4);
    });
  });
});

test("by default tiny batches are made in the main thread, others in a few", () => {
  const bytes = batchBytes(forecast, sets);
  expect(bytes).toBe(4 * 4 * 8 * 16 * (3 + 1));
  const usual = openLoader(sets, { train: forecast });
  expect([usual.workers, usual.prefetch, usual.sources.train.ahead]).toEqual([0, 1, 1]);
  const large: Recipe = { ...forecast, options: { ...common, leads: [6], batchSize: 100 * 8 } };
  expect(() => openLoader(sets, { train: large })).toThrow("fewer than one batch"); // and so is told nothing of threads
  expect(openLoader(sets, { train: forecast }, { workers: 2, prefetch: 5 }).sources.train.ahead).toBe(5);
  const MiB = 2 ** 20;
  expect([1, 4, 16].map((cores) => usualWorkers(MiB, cores))).toEqual([0, 1, 2]);
  expect(usualWorkers(MiB - 1, 64)).toBe(0);
});

describe("reading ahead", () => {
  const batch = (n: number) => ({ size: n }) as Batch;
  test("keeps as many batches as it was told to and begins the next when one is taken", async () => {
    const begun: number[] = [];
    const reading = readAhead(
      async (n) => {
        begun.push(n);
        return batch(n);
      },
      { first: 3, end: 9, ahead: 2 },
    );
    expect(begun).toEqual([3, 4]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(begun).toEqual([3, 4]); // nobody has taken one
    expect((await reading.next())!.size).toBe(3);
    expect(begun).toEqual([3, 4, 5]);
    for (const n of [4, 5, 6, 7, 8]) expect((await reading.next())!.size).toBe(n);
    expect(await reading.next()).toBeUndefined();
    expect(begun).toEqual([3, 4, 5, 6, 7, 8]);
  });

  test("throws where the batch would have come, and the end waits for the rest", async () => {
    let finished = 0;
    const reading = readAhead(
      async (n) => {
        if (n === 1) throw new Error("no batch 1");
        await new Promise((resolve) => setTimeout(resolve, 5));
        finished++;
        return batch(n);
      },
      { end: 10, ahead: 3 },
    );
    expect((await reading.next())!.size).toBe(0);
    await expect(reading.next()).rejects.toThrow("no batch 1");
    await reading.end();
    expect(finished).toBe(3); // 0, 2, 3
  });
});
