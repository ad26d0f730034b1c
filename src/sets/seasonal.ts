// Means by the time of the year, made of states that come one after another: by week, and by day of the year and time
// of day, smoothed over days.
import { addHours, type Calendar, type CfTime, timeParts } from "../data/time.ts";

/** Weeks of the year: the last takes the days that are left. */
export const weeks = 52;

/** 0 to 51. */
export const weekOf = (time: CfTime) => Math.min(weeks - 1, Math.floor((timeParts(time).dayOfYear - 1) / 7));

export interface WeeklyMeans {
  add(time: CfTime, state: Float32Array): void;
  /** undefined without a state in that week */
  field(week: number): Float32Array | undefined;
}

/** Means by week of one variable. Memory: 52 fields in f64. */
export function weeklyMeans(): WeeklyMeans {
  const sums = new Map<number, { count: number; sum: Float64Array }>();
  return {
    add(time, state) {
      const week = weekOf(time);
      let held = sums.get(week);
      if (!held) sums.set(week, (held = { count: 0, sum: new Float64Array(state.length) }));
      held.count++;
      for (let i = 0; i < state.length; i++) held.sum[i]! += state[i]!;
    },
    field(week) {
      const held = sums.get(week);
      return held && Float32Array.from(held.sum, (sum) => sum / held.count);
    },
  };
}

/** Days on each side that have a weight: the window of 61 days has none at its two ends. */
export const reach = 29;

export interface DayMeans {
  add(time: CfTime, state: Float32Array): void;
  hasClock(clock: number): boolean;
  /** @param day  from 1; undefined without a state near it at that time of day */
  field(day: number, clock: number): Float32Array | undefined;
}

/**
 * Smoothed means of one variable for each day of the year and time of day. Memory: a field in f32 for each of both.
 *
 * @param mean  the time mean: sums are of differences from it, so that float32, half the memory, loses nothing that
 *              matters
 */
export function dayMeans(mean: Float32Array, calendar: Calendar): DayMeans {
  const days = longestYear(calendar);
  const clocks = new Map<number, Map<number, { count: number; sum: Float32Array }>>();
  return {
    add(time, state) {
      const clock = minuteOfDay(time);
      let byDay = clocks.get(clock);
      if (!byDay) clocks.set(clock, (byDay = new Map()));
      for (const day of daysFilledBy(time, days)) {
        let held = byDay.get(day);
        if (!held) byDay.set(day, (held = { count: 0, sum: new Float32Array(state.length) }));
        held.count++;
        for (let i = 0; i < state.length; i++) held.sum[i]! += state[i]! - mean[i]!;
      }
    },
    hasClock: (clock) => clocks.has(clock),
    field(day, clock) {
      const byDay = clocks.get(clock);
      const sum = new Float64Array(mean.length);
      let total = 0;
      for (let offset = -reach; offset <= reach; offset++) {
        const held = byDay?.get(((day - 1 + offset + days) % days) + 1);
        if (!held) continue;
        const weight = 1 - Math.abs(offset) / (reach + 1);
        total += weight * held.count;
        for (let i = 0; i < sum.length; i++) sum[i]! += weight * held.sum[i]!;
      }
      return total === 0 ? undefined : Float32Array.from(sum, (x, i) => mean[i]! + x / total);
    },
  };
}

/** Days in the calendar's longest year. */
export function longestYear(calendar: Calendar): number {
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
export function minuteOfDay(time: CfTime): number {
  const { hour, minute, second } = timeParts(time);
  return (hour * 60 + minute + Math.round(second / 60)) % 1440;
}
