// From archive files to a prepared training set: what goes in, where it is written, and what stays of one that could
// not be finished.

import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, rmdir, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Archive } from "../data/archive.ts";
import { makeFolder } from "../data/folder.ts";
import { default48, parseName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import { bytesText } from "../files/bytes.ts";
import type { SeasonalKind } from "./climatology.ts";
import { type Journal, removeJournal } from "./journal.ts";
import { type Manifest, partialPath, type SetDtype, type StatisticsKind } from "./manifest.ts";
import { type Plan, planSplits } from "./plan.ts";
import { accumulateRain } from "./precipitation.ts";
import { inputsOf, recipeOf } from "./preparerecipe.ts";
import { finishSet } from "./prepareset.ts";
import { beginOrGoOn, type Resumed } from "./resume.ts";
import { holdSet } from "./setlock.ts";
import { type NanFill, nameShards, writeShards } from "./setwriter.ts";
import type { SetField } from "./tally.ts";

/** What is being counted: states written, or states read for the seasonal climatologies. */
export type Stage = "states" | "climatology";

/** How a set is written, whatever it holds. */
export interface WriteOptions {
  /** What replaces missing values. Without it they are refused. */
  nanFill?: NanFill;
  /** Sums of rain over so many hours are made of what the files have. */
  precipitation?: number | undefined;
  /** Replaces a set that is there already, and an unfinished one of another recipe. */
  force?: boolean;
  provenance: { command: string; version: string; files: readonly string[] };
  signal?: AbortSignal;
  /** Told after every state. */
  onStep?: (done: number, total: number, stage: Stage) => void;
  /** Told when an unfinished set is gone on with. */
  onResume?: (resumed: Resumed) => void;
  /** Told when what was done is kept after a failure. */
  onKept?: (kept: { folder: string; done: number; files: number }) => void;
}

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

export interface PrepareResult {
  manifest: Manifest;
  /** On disk. */
  bytes: number;
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
  const { train, val, test, precipitation, force = false } = options;
  const { dtype = "float32", statistics = "train", climatology = [] } = options;
  const archive = precipitation === undefined ? given : accumulateRain(given, precipitation);
  const target = resolve(dir);
  const partial = partialPath(target);
  const fields = chooseFields(archive, options.variables);
  const periods = { train, val, test };
  const plan = planSplits(archive.times, periods);
  await refuseExisting(target, force);

  const made = await makeFolder(dirname(target)).catch((error: Error) => {
    throw new ClimaxError(
      "data",
      `${dir}: its folder cannot be made: ${error.message}`,
      "choose another place with --output",
      { cause: error },
    );
  });
  let journal: Journal | undefined;
  const shards = nameShards(plan);
  const release = await holdSet(target);
  try {
    const varying = fields.filter(({ constant }) => !constant);
    const recipe = recipeOf(archive, fields, plan, {
      periods,
      dtype,
      statistics,
      climatology,
      precipitation,
    });
    const inputs = await inputsOf(archive);
    await refuseForeign(partial);
    const begun = await beginOrGoOn(partial, {
      recipe,
      inputs,
      nanFill: options.nanFill,
      shape: [varying.length, archive.grid.lat.length, archive.grid.lon.length],
      shards,
      dtype,
      force,
      fresh: () => rm(partial, { recursive: true, force: true }).then(() => mkdir(partial)),
      onResume: options.onResume,
    });
    journal = begun.journal;
    const needed = bytesNeeded(archive, varying, plan, dtype) - (await bytesDone(partial, journal));
    await refuseFullDisk(dirname(target), needed, dir);
    await writeShards({
      dir: partial,
      archive,
      fields: varying,
      shards,
      dtype,
      statistics,
      nanFill: options.nanFill,
      ...begun,
      signal: options.signal,
      onStep: (steps, total) => options.onStep?.(steps, total, "states"),
    });
    const notes = [...archive.notes, ...plan.notes, ...begun.notes];
    const result = await finishSet(partial, { archive, fields, plan, shards, ...begun, notes }, options);
    await takeName(partial, target);
    await removeJournal(target);
    await release();
    return result;
  } catch (error) {
    await release();
    const { code } = error as NodeJS.ErrnoException;
    const full = code === "ENOSPC" || code === "EDQUOT";
    const kept = journal !== undefined && journal.done > 0;
    if (kept) options.onKept?.({ folder: partial, done: journal!.done, files: shards.length });
    else {
      // Another's partial set, which was refused, is no business of this one.
      if (journal) await rm(partial, { recursive: true, force: true });
      if (made !== undefined) await rm(made, { recursive: true, force: true });
    }
    if (!full) throw error;
    throw new ClimaxError(
      "data",
      `${dir}: no space left while writing the set; ${kept ? `what is whole of it stays in ${partial}` : "what was written is removed"}`,
      kept
        ? `free some space and run the same command again, it goes on; or remove ${partial}`
        : "free some space, choose another disk, or fewer variables",
      { cause: error },
    );
  }
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

/** Bytes of the files to come. */
export function bytesNeeded(
  { grid }: Archive,
  varying: readonly SetField[],
  { shards }: Plan,
  dtype: SetDtype,
): number {
  const steps = shards.reduce((sum, shard) => sum + shard.steps.length, 0);
  const values = varying.length * grid.lat.length * grid.lon.length;
  // The mean state, its sums and counts, and two copies of these in the journal.
  return values * (steps * (dtype === "float16" ? 2 : 4) + 4 + 3 * 12);
}

/** Bytes of those that are there. */
export async function bytesDone(dir: string, { checksums }: Journal): Promise<number> {
  let bytes = 0;
  for (const file of Object.keys(checksums)) bytes += (await stat(join(dir, file))).size;
  return bytes;
}

/** Says before hours of work that they would be in vain. @param folder  exists */
export async function refuseFullDisk(folder: string, bytes: number, dir: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes > free)
    throw new ClimaxError(
      "data",
      `${dir}: the set needs ${bytesText(bytes)}, its disk has ${bytesText(free)} left`,
      "free some space, choose another disk, or fewer variables",
    );
}

/** The finished set becomes `target`; what stood there goes only after. */
async function takeName(partial: string, target: string): Promise<void> {
  if (!existsSync(join(target, "set.json"))) {
    if (existsSync(target)) await rmdir(target);
    return rename(partial, target);
  }
  const old = `${target}.replaced`;
  await rm(old, { recursive: true, force: true });
  await rename(target, old);
  await rename(partial, target);
  await rm(old, { recursive: true, force: true });
}
