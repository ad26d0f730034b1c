// What an unfinished set has done: written beside its shards after each of them, so that a run killed at any moment
// goes on from the last one, to the same bytes.
import { existsSync } from "node:fs";
import { open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { readNpy, streamNpy } from "../files/npy.ts";
import { type FieldSums, restoreSums } from "./fieldsums.ts";
import { momentsSchema, rangeFields, yearSchema } from "./manifest.ts";

const tallySchema = z.strictObject({
  moments: momentsSchema,
  years: z.array(yearSchema),
  ...rangeFields,
  missing: z.int().nonnegative(),
  firstMissing: z.string(),
  error: z.number().nonnegative(),
});

const journalSchema = z.strictObject({
  format: z.literal("climax-journal"),
  version: z.literal(1),
  /** All that decides what is written, in words: what it is called, and what it is. */
  recipe: z.record(z.string(), z.string()),
  /** What replaces missing values; it may change until the first of them is met. */
  nanFill: z.union([z.literal("mean"), z.number()]).nullable(),
  /** Size and date of the input files when the set was begun. */
  inputs: z.record(z.string(), z.string()),
  /** Of the set to come, by shard. */
  files: z.array(z.string()),
  /** Shards that are whole. */
  done: z.int().nonnegative(),
  /** SHA-256 of the files that are whole. */
  checksums: z.record(z.string(), z.string()),
  /** Shards with gaps that wait for the mean of train. */
  incomplete: z.array(z.string()),
  tallies: z.array(tallySchema),
  packing: z.strictObject({ scale: z.array(z.number()), offset: z.array(z.number()) }).nullable(),
  /** Which of the two copies of the sums of train belongs to this; null before there is one. */
  sums: z.union([z.literal(0), z.literal(1)]).nullable(),
});
export type Journal = z.output<typeof journalSchema>;
export type Recipe = Journal["recipe"];

export const journalFile = "journal.json";
const sumFiles = (copy: 0 | 1) => [`journal.sum_${copy}.npy`, `journal.count_${copy}.npy`] as const;
/** All files of a journal. */
export const journalFiles = [journalFile, `${journalFile}.new`, ...sumFiles(0), ...sumFiles(1)];

/** The journal in a folder; undefined where there is none. @throws ClimaxError (data) for one that is damaged */
export async function readJournal(dir: string): Promise<Journal | undefined> {
  const path = join(dir, journalFile);
  if (!existsSync(path)) return undefined;
  try {
    return journalSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    throw new ClimaxError(
      "data",
      `${path} is damaged or of another version of climax: ${(error as Error).message.split("\n")[0]}`,
      "start anew with --force",
      { cause: error },
    );
  }
}

/**
 * Puts the journal in the place of the one before, at once.
 *
 * @param sums  when they have changed: written first, to the copy that the old journal does not name
 */
export async function writeJournal(dir: string, journal: Journal, sums?: FieldSums): Promise<void> {
  if (sums) {
    const copy = journal.sums === 0 ? 1 : 0;
    const [sumFile, countFile] = sumFiles(copy).map((file) => join(dir, file)) as [string, string];
    await writeSums(sums, sumFile, countFile);
    journal.sums = copy;
  }
  await replaceFile(join(dir, journalFile), `${JSON.stringify(journal)}\n`);
}

/** The sums that a journal goes with. */
export async function readSums(dir: string, { sums }: Journal): Promise<FieldSums | undefined> {
  if (sums === null) return undefined;
  const [sumFile, countFile] = sumFiles(sums);
  return restoreSums(await readNpy(join(dir, sumFile)), await readNpy(join(dir, countFile)));
}

/** Two files, float64 and uint32, both on the disk when this returns. @returns their SHA-256 */
export async function writeSums(
  { shape, sums, counts }: FieldSums,
  sumPath: string,
  countPath: string,
): Promise<[string, string]> {
  await rm(sumPath, { force: true });
  await rm(countPath, { force: true });
  return [
    await streamNpy(sumPath, shape, "float64", (append) => append(sums)),
    await streamNpy(countPath, shape, "uint32", (append) => append(counts)),
  ];
}

export async function removeJournal(dir: string): Promise<void> {
  // The journal itself last: while it is there the rest is known to be left over.
  for (const file of journalFiles.toReversed()) await rm(join(dir, file), { force: true });
}

/** Writes a file that is either the old one or the new one at every moment, and on the disk when this returns. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const handle = await open(`${path}.new`, "w");
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.new`, path);
}

/** In what a recipe differs from the one that a journal was begun with, for people; empty when it does not. */
export function differences(journal: Journal, recipe: Recipe, nanFill: Journal["nanFill"]): string[] {
  const keys = [...new Set([...Object.keys(journal.recipe), ...Object.keys(recipe)])];
  const lines = keys.flatMap((key) => {
    const [then, now] = [journal.recipe[key] ?? "not given", recipe[key] ?? "not given"];
    return then === now ? [] : [`${key}: ${then} then, ${now} now`];
  });
  const filled = journal.tallies.some(({ missing }) => missing > 0);
  if (filled && journal.nanFill !== nanFill)
    lines.push(`nan-fill: ${journal.nanFill ?? "not given"} then, ${nanFill ?? "not given"} now`);
  return lines;
}
