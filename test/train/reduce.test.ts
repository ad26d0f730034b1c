/** Gradients summed in buckets, while the backward pass still runs. */
import { expect, test, vi } from "vitest";
import { makeArena } from "../../src/engine/arena.ts";
import { read, type Tensor, write } from "../../src/engine/tensor.ts";
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
  // From the last: 60 elements, 50, 40 fill buckets of 200 bytes alone; 30 and 20 share one, and 10 is left.
  const sums = worlds.map((world, r) => new GradientSum(gpu, world, models[r]!, 160));
  expect(sums[0]!.messages).toBe(5);
  const [one, two] = sums as [GradientSum, GradientSum];
  one.complete(models[0]![4]!); // not its turn: the one before is not complete
  two.complete(models[1]![5]!);
  await settled(worlds[1]!, 1);
  expect(worlds[0]!.calls).toEqual([]);
  one.complete(models[0]![5]!);
  await settled(worlds[0]!, 2);
  expect(worlds[0]!.calls).toEqual(["sum of 60 Float32Array", "sum of 50 Float32Array"]);
  const seconds = await Promise.all(sums.map((sum) => sum.finish()));
  expect(worlds[0]!.calls).toEqual(worlds[1]!.calls);
  for (const s of seconds) expect(s).toBeGreaterThanOrEqual(0);
  for (const parameters of models) await expectSums(parameters, 2);
  for (const sum of sums) sum.close();
});

test("step after step, whatever took part, neighbours in one piece", async () => {
  const worlds = fakeWorlds(3);
  const models = worlds.map(({ rank }) => model(7, rank));
  const sums = worlds.map((world, r) => new GradientSum(gpu, world, models[r]!));
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

test("what the other ranks throw is thrown when the sums are waited for", async () => {
  const [a, b] = fakeWorlds(2);
  const parameters = model(2, 0);
  const sum = new GradientSum(gpu, a!, parameters);
  for (const parameter of parameters) sum.complete(parameter);
  await settled(a!, 1);
  await expect(b!.fail(new Error("rank 1 is lost"), 1)).rejects.toThrow();
  await expect(sum.finish()).rejects.toThrow("rank 1 is lost");
});
