/**
 * Scores of climate projections: ClimateBench (Watson-Parris et al. 2022), as the projection task of microsoft/ClimaX
 * has them too. One forecast is a year. All years enter one score: means of scores of single years, as a batch size
 * of one gives in the ClimaX configuration, are other numbers.
 *
 *   NRMSEs = sqrt( mean over cells of w (mean_t f - mean_t y)^2 ) / normaliser
 *   NRMSEg = sqrt( mean over t of (<f> - <y>)^2 ) / normaliser,   <x> = mean over cells of w x
 *   total  = NRMSEs + 5 NRMSEg,   normaliser = |<mean_t y>|, of the truth itself
 */
import type { CellMetric, DerivedMetric, MetricInfo, SeriesMetric } from "./metric.ts";

const score = { unit: "none", better: "low", needs: [] } as const;

/**
 * Of the time means. A cell whose truth is missing in any year has no time mean: it enters neither the error nor the
 * normaliser.
 */
export const nrmseSpatial: MetricInfo = { ...score, title: "NRMSEs", make: () => spatial };

/** Of the global means, each over the cells whose truth that year knows. */
export const nrmseGlobal: MetricInfo = { ...score, title: "NRMSEg", make: () => ofGlobalMean };

/** What ClimateBench ranks by. */
export const nrmseTotal: MetricInfo = { ...score, title: "NRMSE total", make: () => total };

const spatial: CellMetric = {
  kind: "cells",
  size: 3, // sums over years of f - y, of y, and of 1
  measure({ forecast, truth }, [errors, truths, known]) {
    for (let i = 0; i < truth.length; i++) {
      const y = truth[i]!;
      if (Number.isNaN(y)) continue;
      errors![i]! += forecast[i]! - y;
      truths![i]! += y;
      known![i]! += 1;
    }
  },
  score([errors, truths, known], { weights, inside }, years) {
    let [squares, mean, all] = [0, 0, 0];
    for (const i of inside) {
      if (known![i]! < years) continue;
      const w = weights[i]!;
      squares += w * (errors![i]! / years) ** 2;
      mean += w * (truths![i]! / years);
      all += w;
    }
    return Math.sqrt(squares / all) / Math.abs(mean / all);
  },
};

const ofGlobalMean: SeriesMetric = {
  kind: "series",
  size: 3, // (<f> - <y>)^2, <y>, and 1
  measure({ forecast, truth }, { weights, inside }) {
    let [error, mean, all] = [0, 0, 0];
    for (const i of inside) {
      const y = truth[i]!;
      if (Number.isNaN(y)) continue;
      const w = weights[i]!;
      error += w * (forecast[i]! - y);
      mean += w * y;
      all += w;
    }
    return all === 0 ? undefined : [(error / all) ** 2, mean / all, 1];
  },
  score: (sums) => Math.sqrt(sums[0]! / sums[2]!) / Math.abs(sums[1]! / sums[2]!),
};

const total: DerivedMetric = {
  kind: "derived",
  from: ["nrmse_s", "nrmse_g"],
  score: ([s, g]) => s! + 5 * g!,
};
