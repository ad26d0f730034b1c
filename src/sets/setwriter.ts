// The shards of a prepared set, written state by state, one state in memory. After each shard the journal says so.

import { createHash } from "node:crypto";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import type { Archive } from "../data/archive.ts";
import { type CfTime, formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { toHalf } from "../files/half.ts";
import { readExactly, streamNpy } from "../files/npy.ts";
import { npyHeader } from "../files/npyformat.ts";
import { addState, type FieldSums } from "./fieldsums.ts";
import { type Journal, writeJournal } from "./journal.ts";
import type { SetDtype, SplitName, StatisticsKind } from "./manifest.ts";
import type { Plan } from "./plan.ts";
import { choosePacking, type Packing, packField, packingLoss, refuseValue } from "./setpacking.ts";
import { mergeMoments, momentsOf, noMoments } from "./statistics.ts";
import { count, type SetField, type Tally } from "./tally.ts";

/** What replaces missing values: the variable's mean over train, or a number. */
export type NanFill = "mean" | number | undefined;

export interface ShardFiles {
  split: SplitName;
  file: string;
  times: string;
  /** Indices into the archive's times. */
  steps: number[];
}

/** Where the shards of a plan go: SPLIT/YEAR.npy, or SPLIT/YEAR_2.npy and so on where that is `taken`. */
export function nameShards({ shards }: Plan, taken: ReadonlySet<string> = new Set()): ShardFiles[] {
  return shards.map(({ split, year, steps }) => {
    let name = `${split}/${year}`;
    for (let n = 2; taken.has(`${name}.npy`); n++) name = `${split}/${year}_${n}`;
    return { split, file: `${name}.npy`, times: `${name}.time.npy`, steps };
  });
}

export interface ShardJob {
  dir: string;
  archive: Pick<Archive, "grid" | "times">;
  /** The fields that vary in time, in the set's order. */
  fields: readonly SetField[];
  shards: readonly ShardFiles[];
  dtype: SetDtype;
  statistics: StatisticsKind;
  nanFill: NanFill;
  /** The means that fill gaps, when they are known already: of a set that grows. */
  means?: readonly number[] | undefined;
  /** How far it has come; written after each shard. */
  journal: Journal;
  /** Of train. */
  sums: FieldSums;
  signal?: AbortSignal | undefined;
  /** Told after every state. */
  onStep?: ((done: number, total: number) => void) | undefined;
}

/**
 * Writes the shards that the journal has not.
 *
 * @throws ClimaxError (data) for missing values without nanFill, naming variables and date, and for values that
 *         float16 cannot hold
 */
export async function writeShards(job: ShardJob): Promise<void> {
  const { dir, archive, fields, shards, dtype, statistics, nanFill, means, journal, sums, signal } = job;
  const { times } = archive;
  const shape = [fields.length, archive.grid.lat.length, archive.grid.lon.length];
  const cells = shape[1]! * shape[2]!;
  const total = shards.reduce((sum, { steps }) => sum + steps.length, 0);
  let done = shards.slice(0, journal.done).reduce((sum, { steps }) => sum + steps.length, 0);
  if (dtype === "float16") journal.packing ??= await samplePacking(job);
  const state = new Float32Array(fields.length * cells); // [V, H, W], of one state after the other
  const bits = new Uint16Array(dtype === "float16" ? state.length : 0);

  for (const shard of shards.slice(journal.done)) {
    const { split, file } = shard;
    const train = split === "train";
    let gaps = false;
    await mkdir(join(dir, split), { recursive: true });
    const path = join(dir, file);
    journal.checksums[file] = await streamNpy(path, [shard.steps.length, ...shape], dtype, async (append) => {
      for (const step of shard.steps) {
        signal?.throwIfAborted();
        const time = times[step]!;
        const year = statistics === "climax" && train ? time : undefined;
        const reading = { step, when: formatTime(time), train, year, nanFill };
        gaps = (await readState(fields, journal.tallies, state, reading)) || gaps;
        if (train) addState(sums, state);
        if (means) fillMissing(state, cells, means);
        await append(dtype === "float16" ? packState(state, bits, job) : state);
        job.onStep?.(++done, total);
      }
    });
    if (gaps && !means) journal.incomplete.push(file);
    const seconds = Float64Array.from(shard.steps, (step) => times[step]!.seconds);
    journal.checksums[shard.times] = await streamNpy(
      join(dir, shard.times),
      [seconds.length],
      "float64",
      (append) => append(seconds),
    );
    journal.done++;
    await writeJournal(dir, journal, train ? sums : undefined);
  }
}

/** How one state is read. */
interface Reading {
  step: number;
  /** For messages. */
  when: string;
  /** Whether the state counts for mean and deviation. */
  train: boolean;
  /** Its time, where years are kept apart. */
  year?: CfTime | undefined;
  nanFill: NanFill;
}

/**
 * Reads one state into `state` [V, H, W]. Missing values become `nanFill` if that is a number, else NaN.
 *
 * @returns whether a NaN is left
 */
export async function readState(
  fields: readonly SetField[],
  tallies: readonly Tally[],
  state: Float32Array,
  { step, when, train, year, nanFill }: Reading,
): Promise<boolean> {
  const cells = state.length / fields.length;
  const refused: string[] = [];
  let gaps = false;
  for (const [v, { name, read }] of fields.entries()) {
    const tally = tallies[v]!;
    const field = state.subarray(v * cells, (v + 1) * cells);
    field.set(await read(step));
    let moments = momentsOf(field);
    const { missing } = moments;
    if (missing > 0) {
      tally.firstMissing ||= when;
      tally.missing += missing;
      if (nanFill === undefined) refused.push(`${name} (${missing} of ${cells} cells)`);
      const filler = typeof nanFill === "number" ? nanFill : Number.NaN;
      for (let i = 0; i < cells; i++) if (!Number.isFinite(field[i]!)) field[i] = filler;
      gaps ||= typeof nanFill !== "number";
      if (typeof nanFill === "number") moments = momentsOf(field);
    }
    count(tally, moments, train, year);
  }
  if (refused.length > 0)
    throw new ClimaxError(
      "data",
      `values are missing (NaN or infinite) at ${when}: ${refused.join(", ")}`,
      "fill them with --nan-fill mean (the variable's training mean) or --nan-fill NUMBER, " +
        "or leave these variables out of --variables",
    );
  return gaps;
}

/** Replaces NaN in [V, H, W] by a value for each variable. */
export function fillMissing(state: Float32Array, cells: number, values: readonly number[]): void {
  for (let i = 0; i < state.length; i++)
    if (Number.isNaN(state[i]!)) state[i] = values[Math.floor(i / cells)]!;
}

/** States of train that show how large values are, spread over the whole of it. */
const sampled = 32;

async function samplePacking({ fields, shards, archive, signal }: ShardJob): Promise<Packing> {
  const steps = shards.filter(({ split }) => split === "train").flatMap((shard) => shard.steps);
  const packing: Packing = { scale: [], offset: [] };
  const moments = fields.map(noMoments);
  const n = Math.min(sampled, steps.length);
  for (let k = 0; k < n; k++) {
    signal?.throwIfAborted();
    const step = steps[Math.floor((k * steps.length) / n)]!;
    if (!archive.times[step]) throw new RangeError(`step ${step} of ${archive.times.length}`);
    for (const [v, { read }] of fields.entries())
      moments[v] = mergeMoments(moments[v]!, momentsOf(await read(step)));
  }
  for (const [v, { info }] of fields.entries()) {
    const { scale, offset } = choosePacking(moments[v]!, info.bounds);
    packing.scale.push(scale);
    packing.offset.push(offset);
  }
  return packing;
}

/** A state as halves, in `bits`; the tallies note what that loses. */
function packState(state: Float32Array, bits: Uint16Array, { fields, journal }: ShardJob): Uint16Array {
  const cells = state.length / fields.length;
  for (const [v, { name, units }] of fields.entries()) {
    const [scale, offset] = [journal.packing!.scale[v]!, journal.packing!.offset[v]!];
    const field = state.subarray(v * cells, (v + 1) * cells);
    const packed = bits.subarray(v * cells, (v + 1) * cells);
    const tooLarge = packField(field, scale, offset, packed);
    if (tooLarge !== undefined) refuseValue(name, units, tooLarge, { scale, offset });
    const tally = journal.tallies[v]!;
    tally.error = Math.max(tally.error, packingLoss(field, packed, scale, offset));
  }
  return bits;
}

/**
 * Fills the gaps of a shard in place, state by state, once the means are known. Done twice it gives the same.
 *
 * @param shape  [T, V, H, W]
 * @returns its SHA-256
 */
export async function fillShard(
  path: string,
  shape: readonly number[],
  means: readonly number[],
  packing: Packing | undefined,
): Promise<string> {
  const [steps = 0, V = 0, H = 0, W = 0] = shape;
  const header = npyHeader(shape, packing ? "float16" : "float32");
  const hash = createHash("sha256").update(header);
  const handle = await open(path, "r+");
  const state = packing ? new Uint16Array(V * H * W) : new Float32Array(V * H * W);
  const bytes = new Uint8Array(state.buffer);
  const fillers = packing && means.map((mean, v) => toHalf((mean - packing.offset[v]!) / packing.scale[v]!));
  try {
    for (let step = 0; step < steps; step++) {
      const position = header.length + step * bytes.length;
      await readExactly(handle, bytes, position, path);
      if (state instanceof Float32Array) fillMissing(state, H * W, means);
      else
        for (let i = 0; i < state.length; i++)
          if ((state[i]! & 0x7fff) > 0x7c00) state[i] = fillers![Math.floor(i / (H * W))]!;
      hash.update(bytes);
      await handle.write(bytes, 0, bytes.length, position);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return hash.digest("hex");
}
