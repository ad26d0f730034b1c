/** climax forecast --rollout, as typed: leads by steps of their own, and what cannot be rolled out. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import { Predictor } from "../../src/infer/predictor.ts";
import { openStates, type States } from "../../src/infer/states.ts";
import type { Checkpoint } from "../../src/model/checkpoint.ts";
import { climax } from "../support/climax.ts";
import { gpu } from "../support/gpu.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { toyNames } from "../support/toyset.ts";

const cells = 128;
const names = ["orography", ...toyNames];
let root: string;
let path: string;
let checkpoint: Checkpoint;
let predictor: Predictor;
let input: string;
let states: States;
const at = (name: string) => join(root, name);
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-rollout-"));
  path = at("checkpoint.safetensors");
  checkpoint = await writeToyCheckpoint(path);
  predictor = await Predictor.load(gpu, checkpoint);
  input = await writeToyStates(at("states.nc"));
  states = await openStates([input], names);
});
afterAll(async () => {
  await states.close();
  await checkpoint.close();
  rmSync(root, { recursive: true });
});

const run = (...argv: string[]) =>
  climax(
    "forecast",
    ...(argv.includes("--checkpoint") ? [] : ["--checkpoint", path]),
    ...["--input", input, "--quiet", ...argv],
  );

/** From one state, `count` steps by hand; [outputs, cells]. */
async function stepped(step: number, hours: number, count: number): Promise<Float32Array> {
  const fields = new Float32Array(3 * cells);
  for (const [v, name] of names.entries()) fields.set(await states.read(step, name), v * cells);
  for (let i = 0; i < count; i++) {
    const pred = await predictor.predict({ variables: names, fields, leadHours: [hours] }, toyNames);
    fields.set(pred, cells); // orography stays
  }
  return fields.subarray(cells);
}

function expectSame(found: Float32Array, wanted: Float32Array): void {
  expect(found).toHaveLength(wanted.length);
  // Other batches may sum in another order, and a step takes over what the one before has rounded: values of 280.
  for (const [i, value] of found.entries()) expect(Math.abs(value - wanted[i]!)).toBeLessThan(1e-3);
}

async function attributesOf(file: string): Promise<Record<string, unknown>> {
  const dataset = await openDataset(file);
  const attributes = Object.fromEntries(dataset.attributes);
  await dataset.close();
  return attributes;
}

test("leads beyond those trained come by steps, each from the one before", async () => {
  const output = at("rolled.nc");
  const { code, out, err } = await run(
    ...["--time", "2001-01-01T00,2001-01-01T12,2001-01-02T00", "--lead", "12h,10d", "--rollout", "12h"],
    ...["--batch-size", "2", "-o", output],
  );
  expect(code, err).toBe(0);
  expect(out).toContain(": 2 variables, 3 initial times, leads 12h, 10d, SYNTHETIC");
  const file = await openForecastFile(output);
  expect(file.leads).toEqual([12, 240]);
  for (const [t, step] of [0, 2, 4].entries())
    for (const [l, count] of [1, 20].entries()) {
      const wanted = await stepped(step, 12, count);
      for (const [v, name] of toyNames.entries())
        expectSame(await file.fields.get(name)!.read(t, l), wanted.subarray(v * cells, (v + 1) * cells));
    }
  await file.close();
  expect(await attributesOf(output)).toMatchObject({
    title: "SYNTHETIC iterative forecasts by ClimaX, in steps of 12h",
    climax_rollout_hours: "12",
    climax_rollout: "each step starts from the forecast before",
  });
});

test("several steps are averaged, or each is a member", async () => {
  const [mean, members] = [at("mean.nc"), at("members.nc")];
  const asked = ["--time", "2001-01-01T06", "--lead", "24h", "--rollout", "6h,24h,12h"];
  expect((await run(...asked, "-o", mean)).code).toBe(0);
  const { code, out, err } = await run(...asked, "--rollout-members", "-o", members);
  expect(code, err).toBe(0);
  expect(out).toContain(", leads 24h, 3 members, SYNTHETIC");
  const one = await openForecastFile(mean);
  const three = await openForecastFile(members);
  const ways = [await stepped(1, 6, 4), await stepped(1, 12, 2), await stepped(1, 24, 1)];
  const average = ways[0]!.map((_, i) => (ways[0]![i]! + ways[1]![i]! + ways[2]![i]!) / 3);
  for (const [v, name] of toyNames.entries()) {
    const part = (fields: Float32Array) => fields.subarray(v * cells, (v + 1) * cells);
    expectSame(await one.fields.get(name)!.read(0, 0), part(average));
    for (const [member, way] of ways.entries())
      expectSame(await three.fields.get(name)!.read(0, 0, member), part(way));
  }
  await one.close();
  await three.close();
  expect(await attributesOf(mean)).toMatchObject({
    climax_rollout_hours: "6, 12, 24",
    climax_rollout: expect.stringContaining("arXiv:2312.03876"),
  });
  expect(await attributesOf(members)).toMatchObject({
    climax_members: "0: control, steps of 6h; 1: steps of 12h; 2: steps of 24h",
  });
});

describe("refused", () => {
  async function refusal(...argv: string[]): Promise<string> {
    const before = readdirSync(root);
    const { code, out, err } = await run("--time", "2001-01-01T00", "-o", at("x.nc"), ...argv);
    expect({ code, out, err }).toMatchObject({ code: 2, out: "" });
    expect(err).toMatch(/^error: [^\n]+\nhint: {2}[^\n]+\n$/);
    expect(readdirSync(root)).toEqual(before);
    return err;
  }

  test.each<[string, string[], string]>([
    [
      "a lead between steps",
      ["--lead", "9h", "--rollout", "6h"],
      "a lead of 9h is no multiple of the step 6h",
    ],
    ["a step that was not trained", ["--lead", "20d", "--rollout", "10d"], "6h to 7d; 10d is not among them"],
    [
      "members of one way",
      ["--lead", "24h", "--rollout", "6h", "--rollout-members"],
      "its roll-out is the only one",
    ],
    ["members of no roll-out", ["--lead", "24h", "--rollout-members"], "--rollout-members without --rollout"],
  ])("%s", async (_, argv, message) => {
    expect(await refusal(...argv)).toContain(message);
  });

  test("a checkpoint that does not predict what changes", async () => {
    const some = at("some.safetensors");
    await (await writeToyCheckpoint(some, { outputs: ["temperature_850"] })).close();
    const err = await refusal("--checkpoint", some, "--lead", "24h", "--rollout", "6h");
    expect(err).toContain(
      `${some} needs 2m_temperature at every step of a roll-out, and does not predict it`,
    );
  });
});
