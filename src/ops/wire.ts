// Gradients as they travel between ranks: halves with a scale to every block, half the bytes of f32.
import { kernel, quads, run } from "../engine/kernel.ts";
import { size, type Tensor } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";

const encodeBlocks = kernel("wire.wgsl", "encode_blocks");
const decodeQuads = kernel("wire.wgsl", "decode_quads");

/** Numbers that share a scale. */
export const BLOCK = 512;
/** 32-bit words that a block takes on the wire: its unit, then two halves to a word. */
export const BLOCK_WORDS = 1 + BLOCK / 2;

/** How many words `count` numbers take on the wire: whole blocks, of which the last is filled up with zeros. */
export function wireWords(count: number): number {
  return Math.ceil(count / BLOCK) * BLOCK_WORDS;
}

/**
 * Writes `x` to `words` in the form of the wire, on the device. Each number is off by 2^-11 of itself at most or, where
 * that is more, by 2^-28 of the largest of its block, or by 2^-126: adapters may take what is subnormal, as a half or a
 * float, for zero. Numbers of 2^128 (1 - 2^-12) and more become infinite. A block in which any number is not finite
 * becomes all NaN.
 *
 * @param x      [n]
 * @param words  [BLOCK_WORDS * first + wireWords(n) or more], bits of u32 and not numbers
 * @param first  the block of `words` to begin with, so that tensors can lie one after the other
 */
export function encode(x: Tensor, words: Tensor, first = 0): void {
  const count = checked("encode", x, words, first);
  run(encodeBlocks, { x, words }, { count, first }, Math.ceil(count / BLOCK));
}

/** Writes the numbers that `words` hold, exactly, over `x`; shapes as of `encode`. */
export function decode(words: Tensor, x: Tensor, first = 0): void {
  const count = checked("decode", x, words, first);
  run(decodeQuads, { sent: words, y: x }, { count, first }, quads(count));
}

function checked(op: string, x: Tensor, words: Tensor, first: number): number {
  const [count, room] = [size(x.shape), size(words.shape)];
  const wanted = BLOCK_WORDS * first + wireWords(count);
  if (room >= wanted) return count;
  throw new ClimaxError(
    "shape",
    `${op}: ${count} numbers from block ${first} on have ${wanted} words, and words is [${words.shape}]`,
    "make room of wireWords(count) words, and BLOCK_WORDS more for every block before",
  );
}
