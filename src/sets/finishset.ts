// What follows when all shards of a set are whole: gaps filled, the mean state, climatologies by season, set.json. Ranks
// share what can be shared; a job that found all shards there does it alone. Can be done again after it was stopped.
import { mkdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { dealt } from "../data/share.ts";
import { ClimaxError } from "../errors.ts";
import { streamNpy } from "../files/npy.ts";
import { seasonalFile } from "./climatology.ts";
import { type Crew, isFirst } from "./crew.ts";
import { meanState } from "./fieldsums.ts";
import type { Growth, PrepareResult, WriteOptions } from "./growset.ts";
import { otherFilling, replaceFile } from "./journal.ts";
import { dynamicNames, type Manifest, manifestSchema } from "./manifest.ts";
import { fillMissing } from "./readstate.ts";
import { writeSeasonal } from "./seasonalfiles.ts";
import type { Packing } from "./setpacking.ts";
import { type Part, partPath, readParts, wholeFile, writePart } from "./setparts.ts";
import type { Tally } from "./tally.ts";
import { type TrainYear, tallyAll, yearsMade } from "./trainyears.ts";
import { fillShard } from "./writeshard.ts";

/** A set whose shards are whole. */
export interface FinishedWork {
  /** By shard. */
  parts: ReadonlyMap<string, Part>;
  /** All of train, in order. */
  years: readonly TrainYear[];
  /** By the variables that vary in time. */
  tallies: readonly Tally[];
  packing: Packing | undefined;
  /** SHA-256 of what was written so far. */
  checksums: Record<string, string>;
  notes: readonly string[];
}

/**
 * @returns undefined but on the first of several ranks
 * @throws ClimaxError (data) for a variable without a value in train, and for missing values of constants
 */
export async function finishTogether(
  growth: Growth,
  { packing, notes }: Pick<FinishedWork, "packing" | "notes">,
  options: WriteOptions,
  crew: Crew,
): Promise<PrepareResult | undefined> {
  const { dir, shards, fields, archive, base } = growth;
  const first = isFirst(crew);
  const shape = [fields.length, archive.grid.lat.length, archive.grid.lon.length];
  const work = async (): Promise<FinishedWork> => {
    const parts = await readParts(dir, shards);
    const made = yearsMade(dir, shards, parts, (step) => archive.times[step]!.seconds);
    const continued = new Set(shards.flatMap((shard) => growth.startOf(shard)?.file ?? []));
    const years = [...growth.years.filter(({ file }) => !continued.has(file)), ...made].sort(
      (a, b) => a.start - b.start,
    );
    const inOrder = shards.map(({ file }) => parts.get(file)!);
    const checksums = Object.assign({}, ...inOrder.map((part) => part.checksums)) as Record<string, string>;
    return { parts, years, tallies: tallyAll(fields.length, years, inOrder), packing, checksums, notes };
  };

  const before = await work();
  const other = otherFilling([...before.parts.values()], growth.nanFill);
  if (other.length > 0)
    throw new ClimaxError(
      "data",
      `${dir} was made with two fillings: ${other.join("; ")}`,
      "start anew with --force",
    );
  const fillers = base === undefined ? [] : growth.fillers(before);
  await crew.meet?.([]); // all have read what is now changed
  const gaps = shards.filter(({ file }) => before.parts.get(file)!.gaps);
  for (const { file, steps } of dealt(gaps, crew.share)) {
    options.signal?.throwIfAborted();
    const part = before.parts.get(file)!;
    const filled = await fillShard(join(dir, file), [steps.length, ...shape], fillers, packing);
    await writePart(dir, file, { ...part, gaps: false, checksums: { ...part.checksums, [file]: filled } });
  }
  await crew.meet?.([]);

  const after = await work();
  if (base !== undefined && first) {
    const mean = await meanState(
      after.years.map(({ sums }) => sums),
      shape,
    );
    fillMissing(mean, shape[1]! * shape[2]!, fillers); // cells without a single value in train
    after.checksums[`${base}.npy`] = await put(dir, `${base}.npy`, shape, mean);
  }
  const manifest = await growth.describe(after, first);
  const constant = manifest.variables.some((variable) => variable.constant);
  await crew.meet?.([
    join(dir, `${manifest.climatology.base}.npy`),
    ...(constant ? [join(dir, "constants.npy")] : []),
  ]);
  Object.assign(manifest.climatology, await addSeasonal(growth, manifest, options, crew));
  const result = first ? await growth.conclude(manifest) : undefined;
  await crew.meet?.([]); // none ends before the set is there
  return result;
}

/** Makes the climatologies by season that the set is to hold. @returns what set.json says of them */
async function addSeasonal(
  { dir, seasonal: kinds }: Growth,
  manifest: Manifest,
  { onStep, signal }: WriteOptions,
  crew: Crew,
): Promise<Pick<Manifest["climatology"], "weekly" | "dayofyear">> {
  if (kinds.length === 0) return {};
  const names = dynamicNames(manifest);
  const files = kinds.flatMap((kind) =>
    names.map((name) => ({ file: seasonalFile(manifest.climatology.base, kind, name) })),
  );
  const there = await readParts(dir, files);
  const described = await writeSeasonal({
    dir,
    manifest,
    kinds,
    names: dealt(names, crew.share),
    whole: new Set(there.keys()),
    onFiles: async (written) => {
      for (const [file, sum] of Object.entries(written))
        await writePart(dir, file, wholeFile({ [file]: sum }));
    },
    onStep: (done, total) => onStep?.(done, total, "climatology"),
    signal,
  });
  await crew.meet?.(files.map(({ file }) => partPath(dir, file)));
  for (const part of (await readParts(dir, files)).values())
    Object.assign(manifest.checksums, part.checksums);
  return described;
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

/** Writes a file of float32. @returns SHA-256 */
export async function put(
  dir: string,
  file: string,
  shape: readonly number[],
  data: Float32Array,
): Promise<string> {
  await mkdir(dirname(join(dir, file)), { recursive: true });
  await rm(join(dir, file), { force: true }); // from a run that was stopped here
  return streamNpy(join(dir, file), shape, "float32", (append) => append(data));
}
