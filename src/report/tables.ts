/** All numbers of a report as tables: scores by lead, and differences with their limits. */
import { fieldTitle } from "../plot/words.ts";
import type { DifferenceRow, ReportRow, ScoreDocument } from "../scores/scoredocument.ts";
import { scoreGroups } from "../scores/scoregroups.ts";
import { details, escaped, type Html, paragraph, scrolling, tag } from "./html.ts";
import type { Part, ScoreIndex } from "./scoreindex.ts";
import { columnFormat, leadWords, metricTitle, partWords, percentWords, withUnit } from "./words.ts";

/** More cells than these would make the page slow; the CSV beside it has all. */
const mostScores = 6000;
const mostDifferences = 1500;

/** A table for each metric, parts after the first folded away. */
export function scoreTables(document: ScoreDocument, index: ScoreIndex): Html {
  const best = bestRows(document);
  let room = mostScores;
  let left = 0;
  const blocks = index.parts.map((part, i) => {
    const tables = index.metrics.flatMap((metric) => {
      const rows = document.rows.filter((row) => row.metric === metric && isOf(row, part));
      if (rows.length === 0) return [];
      if (rows.length > room) {
        left += rows.length;
        return [];
      }
      room -= rows.length;
      return [scoreTable(index, rows, best, metric, part)];
    });
    if (tables.length === 0) return "";
    return details(`Scores, ${partWords(part)}`, i === 0, tag("div", { class: "tables" }, ...tables));
  });
  const rest = left > 0 ? paragraph(`${left} more scores have no room here: scores.csv has them all.`) : "";
  return blocks.join("") + rest;
}

const isOf = (row: ReportRow | DifferenceRow, { region, season }: Part) =>
  row.region === region && row.season === season;

function scoreTable(
  index: ScoreIndex,
  rows: readonly ReportRow[],
  best: ReadonlySet<ReportRow>,
  metric: string,
  part: Part,
): Html {
  const leads = index.leads.filter((lead) => rows.some((row) => row.lead_hours === lead));
  const variables = [...new Set(rows.map(({ variable }) => variable))];
  const bodies = variables.map((variable) => {
    const own = rows.filter((row) => row.variable === variable);
    const format = columnFormat(own.flatMap(({ value }) => value ?? []));
    const systems = [...index.systems, ...index.published].filter((name) =>
      own.some(({ system }) => system === name),
    );
    const title = tag(
      "tr",
      {},
      tag(
        "th",
        { scope: "rowgroup", colspan: leads.length + 1, class: "group" },
        escaped(withUnit(fieldTitle(variable), own[0]!.units)),
      ),
    );
    const lines = systems.map((system) => {
      const cells = leads.map((lead) => {
        const row = own.find((one) => one.system === system && one.lead_hours === lead);
        return scoreCell(row, row !== undefined && best.has(row), format);
      });
      return tag("tr", {}, tag("th", { scope: "row" }, escaped(system)), ...cells);
    });
    return tag("tbody", {}, title, ...lines);
  });
  const heads = leads.map((lead) => tag("th", { scope: "col" }, escaped(leadWords(lead) || "score")));
  const samples = leads.map((lead) =>
    tag("td", {}, countWords(rows.filter((row) => row.lead_hours === lead))),
  );
  const caption = `${metricTitle(metric)}, ${partWords(part)}`;
  return scrolling(
    caption,
    tag(
      "table",
      {},
      tag("caption", {}, escaped(caption)),
      tag("thead", {}, tag("tr", {}, tag("th", { scope: "col" }, "system"), ...heads)),
      ...bodies,
      tag("tfoot", {}, tag("tr", {}, tag("th", { scope: "row" }, "forecasts"), ...samples)),
    ),
  );
}

/** The number of forecasts at a lead, or the least and the most over variables. */
function countWords(rows: readonly ReportRow[]): string {
  const samples = rows.flatMap(({ samples }) => samples ?? []);
  const [least, most] = [Math.min(...samples), Math.max(...samples)];
  return samples.length === 0 ? "" : least === most ? String(least) : `${least} to ${most}`;
}

/** Those that are the best of what was measured, of several. */
function bestRows(document: ScoreDocument): ReadonlySet<ReportRow> {
  const shown = scoreGroups(document).flatMap(({ variables, leads }) =>
    variables.flatMap(({ systems, score }) =>
      systems.flatMap(({ name }) => leads.flatMap((lead) => score(name, lead) ?? [])),
    ),
  );
  return new Set(shown.flatMap(({ row, best }) => (best ? [row] : [])));
}

function scoreCell(row: ReportRow | undefined, best: boolean, format: (value: number) => string): Html {
  if (row?.value == null) return tag("td", {}, "–");
  // Published as published.
  const value = row.source === "measured" ? format(row.value) : String(row.value).replace("-", "−");
  const limits =
    row.low === null || row.high === null
      ? ""
      : tag("small", {}, escaped(`${format(row.low)} to ${format(row.high)}`));
  return tag("td", best ? { class: "best" } : {}, `${escaped(value)}${best ? "*" : ""} `, limits);
}

/** The differences that the document tests, part by part, folded away. */
export function differenceTables(document: ScoreDocument, index: ScoreIndex): Html {
  const level = percentWords(document.intervals?.level ?? 0.95);
  let room = mostDifferences;
  let left = 0;
  const blocks = index.parts.map((part) => {
    const tables = index.metrics.flatMap((metric) => {
      const rows = document.differences.filter((row) => row.metric === metric && isOf(row, part));
      if (rows.length === 0) return [];
      if (rows.length > room) {
        left += rows.length;
        return [];
      }
      room -= rows.length;
      return [differenceTable(rows, `${metricTitle(metric)}, ${partWords(part)}: differences`, level)];
    });
    return tables.length === 0 ? "" : details(`Differences, ${partWords(part)}`, false, ...tables);
  });
  const rest =
    left > 0 ? paragraph(`${left} more differences have no room here: scores.json has them all.`) : "";
  return blocks.join("") + rest;
}

const differenceHeads = ["system", "minus", "variable", "lead", "difference"];

function differenceTable(rows: readonly DifferenceRow[], caption: string, level: string): Html {
  const heads = [...differenceHeads, `${level} interval`, "p", "better", "forecasts"];
  const formats = new Map(
    [...new Set(rows.map(({ variable }) => variable))].map((variable) => {
      const own = rows.filter((row) => row.variable === variable);
      return [variable, columnFormat(own.flatMap(({ difference }) => difference ?? []))] as const;
    }),
  );
  const lines = rows.map((row) => {
    const format = formats.get(row.variable)!;
    const number = (value: number | null) => (value === null ? "–" : format(value));
    const limits = row.low === null || row.high === null ? "–" : `${number(row.low)} to ${number(row.high)}`;
    const better = { system: row.system, versus: row.versus, tie: "tie" }[row.better ?? "tie"];
    const cells = [
      leadWords(row.lead_hours) || "–",
      number(row.difference),
      limits,
      probability(row.p),
      row.better === null ? "not tested" : better,
      String(row.samples),
    ];
    return tag(
      "tr",
      {},
      tag("th", { scope: "row" }, escaped(row.system)),
      tag("td", { class: "word" }, escaped(row.versus)),
      tag("td", { class: "word" }, escaped(fieldTitle(row.variable))),
      ...cells.map((cell, i) => tag("td", i === 4 ? { class: "word" } : {}, escaped(cell))),
    );
  });
  return scrolling(
    caption,
    tag(
      "table",
      {},
      tag("caption", {}, escaped(caption)),
      tag("thead", {}, tag("tr", {}, ...heads.map((head) => tag("th", { scope: "col" }, escaped(head))))),
      tag("tbody", {}, ...lines),
    ),
  );
}

function probability(p: number | null): string {
  if (p === null) return "–";
  return p < 0.001 ? "< 0.001" : String(Number(p.toPrecision(2)));
}
