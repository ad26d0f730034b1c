/** Toy runs of several ranks in one process, which share its device. */
import { join } from "node:path";
import { isOfAllRanks } from "../../src/train/together.ts";
import { type FakeWorld, fakeWorlds } from "./fakeworld.ts";
import { type ToyRunSettings, type Trained, type TrainToyOptions, trainToy } from "./toyrun.ts";

export interface RankOptions extends Omit<TrainToyOptions, "change"> {
  /** Replaces parts of one rank's run. */
  readonly change?: (run: Parameters<NonNullable<TrainToyOptions["change"]>>[0], rank: number) => object;
}

/**
 * Trains on `n` ranks, each of which accumulates the n-th part of what the settings say. What one of them throws by
 * itself ends the others, as `World.fail` does.
 *
 * @returns  what became of each, by rank
 */
export async function settleRanks(
  n: number,
  settings: ToyRunSettings,
  { change, stopAt, ...options }: RankOptions = {},
): Promise<{ worlds: FakeWorld[]; outcomes: PromiseSettledResult<Trained>[] }> {
  const worlds = fakeWorlds(n);
  const accumulate = Number(settings.training?.accumulate ?? 1) / n;
  const outcomes = await Promise.allSettled(
    worlds.map(async (world) => {
      const own = { ...settings, training: { ...settings.training, accumulate } };
      // Only rank 0 may write: a folder of any other rank would show.
      const output = world.rank === 0 ? settings.output : join(settings.output, "not", `rank-${world.rank}`);
      const work = trainToy(
        { ...own, output },
        {
          ...options,
          ...(stopAt !== undefined && world.rank === n - 1 ? { stopAt } : {}),
          change: (run) => ({ ...change?.(run, world.rank), world }),
        },
      );
      return await work.catch((error: unknown) =>
        isOfAllRanks(error) ? Promise.reject(error) : world.fail(error, 1),
      );
    }),
  );
  return { worlds, outcomes };
}

/** As `settleRanks`, all of which come to the end. */
export async function trainRanks(
  n: number,
  settings: ToyRunSettings,
  options?: RankOptions,
): Promise<Trained[]> {
  const { outcomes } = await settleRanks(n, settings, options);
  return outcomes.map((outcome) => {
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  });
}

/** The largest relative difference of two lists of numbers of one length. */
export function farthest(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return Math.max(0, ...a.map((value, i) => Math.abs(value / b[i]! - 1)));
}
