import { expect, test } from "vitest";
import { cropper } from "../../src/grid/crop.ts";
import { makeGrid } from "../../src/grid/grid.ts";

const whole = makeGrid([-60, 0, 60], [0, 90, 180, 270]);
const field = Float32Array.from({ length: 12 }, (_, i) => i);

test("rows and columns are found by their coordinates, with the rounding of float32 files", () => {
  const cut = cropper(whole, makeGrid([0, 60.0001], [89.9999, 270]))!;
  expect([...cut(field)]).toEqual([5, 7, 9, 11]);
});

test("a point that is not there is no part", () => {
  expect(cropper(whole, makeGrid([0, 61], [90]))).toBeUndefined();
  expect(cropper(whole, makeGrid([0], [91]))).toBeUndefined();
});
