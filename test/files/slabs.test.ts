import fc from "fast-check";
import { expect, test } from "vitest";
import { slabs } from "../../src/files/slabs.ts";

test("slabs take whole fields, as many as fit", () => {
  // [time, level, lat, lon] with fields of 6: 20 elements hold three of them, so a step of two levels at most.
  expect([...slabs([3, 2, 2, 3], new Set([2, 3]), 20)]).toEqual([
    { start: [0, 0, 0, 0], count: [1, 2, 2, 3] },
    { start: [1, 0, 0, 0], count: [1, 2, 2, 3] },
    { start: [2, 0, 0, 0], count: [1, 2, 2, 3] },
  ]);
  expect([...slabs([5, 4], new Set([1]), 8)].map(({ start, count }) => [start[0], count[0]])).toEqual([
    [0, 2],
    [2, 2],
    [4, 1],
  ]);
  expect([...slabs([], new Set(), 8)]).toEqual([{ start: [], count: [] }]);
  expect([...slabs([0, 4], new Set([1]), 8)]).toEqual([]);
});

test("slabs cover every element once and keep to the budget, or to one field", () => {
  const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      shapes,
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 0, max: 15 }),
      (shape, budget, mask) => {
        const whole = new Set(shape.map((_, d) => d).filter((d) => mask & (1 << d)));
        const size = (list: number[]) => list.reduce((product, n) => product * n, 1);
        const field = size(shape.filter((_, d) => whole.has(d)));
        const seen = new Uint8Array(size(shape));
        for (const { start, count } of slabs(shape, whole, budget)) {
          expect(size(count)).toBeLessThanOrEqual(Math.max(budget, field));
          expect(count.every((n, d) => !whole.has(d) || n === shape[d])).toBe(true);
          for (let k = 0; k < size(count); k++) {
            let [index, rest] = [0, k];
            const place = count.map(() => 0);
            for (let d = count.length - 1; d >= 0; d--) {
              place[d] = start[d]! + (rest % count[d]!);
              rest = Math.floor(rest / count[d]!);
            }
            for (let d = 0; d < shape.length; d++) index = index * shape[d]! + place[d]!;
            seen[index]!++;
          }
        }
        expect(seen.every((times) => times === 1)).toBe(true);
      },
    ),
    { seed: 3, numRuns: 200 },
  );
});
