// Whether there is something to go on from: the journal of a run that was stopped, held to the recipe of this one.
import { existsSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { ClimaxError } from "../errors.ts";
import { npyHeader } from "../files/npyformat.ts";
import { type FieldSums, noSums } from "./fieldsums.ts";
import {
  differences,
  type Journal,
  journalFiles,
  type Recipe,
  readJournal,
  readSums,
  writeJournal,
} from "./journal.ts";
import type { SetDtype } from "./manifest.ts";
import { changedInputs } from "./preparerecipe.ts";
import type { NanFill, ShardFiles } from "./setwriter.ts";
import { startTally, type Tally } from "./tally.ts";

/** What an earlier run left. */
export interface Resumed {
  folder: string;
  /** Shards that are whole, of how many. */
  done: number;
  files: number;
}

interface Beginning {
  recipe: Recipe;
  inputs: Record<string, string>;
  nanFill: NanFill;
  /** [V, H, W] of a state. */
  shape: readonly number[];
  shards: readonly ShardFiles[];
  dtype: SetDtype;
  /** Whether another recipe is a reason to begin anew; else it is refused. */
  force: boolean;
  /** Makes the folder ready for a beginning. */
  fresh: (old: Journal | undefined) => Promise<unknown>;
  /** What a beginning starts from; nothing unless given. */
  tallies?: Tally[];
  sums?: FieldSums;
  packing?: Journal["packing"];
  onResume?: ((resumed: Resumed) => void) | undefined;
}

/**
 * The journal to go on from, the sums that belong to it, and what to note: that of an earlier run with the same
 * recipe, or a new one. What that run had not finished is removed.
 *
 * @throws ClimaxError (data) when the folder holds part of something else, and for shards of a wrong size
 */
export async function beginOrGoOn(
  dir: string,
  begin: Beginning,
): Promise<{ journal: Journal; sums: FieldSums; notes: string[] }> {
  const { recipe, inputs, shape, shards, force } = begin;
  const nanFill = begin.nanFill ?? null;
  let old: Journal | undefined;
  try {
    old = await readJournal(dir);
  } catch (error) {
    if (!force) throw error;
  }
  // Of a run that was stopped within its first shard nothing is left to go on from.
  if (old && old.done > 0) {
    const other = differences(old, recipe, nanFill);
    const changed = changedInputs(old.inputs, inputs);
    if (other.length > 0 && !force)
      throw new ClimaxError(
        "data",
        `${dir} holds ${old.done} of ${old.files.length} files of a set that was begun otherwise: ${other.join("; ")}`,
        "run the command that it was begun with, which goes on, or start anew with --force",
      );
    if (other.length === 0 && !(force && changed.length > 0)) {
      await checkSizes(dir, old, begin);
      await sweep(dir, old);
      old.nanFill = nanFill;
      begin.onResume?.({ folder: dir, done: old.done, files: shards.length });
      const notes = changed.map(
        (path) => `${path} changed while the set was made: what had been read of it before stayed as it was`,
      );
      return { journal: old, sums: (await readSums(dir, old)) ?? begin.sums ?? noSums(shape), notes };
    }
  }
  await begin.fresh(old);
  const journal: Journal = {
    format: "climax-journal",
    version: 1,
    recipe,
    nanFill,
    inputs,
    files: shards.map(({ file }) => file),
    done: 0,
    checksums: {},
    incomplete: [],
    tallies: begin.tallies ?? Array.from({ length: shape[0]! }, startTally),
    packing: begin.packing ?? null,
    sums: null,
  };
  // Before the first file, so that what a kill leaves of it is known to be ours.
  await writeJournal(dir, journal);
  return { journal, sums: begin.sums ?? noSums(shape), notes: [] };
}

/** What was written and flushed has its full size, unless the disk lost it or somebody was at it. */
async function checkSizes(
  dir: string,
  { done }: Journal,
  { shards, shape, dtype }: Beginning,
): Promise<void> {
  for (const { file, steps } of shards.slice(0, done)) {
    const whole = [steps.length, ...shape];
    const values = whole.reduce((product, n) => product * n, 1);
    const wanted = npyHeader(whole, dtype).length + values * (dtype === "float16" ? 2 : 4);
    const found = await stat(join(dir, file)).then(
      ({ size }) => size,
      () => 0,
    );
    if (found !== wanted)
      throw new ClimaxError(
        "data",
        `${join(dir, file)} has ${found} bytes, the journal of the unfinished set beside it says ${wanted}`,
        "start anew with --force and --output of another folder, or remove this one",
      );
  }
}

/** Removes what the journal does not call whole. */
async function sweep(dir: string, { checksums, files }: Journal): Promise<void> {
  const keep = new Set([...Object.keys(checksums), ...journalFiles]);
  const planned = new Set(files.flatMap((file) => [file, file.replace(/\.npy$/, ".time.npy")]));
  for (const folder of ["train", "val", "test"]) {
    if (!existsSync(join(dir, folder))) continue;
    for (const name of await readdir(join(dir, folder))) {
      const file = `${folder}/${name}`;
      if (planned.has(file) && !keep.has(file)) await rm(join(dir, file));
    }
  }
}
