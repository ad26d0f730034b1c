// The seasonal climatologies of a set as files, a few variables at a time, so that memory stays bounded whatever
// the set's size: each state of each variable is read once for each kind.
import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { streamNpy } from "../files/npy.ts";
import { type SeasonalKind, seasonalFile } from "./climatology.ts";
import type { Manifest } from "./manifest.ts";
import { openAsDescribed, type PreparedSet } from "./prepared.ts";
import { dayMeans, longestYear, minuteOfDay, weeklyMeans, weeks } from "./seasonal.ts";

/** Sums that may be held at once, bytes. */
const usualBudget = 256 * 2 ** 20;

export interface SeasonalJob {
  /** Holds the shards and the mean climatology. */
  dir: string;
  /** Of the set without these. */
  manifest: Manifest;
  kinds: readonly SeasonalKind[];
  /** Variables whose climatologies are to be made. */
  names: readonly string[];
  /** Files that an earlier run wrote. */
  whole: ReadonlySet<string>;
  /** Called when files are whole. */
  onFiles: (checksums: Record<string, string>) => Promise<void>;
  onStep?: ((done: number, total: number) => void) | undefined;
  signal?: AbortSignal | undefined;
  budget?: number;
}

/**
 * Writes BASE/KIND/VARIABLE.npy for these variables, which vary in time: weekly [52, H, W], dayofyear [times of day,
 * days, H, W]; float32, NaN where train has no state.
 *
 * @returns what the manifest says of them
 */
export async function writeSeasonal(
  job: SeasonalJob,
): Promise<Pick<Manifest["climatology"], "weekly" | "dayofyear">> {
  const { dir, manifest, kinds, names, whole } = job;
  const set = await openAsDescribed(dir, manifest);
  try {
    const { times } = set.split("train");
    const minutes = [...new Set(times.map(minuteOfDay))].sort((a, b) => a - b);
    const field = 4 * set.grid.lat.length * set.grid.lon.length;
    const { budget = usualBudget } = job;
    const total = times.length * names.length * kinds.length;
    let done = 0;
    const step = (states: number) => job.onStep?.((done += states), total);
    const missing = (kind: SeasonalKind) => {
      const left = names.filter((name) => !whole.has(seasonalFile(manifest.climatology.base, kind, name)));
      if (left.length < names.length) step((names.length - left.length) * times.length);
      return left;
    };

    if (kinds.includes("weekly"))
      for (const group of groups(missing("weekly"), budget / (2 * weeks * field)))
        await writeWeekly(set, group, { ...job, step });
    if (kinds.includes("dayofyear")) {
      const each = longestYear(manifest.calendar) * field; // of one time of day
      for (const group of groups(missing("dayofyear"), budget / (minutes.length * each)))
        await writeDays(set, group, groups(minutes, budget / each), { ...job, step });
    }
    return {
      ...(kinds.includes("weekly") ? { weekly: true } : {}),
      ...(kinds.includes("dayofyear") ? { dayofyear: { minutes } } : {}),
    };
  } finally {
    await set.close();
  }
}

/** Lists of at most `size` members, at least one. */
function groups<T>(members: readonly T[], size: number): T[][] {
  const step = Math.max(1, Math.floor(size));
  return Array.from({ length: Math.ceil(members.length / step) }, (_, i) =>
    members.slice(i * step, (i + 1) * step),
  );
}

type Steps = SeasonalJob & { step: (states: number) => void };

/** Reads all of train, the named variables together. */
async function eachState(
  set: PreparedSet,
  names: readonly string[],
  { signal, step }: Steps,
  wanted: (clock: number) => boolean,
  add: (variable: number, time: PreparedSetTime, field: Float32Array) => void,
): Promise<void> {
  const { times, read } = set.split("train");
  const cells = set.grid.lat.length * set.grid.lon.length;
  for (const [at, time] of times.entries()) {
    if (!wanted(minuteOfDay(time))) continue;
    signal?.throwIfAborted();
    const state = await read(at, names);
    for (let v = 0; v < names.length; v++) add(v, time, state.subarray(v * cells, (v + 1) * cells));
    step(names.length);
  }
}
type PreparedSetTime = ReturnType<PreparedSet["split"]>["times"][number];

async function writeWeekly(set: PreparedSet, names: readonly string[], job: Steps): Promise<void> {
  const sums = names.map(() => weeklyMeans());
  await eachState(
    set,
    names,
    job,
    () => true,
    (v, time, state) => sums[v]!.add(time, state),
  );
  const written: Record<string, string> = {};
  for (const [v, name] of names.entries())
    await put(set, "weekly", name, [weeks], written, async (append) => {
      await append(Array.from({ length: weeks }, (_, week) => sums[v]!.field(week)));
    });
  await job.onFiles(written);
}

/** @param clocks  times of day, minutes, in lists that are done one after the other */
async function writeDays(
  set: PreparedSet,
  names: readonly string[],
  clocks: readonly (readonly number[])[],
  job: Steps,
): Promise<void> {
  const { calendar } = set.manifest;
  const days = longestYear(calendar);
  const leading = [clocks.flat().length, days];
  const collect = async (part: readonly number[]) => {
    const means = names.map((name) => dayMeans(set.climatology(name), calendar));
    await eachState(
      set,
      names,
      job,
      (clock) => part.includes(clock),
      (v, time, state) => means[v]!.add(time, state),
    );
    return means;
  };
  const written: Record<string, string> = {};
  const together = clocks.length === 1 ? await collect(clocks[0]!) : undefined;
  for (const [v, name] of names.entries())
    await put(set, "dayofyear", name, leading, written, async (append) => {
      for (const part of clocks) {
        // Where a variable is too much at once it is alone in its group.
        const means = (together ?? (await collect(part)))[v]!;
        for (const clock of part)
          await append(Array.from({ length: days }, (_, day) => means.field(day + 1, clock)));
      }
    });
  await job.onFiles(written);
}

async function put(
  set: PreparedSet,
  kind: SeasonalKind,
  name: string,
  leading: readonly number[],
  written: Record<string, string>,
  fill: (append: (fields: (Float32Array | undefined)[]) => Promise<void>) => Promise<void>,
): Promise<void> {
  const { lat, lon } = set.grid;
  const file = seasonalFile(set.manifest.climatology.base, kind, name);
  const path = join(set.dir, file);
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true }); // half of one, from a run that was killed
  const cells = lat.length * lon.length;
  written[file] = await streamNpy(path, [...leading, lat.length, lon.length], "float32", (append) =>
    fill((fields) => {
      const all = new Float32Array(fields.length * cells).fill(Number.NaN);
      for (const [i, field] of fields.entries()) if (field) all.set(field, i * cells);
      return append(all);
    }),
  );
}
