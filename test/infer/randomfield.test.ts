/** Smooth noise on the sphere: its variance and correlation, and that it knows neither seam nor grid. */
import { describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { type FieldKey, randomFields } from "../../src/infer/randomfield.ts";

const radius = 6371;
const keys = (n: number): FieldKey[] => Array.from({ length: n }, (_, i) => [7, i]);

/** Central angle of two points of a field on a grid, radians. */
function angle([lat1, lon1]: readonly [number, number], [lat2, lon2]: readonly [number, number]): number {
  const [a, b, d] = [lat1, lat2, lon2 - lon1].map((x) => (x * Math.PI) / 180) as [number, number, number];
  return Math.acos(Math.min(1, Math.sin(a) * Math.sin(b) + Math.cos(a) * Math.cos(b) * Math.cos(d)));
}

describe("over many fields", () => {
  // Rows at both poles, near them, and at the equator; columns on both sides of the date line and of Greenwich.
  const grid = makeGrid([-90, -60, 0, 45, 89], [0, 5, 90, 179, 181, 355]);
  const n = 4000;
  const length = 1500;
  const fields = randomFields(grid, length, keys(n));
  const at = (k: number, i: number, j: number) => fields[(k * 5 + i) * 6 + j]!;
  const mean = (value: (k: number) => number) => {
    let sum = 0;
    for (let k = 0; k < n; k++) sum += value(k);
    return sum / n;
  };

  test("mean 0 and variance 1 at every point, poles and seams too", () => {
    for (let i = 0; i < 5; i++)
      for (let j = 0; j < 6; j++) {
        // Means of n normal numbers stray by 1/sqrt(n) = 0.016, of their squares by sqrt(2/n) = 0.022; four times that.
        expect(Math.abs(mean((k) => at(k, i, j)))).toBeLessThan(4 / Math.sqrt(n));
        expect(Math.abs(mean((k) => at(k, i, j) ** 2) - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
      }
  });

  test("the pole has one value, whatever its longitude", () => {
    for (let j = 1; j < 6; j++) expect(at(3, 0, j)).toBeCloseTo(at(3, 0, 0), 5);
  });

  test("the correlation of two points is a Gaussian of their distance, across the date line and near a pole alike", () => {
    type Place = readonly [row: number, column: number];
    const pairs: [Place, Place][] = [
      [
        [2, 0],
        [2, 1],
      ],
      [
        [2, 3],
        [2, 4],
      ],
      [
        [2, 0],
        [2, 5],
      ],
      [
        [4, 0],
        [4, 2],
      ],
      [
        [1, 0],
        [1, 1],
      ],
      [
        [2, 0],
        [3, 0],
      ],
      [
        [0, 0],
        [1, 2],
      ],
      [
        [2, 0],
        [2, 2],
      ],
    ];
    for (const [a, b] of pairs) {
      const distance = radius * angle([grid.lat[a[0]]!, grid.lon[a[1]]!], [grid.lat[b[0]]!, grid.lon[b[1]]!]);
      const found = mean((k) => at(k, ...a) * at(k, ...b));
      // Sampling again, and 0.01 for the curvature that the plane's Gaussian leaves out.
      expect(Math.abs(found - Math.exp(-(distance ** 2) / (2 * length ** 2)))).toBeLessThan(
        0.01 + 4 / Math.sqrt(n),
      );
    }
  });

  test("fields of different keys are independent", () => {
    const product = (k: number) => at(k, 2, 0) * at((k + 1) % n, 2, 0);
    expect(Math.abs(mean(product))).toBeLessThan(4 / Math.sqrt(n));
  });
});

test("one key is one field on every grid", () => {
  const coarse = regularGrid(22.5);
  const [a] = [randomFields(coarse, 800, [[1, 2]])];
  const fine = makeGrid(
    Float64Array.from([...coarse.lat, 0, 50]).sort(),
    Float64Array.from([...coarse.lon, 1, 359]).sort(),
  );
  const b = randomFields(fine, 800, [
    [3, 4],
    [1, 2],
  ]).subarray(fine.lat.length * fine.lon.length);
  for (const [i, lat] of coarse.lat.entries())
    for (const [j, lon] of coarse.lon.entries())
      expect(b[fine.lat.indexOf(lat) * fine.lon.length + fine.lon.indexOf(lon)]).toBe(a![i * 16 + j]);
});

test("another seed or another variable is another field, the same ones the same", () => {
  const grid = regularGrid(45);
  const [one, again, other] = [
    [1, 2],
    [1, 2],
    [2, 2],
  ].map((key) => randomFields(grid, 1000, [key as never]));
  expect(again).toEqual(one);
  expect(other!.some((x, i) => Math.abs(x - one![i]!) > 0.5)).toBe(true);
});

test("a length below what the harmonics resolve is refused", () => {
  let error: unknown;
  try {
    randomFields(regularGrid(45), 20, [[1, 2]]);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(ClimaxError);
  expect((error as ClimaxError).message).toBe(
    "noise with a length of 20 km is finer than the harmonics that make it; at least 100 km is wanted",
  );
});
