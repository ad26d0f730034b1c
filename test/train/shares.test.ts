/** Ranks that keep a share of the optimiser's state (ZeRO stage 1), or send halves, make the run of those that do not. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ClimaxError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { lastCheckpoint } from "../../src/train/resume.ts";
import { farthest, type RankOptions, settleRanks, spoiled, trainRanks } from "../support/ranks.ts";
import { firstDifference, type ToyRunSettings, type Trained, trainToy } from "../support/toyrun.ts";
import { writeToySet } from "../support/toyset.ts";

let root: string;
let set: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-shares-"));
  set = await writeToySet(join(root, "set"));
});
afterAll(() => rmSync(root, { recursive: true }));

let runs = 0;
const freshFolder = () => join(root, `run-${runs++}`);

/** Shares of buckets of so many bytes, of which the toy model has several. */
const shared = { bucket: 16_384 };

/**
 * Of the losses, where gradients are halves on the wire: each number is off by up to 2^-11 (5e-4) of itself,
 * twice, but the errors of many have no direction in common. They come to 1e-6 here, also in 20 steps; another sample, lead or mask shows
 * as 1e-3 or more.
 */
const HALVES = 5e-5;

const plain = (output: string): ToyRunSettings => ({
  output,
  sources: [set],
  training: { maxSteps: 6, batchSize: 4, accumulate: 3, validateEvery: 3, validationBatches: 3 },
});

async function momentsIn(output: string): Promise<Float32Array[]> {
  const { info: _, moments, ...checkpoint } = await openCheckpoint(lastCheckpoint(output));
  const names = ["token_embeds.0.proj.weight", "blocks.0.mlp.fc1.weight", "head.2.bias"];
  const found = names.flatMap((name) => [moments!.expAvg(name), moments!.expAvgSq(name)]);
  return await Promise.all(found).finally(() => checkpoint.close());
}

describe("three ranks", () => {
  let expected: Trained;
  let whole: ToyRunSettings;
  beforeAll(async () => {
    whole = plain(freshFolder());
    [expected] = (await trainRanks(3, whole)) as [Trained];
  });

  // Without clipping nothing depends on how the norm is added up.
  test("shares change no bit, of the moments in the checkpoint neither, and one process takes them up", async () => {
    const parted = plain(freshFolder());
    const found = await trainRanks(3, parted, shared);
    for (const rank of found) {
      expect(firstDifference(rank, expected)).toBeUndefined();
      expect(rank.losses).toEqual(expected.losses);
    }
    const [before, after] = [await momentsIn(whole.output), await momentsIn(parted.output)];
    expect(before.every((values) => values.some((value) => value !== 0))).toBe(true);
    expect(after).toEqual(before);
    expect(await trainToy(parted, { resume: true })).toMatchObject({ result: { steps: 6 }, losses: [] });
  });

  test.for<RankOptions>([{ allreduce: "f16" }, { ...shared, allreduce: "f16" }])(
    "halves on the wire, %o: as near as they are, and the same on all ranks in every bit",
    async (options) => {
      const found = await trainRanks(3, plain(freshFolder()), options);
      for (const rank of found) {
        expect(farthest(rank.losses, expected.losses)).toBeLessThan(HALVES);
        expect(firstDifference(rank, found[0]!)).toBeUndefined();
      }
      expect(found[0]!.losses).not.toEqual(expected.losses); // they did travel as halves
    },
  );
});

describe("when one rank goes wrong, all end", () => {
  const reasons = (outcomes: readonly PromiseSettledResult<Trained>[]) =>
    outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason as ClimaxError);

  test.for<RankOptions>([shared, { allreduce: "f16" }, { ...shared, allreduce: "f16" }])(
    "a loss that is no number, %o",
    async (options) => {
      const settings = plain(freshFolder());
      const change = spoiled(13, () => Number.NaN);
      const { outcomes } = await settleRanks(3, settings, { ...options, change });
      for (const { message } of reasons(outcomes)) {
        expect(message).toBe("at step 5 the loss is NaN and the gradient's norm NaN: the run has diverged");
      }
      const last = await openCheckpoint(lastCheckpoint(settings.output));
      expect(last.training).toMatchObject({ step: 3 });
      await last.close();
    },
  );

  test("rank 0 cannot write what it asks all for", async () => {
    const settings = plain(freshFolder());
    mkdirSync(join(lastCheckpoint(settings.output), "in the way"), { recursive: true });
    const { outcomes } = await settleRanks(3, settings, shared);
    for (const { message } of reasons(outcomes))
      expect(message).toContain(`cannot write ${lastCheckpoint(settings.output)}`);
  });

  test("ranks that do not alike", async () => {
    const { outcomes } = await settleRanks(3, plain(freshFolder()), {
      change: (_, rank) => (rank === 2 ? { allreduce: "f16" } : {}),
    });
    for (const { message } of reasons(outcomes))
      expect(message).toBe('rank 2 has other settings than rank 0: allreduce was "f32", is "f16"');
  });
});
