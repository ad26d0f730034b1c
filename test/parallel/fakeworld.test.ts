import { expect, test } from "vitest";
import { fakeWorlds } from "../support/fakeworld.ts";

const inTurn = <T>(n: number, part: (world: ReturnType<typeof fakeWorlds>[number]) => Promise<T>) =>
  Promise.all(fakeWorlds(n).map(part));

test("a sum is rank 0 + 1 + ... in the precision of the numbers, the same bits for all", async () => {
  const parts = [1e8, 1, -1e8, 1]; // in float32: 1e8 + 1 is 1e8
  const sums = await inTurn(4, async (world) => {
    const single = Float32Array.of(parts[world.rank]!, world.rank);
    const double = Float64Array.of(parts[world.rank]!);
    await Promise.all([world.sum(single), world.sum(double)]);
    return [...single, ...double];
  });
  expect(sums).toEqual(Array(4).fill([1, 6, 2]));
});

test("max, broadcast and gather; calls meet in order however late a rank comes", async () => {
  const results = await inTurn(3, async (world) => {
    await new Promise((resolve) => setTimeout(resolve, 5 * ((world.rank * 2) % 3)));
    const largest = Float64Array.of(world.rank, 5 - world.rank);
    const told = Uint8Array.of(world.rank + 7, 9);
    const first = world.max(largest);
    const second = world.broadcast(told);
    const texts = await world.gather("x".repeat(world.rank));
    await Promise.all([first, second, world.close()]);
    return { largest: [...largest], told: [...told], texts, closed: world.closed };
  });
  expect(results).toEqual(
    Array(3).fill({ largest: [2, 5], told: [7, 9], texts: ["", "x", "xx"], closed: true }),
  );
});

test("ranks know who they are and keep what they called", async () => {
  const [first, second] = fakeWorlds(2);
  await Promise.all([first!.sum(new Float32Array(12)), second!.sum(new Float32Array(12))]);
  second!.keptCheckpoint("runs/last.safetensors");
  expect(first).toMatchObject({ rank: 0, size: 2, localRank: 0, localSize: 2, kept: [] });
  expect(second).toMatchObject({ name: "rank 1 of 2 on fakehost", kept: ["runs/last.safetensors"] });
  expect(second!.calls).toEqual(["sum of 12 Float32Array"]);
});

test.for([
  ["length", (rank: number) => new Float32Array(rank + 1), "1 Float32Array", "2 Float32Array"],
  [
    "type",
    (rank: number) => (rank ? new Float64Array(1) : new Float32Array(1)),
    "1 Float32Array",
    "1 Float64Array",
  ],
] as const)("calls that differ in %s throw on all with both names", async ([, values, one, other]) => {
  const worlds = fakeWorlds(2);
  const outcomes = await Promise.allSettled(worlds.map((world) => world.sum(values(world.rank))));
  const message =
    "ranks out of step at call 0: " +
    `rank 0 of 2 on fakehost calls sum of ${one}, rank 1 of 2 on fakehost calls sum of ${other}`;
  for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { message } });
});

test("calls of another kind throw on all, also the ranks that come later", async () => {
  const [a, b, c] = fakeWorlds(3);
  const early = [a!.gather("x"), b!.max(new Float64Array(1))];
  const message = /rank 0 of 3 on fakehost calls gather, rank 1 of 3 on fakehost calls max of 1 Float64Array/;
  for (const promise of early) await expect(promise).rejects.toThrow(message);
  await expect(c!.gather("x")).rejects.toThrow(message);
});

test("values that change while a call has them are a fault", async () => {
  const [a, b] = fakeWorlds(2);
  const values = Float32Array.of(1, 2);
  const early = a!.sum(values);
  values[1] = 3;
  const late = b!.sum(new Float32Array(2));
  for (const promise of [early, late])
    await expect(promise).rejects.toThrow("rank 0 of 2 on fakehost changed its values during");
});

test("fail throws its error at home, and in the calls of the others", async () => {
  const [a, b, c] = fakeWorlds(3);
  const waiting = a!.sum(new Float32Array(1));
  const error = new Error("no space left");
  await expect(b!.fail(error, 75)).rejects.toBe(error);
  await expect(waiting).rejects.toBe(error);
  await expect(c!.close()).rejects.toBe(error);
  expect(c!.closed).toBe(false);
});
