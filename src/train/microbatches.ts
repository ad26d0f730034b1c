// A batch taken apart into what goes through the model at once.
import type { Batch } from "../sets/samples.ts";

/** Micro-batches of at most so many samples, each with the number of its first sample; views of the batch's fields. */
export function* microBatches(batch: Batch, most: number): Generator<{ part: Batch; first: number }> {
  const { size, x, y, leadHours, times } = batch;
  const step = Math.min(size, most);
  for (let first = 0; first < size; first += step) {
    const end = Math.min(size, first + step);
    const of = (fields: Float32Array) =>
      fields.subarray((first * fields.length) / size, (end * fields.length) / size);
    const part = { ...batch, x: of(x), y: of(y), leadHours: of(leadHours), times: times.slice(first, end) };
    const later = batch.later ? { later: batch.later.map(of) } : {};
    yield { part: { ...part, ...later, size: end - first }, first };
  }
}
