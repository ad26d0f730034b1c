/** What `climax evaluate` shows beside its scores, and how: published rows, facts, tables. */
import { bench } from "../eval/benches.ts";
import type { Run } from "../eval/run.ts";
import { type Grid, longitudeSeam } from "../grid/grid.ts";
import { type PublishedRow, publishedOf } from "../scores/published.ts";
import type { ReportRow, ScoreDocument } from "../scores/scoredocument.ts";
import { publishedBeside, scoreTables } from "../scores/tables.ts";
import type { Context } from "./command.ts";
import { table } from "./table.ts";

/**
 * The published rows to show: all that were asked for, else those that compare with what was measured.
 *
 * @param asked  `--published`, `--no-published`, or neither
 */
export function choosePublished(
  asked: boolean | undefined,
  { facts, statistics }: Run,
  measured: readonly ReportRow[],
  context: Context,
): ReportRow[] {
  if (asked === false) return [];
  const { synthetic } = facts;
  const { name, published, period } = bench(facts.bench);
  const resolution = columnSpacing(statistics.grid);
  const comparable = (row: PublishedRow) =>
    published === "same period" ||
    (row.definition === facts.definition && Math.abs(row.resolution - resolution) < 1e-3);
  const rows = publishedBeside(
    measured,
    publishedOf(name, facts.whole),
    (row) => asked === true || comparable(row),
  );
  if (rows.length === 0) return [];
  if (synthetic && asked === undefined) {
    context.info(
      "published scores are about real weather and do not compare with synthetic: see them with --published",
    );
    return [];
  }
  const otherPeriod = published === "same period" && !isPeriod(facts.validTimes, period);
  if (otherPeriod && asked === undefined) {
    context.info(`published scores of ${name} are about ${period}: see them with --published`);
    return [];
  }
  if (synthetic) {
    context.warn(
      "published scores are about real weather (ERA5, 2017-2018); they do not compare with synthetic",
    );
  }
  if (otherPeriod) context.warn(`published scores of ${name} are about ${period}`);
  return rows;
}

/** Degrees between columns: of a region, those next to one another. */
function columnSpacing({ lat, lon }: Grid): number {
  if (lon.length < 2) return Number.NaN;
  if (longitudeSeam({ lat, lon }).periodic) return 360 / lon.length;
  return Math.min(...lon.slice(1).map((east, i) => east - lon[i]!));
}

/** Whether first and last valid time lie in the first and last year of a period "2080..2100". */
const isPeriod = (times: readonly [string, string], period: string): boolean =>
  times.map((time) => time.slice(0, time.indexOf("-", 1))).join("..") === period;

/** Facts, a table for each metric, and the sources of published rows. */
export function printScores(document: ScoreDocument, context: Context): void {
  const width = process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : 100;
  const from = document.systems
    .filter(({ files }) => files.length > 0)
    .map(({ name, files }) => {
      const more = files.length > 1 ? ` and ${files.length - 1} more` : "";
      return `${name} (${files[0]}${more})`;
    });
  const facts = [
    ["bench", `${document.bench}, ${document.grid}`],
    ["forecasts", from.join(", ")],
    ["truth", document.truth.join(", ")],
    ...(document.average_hours === null
      ? []
      : [["means", `over ${document.average_hours} h from the valid time on`]]),
    ["dates", `initial ${short(document.initial_times)}, valid ${short(document.valid_times)}`],
    ["definition", `${document.definition.name}: ${document.definition.description}`],
    ...(document.anomalies === null ? [] : [["anomalies", `from ${document.anomalies}`]]),
    ...(document.climatology === null ? [] : [["climatology", document.climatology]]),
    ...(document.intervals === null ? [] : [["intervals", document.intervals.method]]),
    ...(document.synthetic
      ? [["synthetic", "SIMULATED WEATHER: these scores say nothing about the real atmosphere"]]
      : []),
  ];
  context.print(table(facts, { header: false, width }));
  for (const { heading, rows, align } of scoreTables(document, width)) {
    const title = table([[heading]], { header: false, width });
    context.print(`\n${title}\n${table(rows, { align, width })}`);
  }
  for (const source of new Set(
    document.rows.map((row) => row.source).filter((text) => text !== "measured"),
  )) {
    context.print(`\n${source}`);
  }
}

/** Minutes are enough for the eye. */
const short = (times: readonly string[]) => times.map((time) => time.slice(0, -3)).join(" to ");
