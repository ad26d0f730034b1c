/** Scores from numbers of each forecast that are sums or means over its cells. */
import type { Cells, FieldPair, SeriesMetric } from "./metric.ts";

/**
 * Adds the cells `inside[from .. to - 1]` to the sums of a forecast: to the first one what tells that there are cells with
 * a known truth, their weight as a rule.
 */
export type AddCells = (pair: FieldPair, cells: Cells, from: number, to: number, sums: Float64Array) => void;

/**
 * Cells added at a time. A loop over all of them would be compiled while it runs for the first time, before what follows
 * it was ever seen, and V8 would leave that code at its end in every call: three times slower. Sums of sums are also the
 * more exact ones.
 */
const block = 512;

/** Sums over the cells of a forecast, [count]; undefined where no truth is known. */
export function sumsOverCells(
  count: number,
  add: AddCells,
): (pair: FieldPair, cells: Cells) => Float64Array | undefined {
  return (pair, cells) => {
    const sums = new Float64Array(count);
    const n = cells.inside.length;
    for (let from = 0; from < n; from += block) add(pair, cells, from, Math.min(n, from + block), sums);
    return sums[0] === 0 ? undefined : sums;
  };
}

/**
 * The mean over forecasts of means over cells, or what follows from several such means.
 *
 * @param count  means that are wanted
 * @param add    sums weights, and then `count` times weight times number
 * @param finish the score from the means [count]
 */
export function meansOverCells(
  count: number,
  add: AddCells,
  finish: (means: readonly number[]) => number,
): SeriesMetric {
  const sumsOf = sumsOverCells(count + 1, add);
  return meansOverForecasts(
    count,
    (pair, cells) => {
      const sums = sumsOf(pair, cells);
      return sums && Array.from({ length: count }, (_, i) => sums[i + 1]! / sums[0]!);
    },
    finish,
  );
}

/**
 * Means over forecasts, and the score that follows from them.
 *
 * @param numbers of one forecast, [count]; undefined where it does not count
 */
export function meansOverForecasts(
  count: number,
  numbers: (pair: FieldPair, cells: Cells) => readonly number[] | undefined,
  finish: (means: readonly number[]) => number,
): SeriesMetric {
  return {
    kind: "series",
    size: count + 1,
    measure(pair, cells) {
      const values = numbers(pair, cells);
      return values && [...values, 1];
    },
    score: (sums) => finish(Array.from({ length: count }, (_, i) => sums[i]! / sums[count]!)),
  };
}
