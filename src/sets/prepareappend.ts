// More states for a prepared set: new shards beside the old ones, and a set.json that takes the place of the old one
// in one stroke, so that the set is whole at every moment, with the new states or without.

import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Archive } from "../data/archive.ts";
import { type CfTime, parseTime, timeParts } from "../data/time.ts";
import { monthsOf } from "../data/timestep.ts";
import { ClimaxError } from "../errors.ts";
import { fillingOf, fittingFields, inCalendar, refuseLeakage, refuseStep } from "./appendfit.ts";
import type { SeasonalKind } from "./climatology.ts";
import { type Crew, isFirst, isJob } from "./crew.ts";
import { describeGrown } from "./describegrown.ts";
import { describeSums } from "./describeset.ts";
import { readSums, writeSums } from "./fieldsums.ts";
import { type FinishedWork, sizeOf, writeManifest } from "./finishset.ts";
import { growSet, type Outcome, type PrepareResult, type WriteOptions } from "./growset.ts";
import { type Journal, readJournal, removeJournal } from "./journal.ts";
import { dynamicNames, type Manifest, readManifest, splitNames } from "./manifest.ts";
import { type Plan, planSplits } from "./plan.ts";
import { accumulateRain } from "./precipitation.ts";
import { inputsOf, recipeName, recipeOf } from "./preparerecipe.ts";
import { holdSet } from "./setlock.ts";
import { nameShards, type ShardFiles } from "./shardfiles.ts";
import { type TrainYear, yearsOf } from "./trainyears.ts";

export interface AppendOptions extends WriteOptions {
  /** Periods of the new states; at least one. */
  train?: string | undefined;
  val?: string | undefined;
  test?: string | undefined;
}

/**
 * Adds states to the set in `dir`: of its grid, its variables and its step, at times that no split spans. New states
 * of train change statistics and climatologies, exactly, as if all had been prepared at once: but where they are earlier
 * states of a year that the set has, or where a climax that kept no sums by year made the set of several years, the order of
 * addition is another one, and with it the last bits. Killed at any moment, the set is the old one, and the same call
 * goes on from the shards that are whole.
 *
 * @throws ClimaxError (config, data, grid) for states that do not fit to the set or would leak between splits
 */
export async function appendToSet(
  given: Archive,
  dir: string,
  options: AppendOptions,
): Promise<PrepareResult> {
  const outcome = await appendTogether(given, dir, options, {});
  return (outcome as { result: PrepareResult }).result; // of a process by itself
}

/** The same as one of several processes, as `prepareTogether`. */
export async function appendTogether(
  given: Archive,
  dir: string,
  options: AppendOptions,
  crew: Crew,
): Promise<Outcome> {
  const { train, val, test, precipitation, force = false } = options;
  const archive = precipitation === undefined ? given : accumulateRain(given, precipitation);
  const target = resolve(dir);
  const old = await readManifest(target); // says what is wrong with a folder that is no set
  const base = await stateOf(target);
  if (isFirst(crew)) await tidyUp(target, old, base);
  const fields = fittingFields(archive, old, dir);
  const { times } = inCalendar(archive, old, dir);
  const periods = { train, val, test };
  const plan = planSplits(times, periods);
  refuseStep(plan, old, dir);

  const nanFill = fillingOf(old, options.nanFill, dir);
  const grows = plan.shards.some(({ split }) => split === "train");
  const years = grows ? trainOf(old, target) : [];
  const shards = nameShards(plan, new Set(Object.keys(old.checksums)));
  const { dtype } = old;
  const statistics = old.statistics?.kind ?? "train";
  const seasonal: SeasonalKind[] = grows
    ? [
        ...(old.climatology.weekly ? (["weekly"] as const) : []),
        ...(old.climatology.dayofyear ? (["dayofyear"] as const) : []),
      ]
    : [];
  const decisions = { periods, dtype, statistics, climatology: seasonal, precipitation, base };
  const recipe = recipeOf({ ...archive, times }, fields, plan, decisions);
  const name = recipeName(recipe, nanFill);
  const isMade = (set: Manifest) => set.provenance.appended?.at(-1)?.recipe === name;
  if (isJob(crew) && isMade(old)) return "finished by another job";
  refuseLeakage(plan, times, periods, old, dir);
  const inputs = await inputsOf(archive);
  const generation = grows ? nextBase(old.climatology.base) : undefined;
  const means =
    nanFill === "mean" ? fields.map(({ name }) => old.filled?.values?.[name] ?? old.mean[name]!) : undefined;
  return await growSet(
    {
      ...{
        target,
        dir: target,
        archive: { grid: archive.grid, times },
        fields,
        shards,
        dtype,
        statistics,
        nanFill,
      },
      ...{ means, packing: old.packing, years, recipe, inputs, force, base: generation, seasonal },
      startOf: (shard) => yearBefore(shard, years, old, plan, times),
      check: () => dropStaleJournal(target, old, base),
      fresh: (journal) => removeLeftovers(target, old, journal),
      fillers: fillersOf,
      describe: async (work, first) => {
        const growth = { fields, plan, shards, times, nanFill, archive, name };
        const manifest = structuredClone(describeGrown(old, growth, work, options));
        if (generation === undefined) return manifest;
        manifest.climatology = { base: generation, sums: false };
        await keepSums(target, old, manifest, work.years, first);
        return manifest;
      },
      conclude: async (manifest) => {
        const written = await writeManifest(target, manifest);
        await removeLeftovers(target, written, await readJournal(target).catch(() => undefined));
        await removeJournal(target);
        return { manifest: written, bytes: await sizeOf(target, written) };
      },
      isMade: async () => isMade(await readManifest(target)),
      giveUp: async () => {
        await removeLeftovers(target, old, await readJournal(target).catch(() => undefined));
        await removeJournal(target);
      },
    },
    options,
    crew,
  );

  function fillersOf({ tallies }: FinishedWork): number[] {
    return fields.map(({ name }, v) => means?.[v] ?? old.filled?.values?.[name] ?? tallies[v]!.moments.mean);
  }
}

/** What statistics and climatology of train are made of. */
function trainOf(old: Manifest, dir: string): TrainYear[] {
  const years = yearsOf(old, dir);
  if (years) return years;
  throw new ClimaxError(
    "data",
    `${dir} was prepared by a climax that kept no sums of its train period, so it cannot grow`,
    "add to val and test only, or prepare the set again from all files",
  );
}

/** The year that a new shard goes on with, where all its states are later than those of the set. */
function yearBefore(
  { sums, steps }: ShardFiles,
  years: readonly TrainYear[],
  { splits, stepHours, calendar }: Manifest,
  plan: Plan,
  times: readonly CfTime[],
): TrainYear | undefined {
  const last = years.at(-1);
  const first = times[steps[0]!]!;
  if (!sums || !last || first.seconds <= parseTime(splits.train.end, calendar).seconds) return undefined;
  const coarse = monthsOf(stepHours || plan.stepHours) !== undefined; // one shard, in one order
  const same = timeParts(first).year === timeParts({ calendar, seconds: last.start }).year;
  return coarse || same ? last : undefined;
}

/** Lets each year of train keep its sums, and nothing else: with its last shard. */
async function keepSums(
  dir: string,
  old: Manifest,
  manifest: Manifest,
  years: readonly TrainYear[],
  first: boolean,
): Promise<void> {
  const { base } = old.climatology;
  const ending = new Map(years.map((year) => [year.file, year]));
  const outdated = (file: string) => file === `${base}.npy` || file.startsWith(`${base}/`);
  for (const shard of manifest.splits.train.shards) {
    const year = ending.get(shard.file);
    if (!year) {
      if (shard.sums) delete manifest.checksums[shard.sums.file];
      delete shard.sums;
    } else if (!shard.sums) {
      // Of a set that kept sums of the whole alone.
      const file = shard.file.replace(/\.npy$/, ".sums.npy");
      const fields = dynamicNames(old).map((name) => ({ name }));
      shard.sums = describeSums(file, fields, year.tallies, old.statistics?.kind ?? "train");
      if (!first) continue;
      await rm(join(dir, file), { force: true });
      manifest.checksums[file] = await writeSums(join(dir, file), await readSums(year.sums));
    }
  }
  for (const file of Object.keys(old.checksums)) if (outdated(file)) delete manifest.checksums[file];
}

/** "climatology" to "climatology_2" and so on: old and new are there together until set.json names the new. */
const nextBase = (base: string) => `climatology_${Number(/_(\d+)$/.exec(base)?.[1] ?? 1) + 1}`;

/** What a run has left that was killed when all was done but that. */
async function tidyUp(dir: string, old: Manifest, base: string): Promise<void> {
  const journal = await readJournal(dir).catch(() => undefined);
  if (!journal || journal.recipe.set === base) return;
  const release = await holdSet(dir);
  await dropStaleJournal(dir, old, base).finally(release);
}

/** Under the set's lock: is it still what was read of it? Then it drops what was begun on another state of the set. */
async function dropStaleJournal(dir: string, old: Manifest, base: string): Promise<void> {
  if ((await stateOf(dir)) !== base)
    throw new ClimaxError("data", `${dir} was changed by another process`, "run the same command again");
  const journal = await readJournal(dir).catch(() => undefined);
  if (!journal || journal.recipe.set === base) return;
  await removeLeftovers(dir, old, journal);
  await removeJournal(dir);
}

/** Which set.json it is. */
async function stateOf(dir: string): Promise<string> {
  const bytes = await readFile(join(dir, "set.json"));
  return createHash("sha256").update(bytes).digest("hex").slice(0, 12);
}

/** Files that set.json does not name: of an addition that was stopped, of sums and climatologies that were replaced. */
async function removeLeftovers(dir: string, old: Manifest, journal: Journal | undefined): Promise<void> {
  const { base } = old.climatology;
  for (const name of await readdir(dir))
    if (/^climatology(_\d+)?(\.npy)?$/.test(name) && name !== base && name !== `${base}.npy`)
      await rm(join(dir, name), { recursive: true, force: true });
  const begun = new Set(journal?.files.map((file) => file.replace(/\.npy$/, "")));
  for (const split of splitNames)
    for (const name of await readdir(join(dir, split)).catch(() => [])) {
      const [, shard = "", kind] = /^(-?\d+(?:_\d+)?)(\.sums|\.time|)\.npy(\.[0-9a-f]{8})?$/.exec(name) ?? [];
      const ours = begun.has(`${split}/${shard}`) || kind === ".sums";
      if (ours && old.checksums[`${split}/${name}`] === undefined)
        await rm(join(dir, split, name), { force: true });
    }
}
