/**
 * Scores of the ClimaX code base beyond the forecasting ones: its training loss, and those of its projection and
 * downscaling tasks (microsoft/ClimaX src/climax/utils/metrics.py). Streamed, f64.
 */
import type { Accumulator, Field, Metric } from "./accumulator.ts";

/**
 * Latitude-weighted mean squared error of one variable, the validation loss on normalised fields.
 * With a mask (1 keeps a cell, 0 drops it) the sum is divided by the number of kept cells, not by their weight.
 *
 * @param weights [H * W]
 * @param mask    [H * W] for each forecast
 */
export function weightedMse(weights: Float64Array): {
  add(forecast: Field, truth: Field, mask?: Field): void;
  value(): number;
} {
  let sum = 0;
  let kept = 0;
  return {
    add(forecast, truth, mask) {
      for (let i = 0; i < weights.length; i++) {
        const keep = mask?.[i] ?? 1;
        if (keep === 0) continue;
        sum += keep * weights[i]! * (forecast[i]! - truth[i]!) ** 2;
        kept += keep;
      }
    },
    value: () => sum / kept,
  };
}

export interface ProjectionScores {
  /** NRMSEs: error of the time mean, over space, divided by the normaliser. */
  readonly spatial: number;
  /** NRMSEg: error of the global mean, over years, divided by the normaliser. */
  readonly global: number;
  /** NRMSEs + 5 NRMSEg. */
  readonly total: number;
}

/**
 * The ClimateBench scores (Watson-Parris et al. 2022), one field a year. All years must go into one accumulator:
 * batches of one year, as in the ClimaX configuration, give another number. A cell whose truth is missing in any year
 * has no time mean; it does not enter NRMSEs.
 *
 *   NRMSEs = sqrt( mean over cells of w (mean_t f - mean_t y)^2 ) / normaliser
 *   NRMSEg = sqrt( mean over t of (<f> - <y>)^2 ) / normaliser,   <x> = mean over cells of w x
 *
 * @param weights    [H * W], cos(latitude) with mean 1
 * @param normaliser in units of the variable; if absent, <mean_t y> of the truth itself, as ClimateBench does
 */
export function projectionScores(
  weights: Float64Array,
  normaliser?: number,
): { add(forecast: Field, truth: Field): void; value(): ProjectionScores } {
  const N = weights.length;
  const difference = new Float64Array(N); // sum over t of f - y
  const unknown = new Uint8Array(N); // 1 where y is not known at every t
  let [years, squares, truthMean] = [0, 0, 0];
  return {
    add(forecast, truth) {
      let [f, y, total] = [0, 0, 0];
      for (let i = 0; i < N; i++) {
        if (Number.isNaN(truth[i]!)) {
          unknown[i] = 1;
          continue;
        }
        difference[i]! += forecast[i]! - truth[i]!;
        f += weights[i]! * forecast[i]!;
        y += weights[i]! * truth[i]!;
        total += weights[i]!;
      }
      years++;
      squares += ((f - y) / total) ** 2;
      truthMean += y / total;
    },
    value() {
      const scale = normaliser ?? Math.abs(truthMean / years);
      let [s, total] = [0, 0];
      for (let i = 0; i < N; i++) {
        if (unknown[i] === 1) continue;
        s += weights[i]! * (difference[i]! / years) ** 2;
        total += weights[i]!;
      }
      const spatial = Math.sqrt(s / total) / scale;
      const global = Math.sqrt(squares / years) / scale;
      return { spatial, global, total: spatial + 5 * global };
    },
  };
}

const projectionMetric =
  (score: keyof ProjectionScores): Metric =>
  (weights) => {
    const scores = projectionScores(weights);
    return {
      add: ({ forecast, truth }) => scores.add(forecast, truth),
      value: () => scores.value()[score],
    };
  };

/** The three of `projectionScores` as metrics of their own, normalised by the truth, without unit. */
export const nrmseSpatial = projectionMetric("spatial");
export const nrmseGlobal = projectionMetric("global");
export const nrmseTotal = projectionMetric("total");

/** Pearson correlation over all forecasts and cells, unweighted; cells that are not finite in both are left out. */
export function pearson(): Accumulator {
  // Welford's update: means of 5e4 beside deviations of 1e2 lose nothing.
  let [n, f1, y1, ff, yy, fy] = [0, 0, 0, 0, 0, 0];
  return {
    add({ forecast, truth }) {
      for (let i = 0; i < truth.length; i++) {
        const [f, y] = [forecast[i]!, truth[i]!];
        if (!Number.isFinite(f) || !Number.isFinite(y)) continue;
        n++;
        const [df, dy] = [f - f1, y - y1];
        f1 += df / n;
        y1 += dy / n;
        ff += df * (f - f1);
        yy += dy * (y - y1);
        fy += df * (y - y1);
      }
    },
    value: () => fy / Math.sqrt(ff * yy),
  };
}

/** Mean of forecast minus mean of truth, unweighted, in units of the variable (`bias` of metrics.ts is weighted). */
export function meanBias(): Accumulator {
  let [n, sum] = [0, 0];
  return {
    add({ forecast, truth }) {
      for (let i = 0; i < truth.length; i++) {
        if (Number.isNaN(truth[i]!)) continue;
        n++;
        sum += forecast[i]! - truth[i]!;
      }
    },
    value: () => sum / n,
  };
}
