// Small tables of u32 on the device, by which a kernel finds its way; written once and kept from step to step.
import type { Gpu } from "./device.ts";
import type { Tensor } from "./tensor.ts";

const tables = new WeakMap<Gpu, Map<string, Tensor>>();
/** Batches of several data sets alternate, and each needs a handful. */
const MOST_TABLES = 256;

/** These words in this order, [words]: u32, whatever a tensor's other uses. It is nobody's to free, or to keep. */
export function table(gpu: Gpu, words: readonly number[]): Tensor {
  let known = tables.get(gpu);
  if (!known) tables.set(gpu, (known = new Map()));
  const key = words.join();
  const kept = known.get(key);
  if (kept) return kept;
  if (known.size >= MOST_TABLES) {
    for (const { storage } of known.values()) gpu.pool.giveBack(storage);
    known.clear();
  }
  const fresh = { gpu, shape: [words.length], storage: gpu.pool.borrow(4 * words.length), offset: 0 };
  gpu.commands.write(fresh.storage.buffer, 0, Uint32Array.from(words));
  known.set(key, fresh);
  return fresh;
}
