// The making of a set's shards and all that follows from them, by one process or by several: a new set, and one that
// grows. What differs between the two is in `Growth`.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Archive } from "../data/archive.ts";
import { dealt } from "../data/share.ts";
import type { SeasonalKind } from "./climatology.ts";
import { type Crew, isFirst, isJob } from "./crew.ts";
import { type FinishedWork, finishTogether } from "./finishset.ts";
import { type Journal, journalFile, packingFile, type Recipe, readJournal } from "./journal.ts";
import { makeShards, sweep, untilUnclaimed } from "./makeshards.ts";
import type { Manifest, SetDtype, StatisticsKind } from "./manifest.ts";
import { bytesNeeded, refuseFullDisk } from "./prepareroom.ts";
import type { NanFill } from "./readstate.ts";
import { beginOrGoOn, notesOnInputs, type Resumed } from "./resume.ts";
import { packingOf } from "./samplepacking.ts";
import { holdSet, isHold, locks } from "./setlock.ts";
import type { Packing } from "./setpacking.ts";
import { partPath, readParts } from "./setparts.ts";
import type { ShardFiles } from "./shardfiles.ts";
import type { SetField } from "./tally.ts";
import type { TrainYear } from "./trainyears.ts";

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
  /** Seconds without a sign of life after which a process of another machine that was at this set is taken for dead. */
  patience?: number;
  /** Told after every state; of several processes, of this one's. */
  onStep?: (done: number, total: number, stage: Stage) => void;
  /** Told when an unfinished set is gone on with. */
  onResume?: (resumed: Resumed) => void;
  /** Told when there is nothing to do but wait for another process. */
  onWait?: (text: string) => void;
  /** Told when what was done is kept after a failure. */
  onKept?: (kept: { folder: string; done: number; files: number }) => void;
}

export interface PrepareResult {
  manifest: Manifest;
  /** On disk. */
  bytes: number;
}

/** What there is when a job has done its share, and the set is not finished. */
export interface Unfinished {
  folder: string;
  /** Files of this share, of how many. */
  own: number;
  files: number;
  /** Files that are not there yet. */
  missing: string[];
  /** Who is finishing it. */
  finisher?: string;
}

/** Of the process that finished the set, of a job that did not, or of a rank that was not the first. */
export type Outcome =
  | { result: PrepareResult }
  | { unfinished: Unfinished }
  | "by another rank"
  | "finished by another job";

/** A set to be made, or to be made larger. */
export interface Growth {
  /** The set. */
  target: string;
  /** Where it is written. */
  dir: string;
  archive: Pick<Archive, "grid" | "times">;
  /** Those that vary in time, in the set's order. */
  fields: readonly SetField[];
  shards: readonly ShardFiles[];
  dtype: SetDtype;
  statistics: StatisticsKind;
  nanFill: NanFill;
  /** The means that fill gaps, when they are known already. */
  means?: readonly number[] | undefined;
  /** Of float16, when it is decided. */
  packing?: Packing | undefined;
  /** Years of train that the set has already. */
  years: readonly TrainYear[];
  startOf: (shard: ShardFiles) => TrainYear | undefined;
  recipe: Recipe;
  inputs: Record<string, string>;
  force: boolean;
  /** Whether the folder may be written to. @throws ClimaxError where not */
  check: () => Promise<unknown>;
  fresh: (old: Journal | undefined) => Promise<unknown>;
  /** Of the mean state; undefined where train stays as it is. */
  base: string | undefined;
  seasonal: readonly SeasonalKind[];
  /** What fills cells that no state of train has, by variable. @throws ClimaxError where there is none */
  fillers: (work: FinishedWork) => readonly number[];
  /** All that set.json says but for the seasonal climatologies. @param first  writes what is still to be written */
  describe: (work: FinishedWork, first: boolean) => Promise<Manifest>;
  /** Writes set.json, and what follows. */
  conclude: (manifest: Manifest) => Promise<PrepareResult>;
  /** Whether it is finished, by this recipe. */
  isMade: () => Promise<boolean>;
  /** Removes what nobody can go on from. */
  giveUp: () => Promise<unknown>;
}

/** Seconds for which jobs wait for one another where one begins and another finishes. */
const patient = 120;

/**
 * Makes the share of this process, and what is left when all shards are there. After a failure what is whole stays.
 *
 * @throws ClimaxError (config, data) as `prepare` and `appendToSet`
 */
export async function growSet(growth: Growth, options: WriteOptions, crew: Crew): Promise<Outcome> {
  const { target, dir, shards, dtype, fields, archive } = growth;
  const { signal, onWait, patience } = options;
  const [first, job, byItself] = [isFirst(crew), isJob(crew), crew.share === undefined];
  const watch = locks(patience);
  const shape = [fields.length, archive.grid.lat.length, archive.grid.lon.length];
  const own = dealt(shards, crew.share);
  const hold = { wait: job ? patient : 0, signal, patience, onWait };
  let release = first ? await holdSet(target, hold) : undefined;
  let begun = false;
  try {
    if (first) {
      const { onResume } = options;
      if (job && !growth.force && (await growth.isMade())) return "finished by another job";
      await growth.check();
      await beginOrGoOn(dir, { ...growth, shape, locks: watch, onResume });
      begun = true;
      const there = await readParts(dir, shards);
      const missing = (job ? own : shards).filter(({ file }) => !there.has(file));
      await refuseFullDisk(dir, bytesNeeded(archive, fields.length, missing, dtype), target);
    }
    if (job) {
      await release?.();
      release = undefined;
    }
    await crew.meet?.([join(dir, journalFile)]);
    const packing = await packingFor();
    await makeShards({
      ...growth,
      ...{ packing, shards: own, locks: watch, signal, onWait },
      onStep: (done, total) => options.onStep?.(done, total, "states"),
    });
    if (job) {
      const left = await unfinished();
      const got = left.missing.length === 0 ? await watch.take(`${target}.lock`) : undefined;
      if (got && isHold(got)) ({ release } = got);
      const gone = !existsSync(join(dir, journalFile)); // another has finished it since
      if (gone && (await growth.isMade())) return "finished by another job";
      if (!got) return { unfinished: left };
      if (!isHold(got)) return { unfinished: { ...left, finisher: got.who } };
      await growth.check();
    }
    await crew.meet?.(shards.map(({ file }) => partPath(dir, file)));
    if (first) {
      await untilUnclaimed(dir, watch, { signal, onWait });
      await sweep(dir, shards, watch);
    }
    const notes = notesOnInputs((await readJournal(dir))!, growth.inputs);
    const result = await finishTogether(growth, { packing, notes }, options, job ? {} : crew);
    return result ? { result } : "by another rank";
  } catch (error) {
    // A job that was about to make what another has made meanwhile finds the folder gone.
    const gone = (error as NodeJS.ErrnoException).code === "ENOENT" && !existsSync(join(dir, journalFile));
    if (job && begun && gone && (await growth.isMade())) return "finished by another job";
    if (begun) await keepOrRemove();
    throw error;
  } finally {
    await release?.();
  }

  async function packingFor(): Promise<Packing | undefined> {
    if (dtype !== "float16") return undefined;
    if (growth.packing) return growth.packing;
    const token = randomBytes(4).toString("hex");
    const sample = { dir, archive, fields, shards, signal };
    const sampled = first ? await packingOf(sample, token) : undefined;
    await crew.meet?.([join(dir, packingFile)]);
    return sampled ?? (await packingOf(sample, token));
  }

  async function unfinished(): Promise<Unfinished> {
    const there = await readParts(dir, shards);
    const missing = shards.filter(({ file }) => !there.has(file)).map(({ file }) => file);
    return { folder: dir, own: own.length, files: shards.length, missing };
  }

  async function keepOrRemove(): Promise<void> {
    const { files, missing } = await unfinished();
    if (missing.length < files) options.onKept?.({ folder: dir, done: files - missing.length, files });
    else if (byItself) await growth.giveUp();
  }
}
