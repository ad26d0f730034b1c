/**
 * Scores of an ensemble, streamed like all others, as WeatherBench 2 defines them. A forecast without members counts as
 * an ensemble of one: its CRPS is its absolute error, and it has no spread.
 *
 * Notation: X_1 .. X_M members, y truth, w weight of a cell.
 */
import { type Field, type FieldPair, type Metric, meanOverForecasts } from "./accumulator.ts";

/**
 * Continuous ranked probability score, fair (unbiased in the number of members), in units of the variable:
 *
 *   mean over n and cells of w ( mean_i |X_i - y| - sum_i<j |X_i - X_j| / (M (M - 1)) )
 *
 * The second term by the sorted members, sum_i<j |X_i - X_j| = sum_i (2 i - M - 1) X_(i), i from 1.
 */
export const crps: Metric = (weights) => meanOverForecasts((pair) => cellMean(weights, pair, fairCrps));

function fairCrps(sorted: Float64Array, truth: number): number {
  const M = sorted.length;
  let skill = 0;
  let pairs = 0;
  for (let i = 0; i < M; i++) {
    skill += Math.abs(sorted[i]! - truth);
    pairs += (2 * i + 1 - M) * sorted[i]!;
  }
  return skill / M - (M > 1 ? pairs / (M * (M - 1)) : 0);
}

/** Variance of the members with M - 1 in the denominator; NaN for one member. */
function variance(members: Float64Array): number {
  const M = members.length;
  let mean = 0;
  for (let i = 0; i < M; i++) mean += members[i]! / M;
  let sum = 0;
  for (let i = 0; i < M; i++) sum += (members[i]! - mean) ** 2;
  return sum / (M - 1);
}

/** Ensemble spread, in units of the variable: sqrt( mean over n and cells of w variance(X) ), whatever the definition of RMSE. */
export const spread: Metric = (weights) =>
  meanOverForecasts((pair) => cellMean(weights, pair, variance), Math.sqrt);

/**
 * Spread over skill, without unit: the spread above over sqrt( mean over n and cells of w (mean X - y)^2 ). An ensemble
 * whose members cannot be told from the truth has sqrt(M / (M + 1)), near 1; below that it is too sure of itself.
 */
export const spreadSkill: Metric = (weights) => {
  const variances = meanOverForecasts((pair) => cellMean(weights, pair, variance));
  const errors = meanOverForecasts((pair) => cellMean(weights, pair, squaredErrorOfMean));
  return {
    add(pair) {
      variances.add(pair);
      errors.add(pair);
    },
    value: () => Math.sqrt(variances.value() / errors.value()),
  };
};

function squaredErrorOfMean(members: Float64Array, truth: number): number {
  let mean = 0;
  for (let i = 0; i < members.length; i++) mean += members[i]! / members.length;
  return (mean - truth) ** 2;
}

/** Weighted mean over the cells whose truth is known of a number that the sorted members and the truth give. */
function cellMean(
  weights: Float64Array,
  { forecast, truth, members = [forecast] }: FieldPair,
  ofCell: (sorted: Float64Array, truth: number) => number,
): number {
  const sorted = new Float64Array(members.length);
  let sum = 0;
  let total = 0;
  for (let i = 0; i < weights.length; i++) {
    if (Number.isNaN(truth[i]!)) continue;
    for (let m = 0; m < sorted.length; m++) sorted[m] = members[m]![i]!;
    sorted.sort();
    sum += weights[i]! * ofCell(sorted, truth[i]!);
    total += weights[i]!;
  }
  return sum / total;
}

/** The mean of an ensemble's members, [H * W]. */
export function ensembleMean(members: readonly Field[]): Field {
  const mean = new Float64Array(members[0]!.length);
  for (const member of members) for (let i = 0; i < mean.length; i++) mean[i]! += member[i]!;
  return mean.map((sum) => sum / members.length);
}
