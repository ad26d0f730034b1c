/**
 * How much a forecast varies beside what is usual: a smooth forecast has less activity than the truth, and wins in RMSE
 * by it.
 */
import type { MetricInfo } from "./metric.ts";
import { type AddCells, meansOverForecasts, sumsOverCells } from "./perforecast.ts";

/**
 * Standard deviation of the forecast's anomaly a = f - c from the climatology:
 *
 *   pooled, centred:  sqrt( mean over n and cells of w (a - A)^2 ), A the mean over cells of w a: activity at ECMWF
 *   per forecast:     sqrt( mean over n and cells of w a^2 ), as in WeatherBench-X, the successor of WeatherBench 2
 *
 * by whether the definition takes the mean away from anomalies.
 */
export const activity: MetricInfo = {
  title: "Activity of the forecast",
  unit: "variable",
  better: undefined,
  needs: ["climatology"],
  make: ({ definition }) => fromVariances(definition.acc === "pooled, centred", (f) => Math.sqrt(f)),
};

/** Activity of the forecast over that of the truth: below 1 where the forecast is too smooth. */
export const activityRatio: MetricInfo = {
  title: "Activity of forecast over truth",
  unit: "none",
  better: undefined,
  needs: ["climatology"],
  make: ({ definition }) => fromVariances(definition.acc === "pooled, centred", (f, y) => Math.sqrt(f / y)),
};

/** From the means over forecasts of the mean squared anomaly, about its mean over cells or about zero. */
function fromVariances(centred: boolean, finish: (ofForecast: number, ofTruth: number) => number) {
  const sumsOf = sumsOverCells(5, anomalySums);
  return meansOverForecasts(
    2,
    (pair, cells) => {
      const sums = sumsOf(pair, cells);
      if (sums === undefined) return undefined;
      const [total, wa, wb, waa, wbb] = sums as unknown as [number, number, number, number, number];
      if (!centred) return [waa / total, wbb / total];
      return [aboutMean(waa / total, wa / total), aboutMean(wbb / total, wb / total)];
    },
    ([f, y]) => finish(f!, y!),
  );
}

/** A variance from the mean square and the mean; what rounding leaves of one is none. */
function aboutMean(square: number, mean: number): number {
  const variance = square - mean * mean;
  return variance > 1e-13 * square ? variance : 0;
}

/** Sums of w, w a, w b, w a^2, w b^2, a and b the anomalies of forecast and truth. */
const anomalySums: AddCells = (pair, { weights, inside }, from, to, sums) => {
  const { forecast, truth, climatology } = pair;
  if (climatology === undefined) throw new TypeError("activity needs a climatology");
  const all = inside.length === weights.length;
  let total = 0;
  let wa = 0;
  let wb = 0;
  let waa = 0;
  let wbb = 0;
  for (let k = from; k < to; k++) {
    const i = all ? k : inside[k]!;
    const y = truth[i]!;
    if (Number.isNaN(y)) continue;
    const c = climatology[i]!;
    const a = forecast[i]! - c;
    const b = y - c;
    const w = weights[i]!;
    total += w;
    wa += w * a;
    wb += w * b;
    waa += w * a * a;
    wbb += w * b * b;
  }
  sums[0]! += total;
  sums[1]! += wa;
  sums[2]! += wb;
  sums[3]! += waa;
  sums[4]! += wbb;
};
