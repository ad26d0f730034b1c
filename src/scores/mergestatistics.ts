/** The statistics of the shares of one run, put together as if one process had measured it. */
import { type CfTime, formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { sameGrid } from "../grid/grid.ts";
import { addTo, settle } from "./compensated.ts";
import type { CellSums, LeadStatistics, ProfileSums, Series, Statistics } from "./statistics.ts";

/**
 * Merges shares of one run, given in any order: rows are put in order of initial time, sums are added with what rounding
 * left over.
 *
 * @throws ClimaxError "config" for statistics of different runs, and for a forecast that two of them hold
 */
export function mergeStatistics(parts: readonly Statistics[]): Statistics {
  const [first, ...others] = parts as [Statistics, ...Statistics[]];
  for (const other of others) checkPlan(first, other);
  return {
    ...first,
    leads: first.leads.map((_, i) => mergeLeads(parts.map(({ leads }) => leads[i]!))),
  };
}

function mergeLeads(parts: readonly LeadStatistics[]): LeadStatistics {
  const [first] = parts as [LeadStatistics, ...LeadStatistics[]];
  const order = parts
    .flatMap(({ initial, valid }, part) =>
      initial.map((time, row) => ({ part, row, initial: time, valid: valid[row]! })),
    )
    .toSorted((a, b) => a.initial.seconds - b.initial.seconds);
  for (const [i, { initial }] of order.entries()) {
    if (initial.seconds === order[i - 1]?.initial.seconds) refuseTwice(first, initial);
  }
  return {
    ...first,
    initial: order.map(({ initial }) => initial),
    valid: order.map(({ valid }) => valid),
    series: first.series.map(({ size, ...of }, i) => {
      const values = new Float64Array(size * order.length);
      for (const [to, { part, row }] of order.entries()) {
        const from = parts[part]!.series[i]!.values;
        for (let k = 0; k < size; k++) values[to * size + k] = from[row * size + k]!;
      }
      return { ...of, size, values };
    }),
    cells: first.cells.map((_, i) => addSums(parts.map(({ cells }) => cells[i]!))),
    profiles: first.profiles.map((_, i) => addSums(parts.map(({ profiles }) => profiles[i]!))),
  };
}

function addSums<T extends CellSums | ProfileSums>(parts: readonly T[]): T {
  const [first] = parts as [T, ...T[]];
  const sums = new Float64Array(first.sums.length);
  const rest = new Float64Array(first.sums.length);
  for (const part of parts) {
    addTo(sums, rest, part.sums);
    for (let i = 0; i < rest.length; i++) rest[i]! += part.rest[i]!;
  }
  settle(sums, rest);
  return { ...first, sums, rest, forecasts: parts.reduce((sum, { forecasts }) => sum + forecasts, 0) };
}

function refuseTwice({ variable, leadHours }: LeadStatistics, initial: CfTime): never {
  throw new ClimaxError(
    "config",
    `the forecast of ${variable} from ${formatTime(initial)} for ${leadHours} h is in two of the parts`,
    "give each share of a run once",
  );
}

/** What shares of one run have in common, in words. */
function planOf({ systems, metrics, regions, leads }: Statistics): Record<string, string> {
  const list = (of: readonly { readonly system: string; readonly metric: string; readonly size: number }[]) =>
    of
      .map((one) => `${one.system} ${one.metric} ${(one as Partial<Series>).region ?? ""} ${one.size}`)
      .join();
  return {
    systems: systems.join(", "),
    metrics: metrics.join(", "),
    regions: regions.join(", "),
    "variables and leads": leads.map(({ variable, leadHours }) => `${variable} ${leadHours} h`).join(", "),
    numbers: leads.map(({ series, cells, profiles }) => [series, cells, profiles].map(list).join()).join(),
  };
}

function checkPlan(a: Statistics, b: Statistics): void {
  const [one, other] = [planOf(a), planOf(b)];
  const key = Object.keys(one).find((key) => one[key] !== other[key]);
  const what = sameGrid(a.grid, b.grid, 0) ? key : "grids";
  if (what === undefined) return;
  const found = what === "grids" || what === "numbers" ? "" : `: ${one[what]}; and ${other[what]}`;
  throw new ClimaxError(
    "config",
    `the parts are of two runs: they have other ${what}${found}`,
    "merge the shares of one run, made with the same command line and files",
  );
}
