/** Scores by lead as small charts, one for each variable, under one legend; of a single lead, marks with their limits. */
import { lineChart, type Series } from "../plot/chart.ts";
import { type Dot, dotChart } from "../plot/dots.ts";
import { legend } from "../plot/frame.ts";
import { linearTicks } from "../plot/scale.ts";
import { element } from "../plot/svg.ts";
import { fieldTitle, unitsTitle } from "../plot/words.ts";
import type { ReportRow } from "../scores/scoredocument.ts";
import { escaped, type Html, tag, unbroken } from "./html.ts";
import type { Part, Place, ScoreIndex } from "./scoreindex.ts";
import { caseWords, digits, leadWords, metricTitle, withUnit } from "./words.ts";

/** A name with its colour, mark and dash, the same in all charts of a page. */
export interface Line {
  readonly name: string;
  readonly style: number;
  /** Published elsewhere: dashed. */
  readonly quoted: boolean;
}

/** Measured systems first, then what is quoted. */
export const linesOf = ({ systems, published }: ScoreIndex): Line[] =>
  [...systems, ...published].map((name, style) => ({ name, style, quoted: published.includes(name) }));

/** How the lines look, as a list. */
export function lineLegend(lines: readonly Line[]): Html {
  const entries = lines.map(({ name, style, quoted }) => {
    const entry = { name: "", style, line: quoted ? ("dashed" as const) : ("solid" as const), marker: true };
    // Line and mark, without the name: that is text of the page.
    const { svg } = legend([entry], 1, 0, 40);
    return tag(
      "li",
      {},
      element(
        "svg",
        { width: 32, height: 18, viewBox: "0 0 32 18", "aria-hidden": "true" },
        svg.slice(0, -1).join(""),
      ),
      escaped(` ${name}`),
    );
  });
  return tag("ul", { class: "lines" }, ...entries);
}

/** The chart of one variable, as SVG; nothing where no score has a value. */
export function scoreChart(
  index: ScoreIndex,
  lines: readonly Line[],
  metric: string,
  variable: string,
  part: Part,
  size: { readonly width?: number; readonly height?: number } = {},
): string {
  const found = lines.flatMap((line) => {
    const rows = valuedRows(index, line.name, { ...part, metric, variable });
    return rows.length === 0 ? [] : [{ line, rows }];
  });
  if (found.length === 0) return "";
  const units = found[0]!.rows[0]!.units;
  const axis = { label: withUnit(metricTitle(metric), units) };
  const description = describe(metric, variable, units, found);
  const leads = [...new Set(found.flatMap(({ rows }) => rows.map((row) => row.lead_hours)))];
  if (leads.length === 1) {
    const dots = found.map(({ line, rows }) => dotOf(line, rows[0]!));
    const title = unbroken(caseWords(variable, leads[0]!));
    return dotChart({ title, x: axis, dots, description, width: size.width ?? 300 });
  }
  return lineChart({
    title: fieldTitle(variable),
    x: { label: "lead [h]", ticks: leadTicks(leads) },
    y: axis,
    series: found.map(({ line, rows }) => seriesOf(line, rows)),
    legend: false,
    description,
    width: size.width ?? 300,
    height: size.height ?? 250,
  });
}

interface Found {
  readonly line: Line;
  readonly rows: readonly Valued[];
}
type Valued = ReportRow & { readonly value: number };

/** The scores of a system by lead, those that have a value. */
export function valuedRows(index: ScoreIndex, system: string, place: Omit<Place, "lead">): Valued[] {
  return index.leads.flatMap((lead) => {
    const row = index.row(system, { ...place, lead });
    return row?.value == null ? [] : [{ ...row, value: row.value }];
  });
}

/** More marks than these along a line run together. */
const mostMarks = 16;

/** Scores by lead as a line with its confidence limits. */
export function seriesOf({ name, style, quoted }: Line, rows: readonly Valued[]): Series {
  return {
    name,
    style,
    line: quoted ? "dashed" : "solid",
    marker: rows.length <= mostMarks,
    points: rows.map(({ lead_hours, value }) => ({ x: lead_hours, y: value })),
    band: rows.flatMap(({ lead_hours, low, high }) =>
      low === null || high === null ? [] : [{ x: lead_hours, low, high }],
    ),
  };
}

function dotOf({ name, style, quoted }: Line, { value, low, high }: Valued): Dot {
  return { name, style, quoted, value, ...(low === null || high === null ? {} : { limits: [low, high] }) };
}

/** The leads themselves, or where they are many whole days, as far apart as there is room for. */
export function leadTicks(leads: readonly number[]): readonly number[] {
  const sorted = leads.toSorted((a, b) => a - b);
  if (sorted.length <= 7) return sorted;
  const [first, last] = [sorted[0]!, sorted.at(-1)!];
  const step = [6, 12, 24, 48, 72, 120, 168, 240, 336, 720].find((hours) => (last - first) / hours <= 8);
  if (step === undefined) return linearTicks(first, last, 6);
  const from = Math.ceil(first / step);
  return Array.from({ length: Math.floor(last / step) - from + 1 }, (_, i) => (from + i) * step);
}

/** The ends of every line in words. */
function describe(metric: string, variable: string, units: string, found: readonly Found[]): string {
  const unit = unitsTitle(units);
  const lines = found.map(({ line, rows }) => {
    const end = ({ value, lead_hours: lead }: Valued) =>
      `${digits(value)}${lead === 0 ? "" : ` at ${leadWords(lead)}`}`;
    const [first, last] = [rows[0]!, rows.at(-1)!];
    return `${line.name} ${end(first)}${rows.length > 1 ? ` to ${end(last)}` : ""}`;
  });
  return `${metricTitle(metric)} of ${fieldTitle(variable)}${unit === "" ? "" : ` in ${unit}`}: ${lines.join("; ")}.`;
}
