/** Where the truth falls among the members of an ensemble. */
import type { MetricInfo, ProfileMetric } from "./metric.ts";
import { type AddCells, sumsOverCells } from "./perforecast.ts";

/**
 * Rank histogram: the share, by weight, of cells whose truth is greater than r = 0 .. M members. It is flat where members
 * cannot be told from the truth, U-shaped where they are too much alike. A truth equal to t members, as dry weather
 * is to dry weather, is shared out evenly among the t + 1 ranks it may have; WeatherBench 2 leaves that to its sorting.
 */
export const rankHistogram: MetricInfo = {
  title: "Rank histogram",
  unit: "none",
  better: undefined,
  needs: ["members"],
  make: ({ members }) => histogram(members + 1),
};

function histogram(ranks: number): ProfileMetric {
  const sumsOf = sumsOverCells(ranks + 1, countRanks);
  return {
    kind: "profile",
    size: ranks,
    measure(pair, cells) {
      const sums = ranks > 2 ? sumsOf(pair, cells) : undefined;
      return sums?.subarray(1).map((share) => share / sums[0]!);
    },
    curves(sums) {
      const shares = Array.from(sums);
      const total = shares.reduce((sum, share) => sum + share, 0);
      return {
        axis: { name: "rank", values: shares.map((_, rank) => rank) },
        values: shares.map((share) => share / total),
        truth: shares.map(() => 1 / ranks),
      };
    },
  };
}

/** Sums of the weights, and of the weights in each rank. */
const countRanks: AddCells = ({ truth, members = [] }, { weights, inside }, from, to, sums) => {
  const M = members.length;
  const all = inside.length === weights.length;
  for (let k = from; k < to; k++) {
    const i = all ? k : inside[k]!;
    const y = truth[i]!;
    if (Number.isNaN(y)) continue;
    let below = 0;
    let equal = 0;
    for (let m = 0; m < M; m++) {
      const x = members[m]![i]!;
      // As numbers: a branch would go the wrong way every other time, and cost four times the comparison.
      below += Number(x < y);
      equal += Number(x === y);
    }
    const w = weights[i]!;
    sums[0]! += w;
    for (let rank = below; rank <= below + equal; rank++) sums[1 + rank]! += w / (equal + 1);
  }
};
