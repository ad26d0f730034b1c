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
  make: (indices: readonly number[], epoch: number) => Promise<Batch>,
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
    batchAt: async (epoch, index) => {
      if (!(index >= 0 && index < batches)) throw new RangeError(`batch ${index} of ${batches}`);
      if (shuffle && orderEpoch !== epoch) {
        order = permutation(samples, seed, orderStream, epoch);
        orderEpoch = epoch;
      }
      const first = index * batchSize;
      const size = Math.min(batchSize, samples - first);
      const indices = Array.from({ length: size }, (_, b) => (shuffle ? order[first + b]! : first + b));
      return make(indices, epoch);
    },
  };
}

/**
 * Makes one array of what `read` gives for each of the samples, in their order.
 *
 * @param read  the fields of sample b; of all samples alike in number
 */
export async function gather(
  size: number,
  read: (b: number) => Promise<Float32Array>,
): Promise<Float32Array> {
  let out = new Float32Array();
  await Promise.all(
    Array.from({ length: size }, async (_, b) => {
      const part = await read(b);
      if (out.length === 0) out = new Float32Array(size * part.length);
      out.set(part, b * part.length);
    }),
  );
  return out;
}

/** Physical units to (value - mean) / std, in place: [V, H, W], or several of these. */
export function normalise(
  fields: Float32Array,
  names: readonly string[],
  { mean, std }: Statistics,
  cells: number,
): Float32Array {
  for (let n = 0; n * cells < fields.length; n++) {
    const name = names[n % names.length]!;
    const centre = mean[name]!;
    const scale = 1 / std[name]!;
    for (let i = n * cells; i < (n + 1) * cells; i++) fields[i] = (fields[i]! - centre) * scale;
  }
  return fields;
}
