// One shard of a prepared set, written state by state, one state in memory, and what is learnt of it.
import { createHash } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Archive } from "../data/archive.ts";
import { formatTime } from "../data/time.ts";
import { toHalf } from "../files/half.ts";
import { readExactly, streamNpy } from "../files/npy.ts";
import { npyHeader } from "../files/npyformat.ts";
import { addState, noSums, readSums, writeSums } from "./fieldsums.ts";
import { makeWithin } from "./journal.ts";
import type { SetDtype, StatisticsKind } from "./manifest.ts";
import { fillMissing, type NanFill, readState } from "./readstate.ts";
import { type Packing, packField, packingLoss, refuseValue } from "./setpacking.ts";
import type { Part } from "./setparts.ts";
import { filesOf, type ShardFiles } from "./shardfiles.ts";
import { type SetField, startTally, type Tally } from "./tally.ts";
import { goOnFrom, type TrainYear } from "./trainyears.ts";

/** What every shard of a set has in common. */
export interface ShardJob {
  dir: string;
  archive: Pick<Archive, "grid" | "times">;
  /** The fields that vary in time, in the set's order. */
  fields: readonly SetField[];
  dtype: SetDtype;
  statistics: StatisticsKind;
  nanFill: NanFill;
  /** The means that fill gaps, when they are known already: of a set that grows. */
  means?: readonly number[] | undefined;
  /** Of float16. */
  packing?: Packing | undefined;
  /** The year that a shard goes on with, of a set that grows within it. */
  startOf: (shard: ShardFiles) => TrainYear | undefined;
  signal?: AbortSignal | undefined;
  /** Told after every state. */
  onState: () => void;
}

/**
 * Writes the files of a shard, which have their names when all bytes of all of them are on the disk.
 *
 * @param token  what files are called by that are not whole; no other process has it
 * @throws ClimaxError (data) for missing values without nanFill, naming variables and date, and for values that
 *         float16 cannot hold
 */
export async function writeShard(job: ShardJob, shard: ShardFiles, token: string): Promise<Part> {
  const { dir, archive, fields, dtype, statistics, nanFill, means, signal } = job;
  const { times } = archive;
  const shape = [fields.length, archive.grid.lat.length, archive.grid.lon.length];
  const cells = shape[1]! * shape[2]!;
  const state = new Float32Array(fields.length * cells); // [V, H, W], of one state after the other
  const bits = new Uint16Array(dtype === "float16" ? state.length : 0);
  const train = shard.sums !== undefined;
  const start = job.startOf(shard);
  const tallies = start ? start.tallies.map(goOnFrom) : fields.map(startTally);
  const sums = train ? (start ? await readSums(start.sums) : noSums(shape)) : undefined;
  const part: Part = { checksums: {}, tallies, gaps: false, nanFill: nanFill ?? null };
  const unnamed = (file: string) => join(dir, `${file}.${token}`);

  await makeWithin(dir, shard.split);
  try {
    const whole = [shard.steps.length, ...shape];
    part.checksums[shard.file] = await streamNpy(unnamed(shard.file), whole, dtype, async (append) => {
      for (const step of shard.steps) {
        signal?.throwIfAborted();
        const time = times[step]!;
        const year = statistics === "climax" && train ? time : undefined;
        const reading = { step, when: formatTime(time), train, year, nanFill };
        const gaps = await readState(fields, tallies, state, reading);
        part.gaps ||= gaps && !means;
        if (sums) addState(sums, state);
        if (means) fillMissing(state, cells, means);
        await append(job.packing ? packState(state, bits, fields, tallies, job.packing) : state);
        job.onState();
      }
    });
    const seconds = Float64Array.from(shard.steps, (step) => times[step]!.seconds);
    part.checksums[shard.times] = await streamNpy(
      unnamed(shard.times),
      [seconds.length],
      "float64",
      (append) => append(seconds),
    );
    if (sums) part.checksums[shard.sums!] = await writeSums(unnamed(shard.sums!), sums);
    for (const file of filesOf(shard)) await rename(unnamed(file), join(dir, file));
    return part;
  } catch (error) {
    for (const file of filesOf(shard)) await rm(unnamed(file), { force: true });
    throw error;
  }
}

/** A state as halves, in `bits`; the tallies note what that loses. */
function packState(
  state: Float32Array,
  bits: Uint16Array,
  fields: readonly SetField[],
  tallies: readonly Tally[],
  packing: Packing,
): Uint16Array {
  const cells = state.length / fields.length;
  for (const [v, { name, units }] of fields.entries()) {
    const [scale, offset] = [packing.scale[v]!, packing.offset[v]!];
    const field = state.subarray(v * cells, (v + 1) * cells);
    const packed = bits.subarray(v * cells, (v + 1) * cells);
    const tooLarge = packField(field, scale, offset, packed);
    if (tooLarge !== undefined) refuseValue(name, units, tooLarge, { scale, offset });
    const tally = tallies[v]!;
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
