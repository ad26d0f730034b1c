// Random numbers that are the same in every run, so that a failure can be repeated.

/** Whole numbers from 0 to `below` - 1, by Marsaglia's xorshift (2003); the seed is not 0. */
export function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
