/** The ranked probability skill score of the S2S AI challenge, over three categories of what is usual. */
import type { CellMetric, Field, MetricInfo } from "./metric.ts";

/** RPS of a forecast that is missing where the truth is known: the worst there is. */
const missingForecast = 2;

/**
 * Ranked probability skill score, without unit: 1 perfect, 0 no better than chances of a third each.
 *
 *   RPS of a cell    = (P1 - O1)^2 + (P1 + P2 - O1 - O2)^2      (xskillscore; the third sum is 1 - 1)
 *   skill of a cell  = 1 - mean_n RPS / mean_n RPS of (1/3, 1/3, 1/3)
 *   score            = mean over cells of w skill
 *
 * P are the fractions of members below the lower tercile, from it to below the upper, and from there up; O is 1 for the
 * category of the truth. Cells whose terciles are NaN are not scored: so dry ones are masked. The challenge's rules
 * average over cells, as here; its script averages each meridian first, and then those, which is another number where
 * meridians hold unlike numbers of cells. It also clips the skill of a cell to [-10, 1], which changes nothing: the worst
 * is 1 - 2 / (2/9) = -8.
 */
export const rpss: MetricInfo = {
  title: "RPSS",
  unit: "none",
  better: "high",
  needs: ["terciles"],
  make: () => skill,
};

const skill: CellMetric = {
  kind: "cells",
  size: 3, // sums over forecasts of RPS, of RPS of (1/3, 1/3, 1/3), and of 1
  measure({ forecast, truth, members = [forecast], terciles }, [ofForecast, ofThirds, known]) {
    if (terciles === undefined) throw new TypeError("RPSS needs terciles");
    const [lower, upper] = terciles;
    for (let i = 0; i < truth.length; i++) {
      const y = truth[i]!;
      const [low, high] = [lower[i]!, upper[i]!];
      if (Number.isNaN(y) || Number.isNaN(low) || Number.isNaN(high)) continue;
      const below = y < low ? 1 : 0;
      const notAbove = y < high ? 1 : 0;
      ofForecast![i]! += rankedScore(members, i, low, high, below, notAbove);
      ofThirds![i]! += (1 / 3 - below) ** 2 + (2 / 3 - notAbove) ** 2;
      known![i]! += 1;
    }
  },
  score([ofForecast, ofThirds, known], { weights, inside }) {
    let [sum, total] = [0, 0];
    for (const i of inside) {
      if (known![i]! === 0) continue;
      sum += weights[i]! * (1 - ofForecast![i]! / ofThirds![i]!);
      total += weights[i]!;
    }
    return sum / total;
  },
};

/** RPS of one cell; members that are missing do not count, and a forecast without any is the worst. */
function rankedScore(
  members: readonly Field[],
  cell: number,
  lower: number,
  upper: number,
  below: number,
  notAbove: number,
): number {
  let [first, two, count] = [0, 0, 0];
  for (const member of members) {
    const x = member[cell]!;
    if (Number.isNaN(x)) continue;
    if (x < lower) first++;
    if (x < upper) two++;
    count++;
  }
  return count === 0 ? missingForecast : (first / count - below) ** 2 + (two / count - notAbove) ** 2;
}
