// Blocks of halves, made and added up by WebAssembly, against the halves of src/files/half.ts.
import { expect, test } from "vitest";
import { fromHalf, toHalf } from "../../src/files/half.ts";
import { BLOCK, BLOCK_WORDS } from "../../src/ops/wire.ts";
import { encodeBlocks, sumBlocks } from "../../src/train/halfblocks.ts";
import { uniform } from "../support/gradcheck.ts";

/** Blocks of halves by their bits, each with its unit. */
function blocksOf(bits: Uint16Array, unitOf: (block: number) => number): Uint32Array {
  const words = new Uint32Array((bits.length / BLOCK) * BLOCK_WORDS);
  const [units, halves] = [new Float32Array(words.buffer), new Uint16Array(words.buffer)];
  for (let block = 0; block < bits.length / BLOCK; block++) {
    units[block * BLOCK_WORDS] = unitOf(block);
    halves.set(bits.subarray(block * BLOCK, (block + 1) * BLOCK), 2 * (block * BLOCK_WORDS + 1));
  }
  return words;
}

test("every finite half of either sign, subnormal ones too, times its unit", () => {
  const bits = Uint16Array.from({ length: 2 ** 16 }, (_, i) => ((i & 0x7fff) < 0x7c00 ? i : 0));
  const unitOf = (block: number) => 2 ** ((block % 120) - 60);
  const wanted = fromHalf(bits).map((value, i) => value * unitOf(Math.floor(i / BLOCK)) + 0); // no -0: 0 + -0 is 0
  expect(sumBlocks([blocksOf(bits, unitOf)])).toEqual(wanted);
});

test("units of any size", () => {
  const bits = new Uint16Array(3 * BLOCK).fill(0x7800); // 2^15
  const sums = sumBlocks([blocksOf(bits, (block) => [2 ** -126, 2 ** 112, Number.NaN][block]!)]);
  expect([0, 1, 2].map((block) => sums[block * BLOCK + 3])).toEqual([2 ** -111, 2 ** 127, Number.NaN]);
});

// More blocks than are worked on at a time, and a rest of them.
test.for([1, 32, 77])("%i blocks of numbers become the nearest halves", (blocks) => {
  const random = uniform(blocks);
  const numbers = Float32Array.from(
    { length: blocks * BLOCK },
    (_, i) => random() * 2 ** (20 * random() - ((i >> 9) % 90)),
  );
  const before = numbers.slice();
  const words = new Uint32Array(blocks * BLOCK_WORDS);
  encodeBlocks(numbers, words);
  expect(numbers).toEqual(before);
  const bits = new Uint16Array(numbers.length);
  const units = Array.from({ length: blocks }, (_, block) => {
    const some = numbers.subarray(block * BLOCK, (block + 1) * BLOCK);
    const unit = 2 ** Math.max(Math.floor(Math.log2(Math.max(...some.map(Math.abs)))) - 14, -126);
    bits.set(
      Array.from(some, (value) => toHalf(value / unit)),
      block * BLOCK,
    );
    return unit;
  });
  expect(words).toEqual(blocksOf(bits, (block) => units[block]!));
  // One and the other added up twice, from memory that is no multiple of four words.
  const shifted = new Uint32Array(words.length + 1).subarray(1);
  shifted.set(words);
  const once = sumBlocks([words]);
  expect(sumBlocks([words, shifted])).toEqual(once.map((value) => 2 * value));
});

test("every half that a block can hold, what lies in the middle of two, and the numbers beside that", () => {
  const numbers: number[] = [];
  const float = new Float32Array(1);
  const bits = new Int32Array(float.buffer);
  /** With the floats next to it. */
  const around = (value: number): number[] => {
    float[0] = value;
    const own = bits[0]!;
    return [own - 1, own, own + 1].map((one) => {
      bits[0] = one;
      return float[0]!;
    });
  };
  // 2^14, which is the first of every block, makes the unit 1: all others are below 2^15.
  const halves = fromHalf(Uint16Array.from({ length: 0x7801 }, (_, i) => i));
  for (let i = 0; i < 0x7800; i++)
    for (const value of [halves[i]!, ...around((halves[i]! + halves[i + 1]!) / 2)]) {
      for (const signed of [value, -value]) {
        if (numbers.length % BLOCK === 0) numbers.push(2 ** 14);
        numbers.push(signed);
      }
    }
  while (numbers.length % BLOCK > 0) numbers.push(0);
  const words = new Uint32Array((numbers.length / BLOCK) * BLOCK_WORDS);
  encodeBlocks(Float32Array.from(numbers), words);
  expect(words).toEqual(blocksOf(Uint16Array.from(numbers, toHalf), () => 1));
});

test("a block's unit, whatever its largest number", () => {
  const exponents = Array.from({ length: 277 }, (_, i) => i - 149); // all that a float has, subnormal ones too
  const numbers = new Float32Array(exponents.length * BLOCK);
  const bits = new Uint16Array(numbers.length);
  const units = exponents.map((exponent) => 2 ** Math.max(exponent - 14, -126));
  for (const [block, exponent] of exponents.entries()) {
    const at = block * BLOCK + (block % BLOCK);
    numbers[at] = -1.5 * 2 ** exponent;
    bits[at] = toHalf(numbers[at]! / units[block]!);
  }
  const words = new Uint32Array(exponents.length * BLOCK_WORDS);
  encodeBlocks(numbers, words);
  expect(words).toEqual(blocksOf(bits, (block) => units[block]!));
});
