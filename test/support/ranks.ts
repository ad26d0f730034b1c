/** Toy runs of several ranks in one process, which share its device. */
import { join } from "node:path";
import type { Run } from "../../src/train/loop.ts";
import type { Exchange } from "../../src/train/reduce.ts";
import { isOfAllRanks } from "../../src/train/together.ts";
import { type FakeWorld, fakeWorlds } from "./fakeworld.ts";
import { readLog, type ToyRunSettings, type Trained, type TrainToyOptions, trainToy } from "./toyrun.ts";

export interface RankOptions extends Omit<TrainToyOptions, "change"> {
  /** Replaces parts of one rank's run. */
  readonly change?: (run: Run, rank: number) => object;
  /** Each rank keeps its share of the optimiser's state, of buckets of so many bytes. */
  readonly bucket?: number | undefined;
  readonly allreduce?: Exchange["wire"] | undefined;
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
  { change, stopAt, bucket, allreduce, ...options }: RankOptions = {},
): Promise<{ worlds: FakeWorld[]; outcomes: PromiseSettledResult<Trained>[] }> {
  const worlds = fakeWorlds(n);
  const accumulate = Number(settings.training?.accumulate ?? 1) / n;
  const outcomes = await Promise.allSettled(
    worlds.map(async (world) => {
      const { rank, size } = world;
      const own = {
        ...settings,
        ...{ training: { ...settings.training, accumulate } },
        ...(bucket === undefined ? {} : { learner: { ...settings.learner, share: { rank, size, bucket } } }),
      };
      // Only rank 0 may write: a folder of any other rank would show.
      const output = world.rank === 0 ? settings.output : join(settings.output, "not", `rank-${world.rank}`);
      const work = trainToy(
        { ...own, output },
        {
          ...options,
          ...(stopAt !== undefined && world.rank === n - 1 ? { stopAt } : {}),
          change: (run) => ({ allreduce, ...change?.(run, rank), world }),
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

/** The largest difference of a parameter of two runs, as a part of the largest value of that parameter. */
export function parametersApart(a: Trained, b: Trained): number {
  return Math.max(
    ...[...a.parameters].map(([name, values]) => {
      const others = b.parameters.get(name)!;
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
      return values.reduce((most, value, i) => Math.max(most, Math.abs(value - others[i]!)), 0) / largest;
    }),
  );
}

/** The losses of the validations in a run's log. */
export const validationsOf = (out: string) =>
  readLog(out).flatMap(({ event, loss }) => (event === "validation" ? [loss as number] : []));

/** All that could tell ranks apart: noise, two sources of other variables, micro-batches, clipping, decay, running means. */
export const everythingOf = (sources: readonly string[], output: string): ToyRunSettings => ({
  output,
  sources,
  weights: [1, 2],
  leads: { min: 6, max: 24, step: 6 },
  model: { dropout: 0.1, dropPath: 0.2, depth: 2 },
  optimiser: { weightDecay: 0.1, clip: 0.5 },
  training: {
    ...{ maxSteps: 20, batchSize: 4, microBatch: 3, accumulate: 4, ema: 0.9 },
    ...{ validateEvery: 6, validationBatches: 5 },
  },
});

/** Replaces the truth of the run's batch number `at`, whoever has it, by what `spoil` makes of it. */
export const spoiled =
  (at: number, spoil: (value: number) => number) =>
  ({ train }: Run) => ({
    train: {
      ...train,
      batchAt: async (epoch: number, index: number) => {
        const batch = await train.batchAt(epoch, index);
        return epoch * train.batches + index === at ? { ...batch, y: batch.y.map(spoil) } : batch;
      },
    },
  });
