// A random number from a list of integers, such as a seed, a stream and counters: always the same one.

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
