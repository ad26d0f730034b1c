/** climax forecast, as typed: the file it makes, and the states it refuses. */

import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { formatTime } from "../../src/data/time.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { Predictor } from "../../src/infer/predictor.ts";
import { openStates } from "../../src/infer/states.ts";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { climax } from "../support/climax.ts";
import { gpu } from "../support/gpu.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { toyNames, writeToySet } from "../support/toyset.ts";

let root: string;
let checkpoint: string;
let input: string;
const at = (name: string) => join(root, name);
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-forecast-"));
  checkpoint = at("checkpoint.safetensors");
  await (await writeToyCheckpoint(checkpoint)).close();
  input = await writeToyStates(at("states.nc"));
});
afterAll(() => rmSync(root, { recursive: true }));

const run = (...argv: string[]) => climax("forecast", "--checkpoint", checkpoint, ...argv);

/** Refused with one paragraph and exit code 2; nothing is left. */
async function refusal(...argv: string[]): Promise<string> {
  const before = readdirSync(root);
  const { code, out, err } = await run("--quiet", ...argv);
  expect({ code, out, err }).toMatchObject({ code: 2, out: "" });
  expect(err).toMatch(/^(warning: [^\n]+\n)*error: [^\n]+\nhint: {2}[^\n]+\n$/);
  expect(readdirSync(root)).toEqual(before);
  return err;
}

describe("a forecast", () => {
  test("of one time is said, written and labelled synthetic", async () => {
    const output = at("one.nc");
    const { code, out, err } = await run(
      "--input",
      input,
      "--time",
      "2001-01-01T12",
      "--lead",
      "3d",
      "-o",
      output,
    );
    expect(code, err).toBe(0);
    expect(out).toMatch(
      new RegExp(`^${output}: 2 variables, 1 initial time, leads 3d, SYNTHETIC, in [\\d.]+s\n$`),
    );
    expect(err).toContain(
      "warning: the checkpoint was trained on a SYNTHETIC planet: this is no forecast of real weather",
    );
    expect(err).toContain(`adapter   ${gpu.name} (${gpu.kind})`);
    const dataset = await openDataset(output);
    const attributes = Object.fromEntries(dataset.attributes);
    await dataset.close();
    expect(attributes).toMatchObject({
      Conventions: "CF-1.11",
      title: "SYNTHETIC direct forecasts by ClimaX",
      synthetic: "true",
      climax_adapter: gpu.name,
      climax_checkpoint_sha256: createHash("sha256").update(readFileSync(checkpoint)).digest("hex"),
    });
    expect(attributes.comment).toMatch(/simulated planet/);
    expect(attributes.history).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ climax forecast --checkpoint /);
    expect(attributes.source).toMatch(/^climax \d+\.\d+\.\d+, checkpoint /);
  });

  test("of several times and leads has what the predictor says", async () => {
    const output = at("several.nc");
    const { code, out, err } = await run(
      ...["--input", input, "--time", "2001-01-01,2001-01-02T00", "--every", "12h", "--lead", "72h,12h,3d"],
      ...["--variables", "temperature_850", "--batch-size", "2", "-o", output, "-q"],
    );
    expect(code, err).toBe(0);
    expect(out).toContain(": 1 variables, 3 initial times, leads 12h, 3d, SYNTHETIC");
    const file = await openForecastFile(output);
    expect(file.initial.map(formatTime)).toEqual([
      "2001-01-01T00:00:00",
      "2001-01-01T12:00:00",
      "2001-01-02T00:00:00",
    ]);
    expect(file.leads).toEqual([12, 72]);
    expect([...file.fields.keys()]).toEqual(["temperature_850"]);
    expect(file.made).toMatch(/^climax \d+\.\d+\.\d+, checkpoint .*, on \S/);
    const opened = await openCheckpoint(checkpoint);
    const predictor = await Predictor.load(gpu, opened);
    const variables = ["orography", ...toyNames];
    const states = await openStates([input], variables);
    const fields = new Float32Array(3 * 128);
    for (const [v, name] of variables.entries()) fields.set(await states.read(2, name), v * 128);
    const wanted = await predictor.predict({ variables, fields, leadHours: [72] }, ["temperature_850"]);
    const found = await file.fields.get("temperature_850")!.read(1, 1);
    // Another device of the same adapter, in another batch: rounding of values of 280.
    for (const [i, value] of wanted.entries()) expect(Math.abs(found[i]! - value)).toBeLessThan(2e-4);
    await states.close();
    await opened.close();
    await file.close();
  });

  test("from the test split of a prepared set", async () => {
    const set = await writeToySet(at("set"), { names: ["orography", ...toyNames] });
    const output = at("set.nc");
    const { code, err } = await run(
      "--input",
      set,
      "--time",
      "2001-02",
      "--every",
      "2d",
      "--lead",
      "24h",
      "-o",
      output,
    );
    expect(code, err).toBe(0);
    expect(err).not.toContain("no forecast of real weather"); // the states are synthetic themselves
    const file = await openForecastFile(output);
    expect(file.initial.map(formatTime)).toEqual(["2001-02-01T00:00:00", "2001-02-03T00:00:00"]);
    await file.close();
  });

  test("without a variable, when that was allowed, is warned of", async () => {
    const less = await writeToyStates(at("less.nc"), { names: toyNames, hours: [0] });
    for (const [missing, words] of [
      ["drop", "left out"],
      ["mean", "their training mean is put"],
    ]) {
      const { code, err } = await run(
        "--input",
        less,
        "--lead",
        "24h",
        "--missing",
        missing!,
        "-o",
        at(`${missing}.nc`),
      );
      expect(code, err).toBe(0);
      expect(err).toContain(`warning: orography: not in the input, ${words}`);
    }
    const err = await refusal("--input", less, "--lead", "24h", "-o", at("x.nc"));
    expect(err).toContain(`${less} lacks orography, which ${checkpoint} was trained with; it has`);
    expect(err).toContain("--missing drop");
  });
});

describe("what is refused", () => {
  const ask = (path: string, ...rest: string[]) =>
    refusal("--input", path, "--lead", "24h", "--time", "2001-01-01T00", "-o", at("x.nc"), ...rest);

  test.each<[string, string[], string]>([
    [
      "a lead outside of the trained range",
      ["--lead", "10d"],
      "was trained for leads of 6h to 7d; 10d is not among them",
    ],
    ["a lead that is none", ["--lead", "soon"], '"soon" is not a lead time'],
    [
      "a time that is not there",
      ["--time", "2018"],
      "has 5 states from 2001-01-01T00:00:00 to 2001-01-02T00:00:00, none of them in 2018",
    ],
    ["an output that is not there", ["--variables", "2m_temprature"], 'did you mean "2m_temperature"?'],
    ["an input as output", ["--variables", "orography"], 'unknown output of the checkpoint "orography"'],
    ["a folder that is not there", ["-o", "/nonexistent/x.nc"], "/nonexistent"],
    ["a checkpoint that is not there", ["--checkpoint", "/nonexistent.safetensors"], "there is no such file"],
  ])("%s", async (_, argv, message) => {
    expect(await ask(input, ...argv)).toContain(message);
  });

  test("several states, of which none was chosen", async () => {
    const err = await refusal("--input", input, "--lead", "24h", "-o", at("x.nc"));
    expect(err).toContain("and it was not said which to start from");
    expect(err).toContain("give --time 2001-01-02T00:00");
  });

  test("states on another grid", async () => {
    const coarse = await writeToyStates(at("coarse.nc"), { grid: regularGrid(45) });
    const err = await ask(coarse);
    expect(err).toContain(`${checkpoint} is for 8 x 16, 22.5 degrees, ${coarse} is on 4 x 8, 45 degrees`);
    expect(err).toContain("climax regrid IN --res 22.5 -o OUT");
  });

  test("cells without values", async () => {
    const gaps = await writeToyStates(at("gaps.nc"), { gap: { name: "temperature_850", cell: 5 } });
    const err = await ask(gaps);
    expect(err).toContain(`${gaps}: temperature_850 at 2001-01-01T00:00:00 has 1 missing values of 128`);
    expect(err).toContain("--missing mean");
    const filled = await run(
      "--input",
      gaps,
      "--time",
      "2001-01-01T00",
      "--lead",
      "24h",
      "--missing",
      "mean",
      "-o",
      at("filled.nc"),
    );
    expect(filled.code).toBe(0);
  });

  test("a file without a time axis", async () => {
    expect(await ask(await writeToyStates(at("timeless.nc"), { hours: null }))).toContain("no time axis");
  });

  test("files that are cut off, empty, other, or not there", async () => {
    const bytes = readFileSync(input);
    writeFileSync(at("cut.nc"), bytes.subarray(0, bytes.length - 2000));
    writeFileSync(at("empty.nc"), "");
    writeFileSync(at("text.nc"), "not weather at all");
    for (const name of ["cut.nc", "empty.nc", "text.nc", "nothing.nc"])
      expect(await ask(at(name))).toContain(at(name));
    const cut = readFileSync(checkpoint);
    writeFileSync(at("cut.safetensors"), cut.subarray(0, cut.length - 100));
    expect(await ask(input, "--checkpoint", at("cut.safetensors"))).toContain("is no sound safetensors file");
  });

  test("to write over what is read", async () => {
    const before = readFileSync(input);
    expect(await ask(input, "-o", input)).toContain(`--output ${input} is the file ${input} that is read`);
    expect(await ask(input, "-o", checkpoint)).toContain("choose another --output");
    expect(readFileSync(input).equals(before)).toBe(true);
  });
});
