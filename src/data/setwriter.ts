// The files of a prepared set, written state by state: shards, times, constants, climatology, and last set.json.

import { createHash } from "node:crypto";
import { mkdir, open, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ClimaxError } from "../errors.ts";
import { readExactly, streamNpy } from "../files/npy.ts";
import { npyHeader } from "../files/npyformat.ts";
import type { Archive, ArchiveVariable } from "./archive.ts";
import { type Manifest, manifestSchema, splitNames } from "./manifest.ts";
import type { Plan, PlannedShard } from "./plan.ts";
import type { PrepareOptions, PrepareResult } from "./prepare.ts";
import { type Moments, mergeMoments, momentsOf, noMoments, standardDeviation } from "./statistics.ts";
import { formatTime } from "./time.ts";

/** A field to store. `read` gives [H, W] in `units`, NaN where missing. */
export type SetField = Pick<ArchiveVariable, "name" | "info" | "units" | "constant" | "read">;

/** What is learnt of a field while the set is written. */
interface Tally {
  field: SetField;
  /** Of train; of a constant, over the grid. */
  moments: Moments;
  /** Range over all splits. */
  min: number;
  max: number;
  /** Values that were missing, and when the first was. */
  missing: number;
  firstMissing: string;
}

type NanFill = PrepareOptions["nanFill"];

/**
 * Writes the set into the empty folder `dir`, set.json as the last.
 *
 * @throws ClimaxError (data) for missing values without nanFill, naming variables and date
 */
export async function writeSet(
  archive: Archive,
  dir: string,
  fields: readonly SetField[],
  plan: Plan,
  { nanFill, provenance, signal, onStep }: PrepareOptions,
): Promise<PrepareResult> {
  const { grid, times } = archive;
  const cells = grid.lat.length * grid.lon.length;
  const fieldShape = [grid.lat.length, grid.lon.length];
  const tallies = fields.map(startTally);
  const dynamic = tallies.filter(({ field }) => !field.constant);
  const constants = tallies.filter(({ field }) => field.constant);
  const checksums: Record<string, string> = {};
  const climatology = sumFields(dynamic.length * cells);

  const total = plan.shards.reduce((sum, { steps }) => sum + steps.length, 0);
  const incomplete: { file: string; shape: number[] }[] = [];
  let done = 0;
  for (const shard of plan.shards) {
    const { file, times: timesFile } = shardFiles(shard);
    const shape = [shard.steps.length, dynamic.length, ...fieldShape];
    let gaps = false;
    await mkdir(join(dir, shard.split), { recursive: true });
    checksums[file] = await streamNpy(join(dir, file), shape, "float32", async (append) => {
      for (const step of shard.steps) {
        signal?.throwIfAborted();
        const train = shard.split === "train";
        const state = await readState(dynamic, step, cells, formatTime(times[step]!), train, nanFill);
        if (train) climatology.add(state);
        gaps ||= nanFill === "mean" && state.some(Number.isNaN);
        await append(state);
        onStep?.(++done, total);
      }
    });
    if (gaps) incomplete.push({ file, shape });
    const seconds = Float64Array.from(shard.steps, (step) => times[step]!.seconds);
    checksums[timesFile] = await put(timesFile, [seconds.length], seconds);
  }
  const constantState = await readState(constants, 0, cells, "all times", true, nanFill);

  const means = (of: readonly Tally[]) => of.map(({ moments }) => moments.mean);
  for (const { file, shape } of incomplete)
    checksums[file] = await fillShard(join(dir, file), shape, means(dynamic));
  if (constants.length > 0) {
    fillMissing(constantState, cells, means(constants));
    checksums["constants.npy"] = await put("constants.npy", [constants.length, ...fieldShape], constantState);
  }
  const meanState = climatology.mean();
  fillMissing(meanState, cells, means(dynamic)); // cells without a single value in train
  checksums["climatology.npy"] = await put("climatology.npy", [dynamic.length, ...fieldShape], meanState);

  const manifest = describe();
  await writeFile(join(dir, "set.json"), `${JSON.stringify(manifest, null, 1)}\n`, {
    flag: "wx",
    flush: true,
  });
  return { manifest, bytes: await sizeOf(dir, [...Object.keys(checksums), "set.json"]) };

  function put(file: string, shape: readonly number[], data: Float32Array | Float64Array): Promise<string> {
    const dtype = data instanceof Float32Array ? "float32" : "float64";
    return streamNpy(join(dir, file), shape, dtype, (append) => append(data));
  }

  function describe(): Manifest {
    const std = tallies.map(({ moments }) => standardDeviation(moments).std);
    const named = (values: readonly number[]) =>
      Object.fromEntries(fields.map(({ name }, i) => [name, values[i]!]));
    const splits = Object.fromEntries(
      splitNames.flatMap((name) => {
        const shards = plan.shards.filter(({ split }) => split === name);
        const steps = shards.flatMap((shard) => shard.steps);
        if (steps.length === 0) return [];
        const entry = {
          start: formatTime(times[steps[0]!]!),
          end: formatTime(times[steps.at(-1)!]!),
          steps: steps.length,
          shards: shards.map((shard) => ({
            ...shardFiles(shard),
            steps: shard.steps.length,
            firstTime: formatTime(times[shard.steps[0]!]!),
          })),
        };
        return [[name, entry]];
      }),
    );
    // Parsed, so that what openSet would refuse is never written.
    return manifestSchema.parse({
      format: "climax-set",
      version: 1,
      variables: fields.map(({ name, units, constant }) => ({ name, units, constant })),
      grid: { lat: [...grid.lat], lon: [...grid.lon] },
      calendar: times[0]!.calendar,
      stepHours: plan.stepHours,
      splits,
      mean: named(means(tallies)),
      std: named(std),
      synthetic: archive.synthetic,
      source: String(archive.attributes.get("source") ?? archive.attributes.get("title") ?? ""),
      notes: [...archive.notes, ...plan.notes, ...tallies.flatMap((tally) => notesOn(tally, nanFill))],
      provenance: { ...provenance, files: [...provenance.files], created: new Date().toISOString() },
      checksums,
    });
  }
}

function startTally(field: SetField): Tally {
  return { field, moments: noMoments(), min: Infinity, max: -Infinity, missing: 0, firstMissing: "" };
}

function shardFiles({ split, year }: PlannedShard): { file: string; times: string } {
  return { file: `${split}/${year}.npy`, times: `${split}/${year}.time.npy` };
}

/**
 * One state [V, H, W] as it is stored. Missing values become `nanFill` if that is a number, else NaN.
 *
 * @param when  for messages
 * @param train whether the state counts for mean and deviation
 */
async function readState(
  tallies: readonly Tally[],
  step: number,
  cells: number,
  when: string,
  train: boolean,
  nanFill: NanFill,
): Promise<Float32Array> {
  const state = new Float32Array(tallies.length * cells);
  const refused: string[] = [];
  for (const [v, tally] of tallies.entries()) {
    const field = state.subarray(v * cells, (v + 1) * cells);
    field.set(await tally.field.read(step));
    let moments = momentsOf(field);
    const { missing } = moments;
    if (missing > 0) {
      tally.firstMissing ||= when;
      tally.missing += missing;
      if (nanFill === undefined) refused.push(`${tally.field.name} (${missing} of ${cells} cells)`);
      const filler = typeof nanFill === "number" ? nanFill : Number.NaN;
      for (let i = 0; i < cells; i++) if (!Number.isFinite(field[i]!)) field[i] = filler;
      if (typeof nanFill === "number") moments = momentsOf(field);
    }
    tally.min = Math.min(tally.min, moments.min);
    tally.max = Math.max(tally.max, moments.max);
    if (train) tally.moments = mergeMoments(tally.moments, moments);
  }
  if (refused.length > 0)
    throw new ClimaxError(
      "data",
      `values are missing (NaN or infinite) at ${when}: ${refused.join(", ")}`,
      "fill them with --nan-fill mean (the variable's training mean) or --nan-fill NUMBER, " +
        "or leave these variables out of --variables",
    );
  return state;
}

/** The mean of many states, in f64, each cell over the values it has. */
function sumFields(length: number) {
  const sums = new Float64Array(length);
  const counts = new Uint32Array(length);
  return {
    add: (state: Float32Array) => {
      for (let i = 0; i < length; i++) {
        if (Number.isNaN(state[i]!)) continue;
        sums[i]! += state[i]!;
        counts[i]!++;
      }
    },
    /** NaN where no state has a value. */
    mean: () => Float32Array.from(sums, (sum, i) => sum / counts[i]!),
  };
}

/** Replaces NaN in [V, H, W] (or several of these) by a value for each variable. */
function fillMissing(state: Float32Array, cells: number, values: readonly number[]): void {
  for (let i = 0; i < state.length; i++)
    if (Number.isNaN(state[i]!)) state[i] = values[Math.floor(i / cells)]!;
}

/** Fills a shard in place, state by state, once the means are known. @returns its SHA-256 */
async function fillShard(path: string, shape: readonly number[], means: readonly number[]): Promise<string> {
  const [steps = 0, V = 0, H = 0, W = 0] = shape;
  const header = npyHeader(shape, "float32");
  const hash = createHash("sha256").update(header);
  const handle = await open(path, "r+");
  try {
    for (let step = 0; step < steps; step++) {
      const state = new Float32Array(V * H * W);
      const bytes = new Uint8Array(state.buffer);
      const position = header.length + step * bytes.length;
      await readExactly(handle, bytes, position, path);
      fillMissing(state, H * W, means);
      hash.update(bytes);
      await handle.write(bytes, 0, bytes.length, position);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return hash.digest("hex");
}

/** What people should know of a variable before they train on it. */
function notesOn({ field, moments, min, max, missing, firstMissing }: Tally, nanFill: NanFill): string[] {
  const { name, units, constant, info } = field;
  const notes: string[] = [];
  if (moments.count === 0)
    throw new ClimaxError(
      "data",
      `${name} has no value in train, so it has no mean`,
      "leave it out of --variables, or choose a train period that has it",
    );
  if (standardDeviation(moments).constant)
    notes.push(
      `${name} is ${moments.mean} everywhere${constant ? "" : " in train"}; its std is stored as 1, so it is 0 when normalised`,
    );
  const [lowest, highest] = info.bounds;
  if (min < lowest || max > highest)
    notes.push(
      `${name} goes from ${min} to ${max} ${units}, beyond what occurs on Earth (${lowest} to ${highest})`,
    );
  if (missing > 0)
    notes.push(
      `${name}: ${missing} missing values (first: ${firstMissing}) are filled with ` +
        (typeof nanFill === "number" ? `${nanFill}` : `the training mean, ${moments.mean}`),
    );
  return notes;
}

async function sizeOf(dir: string, files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(dir, file))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
