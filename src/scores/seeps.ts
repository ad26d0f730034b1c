/** SEEPS, the stable equitable error in probability space of precipitation (Rodwell et al. 2010). */
import type { MetricInfo } from "./metric.ts";
import { type AddCells, meansOverCells } from "./perforecast.ts";
import { roundedAs } from "./threshold.ts";

/** Below it a sum of precipitation is dry, in metres; the variables that have one (WeatherBench 2). */
export const dryBelow: ReadonlyMap<string, number> = new Map([
  ["total_precipitation_6hr", 0.1e-3],
  ["total_precipitation_24hr", 0.25e-3],
]);

/** Cells outside are too wet or too dry to be scored (WeatherBench 2). */
const scored = { above: 0.1, below: 0.85 };

/**
 * Mean over n and cells of w S, S by the classes dry, light and heavy of forecast (row) and truth (column), p the
 * fraction of dry times in the cell, as in WeatherBench 2:
 *
 *         | 0                      1 / (1 - p)    4 / (1 - p) |
 *   1/2 * | 1 / p                  0              3 / (1 - p) |
 *         | 1 / p + 3 / (2 + p)    3 / (2 + p)    0           |
 *
 * Only cells with 0.1 < p < 0.85 are scored. Rain at the dry threshold is light, as it is where the border to heavy rain
 * is made (WeatherBench 2's scores put it into no class, and so give any forecast of it the error 0).
 */
export const seeps: MetricInfo = {
  title: "SEEPS",
  unit: "none",
  better: "low",
  needs: ["seeps"],
  applies: (variable) => dryBelow.has(variable),
  make: ({ variable }) => meansOverCells(1, penaltyIn(dryBelow.get(variable)!), ([mean]) => mean!),
};

const penaltyIn =
  (dry: number): AddCells =>
  ({ forecast, truth, seeps }, { weights, inside }, from, to, sums) => {
    if (seeps === undefined) throw new TypeError("SEEPS needs the dry fraction and the border of heavy rain");
    const { dryFraction, heavy } = seeps;
    const dryForecast = roundedAs(forecast, dry);
    const dryTruth = roundedAs(truth, dry);
    const all = inside.length === weights.length;
    let total = 0;
    let sum = 0;
    for (let k = from; k < to; k++) {
      const i = all ? k : inside[k]!;
      const y = truth[i]!;
      const p = dryFraction[i]!;
      const border = heavy[i]!;
      if (Number.isNaN(y) || !(p > scored.above && p < scored.below) || Number.isNaN(border)) continue;
      const f = forecast[i]!;
      const ofForecast = f < dryForecast ? 0 : f < border ? 1 : 2;
      const ofTruth = y < dryTruth ? 0 : y < border ? 1 : 2;
      const w = weights[i]!;
      total += w;
      sum += w * penalty(ofForecast, ofTruth, p);
    }
    sums[0]! += total;
    sums[1]! += sum;
  };

/** Of a forecast and a truth of classes 0 dry, 1 light, 2 heavy. */
function penalty(forecast: number, truth: number, p: number): number {
  if (forecast === truth) return 0;
  if (truth === 0) return forecast === 1 ? 0.5 / p : 0.5 / p + 1.5 / (2 + p);
  if (truth === 1) return forecast === 0 ? 0.5 / (1 - p) : 1.5 / (2 + p);
  return forecast === 0 ? 2 / (1 - p) : 1.5 / (1 - p);
}
