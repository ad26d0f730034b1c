import { expect, test } from "vitest";
import { sumOfSquares } from "../../src/train/squares.ts";

test.for([0, 1, 3, 4, 5, 8, 11])("of %i numbers", (length) => {
  const values = Float32Array.from({ length }, (_, i) => i - 2.5);
  expect(sumOfSquares(values)).toBe(values.reduce((sum, x) => sum + x * x, 0)); // eighths: exact
});

test("in f64, beyond f32, and what is not finite shows", () => {
  expect(sumOfSquares(Float32Array.of(2 ** 70, 1, 2 ** 70))).toBe(2 ** 141);
  expect(sumOfSquares(Float32Array.of(4096, 2 ** -14))).toBe(2 ** 24 + 2 ** -28);
  for (const at of [0, 1, 2, 3, 4])
    expect(sumOfSquares(new Float32Array(5).fill(Number.NaN, at, at + 1))).toBeNaN();
});
