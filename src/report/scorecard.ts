/**
 * Score cards: variables by leads, each cell the change of a score against another system, coloured by its size. A
 * shape and a number say the same without colour.
 */
import { fieldTitle } from "../plot/words.ts";
import { type Case, compare } from "./comparison.ts";
import { escaped, type Html, scrolling, tag } from "./html.ts";
import type { Part, ScoreIndex } from "./scoreindex.ts";
import {
  betterOf,
  comparedBy,
  leadWords,
  listed,
  metricShort,
  metricTitle,
  partWords,
  percentWords,
  signed,
} from "./words.ts";

/** From how much on a cell has the next darker shade: percent, or the score itself. Fixed, so that cards compare. */
const shadeSteps = { percent: [1, 5, 10, 20, 40], difference: [0.005, 0.02, 0.05, 0.1, 0.2] } as const;

/**
 * Fills from faint to strong, and the ink on them with a contrast of 4.5 at least. Blue and orange are told apart by
 * every kind of colour blindness; the same step of both is about as dark, so that grey shows the size.
 */
export const shades = {
  better: ["#dcebf7", "#b3d3ec", "#7fb4de", "#4a95cc", "#0f5c9c"],
  worse: ["#fdebd8", "#f9d0a4", "#eda766", "#d0802f", "#9a4400"],
} as const;
export const shadeInk = (step: number): string => (step === 4 ? "#ffffff" : "#111111");

export interface Card {
  readonly metric: string;
  readonly part: Part;
  readonly versus: string;
  readonly systems: readonly string[];
  /** 0.95; undefined: nothing has been tested. */
  readonly level: number | undefined;
  /** Whether a heading names score and opponent already. */
  readonly brief?: boolean;
}

/** How strongly a cell is coloured: -1 not at all, else an index into the shades. */
export function shadeOf(metric: string, { change, outcome }: Case): number {
  if (outcome === "tie") return -1;
  return shadeSteps[comparedBy(metric)].filter((step) => Math.abs(change) >= step).length - 1;
}

/** A table, or nothing where no case has been scored by both. */
export function scoreCard(index: ScoreIndex, card: Card): Html {
  const { metric, part, versus, systems } = card;
  const groups = systems.flatMap((system) => {
    const cases = compare(index, system, versus, metric, part);
    return cases.length === 0 ? [] : [{ system, cases }];
  });
  if (groups.length === 0) return "";
  const all = groups.flatMap(({ cases }) => cases);
  const leads = index.leads.filter((lead) => all.some((one) => one.lead === lead));
  const heads = leads.map((lead) => tag("th", { scope: "col" }, escaped(leadWords(lead) || "score")));
  const bodies = groups.map(({ system, cases }) => {
    const variables = index
      .variables(metric)
      .filter((name) => cases.some(({ variable }) => variable === name));
    const name = index.forecasts.includes(system) ? system : `${system} (baseline)`;
    const title = tag(
      "tr",
      {},
      tag("th", { scope: "rowgroup", colspan: leads.length + 1, class: "group" }, escaped(name)),
    );
    const lines = variables.map((variable) =>
      tag(
        "tr",
        {},
        tag("th", { scope: "row" }, escaped(fieldTitle(variable))),
        ...leads.map((lead) => {
          const found = cases.find((one) => one.variable === variable && one.lead === lead);
          return found ? cell(found, card) : tag("td", {}, "–");
        }),
      ),
    );
    return tag("tbody", {}, title, ...lines);
  });
  const caption = captionOf(card);
  return scrolling(
    caption,
    tag(
      "table",
      { class: "card" },
      tag("caption", {}, escaped(caption)),
      tag("thead", {}, tag("tr", {}, tag("th", { scope: "col" }, "variable"), ...heads)),
      ...bodies,
    ),
  );
}

function captionOf({ metric, part, versus, brief = false }: Card): string {
  const title = metricTitle(metric);
  const side = betterOf(metric) === "low" ? "less is better" : "more is better";
  if (brief) {
    return `${comparedBy(metric) === "percent" ? "Change in %" : "Difference"}, ${partWords(part)} (${side})`;
  }
  const how =
    comparedBy(metric) === "percent" ? `change of ${title} in %` : `${title} minus that of ${versus}`;
  const against = comparedBy(metric) === "percent" ? ` against ${versus}` : "";
  return `${how}${against}, ${partWords(part)} (${side})`.replace(/^./, (first) => first.toUpperCase());
}

/** Shape and its meaning, for eyes and for ears. */
export function markOf({ outcome, tested }: Case): readonly [shape: string, meaning: string] {
  if (outcome === "tie") return tested ? ["≈", "not told apart"] : ["=", "equal, not tested"];
  if (outcome === "better") return tested ? ["▲", "better"] : ["△", "better, not tested"];
  return tested ? ["▼", "worse"] : ["▽", "worse, not tested"];
}

/** "−24", "+0.4"; of a score itself three decimals. */
export function changeText(metric: string, change: number): string {
  if (comparedBy(metric) === "difference") return signed(change, 3);
  return signed(change, Math.abs(change) < 9.95 ? 1 : 0);
}

function cell(one: Case, { metric, level }: Card): Html {
  const step = shadeOf(metric, one);
  const [shape, meaning] = markOf(one);
  const side = one.outcome === "better" ? "b" : "w";
  const unit = comparedBy(metric) === "percent" ? " %" : "";
  const limits =
    one.limits === undefined || level === undefined
      ? ""
      : `; ${percentWords(level)} interval ${one.limits.map((limit) => changeText(metric, limit)).join(" to ")}${unit}`;
  return tag(
    "td",
    {
      class: `${step < 0 ? "n" : `${side}${step}`}${one.tested && one.outcome !== "tie" ? " sure" : ""}`,
      title: `${changeText(metric, one.change)}${unit}: ${meaning}${limits}`,
    },
    tag("span", { "aria-hidden": "true" }, shape),
    ` ${escaped(changeText(metric, one.change))}`,
    tag("span", { class: "unseen" }, escaped(` ${meaning}`)),
  );
}

/**
 * What shapes and shades mean.
 *
 * @param untested whether there are cells without a test beside those with one
 */
export function cardLegend(
  versus: string,
  metrics: readonly string[],
  level: number | undefined,
  untested: boolean,
): Html {
  const marks =
    level === undefined
      ? [`△ better than ${versus}, ▽ worse: by the scores alone, nothing has been tested`]
      : [
          `▲ better than ${versus}, ▼ worse: the ${percentWords(level)} interval leaves out zero`,
          "≈ not told apart: it holds zero",
          ...(untested ? ["△ ▽ not tested"] : []),
        ];
  const kinds = [...new Set(metrics.map(comparedBy))];
  const scales = kinds.map((kind) => {
    const names = listed(metrics.filter((metric) => comparedBy(metric) === kind).map(metricShort));
    const [unit, steps] = [kind === "percent" ? " %" : "", shadeSteps[kind]];
    const swatch = (side: "better" | "worse") => (_: number, step: number) =>
      tag("span", { class: `swatch ${side[0]}${step}` }, `${escaped(String(steps[step]))}`);
    const boxes = [
      ...steps.map(swatch("worse")).toReversed(),
      tag("span", { class: "swatch n" }, "0"),
      ...steps.map(swatch("better")),
    ];
    return tag(
      "li",
      {},
      escaped(`${names}, by at least so ${unit === "" ? "much" : "many %"}: `),
      tag("span", { class: "swatches" }, tag("span", {}, "worse "), ...boxes, tag("span", {}, " better")),
    );
  });
  return tag("ul", { class: "legend" }, ...marks.map((mark) => tag("li", {}, escaped(mark))), ...scales);
}
