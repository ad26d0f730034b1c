/** Data-parallel training: N ranks make the run of one rank that accumulates N times as many batches. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Gpu } from "../../src/engine/device.ts";
import { ClimaxError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import type { Run } from "../../src/train/loop.ts";
import { bestCheckpoint, lastCheckpoint } from "../../src/train/resume.ts";
import { StoppedByAnother } from "../../src/train/together.ts";
import { gpu } from "../support/gpu.ts";
import {
  everythingOf,
  farthest,
  parametersApart,
  type RankOptions,
  settleRanks,
  spoiled,
  trainRanks,
  validationsOf,
} from "../support/ranks.ts";
import { firstDifference, readLog, type ToyRunSettings, type Trained, trainToy } from "../support/toyrun.ts";
import { writeToySet } from "../support/toyset.ts";

let root: string;
let set: string;
let windy: string;
let unvalidated: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-parallel-"));
  set = await writeToySet(join(root, "set"));
  windy = await writeToySet(join(root, "windy"), {
    names: ["orography", "2m_temperature", "geopotential_500"],
  });
  unvalidated = await writeToySet(join(root, "unvalidated"), { splits: { train: "2001-01" } });
});
afterAll(() => rmSync(root, { recursive: true }));

let runs = 0;
const freshFolder = () => join(root, `run-${runs++}`);

const everything = (output: string): ToyRunSettings => everythingOf([set, windy], output);

// The sums of ranks are made in another order than those of one: they differ in the last bit of f32 (6e-8), which
// AdamW enlarges where a gradient is small. 20 steps reach 3e-7. Another sample, lead or mask shows as 1e-3 or more.
const ALIKE = 1e-5;

/** Each rank keeps a share of the optimiser's state, of buckets of so many bytes: the toy model has several. */
const shared = { bucket: 16_384 };

describe("the run of one rank", () => {
  let one: Trained;
  let oneFolder: string;
  beforeAll(async () => {
    oneFolder = freshFolder();
    one = await trainToy(everything(oneFolder));
  });

  test.for<[number, RankOptions]>([
    [2, {}],
    [4, {}],
    [4, shared],
  ])("is that of %i with their part of its batches, %o", async ([n, options]) => {
    const output = freshFolder();
    const ranks = await trainRanks(n, everything(output), options);
    for (const rank of ranks) {
      expect(rank.losses).toHaveLength(20);
      expect(farthest(rank.losses, one.losses)).toBeLessThan(ALIKE);
      expect(parametersApart(rank, one)).toBeLessThan(1e-3);
      expect(firstDifference(rank, ranks[0]!)).toBeUndefined();
      expect(rank.losses).toEqual(ranks[0]!.losses);
      expect(rank.result).toEqual(ranks[0]!.result);
    }
    expect(farthest(validationsOf(output), validationsOf(oneFolder))).toBeLessThan(ALIKE);
    const entries = (out: string) => readLog(out).map(({ event, step, epoch }) => [event, step, epoch]);
    expect(entries(output)).toEqual(entries(oneFolder));
    const shards = options.bucket !== undefined;
    expect(readLog(output)[0]).toMatchObject({ event: "start", ranks: n, shard_optimiser: shards });
    // The others have written nothing at all.
    expect(readdirSync(output).toSorted()).toEqual(["best.safetensors", "last.safetensors", "log.jsonl"]);
  });

  test("goes on with another number of ranks, with shares of the optimiser's state and without", async () => {
    const output = freshFolder();
    const before = await settleRanks(4, everything(output), { stopAt: 7 });
    expect(before.outcomes.map(({ status }) => status)).toEqual([
      "rejected",
      "rejected",
      "rejected",
      "fulfilled",
    ]);
    const between = await settleRanks(2, everything(output), { ...shared, resume: true, stopAt: 13 });
    const stopped = readLog(output).filter(({ event }) => event === "interrupted");
    expect(stopped.map(({ step }) => step as number).every((step) => step > 6 && step < 20)).toBe(true);
    expect(stopped).toHaveLength(2);
    const after = await trainToy(everything(output), { resume: true });
    const parts = [before.outcomes[3], between.outcomes[1]].map(
      (outcome) => (outcome as PromiseFulfilledResult<Trained>).value.losses,
    );
    expect(farthest([...parts.flat(), ...after.losses], one.losses)).toBeLessThan(ALIKE);
    expect(parametersApart(after, one)).toBeLessThan(1e-3);
    expect(farthest(validationsOf(output), validationsOf(oneFolder))).toBeLessThan(ALIKE);
  });

  test("other batches a step in all are refused, and it says how they are counted", async () => {
    const { outcomes } = await settleRanks(
      2,
      { ...everything(oneFolder), training: { ...everything(oneFolder).training, accumulate: 2 } },
      { resume: true },
    );
    for (const outcome of outcomes) {
      const { message } = (outcome as PromiseRejectedResult).reason as ClimaxError;
      expect(message).toBe(
        `the run in ${oneFolder} was started with other settings: training.accumulate was 4, is 2 ` +
          "(training.accumulate is that of all 2 ranks together)",
      );
    }
  });
});

test("stopped and resumed with as many ranks, it is the unbroken run in every bit", async () => {
  const [whole, broken] = [freshFolder(), freshFolder()];
  const expected = await trainRanks(2, everything(whole));
  await settleRanks(2, everything(broken), { stopAt: 8 });
  const rest = await trainRanks(2, everything(broken), { resume: true });
  expect(firstDifference(rest[0]!, expected[0]!)).toBeUndefined();
  expect(expected[0]!.losses.slice(-rest[0]!.losses.length)).toEqual(rest[0]!.losses);
  expect(validationsOf(broken)).toEqual(validationsOf(whole));
});

const plain = (output: string): ToyRunSettings => ({
  output,
  sources: [set],
  training: { maxSteps: 6, batchSize: 4, accumulate: 2, validateEvery: 3, validationBatches: 3 },
});

test("the validation of one model is the same number on any number of ranks", async () => {
  const still = (): ToyRunSettings => ({
    ...plain(freshFolder()),
    sources: [set, windy],
    optimiser: { lr: 1e-30, warmup: 0, endLr: 0 },
    training: { maxSteps: 1, batchSize: 3, accumulate: 4 },
  });
  const [a, b, c] = [still(), still(), still()];
  await trainToy(a);
  await trainRanks(2, b);
  await trainRanks(4, c);
  const [expected] = validationsOf(a.output);
  for (const { output } of [b, c]) {
    // Sums in f64 in another order.
    expect(Math.abs(validationsOf(output)[0]! / expected! - 1)).toBeLessThan(1e-12);
    const [found, wanted] = [output, a.output].map(
      (out) => readLog(out).find(({ event }) => event === "validation")!.losses as Record<string, number>,
    );
    expect(Object.keys(found!)).toEqual(Object.keys(wanted!));
    expect(farthest(Object.values(found!), Object.values(wanted!))).toBeLessThan(1e-12);
  }
});

test("parts that are frozen stay, and recomputing changes nothing", async () => {
  const frozen = new Set(["head.0.weight", "blocks.0.mlp.fc1.weight", "pos_embed"]);
  const settings = (): ToyRunSettings => ({ ...plain(freshFolder()), learner: { frozen } });
  const one = await trainToy(settings());
  const two = await trainRanks(2, settings());
  const again = await trainRanks(2, { ...settings(), recompute: true });
  expect(farthest(two[0]!.losses, one.losses)).toBeLessThan(ALIKE);
  expect(parametersApart(two[1]!, one)).toBeLessThan(1e-3);
  expect(firstDifference(again[0]!, two[0]!)).toBeUndefined();
  for (const name of frozen) expect(two[1]!.parameters.get(name)).toEqual(one.parameters.get(name));
});

test("all stop early at the same step", async () => {
  const settings: ToyRunSettings = {
    ...plain(freshFolder()),
    optimiser: { lr: 1e-30, warmup: 0, endLr: 0 }, // nothing changes, so nothing gets better
    training: { maxSteps: 30, accumulate: 2, validateEvery: 3, patience: 2, validationBatches: 1 },
  };
  const ranks = await trainRanks(2, settings);
  for (const { result } of ranks) expect(result).toMatchObject({ steps: 9, stoppedEarly: true });
});

test.skipIf(!gpu.half)(
  "in f16 a step that one rank's gradient overflows is skipped by all (skipped without shader-f16)",
  async () => {
    const device: Gpu = { ...gpu, precision: "f16" };
    const settings = (): ToyRunSettings => ({ ...plain(freshFolder()), device });
    const change = spoiled(5, (value) => 1e12 * value); // of step 3; its loss is still a number
    const a = settings();
    const one = await trainToy(a, { change });
    for (const options of [{}, { ...shared, allreduce: "f16" }] as const) {
      const b = settings();
      const two = await trainRanks(2, b, { ...options, change });
      const steps = (out: string) => readLog(out).filter(({ event }) => event === "step");
      expect(steps(b.output).map(({ skipped }) => skipped)).toEqual([
        false,
        false,
        true,
        false,
        false,
        false,
      ]);
      expect(steps(b.output).map(({ loss_scale }) => loss_scale)).toEqual(
        steps(a.output).map(({ loss_scale }) => loss_scale),
      );
      // Operands are rounded to f16 (5e-4), so that the last bit of a sum may show as one of f16.
      expect(farthest(two[0]!.losses, one.losses)).toBeLessThan(1e-4);
      expect(firstDifference(two[0]!, two[1]!)).toBeUndefined();
    }
  },
);

describe("when one rank goes wrong, all end", () => {
  const reasons = (outcomes: readonly PromiseSettledResult<Trained>[]) =>
    outcomes.map((outcome) => (outcome.status === "rejected" ? (outcome.reason as unknown) : outcome.value));

  test("told to stop: after the same step, with a checkpoint, for the same reason", async () => {
    const { output, ...rest } = plain(freshFolder());
    const stop = new AbortController();
    const { worlds, outcomes } = await settleRanks(
      2,
      { output, ...rest },
      {
        change: ({ onStep: _ }, rank) =>
          rank === 1
            ? {
                signal: stop.signal,
                onStep: ({ step }: { step: number }) =>
                  step === 2 && stop.abort(Object.assign(new Error("SIGTERM"), { exitCode: 143 })),
              }
            : {},
      },
    );
    const [first, second] = reasons(outcomes) as [StoppedByAnother, Error];
    expect(first).toBeInstanceOf(StoppedByAnother);
    expect(first.exitCode).toBe(143);
    expect(second).toBe(stop.signal.reason);
    const last = await openCheckpoint(lastCheckpoint(output));
    const { step } = last.training as { step: number };
    await last.close();
    expect(step).toBeLessThan(6);
    expect(readLog(output).at(-1)).toMatchObject({ event: "interrupted", step });
    for (const { kept } of worlds) expect(kept.length).toBeGreaterThan(0);
    const resumed = await trainRanks(2, { output, ...rest }, { resume: true });
    expect(resumed[0]!.result).toMatchObject({ steps: 6 });
  });

  test("a loss that is no number: with the words of one rank's run", async () => {
    const settings = plain(freshFolder());
    const { outcomes } = await settleRanks(2, settings, { change: spoiled(9, () => Number.NaN) });
    for (const reason of reasons(outcomes) as ClimaxError[]) {
      expect(reason.message).toBe(
        "at step 5 the loss is NaN and the gradient's norm NaN: the run has diverged",
      );
    }
    const last = await openCheckpoint(lastCheckpoint(settings.output));
    expect(last.training).toMatchObject({ step: 3 });
    await last.close();
  });

  test("rank 0 cannot write: what it kept before stays", async () => {
    const settings = { ...plain(freshFolder()), sources: [unvalidated] };
    mkdirSync(join(bestCheckpoint(settings.output), "in the way"), { recursive: true });
    const { worlds, outcomes } = await settleRanks(2, settings);
    const [first, second] = reasons(outcomes) as ClimaxError[];
    expect(first).toBeInstanceOf(ClimaxError);
    expect(first!.message).toContain(`cannot write ${bestCheckpoint(settings.output)}`);
    expect(second!.message).toBe(first!.message);
    expect(second!.hint).toBe(first!.hint);
    const last = await openCheckpoint(lastCheckpoint(settings.output));
    expect(last.training).toMatchObject({ step: 6 });
    await last.close();
    for (const { kept } of worlds) expect(kept.at(-1)).toContain("last.safetensors");
  });

  test("data that one cannot read", async () => {
    const { outcomes } = await settleRanks(2, plain(freshFolder()), {
      change: ({ train }, rank) => ({
        train: {
          ...train,
          batchAt: (epoch: number, index: number) =>
            rank === 1 && index > 4
              ? Promise.reject(new ClimaxError("data", "2001.npy is cut off", "copy it again"))
              : train.batchAt(epoch, index),
        },
      }),
    });
    for (const reason of reasons(outcomes) as ClimaxError[])
      expect(reason.message).toBe("2001.npy is cut off");
  });

  test("a model of its own: nothing is saved", async () => {
    const settings = plain(freshFolder());
    const { outcomes } = await settleRanks(2, settings, {
      change: ({ learner }, rank) => {
        if (rank === 1)
          void learner.load((name) =>
            new Float32Array(learner.network.shapes.get(name)!.reduce((a, b) => a * b, 1)).fill(0.01),
          );
        return {};
      },
    });
    for (const reason of reasons(outcomes) as ClimaxError[]) {
      expect(reason.message).toMatch(
        /^the ranks have drifted apart: after step 3 they have other weights: [0-9a-f]{64} on rank 0; [0-9a-f]{64} on rank 1$/,
      );
      expect(reason.hint).toContain("adapters and drivers of one kind");
    }
    expect(readdirSync(settings.output)).toEqual(["log.jsonl"]);
  });

  test("other settings: before the first step", async () => {
    const { outcomes } = await settleRanks(2, plain(freshFolder()), {
      change: ({ training }, rank) => (rank === 1 ? { training: { ...training, seed: 5 } } : {}),
    });
    for (const reason of reasons(outcomes) as ClimaxError[]) {
      expect(reason.message).toBe("rank 1 has other settings than rank 0: training.seed was 1, is 5");
    }
  });

  // They would meet at another step, or for another call: some MPIs wait for ever, others end the run with words of their own.
  test.for<[string, (run: Run) => object]>([
    [
      "training.validateEvery was 3, is 2",
      ({ training }) => ({ training: { ...training, validateEvery: 2 } }),
    ],
    [
      "training.validationBatches was 3, is 9",
      ({ training }) => ({ training: { ...training, validationBatches: 9 } }),
    ],
    ["training.patience was null, is 1", ({ training }) => ({ training: { ...training, patience: 1 } })],
    ["validation.batches was 5, is 0", () => ({ validation: undefined })],
  ])("what they meet for: %s", async ([said, other]) => {
    const { outcomes } = await settleRanks(2, plain(freshFolder()), {
      change: (run, rank) => (rank === 1 ? other(run) : {}),
    });
    for (const reason of reasons(outcomes) as ClimaxError[])
      expect(reason.message).toBe(`rank 1 has other settings than rank 0: ${said}`);
  });
});
