/** The page of a report: verdict, score cards, curves, maps, spectra, all numbers, provenance. */
import type { ScoreDocument, Scores } from "../scores/scoredocument.ts";
import { type Line, lineLegend, linesOf, scoreChart } from "./curves.ts";
import { glossary } from "./glossary.ts";
import { details, escaped, type Html, paragraph, prose, scrolling, tag } from "./html.ts";
import { mapFigures } from "./maps.ts";
import { profileFigures } from "./profiles.ts";
import { provenanceSection } from "./provenance.ts";
import { cardLegend, scoreCard } from "./scorecard.ts";
import { indexScores, type Part, type ScoreIndex } from "./scoreindex.ts";
import { reportStyle } from "./style.ts";
import { differenceTables, scoreTables } from "./tables.ts";
import { contendersOf, type Focus, focusOf, type Verdict, verdict } from "./verdict.ts";
import { directed, metricShort, metricTitle, partWords } from "./words.ts";

/** What says that a page is ours, so that the next report may take its place. */
export const generator = "climax evaluate --report";

/** Charts of curves that a page holds at most, of the first part and in all. */
const mostCharts = { first: 60, all: 100 } as const;
/** Score cards of further parts that a page holds at most, in cells. */
const mostCells = 6000;

interface Section {
  readonly id: string;
  readonly title: string;
  readonly content: Html;
}

/** The whole page. The same scores give the same bytes. */
export async function reportPage({ document, maps }: Scores): Promise<string> {
  const index = indexScores(document);
  const focus = focusOf(document, index);
  const found = verdict(document, index);
  const lines = linesOf(index);
  const sections: Section[] = [
    { id: "words", title: "The verdict in detail", content: inDetail(found, document) + glossary(index) },
    { id: "cards", title: "Score cards", content: cardSection(document, index, focus, found) },
    {
      id: "curves",
      title: index.leads.some((lead) => lead > 0) ? "Scores by lead" : "Scores",
      content: curveSection(index, focus, lines, document.intervals !== null),
    },
    { id: "maps", title: "Maps", content: await mapFigures(document, maps, focus) },
    {
      id: "profiles",
      title: "Spectra and rank histograms",
      content:
        document.profiles.length > 0 ? profileFigures(document.profiles, lines, focus.part.region) : "",
    },
    {
      id: "numbers",
      title: "All numbers",
      content: `${paragraph("An asterisk marks the best of what was measured; small print is the confidence interval.")}${scoreTables(document, index)}${differenceTables(document, index)}`,
    },
    { id: "provenance", title: "Where it comes from", content: provenanceSection(document) },
  ].filter(({ content }) => content !== "");
  const title = `${found.headline} · forecast scores`;
  const body = [
    tag("a", { class: "skip", href: "#main" }, "Skip to the scores"),
    header(document, found),
    tag(
      "main",
      { id: "main" },
      glance(document, index, focus, lines),
      navigation(sections),
      ...sections.map(({ id, title, content }) =>
        tag("section", { "aria-labelledby": id }, tag("h2", { id }, escaped(title)), content),
      ),
    ),
    footer(document),
  ];
  const head = [
    tag("meta", { charset: "utf-8" }),
    tag("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
    tag("meta", { name: "generator", content: generator }),
    // Nothing is fetched and nothing runs, whatever a name in the scores holds.
    tag("meta", {
      "http-equiv": "Content-Security-Policy",
      content: "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    }),
    tag("title", {}, escaped(title)),
    tag("style", {}, reportStyle),
  ];
  return `<!DOCTYPE html>\n${tag("html", { lang: "en" }, "\n", tag("head", {}, ...head.map((one) => `${one}\n`)), "\n", tag("body", {}, "\n", ...body.map((one) => `${one}\n`)), "\n")}\n`;
}

function header(document: ScoreDocument, { headline, sentences, basis }: Verdict): Html {
  const [from, to] = document.initial_times.map((time) => time.slice(0, 10)) as [string, string];
  const when = from === to ? from : `${from} to ${to}`;
  const simulated = document.synthetic
    ? tag(
        "p",
        { class: "banner" },
        "SIMULATED WEATHER: forecast or truth comes from a simulated planet, not from this one.",
      )
    : "";
  const points = sentences.map((sentence) => tag("li", {}, prose(sentence)));
  return tag(
    "header",
    {},
    paragraph(
      `Forecast scores · ${document.bench} · definition ${document.definition.name} · ${when}`,
      "kicker",
    ),
    tag("h1", {}, prose(headline)),
    simulated,
    points.length > 0 ? tag("ul", { class: "lead" }, ...points) : "",
    tag("p", { class: "basis" }, prose(basis)),
  );
}

/** The first score card and the first curve, side by side where there is room. */
function glance(document: ScoreDocument, index: ScoreIndex, focus: Focus, lines: readonly Line[]): Html {
  const { versus, metric, part } = focus;
  const chosen = metric ?? index.metrics[0];
  if (chosen === undefined) return "";
  const contenders = contendersOf(index, focus);
  const card = cardOf(document, index, { ...focus, systems: contenders }, chosen, part, true);
  const variables = index.variables(chosen);
  const variable = variables.includes("geopotential_500") ? "geopotential_500" : variables[0];
  const chart =
    variable === undefined
      ? ""
      : scoreChart(index, lines, chosen, variable, part, { width: 460, height: 330 });
  const left =
    card === "" || versus === undefined
      ? ""
      : tag(
          "div",
          {},
          tag("h2", {}, escaped(`Score card: ${metricShort(chosen)} against ${versus}`)),
          card,
          cardLegend(versus, [chosen], document.intervals?.level, someUntested(document)),
        );
  const right =
    chart === ""
      ? ""
      : tag(
          "div",
          {},
          tag("h2", {}, escaped(`${metricShort(chosen)}${index.leads.length > 1 ? " by lead" : ""}`)),
          lineLegend(drawn(index, lines, chosen, part)),
          tag("figure", {}, chart),
        );
  return left === "" && right === "" ? "" : tag("div", { class: "glance" }, left, right);
}

/** Lines with a score of that metric. */
function drawn(index: ScoreIndex, lines: readonly Line[], metric: string, part: Part): Line[] {
  return lines.filter(({ name }) =>
    index
      .variables(metric)
      .some((variable) =>
        index.leads.some((lead) => index.row(name, { ...part, metric, variable, lead })?.value != null),
      ),
  );
}

function cardOf(
  document: ScoreDocument,
  index: ScoreIndex,
  focus: Focus,
  metric: string,
  part: Part,
  brief = false,
): Html {
  const { versus, systems } = focus;
  if (versus === undefined) return "";
  return scoreCard(index, { metric, part, versus, systems, level: document.intervals?.level, brief });
}

const someUntested = ({ differences }: ScoreDocument) => differences.some(({ better }) => better === null);

function inDetail({ more, caveats }: Verdict, { notes }: ScoreDocument): Html {
  const list = (items: readonly string[]) =>
    tag("ul", {}, ...items.map((item) => tag("li", {}, prose(item))));
  return [
    ...(more.length > 0 ? [list(more)] : []),
    ...(caveats.length + notes.length > 0
      ? [tag("h3", {}, "To keep in mind"), list([...caveats, ...notes])]
      : []),
  ].join("");
}

/** Cards of the further metrics, and folded away those of further regions and seasons. */
function cardSection(document: ScoreDocument, index: ScoreIndex, focus: Focus, { counts }: Verdict): Html {
  const { versus, metric: main, part: first } = focus;
  const metrics = directed(index.metrics);
  if (versus === undefined || counts.length === 0) return "";
  let room = mostCells;
  let left = 0;
  // Of the main score the first card shows all there is, where there are no baselines besides.
  const shown = contendersOf(index, focus).length === focus.systems.length ? [main] : [];
  const others = metrics
    .filter((metric) => !shown.includes(metric))
    .map((metric) => cardOf(document, index, focus, metric, first));
  const parts = index.parts.slice(1).map((part) => {
    const cells = counts.filter((count) => count.part === part || samePart(count.part, part));
    const size = cells.reduce((sum, count) => sum + count.cases, 0);
    if (size > room) {
      left += size;
      return "";
    }
    room -= size;
    const cards = metrics.map((metric) => cardOf(document, index, focus, metric, part)).join("");
    const title = `Score cards, ${partWords(part)}`;
    return cards === "" ? "" : details(title, false, tag("div", { class: "tables" }, cards));
  });
  return [
    countTable(counts, index, versus),
    tag("div", { class: "tables" }, ...others),
    cardLegend(versus, metrics, document.intervals?.level, someUntested(document)),
    ...parts,
    left > 0 ? paragraph(`${left} more cases have no room here: scores.csv has their scores.`) : "",
  ].join("");
}

const samePart = (a: Part, b: Part) => a.region === b.region && a.season === b.season;

/** How often each system is ahead and behind: a line for each part. */
function countTable(counts: Verdict["counts"], index: ScoreIndex, versus: string): Html {
  const parts = index.parts.filter((part) => counts.some((count) => samePart(count.part, part)));
  const columns = counts.filter(({ part }) => samePart(part, parts[0]!));
  const lines = parts.map((part) =>
    tag(
      "tr",
      {},
      tag("th", { scope: "row" }, escaped(partWords(part))),
      ...columns.map(({ system, metric }) => {
        const count = counts.find(
          (one) => one.system === system && one.metric === metric && samePart(one.part, part),
        );
        return tag("td", {}, count ? escaped(`${count.better} / ${count.tie} / ${count.worse}`) : "–");
      }),
    ),
  );
  const caption = `Cases ahead of ${versus} / tied / behind`;
  const heads = columns.map(({ system, metric }) =>
    tag("th", { scope: "col" }, escaped(`${system}, ${metricShort(metric)}`)),
  );
  return scrolling(
    caption,
    tag(
      "table",
      { class: "counts" },
      tag("caption", {}, escaped(caption)),
      tag("thead", {}, tag("tr", {}, tag("th", { scope: "col" }, "region, season"), ...heads)),
      tag("tbody", {}, ...lines),
    ),
  );
}

/** A chart for each variable: of all metrics for the first part, of the main one for the others. */
function curveSection(
  index: ScoreIndex,
  { metric: main, part: first }: Focus,
  lines: readonly Line[],
  withIntervals: boolean,
): Html {
  let count = 0;
  let left = 0;
  const block = (metric: string, part: Part, most: number) => {
    const charts = index.variables(metric).flatMap((variable) => {
      if (count >= most) {
        left++;
        return [];
      }
      const svg = scoreChart(index, lines, metric, variable, part);
      if (svg === "") return [];
      count++;
      return [tag("figure", {}, svg)];
    });
    if (charts.length === 0) return "";
    return lineLegend(drawn(index, lines, metric, part)) + tag("div", { class: "charts" }, ...charts);
  };
  const whole = index.metrics.map((metric) => {
    const charts = block(metric, first, mostCharts.first);
    return charts === "" ? "" : tag("section", {}, tag("h3", {}, escaped(metricTitle(metric))), charts);
  });
  const rest =
    main === undefined
      ? []
      : index.parts.slice(1).map((part) => {
          const charts = block(main, part, mostCharts.all);
          return charts === "" ? "" : details(`${metricShort(main)}, ${partWords(part)}`, false, charts);
        });
  const { published } = index;
  const words = [
    `${partWords(first)}.`.replace(/^./, (letter) => letter.toUpperCase()),
    ...(withIntervals ? ["Shades and whiskers are confidence intervals."] : []),
    ...(published.length > 0 ? ["Dashed lines are published scores, quoted."] : []),
  ];
  const shaded = paragraph(words.join(" "));
  const charts = [...whole, ...rest].join("");
  const more =
    left > 0 ? paragraph(`${left} more charts have no room here; the numbers are in the tables.`) : "";
  return charts === "" ? "" : shaded + charts + more;
}

function navigation(sections: readonly Section[]): Html {
  const links = sections.map(({ id, title }) => tag("li", {}, tag("a", { href: `#${id}` }, escaped(title))));
  return tag("nav", { "aria-label": "Contents" }, tag("ul", {}, ...links));
}

function footer({ provenance }: ScoreDocument): Html {
  return tag(
    "footer",
    {},
    tag(
      "p",
      {},
      `${escaped(`Made ${provenance.created} by climax ${provenance.version}. Every number of this page: `)}`,
      tag("a", { href: "scores.csv" }, "scores.csv"),
      " and ",
      tag("a", { href: "scores.json" }, "scores.json"),
      ", beside it.",
    ),
  );
}
