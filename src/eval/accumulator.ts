/**
 * Scores are streamed: an accumulator takes one forecast and its truth at a time and keeps a few sums, so that memory
 * does not grow with the number of forecasts. All sums are f64.
 */
import type { Definition } from "./definitions.ts";

/** One field [H * W], in the variable's own units (never normalised). */
export type Field = Float32Array | Float64Array;

/** One forecast and what happened, at the same valid time. */
export interface FieldPair {
  /** Of an ensemble, the mean of its members. */
  readonly forecast: Field;
  readonly truth: Field;
  /** The state that anomalies are taken from, at that valid time; only anomaly metrics read it. */
  readonly climatology?: Field;
  /** The members of an ensemble; only metrics of ensembles read them. */
  readonly members?: readonly Field[];
}

export interface Accumulator {
  /** Takes in one forecast. A NaN in the forecast where the truth is a number makes the score NaN. */
  add(pair: FieldPair): void;
  /** The score of all forecasts so far; NaN when it has no value (no forecast, a correlation without variance). */
  value(): number;
}

/** Starts a score: `weights` [H * W] as of `cellWeights`, zero outside a region. */
export type Metric = (weights: Float64Array, definition: Definition) => Accumulator;

/** The mean over forecasts of one number per forecast; a forecast whose truth is missing everywhere does not count. */
export function meanOverForecasts(
  perForecast: (pair: FieldPair) => number,
  finish = (mean: number) => mean,
): Accumulator {
  let sum = 0;
  let count = 0;
  return {
    add(pair) {
      if (isMissing(pair.truth)) return;
      sum += perForecast(pair);
      count++;
    },
    value: () => finish(sum / count),
  };
}

function isMissing(field: Field): boolean {
  for (let i = 0; i < field.length; i++) if (!Number.isNaN(field[i]!)) return false;
  return true;
}
