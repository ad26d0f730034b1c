// What every source of batches does alike: an order that depends only on (seed, epoch), whole batches, normalised fields.

import { ClimaxError } from "../errors.ts";
import type { Batch, BatchSource } from "./samples.ts";
import { permutation } from "./shuffle.ts";

export interface BatchingOptions {
  batchSize: number;
  seed: number;
  /** Another order every epoch; in `train` unless told otherwise. Without it samples come in time order. */
  shuffle?: boolean;
  /** Leaves out the last batch when it is not full; in `train` unless told otherwise. */
  dropLast?: boolean;
}

/** By variable, physical units. */
export interface Statistics {
  mean: Readonly<Record<string, number>>;
  std: Readonly<Record<string, number>>;
}

/** Stream of random numbers of the order; samples.ts has others. */
const orderStream = 1;

/**
 * A source of `samples` samples, made batch by batch.
 *
 * @param where  what they are samples of, for messages
 * @param make   the batch of these samples, by number in time order
 * @throws ClimaxError (config) for fewer samples than a batch
 */
export function batched(
  samples: number,
  { batchSize, seed, shuffle, dropLast }: Required<BatchingOptions>,
  where: string,
  make: (indices: readonly number[], epoch: number, spare: Batch | undefined) => Promise<Batch>,
): BatchSource {
  const batches = dropLast ? Math.floor(samples / batchSize) : Math.ceil(samples / batchSize);
  if (batches === 0)
    throw new ClimaxError(
      "config",
      `${where} has ${samples} samples, fewer than one batch of ${batchSize}`,
      `choose a batch size up to ${samples} (--training.batch-size), or a longer period`,
    );
  let orderEpoch = Number.NaN;
  let order: Uint32Array = new Uint32Array();
  return {
    samples,
    batches,
    batchAt: async (epoch, index, spare) => {
      if (!(index >= 0 && index < batches)) throw new RangeError(`batch ${index} of ${batches}`);
      if (shuffle && orderEpoch !== epoch) {
        order = permutation(samples, seed, orderStream, epoch);
        orderEpoch = epoch;
      }
      const first = index * batchSize;
      const size = Math.min(batchSize, samples - first);
      const indices = Array.from({ length: size }, (_, b) => (shuffle ? order[first + b]! : first + b));
      return make(indices, epoch, spare);
    },
  };
}

/** Which fields a sample has. */
interface Fields {
  /** V. */
  names: readonly string[];
  /** What they are normalised by. */
  statistics: Statistics;
  /** H W. */
  cells: number;
}

// Reads under way at once: what the operating system's threads of Node take, and no more fields in memory than that.
const lanes = 4;

/**
 * The normalised fields of several samples in one array, [size, V, H, W], in their order.
 *
 * @param read   the fields of sample b, [V, H, W], physical units: in `into`, which is their place, or in other memory
 * @param spare  memory to use again, where it is as long as what is wanted
 * @throws what `read` throws, when no other read is under way any more
 */
export async function gather(
  size: number,
  { names, statistics, cells }: Fields,
  read: (b: number, into: Float32Array) => Promise<Float32Array>,
  spare?: Float32Array,
): Promise<Float32Array> {
  const length = names.length * cells;
  const out = spare?.length === size * length ? spare : new Float32Array(size * length);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let b = next++; b < size; b = next++) {
      const into = out.subarray(b * length, (b + 1) * length);
      try {
        normalise(await read(b, into), into, names, statistics, cells);
      } catch (error) {
        next = size;
        throw error;
      }
    }
  };
  await settled(Array.from({ length: Math.min(lanes, size) }, lane));
  return out;
}

/** Promise.all, but a failure is thrown only when all have ended: files may be closed after it. */
export async function settled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const ended = await Promise.allSettled(promises);
  return ended.map((end) => {
    if (end.status === "rejected") throw end.reason;
    return end.value;
  });
}

/** Physical units, [V, H, W], to (value - mean) / std, which may take their place. */
function normalise(
  fields: Float32Array,
  into: Float32Array,
  names: readonly string[],
  { mean, std }: Statistics,
  cells: number,
): void {
  for (const [v, name] of names.entries()) {
    const centre = mean[name]!;
    const scale = 1 / std[name]!;
    for (let i = v * cells; i < (v + 1) * cells; i++) into[i] = (fields[i]! - centre) * scale;
  }
}
