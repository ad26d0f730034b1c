/** Whether confidence limits hold what they claim to hold, on series whose mean is known. */
import { describe, expect, test } from "vitest";
import { hash32 } from "../../src/data/hash.ts";
import {
  type Additive,
  blockLength,
  percentiles,
  Resampler,
  scoreOf,
  twoSidedP,
  widening,
  withoutEach,
} from "../../src/scores/bootstrap.ts";
import { Confidence } from "../../src/scores/confidence.ts";
import { studentQuantile } from "../../src/scores/student.ts";

const uniform = (...words: number[]) => (hash32(...words) + 0.5) / 2 ** 32;
/** Standard normal numbers. */
const normal = (...words: number[]) =>
  Math.sqrt(-2 * Math.log(uniform(...words, 0))) * Math.cos(2 * Math.PI * uniform(...words, 1));

/** x_i = rho x_(i - 1) + e_i about a mean, begun in its own distribution. */
function autoregressive(N: number, rho: number, mean: number, stream: number): Float64Array {
  let x = normal(stream, N, 0) / Math.sqrt(1 - rho * rho);
  return Float64Array.from({ length: N }, (_, i) => {
    x = rho * x + normal(stream, N, i + 1);
    return mean + x;
  });
}

/** The mean of a series, as scores keep it. */
const meanOf = (series: Float64Array): Additive => ({
  columns: [series, series.map(() => 1)],
  score: (sums) => sums[0]! / sums[1]!,
});

describe("coverage of 95 % limits", () => {
  /** Share of so many series whose limits hold the mean; block undefined: as chosen. */
  function coverage(N: number, rho: number, block: number | undefined, repeats = 400): number {
    const confidence = new Confidence({ resamples: 300, level: 0.95, block, seed: 5 });
    let held = 0;
    for (let stream = 0; stream < repeats; stream++) {
      const { low, high } = confidence.limits(meanOf(autoregressive(N, rho, 10, stream)));
      if (low! <= 10 && high! >= 10) held++;
    }
    return held / repeats;
  }

  // The standard error of a share of 400 is 0.011 at 0.95 and 0.015 at 0.90.
  test("independent forecasts: 95 %, even where there are few", () => {
    expect(coverage(10, 0, undefined)).toBeGreaterThan(0.91);
    expect(coverage(100, 0, undefined)).toBeGreaterThan(0.92);
    expect(coverage(100, 0, undefined)).toBeLessThan(0.98);
  });

  test("forecasts that err alike: near 90 %, where single forecasts in place of blocks hold it in half of the cases", () => {
    // Blocks see no correlation beyond their ends, so that limits remain somewhat narrow: this is known of them.
    expect(coverage(200, 0.8, undefined)).toBeGreaterThan(0.86);
    expect(coverage(200, 0.8, 1)).toBeLessThan(0.6);
    expect(coverage(200, 0.5, undefined)).toBeGreaterThan(0.88);
    expect(coverage(200, 0.5, 1)).toBeLessThan(0.82);
  });

  test("a difference of two systems that share their hard days: known better than either", () => {
    const shared = autoregressive(200, 0.8, 10, 1);
    const own = shared.map((x, i) => x + 0.1 * normal(2, i));
    const other = shared.map((x, i) => x + 0.1 * normal(3, i) + 0.05);
    const confidence = new Confidence({ resamples: 500, level: 0.95, block: undefined, seed: 5 });
    const { low, high } = confidence.limits(meanOf(own));
    const difference = confidence.difference(meanOf(own), meanOf(other), "low");
    expect(difference.high! - difference.low!).toBeLessThan((high! - low!) / 10);
    expect(difference).toMatchObject({ better: "system", samples: 200 });
    expect(difference.p).toBeLessThan(0.01);
  });
});

describe("length of blocks", () => {
  test("grows with the correlation", () => {
    const of = (rho: number) => blockLength(autoregressive(730, rho, 0, 1));
    expect(of(0)).toBeLessThan(5);
    expect(of(0.5)).toBeGreaterThan(of(0));
    expect(of(0.9)).toBeGreaterThan(of(0.5));
  });

  test("is that of another program", () => {
    // optimal_block_length(x)["circular"] of Python's arch 8.0.0 is 50.81.
    const series = Float64Array.from({ length: 400 }, (_, i) => Math.sin(i / 7) + ((i * 37) % 101) / 50);
    expect(blockLength(series)).toBe(51);
  });

  test("leaves three blocks at least, and is 1 for a constant", () => {
    const lengths = [8, 9, 11, 20, 50, 100].flatMap((N) =>
      Array.from({ length: 20 }, (_, stream) => blockLength(autoregressive(N, 0.95, 0, stream)) / N),
    );
    expect(Math.max(...lengths)).toBeLessThanOrEqual(1 / 3);
    expect(Math.max(...lengths)).toBeGreaterThan(0.3);
    expect(blockLength(new Float64Array(30).fill(0.1))).toBe(1);
    expect(blockLength(new Float64Array(8))).toBe(1);
  });

  test("comes from what each forecast does to a score that is no mean", () => {
    // Root of a mean: without the last of 1 4 9 16 it is the root of 14 / 3.
    const squares = Float64Array.of(1, 4, 9, 16);
    const root = { ...meanOf(squares), score: (sums: Float64Array) => Math.sqrt(sums[0]! / sums[1]!) };
    expect(withoutEach(root)[3]).toBeCloseTo(Math.sqrt(14 / 3), 12);
    expect(scoreOf(root)).toBeCloseTo(Math.sqrt(7.5), 12);
  });
});

describe("resamples", () => {
  const N = 50;
  const series = autoregressive(N, 0, 3, 9);

  test("have as many forecasts as the run, in whole blocks and one that is cut", () => {
    const counted = new Resampler(20, 1).scores({ ...meanOf(series), score: (sums) => sums[1]! }, 7);
    expect([...counted]).toEqual(Array(20).fill(N));
  });

  test("a block of one is a draw of single forecasts: mean and variance as they must be", () => {
    const means = new Resampler(20_000, 1).scores(meanOf(series), 1);
    const mean = series.reduce((a, b) => a + b) / N;
    const variance = series.reduce((sum, x) => sum + (x - mean) ** 2, 0) / N / N;
    const drawn = means.reduce((a, b) => a + b) / means.length;
    const spread = means.reduce((sum, x) => sum + (x - drawn) ** 2, 0) / means.length;
    expect(Math.abs(drawn - mean)).toBeLessThan(4 * Math.sqrt(variance / means.length));
    expect(Math.abs(spread / variance - 1)).toBeLessThan(0.04); // four standard errors
  });

  test("a block as long as the run is the run, wherever it begins", () => {
    const mean = scoreOf(meanOf(series));
    for (const drawn of new Resampler(20, 1).scores(meanOf(series), N)) expect(drawn).toBeCloseTo(mean, 12);
  });

  test("are the same whatever was resampled before, and for the first of more resamples", () => {
    const resampler = new Resampler(30, 4);
    const first = resampler.scores(meanOf(series), 3);
    resampler.scores(meanOf(series.slice(0, 20)), 2);
    expect(resampler.scores(meanOf(series), 3)).toEqual(first);
    expect(new Resampler(60, 4).scores(meanOf(series), 3).slice(0, 30)).toEqual(first);
    expect(new Resampler(30, 5).scores(meanOf(series), 3)).not.toEqual(first);
    // More than are kept at a time.
    const many = new Resampler(90_000, 4).scores(meanOf(series), 3);
    expect(many.slice(0, 30)).toEqual(first);
    expect(new Set(many).size).toBeGreaterThan(85_000);
  });
});

test("percentiles: the middle of the values; none where one is no number", () => {
  const values = Float64Array.from({ length: 101 }, (_, i) => 100 - i);
  expect(percentiles(values, 0.9)).toEqual([expect.closeTo(5, 12), expect.closeTo(95, 12)]);
  expect(percentiles(Float64Array.of(4, 1), 0.5)).toEqual([1.75, 3.25]);
  expect(percentiles(Float64Array.of(1, Number.NaN), 0.9)).toBeUndefined();
});

test("p: twice the smaller share beyond zero, never zero", () => {
  expect(twoSidedP(Float64Array.of(1, 2, 3, -1))).toBe(0.8); // 2 (1 + 1) / 5
  expect(twoSidedP(new Float64Array(99).fill(1))).toBe(0.02);
  expect(twoSidedP(new Float64Array(99))).toBe(1);
});

test("Student's t, from the tables; the widening by it vanishes where blocks are many", () => {
  expect(studentQuantile(0.975, 2)).toBeCloseTo(4.302653, 6);
  expect(studentQuantile(0.995, 5)).toBeCloseTo(4.032143, 6);
  expect(studentQuantile(0.05, 30)).toBeCloseTo(-1.697261, 6);
  expect(studentQuantile(0.975, Number.POSITIVE_INFINITY)).toBeCloseTo(1.959964, 6);
  expect(widening(4, 0.95)).toBeCloseTo((Math.sqrt(4 / 3) * 3.182446) / 1.959964, 5);
  expect(widening(1e6, 0.95)).toBeCloseTo(1, 5);
});

test("a score without a value in some resamples has no limits", () => {
  const confidence = new Confidence({ resamples: 100, level: 0.95, block: 1, seed: 1 });
  const rare = Float64Array.from({ length: 20 }, (_, i) => (i === 0 ? 1 : 0));
  const perEvent = { columns: [rare, rare], score: (sums: Float64Array) => sums[0]! / sums[1]! };
  expect(confidence.limits(perEvent)).toEqual({ low: null, high: null });
  expect(confidence.notes()).toEqual([
    "1 score or difference has no confidence limits: they have no value in some resamples",
  ]);
  expect(confidence.describe()).toBeNull();
});
