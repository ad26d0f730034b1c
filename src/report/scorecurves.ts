/** Scores by lead as one picture: a panel for each metric and variable, a line with its confidence for each system. */
import { ClimaxError, unknownName } from "../errors.ts";
import { type LineChart, panels } from "../plot/chart.ts";
import { fieldTitle } from "../plot/words.ts";
import type { ScoreDocument } from "../scores/scoredocument.ts";
import { leadTicks, linesOf, seriesOf, valuedRows } from "./curves.ts";
import { indexScores, type Part, type ScoreIndex } from "./scoreindex.ts";
import { metricTitle, withUnit } from "./words.ts";

export interface CurveChoice {
  /** Default: rmse if it is there, else the first. */
  readonly metrics?: readonly string[] | undefined;
  /** Default: all that are scored. */
  readonly variables?: readonly string[] | undefined;
  readonly region?: string | undefined;
  readonly season?: string | undefined;
  readonly title?: string | undefined;
  readonly columns?: number | undefined;
  /** px of a panel; 360 unless given. */
  readonly width?: number | undefined;
}

/**
 * The picture as SVG.
 *
 * @throws ClimaxError "config" for a metric, variable, region or season that is not scored
 */
export function scoreCurves(document: ScoreDocument, choice: CurveChoice): string {
  const index = indexScores(document);
  if (index.parts.length === 0) {
    throw new ClimaxError(
      "data",
      "there is no score to draw: nothing was measured",
      "evaluate a forecast first",
    );
  }
  const part = partOf(index, choice);
  const metrics = choice.metrics?.map((name) => one("metric", name, index.metrics)) ?? [
    index.metrics.includes("rmse") ? "rmse" : index.metrics[0]!,
  ];
  const scored = [...new Set(metrics.flatMap((metric) => index.variables(metric)))];
  const variables = choice.variables?.map((name) => one("variable", name, scored)) ?? scored;
  const charts = metrics.flatMap((metric) =>
    variables.flatMap((variable) => chartOf(index, metric, variable, part) ?? []),
  );
  if (charts.length === 0) {
    throw new ClimaxError(
      "data",
      `no score of ${metrics.join(", ")} of ${variables.join(", ")} has a value`,
      "choose others with --metric and --variable",
    );
  }
  return panels({
    title: choice.title ?? titleOf(metrics, part, document),
    subtitle: subtitleOf(document),
    // The legend is that of the first: names that have no line anywhere are left out of all.
    charts: withoutEmpty(charts),
    columns: choice.columns ?? Math.min(charts.length, 3),
    ...(choice.width === undefined ? {} : { width: choice.width, height: Math.round(choice.width * 0.83) }),
  });
}

function one(what: string, name: string, known: readonly string[]): string {
  return known.includes(name) ? name : unknownName(what, name, known);
}

function partOf(index: ScoreIndex, { region, season }: CurveChoice): Part {
  const [main] = index.parts as [Part];
  const unique = (key: keyof Part) => [...new Set(index.parts.map((part) => part[key]))];
  const wanted = {
    region: region === undefined ? main.region : one("region", region, unique("region")),
    season: season === undefined ? main.season : one("season", season, unique("season")),
  };
  const found = index.parts.find((part) => part.region === wanted.region && part.season === wanted.season);
  if (found) return found;
  throw new ClimaxError(
    "config",
    `there are no scores of ${wanted.region} in ${wanted.season}`,
    "choose another --region or --season",
  );
}

function chartOf(index: ScoreIndex, metric: string, variable: string, part: Part): LineChart | undefined {
  const found = linesOf(index).map((line) => {
    return { line, rows: valuedRows(index, line.name, { ...part, metric, variable }) };
  });
  const rows = found.flatMap(({ rows }) => rows);
  if (rows.length === 0) return undefined;
  const leads = [...new Set(rows.map(({ lead_hours }) => lead_hours))];
  return {
    title: fieldTitle(variable),
    x: { label: "lead [h]", ticks: leadTicks(leads) },
    y: { label: withUnit(metricTitle(metric), rows[0]!.units) },
    series: found.map(({ line, rows }) => seriesOf(line, rows)),
  };
}

function withoutEmpty(charts: readonly LineChart[]): LineChart[] {
  const drawn = charts[0]!.series.map((_, i) => charts.some(({ series }) => series[i]!.points.length > 0));
  return charts.map((chart) => ({ ...chart, series: chart.series.filter((_, i) => drawn[i]) }));
}

function titleOf(metrics: readonly string[], { region, season }: Part, { bench }: ScoreDocument): string {
  const words = metrics.map(metricTitle).join(" and ");
  const where = region.toLowerCase() === "global" ? "" : `, ${region}`;
  return `${words}${where}${season === "all" ? "" : `, ${season}`}${bench === "" ? "" : ` (${bench})`}`;
}

function subtitleOf({ definition, initial_times, intervals, synthetic }: ScoreDocument): string {
  const times = initial_times.map((time) => time.replace("T", " ").replace(/:00$/, "")).join(" to ");
  return [
    synthetic ? "SYNTHETIC weather, simulated" : "",
    `definition ${definition.name}`,
    `from ${times}`,
    intervals ? `shaded: ${Math.round(100 * intervals.level)} % confidence` : "",
  ]
    .filter((part) => part !== "")
    .join("; ");
}
