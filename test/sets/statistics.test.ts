/** Running moments against a direct two-pass sum in f64. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addToYear,
  mergeMoments,
  momentsOf,
  noMoments,
  referenceStatistics,
  standardDeviation,
  type YearMoments,
} from "../../src/sets/statistics.ts";

function direct(values: readonly number[]) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, std: Math.sqrt(squares / values.length) };
}

describe("moments", () => {
  test("merged over fields, they are those of all values at once", () => {
    const finite = fc.float({ min: -1e6, max: 1e6, noNaN: true });
    const fields = fc.array(fc.array(finite, { minLength: 1, maxLength: 20 }), {
      minLength: 1,
      maxLength: 10,
    });
    fc.assert(
      fc.property(fields, (chunks) => {
        const merged = chunks
          .map((chunk) => momentsOf(Float32Array.from(chunk)))
          .reduce(mergeMoments, noMoments());
        const { mean, std } = direct(chunks.flat());
        const scale = Math.max(...chunks.flat().map(Math.abs), 1e-30);
        // Rounding of f64 over at most 200 values.
        expect(Math.abs(merged.mean - mean) / scale).toBeLessThan(1e-13);
        expect(Math.abs(Math.sqrt(merged.squares / merged.count) - std) / scale).toBeLessThan(1e-13);
        expect(merged.min).toBe(Math.min(...chunks.flat()));
        expect(merged.max).toBe(Math.max(...chunks.flat()));
      }),
      { seed: 1 },
    );
  });

  test("a small deviation on a large mean survives 1000 fields", () => {
    // Geopotential at 50 hPa: 2e5 with a deviation of 1; sums of squares would keep 5 digits of it.
    let merged = noMoments();
    for (let step = 0; step < 1000; step++)
      merged = mergeMoments(merged, momentsOf(Float32Array.of(200_000, 200_002, 199_999, 200_001)));
    expect(standardDeviation(merged).std).toBeCloseTo(Math.sqrt(1.25), 12);
    expect(merged.mean).toBe(200_000.5);
  });

  test("missing values are counted and enter nothing else", () => {
    const moments = mergeMoments(
      momentsOf(Float32Array.of(Number.NaN, 1, Infinity, 3)),
      momentsOf(Float32Array.of(Number.NaN)),
    );
    expect(moments).toEqual({ count: 2, mean: 2, squares: 2, min: 1, max: 3, missing: 3 });
  });

  test("a field that does not vary beyond float32 rounding has std 1 and is called constant", () => {
    const flat = momentsOf(new Float32Array(100).fill(273.15));
    expect(standardDeviation(mergeMoments(flat, flat))).toEqual({ std: 1, constant: true });
    expect(standardDeviation(momentsOf(Float32Array.of(1, 1 + 2 ** -20)))).toMatchObject({ constant: false });
    expect(standardDeviation(noMoments())).toEqual({ std: 1, constant: true });
  });
});

describe("statistics as ClimaX's scripts make them", () => {
  const fields = [
    [2001, [1, 3]],
    [2001, [5, 7]],
    [2002, [10, 20]],
    [2003, [-4, 4]],
  ] as const;
  const years: YearMoments[] = [];
  for (const [year, values] of fields) addToYear(years, year, momentsOf(Float32Array.from(values)));
  // By year: means 4, 15, 0; variances 5, 25, 16.
  const mean = 19 / 3;
  const variance = 46 / 3 + (16 + 225) / 3 - mean ** 2;

  test("years count alike, whatever their number of states", () => {
    expect(years.map(({ year, moments }) => [year, moments.count])).toEqual([
      [2001, 4],
      [2002, 2],
      [2003, 2],
    ]);
    const found = referenceStatistics(years, { onPressure: false, precipitation: false });
    expect(found.mean).toBeCloseTo(mean, 12);
    expect(found.std).toBeCloseTo(Math.sqrt(variance), 12);
  });

  test("on pressure levels only the last year is left, in whatever order the years came", () => {
    const last = { mean: 0, std: 4 };
    expect(referenceStatistics(years, { onPressure: true, precipitation: false })).toEqual(last);
    expect(referenceStatistics(years.toReversed(), { onPressure: true, precipitation: false })).toEqual(last);
  });

  test("rain is scaled, not shifted; what does not vary has std 1", () => {
    const rain = referenceStatistics(years, { onPressure: false, precipitation: true });
    expect(rain.mean).toBe(0);
    expect(rain.std).toBeCloseTo(Math.sqrt(variance), 12);
    const flat = [{ year: 2001, moments: momentsOf(new Float32Array(4).fill(280)) }];
    expect(referenceStatistics(flat, { onPressure: true, precipitation: false })).toEqual({
      mean: 280,
      std: 1,
    });
  });
});
