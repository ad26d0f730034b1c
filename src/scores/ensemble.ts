/**
 * Scores of an ensemble, as WeatherBench 2 defines them. A forecast without members counts as an ensemble of one: its
 * CRPS is its absolute error, and it has no spread.
 *
 * Notation: X_1 .. X_M members, y truth, w weight of a cell. Means over cells as in deterministic.ts.
 */
import type { Field, MetricContext, MetricInfo, SeriesMetric } from "./metric.ts";
import { type AddCells, meansOverCells } from "./perforecast.ts";

/**
 * Continuous ranked probability score, fair (unbiased in the number of members): E|X - y| - E|X - X'| / 2,
 *
 *   mean over n and cells of w ( mean_i |X_i - y| - sum_i<j |X_i - X_j| / (M (M - 1)) )
 */
export const crps: MetricInfo = {
  title: "CRPS, fair",
  unit: "variable",
  better: "low",
  needs: ["members"],
  make: () => meansOverCells(2, distances, ([skill, spread]) => skill! - spread! / 2),
};

/** The first part of CRPS: mean of |X - y|, for one member drawn at random. */
export const crpsSkill: MetricInfo = {
  title: "CRPS skill, E|X - y|",
  unit: "variable",
  better: undefined,
  needs: ["members"],
  make: () => meansOverCells(2, distances, ([skill]) => skill!),
};

/** The second part of CRPS, before it is halved: mean of |X - X'| for two members drawn at random. */
export const crpsSpread: MetricInfo = {
  title: "CRPS spread, E|X - X'|",
  unit: "variable",
  better: undefined,
  needs: ["members"],
  make: ({ members }) => meansOverCells(2, distances, ([, spread]) => (members > 1 ? spread! : Number.NaN)),
};

/** Sums of w, of w E|X - y|, and of w E|X - X'|, zero for one member. */
const distances: AddCells = (pair, { weights, inside }, from, to, sums) => {
  const { forecast, truth, members = [forecast] } = pair;
  const M = members.length;
  const all = inside.length === weights.length;
  const values = new Float64Array(M);
  let total = 0;
  let skill = 0;
  let spread = 0;
  for (let k = from; k < to; k++) {
    const i = all ? k : inside[k]!;
    const y = truth[i]!;
    if (Number.isNaN(y)) continue;
    let errors = 0;
    for (let m = 0; m < M; m++) {
      const x = members[m]![i]!;
      values[m] = x;
      errors += Math.abs(x - y);
    }
    const w = weights[i]!;
    total += w;
    skill += w * errors;
    spread += w * sumOfDifferences(values);
  }
  sums[0]! += total;
  sums[1]! += skill / M;
  sums[2]! += M > 1 ? spread / ((M * (M - 1)) / 2) : 0;
};

/** From so many members on, sorting them beats taking each pair. */
const manyMembers = 64;

/** sum_i<j |X_i - X_j|; may sort the members. */
function sumOfDifferences(values: Float64Array): number {
  const M = values.length;
  let sum = 0;
  if (M < manyMembers) {
    for (let i = 1; i < M; i++) {
      const x = values[i]!;
      for (let j = 0; j < i; j++) sum += Math.abs(x - values[j]!);
    }
    return sum;
  }
  values.sort();
  // A member is the greater one in i of its pairs and the lesser one in the others. About the first, so that the size
  // of the values costs no digits of their differences.
  const first = values[0]!;
  for (let i = 1; i < M; i++) sum += (2 * i + 1 - M) * (values[i]! - first);
  return sum;
}

/** Ensemble spread: sqrt( mean over n and cells of w variance(X) ), M - 1 in its denominator, whatever the definition of RMSE. */
export const spread: MetricInfo = {
  title: "Ensemble spread",
  unit: "variable",
  better: undefined,
  needs: ["members"],
  make: (context) => ofMembers(context, (variance) => Math.sqrt(variance)),
};

/**
 * Spread over skill: the spread above over sqrt( mean over n and cells of w (mean X - y)^2 ). An ensemble whose members
 * cannot be told from the truth has sqrt(M / (M + 1)), near 1; below that it is too sure of itself.
 */
export const spreadSkill: MetricInfo = {
  title: "Spread over skill",
  unit: "none",
  better: undefined,
  needs: ["members"],
  make: (context) => ofMembers(context, (variance, error) => Math.sqrt(variance / error)),
};

/**
 * Squared error that the mean of endlessly many members would have: mean over n and cells of
 * w ( (mean X - y)^2 - variance(X) / M ). Where the members are few it may come out below zero.
 */
export const debiasedMse: MetricInfo = {
  title: "MSE of the ensemble mean, debiased",
  unit: "squared",
  better: "low",
  needs: ["members"],
  make: (context) => ofMembers(context, (variance, error) => error - variance / context.members),
};

/** From the means over forecasts and cells of variance(X) and (mean X - y)^2; no score for one member. */
function ofMembers(
  { members }: MetricContext,
  finish: (variance: number, error: number) => number,
): SeriesMetric {
  return meansOverCells(2, spreadAndError, ([variance, error]) =>
    members > 1 ? finish(variance!, error!) : Number.NaN,
  );
}

/** Sums of w, of w variance(X), zero for one member, and of w (mean X - y)^2. */
const spreadAndError: AddCells = (pair, { weights, inside }, from, to, sums) => {
  const { forecast, truth, members = [forecast] } = pair;
  const M = members.length;
  const first = members[0]!;
  const all = inside.length === weights.length;
  let total = 0;
  let variances = 0;
  let errors = 0;
  for (let k = from; k < to; k++) {
    const i = all ? k : inside[k]!;
    const y = truth[i]!;
    if (Number.isNaN(y)) continue;
    // About the first member: the size of the values costs no digits, and members that are alike have no variance.
    const x0 = first[i]!;
    let d1 = 0;
    let d2 = 0;
    for (let m = 1; m < M; m++) {
      const d = members[m]![i]! - x0;
      d1 += d;
      d2 += d * d;
    }
    const error = x0 - y + d1 / M;
    const w = weights[i]!;
    total += w;
    variances += w * (d2 - (d1 * d1) / M);
    errors += w * error * error;
  }
  sums[0]! += total;
  sums[1]! += M > 1 ? Math.max(0, variances) / (M - 1) : 0;
  sums[2]! += errors;
};

/** The mean of an ensemble's members, [H * W]. */
export function ensembleMean(members: readonly Field[]): Field {
  const mean = new Float64Array(members[0]!.length);
  for (const member of members) for (let i = 0; i < mean.length; i++) mean[i]! += member[i]!;
  return mean.map((sum) => sum / members.length);
}
