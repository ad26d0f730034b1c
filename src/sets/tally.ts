// What is learnt of a variable while its states are written: moments over train, range, and what was missing.

import type { ArchiveVariable } from "../data/archive.ts";
import { type CfTime, timeParts } from "../data/time.ts";
import type { StatisticsKind } from "./manifest.ts";
import {
  addToYear,
  type Moments,
  mergeMoments,
  noMoments,
  referenceStatistics,
  standardDeviation,
  type YearMoments,
} from "./statistics.ts";

/** A field to store. `read` gives [H, W] in `units`, NaN where missing. */
export type SetField = Pick<ArchiveVariable, "name" | "info" | "units" | "constant" | "read" | "attributes">;

export interface Tally {
  /** Of train; of a constant, over the grid. */
  moments: Moments;
  /** The same by calendar year without 366th days; only where statistics are to be ClimaX's. */
  years: YearMoments[];
  /** Range over all splits. */
  min: number;
  max: number;
  /** Values that were missing, and when the first was. */
  missing: number;
  firstMissing: string;
  /** Of float16: the most that storing changed a value, in the field's units. */
  error: number;
}

export function startTally(): Tally {
  return {
    moments: noMoments(),
    years: [],
    min: Infinity,
    max: -Infinity,
    missing: 0,
    firstMissing: "",
    error: 0,
  };
}

/** Notes the moments of a field. @param time  of a state of train, where years are kept apart */
export function count(tally: Tally, moments: Moments, train: boolean, time: CfTime | undefined): void {
  tally.min = Math.min(tally.min, moments.min);
  tally.max = Math.max(tally.max, moments.max);
  if (!train) return;
  tally.moments = mergeMoments(tally.moments, moments);
  if (!time) return;
  const { year, dayOfYear } = timeParts(time);
  if (dayOfYear <= 365) addToYear(tally.years, year, moments);
}

/** Mean and std of a variable, by either kind. @throws RangeError without a value */
export function statisticsOf(
  { moments, years }: Pick<Tally, "moments" | "years">,
  { info, constant }: Pick<SetField, "info" | "constant">,
  kind: StatisticsKind,
): { mean: number; std: number } {
  const kept = years.filter((year) => year.moments.count > 0);
  if (kind === "train" || constant || kept.length === 0)
    return { mean: moments.mean, std: standardDeviation(moments).std };
  return referenceStatistics(kept, {
    onPressure: info.levels === "pressure",
    precipitation: info.name === "total_precipitation",
  });
}

/** What two parts of the states have taught, the first and then the second. */
export function mergeTallies(a: Tally, b: Tally): Tally {
  const years = a.years.map((year) => ({ ...year }));
  for (const { year, moments } of b.years) addToYear(years, year, moments);
  return {
    moments: mergeMoments(a.moments, b.moments),
    years,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
    missing: a.missing + b.missing,
    firstMissing: a.firstMissing || b.firstMissing,
    error: Math.max(a.error, b.error),
  };
}
