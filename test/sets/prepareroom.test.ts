import { expect, test } from "vitest";
import { makeGrid } from "../../src/grid/grid.ts";
import { bytesNeeded } from "../../src/sets/prepareroom.ts";
import type { ShardFiles } from "../../src/sets/shardfiles.ts";

test("a set takes its states, a mean state, and a sum and a count for each year of train", () => {
  const grid = makeGrid([-45, 45], [0, 90, 180, 270]);
  const shard = (split: "train" | "test", year: number, steps: number): ShardFiles => ({
    ...{ split, file: `${split}/${year}.npy`, times: `${split}/${year}.time.npy` },
    ...(split === "train" ? { sums: `${split}/${year}.sums.npy` } : {}),
    steps: Array.from({ length: steps }, (_, i) => i),
  });
  const shards = [shard("train", 2001, 5), shard("train", 2002, 7), shard("test", 2003, 3)];
  const values = 3 * 2 * 4; // of a state of three variables
  const rest = 4 + 2 * (8 + 8); // float32; float64 and float64
  expect(bytesNeeded({ grid }, 3, shards, "float32")).toBe(values * (15 * 4 + rest));
  expect(bytesNeeded({ grid }, 3, shards, "float16")).toBe(values * (15 * 2 + rest));
});
