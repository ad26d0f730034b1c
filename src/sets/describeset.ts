// What set.json says of a set, from what was counted while it was written.

import type { Archive } from "../data/archive.ts";
import { type CfTime, formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { type Manifest, type SplitName, type StatisticsKind, splitNames } from "./manifest.ts";
import type { NanFill } from "./readstate.ts";
import type { Part } from "./setparts.ts";
import type { ShardFiles } from "./shardfiles.ts";
import { standardDeviation } from "./statistics.ts";
import { type SetField, statisticsOf, type Tally } from "./tally.ts";

type Splits = Manifest["splits"];
type Split = NonNullable<Splits[SplitName]>;

/** The splits that shards make, each with its shards in the order of time. @param fields  that vary in time */
export function describeSplits(
  shards: readonly ShardFiles[],
  times: readonly CfTime[],
  fields: readonly SetField[],
  parts: ReadonlyMap<string, Part>,
  kind: StatisticsKind,
): { [split in SplitName]?: Split } {
  return Object.fromEntries(
    splitNames.flatMap((name) => {
      const own = shards.filter(({ split }) => split === name);
      const steps = own.flatMap((shard) => shard.steps);
      if (steps.length === 0) return [];
      const split: Split = {
        start: formatTime(times[steps[0]!]!),
        end: formatTime(times[steps.at(-1)!]!),
        steps: steps.length,
        shards: own.map((shard) => ({
          file: shard.file,
          times: shard.times,
          steps: shard.steps.length,
          firstTime: formatTime(times[shard.steps[0]!]!),
          ...(shard.sums === undefined
            ? {}
            : { sums: describeSums(shard.sums, fields, parts.get(shard.file)!.tallies, kind) }),
        })),
      };
      return [[name, split]];
    }),
  );
}

/** What a year of train adds to the whole. @param tallies  of its fields */
export function describeSums(
  file: string,
  fields: readonly Pick<SetField, "name">[],
  tallies: readonly Pick<Tally, "moments" | "years">[],
  kind: StatisticsKind,
): NonNullable<Split["shards"][number]["sums"]> {
  const moments = Object.fromEntries(fields.map(({ name }, i) => [name, tallies[i]!.moments]));
  const years = Object.fromEntries(fields.map(({ name }, i) => [name, tallies[i]!.years]));
  return { file, moments, ...(kind === "climax" ? { years } : {}) };
}

/** Mean, std and what they are made of, of fields that vary in time and of constants. */
export function describeStatistics(
  fields: readonly SetField[],
  tallies: readonly Tally[],
  kind: StatisticsKind,
): Required<Pick<Manifest, "mean" | "std" | "statistics">> {
  const both = fields.map((field, i) => [field.name, statisticsOf(tallies[i]!, field, kind)] as const);
  const varying = fields.flatMap((field, i) => (field.constant ? [] : [[field.name, tallies[i]!] as const]));
  const years = Object.fromEntries(varying.map(([name, tally]) => [name, tally.years]));
  return {
    mean: Object.fromEntries(both.map(([name, { mean }]) => [name, mean])),
    std: Object.fromEntries(both.map(([name, { std }]) => [name, std])),
    statistics: {
      kind,
      moments: Object.fromEntries(varying.map(([name, { moments }]) => [name, moments])),
      ...(kind === "climax" ? { years } : {}),
    },
  };
}

/** @throws ClimaxError (data) for a variable that train has no value of */
export function refuseEmpty(fields: readonly SetField[], tallies: readonly Tally[]): void {
  for (const [i, { name }] of fields.entries())
    if (tallies[i]!.moments.count === 0)
      throw new ClimaxError(
        "data",
        `${name} has no value in train, so it has no mean`,
        "leave it out of --variables, or choose a train period that has it",
      );
}

/** What people should know of a variable before they train on it. */
export function notesOn(
  { name, units, constant, info }: SetField,
  { moments, min, max, missing, firstMissing, error }: Tally,
  nanFill: NanFill,
  mean: number,
): string[] {
  const notes: string[] = [];
  const { std, constant: flat } = standardDeviation(moments);
  if (flat)
    notes.push(
      `${name} is ${moments.mean} everywhere${constant ? "" : " in train"}; its std is stored as 1, so it is 0 when normalised`,
    );
  const [lowest, highest] = info.bounds;
  if (min < lowest || max > highest)
    notes.push(
      `${name} goes from ${min} to ${max} ${units}, beyond what occurs on Earth (${lowest} to ${highest})`,
    );
  if (missing > 0)
    notes.push(
      `${name}: ${missing} missing values (first: ${firstMissing}) are filled with ` +
        (typeof nanFill === "number" ? `${nanFill}` : `the training mean, ${mean}`),
    );
  // A hundredth of the deviation: more than the 2^-11 of a value three deviations off, by far.
  if (error > 0.01 * std)
    notes.push(
      `${name}: float16 changed a value by ${error.toPrecision(2)} ${units}, ${(error / std).toPrecision(2)} of its deviation`,
    );
  return notes;
}

/** What is to be known of statistics that are made as ClimaX makes them. */
export const climaxNote =
  "mean and std as ClimaX's scripts make them: on pressure levels of the last training year only, the mean of total_precipitation 0";

/** Where the files come from, by their own account. */
export function sourceOf({ attributes }: Archive): string {
  return String(attributes.get("source") ?? attributes.get("title") ?? "");
}
