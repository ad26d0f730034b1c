// How far apart states are, in hours and for people.
import type { CfTime } from "./time.ts";

/** The distance of states, for people: "every 6 h", "every year". Months and years have no one length in hours. */
export function describeStep({ stepHours }: { stepHours: number }): string {
  if (stepHours === 0) return "single states"; // no split has two
  const months = monthsOf(stepHours);
  if (months === undefined) return `every ${stepHours} h`;
  if (months % 12 === 0) return months === 12 ? "every year" : `every ${months / 12} years`;
  return months === 1 ? "every month" : `every ${months} months`;
}

/**
 * The whole months that a distance of states stands for when it is one month or more; undefined when it is shorter,
 * or none. Months of any calendar have 28 to 31 days, years 360 to 366.
 */
export function monthsOf(hours: number): number | undefined {
  const months = hours / (24 * 30.4375);
  const whole = Math.round(months);
  // A February is 0.08 short, and a month of 30 days 0.015, which adds up over a year of 360.
  return whole >= 1 && Math.abs(months - whole) <= 0.09 + 0.015 * whole ? whole : undefined;
}

/** Hours from step a to step b. */
export const hoursAfter = (times: readonly CfTime[], a: number, b: number) =>
  (times[b]!.seconds - times[a]!.seconds) / 3600;

/** The most frequent distance of neighbours within lists of steps, hours; 0 when no list has two. */
export function usualStep(times: readonly CfTime[], splits: readonly { steps: readonly number[] }[]): number {
  const counts = new Map<number, number>();
  for (const { steps } of splits)
    for (let i = 1; i < steps.length; i++) {
      const hours = hoursAfter(times, steps[i - 1]!, steps[i]!);
      counts.set(hours, (counts.get(hours) ?? 0) + 1);
    }
  // Of equally frequent ones the shorter: a gap then shows as a gap.
  return [...counts].sort(([a, m], [b, n]) => n - m || a - b)[0]?.[0] ?? 0;
}
