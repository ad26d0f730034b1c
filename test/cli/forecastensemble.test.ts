/** climax forecast with several members, as typed: noise, checkpoints, dropout, lagged starts, and all together. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { climax } from "../support/climax.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { tinyModel } from "../support/toyrun.ts";
import { toyNames, writeToySet } from "../support/toyset.ts";

let root: string;
let checkpoint: string;
let other: string;
let input: string;
const at = (name: string) => join(root, name);
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-ensemble-"));
  checkpoint = at("checkpoint.safetensors");
  const first = await writeToyCheckpoint(checkpoint);
  other = at("other.safetensors");
  const variables = first.info.variables.map((variable) => ({ ...variable, mean: variable.mean + 3 }));
  await (await writeToyCheckpoint(other, { variables })).close();
  await first.close();
  input = await writeToyStates(at("states.nc"));
});
afterAll(() => rmSync(root, { recursive: true }));

/** With the one checkpoint, unless others are named. */
const ask = (...argv: string[]) =>
  climax(
    "forecast",
    ...(argv.includes("--checkpoint") ? [] : ["--checkpoint", checkpoint]),
    ...["--input", input, "--quiet", ...argv],
  );

const t2m = "2m_temperature";

async function fieldOf(path: string, member: number): Promise<Float32Array> {
  const file = await openForecastFile(path);
  const field = await file.fields.get(t2m)!.read(0, 0, member);
  await file.close();
  return field;
}

test("checkpoints, lags and noise multiply, and the file says who is who", async () => {
  const output = at("many.nc");
  const { code, out, err } = await ask(
    ...["--checkpoint", `${checkpoint},${other}`, "--time", "2001-01-02T00", "--lead", "24h"],
    ...["--ensemble.lag", "6h", "--ensemble.members", "2", "--ensemble.noise", "0.1", "-o", output],
  );
  expect(code, err).toBe(0);
  expect(out).toContain(", leads 24h, 8 members, SYNTHETIC");
  const dataset = await openDataset(output);
  const number = dataset.variables.get("number")!;
  expect(Object.fromEntries(number.attributes)).toMatchObject({ standard_name: "realization" });
  expect([...(await number.readUnpacked())]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(dataset.variables.get(t2m)!.dimensions).toEqual([
    "time",
    "prediction_timedelta",
    "number",
    "latitude",
    "longitude",
  ]);
  const attributes = Object.fromEntries(dataset.attributes);
  await dataset.close();
  expect(attributes.climax_ensemble).toBe(
    "2 checkpoints; lagged starts of 6h; 2 members by initial noise of 0.1 standard deviations, length scale 1000 km, seed 0",
  );
  expect(attributes.climax_members).toBe(
    [
      `0: control, ${checkpoint}`,
      `1: ${checkpoint}, perturbed 1`,
      `2: ${checkpoint}, 6h earlier`,
      `3: ${checkpoint}, 6h earlier, perturbed 1`,
      `4: ${other}`,
      `5: ${other}, perturbed 1`,
      `6: ${other}, 6h earlier`,
      `7: ${other}, 6h earlier, perturbed 1`,
    ].join("; "),
  );
  expect(String(attributes.climax_checkpoint_sha256)).toMatch(/^[\da-f]{64}, [\da-f]{64}$/);
  // The fifth is the plain forecast of the second checkpoint.
  const single = at("single.nc");
  expect(
    (await ask("--checkpoint", other, "--time", "2001-01-02T00", "--lead", "24h", "-o", single)).code,
  ).toBe(0);
  const [wanted, found] = [await fieldOf(single, 0), await fieldOf(output, 4)];
  // Another batch may sum in another order: rounding of values of 280.
  for (const [i, value] of found.entries()) expect(Math.abs(value - wanted[i]!)).toBeLessThan(2e-4);
});

test("dropout of a network with batch norm leaves its running moments alone", async () => {
  const [set, run] = [await writeToySet(at("set")), at("resnet")];
  const trained = await climax(
    ...[
      "finetune",
      "--model",
      "resnet",
      "--model.hidden",
      "4",
      "--model.blocks",
      "1",
      "--model.dropout",
      "0.5",
    ],
    ...["--data.set", set, "--data.leads", "12", "--training.batch-size", "4", "--training.max-steps", "2"],
    ...["--training.validation-batches", "1", "--quiet", "-o", run],
  );
  expect(trained.code, trained.err).toBe(0);
  const output = at("resnet.nc");
  const start = ["--time", "2001-01-02"];
  const { code, err } = await ask(
    ...["--checkpoint", join(run, "best.safetensors"), "--lead", "12h", "-o", output, ...start],
    ...["--ensemble.members", "3", "--ensemble.dropout"],
  );
  expect(code, err).toBe(0);
  const [control, first, second] = [
    await fieldOf(output, 0),
    await fieldOf(output, 1),
    await fieldOf(output, 2),
  ];
  expect(first).not.toEqual(second);
  // The control has the values of a plain forecast: no moment of the batch has entered.
  const plain = at("plain.nc");
  expect(
    await ask("--checkpoint", join(run, "best.safetensors"), "--lead", "12h", "-o", plain, ...start),
  ).toMatchObject({
    code: 0,
  });
  expect(control).toEqual(await fieldOf(plain, 0));
});

describe("refused", () => {
  async function refusal(...argv: string[]): Promise<string> {
    const before = readdirSync(root);
    const { code, out, err } = await ask(
      "--time",
      "2001-01-02T00",
      "--lead",
      "24h",
      "-o",
      at("x.nc"),
      ...argv,
    );
    expect({ code, out, err }).toMatchObject({ code: 2, out: "" });
    expect(err).toMatch(/^error: [^\n]+\nhint: {2}[^\n]+\n$/);
    expect(readdirSync(root)).toEqual(before);
    return err;
  }

  test.each<[string, string[], string]>([
    ["members that would be the same", ["--ensemble.members", "4"], "would be 4 times the same forecast"],
    ["noise for nobody", ["--ensemble.noise", "0.1"], "--ensemble.noise without --ensemble.members"],
    ["dropout for nobody", ["--ensemble.dropout"], "--ensemble.dropout without --ensemble.members"],
    ["a lag twice", ["--ensemble.lag", "6h,6h"], "--ensemble.lag has 6h twice"],
    [
      "a lag beyond the leads",
      ["--lead", "7d", "--ensemble.lag", "6h"],
      "174h (7d and a lag of 6h) is not among them",
    ],
    [
      "a lag before the first state",
      ["--ensemble.lag", "48h"],
      "has no state 48h before 2001-01-02T00:00:00, from which a lagged member starts",
    ],
    ["a checkpoint twice", ["--checkpoint", "a.safetensors,a.safetensors"], "a.safetensors is given twice"],
    ["noise that is too fine", ["--ensemble.length", "10"], "--ensemble.length is 10"],
  ])("%s", async (_, argv, message) => {
    expect(await refusal(...argv)).toContain(message);
  });

  test("dropout of a network that has none", async () => {
    const model = ModelConfig.parse({
      ...tinyModel,
      variables: ["orography", ...toyNames, "geopotential_500"],
      gridShape: [8, 16],
    });
    const still = at("still.safetensors");
    await (await writeToyCheckpoint(still, { model })).close();
    const err = await refusal("--checkpoint", still, "--ensemble.members", "2", "--ensemble.dropout");
    expect(err).toContain(`${still} was trained without dropout or drop path`);
  });

  test("checkpoints that do not predict the same", async () => {
    const some = at("some.safetensors");
    await (await writeToyCheckpoint(some, { outputs: ["temperature_850"] })).close();
    const err = await refusal("--checkpoint", `${checkpoint},${some}`);
    expect(err).toContain(
      `${checkpoint} is for 2m_temperature, temperature_850, ${some} for temperature_850`,
    );
    const means = at("means.safetensors");
    await (await writeToyCheckpoint(means, { task: { kind: "mean", hours: 24 } })).close();
    expect(await refusal("--checkpoint", `${checkpoint},${means}`)).toContain(
      `${checkpoint} is for forecasts, ${means} for means over 24h`,
    );
  });
});
