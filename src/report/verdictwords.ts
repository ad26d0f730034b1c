/** Sentences of a verdict about two systems: who wins how often, by how much, and where. */
import { fieldTitle } from "../plot/words.ts";
import { type Case, type Tally, tally } from "./comparison.ts";
import {
  betterOf,
  caseWords,
  comparedBy,
  counted,
  digits,
  leadWords,
  listed,
  metricShort,
  percentWords,
} from "./words.ts";

/** How the cases of two systems came out. */
export type Kind = "better" | "worse" | "tie" | "mostly better" | "mostly worse" | "mixed";

/** Of one case at the least. */
export function kindOf({ cases, better, worse, tie }: Tally): Kind {
  if (better === cases) return "better";
  if (worse === cases) return "worse";
  if (tie === cases) return "tie";
  if (worse === 0) return "mostly better";
  return better === 0 ? "mostly worse" : "mixed";
}

/** " at every lead of every variable" */
export function everywhereWords(cases: readonly Case[]): string {
  const variables = new Set(cases.map(({ variable }) => variable)).size;
  const leads = new Set(cases.map(({ lead }) => lead)).size;
  if (variables > 1 && leads > 1) return " at every lead of every variable";
  return leads > 1 ? " at every lead" : variables > 1 ? " in every variable" : "";
}

/**
 * Who beats whom how often. Where a case has not been tested nobody beats anybody, nor where no more cases are decided
 * than would be without any difference.
 *
 * @param level 0.95: of the intervals
 */
export function pairWords(
  system: string,
  versus: string,
  metric: string,
  cases: readonly Case[],
  level: number,
): string {
  const count = tally(cases);
  if (count.tested < count.cases) return untestedWords(system, versus, metric, cases);
  const decided = count.better + count.worse;
  if (decided > 0 && decided <= count.cases * (1 - level) * (1 + 1e-9)) {
    return (
      `${system} and ${versus} cannot be told apart: of ${count.cases} cases ${decided} ` +
      `${decided === 1 ? "is" : "are"} decided, no more than chance would decide`
    );
  }
  const everywhere = everywhereWords(cases);
  const of = `of ${counted(count.cases, "case")}`;
  const rest = `and ties in the other${count.tie > 1 ? ` ${count.tie}` : ""}`;
  switch (kindOf(count)) {
    case "better":
      return `${system} beats ${versus}${everywhere}`;
    case "worse":
      return `${versus} beats ${system}${everywhere}`;
    case "tie":
      return `${system} and ${versus} cannot be told apart${everywhere.replaceAll("every", "any")}`;
    case "mostly better":
      return `${system} beats ${versus} in ${count.better} ${of} ${rest}`;
    case "mostly worse":
      return `${versus} beats ${system} in ${count.worse} ${of} ${rest}`;
    default:
      return (
        `of ${counted(count.cases, "case")} ${system} wins ${count.better} and ${versus} ${count.worse}` +
        (count.tie === 0 ? "" : `, and ${count.tie} ${count.tie === 1 ? "is a tie" : "are ties"}`)
      );
  }
}

function untestedWords(system: string, versus: string, metric: string, cases: readonly Case[]): string {
  const count = tally(cases);
  const [good, bad] = betterOf(metric) === "low" ? ["lower", "higher"] : ["higher", "lower"];
  const all = count.better === count.cases || count.worse === count.cases;
  const side = count.worse === count.cases ? bad : good;
  const where = all ? everywhereWords(cases) : ` in ${count.better} of ${counted(count.cases, "case")}`;
  const how = count.tested === 0 ? "not tested" : `${count.cases - count.tested} not tested`;
  return `the ${metricShort(metric)} of ${system} is ${side} than that of ${versus}${where} (${how})`;
}

/** Geopotential at 500 hPa in three days is what the field looks at first; else the first variable, half way. */
function typical(cases: readonly Case[]): Case {
  const variable = cases.some((one) => one.variable === "geopotential_500")
    ? "geopotential_500"
    : cases[0]!.variable;
  const own = cases.filter((one) => one.variable === variable);
  return own.find(({ lead }) => lead === 72) ?? own[Math.floor((own.length - 1) / 2)]!;
}

/** How much better or worse: in the case that people ask for, and the range over all. */
export function howMuch(
  system: string,
  versus: string,
  metric: string,
  cases: readonly Case[],
  level: number,
): string {
  const shown = typical(cases);
  const by = sizeWords(metric);
  const here = caseWords(shown.variable, shown.lead);
  const inside = [here, limitWords(shown, metric, level)].filter((part) => part !== "").join("; ");
  const chance = shown.tested && shown.outcome === "tie" ? ", which may be chance" : "";
  const title = metricShort(metric);
  const than = `that of ${versus} (${inside})${chance}`;
  const first =
    shown.change === 0
      ? `The ${title} of ${system} equals ${than}.`
      : `The ${title} of ${system} is ${by(shown.change)} than ${than}.`;
  if (cases.length === 1) return first;
  const [best, worst] = endsOf(metric, cases);
  return `${first} Over all ${cases.length} cases it goes from ${best} to ${worst}.`;
}

/** "from 20 % lower (500 hPa geopotential, 24 h) to 4.0 % higher (2 m temperature, 72 h) than", of what has not been tested. */
export function rangeWords(metric: string, cases: readonly Case[]): string {
  const [best, worst] = endsOf(metric, cases);
  return best === worst ? `${best} than` : `from ${best} to ${worst} than`;
}

/** The best case and the worst. */
function endsOf(metric: string, cases: readonly Case[]): readonly [best: string, worst: string] {
  const by = sizeWords(metric);
  const sorted = cases.toSorted((a, b) => a.change - b.change);
  const ends = [sorted[0]!, sorted.at(-1)!];
  const [best, worst] = (betterOf(metric) === "low" ? ends : ends.toReversed()) as [Case, Case];
  const end = ({ change, variable, lead }: Case) => `${by(change)} (${caseWords(variable, lead)})`;
  return [end(best), end(worst)];
}

/** "24 % lower", "higher by 0.12" */
function sizeWords(metric: string): (change: number) => string {
  const percent = comparedBy(metric) === "percent";
  return (change) => {
    if (change === 0) return "no change";
    const side = change < 0 ? "lower" : "higher";
    return percent ? `${sizeOf(change, true)} % ${side}` : `${side} by ${sizeOf(change, false)}`;
  };
}

const sizeOf = (change: number, percent: boolean) =>
  digits(Math.abs(change), percent && Math.abs(change) < 1 ? 1 : 2);

/** "95 % interval 21 to 27 %"; both ends with their side where it holds zero. */
function limitWords({ limits }: Case, metric: string, level: number): string {
  if (limits === undefined) return "";
  const percent = comparedBy(metric) === "percent";
  const unit = percent ? " %" : "";
  const size = (value: number) => sizeOf(value, percent);
  const [low, high] = limits;
  const name = `${percentWords(level)} interval`;
  if (low < 0 && high > 0) return `${name} from ${size(low)}${unit} lower to ${size(high)}${unit} higher`;
  const [near, far] = Math.abs(low) < Math.abs(high) ? [low, high] : [high, low];
  return `${name} ${size(near)} to ${size(far)}${unit}`;
}

/** Which cases are won and lost, where they differ. */
export function whereMixed(system: string, cases: readonly Case[]): string[] {
  const count = tally(cases);
  const variables = [...new Set(cases.map(({ variable }) => variable))];
  const outcomes = (["better", "worse", "tie"] as const).filter((outcome) => count[outcome] > 0);
  if (outcomes.length < 2) return [];
  // More than can be read in a sentence.
  if (variables.length > 6) return [`Where ${system} is ahead and where behind, the score card shows.`];
  const words = { better: "ahead", worse: "behind", tie: "not told apart" } as const;
  const parts = outcomes.map((outcome) => {
    const places = variables.flatMap((variable) => {
      const all = cases.filter((one) => one.variable === variable);
      const leads = all.filter((one) => one.outcome === outcome).map(({ lead }) => lead);
      const every = all.map(({ lead }) => lead);
      return leads.length === 0 ? [] : [`${fieldTitle(variable)}${leadRuns(leads, every)}`];
    });
    return `${words[outcome]} in ${places.join(", ")}`;
  });
  return [`In detail, ${system} is ${parts.join("; ")}.`];
}

/** " (24 to 72 h)"; nothing for all leads. */
function leadRuns(leads: readonly number[], all: readonly number[]): string {
  if (leads.length === all.length) return "";
  const runs: number[][] = [];
  for (const lead of leads) {
    const last = runs.at(-1);
    if (last && all.indexOf(lead) === all.indexOf(last.at(-1)!) + 1) last.push(lead);
    else runs.push([lead]);
  }
  const words = runs.map((run) =>
    run.length > 1 ? `${run[0]} to ${leadWords(run.at(-1)!)}` : leadWords(run[0]!),
  );
  return ` (${listed(words)})`;
}

/** "ahead in 18 of 20 cases, behind in 2" */
export function tallyWords({ cases, better, worse, tie, tested }: Tally): string {
  const [first = "", ...rest] = [
    ...(better > 0 ? [`ahead in ${better}`] : []),
    ...(worse > 0 ? [`behind in ${worse}`] : []),
    ...(tie > 0 ? [`tied in ${tie}`] : []),
  ];
  const untested = tested === cases ? "" : tested === 0 ? " (not tested)" : ` (${cases - tested} not tested)`;
  return `${[`${first} of ${counted(cases, "case")}`, ...rest].join(", ")}${untested}`;
}
