/** Where parameters lie in buckets, and whose share what is. */
import { expect, test } from "vitest";
import { ALIGNMENT, makeArena } from "../../src/engine/arena.ts";
import { dryGpu } from "../../src/engine/dry.ts";
import { size, type Tensor } from "../../src/engine/tensor.ts";
import { BLOCK } from "../../src/ops/wire.ts";
import { bucketsOf, shareOf } from "../../src/train/buckets.ts";
import { gpu } from "../support/gpu.ts";

const UNIT = 4 * BLOCK;

/** Parameters of so many elements, every third in a segment of its own. */
function model(...lengths: number[]): Tensor[] {
  const specs = lengths.map((length, i) => ({
    ...{ name: `p${i}`, shape: [length] },
    group: i % 3 === 0 ? "plain" : "decayed",
  }));
  const { parameters } = makeArena(dryGpu(gpu).gpu, specs);
  return specs.map(({ name }) => parameters.get(name)!);
}

test("from the last parameter, until a bucket is full; neighbours in one piece", () => {
  const parameters = model(10, 20, 30, 40, 50, 60);
  const buckets = bucketsOf(parameters, 2, 1040);
  expect(buckets.map((bucket) => bucket.parameters.map((p) => parameters.indexOf(p)))).toEqual([
    [5],
    [4],
    [3],
    [2, 1],
    [0],
  ]);
  const [whole] = bucketsOf(parameters, 2);
  // 0 and 3 in one segment, 1, 2, 4 and 5 in the other, each to a multiple of ALIGNMENT.
  expect(whole!.pieces.map(({ value }) => [value.offset, value.bytes, value.at])).toEqual([
    [0, 2 * ALIGNMENT, 0],
    [0, 4 * ALIGNMENT, UNIT],
  ]);
  expect(whole).toMatchObject({ filled: UNIT + 4 * ALIGNMENT, bytes: 2 * UNIT });
  for (const { value, grad } of whole!.pieces) {
    expect({ ...grad, storage: value.storage }).toEqual(value);
    expect(grad.storage).not.toBe(value.storage);
  }
});

test("less is full at both ends: a first bucket goes soon, and the last ones are small", () => {
  const sizesOf = (count: number, full: number) =>
    bucketsOf(model(...Array.from({ length: count }, () => 64)), 1, full).map(
      ({ parameters }) => parameters.length,
    );
  // In parameters of 256 bytes: at most 8 at a time, 1 at first, then at least a quarter of what is left.
  expect(sizesOf(40, 8 * 256)).toEqual([1, 8, 8, 6, 5, 3, 3, 2, 1, 1, 1, 1]);
  expect(sizesOf(4, 100 * 256)).toEqual([4]);
});

test.for([1, 2, 3, 4, 7])("%i shares are equal, of whole blocks, and all of it once", (shares) => {
  const parameters = model(3000, 1, 700, 64, 65, 5000, 2);
  for (const bucket of bucketsOf(parameters, shares, 9000)) {
    expect(bucket.bytes % (shares * UNIT)).toBe(0);
    expect(bucket.bytes - bucket.filled).toBeLessThan((shares + 1) * UNIT);
    const parts = Array.from({ length: shares }, (_, rank) => shareOf(bucket, rank, shares));
    for (const [rank, pieces] of parts.entries()) {
      for (const { value, grad } of pieces) {
        expect(value.at).toBeGreaterThanOrEqual((rank * bucket.bytes) / shares);
        expect(value.at + value.bytes).toBeLessThanOrEqual(((rank + 1) * bucket.bytes) / shares);
        for (const place of [value.offset, value.bytes, value.at]) expect(place % ALIGNMENT).toBe(0);
        expect(value.bytes).toBeGreaterThan(0);
        expect({ ...grad, storage: value.storage }).toEqual(value);
      }
    }
    const bytesOf = (pieces: (typeof parts)[number]) => pieces.map(({ value }) => value.bytes);
    const total = (all: number[]) => all.reduce((a, b) => a + b, 0);
    expect(total(parts.flatMap(bytesOf))).toBe(total(bytesOf([...bucket.pieces])));
    expect(total(bytesOf([...bucket.pieces]))).toBeGreaterThanOrEqual(
      4 * total(bucket.parameters.map(({ shape }) => size(shape))),
    );
    // Side by side, each piece goes on where the one before ended, in its segment as in the bucket.
    for (const { value } of parts.flat()) {
      const whole = bucket.pieces.find(({ value: { storage } }) => storage === value.storage)!.value;
      expect(value.offset - whole.offset).toBe(value.at - whole.at);
    }
  }
});

test("where there is less than a block for each, some ranks have nothing", () => {
  const [bucket] = bucketsOf(model(100), 4);
  expect(bucket).toMatchObject({ filled: 512, bytes: 4 * UNIT });
  expect([0, 1, 2, 3].map((rank) => shareOf(bucket!, rank, 4).length)).toEqual([1, 0, 0, 0]);
});
