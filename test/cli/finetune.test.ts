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

describe("what is refused", () => {
  test.each<[string, (base: string) => string[], string]>([
    [
      "no checkpoint",
      () => ["finetune", "--data.set", "s", "--data.leads", "24", "-o", "x"],
      "--checkpoint is required",
    ],
    [
      "a checkpoint that is not there",
      () => tiny("--checkpoint", "nothing.safetensors", "-o", "x"),
      "there is no such file",
    ],
    [
      "no leads",
      () => ["finetune", "--checkpoint", "c", "--data.set", "s", "-o", "x"],
      "--data.leads is required",
    ],
    ["leads that are none", () => tiny("--data.leads", "soon", "-o", "x"), "--data.leads"],
    ["leads the set cannot have", () => tiny("--data.leads", "7", "-o", "x"), "no two states 7 h apart"],
    [
      "variables the checkpoint does not know",
      () => tiny("--data.set", windy, "-o", "x"),
      "was not trained with u_component_of_wind_850",
    ],
    ["a misspelt output", () => tiny("--data.outputs", "2m_temprature", "-o", "x"), "2m_temprature"],
    ["a set that is none", (base) => tiny("--data.set", base, "-o", "x"), "set.json"],
    ["a folder that cannot be made", () => tiny("-o", join(checkpoint, "run")), "cannot write to "],
  ])("%s", async (_, argv, message) => {
    const words = argv(root).map((word) => (word === "x" ? join(root, "x") : word));
    expect(await refusal(...words)).toContain(message);
  });

  test("a checkpoint that is cut off, or none", async () => {
    const file = join(root, "broken.safetensors");
    writeFileSync(file, "no checkpoint");
    const err = await refusal(...tiny("--checkpoint", file, "-o", join(root, "x")));
    expect(err).toContain(`${file} is no sound safetensors file`);
  });
});
