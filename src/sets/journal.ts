// How an unfinished set was begun: written beside its shards before the first of them, so that whoever goes on with it
// makes the same set.
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import type { SetDtype } from "./manifest.ts";
import type { NanFill } from "./readstate.ts";
import type { Part } from "./setparts.ts";

const journalSchema = z.strictObject({
  format: z.literal("climax-journal"),
  version: z.literal(2),
  /** All that decides what is written, in words: what it is called, and what it is. */
  recipe: z.record(z.string(), z.string()),
  /** Size and date of the input files when the set was begun. */
  inputs: z.record(z.string(), z.string()),
  /** Of the set to come, by shard. */
  files: z.array(z.string()),
});
export type Journal = z.output<typeof journalSchema>;
export type Recipe = Journal["recipe"];

export const journalFile = "journal.json";
/** The folder of what is whole. */
export const partsFolder = "journal.parts";
/** How float16 is packed, where it is the states that decide. */
export const packingFile = "journal.packing.json";

/** The journal in a folder; undefined where there is none. @throws ClimaxError (data) for one that is damaged */
export function readJournal(dir: string): Promise<Journal | undefined> {
  return readNote(join(dir, journalFile), journalSchema);
}

/** A small file that says how far a set has come; undefined where it is not there. @throws ClimaxError (data) for one that is damaged */
export async function readNote<T extends z.ZodType>(
  path: string,
  schema: T,
): Promise<z.output<T> | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new ClimaxError(
      "data",
      `${path} is damaged or of another version of climax: ${(error as Error).message.split("\n")[0]}`,
      "start anew with --force",
      { cause: error },
    );
  }
}

/** Puts the journal in the place of the one before, at once. */
export async function writeJournal(dir: string, journal: Journal): Promise<void> {
  await replaceFile(join(dir, journalFile), `${JSON.stringify(journal)}\n`);
}

export async function removeJournal(dir: string): Promise<void> {
  // The journal itself last: while it is there the rest is known to be left over.
  const names = (await readdir(dir)).filter((name) => name.startsWith("journal.") && name !== journalFile);
  for (const name of [...names, journalFile]) await rm(join(dir, name), { recursive: true, force: true });
}

/** A folder of the set, which must be there itself: another process may have finished it, under another name. */
export async function makeWithin(dir: string, folder: string): Promise<void> {
  await mkdir(join(dir, folder)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
}

/**
 * Writes a file that is either the old one or the new one at every moment, and on the disk when this returns.
 *
 * @param token  of several that may write it at once
 */
export async function replaceFile(path: string, text: string, token = "new"): Promise<void> {
  const handle = await open(`${path}.${token}`, "w");
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.${token}`, path);
}

/** In what a recipe differs from the one that a journal was begun with, for people; empty when it does not. */
export function differences(
  journal: Journal,
  parts: readonly Part[],
  recipe: Recipe,
  nanFill: NanFill,
): string[] {
  const keys = [...new Set([...Object.keys(journal.recipe), ...Object.keys(recipe)])];
  const lines = keys.flatMap((key) => {
    const [then, now] = [journal.recipe[key] ?? "not given", recipe[key] ?? "not given"];
    return then === now ? [] : [`${key}: ${then} then, ${now} now`];
  });
  return [...lines, ...otherFilling(parts, nanFill)];
}

/** A filling may change until the first gap is met; after that none of the parts may have another. */
export function otherFilling(parts: readonly Part[], nanFill: NanFill): string[] {
  const other = parts.find(
    (part) => part.nanFill !== (nanFill ?? null) && part.tallies.some(({ missing }) => missing > 0),
  );
  return other ? [`nan-fill: ${other.nanFill ?? "not given"} then, ${nanFill ?? "not given"} now`] : [];
}

/** Bytes of a number in a shard. */
export const bytesEach = (dtype: SetDtype): number => (dtype === "float16" ? 2 : 4);
