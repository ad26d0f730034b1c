/** Where the colours of a field begin and end: round numbers that hold nearly all of its values. */

export interface Limits {
  readonly low: number;
  readonly high: number;
  /** Which of them values lie beyond. */
  readonly extend: "neither" | "min" | "max" | "both";
}

/** Part of the values that may lie beyond each end, when they lie far: a few cells must not take the colours from all. */
const tail = 0.005;
/** How much wider than without their tails values may spread before the tails are left outside. */
const tolerated = 1.3;

interface Spread {
  readonly least: number;
  readonly most: number;
  /** The same without the tails. */
  readonly lower: number;
  readonly upper: number;
}

/** Values that order statistics are taken of, in each field. */
const sampled = 50_000;

/** Every so manieth value of a large field, with its least and its greatest: enough to find limits of colours by. */
export function sampleOf(field: ArrayLike<number>): Float64Array {
  const stride = Math.ceil(field.length / sampled);
  const taken = new Float64Array(Math.ceil(field.length / stride) + 2).fill(Number.NaN);
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < field.length; i++) {
    const value = field[i]!;
    if (!Number.isFinite(value)) continue;
    if (value < least) least = value;
    if (value > most) most = value;
    if (i % stride === 0) taken[i / stride] = value;
  }
  if (stride > 1 && least <= most) taken.set([least, most], taken.length - 2);
  return taken;
}

/** Order statistics of the values that are known; undefined where none is. */
function spreadOf(fields: Iterable<ArrayLike<number>>): Spread | undefined {
  const samples = Array.from(fields, sampleOf);
  const all = new Float64Array(samples.reduce((sum, { length }) => sum + length, 0));
  let count = 0;
  for (const sample of samples) for (const value of sample) if (!Number.isNaN(value)) all[count++] = value;
  if (count === 0) return undefined;
  const sorted = all.subarray(0, count).sort();
  const last = count - 1;
  return {
    least: sorted[0]!,
    most: sorted[last]!,
    lower: sorted[Math.floor(tail * last)]!,
    upper: sorted[Math.ceil((1 - tail) * last)]!,
  };
}

/**
 * Limits of values of one kind.
 *
 * @param fromZero  whether the low end is 0 where no value is negative and some are less than half of the greatest
 * @param range     limits that were asked for: only what lies beyond is found
 */
export function limitsOf(
  fields: Iterable<ArrayLike<number>>,
  fromZero: boolean,
  range?: readonly [number, number],
): Limits {
  const spread = spreadOf(fields) ?? { least: 0, most: 1, lower: 0, upper: 1 };
  if (range) return withExtend(range[0], range[1], spread);
  let { least, most } = spread;
  const { lower, upper } = spread;
  if (upper > lower && most - least > tolerated * (upper - lower)) [least, most] = [lower, upper];
  // Values far from zero that differ little, as humidity of the stratosphere, would all have one colour.
  if (fromZero && least >= 0 && least < most / 2) least = 0;
  if (isFlat(least, most)) {
    const room = Math.abs(least) > 1e10 * smallest ? Math.abs(least) / 100 : 1;
    [least, most] = [least === 0 && fromZero ? 0 : least - room, most + room];
  }
  const step = roundUp((most - least) / 12);
  return withExtend(
    multiple(Math.floor(least / step + 1e-6), step),
    multiple(Math.ceil(most / step - 1e-6), step),
    spread,
  );
}

/** Below this, steps between numbers are no longer of one precision. */
const smallest = 1e-290;

/** Whether values are one but for rounding: their limits would be the same number in decimals. */
const isFlat = (least: number, most: number) =>
  most - least <= Math.max(smallest, 1e-9 * Math.max(Math.abs(least), Math.abs(most)));

/** Limits as far above a middle as below. */
export function limitsAbout(
  middle: number,
  fields: Iterable<ArrayLike<number>>,
  range?: readonly [number, number],
): Limits {
  const spread = spreadOf(fields) ?? {
    least: middle - 1,
    most: middle + 1,
    lower: middle - 1,
    upper: middle + 1,
  };
  if (range) return withExtend(range[0], range[1], spread);
  const reach = (low: number, high: number) => Math.max(Math.abs(low - middle), Math.abs(high - middle));
  const [all, most] = [reach(spread.least, spread.most), reach(spread.lower, spread.upper)];
  const found = most > 0 && all > tolerated * most ? most : all;
  const wanted = found > smallest ? found : 1;
  const step = roundUp(wanted / 6);
  const half = multiple(Math.ceil(wanted / step - 1e-6), step);
  return withExtend(middle - half, middle + half, spread);
}

function withExtend(low: number, high: number, { least, most }: Spread): Limits {
  // float32 fields end a rounding away from round numbers.
  const slack = 1e-6 * (high - low);
  const [below, above] = [least < low - slack, most > high + slack];
  return { low, high, extend: below && above ? "both" : below ? "min" : above ? "max" : "neither" };
}

/** The next of 1, 2, 2.5 or 5 times a power of ten. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 2.5, 5, 10].find((m) => m * power >= value * (1 - 1e-9))!;
}

/** Through decimal text: 3 * 0.1 is 0.30000000000000004. */
const multiple = (count: number, step: number) => Number((count * step).toPrecision(12));
