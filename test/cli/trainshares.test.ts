/** --shard-optimiser and --allreduce, as typed, on ranks in this process. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { pretrainCommand } from "../../src/cli/pretrain.ts";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { alone, type World } from "../../src/parallel/world.ts";
import { lastCheckpoint } from "../../src/train/resume.ts";
import { fakeWorlds } from "../support/fakeworld.ts";
import { readLog } from "../support/toyrun.ts";
import { writeToySet } from "../support/toyset.ts";

let root: string;
let settings: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-trainshares-"));
  const set = await writeToySet(join(root, "set"));
  settings = join(root, "tiny.yaml");
  writeFileSync(
    settings,
    `data: { sources: [${set}], leads: { min: 6, max: 24, step: 6 } }
model: { patchSize: 4, embedDim: 16, depth: 1, decoderDepth: 1, heads: 2 }
training: { batchSize: 4, maxSteps: 2, validationBatches: 1 }
`,
  );
});
afterAll(() => rmSync(root, { recursive: true }));

/** What rank 0 says, and how each ends. */
async function pretrain(worlds: readonly World[], ...flags: string[]) {
  const said: string[] = [];
  const say = (text: string) => void said.push(text);
  const outcomes = await Promise.allSettled(
    worlds.map((world) =>
      pretrainCommand.run(["--config", settings, ...flags, "--quiet"], {
        print: say,
        info: say,
        warn: say,
        world,
      }),
    ),
  );
  return { said: said.join("\n"), outcomes };
}

test("the plan tells what a rank keeps, and the checkpoint and the log how it was made", async () => {
  const output = join(root, "both");
  const flags = ["--shard-optimiser", "--allreduce", "f16", "-o", output];
  const { said, outcomes } = await pretrain(fakeWorlds(2), ...flags);
  expect(
    outcomes.map(({ status }) => status),
    JSON.stringify(outcomes),
  ).toEqual(["fulfilled", "fulfilled"]);
  const found = /optimiser ([\d.]+) KiB of ([\d.]+) KiB \(1\/2, --shard-optimiser\)/.exec(said)!;
  expect(Number(found[1]) / Number(found[2])).toBeCloseTo(0.5, 1);
  expect(said).toMatch(/, for the ranks' gradients [\d.]+ KiB of the host's \(adapter: /);
  const [, made, planned] = /peak of the adapter's memory: ([\d.]+) KiB \(planned: ([\d.]+) KiB\)/.exec(
    said,
  )!;
  expect(Number(made)).toBeLessThanOrEqual(Number(planned));
  expect(said).not.toContain("note ");
  const { info, ...checkpoint } = await openCheckpoint(lastCheckpoint(output));
  await checkpoint.close();
  expect(info.provenance).toMatchObject({ ranks: 2, shardOptimiser: true, allreduce: "f16" });
  expect(readLog(output)[0]).toMatchObject({ ranks: 2, shard_optimiser: true, allreduce: "f16" });
  expect(parse(readFileSync(join(output, "settings.yaml"), "utf8"))).toMatchObject({
    ...{ shardOptimiser: true, allreduce: "f16" },
  });
});

test("one process has nothing to share, and says so", async () => {
  const output = join(settings, "in-a-file"); // so that it ends before it trains
  const { said, outcomes } = await pretrain([alone], "--shard-optimiser", "-o", output);
  expect(outcomes[0]).toMatchObject({ reason: { message: expect.stringContaining("cannot write to") } });
  expect(said.match(/^note.*$/gm)).toEqual([
    "note        one process: --shard-optimiser and --allreduce are for several ranks, and do nothing",
  ]);
  expect(said).toMatch(/, optimiser [\d.]+ KiB, activations .* samples \(adapter: /);
});

test("an update as soon as a gradient is there does not go with sums over ranks", async () => {
  const output = join(root, "early");
  const { outcomes } = await pretrain(fakeWorlds(2), "--update-early", "--shard-optimiser", "-o", output);
  for (const outcome of outcomes)
    expect(outcome).toMatchObject({
      reason: {
        message:
          "--update-early does not go with 2 ranks (their gradients are added up before the step), --shard-optimiser",
      },
    });
  expect(existsSync(output)).toBe(false);
});
