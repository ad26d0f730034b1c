import { expect, test } from "vitest";
import { addHours, parseTime } from "../../src/data/time.ts";
import type { Truth } from "../../src/eval/truth.ts";
import { cacheTruth } from "../../src/eval/truthcache.ts";
import { makeGrid } from "../../src/grid/grid.ts";

const first = parseTime("2018-01-01", "standard");

/** A truth of one cell, 4 bytes, whose value is its step; and the steps that were read. */
function counted(value = (step: number) => step): { truth: Truth; read: number[] } {
  const read: number[] = [];
  const truth: Truth = {
    ...{ path: "truth.nc", grid: makeGrid([0], [0]), synthetic: false, calendar: "standard", notes: [] },
    ...{ times: Array.from({ length: 9 }, (_, i) => addHours(first, i)), units: new Map([["x", "K"]]) },
    splitOf: () => undefined,
    read: async (_, step) => {
      read.push(step);
      return Float32Array.of(value(step));
    },
    training: undefined,
    close: async () => undefined,
  };
  return { truth, read };
}

test("a state is read once while it fits, and the one longest unused goes first", async () => {
  const { truth, read } = counted();
  const cached = cacheTruth(truth, 8);
  for (const step of [1, 2, 1, 3, 1, 2]) expect([...(await cached.read("x", step))]).toEqual([step]);
  // 3 takes the place of 2, for 1 was used since.
  expect(read).toEqual([1, 2, 3, 2]);
  await cached.read("y", 2);
  expect(read).toEqual([1, 2, 3, 2, 2]);
  cached.forget();
  await cached.read("y", 2);
  expect(read).toEqual([1, 2, 3, 2, 2, 2]);
});

test("a state that is larger than all that is kept is read each time", async () => {
  const { truth, read } = counted();
  const cached = cacheTruth(truth, 3);
  for (const step of [1, 1]) await cached.read("x", step);
  expect(read).toEqual([1, 1]);
});

test("an infinite state is refused, a missing one is not", async () => {
  const { truth } = counted((step) => (step === 1 ? Number.NaN : -Infinity));
  const cached = cacheTruth(truth);
  expect([...(await cached.read("x", 1))]).toEqual([Number.NaN]);
  await expect(cached.read("x", 2)).rejects.toMatchObject({
    kind: "data",
    message: "x of the truth truth.nc is infinite in 1 of 1 cells at 2018-01-01T02:00:00",
  });
});
