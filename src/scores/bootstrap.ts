/**
 * Confidence of scores by resampling: forecasts from neighbouring initial times err alike, so whole blocks of them are
 * drawn with replacement (circular block bootstrap, Politis and Romano 1992), as long as the scores themselves say they
 * must be (Politis and White 2004, corrected by Patton, Politis and White 2009). Draws are a function of (seed, resample,
 * block): every score of so many forecasts sees the same ones, so scores of two systems are resampled together.
 */
import { hash32 } from "../data/hash.ts";
import { studentQuantile } from "./student.ts";

/** A score that follows from sums over forecasts. */
export interface Additive {
  /** [size] columns of [N] numbers, one for each forecast that counts, in order of time. */
  readonly columns: readonly Float64Array[];
  /** The score, from the sums [size] of the columns. */
  score(sums: Float64Array): number;
}

/** Sums [size] of the columns, in order of time. */
const sumsOf = (columns: readonly Float64Array[]) =>
  Float64Array.from(columns, (column) => column.reduce((sum, value) => sum + value, 0));

/** The score of all forecasts. */
export function scoreOf({ columns, score }: Additive): number {
  return score(sumsOf(columns));
}

/** What the score would be without forecast i, [N]: what each forecast does to it, up to sign and scale. */
export function withoutEach({ columns, score }: Additive): Float64Array {
  const sums = sumsOf(columns);
  const left = new Float64Array(columns.length);
  return columns[0]!.map((_, i) => {
    for (let c = 0; c < columns.length; c++) left[c] = sums[c]! - columns[c]![i]!;
    return score(left);
  });
}

/**
 * Length of the blocks that suit a series [N], from its autocorrelation; 1 for a series that has none. At most
 * min(3 sqrt(N), N / 3), as its authors have it: three blocks at the least.
 *
 * Source: Politis and White 2004, Econometric Reviews 23, 53-70; Patton, Politis and White 2009, ibid. 28, 372-375.
 */
export function blockLength(series: ArrayLike<number>): number {
  const N = series.length;
  const longest = Math.max(1, Math.floor(Math.min(3 * Math.sqrt(N), N / 3)));
  const run = Math.max(5, Math.ceil(Math.sqrt(Math.log10(N)))); // K_N: lags in a row that must be near zero
  const mostLags = Math.min(N - 1, Math.ceil(Math.sqrt(N)) + run);
  const R = autocovariances(series, mostLags);
  // Rounding leaves some variance in a constant; it is none.
  const size = Math.max(...Array.from(series, Math.abs));
  if (!(R[0]! > 1e-24 * size * size)) return 1;
  const threshold = 2 * Math.sqrt(Math.log10(N) / N);
  const near = (lag: number) => lag > mostLags || Math.abs(R[lag]! / R[0]!) < threshold;
  const negligible = (from: number) => Array.from({ length: run }, (_, k) => near(from + k)).every(Boolean);
  let first = 1; // m: the first of so many lags without a correlation to speak of
  while (first < mostLags && !negligible(first)) first++;
  const M = Math.min(2 * first, mostLags);
  let spectrum = R[0]!; // g(0), with the flat-top window
  let slope = 0; // G
  for (let k = 1; k <= M; k++) {
    const window = Math.min(1, 2 * (1 - k / M));
    spectrum += 2 * window * R[k]!;
    slope += 2 * window * k * R[k]!;
  }
  const length = ((2 * slope * slope) / ((4 / 3) * spectrum * spectrum)) ** (1 / 3) * N ** (1 / 3);
  return Math.min(longest, Math.max(1, Math.ceil(length)));
}

/** Lags 0 to `most`, divided by N whatever the lag. */
function autocovariances(series: ArrayLike<number>, most: number): Float64Array {
  const N = series.length;
  const values = Float64Array.from(series);
  const mean = values.reduce((sum, value) => sum + value, 0) / N;
  const centred = values.map((value) => value - mean);
  return Float64Array.from({ length: most + 1 }, (_, lag) => {
    let sum = 0;
    for (let i = lag; i < N; i++) sum += centred[i]! * centred[i - lag]!;
    return sum / N;
  });
}

/** Where blocks begin, kept from one score to the next: most of them have as many forecasts. */
export class Resampler {
  readonly resamples: number;
  readonly #seed: number;
  #starts = new Uint32Array(0);
  #of = "";

  constructor(resamples: number, seed: number) {
    this.resamples = resamples;
    this.#seed = seed;
  }

  /**
   * The score of each resample, [resamples]. The last block of a resample is cut so that it has N forecasts.
   *
   * @param block forecasts in a block, 1 to N
   */
  scores({ columns, score }: Additive, block: number): Float64Array {
    const N = columns[0]!.length;
    const blocks = Math.ceil(N / block);
    const last = N - (blocks - 1) * block;
    const constant = columns.map((column) => column.every((value) => value === column[0]));
    const whole = columns.map((column, c) => (constant[c] ? column : blockSums(column, block)));
    const cut = columns.map((column, c) => (constant[c] ? column : blockSums(column, last)));
    const scores = new Float64Array(this.resamples);
    const sums = new Float64Array(columns.length);
    // A few megabytes of starts at a time, whatever the number of resamples.
    const batch = Math.min(this.resamples, Math.max(1, Math.floor(2 ** 22 / N)));
    for (let from = 0; from < this.resamples; from += batch) {
      const starts = this.#draw(N, from, batch);
      for (let r = from; r < Math.min(this.resamples, from + batch); r++) {
        const at = (r - from) * N;
        for (let c = 0; c < sums.length; c++) {
          // Most often it counts the forecasts, or the cells.
          if (constant[c]) sums[c] = N * columns[c]![0]!;
          else sums[c] = sumAt(whole[c]!, starts, at, blocks - 1) + cut[c]![starts[at + blocks - 1]!]!;
        }
        scores[r] = score(sums);
      }
    }
    return scores;
  }

  /** Starts of up to N blocks of so many resamples, [batch, N], each in 0..N-1. */
  #draw(N: number, from: number, batch: number): Uint32Array {
    const wanted = `${N} ${from} ${batch}`;
    if (this.#of === wanted) return this.#starts;
    this.#of = wanted;
    if (this.#starts.length < batch * N) this.#starts = new Uint32Array(batch * N);
    const starts = this.#starts;
    for (let r = 0; r < batch; r++) {
      let counter = hash32(this.#seed, from + r);
      for (let j = 0; j < N; j++) {
        // A Weyl sequence through a mixing function, as splitmix has it: a call of hash32 would cost ten times that.
        counter = (counter + 0x9e3779b9) | 0;
        let x = Math.imul(counter ^ (counter >>> 16), 0x21f0aaad);
        x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
        starts[r * N + j] = Math.floor((((x ^ (x >>> 15)) >>> 0) / 2 ** 32) * N);
      }
    }
    return starts;
  }
}

/** Sum of the values at so many of the indices from `from` on. Four sums at a time do not wait for one another. */
function sumAt(values: Float64Array, indices: Uint32Array, from: number, count: number): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  let j = from;
  for (const end = from + count - 3; j < end; j += 4) {
    a += values[indices[j]!]!;
    b += values[indices[j + 1]!]!;
    c += values[indices[j + 2]!]!;
    d += values[indices[j + 3]!]!;
  }
  for (; j < from + count; j++) a += values[indices[j]!]!;
  return a + b + (c + d);
}

/** The sum of the `length` values from each on, the last followed by the first, [N]. */
function blockSums(column: Float64Array, length: number): Float64Array {
  const N = column.length;
  if (length === 1) return column;
  const before = new Float64Array(2 * N + 1);
  for (let i = 0; i < 2 * N; i++) before[i + 1] = before[i]! + column[i % N]!;
  return Float64Array.from(column, (_, i) => before[i + length]! - before[i]!);
}

/**
 * How much further from the score its resamples must lie: what is drawn from a few blocks varies too little, and its
 * variance is known to few degrees of freedom, so Student's t stands in for the normal distribution. As they are, 95 %
 * limits from 20 independent forecasts hold the truth in 87 % of cases.
 *
 * @param blocks forecasts over the length of a block; more than 2
 * @param level  of the limits that are wanted, 0.95
 *
 * Source: Hesterberg 2015, The American Statistician 69, 371-386, with blocks in place of observations.
 */
export function widening(blocks: number, level: number): number {
  const outside = (1 + level) / 2;
  const ratio =
    studentQuantile(outside, Math.max(2, blocks - 1)) / studentQuantile(outside, Number.POSITIVE_INFINITY);
  return Math.sqrt(blocks / (blocks - 1)) * ratio;
}

/** The limits that hold the middle `level` of the values; undefined unless all of them are numbers. */
export function percentiles(values: Float64Array, level: number): [low: number, high: number] | undefined {
  if (!values.every(Number.isFinite)) return undefined;
  const sorted = values.toSorted();
  const at = (fraction: number) => {
    const place = fraction * (sorted.length - 1);
    const [a, b] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!];
    return a + (b - a) * (place - Math.floor(place));
  };
  return [at((1 - level) / 2), at((1 + level) / 2)];
}

/** Two-sided p of no difference, from resampled differences: never less than the resamples can tell. */
export function twoSidedP(differences: Float64Array): number {
  const share = (inside: (value: number) => boolean) =>
    (differences.filter(inside).length + 1) / (differences.length + 1);
  return Math.min(
    1,
    2 *
      Math.min(
        share((d) => d <= 0),
        share((d) => d >= 0),
      ),
  );
}
