/** Scores as people and programs read them: tables for the terminal, CSV, JSON. */
import type { PublishedRow } from "./published.ts";
import { type ReportRow, reportColumns, type ScoreDocument } from "./scoredocument.ts";
import { type ScoreGroup, type ShownScore, scoreGroups, type Tabled } from "./scoregroups.ts";

/**
 * The published rows of the same metrics, variables, leads and regions; a row without a lead stands at each of them.
 * They are about whole years: seasons have none.
 */
export function publishedBeside(
  rows: readonly ReportRow[],
  published: readonly PublishedRow[],
  keep: (row: PublishedRow) => boolean,
): ReportRow[] {
  const key = (metric: string, variable: string, region: string) => [metric, variable, region].join("\n");
  const measured = new Map(
    rows
      .filter(({ season }) => season === "all")
      .map((row) => [key(row.metric, row.variable, row.region), row.units]),
  );
  const leads = [...new Set(rows.map(({ lead_hours }) => lead_hours))];
  return published.filter(keep).flatMap((row) => {
    const region = row.region ?? "global";
    const units = measured.get(key(row.metric, row.variable, region));
    if (units === undefined) return [];
    return leads
      .filter((lead) => row.leadHours === undefined || lead === row.leadHours)
      .map((lead) => ({
        system: `${row.system} (published)`,
        definition: row.definition,
        metric: row.metric,
        variable: row.variable,
        lead_hours: lead,
        region,
        season: "all",
        value: row.value,
        low: null,
        high: null,
        samples: null,
        units,
        source: `published: ${row.source}`,
        synthetic: false,
      }));
  });
}

/** One table for each metric, region and season: a line for each variable and system, a column for each lead. */
export interface ScoreTable {
  /** What is in it, by whose definition, and what its signs mean. */
  readonly heading: string;
  readonly rows: string[][];
  readonly align: ("left" | "right")[];
}

/**
 * Tables for the eye. The best measured score of a variable and lead has a star; a score that differs from that of
 * `versus` by more than chance has + (better) or - (worse); published rows stand last. Confidence limits stand in
 * columns of their own where the line has room for those of all leads.
 *
 * @param width characters of a line; leads that do not fit go to further tables
 */
export function scoreTables(document: Tabled, width: number): ScoreTable[] {
  return scoreGroups(document).flatMap((group) => {
    const marked = marks(group, document.versus, document.intervals?.level);
    const columns = group.leads.map((lead) => [
      `${lead} h${marked.blank}`,
      ...scores(group, lead, (shown) => (shown ? `${shown.text}${marked.of(shown)}` : `-${marked.blank}`)),
      `${group.samples(lead)}${marked.blank}`,
    ]);
    const limits = group.leads.map((lead) => [
      percent(document.intervals?.level),
      ...scores(group, lead, (shown) => shown?.limits?.join("..") ?? ""),
      "",
    ]);
    const left = [
      ["variable", ...lines(group, ({ label }, line) => (line > 0 ? "" : label)), "forecasts"],
      ["system", ...lines(group, ({ systems }, line) => systems[line]!.label), ""],
    ];
    const heading = `${group.title} (definition ${group.definition}${marked.legend})`;
    const withLimits = columns.flatMap((column, i) => [column, limits[i]!]);
    const anyLimits = limits.some((column) => column.slice(1).some((text) => text !== ""));
    if (anyLimits && widthOf([...left, ...withLimits]) <= width) {
      return [tableOf(heading, left, withLimits)];
    }
    const widest = Math.max(...columns.map((column) => widthOf([column])));
    const room = Math.max(1, Math.floor((width - widthOf(left)) / (widest + 2)));
    const parts = Array.from({ length: Math.ceil(columns.length / room) }, (_, i) =>
      columns.slice(i * room, (i + 1) * room),
    );
    return parts.map((part) => tableOf(heading, left, part));
  });
}

/** A text for each variable and system, in the order of the lines. */
const lines = (group: ScoreGroup, text: (variable: ScoreGroup["variables"][0], line: number) => string) =>
  group.variables.flatMap((variable) => variable.systems.map((_, line) => text(variable, line)));

const scores = (group: ScoreGroup, lead: number, text: (shown: ShownScore | undefined) => string) =>
  lines(group, (variable, line) => text(variable.score(variable.systems[line]!.name, lead)));

/** Columns, two spaces apart. */
function widthOf(columns: readonly (readonly string[])[]): number {
  const widths = columns.map((column) => Math.max(...column.map(({ length }) => length)));
  return widths.reduce((sum, width) => sum + width + 2, -2);
}

function tableOf(heading: string, left: readonly string[][], right: readonly string[][]): ScoreTable {
  const columns = [...left, ...right];
  return {
    heading,
    rows: columns[0]!.map((_, line) => columns.map((column) => column[line]!)),
    align: columns.map((_, c) => (c < left.length ? "left" : "right")),
  };
}

/** The signs of a table; those that it has none of take no room. */
function marks(group: ScoreGroup, versus: string | null, level: number | undefined) {
  const shown = group.leads.flatMap((lead) =>
    group.variables.flatMap((variable) =>
      variable.systems.flatMap(({ name }) => variable.score(name, lead) ?? []),
    ),
  );
  const starred = shown.some(({ best }) => best);
  const signed = shown.some(({ verdict }) => verdict !== undefined);
  const sign = { better: "+", worse: "-" } as const;
  return {
    blank: " ".repeat((starred ? 1 : 0) + (signed ? 1 : 0)),
    of: ({ best, verdict }: ShownScore) =>
      (starred ? (best ? "*" : " ") : "") + (signed ? (verdict ? sign[verdict] : " ") : ""),
    legend:
      (starred ? "; * best measured" : "") +
      (signed ? `; + better, - worse than ${versus} at ${percent(level)}` : ""),
  };
}

/** "95 %" */
export const percent = (level: number | undefined): string =>
  level === undefined ? "" : `${Number((100 * level).toPrecision(6))} %`;

/** RFC 4180; an empty field where a value is null. */
export function toCsv(rows: readonly ReportRow[]): string {
  const quote = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = rows.map((row) => reportColumns.map((key) => quote(String(row[key] ?? ""))).join(","));
  return `${[reportColumns.join(","), ...lines].join("\n")}\n`;
}

/** JSON, one line for each score, difference and curve. */
export function toJson({ rows, differences, profiles, ...rest }: ScoreDocument): string {
  const head = JSON.stringify(rest, null, 2).replace(/\n}$/, "");
  const ordered = rows.map((row) => Object.fromEntries(reportColumns.map((key) => [key, row[key]])));
  const list = (name: string, items: readonly object[]) =>
    items.length === 0
      ? `  "${name}": []`
      : `  "${name}": [\n    ${items.map((item) => JSON.stringify(item)).join(",\n    ")}\n  ]`;
  const lists = [list("rows", ordered), list("differences", differences), list("profiles", profiles)];
  return `${head},\n${lists.join(",\n")}\n}\n`;
}
