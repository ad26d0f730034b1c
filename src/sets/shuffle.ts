// Random numbers that depend only on (seed, stream, counters): any sample of any epoch can be made alone,
// so a run that is resumed sees the data of one that was never stopped.
import { hash32 } from "../data/hash.ts";

/** Uniform integer in [0, n). The bias, n / 2^32, is below anything a training run can see. */
export function drawInteger(n: number, ...words: readonly number[]): number {
  return Math.floor((hash32(...words) / 2 ** 32) * n);
}

/** A permutation of 0..n-1 (Fisher and Yates, Durstenfeld's form). */
export function permutation(n: number, ...words: readonly number[]): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = drawInteger(i + 1, ...words, i);
    const held = order[i]!;
    order[i] = order[j]!;
    order[j] = held;
  }
  return order;
}
