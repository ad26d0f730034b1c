/** Gradients summed in buckets, while the backward pass still runs. */
import { expect, test, vi } from "vitest";
import { makeArena } from "../../src/engine/arena.ts";
import type { Span } from "../../src/engine/staging.ts";
import { read, type Tensor, write } from "../../src/engine/tensor.ts";
import { bucketsOf, shareOf } from "../../src/train/buckets.ts";
import { GradientSum } from "../../src/train/reduce.ts";
import { type FakeWorld, fakeWorlds } from "../support/fakeworld.ts";
import { gpu } from "../support/gpu.ts";

/** Parameters of 10, 20, 30, ... elements in two groups; gradients that tell parameter, place and rank apart. */
function model(count: number, rank: number): Tensor[] {
  const specs = Array.from({ length: count }, (_, i) => ({
    name: `p${i}`,
    shape: [10 * (i + 1)],
    group: i % 3 === 0 ? "plain" : "decayed",
  }));
  const { parameters } = makeArena(gpu, specs);
  return specs.map(({ name, shape }, i) => {
    const parameter = parameters.get(name)!;
    write(
      parameter.grad!,
      Float32Array.from({ length: shape[0]! }, (_, k) => (rank + 1) * (1000 * i + k)),
    );
    return parameter;
  });
}

const plain = { shares: false, wire: "f32" } as const;

async function expectSums(parameters: readonly Tensor[], ranks: number): Promise<void> {
  const all = (ranks * (ranks + 1)) / 2;
  for (const [i, { grad, shape }] of parameters.entries()) {
    expect([...(await read(grad!))]).toEqual(
      Array.from({ length: shape[0]! }, (_, k) => all * (1000 * i + k)),
    );
  }
}

const settled = (world: FakeWorld, calls: number) =>
  vi.waitFor(() => expect(world.calls).toHaveLength(calls));

test("each bucket is sent when its last gradient is complete, in one order on all ranks", async () => {
  const worlds = fakeWorlds(2);
  const models = worlds.map(({ rank }) => model(6, rank));
  // From the last: 60 elements, 50, 40 fill buckets alone, of which 130 bytes are enough; 30 and 20 share one, and 10 is left.
  const sums = worlds.map((world, r) => new GradientSum(gpu, world, bucketsOf(models[r]!, 2, 1040), plain));
  expect(sums[0]!.messages).toBe(5);
  const [one, two] = sums as [GradientSum, GradientSum];
  one.complete(models[0]![4]!); // not its turn: the one before is not complete
  two.complete(models[1]![5]!);
  await settled(worlds[1]!, 1);
  expect(worlds[0]!.calls).toEqual([]);
  one.complete(models[0]![5]!);
  await settled(worlds[0]!, 2);
  expect(worlds[0]!.calls).toEqual(["sum of 128 Float32Array", "sum of 128 Float32Array"]); // to whole 512 bytes
  const seconds = await Promise.all(sums.map((sum) => sum.finish()));
  expect(worlds[0]!.calls).toEqual(worlds[1]!.calls);
  for (const s of seconds) expect(s).toEqual({ seconds: expect.any(Number), squares: undefined });
  for (const parameters of models) await expectSums(parameters, 2);
  for (const sum of sums) sum.close();
});

test("step after step, whatever took part, neighbours in one piece", async () => {
  const worlds = fakeWorlds(3);
  const models = worlds.map(({ rank }) => model(7, rank));
  const sums = worlds.map((world, r) => new GradientSum(gpu, world, bucketsOf(models[r]!, 3), plain));
  expect(sums[0]!.messages).toBe(1);
  expect(sums[0]!.bytes).toBeGreaterThanOrEqual(4 * 280);
  for (let step = 0; step < 3; step++) {
    for (const [r, parameters] of models.entries()) {
      for (const [i, { grad, shape }] of parameters.entries()) {
        write(
          grad!,
          Float32Array.from({ length: shape[0]! }, (_, k) => (r + 1) * (1000 * i + k)),
        );
      }
      for (const parameter of parameters.slice(step)) sums[r]!.complete(parameter);
    }
    await Promise.all(sums.map((sum) => sum.finish()));
    for (const parameters of models) await expectSums(parameters, 3);
  }
  // What lies between two gradients stays zero: the optimiser takes segments whole.
  const { grad } = models[0]![1]!;
  const gap = { ...grad!, offset: grad!.offset + 4 * 20, shape: [64 - 20] };
  expect(new Set(await read(gap))).toEqual(new Set([0]));
});

test.for([
  ["--shard-optimiser", { shares: true, wire: "f32" }, 2 ** 29],
  ["--shard-optimiser and --allreduce f16", { shares: true, wire: "f16" }, 2 ** 29],
  ["--allreduce f16", { shares: false, wire: "f16" }, 2 ** 30],
] as const)(
  "a parameter too large for %s is refused before there is room for it",
  ([flags, exchange, bytes]) => {
    const world = fakeWorlds(2)[0]!;
    const bucket = { parameters: [], pieces: [], filled: bytes + 4096, bytes: bytes + 4096 };
    let refused: unknown;
    try {
      new GradientSum(gpu, world, [bucket], exchange);
    } catch (error) {
      refused = error;
    }
    expect(refused).toMatchObject({
      kind: "config",
      message: expect.stringMatching(
        /^a parameter takes 5\d\d MiB on its way between ranks, and .* 512 MiB is the most$/,
      ),
      hint: expect.stringContaining(`leave out ${flags}, or`),
    });
  },
);

test("what the other ranks throw is thrown when the sums are waited for", async () => {
  const [a, b] = fakeWorlds(2);
  const parameters = model(2, 0);
  const sum = new GradientSum(gpu, a!, bucketsOf(parameters, 2), plain);
  for (const parameter of parameters) sum.complete(parameter);
  await settled(a!, 1);
  await expect(b!.fail(new Error("rank 1 is lost"), 1)).rejects.toThrow();
  await expect(sum.finish()).rejects.toThrow("rank 1 is lost");
});

/** Whole numbers below 2^11, which halves hold: sums of them are exact. */
const whole = (i: number, k: number): number => 100 * i + k;

test.for(["f32", "f16"] as const)(
  "shares of the sums, their squares, and values handed out, in %s",
  async (wire) => {
    const worlds = fakeWorlds(3);
    const models = worlds.map(({ rank }) => model(6, rank));
    const layouts = models.map((parameters) => bucketsOf(parameters, 3, 1040));
    const sums = worlds.map((world, r) => new GradientSum(gpu, world, layouts[r]!, { shares: true, wire }));
    const expected = models[0]!.flatMap(({ shape }, i) =>
      Array.from({ length: shape[0]! }, (_, k) => 6 * whole(i, k)),
    );
    for (let step = 0; step < 2; step++) {
      for (const [r, parameters] of models.entries()) {
        for (const [i, parameter] of parameters.entries()) {
          const { shape } = parameter;
          write(
            parameter.grad!,
            Float32Array.from({ length: shape[0]! }, (_, k) => (r + 1) * whole(i, k)),
          );
        }
      }
      const found = await Promise.all(sums.map((sum) => sum.finish()));
      const squares = expected.reduce((sum, x) => sum + x * x, 0);
      expect(found.map((one) => one.squares)).toEqual([squares, squares, squares]);
      // Each has the sums where it has its share, and says what it makes of them.
      for (const [r, buckets] of layouts.entries()) {
        for (const { value, grad } of buckets.flatMap((bucket) => shareOf(bucket, r, 3))) {
          const view = ({ storage, offset, bytes }: Span) => ({ gpu, shape: [bytes / 4], storage, offset });
          const own = await read(view(grad));
          write(
            view(value),
            own.map((x) => x / 2 + step),
          );
        }
      }
      await Promise.all(sums.map((sum) => sum.handOut()));
      for (const parameters of models) {
        const values = await Promise.all(parameters.map((parameter) => read(parameter)));
        expect(values.flatMap((one) => [...one])).toEqual(expected.map((x) => x / 2 + step));
      }
    }
    for (const { calls } of worlds) expect(calls).toEqual(worlds[0]!.calls);
    for (const sum of sums) sum.close();
  },
);

test("halves are summed one bucket after the other, and what is not finite shows on all ranks", async () => {
  const worlds = fakeWorlds(2);
  const models = worlds.map(({ rank }) => model(6, rank));
  const sums = worlds.map(
    (world, r) => new GradientSum(gpu, world, bucketsOf(models[r]!, 2, 1040), { shares: false, wire: "f16" }),
  );
  write(models[1]![2]!.grad!, new Float32Array(30).fill(Number.POSITIVE_INFINITY, 3, 4));
  for (const [r, parameters] of models.entries())
    for (const parameter of r === 0 ? parameters : parameters.toReversed()) sums[r]!.complete(parameter);
  await Promise.all(sums.map((sum) => sum.finish()));
  for (const { calls } of worlds)
    expect(calls.map((call) => call.split(" ")[0])).toEqual(Array(5).fill(["alltoall", "allgather"]).flat());
  for (const parameters of models) {
    const found = await Promise.all(parameters.map(({ grad }) => read(grad!)));
    // 1 and 2 share a block, which is spoilt.
    expect(found.map((values) => values.every(Number.isNaN))).toEqual([
      false,
      true,
      true,
      false,
      false,
      false,
    ]);
    for (const i of [0, 3, 4, 5]) {
      const most = 3 * (1000 * i + 10 * i + 9);
      for (const [k, x] of found[i]!.entries())
        expect(Math.abs(x - 3 * (1000 * i + k))).toBeLessThanOrEqual(most * 2 ** -10); // rounded here, and the sum there
    }
  }
  const bits = await Promise.all(models.map((parameters) => read(parameters[4]!.grad!)));
  expect(bits[0]).toEqual(bits[1]);
});

test.for(["f32", "f16"] as const)(
  "what is waited for begins when the device has done its part, in %s",
  async (wire) => {
    const [world] = fakeWorlds(1);
    const slow = () => new Promise<void>((resolve) => setTimeout(resolve, 20));
    const parameters = model(6, 0);
    const late = { ...world!, sum: slow, reduceScatter: slow, alltoall: slow, allgather: slow };
    const sum = new GradientSum(gpu, late, bucketsOf(parameters, 1, 1040), { shares: false, wire });
    // Halves are summed one bucket after the other: five, each of an alltoall and an allgather.
    const least = wire === "f16" ? 0.15 : 0.015;
    expect((await sum.finish()).seconds).toBeGreaterThan(least);
    sum.close();
  },
);
