/**
 * Rain of a forecast: the file may hold what has fallen since the initial time (the IFS, and ai-models), where scores are
 * of what falls in 6, 12 or 24 hours. What the numbers are sums over is taken from the file, else from its numbers.
 */
import { text } from "../data/recognise.ts";
import type { CfTime } from "../data/time.ts";
import type { DatasetVariable } from "../files/dataset.ts";
import type { ForecastField } from "./forecastfile.ts";

/** What a number of rain is the sum over. */
export type RainSum =
  | { readonly over: "since the initial time"; readonly because: "says" | "values" }
  | { readonly over: "hours"; readonly hours: number }
  | { readonly over: "unknown" };

/** By the first letter of what an interval may be counted in. */
const hoursIn: Readonly<Record<string, number>> = { d: 24, h: 1, m: 1 / 60, s: 1 / 3600 };

/** What the cell methods say: "time: sum (interval: 6 hours)", "time: sum (comment: since the initial time)". */
function statedSum({ attributes }: DatasetVariable): RainSum {
  const sum = /\b\w+: sum\b[^()]*(?:\(([^)]*)\))?/.exec(text(attributes, "cell_methods"));
  if (!sum) return { over: "unknown" };
  if (/since the initial time/.test(sum[1] ?? "")) return { over: "since the initial time", because: "says" };
  const interval = /\binterval(?::| of) ?([\d.]+) ?(d|h|min|s)/.exec(sum[1] ?? "");
  if (!interval) return { over: "unknown" };
  return { over: "hours", hours: Number(interval[1]) * hoursIn[interval[2]![0]!]! };
}

/** Leads that are looked at. */
const looked = 6;
/** Metres: below what packing leaves of a sum of rain. */
const least = 1e-5;

/**
 * What a file's total precipitation is the sum over. Where it does not say, the first forecast is read: what never falls
 * from lead to lead is a sum since the initial time.
 */
export async function rainSum(
  variable: DatasetVariable,
  field: ForecastField,
  leads: readonly number[],
): Promise<RainSum> {
  const stated = statedSum(variable);
  if (stated.over !== "unknown") return stated;
  const ascending = leads
    .map((lead, j) => ({ lead, j }))
    .filter(({ j, lead }) => lead > 0 && field.has(0, j))
    .toSorted((a, b) => a.lead - b.lead)
    .slice(0, looked);
  if (ascending.length < 3) return stated;
  let before: Float32Array | undefined;
  let [falls, rises, count] = [0, 0, 0];
  for (const { j } of ascending) {
    const now = await field.read(0, j);
    for (let i = 0; before && i < now.length; i++) {
      const more = now[i]! - before[i]!;
      if (Number.isNaN(more)) continue;
      count++;
      if (more < -least) falls++;
      if (more > least) rises++;
    }
    before = now;
  }
  // Where it rains, the rain of single hours falls from one to the next in nearly half of all places.
  const since = rises > 0 && falls < 1e-3 * rises;
  return count > 0 && since ? { over: "since the initial time", because: "values" } : stated;
}

/** Sums that have a name of their own, hours: ERA5's total_precipitation is of one hour. */
export const rainNames: ReadonlyMap<number, string> = new Map([
  [1, "total_precipitation"],
  ...[6, 12, 24].map((hours) => [hours, `total_precipitation_${hours}hr`] as const),
]);

/**
 * Fields of what falls in 1, 6, 12 and 24 hours up to each lead, from sums since the initial time; those alone that the
 * leads of the file give.
 */
export function rainSince(
  field: ForecastField,
  initial: readonly CfTime[],
  leads: readonly number[],
): Map<string, ForecastField> {
  const at = new Map(leads.map((lead, j) => [lead, j]));
  const made = new Map<string, ForecastField>();
  for (const [hours, name] of rainNames) {
    /** The lead from which on it is counted: none for the initial time, when nothing has fallen. */
    const beginning = (j: number) => (leads[j] === hours ? "initial time" : at.get(leads[j]! - hours));
    const presence = {
      has(i: number, j: number) {
        const from = beginning(j);
        return field.has(i, j) && from !== undefined && (from === "initial time" || field.has(i, from));
      },
    };
    if (!initial.some((_, i) => leads.some((_, j) => presence.has(i, j)))) continue;
    made.set(name, {
      ...{ units: field.units, members: field.members, presence },
      has: presence.has,
      async read(i, j, member) {
        const from = beginning(j);
        const sum = await field.read(i, j, member);
        if (typeof from !== "number") return sum;
        const before = await field.read(i, from, member);
        return sum.map((value, cell) => value - before[cell]!);
      },
    });
  }
  return made;
}
