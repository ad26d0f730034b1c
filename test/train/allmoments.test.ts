/** Moments that are shared out, put together for who writes them, whatever goes wrong meanwhile. */
import { expect, test } from "vitest";
import type { Moments } from "../../src/model/checkpoint.ts";
import type { World } from "../../src/parallel/world.ts";
import { withAllMoments } from "../../src/train/allmoments.ts";
import type { Learner } from "../../src/train/learner.ts";
import { byAll } from "../../src/train/together.ts";
import { fakeWorlds } from "../support/fakeworld.ts";

/** Of "a" and "b", which is frozen; rank r has element r of each of its two moments. */
function learnerOf({ rank, size }: World, broken?: string): Learner {
  const own = (factor: number) => (name: string) => {
    if (name === broken) throw new Error(`${name} is lost`);
    return Float32Array.from({ length: size }, (_, i) => (name === "a" && i === rank ? factor * (i + 1) : 0));
  };
  const learner: Partial<Learner> = {
    share: { buckets: [], rank, size },
    names: ["a", "b"],
    network: { shapes: new Map(["a", "b"].map((name) => [name, [size]])) } as unknown as Learner["network"],
    trains: (name) => name === "a",
    moments: { expAvg: own(1), expAvgSq: own(10) },
  };
  return learner as Learner;
}

const settle = (worlds: readonly World[], write: (moments: Moments) => Promise<void>, broken?: number) =>
  Promise.allSettled(
    worlds.map((world) =>
      byAll(world, () => withAllMoments(world, learnerOf(world, world.rank === broken ? "a" : ""), write)),
    ),
  );

test("rank 0 gets what it asks for, whole, in any order", async () => {
  const worlds = fakeWorlds(3);
  const found: Float32Array[] = [];
  const outcomes = await settle(worlds, async ({ expAvg, expAvgSq }) => {
    found.push(await expAvgSq("a"), await expAvg("b"), await expAvg("a"), await expAvg("a"));
  });
  expect(outcomes.map(({ status }) => status)).toEqual(Array(3).fill("fulfilled"));
  expect(found.map((values) => [...values])).toEqual([
    [10, 20, 30],
    [0, 0, 0],
    [1, 2, 3],
    [1, 2, 3],
  ]);
  // What is not trained is zero everywhere: nobody is asked.
  expect(worlds[1]!.calls.filter((call) => call.startsWith("sum"))).toHaveLength(3);
});

test.for([0, 1])("when it fails after %i moments, the others are let go", async (asked) => {
  const outcomes = await settle(fakeWorlds(3), async ({ expAvg }) => {
    for (let i = 0; i < asked; i++) await expAvg("a");
    throw new Error("the disk is full");
  });
  for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { message: "the disk is full" } });
});

test.for([0, 2])("when rank %i cannot read its own, all hear of it, and it is over", async (broken) => {
  const worlds = fakeWorlds(3);
  let wrote = false;
  const outcomes = await settle(
    worlds,
    async ({ expAvg }) => {
      await expAvg("b");
      await expAvg("a");
      wrote = true;
    },
    broken,
  );
  for (const outcome of outcomes)
    expect(outcome).toMatchObject({ reason: { message: expect.stringMatching(/a is lost$/) } });
  expect(wrote).toBe(false);
  expect(new Set(worlds.map(({ calls }) => calls.join())).size).toBe(1);
});
