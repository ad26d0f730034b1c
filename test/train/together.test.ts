/** What ranks agree on. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { alone, type World } from "../../src/parallel/world.ts";
import { byAll, byFirst, isOfAllRanks, StoppedByAnother, Together } from "../../src/train/together.ts";
import { fakeWorlds } from "../support/fakeworld.ts";

const never = new AbortController().signal;

async function outcomes<T>(n: number, part: (world: World) => Promise<T>): Promise<(T | Error)[]> {
  return await Promise.all(
    fakeWorlds(n).map((world) => part(world).catch((error: unknown) => error as Error)),
  );
}

test("a failure of one is everybody's, with its name unless all have it", async () => {
  const refusal = new ClimaxError("data", "set/ is missing", "prepare it");
  const some = await outcomes(3, (world) =>
    byAll(world, () => (world.rank === 0 ? 1 : Promise.reject(refusal))),
  );
  for (const error of some) {
    expect(error).toMatchObject({ kind: "data", message: "rank 1: set/ is missing", hint: "prepare it" });
    expect(isOfAllRanks(error)).toBe(true);
  }
  const all = await outcomes(2, (world) => byAll(world, () => Promise.reject(refusal)));
  for (const error of all) expect(error).toMatchObject({ message: "set/ is missing" });
  const bug = await outcomes(2, (world) =>
    byAll(world, () => {
      if (world.rank === 1) throw new TypeError("x is not a function");
    }),
  );
  expect((bug[0] as Error).message).toBe("rank 1: x is not a function");
  expect((bug[0] as Error).stack).toContain("together.test");
  const refused = await outcomes(2, (world) => byAll(world, () => readFile("/nowhere/at/all")));
  for (const error of refused)
    expect(error).toMatchObject({ code: "ENOENT", path: "/nowhere/at/all", syscall: "open" });
  expect(await outcomes(2, (world) => byAll(world, () => world.rank))).toEqual([0, 1]);
  await expect(byAll(alone, () => Promise.reject(refusal))).rejects.toBe(refusal);
});

test("rank 0 finds out for all", async () => {
  let asked = 0;
  expect(await outcomes(3, (world) => byFirst(world, () => ({ n: ++asked })))).toEqual(
    Array(3).fill({ n: 1 }),
  );
  expect(await outcomes(2, (world) => byFirst(world, () => undefined))).toEqual([undefined, undefined]);
  const failed = await outcomes(2, (world) => byFirst(world, () => Promise.reject(new Error("no file"))));
  for (const error of failed) expect(error).toMatchObject({ message: "no file" });
});

test("losses are added up in the order of ranks, the same for all", async () => {
  const parts = [1e16, 1, -1e16, 1];
  const losses = await outcomes(4, (world) => new Together(world, never).step(3, parts[world.rank]!, 0.5));
  expect(losses).toEqual([1, 1, 1, 1]);
  expect(await new Together(alone, never).step(3, 7, 0.5)).toBe(7);
});

test("steps with other gradients are an error that says who has which", async () => {
  const errors = await outcomes(3, (world) =>
    new Together(world, never).step(8, 1, world.rank === 1 ? 0.25 : 0.5),
  );
  for (const error of errors as ClimaxError[]) {
    expect(error.message).toBe(
      "the ranks have drifted apart: at step 8 they have gradients of other norms: 0.5 on ranks 0, 2; 0.25 on rank 1",
    );
  }
  // A norm that is no number is one on all: that is told by the loss.
  expect(await outcomes(2, (world) => new Together(world, never).step(8, Number.NaN, Number.NaN))).toEqual([
    Number.NaN,
    Number.NaN,
  ]);
});

test("one is to stop, so all do, with the code of the strongest reason", async () => {
  const reasons = [
    undefined,
    Object.assign(new Error("SIGUSR1"), { exitCode: 75 }),
    Object.assign(new Error("SIGTERM"), { exitCode: 143 }),
  ];
  const found = await outcomes(3, async (world) => {
    const controller = new AbortController();
    const together = new Together(world, controller.signal);
    expect(await together.ask()).toBe(false);
    if (reasons[world.rank]) controller.abort(reasons[world.rank]);
    expect(together.stopping).toBe(false); // not before the others know
    expect(await together.ask()).toBe(true);
    together.throwIfStopping();
    throw new Error("not thrown");
  });
  expect(found[2]).toBe(reasons[2]);
  for (const error of found.slice(0, 2)) {
    expect(error).toBeInstanceOf(StoppedByAnother);
    expect(error).toMatchObject({ exitCode: 143 });
    expect(isOfAllRanks(error)).toBe(true);
  }
});
