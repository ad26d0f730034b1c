/**
 * Scores of the error in each cell.
 *
 * Notation: f forecast, y truth, w weight of a cell. A cell whose truth is NaN is not scored: the mean over cells is
 * sum(w x) / sum(w) over the cells that are left, as in WeatherBench 2.
 */
import type { MetricInfo, SeriesMetric } from "./metric.ts";
import { type AddCells, meansOverCells, meansOverForecasts, sumsOverCells } from "./perforecast.ts";

// The loops of this file are alike, but a function called in each cell would cost several times what they do.

const squaredError: AddCells = ({ forecast, truth }, { weights, inside }, from, to, sums) => {
  const all = inside.length === weights.length;
  let total = 0;
  let sum = 0;
  for (let k = from; k < to; k++) {
    const i = all ? k : inside[k]!;
    const y = truth[i]!;
    if (Number.isNaN(y)) continue;
    const error = forecast[i]! - y;
    const w = weights[i]!;
    total += w;
    sum += w * error * error;
  }
  sums[0]! += total;
  sums[1]! += sum;
};

const absoluteError: AddCells = ({ forecast, truth }, { weights, inside }, from, to, sums) => {
  const all = inside.length === weights.length;
  let total = 0;
  let sum = 0;
  for (let k = from; k < to; k++) {
    const i = all ? k : inside[k]!;
    const y = truth[i]!;
    if (Number.isNaN(y)) continue;
    const w = weights[i]!;
    total += w;
    sum += w * Math.abs(forecast[i]! - y);
  }
  sums[0]! += total;
  sums[1]! += sum;
};

const signedError: AddCells = ({ forecast, truth }, { weights, inside }, from, to, sums) => {
  const all = inside.length === weights.length;
  let total = 0;
  let sum = 0;
  for (let k = from; k < to; k++) {
    const i = all ? k : inside[k]!;
    const y = truth[i]!;
    if (Number.isNaN(y)) continue;
    const w = weights[i]!;
    total += w;
    sum += w * (forecast[i]! - y);
  }
  sums[0]! += total;
  sums[1]! += sum;
};

const unweightedError: AddCells = ({ forecast, truth }, { inside }, from, to, sums) => {
  let cells = 0;
  let sum = 0;
  for (let k = from; k < to; k++) {
    const i = inside[k]!;
    const y = truth[i]!;
    if (Number.isNaN(y)) continue;
    cells++;
    sum += forecast[i]! - y;
  }
  sums[0]! += cells;
  sums[1]! += sum;
};

/**
 * Root-mean-square error.
 *
 *   mean of roots:  mean over n of sqrt( mean over cells of w (f - y)^2 )      (ClimaX equation 3)
 *   root of mean:   sqrt( mean over n and cells of w (f - y)^2 )               (WeatherBench 1 code, WeatherBench 2)
 *
 * The second is never smaller.
 */
export const rmse: MetricInfo = {
  title: "RMSE",
  unit: "variable",
  better: "low",
  needs: [],
  make: ({ definition }) => rootOf(definition.rmse, squaredError),
};

/** The root of each forecast's mean over cells and then the mean over forecasts, or the root of the mean. */
export function rootOf(order: "mean of roots" | "root of mean", add: AddCells): SeriesMetric {
  if (order === "root of mean") return meansOverCells(1, add, ([mean]) => Math.sqrt(mean!));
  const sumsOf = sumsOverCells(2, add);
  return meansOverForecasts(
    1,
    (pair, cells) => {
      const sums = sumsOf(pair, cells);
      return sums && [Math.sqrt(sums[1]! / sums[0]!)];
    },
    ([mean]) => mean!,
  );
}

/** Mean squared error: mean over n and cells of w (f - y)^2. */
export const mse: MetricInfo = {
  title: "MSE",
  unit: "squared",
  better: "low",
  needs: [],
  make: () => meansOverCells(1, squaredError, ([mean]) => mean!),
};

/** Mean absolute error: mean over n and cells of w |f - y|. */
export const mae: MetricInfo = {
  title: "MAE",
  unit: "variable",
  better: "low",
  needs: [],
  make: () => meansOverCells(1, absoluteError, ([mean]) => mean!),
};

/** Bias: mean over n and cells of w (f - y), positive where the forecast is too high. */
export const bias: MetricInfo = {
  title: "Bias",
  unit: "variable",
  better: "zero",
  needs: [],
  make: () => meansOverCells(1, signedError, ([mean]) => mean!),
};

/**
 * Mean of forecast minus mean of truth, unweighted, over all forecasts and cells whose truth is known at once (the
 * downscaling scores of microsoft/ClimaX).
 */
export const meanBias: MetricInfo = {
  title: "Mean bias, unweighted",
  unit: "variable",
  better: "zero",
  needs: [],
  make: () => ({
    kind: "series",
    size: 2, // cells, and the sum of f - y
    measure: sumsOverCells(2, unweightedError),
    score: (sums) => sums[1]! / sums[0]!,
  }),
};
