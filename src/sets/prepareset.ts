// The last part of a new set: gaps filled, constants, climatologies, and set.json.
import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Archive } from "../data/archive.ts";
import { streamNpy } from "../files/npy.ts";
import {
  climaxNote,
  describeSplits,
  describeStatistics,
  notesOn,
  refuseEmpty,
  sourceOf,
} from "./describeset.ts";
import { type FieldSums, meanState } from "./fieldsums.ts";
import { type Journal, replaceFile, writeJournal, writeSums } from "./journal.ts";
import { type Manifest, manifestSchema } from "./manifest.ts";
import type { Plan } from "./plan.ts";
import { rainMeaning } from "./precipitation.ts";
import type { PrepareOptions, PrepareResult } from "./prepare.ts";
import { writeSeasonal } from "./seasonalfiles.ts";
import { fillMissing, fillShard, readState, type ShardFiles } from "./setwriter.ts";
import { type SetField, startTally, type Tally } from "./tally.ts";

interface Written {
  archive: Archive;
  /** All, in the set's order. */
  fields: readonly SetField[];
  plan: Plan;
  shards: readonly ShardFiles[];
  journal: Journal;
  sums: FieldSums;
  notes: readonly string[];
}

/**
 * Finishes the set in `dir`, whose shards are whole, set.json as the last. Can be done again after it was stopped.
 *
 * @throws ClimaxError (data) for a variable without a value in train, and for missing values of constants
 */
export async function finishSet(
  dir: string,
  { archive, fields, plan, shards, journal, sums, notes }: Written,
  options: PrepareOptions,
): Promise<PrepareResult> {
  const { nanFill, provenance } = options;
  const { dtype = "float32", statistics = "train", climatology: kinds = [] } = options;
  const { checksums } = journal;
  const varying = fields.filter(({ constant }) => !constant);
  const constants = fields.filter(({ constant }) => constant);
  const fieldShape = sums.shape.slice(1);
  const cells = fieldShape[0]! * fieldShape[1]!;
  refuseEmpty(varying, journal.tallies);

  const means = journal.tallies.map(({ moments }) => moments.mean);
  const packing = journal.packing ?? undefined;
  for (const file of journal.incomplete) {
    const { steps } = shards.find((shard) => shard.file === file)!;
    checksums[file] = await fillShard(join(dir, file), [steps.length, ...sums.shape], means, packing);
  }
  const constantTallies = constants.map(startTally);
  if (constants.length > 0) {
    const state = new Float32Array(constants.length * cells);
    await readState(constants, constantTallies, state, { step: 0, when: "all times", train: true, nanFill });
    refuseEmpty(constants, constantTallies);
    fillMissing(
      state,
      cells,
      constantTallies.map(({ moments }) => moments.mean),
    );
    checksums["constants.npy"] = await put(dir, "constants.npy", [constants.length, ...fieldShape], state);
  }
  Object.assign(checksums, await writeClimatology(dir, "climatology", sums, means));

  const tallyOf = new Map<SetField, Tally>([
    ...varying.map((field, i) => [field, journal.tallies[i]!] as const),
    ...constants.map((field, i) => [field, constantTallies[i]!] as const),
  ]);
  const tallies = fields.map((field) => tallyOf.get(field)!);
  const described = describeStatistics(fields, tallies, statistics);
  const { train, val, test } = describeSplits(shards, archive.times);
  const filled = tallies.some(({ missing }) => missing > 0) && nanFill !== undefined;
  const manifest: Manifest = {
    format: "climax-set",
    version: 1,
    variables: fields.map((field) => {
      const { name, units, constant } = field;
      const meaning = rainMeaning(field);
      return { name, units, constant, ...(meaning === undefined ? {} : { meaning }) };
    }),
    dtype,
    ...(packing ? { packing } : {}),
    grid: { lat: [...archive.grid.lat], lon: [...archive.grid.lon] },
    calendar: archive.times[0]!.calendar,
    stepHours: plan.stepHours,
    splits: { train: train!, ...(val ? { val } : {}), ...(test ? { test } : {}) },
    ...described,
    climatology: { base: "climatology", sums: true },
    ...(filled ? { filled: { by: nanFill, ...(nanFill === "mean" ? { values: described.mean } : {}) } } : {}),
    synthetic: archive.synthetic,
    source: sourceOf(archive),
    notes: [
      ...notes,
      ...(statistics === "climax" ? [climaxNote] : []),
      ...fields.flatMap((field, i) =>
        rainNote(field).concat(notesOn(field, tallies[i]!, nanFill, tallies[i]!.moments.mean)),
      ),
    ],
    provenance: { ...provenance, files: [...provenance.files], created: new Date().toISOString() },
    checksums,
  };
  const seasonal = await addSeasonal(dir, manifest, journal, kinds, options);
  Object.assign(manifest.climatology, seasonal);
  return { manifest: await writeManifest(dir, manifest), bytes: await sizeOf(dir, manifest) };
}

const rainNote = (field: SetField): string[] => {
  const meaning = rainMeaning(field);
  return meaning === undefined ? [] : [`${field.name}: ${meaning}`];
};

/** BASE.npy and what it is made of. @returns SHA-256 by file */
export async function writeClimatology(
  dir: string,
  base: string,
  sums: FieldSums,
  means: readonly number[],
): Promise<Record<string, string>> {
  const state = meanState(sums);
  const cells = state.length / means.length;
  fillMissing(state, cells, means); // cells without a single value in train
  const [sum, count] = [`${base}/sum.npy`, `${base}/count.npy`];
  await mkdir(join(dir, base), { recursive: true });
  const [sumHash, countHash] = await writeSums(sums, join(dir, sum), join(dir, count));
  const mean = await put(dir, `${base}.npy`, sums.shape, state);
  return { [`${base}.npy`]: mean, [sum]: sumHash, [count]: countHash };
}

/** Writes the climatologies by season that the set is to hold, noting in the journal which are whole. */
export async function addSeasonal(
  dir: string,
  manifest: Manifest,
  journal: Journal,
  kinds: NonNullable<PrepareOptions["climatology"]>,
  { onStep, signal }: Pick<PrepareOptions, "onStep" | "signal">,
): Promise<Pick<Manifest["climatology"], "weekly" | "dayofyear">> {
  if (kinds.length === 0) return {};
  return writeSeasonal({
    dir,
    manifest,
    kinds,
    checksums: journal.checksums,
    onFiles: async (written) => {
      Object.assign(journal.checksums, written);
      Object.assign(manifest.checksums, written);
      await writeJournal(dir, journal);
    },
    onStep: (done, total) => onStep?.(done, total, "climatology"),
    signal,
  });
}

/** Writes set.json in one stroke. @returns it as it will be read */
export async function writeManifest(dir: string, manifest: Manifest): Promise<Manifest> {
  const checksums = Object.entries(manifest.checksums).sort(([a], [b]) => (a < b ? -1 : 1));
  // Parsed, so that what openSet would refuse is never written.
  const checked = manifestSchema.parse({ ...manifest, checksums: Object.fromEntries(checksums) });
  await replaceFile(join(dir, "set.json"), `${JSON.stringify(checked, null, 1)}\n`);
  return checked;
}

/** Bytes of all files of a set. */
export async function sizeOf(dir: string, { checksums }: Manifest): Promise<number> {
  let bytes = 0;
  for (const file of [...Object.keys(checksums), "set.json"]) bytes += (await stat(join(dir, file))).size;
  return bytes;
}

async function put(dir: string, file: string, shape: readonly number[], data: Float32Array): Promise<string> {
  await rm(join(dir, file), { force: true }); // from a run that was stopped here
  return streamNpy(join(dir, file), shape, "float32", (append) => append(data));
}
