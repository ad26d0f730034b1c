import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Grid, gaussianLatitudes, makeGrid, regularGrid } from "../../src/grid/grid.ts";
import type { Points } from "../../src/grid/points.ts";
import { sizeOf } from "../../src/grid/points.ts";
import { makeRegridder, type RegridMethod, regridMethods } from "../../src/grid/regrid.ts";
import { type SparseWeights, sparse, sparseRegridder, weightsOf } from "../../src/grid/sparse.ts";
import { triangles } from "../support/triangles.ts";

const steps = (n: number, step: number, from = 0) => Array.from({ length: n }, (_, i) => from + i * step);

const sources: Record<string, Grid | Points> = {
  Gaussian: makeGrid(gaussianLatitudes(24), steps(48, 7.5)),
  "rows at the poles": makeGrid(steps(19, 10, -90), steps(36, 10)),
  "a region across Greenwich": makeGrid(steps(21, 2, 20), [...steps(11, 2), ...steps(10, 2, 340)]),
  triangles: triangles(3, [0.1, 0.7, 0.2]).points,
};
const target = regularGrid(5.625);

const cases = Object.entries(sources).flatMap(([name, source]) =>
  regridMethods
    .filter((method) => name !== "triangles" || !/^bi/.test(method))
    .map((method): [string, RegridMethod, Grid | Points] => [name, method, source]),
);

const rowSums = ({ start, weight }: SparseWeights) =>
  Array.from({ length: start.length - 1 }, (_, r) =>
    weight.subarray(start[r], start[r + 1]).reduce((sum, w) => sum + w, 0),
  );

/** Numbers without a pattern, with gaps for a part of them. */
function noise(length: number, gaps: number): Float64Array {
  let state = 9;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float64Array.from({ length }, () => (next() < gaps ? Number.NaN : next()));
}

describe.each(cases)("%s, %s", (_, method, source) => {
  const regridder = makeRegridder(source, target, method);
  const weights = weightsOf(regridder);

  test("rows sum to 1 or, where the source does not reach, to less; no index is outside", () => {
    expect([weights.sourceSize, weights.targetSize]).toEqual([sizeOf(source), 2048]);
    expect(weights.start[2048]).toBe(weights.column.length);
    expect(weights.weight.length).toBe(weights.column.length);
    expect(weights.column.every((c) => c >= 0 && c < weights.sourceSize)).toBe(true);
    const sums = rowSums(weights);
    const regional = source === sources["a region across Greenwich"];
    expect(Math.max(...sums)).toBeLessThan(1 + 1e-9);
    if (!regional) expect(Math.min(...sums)).toBeGreaterThan(1 - 1e-9);
    else expect(sums.filter((sum) => sum === 0).length).toBeGreaterThan(1000);
  });

  test("applied as one matrix they give what the method gives, also after structuredClone", () => {
    const again = sparseRegridder(structuredClone(weights), regridder);
    // Without gaps; and with them, but for bicubic, which then takes fewer points.
    for (const gaps of method === "bicubic" ? [0] : [0, 0.2]) {
      const field = noise(weights.sourceSize, gaps);
      const expected = regridder.apply(field, new Float64Array(2048));
      const found = again.apply(field, new Float64Array(2048));
      const differs = [...found.keys()].filter((i) => !(Math.abs(found[i]! - expected[i]!) < 1e-12));
      // Where a pole is the mean of a row with gaps, that mean keeps its weight; single points lose theirs.
      const polar = (i: number) => Math.abs(target.lat[Math.floor(i / 64)]!) > 86;
      expect(
        differs.filter(
          (i) => !(Number.isNaN(found[i]!) && Number.isNaN(expected[i]!)) && !(gaps > 0 && polar(i)),
        ),
      ).toEqual([]);
    }
  });

  test("constants stay what they are, whatever is missing", () => {
    const field = noise(weights.sourceSize, 0.3).map((x) => (Number.isNaN(x) ? x : 287.65));
    const values = makeRegridder(source, target, method, { minimumValid: 0 }).apply(Float32Array.from(field));
    const there = values.filter((x) => !Number.isNaN(x));
    expect(there.length).toBeGreaterThan(20);
    // One float32 step.
    expect(Math.max(...there.map((x) => Math.abs(x - Math.fround(287.65))))).toBeLessThanOrEqual(2 ** -15);
  });
});

test("thresholds: the part of a target's weight that is there decides, for any row and gaps", () => {
  const rows = fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(
      rows,
      fc.integer({ min: 0, max: 63 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (raw, gaps, least) => {
        const total = raw.reduce((sum, w) => sum + w, 0);
        const n = raw.length;
        const weights: SparseWeights = {
          sourceSize: n,
          targetSize: 1,
          start: Int32Array.of(0, n),
          column: Int32Array.from(raw, (_, i) => i),
          weight: Float64Array.from(raw, (w) => w / total),
        };
        const field = Float64Array.from(raw, (_, i) => ((gaps >> i) & 1 ? Number.NaN : 10 + i));
        const there = weights.weight.reduce((sum, w, i) => sum + (Number.isNaN(field[i]!) ? 0 : w), 0);
        if (Math.abs(there - least) < 1e-8) return; // decided by rounding
        const mean =
          weights.weight.reduce((sum, w, i) => sum + (Number.isNaN(field[i]!) ? 0 : w * field[i]!), 0) /
          there;
        const out = new Float64Array(1);
        sparse(weights, least)(field, out);
        if (there < least || there === 0) expect(out[0]).toBeNaN();
        else expect(out[0]).toBeCloseTo(mean, 12);
      },
    ),
    { numRuns: 300, seed: 11 },
  );
});

test("a row with negative weights wants all its points", () => {
  const weights: SparseWeights = {
    sourceSize: 3,
    targetSize: 2,
    start: Int32Array.of(0, 3, 5),
    column: Int32Array.of(0, 1, 2, 0, 1),
    weight: Float64Array.of(-0.1, 0.6, 0.5, 0.5, 0.5),
  };
  const out = new Float64Array(2);
  sparse(weights, 0)(Float64Array.of(1, 2, Number.NaN), out);
  expect([...out]).toEqual([Number.NaN, 1.5]);
  sparse(weights, 0)(Float64Array.of(1, Number.NaN, 3), out);
  expect([...out]).toEqual([Number.NaN, 1]);
});
