/**
 * What the scores come to, in plain sentences: who is better, by how much, by whose definition, and what cannot be
 * said. Only a test makes one system beat another; scores alone are called lower or higher.
 */
import { unitsTitle } from "../plot/words.ts";
import type { ScoreDocument } from "../scores/scoredocument.ts";
import { type Case, compare, type Tally, tally } from "./comparison.ts";
import { indexScores, type Part, type ScoreIndex } from "./scoreindex.ts";
import { caveatsOf, definitionSentence } from "./verdictcontext.ts";
import {
  everywhereWords,
  howMuch,
  kindOf,
  pairWords,
  rangeWords,
  tallyWords,
  whereMixed,
} from "./verdictwords.ts";
import {
  betterOf,
  caseWords,
  counted,
  digits,
  directed,
  listed,
  metricShort,
  percentWords,
} from "./words.ts";

export interface Verdict {
  /** One sentence without its full stop. */
  readonly headline: string;
  /** How much, the most important first: what belongs beneath the headline. */
  readonly sentences: readonly string[];
  /** Where, by which other scores and beside which others. */
  readonly more: readonly string[];
  /** By whose definition, and of which forecasts. */
  readonly basis: string;
  /** What to keep in mind. */
  readonly caveats: readonly string[];
  /** Cases won, tied and lost against `versus`, for each system, metric and part. */
  readonly counts: readonly Count[];
}

export interface Count extends Tally {
  readonly system: string;
  readonly metric: string;
  readonly part: Part;
}

/** Who and what the first lines of a report are about. */
export interface Focus {
  /** What stands against `versus`. */
  readonly systems: readonly string[];
  readonly versus: string | undefined;
  readonly metric: string | undefined;
  readonly part: Part;
}

/** RMSE where there is one; against the document's `versus`, or else a baseline, or the second system. */
export function focusOf(document: ScoreDocument, index: ScoreIndex): Focus {
  const { systems, forecasts, metrics, parts } = index;
  const choices = directed(metrics);
  const versus =
    systems.find((name) => name === document.versus) ??
    systems.find((name) => !forecasts.includes(name) && forecasts.length > 0) ??
    systems[1];
  return {
    systems: systems.filter((name) => name !== versus),
    versus,
    metric: choices.includes("rmse") ? "rmse" : choices[0],
    part: parts[0] ?? { region: "global", season: "all" },
  };
}

/** @param index that of the document, where it is made already */
export function verdict(document: ScoreDocument, index: ScoreIndex = indexScores(document)): Verdict {
  const focus = focusOf(document, index);
  const { versus, metric, part } = focus;
  const rest = {
    basis: definitionSentence(document, index, part),
    caveats: caveatsOf(document, index, part),
    counts: countAll(index, focus),
  };
  if (metric === undefined) {
    const what = listed(index.metrics.map(metricShort));
    const why = what === "" ? "there are no scores" : `of ${what} neither side is the better one`;
    return { headline: `Nothing says which system is better: ${why}`, sentences: [], more: [], ...rest };
  }
  const pairs =
    versus === undefined
      ? []
      : contendersOf(index, focus).flatMap((system) => {
          const cases = compare(index, system, versus, metric, part);
          return cases.length === 0 ? [] : [{ system, cases }];
        });
  if (versus === undefined || pairs.length === 0) {
    return {
      headline: alone(document, index),
      sentences: ownScores(document, index, metric, part),
      more: [],
      ...rest,
    };
  }
  const level = document.intervals?.level ?? 0.95;
  const amounts = pairs.map(({ system, cases }) => howMuch(system, versus, metric, cases, level));
  const among = amongThemselves(index, focus);
  const more = pairs.flatMap(({ system, cases }) => [
    ...whereMixed(system, cases),
    ...otherMetrics(index, focus, system),
    ...besideOthers(index, focus, system),
  ]);
  return {
    headline: headlineOf(document, index, focus, pairs),
    sentences: [...among, ...amounts.slice(0, mostPairs)],
    more: [...amounts.slice(mostPairs), ...more],
    ...rest,
  };
}

interface Pair {
  readonly system: string;
  readonly cases: readonly Case[];
}

/** Systems with forecasts; where the only one is `versus` itself, whatever stands beside it. */
export function contendersOf({ forecasts }: ScoreIndex, { systems }: Focus): readonly string[] {
  const own = systems.filter((name) => forecasts.includes(name));
  return own.length > 0 ? own : systems;
}

/** More pairs than these are no headline. */
const mostPairs = 3;

function headlineOf(
  { synthetic, intervals }: ScoreDocument,
  index: ScoreIndex,
  { versus, metric, part }: Focus,
  pairs: readonly Pair[],
): string {
  const kinds = pairs.map(({ cases }) => kindOf(tally(cases)));
  const tested = pairs.every(({ cases }) => cases.every((one) => one.tested));
  // Where other metrics say otherwise, it is the headline of one metric.
  const agreed = pairs.every(({ system }, i) =>
    directed(index.metrics).every((other) => {
      const cases = compare(index, system, versus!, other, part);
      return cases.length === 0 || kindOf(tally(cases)) === kinds[i];
    }),
  );
  const prefix = [
    ...(synthetic ? ["on simulated weather"] : []),
    ...(agreed || !tested ? [] : [`by ${metricShort(metric!)}`]),
  ].join(", ");
  // The name of a system stays as it is written.
  const begin = (text: string) =>
    prefix === "" ? text.replace(/^the /, "The ") : `${capital(prefix)}, ${text}`;
  if (pairs.length > 1 && tested && kinds.every((kind) => kind === kinds[0])) {
    const names = listed(pairs.map(({ system }) => system));
    const everywhere = everywhereWords(pairs[0]!.cases);
    const both = pairs.length === 2 ? "both" : "all";
    if (kinds[0] === "better") return begin(`${names} ${both} beat ${versus}${everywhere}`);
    if (kinds[0] === "worse") return begin(`${versus} beats ${names}${everywhere}`);
  }
  const level = intervals?.level ?? 0.95;
  const words = pairs.map(({ system, cases }) => pairWords(system, versus!, metric!, cases, level));
  const text = begin(words.slice(0, mostPairs).join("; "));
  const left = words.length - mostPairs;
  return left > 0 ? `${text}; ${counted(left, "more system")} below` : text;
}

function otherMetrics(index: ScoreIndex, { versus, metric: main, part }: Focus, system: string): string[] {
  const said = directed(index.metrics).flatMap((metric) => {
    const cases = metric === main ? [] : compare(index, system, versus!, metric, part);
    return cases.length === 0 ? [] : [`by ${metricShort(metric)} ${tallyWords(tally(cases))}`];
  });
  return said.length === 0 ? [] : [`Against ${versus}, ${system} is ${said.join("; ")}.`];
}

/** Against what the differences do not stand against there are the scores alone. */
function besideOthers(index: ScoreIndex, { versus, metric, part }: Focus, system: string): string[] {
  const side = betterOf(metric!) === "low" ? "lower" : "higher";
  return index.systems.flatMap((name) => {
    if (name === versus || name === system || index.forecasts.includes(name)) return [];
    const { cases, better } = tally(compare(index, system, name, metric!, part));
    if (cases === 0) return [];
    const often =
      better === cases && cases > 1 ? `all ${cases} cases` : `${better} of ${counted(cases, "case")}`;
    return [
      `The ${metricShort(metric!)} of ${system} is ${side} than that of ${name} in ${often} (not tested).`,
    ];
  });
}

/** Of several systems against another: which of them has the best score how often. */
function amongThemselves(index: ScoreIndex, { versus, metric, part }: Focus): string[] {
  const rivals = index.forecasts.filter((name) => name !== versus);
  const choose = betterOf(metric!) === "low" ? Math.min : Math.max;
  const won = new Map(rivals.map((name) => [name, 0]));
  let cases = 0;
  for (const variable of index.variables(metric!)) {
    for (const lead of index.leads) {
      const place = { ...part, metric: metric!, variable, lead };
      const scores = rivals.map((name) => index.row(name, place)?.value);
      const values = scores.filter((value) => value != null);
      if (values.length < rivals.length) continue;
      cases++;
      const best = choose(...values);
      for (const [i, name] of rivals.entries()) if (scores[i] === best) won.set(name, won.get(name)! + 1);
    }
  }
  if (rivals.length < 2 || cases === 0) return [];
  const order = rivals.toSorted((a, b) => won.get(b)! - won.get(a)!);
  const side = { low: ["lower", "lowest"], high: ["higher", "highest"] }[betterOf(metric!) as "low" | "high"];
  const [first, second] = order as [string, string];
  const title = metricShort(metric!);
  if (rivals.length === 2) {
    const who = won.get(first) === won.get(second) ? "each" : first;
    const range = rangeWords(metric!, compare(index, first, second, metric!, part));
    return [
      `Of ${listed(rivals)}, ${who} has the ${side[0]} ${title} in ${won.get(first)} of ${counted(cases, "case")}: that of ` +
        `${first} is ${range} that of ${second}. The two were not tested against each other: --versus ${second} tests them.`,
    ];
  }
  const shares = order.map((name) => `${name} in ${won.get(name)}`);
  return [
    `The ${side[1]} ${title} of these has ${listed(shares)} of ${counted(cases, "case")} (not tested).`,
  ];
}

function alone({ synthetic }: ScoreDocument, { systems }: ScoreIndex): string {
  const text = `${listed(systems)} ${systems.length > 1 ? "were" : "was"} scored beside nothing comparable: nothing says whether this is good`;
  return synthetic ? `On simulated weather, ${text}` : text;
}

/** The scores themselves, where there is nothing to compare them with. */
function ownScores(document: ScoreDocument, index: ScoreIndex, metric: string, part: Part): string[] {
  const level = percentWords(document.intervals?.level ?? 0.95);
  return index.systems.flatMap((system) => {
    const rows = index
      .variables(metric)
      .flatMap((variable) =>
        index.leads.flatMap((lead) => index.row(system, { ...part, metric, variable, lead }) ?? []),
      );
    const valued = rows.filter(({ value }) => value !== null);
    const row =
      valued.find(({ variable, lead_hours }) => variable === "geopotential_500" && lead_hours === 72) ??
      valued[0];
    if (row === undefined) return [];
    const limits =
      row.low === null || row.high === null
        ? ""
        : `; ${level} interval ${digits(row.low)} to ${digits(row.high)}`;
    const value = `${digits(row.value!)} ${unitsTitle(row.units)}`.trim();
    return [
      `The ${metricShort(metric)} of ${system} is ${value} (${caseWords(row.variable, row.lead_hours)}${limits}).`,
    ];
  });
}

function countAll(index: ScoreIndex, { systems, versus }: Focus): Count[] {
  if (versus === undefined) return [];
  return systems.flatMap((system) =>
    directed(index.metrics).flatMap((metric) =>
      index.parts.flatMap((part) => {
        const count = tally(compare(index, system, versus, metric, part));
        return count.cases === 0 ? [] : [{ ...count, system, metric, part }];
      }),
    ),
  );
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
