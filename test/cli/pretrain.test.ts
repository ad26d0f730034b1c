/** climax pretrain, as typed: what a run leaves, how it stops and goes on, and what it refuses. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { pretrainCommand } from "../../src/cli/pretrain.ts";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { networkOf } from "../../src/model/network.ts";
import { PretrainConfig } from "../../src/train/pretrain.ts";
import { lastCheckpoint } from "../../src/train/resume.ts";
import { climax, climaxProcess } from "../support/climax.ts";
import { canMount, onSmallDisk } from "../support/disk.ts";
import { leaves } from "../support/flagleaves.ts";
import { readLog } from "../support/toyrun.ts";
import { writeToySet } from "../support/toyset.ts";

let root: string;
let set: string;
let settings: string;
let runs = 0;
const freshFolder = () => join(root, `run-${runs++}`);
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-pretrain-"));
  set = await writeToySet(join(root, "set"));
  settings = join(root, "tiny.yaml");
  writeFileSync(
    settings,
    `data:
  sources: [${set}]
  leads: { min: 6, max: 24, step: 6 }
model:
  patch-size: 4
  embed_dim: 16
  depth: 2
  decoderDepth: 1
  heads: 2
optimiser: { lr: 0.01, warmup: 3 }
training: { batchSize: 4, maxSteps: 4, logEvery: 1, validationBatches: 1 }
`,
  );
});
afterAll(() => rmSync(root, { recursive: true }));

/** Refused with one paragraph and exit code 2; what is in `root` stays as it was. */
async function refusal(...argv: string[]): Promise<string> {
  const before = readdirSync(root, { recursive: true });
  const { code, out, err } = await climax("pretrain", "--quiet", ...argv);
  expect({ code, out, err }).toMatchObject({ code: 2, out: "" });
  expect(err).toMatch(/^error: [^\n]+(\n[^\n]+)*\nhint: {2}[^\n]+\n$/);
  expect(err).not.toContain("    at ");
  expect(readdirSync(root, { recursive: true })).toEqual(before);
  return err;
}

describe("settings", () => {
  test("every field is a flag, in the help", () => {
    const flags = pretrainCommand.flags.map(({ path }) => path.join("."));
    expect(flags.toSorted()).toEqual(leaves(z.toJSONSchema(PretrainConfig, { io: "input" })).toSorted());
    for (const name of ["--data.sources", "--data.leads.max", "--model.drop-path", "--optimiser.end-lr"])
      expect(pretrainCommand.help(120)).toContain(name);
  });

  test.each([
    ["a key that is none", "trainning: { seed: 1 }", ":1:1", /trainning.*training/s],
    ["a nested one", "output: x\ntraining:\n  sede: 1", ":3:3", /sede.*seed/s],
    ["a value of another kind", "output: x\noptimiser:\n  lr: fast", ":3:7", /optimiser.*lr.*number/s],
    ["a value out of bounds", "output: x\nmodel: { dropout: 1.5 }", ":2:19", /dropout/],
    ["no YAML", "output: x\nmodel: [", ":2:", /mend the YAML/],
  ])("%s in the config file is refused with file, line and column", async (_, text, place, words) => {
    const file = join(root, "typo.yaml");
    writeFileSync(file, text);
    const err = await refusal("--config", file, "--data.sources", set);
    expect(err).toContain(`${file}${place}`);
    expect(err).toMatch(words);
  });

  test("flags win over the file, and the run's folder has all settings, which make the same run again", async () => {
    const output = freshFolder();
    const { code, out, err } = await climax(
      ...["pretrain", "--config", settings, "-o", output],
      ...["--training.max-steps", "3", "--optimiser.lr", "0.02", "--model.dropout", "0.2"],
    );
    expect(code, err).toBe(0);
    expect(out).toMatch(
      new RegExp(`^done after 3 steps, validation loss \\d\\.\\d{4}: ${output}/best.safetensors\n$`),
    );
    expect(err).toMatch(/^adapter {5}\S.*, f32$/m);
    expect(err).toMatch(
      /^model {7}climax, 2 variables, patch 4, D 16, depth 2, 2 heads: 0\.0\d M parameters$/m,
    );
    const memory =
      /^memory {6}parameters .*, optimiser .*, activations .*, peak (.*) of micro-batches of 4 samples \(/m;
    expect(err).toMatch(memory);
    expect(err).toContain(`(planned: ${err.match(memory)![1]!})`);
    expect(err).toMatch(/^data {8}\d+ samples to train on, \d+ to validate, SYNTHETIC$/m);
    expect(err).toContain("step 3: validation loss");
    expect(readdirSync(output).toSorted()).toEqual([
      "best.safetensors",
      "last.safetensors",
      "log.jsonl",
      "settings.yaml",
    ]);
    const all = parse(readFileSync(join(output, "settings.yaml"), "utf8"));
    expect(all).toMatchObject({
      data: { sources: [set], leads: { min: 6, max: 24, step: 6 } },
      model: { patchSize: 4, embedDim: 16, dropout: 0.2, dropPath: 0.1 },
      optimiser: { lr: 0.02, warmup: 3, beta2: 0.95 },
      training: { maxSteps: 3, batchSize: 4, seed: 1 },
      precision: "f32",
      recompute: false,
    });
    const checkpoint = await openCheckpoint(lastCheckpoint(output));
    expect(checkpoint.info.provenance).toMatchObject({ stage: "pretrain", seed: 1, step: 3 });
    expect(checkpoint.info.provenance.command).toContain(`climax pretrain --config ${settings}`);
    expect(err).toContain(`adapter     ${checkpoint.info.provenance.adapter as string}`);
    await checkpoint.close();

    const again = freshFolder();
    const second = await climax("pretrain", "-q", "--config", join(output, "settings.yaml"), "-o", again);
    expect(second).toMatchObject({ code: 0, err: "" });
    expect(readLog(again)).toEqual(readLog(output));

    // What is there is not overwritten.
    const taken = await refusal("--config", settings, "-o", output);
    expect(taken).toContain(`${output} holds a run already (last.safetensors)`);
    expect(taken).toContain("go on with --resume");
    rmSync(lastCheckpoint(again));
    const best = await refusal("--config", settings, "-o", again);
    expect(best).toContain("holds a run already (best.safetensors)");
    expect(best).not.toContain("--resume");

    const changed = await refusal("--config", settings, "-o", output, "--resume");
    expect(changed).toContain(`the run in ${output} was started with other settings: `);
    expect(changed).toContain("optimiser.lr was 0.02, is 0.01");
    expect(changed).toContain("model.dropout was 0.2, is 0.1");
  });

  test("a batch in micro-batches, blocks run again: nearly the same losses; a resumed run splits as it did", async () => {
    const [whole, split] = [freshFolder(), freshFolder()];
    const flags = (output: string) => ["pretrain", "-q", "--config", settings, "-o", output];
    expect(await climax(...flags(whole))).toMatchObject({ code: 0 });
    const ways = ["--recompute", "--training.micro-batch", "3"];
    expect(await climax(...flags(split), ...ways)).toMatchObject({ code: 0, err: "" });
    const losses = (output: string) =>
      readLog(output).flatMap(({ event, loss }) => (event === "step" ? [loss as number] : []));
    for (const [i, loss] of losses(whole).entries()) expect(losses(split)[i]! / loss).toBeCloseTo(1, 4);
    // The size is that of the checkpoint, and recomputation changes no number: neither needs to be said again.
    expect(await climax(...flags(split), "--resume")).toMatchObject({ code: 0, err: "" });
    const other = await refusal("--config", settings, "-o", split, "--resume", "--training.micro-batch", "2");
    expect(other).toContain("training.microBatch was 3, is 2");
  });
});

test("parameters are updated as their gradients come unless something is against it, to the same weights", async () => {
  const run = async (...flags: string[]) => {
    const output = freshFolder();
    const all = ["pretrain", "--config", settings, "--training.max-steps", "2", "-o", output, ...flags];
    const { code, err } = await climax(...all);
    expect(code, err).toBe(0);
    const { weights } = JSON.parse((await climax("inspect", lastCheckpoint(output), "--json")).out);
    return { early: err.includes("(large ones updated as their gradients come)"), weights };
  };
  const [auto, kept] = [
    await run("--model.embed-dim", "64"),
    await run("--model.embed-dim", "64", "--no-update-early", "--recompute", "hidden"),
  ];
  expect([auto.early, kept.early]).toEqual([true, false]);
  expect(auto.weights).toEqual(kept.weights);
  for (const flags of [
    ["--optimiser.clip", "1"],
    ["--training.accumulate", "2"],
    ["--training.micro-batch", "2"],
  ]) {
    expect((await run(...flags)).early, flags.join(" ")).toBe(false);
    expect(await refusal("--config", settings, "-o", freshFolder(), "--update-early", ...flags)).toContain(
      `--update-early does not go with ${flags.join(" ")}`,
    );
  }
});

describe("a signal", () => {
  /** With noise and a checkpoint after each of so many steps that the signal comes before the last. */
  const flags = (output: string) => [
    ...["pretrain", "--config", settings, "-o", output, "--model.dropout", "0.2", "--model.drop-path", "0.2"],
    ...["--training.max-steps", "16", "--training.validate-every", "1", "--training.accumulate", "2"],
  ];
  let whole: string;
  beforeAll(async () => {
    whole = freshFolder();
    expect(await climax(...flags(whole), "--quiet")).toMatchObject({ code: 0 });
  });

  test.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
    ["SIGUSR1", 75],
  ] as const)("%s saves a checkpoint, and --resume ends as if it had not come", async (signal, exitCode) => {
    const output = freshFolder();
    // What a job is that is requeued: auto begins where there is nothing, and goes on where there is.
    const resume = signal === "SIGUSR1" ? ["--resume", "auto"] : ["--resume"];
    const { child, done } = climaxProcess(...flags(output), ...(signal === "SIGUSR1" ? resume : []));
    const log = join(output, "log.jsonl");
    while (child.exitCode === null && !(existsSync(log) && readFileSync(log, "utf8").includes('"step":3,')))
      await sleep(10);
    child.kill(signal);
    const { code, err } = await done;
    expect(code, err).toBe(exitCode);
    expect(err).toContain(
      `warning: stopping: the checkpoint is being written to ${lastCheckpoint(output)}; go on with --resume\n`,
    );
    expect(err.trimEnd().endsWith(`interrupted by ${signal}`), err).toBe(true);
    const stopped = readLog(output).at(-1)!;
    expect(stopped.event).toBe("interrupted");
    expect(stopped.step).toBeGreaterThanOrEqual(3);
    expect(stopped.step).toBeLessThan(16);
    expect(readdirSync(output).filter((name) => name.includes("partial"))).toEqual([]);

    expect(await climax(...flags(output), ...resume, "--quiet")).toMatchObject({ code: 0 });
    const breaks = ["interrupted", "resume"];
    const events = (out: string) => readLog(out).filter(({ event }) => !breaks.includes(event as string));
    // The other process drove the same adapter with the same kernels: not a bit may differ.
    expect(events(output)).toEqual(events(whole));
    const [a, b] = [
      await openCheckpoint(lastCheckpoint(output)),
      await openCheckpoint(lastCheckpoint(whole)),
    ];
    for (const name of networkOf(a.info.model).shapes.keys())
      expect(await a.parameter(name), name).toEqual(await b.parameter(name));
    await a.close();
    await b.close();
  });
});

describe("what is refused", () => {
  const tiny = (...argv: string[]) => refusal("--config", settings, ...argv);

  test("a folder that cannot be made", async () => {
    const file = join(root, "file");
    writeFileSync(file, "");
    expect(await tiny("-o", join(file, "run"))).toContain(`cannot write to ${join(file, "run")}: `);
    expect(await tiny("-o", file)).toContain(`cannot write to ${file}: `);
    expect(await tiny("-o", "/proc/climax/run")).toContain("cannot write to /proc/climax/run: ");
  });

  test.each<[string, string[], string]>([
    ["no output", [], "--output is required"],
    ["a set that is not there", ["-o", "x", "--data.sources", "nothing"], "nothing"],
    [
      "heads that do not divide D",
      ["-o", "x", "--model.heads", "3"],
      "3 heads cannot share embedDim 16 evenly",
    ],
    ["a patch that does not fit", ["-o", "x", "--model.patch-size", "3"], "3 does not divide gridShape 8,16"],
    [
      "leads beyond the period",
      ["-o", "x", "--data.leads.min", "2400", "--data.leads.max", "2400"],
      "2400 h apart",
    ],
    ["an adapter that is not there", ["-o", "x", "--adapter", "abacus"], 'no adapter matches "abacus"'],
    ["more memory than is allowed", ["-o", "x", "--memory", "1e-6"], "a micro-batch of 1 sample needs"],
    ["nothing to resume", ["-o", "x", "--resume"], "has no last.safetensors to resume from"],
  ])("%s", async (_, argv, message) => {
    expect(await tiny(...argv.map((word) => (word === "x" ? join(root, "x") : word)))).toContain(message);
  });

  test("a run that diverges, whose log stays", async () => {
    const output = freshFolder();
    const { code, err } = await climax(
      ...["pretrain", "--config", settings, "-o", output, "-q"],
      ...["--optimiser.lr", "1e30", "--optimiser.warmup", "0"],
    );
    expect(code).toBe(2);
    expect(err).toMatch(/^error: at step \d .*: the run has diverged\nhint: {2}lower --optimiser.lr/);
    expect(readdirSync(output).toSorted()).toEqual(["log.jsonl", "settings.yaml"]);
  });

  test.skipIf(!canMount)(
    "a disk without room for a checkpoint, on which nothing is left (skipped without the right to mount)",
    async () => {
      const disk = join(root, "disk");
      mkdirSync(disk);
      await onSmallDisk(disk, 20_480, async () => {
        const { code, err } = await climax("pretrain", "--config", settings, "-o", join(disk, "run"), "-q");
        expect(err).toMatch(
          /^error: cannot write .*best.safetensors: no space left on the device\nhint: {2}free some/,
        );
        expect(code).toBe(2);
        expect(readdirSync(disk)).toEqual([]);
      });
      rmSync(disk, { recursive: true });
    },
  );
});
