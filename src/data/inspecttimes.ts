// A time axis in a few words: usual step, gaps, repeated and backward times.

import type { InspectedTimes } from "./inspectschema.ts";
import { type CfTime, formatTime } from "./time.ts";
import { describeStep, monthsOf } from "./timestep.ts";

/** Gaps that are listed; all are counted. */
const listed = 10;

/** @param times  in the file's order, at least one */
export function describeTimes(times: readonly CfTime[]): InspectedTimes {
  const seconds = times.map((time) => time.seconds);
  const sorted = [...new Set(seconds)].sort((a, b) => a - b);
  const hours = sorted.slice(1).map((time, i) => (time - sorted[i]!) / 3600);
  const stepHours = mostFrequent(hours);
  const usualMonths = monthsOf(stepHours);
  const at = (i: number) => formatTime({ calendar: times[0]!.calendar, seconds: sorted[i]! });
  const gaps = hours.flatMap((length, i) => {
    // Months and years have no one length: counted in months, a leap year is no gap.
    const months = usualMonths === undefined ? undefined : monthsOf(length);
    const steps = months === undefined ? length / stepHours : months / usualMonths!;
    if (Math.abs(steps - 1) < 1e-6) return [];
    return [{ from: at(i), to: at(i + 1), hours: length, missing: Math.max(0, Math.round(steps) - 1) }];
  });
  return {
    calendar: times[0]!.calendar,
    first: at(0),
    last: at(sorted.length - 1),
    steps: times.length,
    stepHours,
    step: describeStep({ stepHours }),
    missing: gaps.reduce((sum, gap) => sum + gap.missing, 0),
    gaps: gaps.slice(0, listed),
    gapCount: gaps.length,
    repeated: times.length - sorted.length,
    backwards: seconds.filter((time, i) => i > 0 && time < seconds[i - 1]!).length,
  };
}

/** 0 of an empty list; of equally frequent ones the shorter, so that a gap shows as a gap. */
function mostFrequent(hours: readonly number[]): number {
  const counts = new Map<number, number>();
  // To the second: times counted in days as float32 are off by a few milliseconds.
  for (const length of hours) {
    const rounded = Math.round(length * 3600) / 3600;
    counts.set(rounded, (counts.get(rounded) ?? 0) + 1);
  }
  return [...counts].sort(([a, m], [b, n]) => n - m || a - b)[0]?.[0] ?? 0;
}
