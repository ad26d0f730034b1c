// Which steps of an archive go to which split and shard of a prepared set, and which steps are not there.

import { type CfTime, formatTime, isWithin, type Period, parsePeriod, timeParts } from "../data/time.ts";
import { describeStep, hoursAfter, monthsOf, usualStep } from "../data/timestep.ts";
import { ClimaxError } from "../errors.ts";
import { type SplitName, splitNames } from "./manifest.ts";

/**
 * One file of a split: a calendar year, so that every shard of a set holds about as much; all of the split where a
 * state stands for a month or more, for a file that holds a single state helps nobody.
 */
export interface PlannedShard {
  split: SplitName;
  /** Of its first state. */
  year: number;
  /** Indices into the archive's times. */
  steps: number[];
}

export interface Plan {
  shards: PlannedShard[];
  /** The most frequent distance between states, hours; 0 when there is one state. */
  stepHours: number;
  /** Missing steps, periods not covered, steps not used: for people to read. */
  notes: string[];
}

/**
 * @param periods  as people write them, "1979..2015"; both ends included
 * @throws ClimaxError (config) when periods overlap, (data) when a period has no state
 */
export function planSplits(
  times: readonly CfTime[],
  periods: { [split in SplitName]?: string | undefined },
): Plan {
  const [first, last] = [times[0], times.at(-1)];
  if (!first || !last)
    throw new ClimaxError(
      "data",
      "the files have no time axis, so there is nothing to divide into train, val and test",
      "give files of states in time as well as those of constants",
    );
  const wanted = splitNames.flatMap((name) => {
    const text = periods[name];
    return text === undefined ? [] : [{ name, text, period: parsePeriod(text, first.calendar) }];
  });
  refuseOverlap(wanted);

  const splits = wanted.map((split) => {
    const steps = times.flatMap((time, step) => (isWithin(time, split.period) ? [step] : []));
    return { ...split, steps };
  });
  const stepHours = usualStep(times, splits);
  const coarse = monthsOf(stepHours) !== undefined;
  const shards: PlannedShard[] = [];
  const notes: string[] = [];
  for (const { name, text, steps } of splits) {
    if (steps.length === 0)
      throw new ClimaxError(
        "data",
        `--${name} ${text} has no state: the files go from ${formatTime(first)} to ${formatTime(last)}`,
        "choose a period within the files, or give the files of that period",
      );
    let shard: PlannedShard | undefined;
    for (const step of steps) {
      const { year } = timeParts(times[step]!);
      if (!shard || (shard.year !== year && !coarse)) shards.push((shard = { split: name, year, steps: [] }));
      shard.steps.push(step);
    }
  }
  for (const { name, text, period, steps } of splits)
    notes.push(...missingSteps(times, steps, stepHours, name, text, period));
  const used = shards.reduce((sum, { steps }) => sum + steps.length, 0);
  if (used < times.length) notes.push(`${times.length - used} of ${times.length} states lie in no split`);
  return { shards, stepHours, notes };
}

/** Two periods that share a moment would test a model on what trained it. */
function refuseOverlap(wanted: readonly { name: SplitName; text: string; period: Period }[]): void {
  const ordered = wanted.toSorted((a, b) => a.period.start.seconds - b.period.start.seconds);
  for (const [i, after] of ordered.entries()) {
    // The earlier one that lasts longest: a short period within a long one need not be its neighbour.
    const before = ordered.slice(0, i).toSorted((a, b) => b.period.end.seconds - a.period.end.seconds)[0];
    if (before && after.period.start.seconds <= before.period.end.seconds)
      throw new ClimaxError(
        "config",
        `--${before.name} ${before.text} and --${after.name} ${after.text} overlap: both hold ` +
          formatTime(after.period.start),
        "give periods that share no date: what a model is tested on must not train it",
      );
  }
}

const listed = 5;

function missingSteps(
  times: readonly CfTime[],
  steps: readonly number[],
  stepHours: number,
  name: SplitName,
  text: string,
  period: Period,
): string[] {
  const [first, last] = [times[steps[0]!]!, times[steps.at(-1)!]!];
  const notes: string[] = [];
  const usualMonths = monthsOf(stepHours);
  // The longest month is 1.11 of the shortest.
  const slack = stepHours * 3600 * (usualMonths === undefined ? 1 : 1.12);
  if (slack > 0 && first.seconds - period.start.seconds >= slack)
    notes.push(`${name}: asked for ${text}, the files begin at ${formatTime(first)}`);
  if (slack > 0 && period.end.seconds - last.seconds >= slack)
    notes.push(`${name}: asked for ${text}, the files end at ${formatTime(last)}`);
  // Months and years have no one length: counted in months, a leap year is no gap.
  const gaps = steps.flatMap((step, i) => {
    const hours = i === 0 ? stepHours : hoursAfter(times, steps[i - 1]!, step);
    const months = usualMonths === undefined ? undefined : monthsOf(hours);
    const regular = months === undefined ? hours === stepHours : months === usualMonths;
    const count = months === undefined ? hours / stepHours : months / usualMonths!;
    return regular ? [] : [{ from: steps[i - 1]!, to: step, hours, missing: Math.round(count) - 1 }];
  });
  if (gaps.length === 0) return notes;
  const lines = gaps.slice(0, listed).map(({ from, to, hours, missing }) => {
    const what = missing > 0 ? `${missing} missing` : "irregular";
    return `${formatTime(times[from]!)} to ${formatTime(times[to]!)} (${hours} h, ${what})`;
  });
  const more = gaps.length > listed ? ` and ${gaps.length - listed} more` : "";
  return [...notes, `${name}: not ${describeStep({ stepHours })}: ${lines.join("; ")}${more}`];
}
