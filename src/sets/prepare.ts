// From archive files to a prepared training set: what goes in, where it is written, and what stays of one that could
// not be finished.

import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Archive } from "../data/archive.ts";
import { makeFolder } from "../data/folder.ts";
import { default48, parseName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import type { SeasonalKind } from "./climatology.ts";
import { type Crew, isJob } from "./crew.ts";
import { refuseEmpty } from "./describeset.ts";
import { sizeOf, writeManifest } from "./finishset.ts";
import { growSet, type Outcome, type PrepareResult, type WriteOptions } from "./growset.ts";
import { removeJournal } from "./journal.ts";
import { type Manifest, partialPath, readManifest, type SetDtype, type StatisticsKind } from "./manifest.ts";
import { planSplits } from "./plan.ts";
import { accumulateRain } from "./precipitation.ts";
import { inputsOf, recipeName, recipeOf } from "./preparerecipe.ts";
import { describeSet } from "./prepareset.ts";
import { unnamedFiles } from "./setparts.ts";
import { nameShards } from "./shardfiles.ts";
import type { SetField } from "./tally.ts";

export interface PrepareOptions extends WriteOptions {
  /** Periods as people write them, both ends included: "1979..2015". */
  train: string;
  val?: string | undefined;
  test?: string | undefined;
  /** Names, or pressure-level variables for all their levels; all that are recognised unless given. */
  variables?: readonly string[] | undefined;
  dtype?: SetDtype | undefined;
  statistics?: StatisticsKind | undefined;
  /** Those to store beside the mean. */
  climatology?: readonly SeasonalKind[] | undefined;
}

/**
 * Writes DIR: shards by split and year, constants, climatology, and set.json as the last. One pass over the states,
 * one state in memory. It is written as DIR.partial and renamed when whole. When it fails or is killed, even by
 * SIGKILL, the shards that are whole stay there, and the same call goes on from them to the same bytes; when there is
 * none, nothing is left.
 *
 * @throws ClimaxError (config, data) for periods that overlap or are empty, unknown variables, missing values
 *         without nanFill, a target that exists, a DIR.partial of another recipe, a disk that is too small
 */
export async function prepare(given: Archive, dir: string, options: PrepareOptions): Promise<PrepareResult> {
  const outcome = await prepareTogether(given, dir, options, {});
  return (outcome as { result: PrepareResult }).result; // of a process by itself
}

/**
 * The same as one of several processes, which make the shards together, to the same bytes. Ranks share also the filling
 * of gaps and the seasonal climatologies; the first does the rest. A job makes its shards alone; the one that finds all
 * there finishes the set.
 */
export async function prepareTogether(
  given: Archive,
  dir: string,
  options: PrepareOptions,
  crew: Crew,
): Promise<Outcome> {
  const { train, val, test, precipitation, force = false, nanFill } = options;
  const { dtype = "float32", statistics = "train", climatology = [] } = options;
  const archive = precipitation === undefined ? given : accumulateRain(given, precipitation);
  const target = resolve(dir);
  const partial = partialPath(target);
  const fields = chooseFields(archive, options.variables);
  const varying = fields.filter(({ constant }) => !constant);
  const periods = { train, val, test };
  const plan = planSplits(archive.times, periods);
  const shards = nameShards(plan);
  const decisions = { periods, dtype, statistics, climatology, precipitation };
  const recipe = recipeOf(archive, fields, plan, decisions);
  const name = recipeName(recipe, nanFill);
  if (isJob(crew) && !force && (await isMade(target, name))) return "finished by another job";
  // A job asks under the set's lock: another may finish the set at this moment.
  if (!isJob(crew)) await refuseExisting(target, force);
  const inputs = await inputsOf(archive);

  const made = await makeFolder(dirname(target)).catch((error: Error) => {
    throw new ClimaxError(
      "data",
      `${dir}: its folder cannot be made: ${error.message}`,
      "choose another place with --output",
      { cause: error },
    );
  });
  let kept = false;
  try {
    return await growSet(
      {
        ...{
          target,
          dir: partial,
          archive,
          fields: varying,
          shards,
          dtype,
          statistics,
          nanFill,
          recipe,
          inputs,
        },
        ...{ force, years: [], startOf: () => undefined, base: "climatology", seasonal: climatology },
        check: async () => {
          await refuseExisting(target, force); // another may have made it since
          await refuseForeign(partial);
        },
        fresh: () => rm(partial, { recursive: true, force: true }).then(() => mkdir(partial)),
        fillers: ({ tallies }) => {
          refuseEmpty(varying, tallies);
          return tallies.map(({ moments }) => moments.mean);
        },
        describe: (work, first) =>
          describeSet({ archive, fields, plan, shards, name }, work, options, first ? partial : undefined),
        conclude: async (manifest) => {
          const result = await conclude(partial, manifest);
          await takeName(partial, target, force);
          await removeJournal(target);
          // Of a job that was a moment late.
          for (const { path } of await unnamedFiles(target, shards)) await rm(path, { force: true });
          return result;
        },
        isMade: () => isMade(target, name),
        giveUp: () => rm(partial, { recursive: true, force: true }),
      },
      {
        ...options,
        onKept: (what) => {
          kept = true;
          options.onKept?.(what);
        },
      },
      crew,
    );
  } catch (error) {
    if (!kept && crew.share === undefined && made !== undefined)
      await rm(made, { recursive: true, force: true });
    const stays = kept || crew.share !== undefined;
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
    throw new ClimaxError(
      "data",
      `${dir}: no space left while writing the set; ${stays ? `what is whole of it stays in ${partial}` : "what was written is removed"}`,
      stays
        ? `free some space and run the same command again, it goes on; or remove ${partial}`
        : "free some space, choose another disk, or fewer variables",
      { cause: error },
    );
  }
}

async function conclude(partial: string, manifest: Manifest): Promise<PrepareResult> {
  return { manifest: await writeManifest(partial, manifest), bytes: await sizeOf(partial, manifest) };
}

/** The fields to store, those of the paper first and in its order, so that a model's inputs lie together. */
function chooseFields(archive: Archive, wanted: readonly string[] | undefined): SetField[] {
  const there = [...archive.variables.values()];
  const names = new Set(wanted ? wanted.flatMap((text) => namesOf(text)) : archive.variables.keys());
  const ordered = [
    ...default48.filter((name) => names.has(name)),
    ...[...names].filter((name) => !default48.includes(name)),
  ];
  if (!there.some(({ name, constant }) => names.has(name) && !constant))
    throw new ClimaxError(
      "data",
      `none of the variables (${ordered.join(", ") || "no file has one"}) varies in time`,
      "give files of states in time as well as those of constants",
    );
  return ordered.map((name) => archive.variables.get(name)!);

  function namesOf(text: string): string[] {
    const { name, info, level } = parseName(text);
    const found =
      info.levels === "pressure" && level === undefined
        ? there.filter((variable) => variable.info.name === info.name).map((variable) => variable.name)
        : archive.variables.has(name)
          ? [name]
          : [];
    if (found.length > 0) return found;
    throw new ClimaxError(
      "data",
      `the files have no ${name}; they have ${there.map((variable) => variable.name).join(", ")}`,
      "leave it out of --variables, or give the files that have it",
    );
  }
}

/** Whether a set of this recipe is there: a job that comes late has nothing to do. */
async function isMade(target: string, recipe: string): Promise<boolean> {
  const made = existsSync(join(target, "set.json")) ? await readManifest(target) : undefined;
  return made?.provenance.recipe === recipe;
}

async function refuseExisting(target: string, force: boolean): Promise<void> {
  if (!existsSync(target)) return;
  const entries = await readdir(target).catch(() => undefined);
  if (entries?.length === 0) return;
  if (entries === undefined || !entries.includes("set.json"))
    throw new ClimaxError(
      "data",
      `${target} exists and is not a prepared set`,
      "choose another folder with --output; nothing in this one is touched",
    );
  if (!force)
    throw new ClimaxError(
      "data",
      `${target} is a prepared set already`,
      "choose another folder with --output, or replace this one with --force",
    );
}

const ours = /^(train|val|test|climatology|constants\.npy|climatology\.npy|set\.json(\.new)?|journal\..*)$/;

/** A folder of that name that is not an unfinished set is not emptied. */
async function refuseForeign(partial: string): Promise<void> {
  if (!existsSync(partial)) return;
  const entries = await readdir(partial).catch(() => [partial]);
  const foreign = entries.find((name) => !ours.test(name));
  if (foreign === undefined) return;
  throw new ClimaxError(
    "data",
    `${partial}, where the set would grow, exists and is no unfinished set: it has ${foreign}`,
    "choose another folder with --output; nothing in this one is touched",
  );
}

/** The finished set becomes `target`; what stood there goes only after. */
async function takeName(partial: string, target: string, force: boolean): Promise<void> {
  const old = `${target}.replaced`;
  if (existsSync(join(target, "set.json"))) {
    await rm(old, { recursive: true, force: true });
    await rename(target, old);
  } else if (existsSync(target)) await rmdir(target);
  await rename(partial, target);
  // Also that of a run that was killed a moment ago.
  if (force) await rm(old, { recursive: true, force: true });
}
