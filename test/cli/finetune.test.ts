/** climax finetune, as typed. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { finetuneCommand } from "../../src/cli/finetune.ts";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { FinetuneConfig } from "../../src/train/finetune.ts";
import { bestCheckpoint, lastCheckpoint } from "../../src/train/resume.ts";
import { climax } from "../support/climax.ts";
import { leaves } from "../support/flagleaves.ts";
import { writeToyCheckpoint } from "../support/toycheckpoint.ts";
import { readLog } from "../support/toyrun.ts";
import { toyNames, writeToySet } from "../support/toyset.ts";

let root: string;
let set: string;
let windy: string;
let checkpoint: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-finetune-"));
  set = await writeToySet(join(root, "set"), { names: ["orography", ...toyNames] });
  windy = await writeToySet(join(root, "windy"), { names: [...toyNames, "u_component_of_wind_850"] });
  checkpoint = join(root, "pretrained.safetensors");
  await (await writeToyCheckpoint(checkpoint)).close();
});
afterAll(() => rmSync(root, { recursive: true }));

const tiny = (...rest: string[]) => [
  ...["finetune", "--checkpoint", checkpoint, "--data.set", set, "--data.leads", "12,24"],
  ...["--training.batch-size", "4", "--training.validation-batches", "1", "--training.log-every", "1"],
  ...rest,
];

/** A network from nothing. */
const fresh = ["finetune", "--data.set", "SET", "--data.leads", "12,24", "--training.batch-size", "4"];

/** Refused with one paragraph and exit code 2; nothing is left. */
async function refusal(...argv: string[]): Promise<string> {
  const before = readdirSync(root, { recursive: true });
  const { code, out, err } = await climax(...argv, "--quiet");
  expect({ code, out, err }).toMatchObject({ code: 2, out: "" });
  expect(err).toMatch(/^error: [^\n]+(\n[^\n]+)*\nhint: {2}[^\n]+\n$/);
  expect(readdirSync(root, { recursive: true })).toEqual(before);
  return err;
}

test("every field is a flag", () => {
  const flags = finetuneCommand.flags.map(({ path }) => path.join("."));
  expect(flags.toSorted()).toEqual(leaves(z.toJSONSchema(FinetuneConfig, { io: "input" })).toSorted());
});

test("a checkpoint becomes one for chosen leads and variables, and is resumed", async () => {
  const output = join(root, "run");
  const argv = tiny(
    ...["--data.inputs", "2m_temperature,temperature_850", "--data.outputs", "temperature_850", "-o", output],
    ...["--training.max-steps", "3", "--model.dropout", "0.1", "--optimiser.lr", "0.001"],
  );
  const { code, out, err } = await climax(...argv);
  expect(code, err).toBe(0);
  expect(out).toMatch(
    new RegExp(`^done after 3 steps, validation loss \\d+\\.\\d{4}: ${bestCheckpoint(output)}\n$`),
  );
  expect(err).toContain("SYNTHETIC");
  expect(readdirSync(output).toSorted()).toEqual([
    "best.safetensors",
    "last.safetensors",
    "log.jsonl",
    "settings.yaml",
  ]);
  const { info, ...tuned } = await openCheckpoint(bestCheckpoint(output));
  await tuned.close();
  expect(info).toMatchObject({
    inputs: toyNames,
    outputs: ["temperature_850"],
    leads: [12, 24],
    synthetic: true,
    model: { dropout: 0.1, dropPath: 0.5 },
  });
  expect(info.provenance.command).toContain("climax finetune --checkpoint");

  const before = readLog(output);
  const again = await climax(...argv, "--resume", "-q");
  expect(again).toMatchObject({ code: 0, out });
  expect(readLog(output).slice(0, before.length - 1)).toEqual(before.slice(0, -1));
  const changed = await refusal(...argv, "--resume", "--data.inputs", "orography");
  expect(changed).toContain(
    'inputs was ["2m_temperature","temperature_850"], is ["2m_temperature","temperature_850","orography"]',
  );
  expect(await refusal(...tiny("-o", output))).toContain("holds a run already");

  // It can be finetuned further, also where it lies.
  const further = await climax(
    ...["finetune", "--checkpoint", lastCheckpoint(output), "--data.set", set, "--data.leads", "24", "-q"],
    ...["--training.max-steps", "1", "--training.batch-size", "4", "-o", join(output, "further")],
  );
  expect(further).toMatchObject({ code: 0, err: "" });
});

test("variables the checkpoint does not know begin anew, and that is said", async () => {
  const output = join(root, "windy-run");
  const argv = tiny("--training.max-steps", "1", "-o", output).map((word) => (word === set ? windy : word));
  const { code, err } = await climax(...argv);
  expect(code, err).toBe(0);
  expect(err).toContain("u_component_of_wind_850");
  const { info, ...tuned } = await openCheckpoint(bestCheckpoint(output));
  expect(info.model.variables).toContain("u_component_of_wind_850");
  await tuned.close();
});

test("what is frozen comes out as it went in", async () => {
  const output = join(root, "frozen-run");
  const fast = ["--training.max-steps", "2", "--optimiser.lr", "0.01", "--optimiser.warmup", "0"];
  const { code, err } = await climax(...tiny("--freeze", "encoder", ...fast, "-o", output));
  expect(code, err).toBe(0);
  const [before, after] = [await openCheckpoint(checkpoint), await openCheckpoint(bestCheckpoint(output))];
  const changed = async (name: string) =>
    (await before.parameter(name)).join() !== (await after.parameter(name)).join();
  expect(await changed("blocks.0.attn.qkv.weight")).toBe(false);
  expect(await changed("blocks.0.mlp.fc1.bias")).toBe(false);
  expect(await changed("blocks.0.norm1.weight")).toBe(true);
  expect(await changed("head.0.weight")).toBe(true);
  await before.close();
  await after.close();
});

// The name of a task and the data are all that is said, but for how small all is.
describe("from nothing", () => {
  const small = [
    "--model.patch-size",
    "2",
    "--model.embed-dim",
    "16",
    "--model.depth",
    "1",
    "--model.heads",
    "2",
  ];
  const run = [
    "--training.batch-size",
    "4",
    "--training.max-steps",
    "2",
    "--training.validation-batches",
    "1",
  ];
  const cases: [string, string[]][] = [
    ["global", ["--data.leads", "12,24", ...small]],
    ["regional", ["--region", "-45..45,300..60", "--data.leads", "12", ...small]],
    ["s2s", ["--data.leads", "12", "--data.average", "24", ...small]],
    ["downscaling", ["--data.coarsen", "2", ...small]],
    [
      "projection",
      [
        "--data.history",
        "3",
        "--data.inputs",
        "temperature_850",
        "--data.outputs",
        "2m_temperature",
        ...small,
      ],
    ],
    ["global", ["--model", "linear", "--model.rank", "4", "--data.leads", "12"]],
    ["global", ["--model", "vit", "--data.leads", "12,24", ...small]],
    ["global", ["--model", "resnet", "--model.hidden", "4", "--model.blocks", "1", "--data.leads", "12"]],
    [
      "regional",
      [
        "--model",
        "resnet",
        "--region",
        "-45..45,60..200",
        "--model.hidden",
        "4",
        "--model.blocks",
        "1",
        "--data.leads",
        "12",
      ],
    ],
    ["downscaling", ["--model", "unet", "--model.hidden", "2", "--data.coarsen", "2"]],
  ];
  test.each(cases)("the task %s %o", async (task, rest) => {
    const output = join(root, `fresh-${cases.findIndex(([, flags]) => flags === rest)}`);
    const argv = ["finetune", "--task", task, "--data.set", set, ...rest, ...run, "-o", output];
    const { code, out, err } = await climax(...argv);
    expect(code, err).toBe(0);
    expect(out).toMatch(/^done after 2 steps, validation loss \d/);
    const { info, ...made } = await openCheckpoint(bestCheckpoint(output));
    await made.close();
    expect(info.provenance).toMatchObject({ task, from: null });
    const kinds: Record<string, string> = {
      s2s: "mean",
      downscaling: "downscaling",
      projection: "projection",
    };
    expect(info.task.kind).toBe(kinds[task] ?? "forecast");
    const [first, ...others] = info.grid.lon;
    if (task === "regional" && !rest.includes("resnet")) {
      expect([first, ...others]).toEqual([0, 22.5, 45, 67.5, 315, 337.5]); // 60 lies between 45 and 67.5, one patch
    } else if (task === "regional") expect([first, others.at(-1)]).toEqual([67.5, 180]);
  });
});

test("pattern scaling is fitted at once, to every sample", async () => {
  const output = join(root, "scaling");
  const inputs = ["--data.inputs", "2m_temperature", "--data.outputs", "2m_temperature,temperature_850"];
  const { code, out, err } = await climax(
    ...[
      "finetune",
      "--task",
      "projection",
      "--model",
      "pattern-scaling",
      "--model.predictor",
      "2m_temperature",
    ],
    ...["--data.set", set, "--data.history", "2", ...inputs, "-o", output],
  );
  expect(code, err).toBe(0);
  expect(out).toMatch(/^fitted to 99 samples, validation loss 0\.\d{4}: /); // 100 states, of which the first has no past
  const fitted = await openCheckpoint(bestCheckpoint(output));
  const { info, parameter } = fitted;
  expect(info.model).toMatchObject({ type: "pattern-scaling", predictor: "2m_temperature", history: 2 });
  // The global mean of the forcing is here the very temperature: a slope of 1 and nothing added.
  const [slope, intercept] = [await parameter("global.slope"), await parameter("global.intercept")];
  await fitted.close();
  expect(slope[0]).toBeCloseTo(1, 5);
  expect(intercept[0]).toBeCloseTo(0, 5);
});

describe("what is refused", () => {
  test.each<[string, (base: string) => string[], string]>([
    [
      "a checkpoint that is not there",
      () => tiny("--checkpoint", "nothing.safetensors", "-o", "x"),
      "there is no such file",
    ],
    ["no set", () => ["finetune", "--checkpoint", checkpoint, "-o", "x"], "--data.set is required"],
    ["a task there is not", () => tiny("--task", "nowcasting", "-o", "x"), "nowcasting"],
    [
      "settings of another task",
      () => tiny("--data.coarsen", "2", "-o", "x"),
      "the task global does not read data.coarsen",
    ],
    ["a network of another size", () => tiny("--model.depth", "7", "-o", "x"), "the network comes from"],
    ["another network", () => tiny("--model", "vit", "-o", "x"), "is a climax network, not vit"],
    [
      "pattern scaling without a temperature",
      () => [
        ...["finetune", "--task", "projection", "--model", "pattern-scaling", "--data.set", "SET", "-o", "x"],
        ...["--data.inputs", "2m_temperature", "--model.predictor", "2m_temperature"],
        ...["--data.outputs", "temperature_850"],
      ],
      "goes by the global mean of 2m_temperature",
    ],
    [
      "a region that a convolution cannot cross",
      () => [
        ...["finetune", "--task", "regional", "--model", "resnet", "--region", "-45..45,300..60"],
        ...["--data.set", "SET", "--data.leads", "12", "-o", "x"],
      ],
      "crosses 0 E, where its columns are apart",
    ],
    [
      "hidden layers of a network that has none",
      () => [
        ...["finetune", "--data.set", "SET", "--data.leads", "12", "--training.batch-size", "4"],
        ...["--model", "resnet", "--recompute", "hidden", "-o", "x"],
      ],
      "--recompute hidden is for transformers, and --model.type is resnet",
    ],
    ["a part there is not", () => tiny("--freeze", "attenton", "-o", "x"), "attenton"],
    [
      "settings of another network",
      () => [...fresh, "--model", "linear", "--model.depth", "2", "-o", "x"],
      "a linear network has no depth",
    ],
    [
      "several leads for a network that is not told them",
      () => [...fresh, "--model", "linear", "-o", "x"],
      "a linear network is not told the lead time",
    ],
    [
      "a roll-out that would not predict its inputs",
      () => tiny("--data.rollout", "2", "--data.leads", "12", "--data.outputs", "2m_temperature", "-o", "x"),
      "temperature_850 would not be predicted",
    ],
    ["leads that are none", () => tiny("--data.leads", "soon", "-o", "x"), "--data.leads"],
    ["leads the set cannot have", () => tiny("--data.leads", "7", "-o", "x"), "no two states 7 h apart"],
    ["a misspelt output", () => tiny("--data.outputs", "2m_temprature", "-o", "x"), "2m_temprature"],
    ["a set that is none", (base) => tiny("-o", "x").map((word) => (word === set ? base : word)), "set.json"],
    ["a folder that cannot be made", () => tiny("-o", join(checkpoint, "run")), "cannot write to "],
  ])("%s", async (_, argv, message) => {
    const words = argv(root).map((word) => (word === "x" ? join(root, "x") : word === "SET" ? set : word));
    expect(await refusal(...words)).toContain(message);
  });

  test("a checkpoint that is cut off, or none", async () => {
    const file = join(root, "broken.safetensors");
    writeFileSync(file, "no checkpoint");
    const err = await refusal(...tiny("--checkpoint", file, "-o", join(root, "x")));
    expect(err).toContain(`${file} is no sound safetensors file`);
  });
});
