import { expect, test } from "vitest";
import { readNpz } from "../../src/files/npy.ts";
import { resizePositions, sineCosine1d, sineCosine2d } from "../../src/model/positions.ts";

const wanted = await readNpz("test/fixtures/reference/position-embedding.npz");
const values = (name: string) => Array.from(wanted.get(name)!.data as ArrayLike<number>);

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
}

test("sine-cosine tables are the reference's", () => {
  // Both in f64: what is left is the last bit of sin and cos.
  expect(largestDifference(sineCosine2d(16, 4, 8), values("sincos2d_d16_h4_w8"))).toBeLessThan(1e-14);
  expect(largestDifference(sineCosine1d(16, [0, 1, 2, 3, 4, 5]), values("sincos1d_d16_n6"))).toBeLessThan(
    1e-14,
  );
});

test.for<[string, [number, number], string, [number, number]]>([
  ["learned_4x8", [4, 8], "bicubic_8x16", [8, 16]],
  ["bicubic_8x16", [8, 16], "bicubic_down_5x10", [5, 10]],
])("resizing is the reference's: %s %s to %s", ([source, from, name, to]) => {
  const table = values(source);
  const resized = resizePositions(table, 16, from, to);
  const scale = Math.max(...table.map(Math.abs));
  // The reference sums 16 products in f32: a few of its roundings.
  expect(largestDifference(resized, values(name)) / scale).toBeLessThan(1e-6);
});

test("resizing to the same grid changes nothing", () => {
  const table = Float32Array.from(values("learned_4x8"));
  expect(resizePositions(table, 16, [4, 8], [4, 8])).toEqual(table);
});
