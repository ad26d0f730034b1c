/**
 * Climatologies of a prepared set's training split: the mean state, the mean of each week of the year, and a
 * smoothed mean for each day of the year and time of day. Made in one pass when first asked for, then kept.
 */
import { ClimaxError, unknownName } from "../errors.ts";
import type { PreparedSet } from "./prepared.ts";
import { addHours, type Calendar, type CfTime, timeParts } from "./time.ts";

export const climatologyKinds = ["mean", "weekly", "dayofyear"] as const;
export type ClimatologyKind = (typeof climatologyKinds)[number];

/** What is usual at a time of the year. */
export interface SeasonalClimatology {
  /**
   * The usual state [H * W] at a valid time, in the variable's ClimaX units. The same array may come again: do not write to it.
   *
   * @throws ClimaxError "data" for a time of the year or of the day that the training period does not have, or
   *         another calendar
   */
  field(validTime: CfTime): Float32Array;
}

const made = new WeakMap<PreparedSet, Map<string, Promise<SeasonalClimatology>>>();

/**
 * The climatology of one variable over the training split.
 *
 *   mean       over all states
 *   weekly     over each week of the year, as WeatherBench 1. Weeks are counted from 1 January in every calendar, the
 *              52nd takes the days that are left (WeatherBench 1 counts ISO weeks, which begin up to three days off)
 *   dayofyear  for each day of the year and time of day, smoothed over days by a triangular window of 61 days, as
 *              WeatherBench 2: weight 1 - |days| / 30, round the turn of the year; a year without a day 366 gives its
 *              last day there too, so that every year counts alike
 *
 * Memory: one field for each week, or for each day of the year and time of day (6-hourly at 5.625 degrees: 12 MB),
 * whatever the number of years. A variable is read once; asked for again, the same climatology comes.
 *
 * @throws ClimaxError "config" for a variable that the set does not have
 */
export async function makeClimatology(
  set: PreparedSet,
  kind: ClimatologyKind,
  variable: string,
): Promise<SeasonalClimatology> {
  const names = set.variables.map(({ name }) => name);
  if (!names.includes(variable)) return unknownName("variable", variable, names);
  let ofSet = made.get(set);
  if (!ofSet) made.set(set, (ofSet = new Map()));
  const key = `${kind} ${variable}`;
  let climatology = ofSet.get(key);
  if (!climatology) ofSet.set(key, (climatology = makers[kind](set, variable)));
  return climatology;
}

const makers: Record<ClimatologyKind, (set: PreparedSet, variable: string) => Promise<SeasonalClimatology>> =
  {
    mean: async (set, variable) => {
      const mean = set.climatology(variable);
      return { field: () => mean };
    },
    weekly: weeklyMeans,
    dayofyear: dayOfYearMeans,
  };

/** 0 to 51. */
const weekOf = (time: CfTime) => Math.min(51, Math.floor((timeParts(time).dayOfYear - 1) / 7));

async function weeklyMeans(set: PreparedSet, variable: string): Promise<SeasonalClimatology> {
  const { times, read } = set.split("train");
  const sums = new Map<number, { count: number; sum: Float64Array }>();
  for (const [step, time] of times.entries()) {
    const state = await read(step, [variable]);
    const week = weekOf(time);
    let held = sums.get(week);
    if (!held) sums.set(week, (held = { count: 0, sum: new Float64Array(state.length) }));
    held.count++;
    for (let i = 0; i < state.length; i++) held.sum[i]! += state[i]!;
  }
  const means = new Map(
    [...sums].map(([week, { count, sum }]) => [week, Float32Array.from(sum, (x) => x / count)]),
  );
  return {
    field(validTime) {
      checkCalendar(set, validTime);
      const week = weekOf(validTime);
      return means.get(week) ?? uncovered(set, "weekly", `in week ${week + 1} of the year`);
    },
  };
}

/** Days on each side that have a weight: the window of 61 days has none at its two ends. */
const reach = 29;

async function dayOfYearMeans(set: PreparedSet, variable: string): Promise<SeasonalClimatology> {
  const { times, read } = set.split("train");
  const days = longestYear(set.manifest.calendar);
  // Sums are of differences from the mean state, so that float32, half the memory, loses nothing that matters.
  const mean = set.climatology(variable);
  const clocks = new Map<number, Map<number, { count: number; sum: Float32Array }>>();
  for (const [step, time] of times.entries()) {
    const state = await read(step, [variable]);
    const clock = minuteOfDay(time);
    let byDay = clocks.get(clock);
    if (!byDay) clocks.set(clock, (byDay = new Map()));
    for (const day of daysFilledBy(time, days)) {
      let held = byDay.get(day);
      if (!held) byDay.set(day, (held = { count: 0, sum: new Float32Array(state.length) }));
      held.count++;
      for (let i = 0; i < state.length; i++) held.sum[i]! += state[i]! - mean[i]!;
    }
  }
  return {
    field(validTime) {
      checkCalendar(set, validTime);
      const day = timeParts(validTime).dayOfYear;
      const clock = minuteOfDay(validTime);
      const byDay = clocks.get(clock) ?? uncovered(set, "dayofyear", `at ${clockText(clock)}`);
      const sum = new Float64Array(mean.length);
      let total = 0;
      for (let offset = -reach; offset <= reach; offset++) {
        const held = byDay.get(((day - 1 + offset + days) % days) + 1);
        if (!held) continue;
        const weight = 1 - Math.abs(offset) / (reach + 1);
        total += weight * held.count;
        for (let i = 0; i < sum.length; i++) sum[i]! += weight * held.sum[i]!;
      }
      if (total === 0) uncovered(set, "dayofyear", `within ${reach} days of day ${day} of the year`);
      return Float32Array.from(sum, (x, i) => mean[i]! + x / total);
    },
  };
}

/** Days in the calendar's longest year. */
function longestYear(calendar: Calendar): number {
  if (calendar === "360_day") return 360;
  return calendar === "noleap" ? 365 : 366;
}

/** The days of the year that a state stands for: its own, and those that its year ends without. */
function daysFilledBy(time: CfTime, days: number): number[] {
  const { year, dayOfYear } = timeParts(time);
  const isLast = timeParts(addHours(time, 24)).year !== year;
  const end = isLast ? days : dayOfYear;
  return Array.from({ length: end - dayOfYear + 1 }, (_, i) => dayOfYear + i);
}

/** A few milliseconds off the full minute are rounding of the file's own time. */
function minuteOfDay(time: CfTime): number {
  const { hour, minute, second } = timeParts(time);
  return (hour * 60 + minute + Math.round(second / 60)) % 1440;
}

const clockText = (minutes: number) =>
  [Math.floor(minutes / 60), minutes % 60].map((n) => String(n).padStart(2, "0")).join(":");

function uncovered(set: PreparedSet, kind: ClimatologyKind, where: string): never {
  const { start, end } = set.manifest.splits.train;
  throw new ClimaxError(
    "data",
    `no ${kind} climatology: the training period of ${set.dir} (${start} to ${end}) has no state ${where}`,
    "prepare a set whose training period covers the whole year at these hours, or take the mean climatology",
  );
}

function checkCalendar({ dir, manifest }: PreparedSet, { calendar }: CfTime): void {
  const plain = (name: Calendar) => (name === "proleptic_gregorian" ? "standard" : name);
  if (plain(calendar) === plain(manifest.calendar)) return;
  throw new ClimaxError(
    "data",
    `the climatology of ${dir} counts days in the ${manifest.calendar} calendar, the time asked for in the ${calendar} calendar`,
    "use states and a set of one calendar together",
  );
}
