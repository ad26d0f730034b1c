// Whether states may be added to a prepared set: its grid, variables, calendar and step, and no leak between splits.

import type { Archive } from "../data/archive.ts";
import { type CfTime, formatTime, parsePeriod, parseTime } from "../data/time.ts";
import { describeStep, monthsOf } from "../data/timestep.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, makeGrid, sameGrid } from "../grid/grid.ts";
import { dynamicNames, type Manifest, type SplitName, splitNames } from "./manifest.ts";
import type { Plan } from "./plan.ts";
import { rainMeaning } from "./precipitation.ts";
import type { NanFill } from "./readstate.ts";
import type { SetField } from "./tally.ts";

/** The archive's fields for the variables of the set that vary in time. */
export function fittingFields(archive: Archive, { grid, ...old }: Manifest, dir: string): SetField[] {
  const wanted = makeGrid(grid.lat, grid.lon);
  if (!sameGrid(archive.grid, wanted))
    throw new ClimaxError(
      "grid",
      `the files are on ${describeGrid(archive.grid)}, ${dir} on ${describeGrid(wanted)}`,
      "bring the files to the set's grid first: climax regrid",
    );
  const names = dynamicNames(old);
  const missing = names.filter((name) => archive.variables.get(name)?.constant !== false);
  if (missing.length > 0)
    throw new ClimaxError(
      "data",
      `the files lack ${missing.join(", ")} of the variables of ${dir}`,
      "give the files that have them as well; a set has the same variables at all times",
    );
  for (const name of names) {
    const [then, now] = [
      old.variables.find((v) => v.name === name)!.meaning,
      rainMeaning(archive.variables.get(name)!),
    ];
    if (then !== now)
      throw new ClimaxError(
        "data",
        `${name} of the files is ${now ?? "of an unknown kind"}, that of ${dir} ${then ?? "of an unknown kind"}`,
        "make it alike with --precipitation HOURS",
      );
  }
  return names.map((name) => archive.variables.get(name)!);
}

/** The archive's times in the set's calendar. Standard and proleptic Gregorian are one since 1582. */
export function inCalendar({ times }: Archive, { calendar }: Manifest, dir: string): { times: CfTime[] } {
  const [first] = times;
  if (!first || first.calendar === calendar) return { times };
  const gregorian = ["standard", "proleptic_gregorian"];
  const reform = parseTime("1582-10-15", "proleptic_gregorian").seconds;
  if (gregorian.includes(first.calendar) && gregorian.includes(calendar) && first.seconds >= reform)
    return { times: times.map(({ seconds }) => ({ calendar, seconds })) };
  throw new ClimaxError(
    "data",
    `the files count in the ${first.calendar} calendar, ${dir} in the ${calendar} calendar`,
    "a set has one calendar; prepare these files as a set of their own",
  );
}

export function refuseStep({ stepHours }: Plan, old: Manifest, dir: string): void {
  if (stepHours === 0 || old.stepHours === 0 || stepHours === old.stepHours) return;
  const months = monthsOf(stepHours);
  if (months !== undefined && months === monthsOf(old.stepHours)) return;
  throw new ClimaxError(
    "data",
    `the files have states ${describeStep({ stepHours })}, ${dir} ${describeStep(old)}`,
    "a set has one step; choose the times that fit, or prepare a set of its own",
  );
}

/** A split with its new states may not span a moment of another, nor have a moment twice. */
export function refuseLeakage(
  plan: Plan,
  times: readonly CfTime[],
  periods: { [split in SplitName]?: string | undefined },
  { splits, calendar }: Manifest,
  dir: string,
): void {
  const spans = new Map<SplitName, { start: number; end: number; grown: boolean }>();
  for (const name of splitNames) {
    const steps = plan.shards.filter(({ split }) => split === name).flatMap((shard) => shard.steps);
    const text = periods[name];
    const asked = text === undefined ? undefined : parsePeriod(text, calendar);
    const split = splits[name];
    const own = split && {
      start: parseTime(split.start, calendar).seconds,
      end: parseTime(split.end, calendar).seconds,
    };
    if (asked && own) {
      const [start, end] = [times[steps[0]!]!.seconds, times[steps.at(-1)!]!.seconds];
      if (start <= own.end && end >= own.start)
        throw new ClimaxError(
          "config",
          `--${name} ${text} has states within ${name} of ${dir} (${split.start} to ${split.end})`,
          "choose a period before or after what the set has",
        );
    }
    const starts = [asked?.start.seconds, own?.start].filter((x) => x !== undefined);
    const ends = [asked?.end.seconds, own?.end].filter((x) => x !== undefined);
    if (starts.length > 0)
      spans.set(name, { start: Math.min(...starts), end: Math.max(...ends), grown: asked !== undefined });
  }
  const at = (seconds: number) => formatTime({ calendar, seconds });
  for (const [name, span] of spans)
    for (const [other, { start, end }] of spans)
      if (span.grown && other !== name && span.start <= end && span.end >= start)
        throw new ClimaxError(
          "config",
          `with --${name} ${periods[name]}, ${name} of ${dir} would go from ${at(span.start)} to ${at(span.end)}, ` +
            `across ${other} (${at(start)} to ${at(end)})`,
          "give periods that share no date: what a model is tested on must not train it",
        );
}

/** How gaps are filled: as the set's are. */
export function fillingOf({ filled }: Manifest, nanFill: NanFill, dir: string): NanFill {
  if (!filled) return nanFill;
  if (nanFill === undefined || nanFill === filled.by) return filled.by;
  throw new ClimaxError(
    "config",
    `the gaps of ${dir} are filled with ${filled.by === "mean" ? "the training mean" : filled.by}, --nan-fill says ${nanFill}`,
    "leave out --nan-fill; a set has one filling",
  );
}
