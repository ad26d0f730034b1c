/** Brier scores: of the probability that a variable lies beyond a threshold. */
import { parseName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import type { MetricInfo } from "./metric.ts";
import { type AddCells, meansOverCells } from "./perforecast.ts";
import { roundedAs } from "./threshold.ts";

/** How such a metric is written. */
export const brierForms: readonly string[] = ["brier(VARIABLE>NUMBER)", "fair_brier(VARIABLE<NUMBER)"];

const form = /^(brier|fair_brier)\(([^<>]+)([<>])([^<>]+)\)$/;

/**
 * The metric of a name such as `brier(2m_temperature>303.15)`, in ClimaX's units, and how that name is written in
 * scores; undefined where the name has another form. With p the fraction of members beyond the threshold, and o 1 where
 * the truth is beyond it, else 0,
 *
 *   brier:       mean over n and cells of w (p - o)^2
 *   fair_brier:  mean over n and cells of w ( (p - o)^2 - p (1 - p) / (M - 1) ), unbiased in the number of members
 *                (Ferro 2014; the debiased one of WeatherBench 2)
 *
 * A forecast without members counts as an ensemble of one: its p is 0 or 1, and nothing is taken off.
 *
 * @throws ClimaxError "config" for a variable that is not known and a threshold that is no number
 */
export function brier(text: string): { name: string; info: MetricInfo } | undefined {
  const match = form.exec(text.replaceAll(" ", ""));
  if (!match) return undefined;
  const [, kind, asked, sign, number] = match as unknown as [string, string, string, ">" | "<", string];
  const { name: variable, info, level } = parseName(asked);
  if (info.levels === "pressure" && level === undefined) {
    throw new ClimaxError(
      "config",
      `the metric "${text}" is about ${variable} without a level`,
      `name one, in hPa: ${text.replace(asked, `${variable}_500`)}`,
    );
  }
  const threshold = Number(number);
  if (!Number.isFinite(threshold)) {
    throw new ClimaxError(
      "config",
      `the metric "${text}" has the threshold "${number}", which is no number`,
      "give one in ClimaX's units: brier(2m_temperature>303.15) is of more than 30 degrees Celsius",
    );
  }
  const fair = kind === "fair_brier";
  const moments = probabilityMoments(threshold, sign === ">" ? 1 : -1);
  return {
    name: `${kind}(${variable}${sign}${threshold})`,
    info: {
      title: `${fair ? "Fair Brier" : "Brier"} score of ${variable} ${sign} ${threshold}`,
      unit: "none",
      better: "low",
      needs: ["members"],
      applies: (other) => other === variable,
      make: () => meansOverCells(2, moments, ([error, sampling]) => (fair ? error! - sampling! : error!)),
    },
  };
}

/** Sums of w, of w (p - o)^2, and of w p (1 - p) / (M - 1), zero for one member. */
const probabilityMoments =
  (threshold: number, side: 1 | -1): AddCells =>
  ({ forecast, truth, members = [forecast] }, { weights, inside }, from, to, sums) => {
    const M = members.length;
    const limits = Float64Array.from(members, (member) => side * roundedAs(member, threshold));
    const limit = side * roundedAs(truth, threshold);
    const all = inside.length === weights.length;
    let total = 0;
    let errors = 0;
    let variances = 0;
    for (let k = from; k < to; k++) {
      const i = all ? k : inside[k]!;
      const y = truth[i]!;
      if (Number.isNaN(y)) continue;
      // As numbers: a branch would go the wrong way every other time, and cost four times the comparison.
      let beyond = 0;
      for (let m = 0; m < M; m++) beyond += Number(side * members[m]![i]! > limits[m]!);
      const p = beyond / M;
      const error = p - Number(side * y > limit);
      const w = weights[i]!;
      total += w;
      errors += w * error * error;
      variances += w * p * (1 - p);
    }
    sums[0]! += total;
    sums[1]! += errors;
    sums[2]! += M > 1 ? variances / (M - 1) : 0;
  };
