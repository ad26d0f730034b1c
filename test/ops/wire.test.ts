import { describe, expect, test } from "vitest";
import type { Gpu } from "../../src/engine/device.ts";
import { empty, read, type Tensor, tensor } from "../../src/engine/tensor.ts";
import { BLOCK, BLOCK_WORDS, decode, encode, wireWords } from "../../src/ops/wire.ts";
import { gpu, uniform } from "../support/gradcheck.ts";
import { half } from "../support/half.ts";

/** Adapters without subgroups of one size add up otherwise; a narrow one folds a few workgroups into two dimensions. */
const narrow = new Proxy(gpu.device, {
  get: (device, key) => {
    if (key === "limits") return { maxComputeWorkgroupsPerDimension: 2 };
    const value = Reflect.get(device, key) as unknown;
    return typeof value === "function" ? value.bind(device) : value;
  },
});
const views = [
  ["subgroups", gpu],
  ["workgroup memory", { ...gpu, subgroupSize: 0 }],
  ["workgroups in two dimensions", { ...gpu, device: narrow }],
] as const;

/** The words as the host would see them. */
const wordsOf = async (words: Tensor): Promise<Uint32Array> => new Uint32Array((await read(words)).buffer);

async function there(values: ArrayLike<number>, device: Gpu = gpu): Promise<Uint32Array> {
  const words = empty(device, [wireWords(values.length)]);
  encode(tensor(device, [values.length], values), words);
  return await wordsOf(words);
}

async function andBack(values: ArrayLike<number>, device: Gpu = gpu): Promise<Float32Array> {
  const [words, y] = [empty(device, [wireWords(values.length)]), empty(device, [values.length])];
  encode(tensor(device, [values.length], values), words);
  decode(words, y);
  return await read(y);
}

/** A block by hand: the power of two, and every number as the nearest half of it. */
function wanted(block: readonly number[]): { unit: number; numbers: number[] } {
  const largest = Math.max(...block.map(Math.abs));
  const unit = Math.max(2 ** (Math.floor(Math.log2(largest)) - 14), 2 ** -126);
  return { unit, numbers: block.map((value) => half(value / unit) * unit) };
}

/** Numbers of magnitudes from 1 down to 2^-`octaves`, of either sign. */
function magnitudes(n: number, octaves: number, seed: number): number[] {
  const random = uniform(seed);
  return Array.from({ length: n }, () => Math.fround(random() * 2 ** (-octaves * Math.abs(random() / 2))));
}

describe.for(views)("on an adapter with %s", ([, device]) => {
  // Below, at and above a block, and several; not whole vec4s.
  test.for([1, 4, 510, BLOCK, BLOCK + 2, 5 * BLOCK])("%i numbers come back as halves", async (n) => {
    const values = magnitudes(n, 20, n); // no half is subnormal: the largest is at 2^14
    const back = await andBack(values, device);
    for (let at = 0; at < n; at += BLOCK) {
      const { numbers } = wanted(values.slice(at, at + BLOCK));
      expect([...back.subarray(at, at + BLOCK)]).toEqual(numbers);
    }
  });

  test("one number that is not finite makes a block NaN, and no other block", async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const values = new Float32Array(3 * BLOCK).fill(1);
      values[BLOCK + 77] = bad;
      const back = await andBack(values, device);
      expect(back.subarray(BLOCK, 2 * BLOCK).every(Number.isNaN)).toBe(true);
      expect([...back.subarray(0, BLOCK), ...back.subarray(2 * BLOCK)].every((value) => value === 1)).toBe(
        true,
      );
    }
  });
});

test("a block is its unit and two halves to a word, the first one low", async () => {
  const words = await there([3, -0.5, 1, 0]);
  expect(words.length).toBe(BLOCK_WORDS);
  expect(new Float32Array(words.buffer)[0]).toBe(2 ** -13); // 3 / 2^-13 is 24 576
  const halves = new Uint16Array(words.buffer).slice(2, 8);
  expect([...halves]).toEqual([0x7600, 0xec00, 0x7000, 0, 0, 0]);
});

test("ties go to even on any adapter, also up to the next power of two", async () => {
  const [odd, even, top] = [1 + 3 * 2 ** -11, 1 + 2 ** -11, 2 - 2 ** -12];
  expect([...(await andBack([odd, even, -odd, top]))]).toEqual([1 + 2 ** -9, 1, -1 - 2 ** -9, 2]);
});

test("zeros come back as zeros, and what was there before is gone", async () => {
  const words = tensor(gpu, [2 * BLOCK_WORDS], new Float32Array(2 * BLOCK_WORDS).fill(7));
  const y = tensor(gpu, [2 * BLOCK], new Float32Array(2 * BLOCK).fill(7));
  encode(tensor(gpu, [2 * BLOCK], new Float32Array(2 * BLOCK)), words);
  decode(words, y);
  expect((await read(y)).every((value) => value === 0)).toBe(true);
});

test.for([
  ["the largest", 2 ** 127, 2 ** 113],
  ["large", 3e38, 2 ** 113],
  ["small", 1e-30, 2 ** -114],
  ["tiny: of a unit that is the smallest normal float", 2e-37, 2 ** -126],
  ["the smallest normal", 2 ** -126, 2 ** -126],
] as const)("%s numbers keep 11 bits", async ([, size, unit]) => {
  const values = [size, -size, size * (1 + 2 ** -10)].map(Math.fround);
  expect(new Float32Array((await there(values)).buffer)[0]).toBe(unit);
  expect([...(await andBack(values))]).toEqual(wanted(values).numbers);
});

test("what is small beside the largest is off by no more than was said", async () => {
  const values = magnitudes(8 * BLOCK, 60, 3);
  const back = await andBack(values);
  for (const [i, value] of values.entries()) {
    const start = i - (i % BLOCK);
    const largest = Math.max(...values.slice(start, start + BLOCK).map(Math.abs));
    expect(Math.abs(back[i]! - value)).toBeLessThanOrEqual(
      Math.max(2 ** -11 * Math.abs(value), 2 ** -28 * largest),
    );
  }
});

test("several tensors lie one after the other, and what is behind their ends stays", async () => {
  const [a, b] = [magnitudes(700, 4, 1), magnitudes(512, 4, 2)];
  const words = tensor(gpu, [4 * BLOCK_WORDS], new Float32Array(4 * BLOCK_WORDS).fill(7));
  encode(tensor(gpu, [700], a), words);
  encode(tensor(gpu, [512], b), words, 2);
  const found = await wordsOf(words);
  expect([...found.subarray(0, 2 * BLOCK_WORDS)]).toEqual([...(await there(a))]);
  expect([...found.subarray(2 * BLOCK_WORDS, 3 * BLOCK_WORDS)]).toEqual([...(await there(b))]);
  const seven = new Uint32Array(Float32Array.of(7).buffer)[0];
  expect(found.subarray(3 * BLOCK_WORDS).every((word) => word === seven)).toBe(true);
  const y = tensor(gpu, [1024], new Float32Array(1024).fill(7));
  decode(words, { ...y, shape: [512] }, 2);
  const back = await read(y);
  expect([...back.subarray(0, 512)]).toEqual([...(await andBack(b))]);
  expect(back.subarray(512).every((value) => value === 7)).toBe(true);
});

test("numbers beyond the end do not travel, and those up to whole fours become zero, also beside NaN", async () => {
  const x = tensor(gpu, [512], new Float32Array(512).fill(1));
  const words = empty(gpu, [BLOCK_WORDS]);
  encode({ ...x, shape: [509] }, words);
  expect([...new Uint16Array((await wordsOf(words)).buffer).slice(-4)]).toEqual([0x7400, 0, 0, 0]);
  const y = tensor(gpu, [516], new Float32Array(516).fill(7));
  encode(tensor(gpu, [512], new Float32Array(512).fill(Number.NaN)), words);
  decode(words, { ...y, shape: [509] });
  expect([...(await read(y)).slice(507)]).toEqual([Number.NaN, Number.NaN, 0, 0, 0, 7, 7, 7, 7]);
});

test("too few words are refused", () => {
  const [x, words] = [empty(gpu, [600]), empty(gpu, [2 * BLOCK_WORDS])];
  expect(() => encode(x, words, 1)).toThrow(
    "encode: 600 numbers from block 1 on have 771 words, and words is [514]",
  );
  expect(() => decode(words, x, 1)).toThrow("decode: 600 numbers");
});
