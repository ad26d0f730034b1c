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
        region: row.region ?? "global",
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

const titles: Readonly<Record<string, string>> = {
  rmse: "RMSE",
  mae: "MAE",
  bias: "Bias",
  acc: "ACC",
  pearson: "Pearson correlation",
  mean_bias: "Mean bias, unweighted",
  nrmse_s: "NRMSEs: error of the time mean, normalised",
  nrmse_g: "NRMSEg: error of the global mean, normalised",
  nrmse_total: "Total: NRMSEs + 5 NRMSEg",
  crps: "CRPS, fair",
  spread: "Ensemble spread",
  spread_skill: "Spread over skill",
};
/** Which measured score is the better one; a bias and a spread have no better. */
const better: Readonly<Record<string, (a: number, b: number) => number>> = {
  rmse: Math.min,
  mae: Math.min,
  acc: Math.max,
  pearson: Math.max,
  nrmse_s: Math.min,
  nrmse_g: Math.min,
  nrmse_total: Math.min,
  crps: Math.min,
};

/**
 * Tables for the eye: the best measured score of a variable and lead has a star, published rows stand last.
 *
 * @param width characters of a line; leads that do not fit go to further tables
 */
export function scoreTables(rows: readonly ReportRow[], width: number): ScoreTable[] {
  return unique(rows.map(({ metric }) => metric)).flatMap((metric) => {
    const ofMetric = rows.filter((row) => row.metric === metric);
    const leads = unique(ofMetric.map(({ lead_hours }) => lead_hours)).toSorted((a, b) => a - b);
    const variables = unique(ofMetric.map(({ variable }) => variable));
    const lines = variables.flatMap((variable) =>
      tableLines(ofMetric, variable, leads, decimals(rows, metric, variable)),
    );
    const counts = leads.map((lead) => `${count(ofMetric, lead)} `);
    const heading = ["variable", "system", ...leads.map((lead) => `${lead} h `)];
    const all = [heading, ...lines, ["forecasts", "", ...counts]];
    const widths = heading.map((_, c) => Math.max(...all.map((line) => line[c]!.length)));
    const room = Math.floor((width - widths[0]! - widths[1]! - 2) / (Math.max(...widths.slice(2)) + 2));
    return chunks(leads.length, Math.max(1, room)).map(([from, to]) => ({
      title: titles[metric] ?? metric,
      rows: all.map((line) => [...line.slice(0, 2), ...line.slice(2 + from, 2 + to)]),
      align: ["left", "left", ...Array<"right">(to - from).fill("right")],
    }));
  });
}

/** Lines of one variable, [variable, system, ...a score for each lead]. */
function tableLines(
  rows: readonly ReportRow[],
  variable: string,
  leads: readonly number[],
  places: number,
): string[][] {
  const own = rows.filter((row) => row.variable === variable);
  const [{ metric, units, definition }] = own as [ReportRow];
  const best = leads.map((lead) => {
    const values = own.flatMap(({ source, lead_hours, value }) =>
      source === "measured" && lead_hours === lead && value !== null ? [value] : [],
    );
    const choose = better[metric];
    return choose && values.length > 1 ? values.reduce((a, b) => choose(a, b)) : undefined;
  });
  return unique(own.map(({ system }) => system)).map((system, line) => {
    const scores = leads.map((lead) => own.find((row) => row.system === system && row.lead_hours === lead));
    const other = scores.find((row) => row !== undefined)!.definition;
    return [
      line > 0 ? "" : dimensionless.has(metric) ? variable : `${variable} [${units}]`,
      other === definition ? system : `${system}, ${other}`,
      ...scores.map((row, i) => {
        const star = row?.source === "measured" && row.value !== null && row.value === best[i];
        return `${format(row, places)}${star ? "*" : " "}`;
      }),
    ];
  });
}

/** The number of forecasts at a lead: one number, or the least and the most over variables. */
function count(rows: readonly ReportRow[], lead: number): string {
  const samples = rows.flatMap((row) =>
    row.lead_hours === lead && row.samples !== null ? [row.samples] : [],
  );
  const [least, most] = [Math.min(...samples), Math.max(...samples)];
  return samples.length === 0 ? "" : least === most ? String(least) : `${least}-${most}`;
}

/**
 * Decimals that give the largest error of a variable four digits, its bias being no finer; three for a correlation and a
 * ratio. Errors that were normalised are small where what they are divided by is: of temperatures in K, a thousandth.
 */
function decimals(rows: readonly ReportRow[], metric: string, variable: string): number {
  const normalised = metric.startsWith("nrmse");
  if (dimensionless.has(metric) && !normalised) return 3;
  const alike = (row: ReportRow) => (normalised ? row.metric === metric : !dimensionless.has(row.metric));
  const sizes = rows.flatMap((row) =>
    row.variable === variable && row.source === "measured" && alike(row) ? [Math.abs(row.value ?? 0)] : [],
  );
  const largest = Math.max(...sizes);
  const [least, digits] = normalised ? [3, 2] : [0, 3]; // three decimals as for a ratio, more where all are small
  return largest > 0 ? Math.max(least!, digits! - Math.floor(Math.log10(largest))) : 3;
}

/** Published as published; "-" where there is no value. */
function format(row: ReportRow | undefined, places: number): string {
  if (row?.value == null) return "-";
  return row.source === "measured" ? row.value.toFixed(places) : String(row.value);
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
  /** What the climatology baseline is; several, one after the other. */
  readonly climatology: string | null;
  /** Hours that forecasts and truth are means over; null: they are states at one time. */
  readonly average_hours: number | null;
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
