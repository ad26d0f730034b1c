// Sums over ranks of numbers that travel as halves, against float64.
import { describe, expect, test } from "vitest";
import { empty, read, tensor } from "../../src/engine/tensor.ts";
import { BLOCK, BLOCK_WORDS, encode, wireWords } from "../../src/ops/wire.ts";
import { alone, type World } from "../../src/parallel/world.ts";
import { encodeBlocks, sumBlocks } from "../../src/train/halfblocks.ts";
import { allreduceHalves, sumHalves } from "../../src/train/halfsum.ts";
import { fakeWorlds } from "../support/fakeworld.ts";
import { gpu, uniform } from "../support/gradcheck.ts";

const encoded = (numbers: ArrayLike<number>): Uint32Array => {
  const words = new Uint32Array(wireWords(numbers.length));
  encodeBlocks(Float32Array.from(numbers), words);
  return words;
};
const decoded = (words: Uint32Array): Float32Array => sumBlocks([words]);

/** Blocks whose largest numbers lie anywhere that a float can, and whose others lie up to 2^-`octaves` below. */
function wild(blocks: number, octaves: number, seed: number): Float32Array {
  const random = uniform(seed);
  const numbers = new Float32Array(blocks * BLOCK);
  for (let b = 0; b < blocks; b++) {
    const scale = 2 ** Math.round(62 * random()); // sums of some stay finite
    for (let i = b * BLOCK; i < (b + 1) * BLOCK; i++)
      numbers[i] = scale * random() * 2 ** (-octaves * Math.abs(random() / 2));
  }
  return numbers;
}

/** What `n` ranks make of what each of them brings: of their own share, and of the whole. */
async function exchanged(brought: readonly Float32Array[]) {
  const n = brought.length;
  const all = <T>(work: (world: World, words: Uint32Array) => Promise<T>) =>
    Promise.all(fakeWorlds(n).map((world) => work(world, encoded(brought[world.rank]!))));
  const shares = await all((world, words) => sumHalves(world, words));
  const wholes = await all(async (world, words) => {
    await allreduceHalves(world, words);
    return words;
  });
  return { shares, wholes, sums: Float32Array.from(shares.flatMap((share) => [...share])) };
}

/** What is lost of each number. */
function losses(numbers: Float32Array): Float64Array {
  const lost = new Float64Array(numbers.length);
  for (let from = 0; from < numbers.length; from += BLOCK) {
    const block = numbers.subarray(from, from + BLOCK).map(Math.abs);
    // A half keeps 2^-11 of a number, or where it is subnormal 2^-25 of the unit: that is at most 2^-14 of the largest, but
    // 2^-126 at least.
    const floor = Math.max(2 ** -39 * block.reduce((a, c) => Math.max(a, c)), 2 ** -151);
    for (const [i, value] of block.entries()) lost[from + i] = Math.max(2 ** -11 * value, floor);
  }
  return lost;
}

describe.for([1, 2, 3, 4])("%i ranks", (n) => {
  test.for([0, 12, 45])(
    "add up what spans %i octaves within a block, as near as halves are",
    async (octaves) => {
      const brought = Array.from({ length: n }, (_, rank) => wild(2 * n, octaves, 10 * n + rank));
      const { shares, sums, wholes } = await exchanged(brought);
      expect(shares.map(({ length }) => length)).toEqual(Array(n).fill(2 * BLOCK));
      for (const words of wholes) expect(words).toEqual(wholes[0]);
      const whole = decoded(wholes[0]!);
      const [lost, lostAgain] = [brought.map(losses), losses(sums)];
      for (let i = 0; i < sums.length; i++) {
        const wanted = brought.reduce((sum, numbers) => sum + numbers[i]!, 0);
        const halves = lost.reduce((sum, one) => sum + one[i]!, 0);
        const size = brought.reduce((sum, numbers) => sum + Math.abs(numbers[i]!), 0) + halves;
        const bound = halves + (n - 1) * 2 ** -24 * size; // each addition in float32 loses 2^-24 of what is there by then
        if (!(Math.abs(sums[i]! - wanted) <= bound)) expect.fail(`${i}: ${sums[i]} of ${wanted}`);
        if (!(Math.abs(whole[i]! - sums[i]!) <= lostAgain[i]!))
          expect.fail(`${i}: ${whole[i]} of ${sums[i]}`);
      }
    },
  );

  test("one that is not finite spoils its block on all ranks and no other", async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const brought = Array.from({ length: n }, () => new Float32Array(2 * n * BLOCK).fill(0.5));
      brought[n - 1]![BLOCK + 3] = bad;
      const { sums, wholes } = await exchanged(brought);
      const block = (b: number) => Float32Array.from({ length: BLOCK }, () => (b === 1 ? Number.NaN : n / 2));
      const wanted = Array.from({ length: 2 * n }, (_, b) => [...block(b)]).flat();
      expect([...sums]).toEqual(wanted);
      for (const words of wholes) expect([...decoded(words)]).toEqual(wanted);
    }
  });

  test("zeros stay zeros beside others", async () => {
    const brought = Array.from({ length: n }, (_, rank) => {
      const numbers = new Float32Array(n * BLOCK);
      if (rank === 0) numbers.fill(3, 0, 7);
      return numbers;
    });
    const { sums, wholes } = await exchanged(brought);
    expect([...sums]).toEqual([...brought[0]!]);
    expect([...decoded(wholes.at(-1)!)]).toEqual([...brought[0]!]);
  });
});

test("ranks are added up one after the other in float32, whatever the sum of halves would hold", async () => {
  const parts = [2 ** 24, 1, -(2 ** 24), 2 ** -20]; // in float32 2^24 + 1 is 2^24, in halves 1 + 2^-20 is 1
  const brought = parts.map((part) => new Float32Array(4 * BLOCK).fill(part));
  const { sums } = await exchanged(brought);
  expect([...sums]).toEqual(Array(4 * BLOCK).fill(2 ** -20));
  const small = [1, 2 ** -20].map((part) => new Float32Array(2 * BLOCK).fill(part));
  expect([...(await exchanged(small)).sums]).toEqual(Array(2 * BLOCK).fill(1 + 2 ** -20));
});

test("a sum beyond a float is infinite, and NaN once it has travelled", async () => {
  const { sums, wholes } = await exchanged(
    [3e38, 3e38].map((part) => new Float32Array(2 * BLOCK).fill(part)),
  );
  expect(sums.every((sum) => sum === Number.POSITIVE_INFINITY)).toBe(true);
  expect(decoded(wholes[1]!).every(Number.isNaN)).toBe(true);
});

test.for([1e-38, 1e-42, 2 ** -149, 3.4e38].map(Math.fround))("%f survives", (size) => {
  const [back] = decoded(encoded([size, ...new Float32Array(BLOCK - 1)]));
  // Halves of the smallest unit go down to 2^-150.
  expect(Math.abs(back! - size)).toBeLessThanOrEqual(Math.max(2 ** -11 * size, 2 ** -151));
});

test("what is sent stays as it is, views of larger memory included, and room is used", async () => {
  const memory = fakeWorlds(2).map(() => new Uint32Array(3 * BLOCK_WORDS).fill(9));
  const sums = await Promise.all(
    fakeWorlds(2).map((world) => {
      const words = memory[world.rank]!.subarray(1, 1 + 2 * BLOCK_WORDS);
      words.set(encoded(new Float32Array(2 * BLOCK).fill(world.rank + 1)));
      const before = memory[world.rank]!.slice();
      const room = new Uint32Array(2 * BLOCK_WORDS);
      return sumHalves(world, words, room).then((sum) => {
        expect(memory[world.rank]).toEqual(before);
        expect([...decoded(room)]).toEqual([...Array(BLOCK).fill(1), ...Array(BLOCK).fill(2)]);
        return sum;
      });
    }),
  );
  for (const sum of sums) expect([...sum]).toEqual(Array(BLOCK).fill(3));
});

test("one process by itself gets its own numbers, as halves", async () => {
  const numbers = new Float32Array(BLOCK).fill(1 + 2 ** -12);
  const words = encoded(numbers);
  expect([...(await sumHalves(alone, words))]).toEqual(Array(BLOCK).fill(1));
  await allreduceHalves(alone, words);
  expect([...decoded(words)]).toEqual(Array(BLOCK).fill(1));
});

test("shares that are no whole blocks are refused", async () => {
  const [world] = fakeWorlds(2);
  const message = "771 words, shared by 2 ranks";
  await expect(sumHalves(world!, new Uint32Array(3 * BLOCK_WORDS))).rejects.toThrow(message);
  await expect(allreduceHalves(world!, new Uint32Array(3 * BLOCK_WORDS))).rejects.toThrow(message);
  expect(world!.calls).toEqual([]);
});

test("the device's form is the host's, bit for bit", async () => {
  const numbers = wild(6, 20, 7);
  const words = empty(gpu, [wireWords(numbers.length)]);
  encode(tensor(gpu, [numbers.length], numbers), words);
  // An adapter may take subnormal numbers for zeros of their sign, as lavapipe 26 does.
  const normal = numbers.map((x) => (Math.abs(x) < 2 ** -126 ? 0 * x : x));
  expect([encoded(numbers), encoded(normal)]).toContainEqual(new Uint32Array((await read(words)).buffer));
});
