// Blocks of halves (src/ops/wire.ts) in the host's memory: numbers to blocks, and sums of blocks in float32.
import { BLOCK, BLOCK_WORDS } from "../ops/wire.ts";
import { type HalfCode, halfCode } from "./halfcode.ts";

/** What is copied into the memory of the code at a time: what a core's second-level cache has room for. */
const BLOCKS = 32;

interface Bench extends HalfCode {
  readonly words: Uint32Array;
  readonly numbers: Float32Array;
}

let made: Bench | undefined;

function bench(): Bench {
  if (made) return made;
  const bytes = 4 * BLOCKS * (BLOCK_WORDS + BLOCK);
  const code = halfCode(Math.ceil(bytes / 2 ** 16));
  const { buffer } = code.memory;
  const words = new Uint32Array(buffer, 0, BLOCKS * BLOCK_WORDS);
  made = { ...code, words, numbers: new Float32Array(buffer, words.byteLength, BLOCKS * BLOCK) };
  return made;
}

/**
 * The sums of what blocks hold, one array after the other in float32.
 *
 * @param parts  [BLOCK_WORDS * n] each
 * @returns      [BLOCK * n]; all NaN in a block of which any part's unit is NaN
 */
export function sumBlocks(parts: readonly Uint32Array[]): Float32Array {
  const { add, words, numbers } = bench();
  const count = parts[0]!.length / BLOCK_WORDS;
  const sums = new Float32Array(BLOCK * count);
  for (let from = 0; from < count; from += BLOCKS) {
    const to = Math.min(count, from + BLOCKS);
    const end = 4 * BLOCK_WORDS * (to - from);
    numbers.fill(0);
    for (const part of parts) {
      words.set(part.subarray(BLOCK_WORDS * from, BLOCK_WORDS * to));
      add(words.byteOffset, numbers.byteOffset, end);
    }
    sums.set(numbers.subarray(0, BLOCK * (to - from)), BLOCK * from);
  }
  return sums;
}

/**
 * Numbers in the form of the wire, as `encode` of src/ops/wire.ts makes it.
 *
 * @param values  [BLOCK * n]
 * @param into    [BLOCK_WORDS * n]
 */
export function encodeBlocks(values: Float32Array, into: Uint32Array): void {
  const { encode, words, numbers } = bench();
  for (let at = 0, from = 0; from < values.length; from += numbers.length, at += words.length) {
    const some = values.subarray(from, from + numbers.length);
    numbers.set(some);
    encode(numbers.byteOffset, words.byteOffset, numbers.byteOffset + some.byteLength);
    into.set(words.subarray(0, (some.length / BLOCK) * BLOCK_WORDS), at);
  }
}
