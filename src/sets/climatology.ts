/**
 * Climatologies of a prepared set's training split: the mean state, the mean of each week of the year, and a
 * smoothed mean for each day of the year and time of day. Read from the set where it has them (climax prepare
 * --climatology), else made in one pass when first asked for, then kept.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { type Calendar, type CfTime, timeParts } from "../data/time.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import { openNpy } from "../files/npy.ts";
import { damagedHint } from "./manifest.ts";
import type { PreparedSet } from "./prepared.ts";
import { dayMeans, longestYear, minuteOfDay, reach, weeklyMeans, weekOf, weeks } from "./seasonal.ts";

export const climatologyKinds = ["mean", "weekly", "dayofyear"] as const;
export type ClimatologyKind = (typeof climatologyKinds)[number];

/** Those that a set may hold beside the mean. */
export const seasonalKinds = ["weekly", "dayofyear"] as const;
export type SeasonalKind = (typeof seasonalKinds)[number];

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
 * Memory: one field where the set holds it. Else one for each week, or for each day of the year and time of day
 * (hourly at 5.625 degrees: 72 MB), whatever the number of years. A variable is read once; asked for again, the same
 * climatology comes.
 *
 * @throws ClimaxError "config" for a variable that the set does not have
 */
export async function makeClimatology(
  set: PreparedSet,
  kind: ClimatologyKind,
  variable: string,
): Promise<SeasonalClimatology> {
  let ofSet = made.get(set);
  if (!ofSet) made.set(set, (ofSet = new Map()));
  const key = `${kind} ${variable}`;
  let climatology = ofSet.get(key);
  if (!climatology) ofSet.set(key, (climatology = makeClimatologyAnew(set, kind, variable)));
  return climatology;
}

/** The same, for those who keep it themselves, or only for a while. */
export async function makeClimatologyAnew(
  set: PreparedSet,
  kind: ClimatologyKind,
  variable: string,
): Promise<SeasonalClimatology> {
  const names = set.variables.map(({ name }) => name);
  if (!names.includes(variable)) return unknownName("variable", variable, names);
  return makers[kind](set, variable);
}

const makers: Record<ClimatologyKind, (set: PreparedSet, variable: string) => Promise<SeasonalClimatology>> =
  {
    mean: async (set, variable) => {
      const mean = set.climatology(variable);
      return { field: () => mean };
    },
    weekly,
    dayofyear,
  };

async function weekly(set: PreparedSet, variable: string): Promise<SeasonalClimatology> {
  const stored = set.manifest.climatology.weekly
    ? await openFields(set, "weekly", variable, [weeks])
    : undefined;
  const means = new Map<number, Float32Array | undefined>();
  if (!stored) {
    const sums = weeklyMeans();
    await eachState(set, variable, sums.add);
    for (let week = 0; week < weeks; week++) means.set(week, sums.field(week));
  }
  return {
    field(validTime) {
      checkCalendar(set, validTime);
      const week = weekOf(validTime);
      const field = stored ? stored(week) : means.get(week);
      return field ?? uncovered(set, "weekly", `in week ${week + 1} of the year`);
    },
  };
}

async function dayofyear(set: PreparedSet, variable: string): Promise<SeasonalClimatology> {
  const { calendar, climatology } = set.manifest;
  const { minutes } = climatology.dayofyear ?? {};
  const days = longestYear(calendar);
  const stored = minutes && (await openFields(set, "dayofyear", variable, [minutes.length, days]));
  const means = dayMeans(set.climatology(variable), calendar);
  if (!stored) await eachState(set, variable, means.add);
  return {
    field(validTime) {
      checkCalendar(set, validTime);
      const day = timeParts(validTime).dayOfYear;
      const clock = minuteOfDay(validTime);
      if (!(minutes ? minutes.includes(clock) : means.hasClock(clock)))
        uncovered(set, "dayofyear", `at ${clockText(clock)}`);
      const field = stored ? stored(minutes.indexOf(clock) * days + day - 1) : means.field(day, clock);
      return field ?? uncovered(set, "dayofyear", `within ${reach} days of day ${day} of the year`);
    },
  };
}

async function eachState(
  set: PreparedSet,
  variable: string,
  add: (time: CfTime, state: Float32Array) => void,
): Promise<void> {
  const { times, read } = set.split("train");
  for (const [step, time] of times.entries()) add(time, await read(step, [variable]));
}

/** Where a set keeps a climatology of one variable. */
export const seasonalFile = (base: string, kind: SeasonalKind, variable: string) =>
  `${base}/${kind}/${variable}.npy`;

/**
 * Fields [..., H, W] of a file, read one at a time when asked for; undefined for one of NaN, which marks that train
 * has no such time. Constants have no file, nor need one.
 */
async function openFields(
  set: PreparedSet,
  kind: SeasonalKind,
  variable: string,
  leading: readonly number[],
) {
  const { manifest, grid, dir } = set;
  if (manifest.variables.some(({ name, constant }) => name === variable && constant)) return undefined;
  const path = join(dir, seasonalFile(manifest.climatology.base, kind, variable));
  const file = await openNpy(path).catch((error: Error) => {
    throw new ClimaxError("data", error.message, damagedHint, { cause: error });
  });
  await file.close();
  const { dtype, shape, dataStart, fortran } = file.header;
  const wanted = [...leading, grid.lat.length, grid.lon.length];
  if (dtype !== "float32" || fortran || shape.join() !== wanted.join())
    throw new ClimaxError(
      "data",
      `${path} holds ${dtype} (${shape.join(", ")}), wanted is float32 (${wanted.join(", ")})`,
      damagedHint,
    );
  let last: { index: number; field: Float32Array } | undefined;
  return (index: number): Float32Array | undefined => {
    if (last?.index !== index) {
      const field = new Float32Array(grid.lat.length * grid.lon.length);
      readAt(path, new Uint8Array(field.buffer), dataStart + index * field.byteLength);
      last = { index, field };
    }
    return Number.isNaN(last.field[0]) ? undefined : last.field;
  };
}

/** Opened for each read, so that nobody has to close it. */
function readAt(path: string, bytes: Uint8Array, position: number): void {
  const descriptor = openSync(path, "r");
  try {
    const read = readSync(descriptor, bytes, 0, bytes.length, position);
    if (read === bytes.length) return;
    throw new ClimaxError(
      "data",
      `${path} ends at byte ${position + read}, ${position + bytes.length} were wanted`,
      damagedHint,
    );
  } finally {
    closeSync(descriptor);
  }
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
