// Random numbers that depend only on (seed, stream, counters): any sample of any epoch can be made alone,
// so a run that is resumed sees the data of one that was never stopped.

/** Uniform 32-bit integer from a list of integers. Mixing step: MurmurHash3's, by Austin Appleby (public domain). */
export function hash32(...words: readonly number[]): number {
  let h = 0x9e3779b9;
  for (const word of words) {
    // Seeds may exceed 32 bits: both halves enter.
    for (const half of [word >>> 0, Math.floor(word / 2 ** 32) >>> 0]) {
      let k = Math.imul(half, 0xcc9e2d51);
      k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
      h ^= k;
      h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
    }
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

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
