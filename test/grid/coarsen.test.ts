/** Block means: by hand, the integral, a region across Greenwich, and what is refused. */
import { expect, test } from "vitest";
import { coarsener } from "../../src/grid/coarsen.ts";
import { cellAreaWeights, makeGrid, regularGrid } from "../../src/grid/grid.ts";

test("by hand: blocks of 2 x 2 on a grid of 45 degrees, weighted by sines of latitude", () => {
  const regridder = coarsener(regularGrid(45), 2);
  expect([...regridder.target.lat]).toEqual([-45, 45]);
  expect([...regridder.target.lon]).toEqual([22.5, 112.5, 202.5, 292.5]);
  const field = new Float64Array(32);
  field.set([8, 4], 16); // 0..45 N
  field.set([2, 6], 24); // 45..90 N
  const low = Math.sin(Math.PI / 4);
  const out = regridder.apply(field, new Float64Array(8));
  expect(out[4]).toBeCloseTo(low * 6 + (1 - low) * 4, 14);
  expect([...out.subarray(0, 4), ...out.subarray(5)].every((x) => x === 0)).toBe(true);
});

test("keeps the integral over the globe", () => {
  const fine = regularGrid(5.625);
  const field = Float64Array.from({ length: 2048 }, (_, i) => Math.sin(i * i));
  const regridder = coarsener(fine, 4);
  const out = regridder.apply(field, new Float64Array(8 * 16));
  const mean = (values: Float64Array, weights: Float64Array, w: number) =>
    values.reduce((sum, x, i) => sum + x * weights[Math.floor(i / w)]!, 0) / values.length;
  expect(mean(out, cellAreaWeights(regridder.target), 16)).toBeCloseTo(
    mean(field, cellAreaWeights(fine), 64),
    13,
  );
});

test("blocks of a region across Greenwich begin at its western edge", () => {
  const region = makeGrid([0, 1, 2, 3], [0, 1, 2, 357, 358, 359]);
  const regridder = coarsener(region, 2);
  expect([...regridder.target.lat]).toEqual([0.5, 2.5]);
  expect([...regridder.target.lon]).toEqual([1.5, 357.5, 359.5]);
  const field = Float64Array.from({ length: 24 }, (_, i) => [1, 2, 3, 10, 20, 30][i % 6]!);
  const out = regridder.apply(field, new Float64Array(6));
  // 357 with 358, 359 with 0, 1 with 2.
  [2.5, 15, 15.5].forEach((x, i) => {
    expect(out[i]).toBeCloseTo(x, 12);
  });
});

test.each([
  [3, "means over blocks of 3 x 3 points do not tile the grid (32 x 64, 5.625 degrees)"],
  [1.5, "means over blocks of 1.5 x 1.5 points"],
  [1, "means over blocks of 1 x 1 points"],
  [32, "or leave fewer than 2 x 2"],
])("a factor of %d is refused", (factor, message) => {
  expect(() => coarsener(regularGrid(5.625), factor)).toThrow(message);
});
