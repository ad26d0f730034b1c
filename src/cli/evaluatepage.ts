/** What `climax evaluate` shows beside its scores, and how: published rows, facts, tables. */
import { type CfTime, timeParts } from "../data/time.ts";
import type { Bench } from "../eval/benches.ts";
import type { Definition } from "../eval/definitions.ts";
import { type PublishedRow, publishedOf } from "../eval/published.ts";
import { publishedBeside, type ReportRow, type ScoreDocument, scoreTables } from "../eval/report.ts";
import type { ForecastSystem } from "../eval/systems.ts";
import type { Truth } from "../eval/truth.ts";
import { type Grid, longitudeSeam } from "../grid/grid.ts";
import type { Context } from "./command.ts";
import { table } from "./table.ts";

export interface PublishedOptions {
  /** `--published`, `--no-published`, or neither. */
  readonly asked: boolean | undefined;
  readonly bench: Bench;
  readonly definition: Definition;
  readonly grid: Grid;
  readonly region: string;
  /** First and last valid time. */
  readonly valid: readonly [CfTime, CfTime];
  readonly synthetic: boolean;
  readonly measured: readonly ReportRow[];
  readonly context: Context;
}

/** The published rows to show: all that were asked for, else those that compare with what was measured. */
export function choosePublished(options: PublishedOptions): ReportRow[] {
  const { asked, bench, definition, grid, region, synthetic, measured, context } = options;
  if (asked === false) return [];
  const resolution = columnSpacing(grid);
  const comparable = (row: PublishedRow) =>
    bench.published === "same period" ||
    (row.definition === definition.name && Math.abs(row.resolution - resolution) < 1e-3);
  const rows = publishedBeside(
    measured,
    publishedOf(bench.name, region),
    (row) => asked === true || comparable(row),
  );
  if (rows.length === 0) return [];
  if (synthetic && asked === undefined) {
    context.info(
      "published scores are about real weather and do not compare with synthetic: see them with --published",
    );
    return [];
  }
  const otherPeriod = bench.published === "same period" && !isPeriod(options.valid, bench.period);
  if (otherPeriod && asked === undefined) {
    context.info(`published scores of ${bench.name} are about ${bench.period}: see them with --published`);
    return [];
  }
  if (synthetic) {
    context.warn(
      "published scores are about real weather (ERA5, 2017-2018); they do not compare with synthetic",
    );
  }
  if (otherPeriod) context.warn(`published scores of ${bench.name} are about ${bench.period}`);
  return rows;
}

/** Degrees between columns: of a region, those next to one another. */
function columnSpacing({ lat, lon }: Grid): number {
  if (lon.length < 2) return Number.NaN;
  if (longitudeSeam({ lat, lon }).periodic) return 360 / lon.length;
  return Math.min(...lon.slice(1).map((east, i) => east - lon[i]!));
}

/** Whether first and last valid time lie in the first and last year of a period "2080..2100". */
function isPeriod([first, last]: readonly [CfTime, CfTime], period: string): boolean {
  return [first, last].map((time) => timeParts(time).year).join("..") === period;
}

/** Facts, a table for each metric, and the sources of published rows. */
export function printScores(
  document: ScoreDocument,
  systems: readonly ForecastSystem[],
  truth: Truth,
  context: Context,
): void {
  const width = process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : 100;
  const from = systems.map(({ name, paths }) => {
    const more = paths.length > 1 ? ` and ${paths.length - 1} more` : "";
    return `${name} (${paths[0]}${more})`;
  });
  const facts = [
    ["bench", `${document.bench}, ${document.grid}`],
    ["forecasts", from.join(", ")],
    ["truth", truth.path],
    ...(document.average_hours === null
      ? []
      : [["means", `over ${document.average_hours} h from the valid time on`]]),
    ["dates", `initial ${short(document.initial_times)}, valid ${short(document.valid_times)}`],
    ["definition", `${document.definition.name}: ${document.definition.description}`],
    ...(document.anomalies === null ? [] : [["anomalies", `from ${document.anomalies}`]]),
    ...(document.climatology === null ? [] : [["climatology", document.climatology]]),
    ...(document.synthetic
      ? [["synthetic", "SIMULATED WEATHER: these scores say nothing about the real atmosphere"]]
      : []),
  ];
  context.print(table(facts, { header: false, width }));
  for (const { title, rows, align } of scoreTables(document.rows, width)) {
    const starred = rows.some((row) => row.some((cell) => cell.endsWith("*")));
    const head = `${title} (definition ${document.definition.name}${starred ? "; * best measured" : ""})`;
    context.print(`\n${head}\n${table(rows, { align, width })}`);
  }
  for (const source of new Set(
    document.rows.map((row) => row.source).filter((text) => text !== "measured"),
  )) {
    context.print(`\n${source}`);
  }
}

/** Minutes are enough for the eye. */
const short = (times: readonly string[]) => times.map((time) => time.slice(0, -3)).join(" to ");
