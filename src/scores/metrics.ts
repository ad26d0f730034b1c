/** The table of all metrics, by the names that `climax evaluate --metrics` knows. To add one, write it and name it here. */
import { unknownName } from "../errors.ts";
import { activity, activityRatio } from "./activity.ts";
import { brier, brierForms } from "./brier.ts";
import { acc, pearson } from "./correlation.ts";
import { bias, mae, meanBias, mse, rmse } from "./deterministic.ts";
import { crps, crpsSkill, crpsSpread, debiasedMse, spread, spreadSkill } from "./ensemble.ts";
import type { MetricInfo } from "./metric.ts";
import { nrmseGlobal, nrmseSpatial, nrmseTotal } from "./projection.ts";
import { rankHistogram } from "./rankhistogram.ts";
import { rpss } from "./rpss.ts";
import { seeps } from "./seeps.ts";
import { spectrum } from "./spectrum.ts";
import { windVectorRmse } from "./windvector.ts";

export const metricTable: Readonly<Record<string, MetricInfo>> = {
  rmse,
  mse,
  mae,
  bias,
  acc,
  pearson,
  mean_bias: meanBias,
  wind_vector_rmse: windVectorRmse,
  seeps,
  activity,
  activity_ratio: activityRatio,
  crps,
  crps_skill: crpsSkill,
  crps_spread: crpsSpread,
  spread,
  spread_skill: spreadSkill,
  debiased_mse: debiasedMse,
  rpss,
  nrmse_s: nrmseSpatial,
  nrmse_g: nrmseGlobal,
  nrmse_total: nrmseTotal,
  spectrum,
  rank_histogram: rankHistogram,
};

/** Names of the table, in its order. */
export const metricNames: readonly string[] = Object.keys(metricTable);

/** Metrics that say something of an ensemble's members, wanted by default where there are any. */
export const ensembleMetrics: readonly string[] = ["crps", "spread", "spread_skill"];

/** What is known of a metric. @throws ClimaxError "config" for an unknown name */
export function metricInfo(name: string): MetricInfo {
  return lookUp(name).info;
}

/** The names as they stand in scores, each once. @throws ClimaxError "config" for an unknown one */
export function checkMetrics(names: readonly string[]): string[] {
  return [...new Set(names.map((name) => lookUp(name).name))];
}

function lookUp(name: string): { name: string; info: MetricInfo } {
  if (Object.hasOwn(metricTable, name)) return { name, info: metricTable[name]! };
  return brier(name) ?? unknownName("metric", name, [...metricNames, ...brierForms]);
}
