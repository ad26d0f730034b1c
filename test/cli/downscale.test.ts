/** climax downscale, as typed: by a network, by interpolation, and from fine fields that are made coarse first. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { addHours, formatTime } from "../../src/data/time.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import { coarsener } from "../../src/grid/coarsen.ts";
import { makeGrid, regularGrid, sameGrid } from "../../src/grid/grid.ts";
import { makeRegridder, type RegridMethod } from "../../src/grid/regrid.ts";
import { Predictor } from "../../src/infer/predictor.ts";
import { openStates } from "../../src/infer/states.ts";
import { openCheckpoint } from "../../src/model/checkpoint.ts";
import { climax } from "../support/climax.ts";
import { gpu } from "../support/gpu.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { toyGrid, toyNames, toyStart, writeToySet } from "../support/toyset.ts";

const names = ["orography", ...toyNames];
const coarseGrid = regularGrid(45);
const cells = 128;
let root: string;
let checkpoint: string;
let coarse: string;
let fine: string;
const at = (name: string) => join(root, name);
const downscaling = (from = coarseGrid) => ({
  task: {
    kind: "downscaling" as const,
    from: { lat: [...from.lat], lon: [...from.lon] },
    method: "bilinear",
  },
  leads: [0],
});
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-downscale-"));
  checkpoint = at("checkpoint.safetensors");
  await (await writeToyCheckpoint(checkpoint, downscaling())).close();
  coarse = await writeToyStates(at("coarse.nc"), { grid: coarseGrid, hours: [0, 6, 12] });
  fine = await writeToyStates(at("fine.nc"), { hours: [0, 6, 12] });
});
afterAll(() => rmSync(root, { recursive: true }));

const run = (...argv: string[]) => climax("downscale", ...argv);

async function attributesOf(path: string): Promise<Record<string, unknown>> {
  const dataset = await openDataset(path);
  await dataset.close();
  return Object.fromEntries(dataset.attributes);
}

/** What the checkpoint makes of fields that `toFine` puts on its grid; [outputs, cells]. */
async function predicted(
  path: string,
  input: string,
  step: number,
  toFine: (field: Float32Array) => Float32Array,
) {
  const opened = await openCheckpoint(path);
  const predictor = await Predictor.load(gpu, opened);
  const states = await openStates([input], names);
  const fields = new Float32Array(3 * cells);
  for (const [v, name] of names.entries()) fields.set(toFine(await states.read(step, name)), v * cells);
  const pred = await predictor.predict({ variables: names, fields, leadHours: [0] }, toyNames);
  predictor.free();
  await states.close();
  await opened.close();
  return pred;
}

async function expectFile(path: string, wanted: (step: number) => Promise<Float32Array>, steps = [0, 1, 2]) {
  const file = await openForecastFile(path);
  expect(file.leads).toEqual([0]);
  expect(sameGrid(file.grid, toyGrid)).toBe(true);
  expect(file.initial.map(formatTime)).toEqual(steps.map((step) => formatTime(addHours(toyStart, 6 * step))));
  for (const [t, step] of steps.entries()) {
    const fields = await wanted(step);
    for (const [v, name] of toyNames.entries()) {
      const found = await file.fields.get(name)!.read(t, 0);
      // Another batch may sum in another order: rounding of values of 280.
      for (const [i, value] of found.entries())
        expect(Math.abs(value - fields[v * cells + i]!)).toBeLessThan(2e-4);
    }
  }
  await file.close();
}

describe("by a network", () => {
  test("coarse fields are interpolated, and the network says what is fine, at lead 0", async () => {
    const output = at("network.nc");
    const { code, out, err } = await run("--checkpoint", checkpoint, "--input", coarse, "-o", output);
    expect(code, err).toBe(0);
    expect(out).toMatch(new RegExp(`^${output}: 2 variables, 3 times, SYNTHETIC, in [\\d.]+s\n$`));
    const made = "interpolated (bilinear) from 4 x 8, 45 degrees to 8 x 16, 22.5 degrees";
    expect(err).toContain(made);
    const regridder = makeRegridder(coarseGrid, toyGrid, "bilinear");
    await expectFile(output, (step) =>
      predicted(checkpoint, coarse, step, (field) => regridder.apply(field)),
    );
    expect(await attributesOf(output)).toMatchObject({
      title: "SYNTHETIC fields downscaled by ClimaX",
      climax_downscaling: made,
    });
  });

  test("of chosen times and variables, by several checkpoints", async () => {
    const other = at("other.safetensors");
    const variables = names.map((name, i) => ({ name, units: "K", mean: 275 + 4 * i, std: 5 + i }));
    await (await writeToyCheckpoint(other, { ...downscaling(), variables })).close();
    const output = at("two.nc");
    const { code, out, err } = await run(
      ...["--checkpoint", `${checkpoint},${other}`, "--input", coarse, "--time", "2001-01-01T06"],
      ...["--variables", "temperature_850", "-o", output, "-q"],
    );
    expect(code, err).toBe(0);
    expect(out).toContain(": 1 variables, 1 time, 2 members, SYNTHETIC");
    const file = await openForecastFile(output);
    expect([...file.fields.keys()]).toEqual(["temperature_850"]);
    const field = file.fields.get("temperature_850")!;
    expect(field.members).toBe(2);
    const [a, b] = [await field.read(0, 0, 0), await field.read(0, 0, 1)];
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeGreaterThan(0.1);
    await file.close();
  });

  test("fields on the fine grid are taken as interpolated, and that is said", async () => {
    const output = at("ready.nc");
    const { code, err } = await run("--checkpoint", checkpoint, "--input", fine, "-o", output);
    expect(code, err).toBe(0);
    expect(err).toContain("taken as interpolated before: the input is on the fine grid already");
    await expectFile(output, (step) => predicted(checkpoint, fine, step, (field) => field));
  });

  test("--coarsen makes the coarse fields of fine ones, from a prepared set too", async () => {
    const blocks = coarsener(toyGrid, 2);
    const own = at("own.safetensors");
    await (await writeToyCheckpoint(own, downscaling(blocks.target))).close();
    const output = at("coarsened.nc");
    const asked = ["--checkpoint", own, "--coarsen", "2", "-o", output];
    const { code, err } = await run(...asked, "--input", fine);
    expect(code, err).toBe(0);
    expect(err).toContain(
      "averaged over blocks from 8 x 16, 22.5 degrees, interpolated (bilinear) from 4 x 8, 45 degrees",
    );
    const regridder = makeRegridder(blocks.target, toyGrid, "bilinear");
    await expectFile(output, (step) =>
      predicted(own, fine, step, (field) => regridder.apply(blocks.apply(field))),
    );
    const set = await writeToySet(at("set"), { names });
    const again = await run(...asked, "--input", set, "--every", "24h", "-q");
    expect(again.code, again.err).toBe(0);
    const file = await openForecastFile(output);
    expect(file.initial).toHaveLength(5);
    await file.close();
  });
});

describe("by interpolation", () => {
  test.each<RegridMethod>(["nearest", "bilinear", "bicubic"])("%s", async (method) => {
    const output = at(`${method}.nc`);
    const { code, out, err } = await run(
      ...["--model", method, "--input", coarse, "--res", "22.5", "-o", output],
    );
    expect(code, err).toBe(0);
    expect(out).toContain(`: ${method}, 2 variables, 3 times, in `); // the coarse file does not call itself synthetic
    expect(err).not.toContain("adapter");
    const regridder = makeRegridder(coarseGrid, toyGrid, method);
    const states = await openStates([coarse]);
    await expectFile(output, async (step) => {
      const fields = new Float32Array(2 * cells);
      for (const [v, name] of toyNames.entries())
        fields.set(regridder.apply(await states.read(step, name)), v * cells);
      return fields;
    });
    await states.close();
    expect(await attributesOf(output)).toMatchObject({ system: method });
  });

  test("of fine fields made coarse, back to their own grid", async () => {
    const output = at("back.nc");
    const { code, err } = await run("--model", "bicubic", "--input", fine, "--coarsen", "2", "-o", output);
    expect(code, err).toBe(0);
    const blocks = coarsener(toyGrid, 2);
    const regridder = makeRegridder(blocks.target, toyGrid, "bicubic");
    const states = await openStates([fine]);
    await expectFile(output, async (step) => {
      const fields = new Float32Array(2 * cells);
      for (const [v, name] of toyNames.entries())
        fields.set(regridder.apply(blocks.apply(await states.read(step, name))), v * cells);
      return fields;
    });
    await states.close();
    expect((await attributesOf(output)).climax_downscaling).toMatch(/^averaged over blocks from 8 x 16/);
  });

  test("of a region, to the part of the grid that it covers", async () => {
    const grid = makeGrid(coarseGrid.lat.slice(1), coarseGrid.lon.slice(2, 6));
    const part = await writeToyStates(at("part.nc"), { grid, hours: [0] });
    const output = at("partfine.nc");
    const { code, err } = await run(
      "--model",
      "bilinear",
      "--input",
      part,
      "--res",
      "22.5",
      "-o",
      output,
      "-q",
    );
    expect(code, err).toBe(0);
    const file = await openForecastFile(output);
    expect([...file.grid.lon]).toEqual([90, 112.5, 135, 157.5, 180, 202.5, 225]);
    const field = await file.fields.get("2m_temperature")!.read(0, 0);
    expect(field.every(Number.isFinite)).toBe(true);
    await file.close();
  });
});

const eraInterim = new URL("../../../shared/data/era-interim/eraint_uvz.nc", import.meta.url).pathname;

test.skipIf(!existsSync(eraInterim))(
  "real fields, averaged to 5.625 degrees and back: bicubic is nearer than bilinear, that than nearest (skipped without ../shared/data)",
  async () => {
    const truth = at("truth.nc");
    const regridded = await climax("regrid", eraInterim, "--res", "1.40625", "-o", truth, "-q");
    expect(regridded.code, regridded.err).toBe(0);
    const states = await openStates([truth]);
    const wanted = await states.read(0, "geopotential_500");
    const errors: number[] = [];
    for (const method of ["bicubic", "bilinear", "nearest"]) {
      const output = at(`real-${method}.nc`);
      const asked = ["--model", method, "--input", truth, "--coarsen", "4", "-o", output, "-q"];
      const { code, err } = await run(...asked, "--variables", "geopotential_500");
      expect(code, err).toBe(0);
      const file = await openForecastFile(output);
      expect(sameGrid(file.grid, regularGrid(1.40625))).toBe(true);
      const found = await file.fields.get("geopotential_500")!.read(0, 0);
      await file.close();
      errors.push(Math.sqrt(found.reduce((sum, x, i) => sum + (x - wanted[i]!) ** 2, 0) / found.length));
    }
    await states.close();
    const [bicubic, bilinear, nearest] = errors as [number, number, number];
    expect(bicubic).toBeLessThan(bilinear);
    expect(bilinear).toBeLessThan(nearest);
    // 19 m2 s-2 measured, of a field whose deviation is some 3000: one cell off would be hundreds.
    expect(bicubic).toBeLessThan(30);
  },
);

describe("refused", () => {
  async function refusal(...argv: string[]): Promise<string> {
    const before = readdirSync(root);
    const { code, out, err } = await run("--quiet", "-o", at("x.nc"), ...argv);
    expect({ code, out, err }).toMatchObject({ code: 2, out: "" });
    expect(err).toMatch(/^error: [^\n]+\nhint: {2}[^\n]+\n$/);
    expect(readdirSync(root)).toEqual(before);
    return err;
  }

  test("a checkpoint for forecasts, and one for downscaling in climax forecast", async () => {
    const forecasts = at("forecasts.safetensors");
    await (await writeToyCheckpoint(forecasts)).close();
    expect(await refusal("--checkpoint", forecasts, "--input", coarse)).toContain(
      `${forecasts} was not trained for downscaling`,
    );
    const { code, err } = await climax(
      ...["forecast", "--checkpoint", checkpoint, "--input", fine, "--lead", "6h", "-o", at("x.nc")],
    );
    expect(code).toBe(2);
    expect(err).toContain(`${checkpoint} was trained for downscaling`);
    expect(err).toContain("climax downscale");
  });

  test("fields on neither grid, and blocks of another size", async () => {
    const other = await writeToyStates(at("other.nc"), { grid: regularGrid(30), hours: [0] });
    expect(await refusal("--checkpoint", checkpoint, "--input", other)).toContain(
      `${checkpoint} makes 8 x 16, 22.5 degrees from 4 x 8, 45 degrees; ${other} is on 6 x 12, 30 degrees`,
    );
    expect(await refusal("--checkpoint", checkpoint, "--input", fine, "--coarsen", "2")).toContain(
      "on 4 x 8, 45 degrees after --coarsen, at -67.5N 11.25E instead of -67.5N 0E",
    );
    expect(await refusal("--checkpoint", checkpoint, "--input", fine, "--coarsen", "3")).toContain(
      "means over blocks of 3 x 3 points do not tile the grid",
    );
  });

  test.each<[string, string[], string]>([
    ["neither model nor checkpoint", [], "neither --checkpoint nor --model was given"],
    ["both", ["--model", "bilinear", "--checkpoint", "a"], "found both --checkpoint a and --model bilinear"],
    ["no fine grid", ["--model", "nearest"], "--model nearest without --res: the fine grid is not known"],
    ["a grid for a checkpoint", ["--checkpoint", "a", "--res", "1"], "found --res 1 with a checkpoint"],
    [
      "a variable that is not there",
      ["--model", "nearest", "--res", "5", "--variables", "t2m"],
      "2m_temperature",
    ],
    ["a method that is none", ["--model", "cubic", "--res", "5"], "--model"],
  ])("%s", async (_, argv, message) => {
    expect(await refusal(...argv, "--input", coarse)).toContain(message);
  });
});
