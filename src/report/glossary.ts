/** What the words of a report mean, for who meets them for the first time. */
import { escaped, type Html, tag } from "./html.ts";
import type { ScoreIndex } from "./scoreindex.ts";
import { metricTitle } from "./words.ts";

const ofMetrics: Readonly<Record<string, string>> = {
  rmse: "root-mean-square error: how far forecast and truth are apart, large errors counting more; 0 is perfect",
  mse: "mean square error: the square of the RMSE; 0 is perfect",
  mae: "mean absolute error: how far forecast and truth are apart; 0 is perfect",
  bias: "mean of forecast minus truth: positive where the forecast is too high; 0 is best",
  mean_bias: "mean of forecast minus truth, every cell counting alike whatever its area; 0 is best",
  acc: "anomaly correlation: whether departures from what is usual are in the right places; 1 is perfect, 0 is chance",
  pearson: "correlation of forecast and truth; 1 is perfect",
  wind_vector_rmse: "RMSE of the wind as an arrow, both components together; 0 is perfect",
  seeps: "error of dry, light and heavy rain as classes, made to be the same for every climate; 0 is perfect",
  activity: "how much the forecast departs from what is usual; a blurred forecast does so too little",
  activity_ratio: "activity of the forecast over that of the truth; 1 is right, less is blurred",
  crps: "continuous ranked probability score: how far the whole ensemble is from the truth; 0 is perfect",
  crps_skill: "how far the members are from the truth in the mean, the first part of the CRPS",
  crps_spread: "how far the members are from each other in the mean; half of it is taken off for the CRPS",
  debiased_mse:
    "square error of the ensemble mean, less what is owed to the small number of members; 0 is perfect",
  spread: "how far the members of the ensemble are apart",
  spread_skill: "spread of the ensemble over the error of its mean; 1 is right, less is overconfident",
  nrmse_s:
    "RMSE of the time mean over the global mean of the truth: whether the pattern is right; 0 is perfect",
  nrmse_g:
    "RMSE of the global means over the mean of them: whether the course over the years is right; 0 is perfect",
  nrmse_total: "NRMSEs + 5 NRMSEg, what ClimateBench ranks by; 0 is perfect",
  rpss: "skill of the chances of below, near and above normal; 1 is perfect, 0 is as good as always a third each",
};

const brier = "square error of the chance that the event happens; 0 is perfect";

const ofBaselines: readonly (readonly [pattern: RegExp, words: string])[] = [
  [/^persistence$/, "the forecast that the weather stays as it is at the start"],
  [/^climatology/, "the forecast of what is usual"],
];

/** Terms that these scores use; nothing where they use none that needs words. */
export function glossary({ metrics, systems, forecasts }: ScoreIndex): Html {
  const terms = [
    ...metrics.flatMap((metric) => {
      const words = ofMetrics[metric] ?? (/^brier|^fair_brier/.test(metric) ? brier : undefined);
      return words === undefined ? [] : [[metricTitle(metric), words] as const];
    }),
    ...systems.flatMap((system) => {
      const found = forecasts.includes(system)
        ? undefined
        : ofBaselines.find(([pattern]) => pattern.test(system));
      return found === undefined ? [] : [[system, found[1]] as const];
    }),
  ];
  if (terms.length === 0) return "";
  const list = terms.flatMap(([term, words]) => [
    tag("dt", {}, escaped(term)),
    tag("dd", {}, escaped(words)),
  ]);
  return tag("h3", {}, "What the words mean") + tag("dl", {}, ...list);
}
