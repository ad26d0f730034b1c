import fc from "fast-check";
import { expect, test } from "vitest";
import { kdTree, unitVector } from "../../src/grid/kdtree.ts";

/** Squares of chords from a place to each point, NaN for points without one. */
function chords(lat: readonly number[], lon: readonly number[], at: readonly [number, number]): number[] {
  const here = unitVector(...at);
  return lat.map((y, i) => {
    const there = unitVector(y, lon[i]!);
    return here.reduce((sum, x, d) => sum + (x - there[d]!) ** 2, 0);
  });
}

test("finds what a search through all points finds, nearest first", () => {
  const place = fc.tuple(
    fc.double({ min: -90, max: 90, noNaN: true }),
    fc.double({ min: 0, max: 359.9, noNaN: true }),
  );
  fc.assert(
    fc.property(
      fc.array(place, { minLength: 1, maxLength: 200 }),
      place,
      fc.integer({ min: 1, max: 9 }),
      (points, at, wanted) => {
        const [lat, lon] = [points.map(([y]) => y), points.map(([, x]) => x)];
        const { count, index, squared } = kdTree(lat, lon).nearest(...at, wanted);
        const all = chords(lat, lon, at);
        expect(count).toBe(Math.min(wanted, points.length));
        const sorted = all.toSorted((a, b) => a - b);
        for (let k = 0; k < count; k++) {
          expect(squared[k]).toBe(all[index[k]!]);
          // Squares that differ by 1e-10 of themselves count as equal.
          expect(Math.abs(squared[k]! - sorted[k]!)).toBeLessThanOrEqual(1e-9 * sorted[k]!);
        }
        expect(new Set(index.subarray(0, count)).size).toBe(count);
      },
    ),
    { numRuns: 300, seed: 3 },
  );
});

test("of points equally near those of lower index come first, though rounding would have it otherwise", () => {
  // Twelve points round the pole, all equally far from it; a grid's, seen from the middle of its cells.
  const lon = Array.from({ length: 12 }, (_, i) => i * 30 + 0.1);
  const ring = kdTree(
    lon.map(() => 80.3),
    lon,
  );
  expect([...ring.nearest(90, 17, 4).index.subarray(0, 4)]).toEqual([0, 1, 2, 3]);
  const rows = Array.from(
    { length: 40 * 40 },
    (_, i) => [Math.floor(i / 40) * 1.1 - 20, (i % 40) * 1.1] as const,
  );
  const grid = kdTree(
    rows.map(([y]) => y),
    rows.map(([, x]) => x),
  );
  // On a column and midway between rows 4 and 5, which lie on either side of the equator's like.
  for (const column of [3, 17, 22]) {
    const y = (rows[18 * 40]![0] + rows[19 * 40]![0]) / 2;
    const { index } = grid.nearest(y, column * 1.1, 2);
    expect([index[0], index[1]].toSorted((a, b) => a! - b!)).toEqual([18 * 40 + column, 19 * 40 + column]);
  }
});

test("every point has its eight nearest others within what the tree says of its crowding", () => {
  const place = fc.tuple(
    fc.double({ min: -90, max: 90, noNaN: true }),
    fc.double({ min: 0, max: 30, noNaN: true }),
  );
  fc.assert(
    fc.property(fc.array(place, { minLength: 1, maxLength: 120 }), (points) => {
      const [lat, lon] = [points.map(([y]) => y), points.map(([, x]) => x)];
      const { crowding, nearest } = kdTree(lat, lon);
      for (const [y, x] of points) {
        const { count, squared } = nearest(y, x, 9);
        if (count === 9) expect(squared[8]).toBeLessThanOrEqual(crowding * (1 + 1e-9)); // of rounding
      }
      if (points.length <= 8) expect(crowding).toBe(8);
    }),
    { numRuns: 200, seed: 5 },
  );
});

test("points without a place are not in it", () => {
  const tree = kdTree([Number.NaN, 10, 20, 30], [0, 0, Number.NaN, 0]);
  expect(tree.size).toBe(2);
  const { count, index } = tree.nearest(20.5, 0, 4);
  expect([count, index[0], index[1]]).toEqual([2, 3, 1]);
});

test("many points at one place do not undo it", () => {
  const lat = new Float64Array(3000).fill(12);
  const tree = kdTree(lat, lat);
  const { count, index } = tree.nearest(12, 12, 4);
  expect([count, ...index.subarray(0, 4)]).toEqual([4, 0, 1, 2, 3]);
});
