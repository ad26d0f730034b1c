/** Whether forecasts resemble another state of the truth more than the one that they are for. */
import type { Field } from "../scores/metric.ts";

/**
 * A forecast is doubtful when its RMSE against another state of the truth is below this part of its RMSE against the
 * one it is for. A forecast of any skill is nearer to its own; one of none is as far from all states.
 */
const suspicious = 0.5;
/** Fewer numbers than these may be alike by chance. */
const leastEvidence = 64;

/** Square of some steps of f32, relative. */
const rounding = 1e-13;

/** How much nearer a forecast is to another state than to its own. */
export interface Comparison {
  /** RMSE against the other state over RMSE against its own; of the two with and without the mean difference, the larger. */
  readonly ratio: number;
  readonly cells: number;
}

/**
 * Compares over the cells where both states are known. The mean difference is looked at and looked away from: a
 * forecast that is too warm resembles the hours after, but only in its mean; one in other units resembles nothing.
 *
 * @param source for each cell that of `other` which is meant; undefined: the same cell
 */
export function compare(forecast: Field, own: Field, other: Field, source?: Int32Array): Comparison {
  let n = 0;
  let [d1, d2, e1, e2, yy] = [0, 0, 0, 0, 0];
  for (let i = 0; i < own.length; i++) {
    const y = own[i]!;
    const z = other[source ? source[i]! : i]!;
    if (Number.isNaN(y) || Number.isNaN(z)) continue;
    n++;
    const d = forecast[i]! - y;
    const e = forecast[i]! - z;
    d1 += d;
    d2 += d * d;
    e1 += e;
    e2 += e * e;
    yy += y * y;
  }
  const about = (sum: number, squares: number) => Math.max(0, squares - sum ** 2 / n);
  // An error without pattern, but for the rounding of f32 fields, is like nothing else.
  if (!(about(d1, d2) > rounding * yy)) return { ratio: Infinity, cells: n };
  const ratio = Math.sqrt(Math.max(e2 / d2, about(e1, e2) / about(d1, d2)));
  return { ratio, cells: n };
}

/** Comparisons with several other states, and which of them the forecasts resemble. */
export class Likeness<Key> {
  readonly #of = new Map<Key, Comparison[]>();

  add(key: Key, comparison: Comparison): void {
    const list = this.#of.get(key);
    if (list) list.push(comparison);
    else this.#of.set(key, [comparison]);
  }

  /** That which the forecasts resemble most, if they do so much more than what they are for. */
  best(): Resemblance<Key> | undefined {
    const all = [...this.#of.keys()].flatMap((key) => this.to(key) ?? []);
    return all.toSorted((a, b) => a.ratio - b.ratio)[0];
  }

  /** The resemblance to one of them, if the forecasts resemble it much more than what they are for. */
  to(key: Key): Resemblance<Key> | undefined {
    const list = this.#of.get(key) ?? [];
    const cells = list.reduce((sum, { cells }) => sum + cells, 0);
    const ratio = median(list.map(({ ratio }) => ratio));
    return cells >= leastEvidence && ratio < suspicious ? { key, ratio, forecasts: list.length } : undefined;
  }
}

export interface Resemblance<Key> {
  readonly key: Key;
  readonly ratio: number;
  readonly forecasts: number;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
}

/** How many forecasts a resemblance shows in, in words. */
export const counted = (forecasts: number) =>
  forecasts === 1 ? "in one forecast" : `in the median of ${forecasts} forecasts`;
