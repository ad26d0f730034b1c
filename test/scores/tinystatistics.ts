/** Statistics by hand, on 2 x 2 points. */
import { type CfTime, parseTime } from "../../src/data/time.ts";
import { makeGrid } from "../../src/grid/grid.ts";
import { definition } from "../../src/scores/definitions.ts";
import type { Cells } from "../../src/scores/metric.ts";
import type { ReduceOptions } from "../../src/scores/reduce.ts";
import type { LeadStatistics, Series, Statistics } from "../../src/scores/statistics.ts";

export const tinyGrid = makeGrid([-60, 0], [0, 180]);

/** All four points, each with its weight under cos(latitude): 2/3 and 4/3. */
export const wholeGlobe: Cells = {
  grid: tinyGrid,
  weights: Float64Array.of(2 / 3, 2 / 3, 4 / 3, 4 / 3),
  inside: Int32Array.of(0, 1, 2, 3),
};

/** One number of each forecast and its count, as of a metric that is a mean; undefined: it does not count. */
export function seriesOf(
  system: string,
  metric: string,
  numbers: readonly (number | undefined)[],
  region = "global",
): Series {
  const values = numbers.flatMap((x) => (x === undefined ? [Number.NaN, Number.NaN] : [x, 1]));
  return { system, metric, region, size: 2, values: Float64Array.from(values) };
}

/** Times every so many hours from the first of January 2018, or from another day. */
export function every(hours: number, count: number, from = "2018-01-01"): CfTime[] {
  const { calendar, seconds } = parseTime(from, "standard");
  return Array.from({ length: count }, (_, i) => ({ calendar, seconds: seconds + i * hours * 3600 }));
}

export function leadOf(valid: readonly CfTime[], more: Partial<LeadStatistics>): LeadStatistics {
  const leadHours = more.leadHours ?? 24;
  const initial = valid.map(({ calendar, seconds }) => ({ calendar, seconds: seconds - leadHours * 3600 }));
  const nothing = { series: [], cells: [], profiles: [] };
  return { variable: "2m_temperature", leadHours, initial, valid, ...nothing, ...more };
}

/** Systems, metrics and regions as they come in the leads, unless given. */
export function statisticsOf(leads: readonly LeadStatistics[], more: Partial<Statistics> = {}): Statistics {
  const all = leads.flatMap(({ series, cells, profiles }) => [...series, ...cells, ...profiles]);
  const systems = [...new Set(all.map(({ system }) => system))];
  const metrics = [...new Set(all.map(({ metric }) => metric))].filter((name) => name !== "maps");
  return { grid: tinyGrid, systems, metrics, regions: ["global"], leads, ...more };
}

export const reduceOptions = (more: Partial<ReduceOptions> = {}): ReduceOptions => ({
  definition: definition("weatherbench2"),
  members: new Map(),
  units: new Map([["2m_temperature", "K"]]),
  regions: [{ name: "global", cells: wholeGlobe }],
  seasons: ["all"],
  versus: undefined,
  bootstrap: undefined,
  synthetic: false,
  ...more,
});
