// Whether there is something to go on from: the journal of a set that was begun, held to the recipe of this one.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ClimaxError } from "../errors.ts";
import { differences, type Journal, partsFolder, type Recipe, readJournal, writeJournal } from "./journal.ts";
import { claimed, sweep } from "./makeshards.ts";
import type { SetDtype } from "./manifest.ts";
import { changedInputs } from "./preparerecipe.ts";
import type { NanFill } from "./readstate.ts";
import type { Locks } from "./setlock.ts";
import { checkSizes, readParts } from "./setparts.ts";
import type { ShardFiles } from "./shardfiles.ts";

/** What an earlier run left, or others have made. */
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
  locks: Locks;
  /** Makes the folder ready for a beginning. */
  fresh: (old: Journal | undefined) => Promise<unknown>;
  onResume?: ((resumed: Resumed) => void) | undefined;
}

/**
 * Begins a set, or sees that what is there of it was begun alike. The lock of the set is held meanwhile.
 *
 * @returns the journal: the inputs are as they were when the set was begun
 * @throws ClimaxError (data) when the folder holds part of something else, and for shards of a wrong size
 */
export async function beginOrGoOn(dir: string, begin: Beginning): Promise<Journal> {
  const { recipe, inputs, shards, force, locks } = begin;
  const tolerant = <T>(error: unknown): T | undefined => {
    if (!force) throw error;
    return undefined;
  };
  const old = await readJournal(dir).catch(tolerant<Journal>);
  const found =
    old && (await readParts(dir, filesNamed(old)).catch(tolerant<Awaited<ReturnType<typeof readParts>>>));
  if (old && found) {
    const other = differences(old, [...found.values()], recipe, begin.nanFill);
    const changed = changedInputs(old.inputs, inputs);
    if (other.length > 0 && found.size > 0 && !force)
      throw new ClimaxError(
        "data",
        `${dir} holds ${found.size} of ${old.files.length} files of a set that was begun otherwise: ${other.join("; ")}`,
        "run the command that it was begun with, which goes on, or start anew with --force",
      );
    // Where nothing is whole yet, others may have begun a moment ago.
    const anew = changed.length > 0 && (force || found.size === 0);
    if (other.length === 0 && !anew) {
      await checkSizes(dir, found, begin);
      await sweep(dir, shards, locks);
      if (found.size > 0) begin.onResume?.({ folder: dir, done: found.size, files: shards.length });
      return old;
    }
  }
  await refuseClaims(dir, locks);
  await begin.fresh(old);
  await mkdir(join(dir, partsFolder), { recursive: true });
  const files = shards.map(({ file }) => file);
  const journal: Journal = { format: "climax-journal", version: 2, recipe, inputs, files };
  // Before the first file, so that what a kill leaves of it is known to be ours.
  await writeJournal(dir, journal);
  return journal;
}

const filesNamed = ({ files }: Journal) => files.map((file) => ({ file }));

/** What others are at is not begun anew. */
async function refuseClaims(dir: string, locks: Locks): Promise<void> {
  for (;;) {
    const holder = await claimed(dir, locks);
    if (!holder) return;
    if (holder.alive)
      throw new ClimaxError(
        "data",
        `${dir} cannot be begun anew: ${holder.who} is at work in it`,
        "end it first, or choose another folder with --output",
      );
    await sleep(200); // until it is known whether it lives
  }
}

/** Files that were changed since the set was begun, for people. */
export const notesOnInputs = (journal: Journal, inputs: Readonly<Record<string, string>>): string[] =>
  changedInputs(journal.inputs, inputs).map(
    (path) => `${path} changed while the set was made: what had been read of it before stayed as it was`,
  );
