/**
 * Deterministic scores of weather forecasts, and the names of all scores.
 *
 * Notation: f forecast, y truth, c climatology, w weight of a cell (mean 1). A cell whose truth is NaN is not scored:
 * means are then sum(w x) / sum(w) over the cells that are left, as in WeatherBench 2.
 */
import { unknownName } from "../errors.ts";
import {
  type Accumulator,
  type Field,
  type FieldPair,
  type Metric,
  meanOverForecasts,
} from "./accumulator.ts";
import { crps, spread, spreadSkill } from "./ensemble.ts";
import { meanBias, nrmseGlobal, nrmseSpatial, nrmseTotal, pearson } from "./reference.ts";

// The three loops below are alike, but a function called in each cell would cost several times what they do.

function squaredError(weights: Float64Array) {
  return ({ forecast, truth }: FieldPair) => {
    let sum = 0;
    let total = 0;
    for (let i = 0; i < weights.length; i++) {
      if (Number.isNaN(truth[i]!)) continue;
      const error = forecast[i]! - truth[i]!;
      sum += weights[i]! * error * error;
      total += weights[i]!;
    }
    return sum / total;
  };
}

function absoluteError(weights: Float64Array) {
  return ({ forecast, truth }: FieldPair) => {
    let sum = 0;
    let total = 0;
    for (let i = 0; i < weights.length; i++) {
      if (Number.isNaN(truth[i]!)) continue;
      sum += weights[i]! * Math.abs(forecast[i]! - truth[i]!);
      total += weights[i]!;
    }
    return sum / total;
  };
}

function signedError(weights: Float64Array) {
  return ({ forecast, truth }: FieldPair) => {
    let sum = 0;
    let total = 0;
    for (let i = 0; i < weights.length; i++) {
      if (Number.isNaN(truth[i]!)) continue;
      sum += weights[i]! * (forecast[i]! - truth[i]!);
      total += weights[i]!;
    }
    return sum / total;
  };
}

/**
 * Root-mean-square error, in units of the variable.
 *
 *   mean of roots:  mean over n of sqrt( mean over cells of w (f - y)^2 )      (ClimaX equation 3)
 *   root of mean:   sqrt( mean over n and cells of w (f - y)^2 )               (WeatherBench 1 code, WeatherBench 2)
 *
 * The second is never smaller.
 */
export const rmse: Metric = (weights, definition) => {
  const mse = squaredError(weights);
  return definition.rmse === "mean of roots"
    ? meanOverForecasts((pair) => Math.sqrt(mse(pair)))
    : meanOverForecasts(mse, Math.sqrt);
};

/** Mean absolute error, mean of w |f - y|, in units of the variable; the same under every definition but for w. */
export const mae: Metric = (weights) => meanOverForecasts(absoluteError(weights));

/** Bias, mean of w (f - y), in units of the variable: positive where the forecast is too high. */
export const bias: Metric = (weights) => meanOverForecasts(signedError(weights));

/**
 * Anomaly correlation coefficient, without unit, of a = f - c and b = y - c.
 *
 *   pooled, centred:  sum w a' b' / sqrt(sum w a'^2 . sum w b'^2), all sums over forecasts and cells,
 *                     a' = a - (unweighted mean of a over forecasts and cells), b' likewise
 *                     (ClimaX and WeatherBench 1 code. The ClimaX code forms one ratio per batch and averages those,
 *                     so that its value depends on the batch size; all forecasts are one batch here.)
 *   per forecast:     mean over n of sum w a b / sqrt(sum w a^2 . sum w b^2)   (WeatherBench 2)
 */
export const acc: Metric = (weights, definition) =>
  definition.acc === "pooled, centred" ? pooledCorrelation(weights) : meanCorrelation(weights);

function meanCorrelation(weights: Float64Array): Accumulator {
  return meanOverForecasts(({ forecast, truth, climatology }) => {
    if (climatology === undefined) throw new TypeError(noClimatology);
    let ab = 0;
    let aa = 0;
    let bb = 0;
    for (let i = 0; i < weights.length; i++) {
      if (Number.isNaN(truth[i]!)) continue;
      const a = forecast[i]! - climatology[i]!;
      const b = truth[i]! - climatology[i]!;
      const w = weights[i]!;
      ab += w * a * b;
      aa += w * a * a;
      bb += w * b * b;
    }
    return ab / Math.sqrt(aa * bb);
  });
}

function pooledCorrelation(weights: Float64Array): Accumulator {
  const sums = new Float64Array(9);
  return {
    add({ forecast, truth, climatology }) {
      if (climatology === undefined) throw new TypeError(noClimatology);
      addAnomalySums(sums, weights, forecast, truth, climatology);
    },
    value() {
      // The centred sums follow from plain ones, so that the mean need not be known beforehand:
      // sum w (a - A)(b - B) = sum w a b - A sum w b - B sum w a + A B sum w.
      const [n, a1, b1, w, wa, wb, wab, waa, wbb] = sums as unknown as Nine;
      const [A, B] = [a1 / n, b1 / n];
      const aa = waa - 2 * A * wa + A * A * w;
      const bb = wbb - 2 * B * wb + B * B * w;
      // A variance below the rounding of its terms is none: a constant anomaly has no correlation.
      if (!(aa > 1e-13 * waa && bb > 1e-13 * wbb)) return Number.NaN;
      return (wab - A * wb - B * wa + A * B * w) / Math.sqrt(aa * bb);
    },
  };
}

type Nine = [number, number, number, number, number, number, number, number, number];

/** Adds one forecast to the sums of 1, a, b, w, w a, w b, w a b, w a^2, w b^2. */
function addAnomalySums(
  sums: Float64Array,
  weights: Float64Array,
  forecast: Field,
  truth: Field,
  climatology: Field,
): void {
  let n = 0;
  let a1 = 0;
  let b1 = 0;
  let w1 = 0;
  let wa = 0;
  let wb = 0;
  let wab = 0;
  let waa = 0;
  let wbb = 0;
  for (let i = 0; i < weights.length; i++) {
    const w = weights[i]!;
    // Outside a region nothing counts, the unweighted mean included.
    if (w === 0 || Number.isNaN(truth[i]!)) continue;
    const a = forecast[i]! - climatology[i]!;
    const b = truth[i]! - climatology[i]!;
    n++;
    a1 += a;
    b1 += b;
    w1 += w;
    wa += w * a;
    wb += w * b;
    wab += w * a * b;
    waa += w * a * a;
    wbb += w * b * b;
  }
  for (const [k, sum] of [n, a1, b1, w1, wa, wb, wab, waa, wbb].entries()) sums[k]! += sum;
}

const noClimatology = "an anomaly correlation needs a climatology";

/** Every metric `climax evaluate --metrics` knows. To add one, write it and name it here. */
export const metrics = {
  rmse,
  mae,
  bias,
  acc,
  pearson,
  mean_bias: meanBias,
  nrmse_s: nrmseSpatial,
  nrmse_g: nrmseGlobal,
  nrmse_total: nrmseTotal,
  crps,
  spread,
  spread_skill: spreadSkill,
} satisfies Record<string, Metric>;
export type MetricName = keyof typeof metrics;
export const metricNames = Object.keys(metrics) as MetricName[];

/** Metrics that say something of an ensemble's members, wanted by default where there are any. */
export const ensembleMetrics: readonly MetricName[] = ["crps", "spread", "spread_skill"];

/** Metrics without a unit; the others are in the unit of their variable. */
export const dimensionless: ReadonlySet<string> = new Set<MetricName>([
  "acc",
  "pearson",
  "nrmse_s",
  "nrmse_g",
  "nrmse_total",
  "spread_skill",
]);

/** Throws a `config` error unless every name is a metric. */
export function checkMetrics(names: readonly string[]): MetricName[] {
  return names.map((name) =>
    metricNames.includes(name as MetricName)
      ? (name as MetricName)
      : unknownName("metric", name, metricNames),
  );
}
