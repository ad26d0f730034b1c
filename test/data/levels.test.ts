// Vertical interpolation: exact levels, weights in ln p, and what lies beyond.
import fc from "fast-check";
import { expect, test } from "vitest";
import { levelPlan } from "../../src/data/levels.ts";
import { ClimaxError } from "../../src/errors.ts";

test("levels that are there are taken as they are, in the order wanted", () => {
  expect(levelPlan([1000, 850, 500, 250], [500, 1000])).toEqual({
    rows: [
      { level: 500, sources: [[2, 1]] },
      { level: 1000, sources: [[0, 1]] },
    ],
    notes: [],
  });
  const stored = [Math.fround(0.1), Math.fround(92500) * 0.01]; // float32, and Pa times 0.01
  expect(levelPlan(stored, [0.1, 925]).rows.map(({ sources }) => sources)).toEqual([[[0, 1]], [[1, 1]]]);
});

test("between two levels the weights are those of ln p, by hand", () => {
  const { rows, notes } = levelPlan([100, 400, 1000], [200]);
  const [[a, wa], [b, wb]] = rows[0]!.sources as [[number, number], [number, number]];
  expect([a, b]).toEqual([0, 1]);
  expect(wa).toBeCloseTo(0.5, 14); // ln 2 / ln 4
  expect(wb).toBeCloseTo(0.5, 14);
  expect(notes).toEqual([
    "200 hPa lies between 100 and 400 hPa, and is interpolated in the logarithm of pressure",
  ]);
});

test("a field linear in ln p is met, whatever the order of the levels", () => {
  const distinct = fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(distinct, fc.double({ min: 0, max: 1, noNaN: true }), (available, place) => {
      const [low, high] = [Math.min(...available), Math.max(...available)];
      const level = low + place * (high - low);
      const [row] = levelPlan(available, [level]).rows;
      const value = row!.sources.reduce(
        (sum, [index, weight]) => sum + weight * Math.log(available[index]!),
        0,
      );
      expect(Math.abs(value - Math.log(level))).toBeLessThan(2e-6); // a level within 1e-6 of another is that one
    }),
  );
});

test("levels beyond those there are are refused, with the range", () => {
  const of = (available: number[], wanted: number[]) => () => levelPlan(available, wanted);
  expect(of([850, 500, 300], [500, 1000, 200])).toThrow(
    "levels 1000, 200 hPa were wanted; the levels there are reach from 300 to 850 hPa",
  );
  expect(of([], [500])).toThrow("levels 500 hPa were wanted; there are none");
  expect(of([500], [0])).toThrow("a level of 0 hPa is no pressure");
  expect(of([500], [400])).toThrow(ClimaxError);
});
