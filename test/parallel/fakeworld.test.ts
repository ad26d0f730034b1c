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

test("shares: sums of one's own, everybody's for all, and one for each", async () => {
  const results = await inTurn(3, async (world) => {
    const { rank } = world;
    const sums = Float32Array.from({ length: 6 }, (_, i) => i + 10 * rank);
    const floats = new Float32Array(3).fill(-1);
    floats[rank] = rank / 2;
    const bytes = Uint8Array.of(7, 7, 7, 7, 7, 7);
    bytes.set([2 * rank, 2 * rank + 1], 2 * rank);
    const from = Uint8Array.from({ length: 3 }, (_, to) => 10 * rank + to);
    const into = new Uint8Array(3);
    await Promise.all([
      ...[world.reduceScatter(sums), world.allgather(floats), world.allgather(bytes)],
      world.alltoall(from, into),
    ]);
    const own = sums.slice(2 * rank, 2 * rank + 2);
    const others = sums.filter((_, i) => Math.floor(i / 2) !== rank);
    expect(others.every(Number.isNaN)).toBe(true); // nobody may count on them
    expect([...from]).toEqual([10 * rank, 10 * rank + 1, 10 * rank + 2]);
    return { own: [...own], floats: [...floats], bytes: [...bytes], into: [...into] };
  });
  const same = { floats: [0, 0.5, 1], bytes: [0, 1, 2, 3, 4, 5] };
  expect(results).toEqual([
    { ...same, own: [30, 33], into: [0, 10, 20] },
    { ...same, own: [36, 39], into: [1, 11, 21] },
    { ...same, own: [42, 45], into: [2, 12, 22] },
  ]);
});

test("what cannot be shared out equally is refused at once, and breaks nothing", async () => {
  const worlds = fakeWorlds(2);
  const [world] = worlds;
  await expect(world!.reduceScatter(new Float32Array(3))).rejects.toThrow("3 Float32Array among 2 ranks");
  await expect(world!.allgather(new Uint8Array(1))).rejects.toThrow("1 Uint8Array among 2 ranks");
  await expect(world!.alltoall(new Uint8Array(5), new Uint8Array(5))).rejects.toThrow("5 Uint8Array among");
  await expect(world!.alltoall(new Uint8Array(4), new Uint8Array(2))).rejects.toThrow("4 bytes into 2");
  expect(world!.calls).toEqual([]);
  await Promise.all(worlds.map((one) => one.allgather(new Uint8Array(4))));
});

test("what an alltoall sends may not change while it is under way", async () => {
  const [a, b] = fakeWorlds(2);
  const from = new Uint8Array(2);
  const early = a!.alltoall(from, new Uint8Array(2));
  from[0] = 1;
  const late = b!.alltoall(new Uint8Array(2), new Uint8Array(2));
  for (const promise of [early, late])
    await expect(promise).rejects.toThrow("changed its values during its alltoall of 2 Uint8Array");
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
