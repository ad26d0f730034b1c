/** climax forecast --model, as typed: what needs no checkpoint, and what only a checkpoint can do. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { formatTime, parseTime } from "../../src/data/time.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import { openStates } from "../../src/infer/states.ts";
import { makeClimatology } from "../../src/sets/climatology.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { climax } from "../support/climax.ts";
import { writeToyStates } from "../support/toycheckpoint.ts";
import { toyNames, writeToySet } from "../support/toyset.ts";

let root: string;
let input: string;
let set: string;
const at = (name: string) => join(root, name);
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-untrained-"));
  input = await writeToyStates(at("states.nc"));
  set = await writeToySet(at("set"), { names: ["orography", ...toyNames] });
});
afterAll(() => rmSync(root, { recursive: true }));

const run = (...argv: string[]) => climax("forecast", ...argv);

async function refusal(...argv: string[]): Promise<string> {
  const before = readdirSync(root);
  const { code, out, err } = await run("--quiet", "-o", at("x.nc"), ...argv);
  expect({ code, out, err }).toMatchObject({ code: 2, out: "" });
  expect(err).toMatch(/^error: [^\n]+\nhint: {2}[^\n]+\n$/);
  expect(readdirSync(root)).toEqual(before);
  return err;
}

async function attributesOf(path: string): Promise<Record<string, unknown>> {
  const dataset = await openDataset(path);
  await dataset.close();
  return Object.fromEntries(dataset.attributes);
}

const asked = (model: string) => [
  "--model",
  model,
  "--input",
  set,
  "--time",
  "2001-02-01",
  "--lead",
  "6h,24h",
];

test("persistence is the initial state", async () => {
  const output = at("persistence.nc");
  const { code, out, err } = await run(...asked("persistence"), "-o", output);
  expect(code, err).toBe(0);
  expect(out).toContain(": persistence, 2 variables, 4 initial times, leads 6h, 24h, SYNTHETIC, in ");
  expect(err).not.toContain("adapter");
  const states = await openStates([set]);
  const step = states.times.findIndex((time) => formatTime(time) === "2001-02-01T06:00:00");
  const file = await openForecastFile(output);
  expect([...file.fields.keys()].toSorted()).toEqual(toyNames);
  for (const l of [0, 1])
    expect(await file.fields.get("2m_temperature")!.read(1, l)).toEqual(
      await states.read(step, "2m_temperature"),
    );
  await states.close();
  await file.close();
  expect(await attributesOf(output)).toMatchObject({ system: "persistence (file)", synthetic: "true" });
});

test.each([
  ["climatology", "mean"],
  ["climatology-weekly", "weekly"],
  ["climatology-dayofyear", "dayofyear"],
] as const)("%s is what the training period says of the valid time", async (model, kind) => {
  const output = at(`${model}.nc`);
  const early = await writeToySet(at(`${model}-set`), {
    splits: { train: "2001-01-01..2001-01-28", test: "2001-01-29..2001-02-03" },
  });
  const { code, err } = await run(
    ...["--model", model, "--input", early, "--time", "2001-01-29", "--lead", "24h", "-o", output, "-q"],
    ...["--variables", "temperature_850"],
  );
  const opened = await openSet(early);
  if (model === "climatology-weekly") {
    // The training period has no fifth week: what cannot be said is refused, not made up.
    expect(code).toBe(2);
    expect(err).toContain("no weekly climatology");
  } else {
    expect(code, err).toBe(0);
    const file = await openForecastFile(output);
    const climatology = await makeClimatology(opened, kind, "temperature_850");
    const wanted = climatology.field(parseTime("2001-01-30T06", "standard"));
    expect(await file.fields.get("temperature_850")!.read(1, 0)).toEqual(wanted);
    await file.close();
  }
  await opened.close();
});

test.each<[string, string[], string]>([
  [
    "both",
    ["--checkpoint", "a.safetensors"],
    "found both --checkpoint a.safetensors and --model persistence",
  ],
  ["a roll-out", ["--rollout", "6h"], "found --rollout with --model persistence, which has no network"],
  ["an ensemble", ["--ensemble.members", "3"], "found --ensemble.members with --model persistence"],
  ["a constant", ["--variables", "orography"], 'that changes in time "orography"'],
])("%s is refused", async (_, argv, message) => {
  expect(await refusal(...asked("persistence"), ...argv)).toContain(message);
});

test("neither, no lead, and a climatology of files are refused", async () => {
  expect(await refusal("--input", input, "--lead", "6h")).toContain(
    "neither --checkpoint nor --model was given",
  );
  expect(await refusal("--model", "persistence", "--input", input)).toContain("--lead is required");
  const err = await refusal(
    "--model",
    "climatology",
    "--input",
    input,
    "--lead",
    "6h",
    "--time",
    "2001-01-01",
  );
  expect(err).toContain(input);
});
