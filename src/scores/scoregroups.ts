/** The scores of a document as tables show them: one group for each metric, region and season. */
import { ClimaxError } from "../errors.ts";
import type { MetricInfo } from "./metric.ts";
import { metricInfo } from "./metrics.ts";
import type { DifferenceRow, ReportRow, ScoreDocument } from "./scoredocument.ts";

/** What tables show of a document. */
export type Tabled = Pick<ScoreDocument, "rows" | "differences" | "versus" | "intervals">;

/** A score as it is shown. */
export interface ShownScore {
  readonly row: ReportRow;
  /** Rounded; as published where it was published. */
  readonly text: string;
  /** Confidence limits with as many decimals. */
  readonly limits: readonly [low: string, high: string] | undefined;
  /** Whether it is the best measured one, of several. */
  readonly best: boolean;
  /** Against the document's `versus`, where the paired difference says so. */
  readonly verdict: "better" | "worse" | undefined;
}

export interface ScoreGroup {
  readonly metric: string;
  readonly region: string;
  readonly season: string;
  /** "RMSE", and the region and season where they are not the globe and all seasons. */
  readonly title: string;
  /** That of the measured scores. */
  readonly definition: string;
  /** Hours, ascending. */
  readonly leads: readonly number[];
  readonly variables: readonly GroupVariable[];
  /** The number of forecasts at a lead: "730", the least and the most over variables, or "". */
  samples(lead: number): string;
}

export interface GroupVariable {
  readonly name: string;
  readonly units: string;
  /** With its unit where the score has one: "2m_temperature [K]". */
  readonly label: string;
  /** Measured, then published. */
  readonly systems: readonly { readonly name: string; readonly label: string; readonly measured: boolean }[];
  /** undefined: no such score. One without a value is there, as "-". */
  score(system: string, lead: number): ShownScore | undefined;
}

/** The metric of that name; undefined for one that this version does not know, as in a document of another. */
function knownMetric(name: string): MetricInfo | undefined {
  try {
    return metricInfo(name);
  } catch (error) {
    if (error instanceof ClimaxError) return undefined;
    throw error;
  }
}

/** In the order of the rows. */
export function scoreGroups(document: Tabled): ScoreGroup[] {
  const groups = new Map<string, ReportRow[]>();
  for (const row of document.rows) {
    const key = [row.metric, row.region, row.season].join("\n");
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  const verdicts = new Map(
    document.differences
      .filter(({ versus }) => versus === document.versus)
      .map((row) => [keyOf(row), row.better]),
  );
  const allDecimals = decimalsOf(document.rows);
  return [...groups.values()].map((rows) => {
    const [{ metric, region, season }] = rows as [ReportRow];
    const measured = rows.filter(({ source }) => source === "measured");
    const title = [
      knownMetric(metric)?.title ?? metric,
      ...(region === "global" ? [] : [region]),
      ...(season === "all" ? [] : [season]),
    ];
    const definition = (measured[0] ?? rows[0]!).definition;
    return {
      ...{ metric, region, season, title: title.join(", "), definition },
      leads: unique(rows.map(({ lead_hours }) => lead_hours)).toSorted((a, b) => a - b),
      variables: unique(rows.map(({ variable }) => variable)).map((name) => {
        const own = rows.filter(({ variable }) => variable === name);
        return groupVariable(own, definition, allDecimals.get(`${metric} ${name}`) ?? 3, verdicts);
      }),
      samples(lead) {
        const counts = measured.flatMap((row) => (row.lead_hours === lead ? [row.samples ?? 0] : []));
        const [least, most] = [Math.min(...counts), Math.max(...counts)];
        return counts.length === 0 ? "" : least === most ? String(least) : `${least}-${most}`;
      },
    };
  });
}

function groupVariable(
  rows: readonly ReportRow[],
  definition: string,
  places: number,
  verdicts: ReadonlyMap<string, DifferenceRow["better"]>,
): GroupVariable {
  const [{ metric, variable: name, units }] = rows as [ReportRow];
  const better = knownMetric(metric)?.better;
  const best = new Map<number, number>();
  for (const lead of unique(rows.map(({ lead_hours }) => lead_hours))) {
    const values = rows.flatMap((row) =>
      row.source === "measured" && row.lead_hours === lead && row.value !== null ? [row.value] : [],
    );
    if (better !== undefined && values.length > 1) best.set(lead, bestOf(values, better));
  }
  const byPlace = new Map(rows.map((row) => [`${row.system}\n${row.lead_hours}`, row]));
  return {
    name,
    units,
    label: units === "1" || units === "" ? name : `${name} [${units}]`,
    systems: unique(rows.map(({ system }) => system)).map((system) => {
      const row = rows.find((one) => one.system === system)!;
      const label = row.definition === definition ? system : `${system}, ${row.definition}`;
      return { name: system, label, measured: row.source === "measured" };
    }),
    score(system, lead) {
      const row = byPlace.get(`${system}\n${lead}`);
      if (row === undefined) return undefined;
      const measured = row.source === "measured";
      const winner = verdicts.get(keyOf(row));
      return {
        row,
        text: row.value === null ? "-" : measured ? fixed(row.value, places) : String(row.value),
        limits:
          row.low === null || row.high === null
            ? undefined
            : [fixed(row.low, places), fixed(row.high, places)],
        best: measured && row.value !== null && row.value === best.get(lead),
        verdict:
          !measured || (winner !== "system" && winner !== "versus")
            ? undefined
            : winner === "system"
              ? "better"
              : "worse",
      };
    },
  };
}

/** Without the sign of a zero. */
const fixed = (value: number, places: number) => value.toFixed(places).replace(/^-(?=[0.]+$)/, "");

function bestOf(values: readonly number[], better: NonNullable<MetricInfo["better"]>): number {
  if (better === "low") return Math.min(...values);
  if (better === "high") return Math.max(...values);
  return values.reduce((a, b) => (Math.abs(b) < Math.abs(a) ? b : a));
}

const keyOf = (row: ReportRow | DifferenceRow) =>
  [row.system, row.metric, row.variable, row.lead_hours, row.region, row.season].join("\n");

/**
 * Decimals by metric and variable: they give the largest error of a variable four digits, its bias being no finer;
 * three for a score without a unit, more where all of them are small, as errors that were divided by 288 K.
 */
function decimalsOf(rows: readonly ReportRow[]): Map<string, number> {
  const unitOf = new Map(
    unique(rows.map(({ metric }) => metric)).map((metric) => [metric, knownMetric(metric)?.unit]),
  );
  // Errors in the unit of the variable share their decimals, whatever the metric.
  const scaleOf = ({ metric, variable }: ReportRow) =>
    unitOf.get(metric) === "variable" ? `\n${variable}` : `${metric}\n${variable}`;
  const largest = new Map<string, number>();
  for (const row of rows) {
    if (row.source !== "measured" || row.value === null) continue;
    const scale = scaleOf(row);
    largest.set(scale, Math.max(largest.get(scale) ?? 0, Math.abs(row.value)));
  }
  return new Map(
    rows.map((row) => {
      const size = largest.get(scaleOf(row)) ?? 0;
      const [least, digits] = row.units === "1" ? [3, 2] : [0, 3];
      const places = size > 0 ? Math.max(least!, digits! - Math.floor(Math.log10(size))) : 3;
      return [`${row.metric} ${row.variable}`, Math.min(places, 20)];
    }),
  );
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
