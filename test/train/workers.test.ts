// A run whose batches are made on threads is the run whose batches are not, to the last bit, stopped and resumed or not.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { firstDifference, readLog, trainToy } from "../support/toyrun.ts";
import { writeToySet } from "../support/toyset.ts";

let root: string;
let sources: string[];
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-workers-"));
  sources = [
    await writeToySet(join(root, "one")),
    await writeToySet(join(root, "two"), { names: ["temperature_850", "orography"], offset: 3 }),
  ];
});
afterAll(() => rmSync(root, { recursive: true }));

test("losses, validations and parameters", async () => {
  const settings = (name: string, loader: { workers: number; prefetch?: number }) => ({
    output: join(root, name),
    ...{ sources, weights: [2, 1], leads: { min: 6, max: 24, step: 6 }, loader },
    // 24 batches an epoch, so that the second is begun, and two validations on the way.
    training: { maxSteps: 16, epochs: 100, accumulate: 2, validateEvery: 7, microBatch: 4 },
  });
  const plain = await trainToy(settings("plain", { workers: 0 }));
  expect(plain.losses).toHaveLength(16);
  const threads = await trainToy(settings("threads", { workers: 2, prefetch: 5 }));
  expect(threads.losses).toEqual(plain.losses);
  expect(firstDifference(plain, threads)).toBeUndefined();
  expect(readLog(join(root, "threads"))).toEqual(readLog(join(root, "plain")));

  const parts = settings("parts", { workers: 1 });
  const before = await trainToy(parts, { stopAt: 7 });
  expect(before.result).toBeUndefined();
  const after = await trainToy({ ...parts, loader: { workers: 0, prefetch: 3 } }, { resume: true });
  expect(after.losses.length).toBeLessThan(12);
  expect(firstDifference(plain, after)).toBeUndefined();
});
