// From archive files to a prepared training set: what goes in, where it is written, and that nothing is left of a
// set that could not be finished.

import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, rmdir, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ClimaxError } from "../errors.ts";
import type { Archive } from "./archive.ts";
import { makeFolder } from "./folder.ts";
import { type Manifest, partialPath } from "./manifest.ts";
import { type Plan, planSplits } from "./plan.ts";
import { type SetField, writeSet } from "./setwriter.ts";
import { default48, parseName } from "./variables.ts";

export interface PrepareOptions {
  /** Periods as people write them, both ends included: "1979..2015". */
  train: string;
  val?: string | undefined;
  test?: string | undefined;
  /** Names, or pressure-level variables for all their levels; all that are recognised unless given. */
  variables?: readonly string[] | undefined;
  /** What replaces missing values: the variable's mean over train, or a number. Without it they are refused. */
  nanFill?: "mean" | number | undefined;
  /** Replaces a set that is there already. */
  force?: boolean;
  provenance: { command: string; version: string; files: readonly string[] };
  signal?: AbortSignal;
  /** Told after every state. */
  onStep?: (done: number, total: number) => void;
}

export interface PrepareResult {
  manifest: Manifest;
  /** On disk. */
  bytes: number;
}

/**
 * Writes DIR: float32 shards by split and year, constants, climatology, and set.json as the last. One pass over the
 * states, one state in memory. It is written as DIR.partial and renamed when whole; after an error nothing is left.
 *
 * @throws ClimaxError (config, data) for periods that overlap or are empty, unknown variables, missing values
 *         without nanFill, a target that exists, a disk that is too small
 */
export async function prepare(
  archive: Archive,
  dir: string,
  options: PrepareOptions,
): Promise<PrepareResult> {
  const target = resolve(dir);
  const partial = partialPath(target);
  const { train, val, test, force = false } = options;
  const fields = chooseFields(archive, options.variables);
  const plan = planSplits(archive.times, { train, val, test });
  await refuseExisting(target, force);

  const made = await makeFolder(dirname(target)).catch((error: Error) => {
    throw new ClimaxError(
      "data",
      `${dir}: its folder cannot be made: ${error.message}`,
      "choose another place with --output",
      { cause: error },
    );
  });
  try {
    await refuseFullDisk(dirname(target), bytesNeeded(archive, fields, plan), dir);
    // What a killed run left behind.
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial);
    const result = await writeSet(archive, partial, fields, plan, options);
    await takeName(partial, target);
    return result;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    if (made !== undefined) await rm(made, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
    throw new ClimaxError(
      "data",
      `${dir}: no space left while writing the set; what was written is removed`,
      "free some space, choose another disk, or fewer variables",
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

function bytesNeeded({ grid }: Archive, fields: readonly SetField[], { shards }: Plan): number {
  const steps = shards.reduce((sum, shard) => sum + shard.steps.length, 0);
  const dynamic = fields.filter(({ constant }) => !constant).length;
  // One more step for the climatology.
  return (steps + 1) * dynamic * grid.lat.length * grid.lon.length * 4;
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

/** 1234567 as "1.2 MB". */
export function bytesText(bytes: number): string {
  const units = ["kB", "MB", "GB", "TB", "PB"];
  const power = Math.min(Math.max(Math.floor(Math.log10(bytes) / 3), 1), units.length);
  return `${(bytes / 1000 ** power).toFixed(1)} ${units[power - 1]}`;
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
