// The batches of an epoch one after the other, as a training loop asks for them.
import type { Batch, BatchSource } from "../../src/sets/samples.ts";

/** The batches of an epoch from `first` on, asked for in order. */
export async function* batchesOf(source: BatchSource, epoch: number, first = 0): AsyncGenerator<Batch> {
  for (let index = first; index < source.batches; index++) yield await source.batchAt(epoch, index);
}
