// When the states of ClimaX's npz shards are, by the rule by which the reference cut them: a name gives the first state,
// the number of states the step, and what is cut off at the end of a leap year is missing.
import { ClimaxError } from "../errors.ts";
import { addHours, type CfTime, encodeTimes, formatTime, hoursBetween, parseTime } from "./time.ts";

export interface ShardName {
  /** What all shards of one stretch of time share: "1979", "185001010600-185501010000". */
  label: string;
  index: number;
}

/** The folders of a root that hold shards. */
export const shardSplits: readonly string[] = ["train", "val", "test"];

/** "1979_3.npz" and "185001010600-185501010000_3.npz"; undefined for any other, as climatology.npz. */
export function parseShardName(name: string): ShardName | undefined {
  const [, label, index] = /^(\d{4}|\d{8}(?:\d{4})?-\d{8}(?:\d{4})?)_(\d{1,6})\.npz$/.exec(name) ?? [];
  return label === undefined ? undefined : { label, index: Number(index) };
}

export interface DatedShard extends ShardName {
  path: string;
  steps: number;
  first: CfTime;
  stepHours: number;
}

/** Steps that archives come in, hours. */
const usualSteps = [1, 3, 6, 12, 24];
/** The reference keeps 365 days of every year. */
const yearHours = 8760;

/**
 * Dates shards and puts them in order of time.
 * @throws ClimaxError "data" when shards of one stretch have different numbers of states, or these fit no step
 */
export function datedShards<S extends ShardName & { path: string; steps: number }>(
  shards: readonly S[],
  path: string,
): { shards: (S & DatedShard)[]; notes: string[] } {
  const groups = new Map<string, S[]>();
  for (const shard of shards) groups.set(shard.label, [...(groups.get(shard.label) ?? []), shard]);
  const perYear = Math.max(
    0,
    ...shards.filter(({ label }) => label.length === 4).map(({ index }) => index + 1),
  );
  const dated: (S & DatedShard)[] = [];
  const says = new Set<string>();
  for (const [label, group] of groups) {
    const [one] = group;
    const odd = group.find(({ steps }) => steps !== one!.steps);
    if (odd)
      throw new ClimaxError(
        "data",
        `${one!.path} has ${one!.steps} states and ${odd.path} ${odd.steps}; the shards of ${label} were cut to the same length`,
        "one of them is of another making or was cut off: write it again",
      );
    const yearly = label.length === 4;
    const count = yearly ? perYear : Math.max(...group.map(({ index }) => index + 1));
    const { first, stepHours } = yearly
      ? ofYear(label, count, one!.steps, path)
      : ofRange(label, count, one!.steps, path);
    says.add(
      yearly
        ? `every ${stepHours} h from 1 January 00 UTC (${count} shards a year of ${one!.steps} states; 31 December of leap years was left out when they were made)`
        : `every ${stepHours} h from the first date of a shard's name (what leap days add was cut off at the end of each)`,
    );
    for (const shard of group)
      dated.push({
        ...shard,
        ...{ stepHours, first: addHours(first, shard.index * one!.steps * stepHours) },
      });
  }
  dated.sort((a, b) => a.first.seconds - b.first.seconds);
  const ranges = [...groups.keys()].some((label) => label.length > 4);
  return {
    shards: dated,
    notes: [
      `the shards have no dates; taken as ClimaX's preprocessing cut them: ${[...says].join("; ")}`,
      ...(ranges
        ? [
            "the shards do not say their calendar; taken as standard: in a model's without leap days (TaiESM1, CMCC) dates run behind by a day from each 29 February to the end of the shard's name",
          ]
        : []),
    ],
  };
}

function ofYear(label: string, count: number, steps: number, path: string) {
  const stepHours = yearHours / (count * steps);
  if (!usualSteps.includes(stepHours))
    throw new ClimaxError(
      "data",
      `${path}: ${count} shards a year of ${steps} states are ${count * steps} a year; 365 days in steps of ${usualSteps.join(", ")} h are ${usualSteps.map((hours) => yearHours / hours).join(", ")}`,
      "give all shards of at least one year, from YEAR_0.npz on",
    );
  return { first: parseTime(`${label}-01-01`, "standard"), stepHours };
}

function ofRange(label: string, count: number, steps: number, path: string) {
  const [first, last] = label.split("-").map((digits) => {
    const [, year, month, day, hour = "00", minute = "00"] = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d))?$/.exec(
      digits,
    )!;
    return parseTime(`${year}-${month}-${day}T${hour}:${minute}`, "standard");
  });
  const spacing = hoursBetween(first!, last!) / Math.max(count * steps - 1, 1);
  const stepHours = usualSteps.find((hours) => Math.abs(spacing / hours - 1) < 0.05);
  if (stepHours === undefined)
    throw new ClimaxError(
      "data",
      `${path}: ${count} shards of ${steps} states from ${formatTime(first!)} to ${formatTime(last!)} are ${spacing.toPrecision(4)} h apart; wanted ${usualSteps.join(", ")} h`,
      `give all shards of ${label}, from _0 on`,
    );
  return { first: first!, stepHours };
}

/** The times of all states as hours, with their CF units. */
export function shardTimes(shards: readonly DatedShard[]): {
  hours: Float64Array<ArrayBuffer>;
  since: string;
} {
  const since = `hours since ${formatTime(shards[0]!.first).slice(0, 10)} 00:00`;
  const starts = encodeTimes(
    shards.map(({ first }) => first),
    since,
  );
  const total = shards.reduce((sum, { steps }) => sum + steps, 0);
  const hours = new Float64Array(total);
  let at = 0;
  for (const [i, { steps, stepHours }] of shards.entries())
    for (let step = 0; step < steps; step++) hours[at++] = starts[i]! + step * stepHours;
  return { hours, since };
}
