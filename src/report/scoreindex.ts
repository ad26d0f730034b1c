/** Scores by what they are of: the rows of a document, found by system, metric, variable, lead, region and season. */
import type { DifferenceRow, ReportRow, ScoreDocument } from "../scores/scoredocument.ts";

/** A part of the cases that is scored by itself. */
export interface Part {
  readonly region: string;
  /** "all", or a season. */
  readonly season: string;
}

/** One score of one system. */
export interface Place extends Part {
  readonly metric: string;
  readonly variable: string;
  readonly lead: number;
}

export interface ScoreIndex {
  /** Measured systems and baselines, in the order of the tables. */
  readonly systems: readonly string[];
  /** Those with forecasts of their own. */
  readonly forecasts: readonly string[];
  /** Names of what is only quoted. */
  readonly published: readonly string[];
  /** In the order of the rows, as are the variables. */
  readonly metrics: readonly string[];
  /** Hours, ascending. */
  readonly leads: readonly number[];
  /** The part that speaks for all first: the globe, or the first region there is, over all seasons. */
  readonly parts: readonly Part[];
  /** Measured variables of a metric. */
  variables(metric: string): readonly string[];
  row(system: string, place: Place): ReportRow | undefined;
  /** A system against `versus`. */
  difference(system: string, place: Place): DifferenceRow | undefined;
}

/** The index of a document; one pass over its rows. */
export function indexScores(document: ScoreDocument): ScoreIndex {
  const { rows, systems, versus } = document;
  const measured = rows.filter(({ source }) => source === "measured");
  const places = new Map(rows.map((row) => [keyOf(row.system, placeOf(row)), row]));
  const differences = new Map(
    document.differences.flatMap((row) =>
      row.versus === versus ? [[keyOf(row.system, placeOf(row)), row] as const] : [],
    ),
  );
  const regions = unique(measured.map(({ region }) => region));
  const main = regions.find((region) => region.toLowerCase() === "global") ?? regions[0];
  const seasons = unique(["all", ...measured.map(({ season }) => season)]);
  const parts = [
    ...regions.filter((region) => region === main),
    ...regions.filter((region) => region !== main),
  ];
  const known = new Set(measured.map(({ region, season }) => `${region} ${season}`));
  const variables = new Map<string, string[]>();
  for (const { metric, variable } of measured) {
    const own = variables.get(metric) ?? [];
    if (!own.includes(variable)) variables.set(metric, [...own, variable]);
  }
  const scored = unique(measured.map(({ system }) => system));
  return {
    // Of a document without its list of systems, the rows name them.
    systems: unique([...systems.map(({ name }) => name), ...scored]).filter((name) => scored.includes(name)),
    forecasts: systems.flatMap(({ name, files }) =>
      files.length > 0 && scored.includes(name) ? [name] : [],
    ),
    published: unique(rows.flatMap(({ system, source }) => (source === "measured" ? [] : [system]))),
    metrics: unique(measured.map(({ metric }) => metric)),
    leads: unique(measured.map(({ lead_hours }) => lead_hours)).toSorted((a, b) => a - b),
    parts: seasons.flatMap((season) =>
      parts.flatMap((region) => (known.has(`${region} ${season}`) ? [{ region, season }] : [])),
    ),
    variables: (metric) => variables.get(metric) ?? [],
    row: (system, place) => places.get(keyOf(system, place)),
    difference: (system, place) => differences.get(keyOf(system, place)),
  };
}

const placeOf = (row: ReportRow | DifferenceRow): Place => ({
  metric: row.metric,
  variable: row.variable,
  lead: row.lead_hours,
  region: row.region,
  season: row.season,
});

// No name on any system of files holds a NUL.
const keyOf = (system: string, { metric, variable, lead, region, season }: Place) =>
  `${system}\0${metric}\0${variable}\0${lead}\0${region}\0${season}`;

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
