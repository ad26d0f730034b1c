import { expect, test } from "vitest";
import type { Batch } from "../../src/sets/samples.ts";
import { microBatches } from "../../src/train/microbatches.ts";

test("every field of a batch is taken apart, those of later steps too, without a copy", () => {
  const fields = (each: number, from: number) => Float32Array.from({ length: 5 * each }, (_, i) => from + i);
  const batch: Batch = {
    ...{ variables: ["a", "b"], outputs: ["a"], times: [], size: 5 },
    ...{ x: fields(4, 0), y: fields(2, 100), later: [fields(2, 200)], leadHours: fields(1, 300) },
  };
  const parts = [...microBatches(batch, 2)];
  expect(parts.map(({ first, part }) => [first, part.size])).toEqual([
    [0, 2],
    [2, 2],
    [4, 1],
  ]);
  const last = parts[2]!.part;
  expect([last.x, last.y, last.later![0]!, last.leadHours].map((values) => [...values])).toEqual([
    [16, 17, 18, 19],
    [108, 109],
    [208, 209],
    [304],
  ]);
  expect(last.x.buffer).toBe(batch.x.buffer);
  expect([...microBatches(batch, Number.POSITIVE_INFINITY)]).toHaveLength(1);
});
