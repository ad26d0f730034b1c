/** How a command becomes one of the ranks that train together, and what they settle before the first step. */
import { expect, test } from "vitest";
import type { Context } from "../../src/cli/command.ts";
import { Interrupted } from "../../src/cli/interrupt.ts";
import { describeRanks, inTrainingRanks, planTogether } from "../../src/cli/trainranks.ts";
import { ClimaxError } from "../../src/errors.ts";
import { alone, type World } from "../../src/parallel/world.ts";
import type { MemoryPlan } from "../../src/train/plan.ts";
import { ofAllRanks, StoppedByAnother } from "../../src/train/together.ts";
import { fakeWorlds } from "../support/fakeworld.ts";
import { gpu } from "../support/gpu.ts";

const planOf = (microBatch: number): MemoryPlan => ({
  ...{ microBatch, early: false, parameters: 1, optimiser: 1, optimiserOfAll: 1, activations: 1 },
  ...{ peak: 3, host: 0, largestBuffer: 1, largestBinding: 1, kernels: [] },
});

test("all plan with the smallest micro-batch that fits any of them", async () => {
  const fits = [8, 2, 4];
  const asked: (number | undefined)[][] = [[], [], []];
  const plans = await Promise.all(
    fakeWorlds(3).map((world) =>
      planTogether(world, undefined, (wanted) => {
        asked[world.rank]!.push(wanted);
        return planOf(wanted ?? fits[world.rank]!);
      }),
    ),
  );
  expect(plans.map(({ microBatch }) => microBatch)).toEqual([2, 2, 2]);
  expect(asked).toEqual([[undefined, 2], [undefined], [undefined, 2]]);
  const error = new ClimaxError("device", "nothing fits", "use a smaller model");
  const refused = await Promise.allSettled(
    fakeWorlds(2).map((world) =>
      planTogether(world, undefined, () => {
        if (world.rank === 1) throw error;
        return planOf(8);
      }),
    ),
  );
  for (const outcome of refused)
    expect(outcome).toMatchObject({ reason: { message: "rank 1: nothing fits" } });
});

test("it is said who trains where, and that GPUs are shared", async () => {
  expect(await describeRanks(alone, gpu)).toBeUndefined();
  const hardware = { ...gpu, name: "NVIDIA H200", kind: "hardware" } as const;
  const [first, second] = await Promise.all(fakeWorlds(2).map((world) => describeRanks(world, hardware)));
  expect(first!.ranks).toMatch(/^2: \S+: NVIDIA H200 \(2\)$/);
  expect(first!.note).toBe(
    "2 ranks of a host share one NVIDIA H200: one rank with --training.accumulate 2 is as fast",
  );
  expect(second!.note).toBeUndefined();
  const software = { ...gpu, kind: "software" } as const;
  const [quiet] = await Promise.all(fakeWorlds(2).map((world) => describeRanks(world, software)));
  expect(quiet!.note).toBeUndefined();
});

/** What one of the ranks of a fake run says and throws when its work ends so. */
async function ending(work: (world: World) => Promise<void>) {
  const worlds = fakeWorlds(2);
  const said: string[] = [];
  const outcomes = await Promise.allSettled(
    worlds.map((world) => {
      const say = (text: string) => void said.push(`${world.rank}: ${text}`);
      const context: Context = {
        ...{ print: say, info: say, warn: say, quiet: false, commandLine: "" },
        world,
      };
      return inTrainingRanks(undefined, context, async (own, { print, info, warn }) => {
        for (const speak of [print, info, warn]) speak("hello");
        await work(own);
      });
    }),
  );
  return { worlds, said, outcomes };
}

test("rank 0 alone speaks", async () => {
  const { said, outcomes } = await ending(async () => undefined);
  expect(said).toEqual(["0: hello", "0: hello", "0: hello"]);
  expect(outcomes).toMatchObject([{ value: 0 }, { value: 0 }]);
});

test("what all throw ends them in good order, what one throws ends the others", async () => {
  const all = await ending(async () => {
    throw ofAllRanks(new ClimaxError("data", "it has diverged", "lower --optimiser.lr"));
  });
  expect(all.outcomes).toMatchObject(Array(2).fill({ reason: { message: "it has diverged" } }));
  await Promise.all(all.worlds.map(({ close }) => close())); // nothing is broken
  const one = await ending(async (world) => {
    if (world.rank === 1) throw new Error("a disk is gone");
    await world.gather("");
  });
  expect(one.outcomes).toMatchObject(Array(2).fill({ reason: { message: "a disk is gone" } }));
  await expect(one.worlds[0]!.gather("")).rejects.toThrow("a disk is gone");
});

test("a rank that stops because another was told to ends as that one does", async () => {
  const { outcomes } = await ending(async () => {
    throw ofAllRanks(new StoppedByAnother(75));
  });
  for (const outcome of outcomes) {
    expect((outcome as PromiseRejectedResult).reason).toEqual(new Interrupted("SIGUSR1"));
  }
});
