// More states for a prepared set: new shards beside the old ones, and a set.json that takes the place of the old one
// in one stroke, so that the set is whole at every moment, with the new states or without.

import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Archive } from "../data/archive.ts";
import { type CfTime, parseTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { readNpy } from "../files/npy.ts";
import { fillingOf, fittingFields, inCalendar, refuseLeakage, refuseStep } from "./appendfit.ts";
import type { SeasonalKind } from "./climatology.ts";
import { describeSplits, describeStatistics, notesOn } from "./describeset.ts";
import { type FieldSums, noSums, restoreSums } from "./fieldsums.ts";
import { type Journal, readJournal, removeJournal } from "./journal.ts";
import { dynamicNames, type Manifest, readManifest, splitNames } from "./manifest.ts";
import { type Plan, planSplits } from "./plan.ts";
import { accumulateRain } from "./precipitation.ts";
import { bytesDone, bytesNeeded, type PrepareResult, refuseFullDisk, type WriteOptions } from "./prepare.ts";
import { inputsOf, recipeOf } from "./preparerecipe.ts";
import { addSeasonal, sizeOf, writeClimatology, writeManifest } from "./prepareset.ts";
import { beginOrGoOn } from "./resume.ts";
import { holdSet } from "./setlock.ts";
import { nameShards, type ShardFiles, writeShards } from "./setwriter.ts";
import { noMoments } from "./statistics.ts";
import { type SetField, startTally, type Tally, talliesOf } from "./tally.ts";

export interface AppendOptions extends WriteOptions {
  /** Periods of the new states; at least one. */
  train?: string | undefined;
  val?: string | undefined;
  test?: string | undefined;
}

/**
 * Adds states to the set in `dir`: of its grid, its variables and its step, at times that no split spans. New states
 * of train change statistics and climatologies, exactly, as if all had been prepared at once. Killed at any moment, the
 * set is the old one, and the same call goes on from the last whole shard.
 *
 * @throws ClimaxError (config, data, grid) for states that do not fit to the set or would leak between splits
 */
export async function appendToSet(
  given: Archive,
  dir: string,
  options: AppendOptions,
): Promise<PrepareResult> {
  await readManifest(dir); // says what is wrong with a folder that is no set, before anything is written
  const release = await holdSet(resolve(dir));
  try {
    return await append(given, dir, options);
  } finally {
    await release();
  }
}

async function append(given: Archive, dir: string, options: AppendOptions): Promise<PrepareResult> {
  const { train, val, test, precipitation, force = false } = options;
  const archive = precipitation === undefined ? given : accumulateRain(given, precipitation);
  const target = resolve(dir);
  const old = await readManifest(target);
  const base = createHash("sha256")
    .update(await readFile(join(target, "set.json")))
    .digest("hex")
    .slice(0, 12);
  await dropStaleJournal(target, old, base);
  const fields = fittingFields(archive, old, dir);
  const { times } = inCalendar(archive, old, dir);
  const periods = { train, val, test };
  const plan = planSplits(times, periods);
  refuseStep(plan, old, dir);
  refuseLeakage(plan, times, periods, old, dir);

  const nanFill = fillingOf(old, options.nanFill, dir);
  const extendsTrain = plan.shards.some(({ split }) => split === "train");
  const before = extendsTrain ? await trainOf(old, target) : undefined;
  const shards = nameShards(plan, new Set(Object.keys(old.checksums)));
  const { dtype } = old;
  const statistics = old.statistics?.kind ?? "train";
  const kinds: SeasonalKind[] = extendsTrain
    ? [
        ...(old.climatology.weekly ? (["weekly"] as const) : []),
        ...(old.climatology.dayofyear ? (["dayofyear"] as const) : []),
      ]
    : [];
  const recipe = recipeOf({ ...archive, times }, fields, plan, {
    periods,
    dtype,
    statistics,
    climatology: kinds,
    precipitation,
    base,
  });
  const shape = [fields.length, old.grid.lat.length, old.grid.lon.length];
  const begun = await beginOrGoOn(target, {
    recipe,
    inputs: await inputsOf(archive),
    nanFill,
    shape,
    shards,
    dtype,
    force,
    fresh: (journal) => removeLeftovers(target, old, journal),
    tallies: before?.tallies ?? fields.map(startTally),
    sums: before?.sums ?? noSums(shape),
    packing: old.packing ?? null,
    onResume: options.onResume,
  });
  const { journal, sums } = begun;
  try {
    const needed = bytesNeeded(archive, fields, plan, dtype) - (await bytesDone(target, journal));
    await refuseFullDisk(target, needed, dir);
    await writeShards({
      dir: target,
      archive: { grid: archive.grid, times },
      fields,
      shards,
      dtype,
      statistics,
      nanFill,
      means:
        nanFill === "mean"
          ? fields.map(({ name }) => old.filled?.values?.[name] ?? old.mean[name]!)
          : undefined,
      journal,
      sums,
      signal: options.signal,
      onStep: (done, total) => options.onStep?.(done, total, "states"),
    });
    const notes = [...archive.notes, ...plan.notes, ...begun.notes];
    const manifest = describeGrown(
      old,
      { fields, plan, shards, times, journal, notes, nanFill, archive },
      options,
    );
    if (extendsTrain) {
      const generation = nextBase(old.climatology.base);
      const means = fields.map(
        ({ name }, i) => manifest.filled?.values?.[name] ?? journal.tallies[i]!.moments.mean,
      );
      Object.assign(journal.checksums, await writeClimatology(target, generation, sums, means));
      manifest.climatology = { base: generation, sums: true };
      manifest.checksums = { ...without(old), ...journal.checksums };
      Object.assign(manifest.climatology, await addSeasonal(target, manifest, journal, kinds, options));
    }
    const written = await writeManifest(target, manifest);
    await removeLeftovers(target, written, undefined);
    await removeJournal(target);
    return { manifest: written, bytes: await sizeOf(target, written) };
  } catch (error) {
    if (journal.done > 0) options.onKept?.({ folder: target, done: journal.done, files: shards.length });
    else await removeLeftovers(target, old, journal).then(() => removeJournal(target));
    throw error;
  }
}

/** What statistics and climatology of train are made of. */
async function trainOf(old: Manifest, dir: string): Promise<{ tallies: Tally[]; sums: FieldSums }> {
  const tallies = talliesOf(old, dynamicNames(old));
  const { base, sums } = old.climatology;
  if (!tallies || !sums)
    throw new ClimaxError(
      "data",
      `${dir} was prepared by a climax that kept no sums of its train period, so it cannot grow`,
      "add to val and test only, or prepare the set again from all files",
    );
  const [sum, count] = [
    await readNpy(join(dir, base, "sum.npy")),
    await readNpy(join(dir, base, "count.npy")),
  ];
  return { tallies, sums: restoreSums(sum, count) };
}

interface Growth {
  archive: Archive;
  fields: readonly SetField[];
  plan: Plan;
  shards: readonly ShardFiles[];
  times: readonly CfTime[];
  journal: Journal;
  notes: readonly string[];
  nanFill: WriteOptions["nanFill"];
}

function describeGrown(old: Manifest, growth: Growth, { provenance }: AppendOptions): Manifest {
  const { archive, fields, shards, times, journal, nanFill } = growth;
  const added = describeSplits(shards, times);
  const splits = { ...old.splits };
  const spans: Record<string, string> = {};
  for (const name of splitNames) {
    const [there, more] = [old.splits[name], added[name]];
    if (!more) continue;
    spans[name] = `${more.start} to ${more.end}`;
    const parts = there ? [there, more].sort((a, b) => (instant(a, old) < instant(b, old) ? -1 : 1)) : [more];
    splits[name] = {
      start: parts[0]!.start,
      end: parts.at(-1)!.end,
      steps: parts.reduce((sum, { steps }) => sum + steps, 0),
      shards: parts.flatMap((part) => part.shards),
    };
  }
  const created = new Date().toISOString();
  const grown = added.train !== undefined;
  const kind = old.statistics?.kind ?? "train";
  const statistics = grown ? describeStatistics(fields, journal.tallies, kind) : undefined;
  const filled = journal.tallies.some(({ missing }) => missing > 0) && nanFill !== undefined;
  const noteOf = (field: SetField, i: number) => {
    const tally = journal.tallies[i]!;
    const { [field.name]: mean = 0 } = old.mean;
    const { [field.name]: std = 1 } = old.std;
    // Where train has not grown, mean and std are those of the set.
    const moments = grown ? tally.moments : { ...noMoments(), count: 1, mean, squares: std ** 2 };
    return notesOn(field, { ...tally, moments }, nanFill, old.filled?.values?.[field.name] ?? mean);
  };
  const appended = Object.entries(spans)
    .map(([name, span]) => `${name} ${span}`)
    .join(", ");
  return {
    ...old,
    splits,
    stepHours: old.stepHours || growth.plan.stepHours,
    ...(statistics
      ? {
          mean: { ...old.mean, ...statistics.mean },
          std: { ...old.std, ...statistics.std },
          statistics: statistics.statistics,
        }
      : {}),
    ...(filled && !old.filled
      ? { filled: { by: nanFill, ...(nanFill === "mean" ? { values: old.mean } : {}) } }
      : {}),
    synthetic: old.synthetic || archive.synthetic,
    notes: [
      ...old.notes,
      ...[...growth.notes, ...fields.flatMap(noteOf)]
        .filter((note) => !old.notes.includes(note))
        .map((note) => `appended ${created.slice(0, 10)}: ${note}`),
      ...(grown
        ? [
            `appended ${created.slice(0, 10)}: train has grown (${appended}); models trained before saw other statistics, ` +
              "which their checkpoints hold",
          ]
        : []),
    ],
    provenance: {
      ...old.provenance,
      appended: [
        ...(old.provenance.appended ?? []),
        { ...provenance, files: [...provenance.files], created, splits: spans },
      ],
    },
    checksums: { ...old.checksums, ...journal.checksums },
  };
}

const instant = ({ start }: { start: string }, { calendar }: Manifest) => parseTime(start, calendar).seconds;

/** "climatology" to "climatology_2" and so on: old and new are there together until set.json names the new. */
const nextBase = (base: string) => `climatology_${Number(/_(\d+)$/.exec(base)?.[1] ?? 1) + 1}`;

/** The checksums of a set less those of its climatology. */
function without({ checksums, climatology }: Manifest): Record<string, string> {
  const { base } = climatology;
  return Object.fromEntries(
    Object.entries(checksums).filter(([file]) => file !== `${base}.npy` && !file.startsWith(`${base}/`)),
  );
}

/** A journal of an addition that is finished, or was begun on another state of the set. */
async function dropStaleJournal(dir: string, old: Manifest, base: string): Promise<void> {
  const journal = await readJournal(dir).catch(() => undefined);
  if (!journal || journal.recipe.set === base) return;
  await removeLeftovers(dir, old, journal);
  await removeJournal(dir);
}

/** Files that set.json does not name: of an addition that was stopped, of climatologies that were replaced. */
async function removeLeftovers(dir: string, old: Manifest, journal: Journal | undefined): Promise<void> {
  const { base } = old.climatology;
  for (const name of await readdir(dir))
    if (/^climatology(_\d+)?(\.npy)?$/.test(name) && name !== base && name !== `${base}.npy`)
      await rm(join(dir, name), { recursive: true, force: true });
  for (const file of journal?.files ?? [])
    for (const name of [file, file.replace(/\.npy$/, ".time.npy")])
      if (old.checksums[name] === undefined) await rm(join(dir, name), { force: true });
}
