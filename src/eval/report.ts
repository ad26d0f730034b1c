/** Scores as people and programs read them: rows of a table, CSV, JSON. */
import { dimensionless } from "./metrics.ts";
import type { PublishedRow } from "./published.ts";

/** A row of the output: measured here, or published elsewhere. */
export interface ReportRow {
  readonly system: string;
  readonly definition: string;
  readonly metric: string;
  readonly variable: string;
  readonly lead_hours: number;
  readonly region: string;
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  /** Forecasts that entered; null: not stated. */
  readonly samples: number | null;
  readonly units: string;
  /** "measured", or "published: " and where. */
  readonly source: string;
  /** Whether forecast or truth is simulated weather. */
  readonly synthetic: boolean;
}

/** Columns of the CSV, and the keys of a JSON row. */
export const reportColumns = [
  "system",
  "definition",
  "metric",
  "variable",
  "lead_hours",
  "region",
  "value",
  "low",
  "high",
  "samples",
  "units",
  "source",
  "synthetic",
] as const satisfies readonly (keyof ReportRow)[];

/** The published rows of the same metrics, variables and leads; a row without a lead stands at each of them. */
export function publishedBeside(
  rows: readonly ReportRow[],
  published: readonly PublishedRow[],
  keep: (row: PublishedRow) => boolean,
): ReportRow[] {
  const measured = new Set(rows.map(({ metric, variable }) => `${metric} ${variable}`));
  const leads = [...new Set(rows.map(({ lead_hours }) => lead_hours))];
  const units = new Map(rows.map((row) => [`${row.metric} ${row.variable}`, row.units]));
  return published
    .filter((row) => measured.has(`${row.metric} ${row.variable}`) && keep(row))
    .flatMap((row) =>
      (row.leadHours === undefined ? leads : leads.filter((lead) => lead === row.leadHours)).map((lead) => ({
        system: `${row.system} (published)`,
        definition: row.definition,
        metric: row.metric,
        variable: row.variable,
        lead_hours: lead,
        region: "global",
        value: row.value,
        low: null,
        high: null,
        samples: null,
        units: units.get(`${row.metric} ${row.variable}`)!,
        source: `published: ${row.source}`,
        synthetic: false,
      })),
    );
}

/** One table for each metric: a line for each variable and system, a column for each lead. */
export interface ScoreTable {
  readonly title: string;
  readonly rows: string[][];
  readonly align: ("left" | "right")[];
}

/** @param width characters of a line; leads that do not fit go to further tables */
export function scoreTables(rows: readonly ReportRow[], width: number): ScoreTable[] {
  return unique(rows.map(({ metric }) => metric)).flatMap((metric) => {
    const ofMetric = rows.filter((row) => row.metric === metric);
    const leads = unique(ofMetric.map(({ lead_hours }) => lead_hours)).toSorted((a, b) => a - b);
    const heads = unique(ofMetric.map((row) => `${row.variable}\n${row.system}`)).map((key) =>
      key.split("\n"),
    );
    const cell = (variable: string, system: string, lead: number) =>
      ofMetric.find((row) => row.variable === variable && row.system === system && row.lead_hours === lead);
    // Lines of one variable stand together, published ones last.
    heads.sort((a, b) => order(ofMetric, a[0]!) - order(ofMetric, b[0]!));
    const texts = heads.map(([variable, system]) =>
      leads.map((lead) => format(metric, cell(variable!, system!, lead))),
    );
    const labels = leads.map((lead) => `${lead} h`);
    const labelled = heads.map(([variable, system], line) => [
      line > 0 && heads[line - 1]![0] === variable ? "" : `${variable}${unitsOf(ofMetric, variable!)}`,
      system!,
    ]);
    const fixed = [0, 1].map((c) => Math.max(8, ...labelled.map((line) => line[c]!.length)));
    const widest = Math.max(
      ...labels.map(({ length }) => length),
      ...texts.flat().map(({ length }) => length),
    );
    const room = Math.floor((width - fixed[0]! - fixed[1]! - 2) / (widest + 2));
    const counts = leads.map((lead) => count(ofMetric, lead));
    return chunks(leads.length, Math.max(1, room)).map(([from, to]) => ({
      title: metric === "acc" || metric === "bias" || metric === "mae" ? metric.toUpperCase() : "RMSE",
      rows: [
        ["variable", "system", ...labels.slice(from, to)],
        ...labelled.map((label, line) => [...label, ...texts[line]!.slice(from, to)]),
        ["forecasts", "", ...counts.slice(from, to)],
      ],
      align: ["left", "left", ...Array<"right">(to - from).fill("right")],
    }));
  });
}

function order(rows: readonly ReportRow[], variable: string): number {
  return rows.findIndex((row) => row.variable === variable);
}

function unitsOf(rows: readonly ReportRow[], variable: string): string {
  const row = rows.find((row) => row.variable === variable);
  return row === undefined || dimensionless.has(row.metric) ? "" : ` [${row.units}]`;
}

/** The number of forecasts at a lead: one number, or the least and the most over variables. */
function count(rows: readonly ReportRow[], lead: number): string {
  const samples = rows.flatMap((row) =>
    row.lead_hours === lead && row.samples !== null ? [row.samples] : [],
  );
  const [least, most] = [Math.min(...samples), Math.max(...samples)];
  return samples.length === 0 ? "" : least === most ? String(least) : `${least}-${most}`;
}

/** Four significant digits, or three decimals of a correlation; "-" where there is no value. */
function format(metric: string, row: ReportRow | undefined): string {
  if (row?.value == null) return "-";
  if (dimensionless.has(metric)) return row.value.toFixed(3);
  const digits = Math.max(0, 3 - Math.max(0, Math.floor(Math.log10(Math.abs(row.value) || 1))));
  return row.value.toFixed(digits);
}

function chunks(length: number, size: number): [number, number][] {
  const starts = Array.from({ length: Math.ceil(length / size) }, (_, i) => i * size);
  return starts.map((from) => [from, Math.min(length, from + size)]);
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];

/** RFC 4180; an empty field where a value is null. */
export function toCsv(rows: readonly ReportRow[]): string {
  const quote = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = rows.map((row) => reportColumns.map((key) => quote(String(row[key] ?? ""))).join(","));
  return `${[reportColumns.join(","), ...lines].join("\n")}\n`;
}

/** What was scored, how, and from which files: everything but the numbers. */
export interface Provenance {
  readonly command: string;
  readonly version: string;
  readonly created: string;
  readonly files: readonly { path: string; bytes: number; sha256: string | null }[];
}

export interface ScoreDocument {
  readonly format: "climax-scores";
  readonly version: 1;
  readonly bench: string;
  readonly definition: { readonly name: string; readonly description: string; readonly source: string };
  /** What anomalies of `acc` are taken from. */
  readonly anomalies: string | null;
  /** What the climatology baseline is. */
  readonly climatology: string | null;
  readonly initial_times: readonly [string, string];
  readonly valid_times: readonly [string, string];
  readonly grid: string;
  readonly synthetic: boolean;
  readonly notes: readonly string[];
  readonly provenance: Provenance;
  readonly rows: readonly ReportRow[];
}

/** JSON, one line for each score. */
export function toJson({ rows, ...rest }: ScoreDocument): string {
  const head = JSON.stringify(rest, null, 2).replace(/\n}$/, "");
  const lines = rows.map((row) =>
    JSON.stringify(Object.fromEntries(reportColumns.map((key) => [key, row[key]]))),
  );
  return `${head},\n  "rows": [\n    ${lines.join(",\n    ")}\n  ]\n}\n`;
}
