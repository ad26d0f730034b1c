/** climax forecast with checkpoints of other tasks, as typed: regions, means, projections. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { addHours, formatTime, parseTime } from "../../src/data/time.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import { createNetcdf } from "../../src/files/netcdf4writer.ts";
import { makeGrid, sameGrid } from "../../src/grid/grid.ts";
import { Predictor } from "../../src/infer/predictor.ts";
import { openStates } from "../../src/infer/states.ts";
import { type CheckpointInfo, openCheckpoint, writeCheckpoint } from "../../src/model/checkpoint.ts";
import { NetworkConfig, networkOf } from "../../src/model/network.ts";
import { climax } from "../support/climax.ts";
import { gpu } from "../support/gpu.ts";
import { writeToyCheckpoint, writeToyStates } from "../support/toycheckpoint.ts";
import { tinyModel } from "../support/toyrun.ts";
import { toyGrid, toyNames, toyStart, toyValue, writeToySet } from "../support/toyset.ts";

let root: string;
let input: string;
const at = (name: string) => join(root, name);
const names = ["orography", ...toyNames];
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-cli-tasks-"));
  input = await writeToyStates(at("states.nc"));
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

async function attributesOf(path: string, variable?: string): Promise<Record<string, unknown>> {
  const dataset = await openDataset(path);
  const { attributes } = variable === undefined ? dataset : dataset.variables.get(variable)!;
  await dataset.close();
  return Object.fromEntries(attributes);
}

/** A checkpoint of any network, with some of its starting weights made large, so that inputs matter. */
async function writeNetwork(path: string, config: unknown, info: Partial<CheckpointInfo>): Promise<string> {
  const model = NetworkConfig.parse(config);
  const network = networkOf(model);
  const values = network.initialise(3);
  const whole: CheckpointInfo = {
    format: "climax-checkpoint",
    version: 1,
    model,
    task: { kind: "forecast" },
    variables: [],
    outputs: [],
    grid: { lat: [...toyGrid.lat], lon: [...toyGrid.lon] },
    leads: [24],
    synthetic: true,
    provenance: {},
    ...info,
  };
  await writeCheckpoint(path, whole, (name) =>
    /(token_embeds|proj|head).*weight$/.test(name) ? values.get(name)!.map((x) => 10 * x) : values.get(name)!,
  );
  return path;
}

const scaled = (name: string, mean: number, std: number) => ({ name, units: "K", mean, std });

describe("a region", () => {
  // Across Greenwich: rows 4 to 7, columns 0 to 3 and 14, 15.
  const rows = [4, 5, 6, 7];
  const columns = [0, 1, 2, 3, 14, 15];
  const grid = makeGrid(
    rows.map((row) => toyGrid.lat[row]!),
    columns.map((column) => toyGrid.lon[column]!),
  );
  let checkpoint: string;
  beforeAll(async () => {
    checkpoint = await writeNetwork(
      at("region.safetensors"),
      { ...tinyModel, variables: names, gridShape: [8, 16], region: { rows: [2, 3], columns: [0, 1, 7] } },
      {
        variables: names.map((name) => scaled(name, 280, 6)),
        outputs: toyNames,
        grid: { lat: [...grid.lat], lon: [...grid.lon] },
        region: "0..90,310..70",
        leads: { min: 6, max: 168, step: 6 },
      },
    );
  });

  test("is cut out of global fields by coordinates, or taken as it is", async () => {
    const regional = await writeToyStates(at("regional.nc"), { grid });
    const asked = ["--checkpoint", checkpoint, "--time", "2001-01-01T06", "--lead", "24h"];
    const [cut, whole] = [at("cut.nc"), at("whole.nc")];
    const first = await run(...asked, "--input", input, "-o", cut);
    expect(first.code, first.err).toBe(0);
    expect(first.err).toContain(`${input} cut to 0..90,310..70: 4 x 6, 22.5 degrees`);
    const second = await run(...asked, "--input", regional, "-o", whole);
    expect(second.code, second.err).toBe(0);
    expect(second.err).not.toContain("cut to");
    const [a, b] = [await openForecastFile(cut), await openForecastFile(whole)];
    expect(sameGrid(a.grid, grid)).toBe(true);
    for (const name of toyNames)
      expect(await a.fields.get(name)!.read(0, 0)).toEqual(await b.fields.get(name)!.read(0, 0));
    await a.close();
    await b.close();
    expect(await attributesOf(cut)).toMatchObject({ climax_region: "0..90,310..70" });
  });

  test("that the input does not have is refused", async () => {
    const elsewhere = makeGrid(toyGrid.lat.slice(0, 4), toyGrid.lon);
    const south = await writeToyStates(at("south.nc"), { grid: elsewhere, hours: [0] });
    const err = await refusal("--checkpoint", checkpoint, "--input", south, "--lead", "24h");
    expect(err).toContain(`${checkpoint} is for 0..90,310..70, 4 x 6, 22.5 degrees`);
    expect(err).toContain("which does not have its points");
  });
});

test("means say over how long they are", async () => {
  const checkpoint = at("s2s.safetensors");
  await (
    await writeToyCheckpoint(checkpoint, { task: { kind: "mean", hours: 336 }, leads: [336, 672] })
  ).close();
  const output = at("s2s.nc");
  const asked = ["--checkpoint", checkpoint, "--input", input, "--time", "2001-01-01T00"];
  const { code, err } = await run(...asked, "--lead", "2w,4w", "-o", output, "-q");
  expect(code, err).toBe(0);
  expect(await attributesOf(output)).toMatchObject({
    title: "SYNTHETIC direct forecasts of means over 14d by ClimaX",
    climax_average_hours: "336",
  });
  expect(await attributesOf(output, "2m_temperature")).toMatchObject({
    cell_methods: "prediction_timedelta: mean",
  });
  const dataset = await openDataset(output);
  const bounds = await dataset.variables.get("prediction_timedelta_bnds")!.readUnpacked();
  await dataset.close();
  expect([...bounds]).toEqual([336, 672, 672, 1008]);
  const file = await openForecastFile(output);
  expect(file.leads).toEqual([336, 672]);
  await file.close();
  expect(await refusal(...asked, "--lead", "2w", "--rollout", "2w")).toContain(
    "was trained for means over 14d",
  );
});

test("outputs come back by statistics of their own where the checkpoint has them", async () => {
  const [plain, moved] = [at("plain.safetensors"), at("moved.safetensors")];
  const first = await writeToyCheckpoint(plain);
  const { mean, std } = first.info.variables.find(({ name }) => name === "2m_temperature")!;
  await first.close();
  const targets = [{ ...scaled("2m_temperature", mean + 100, 2 * std) }];
  await (await writeToyCheckpoint(moved, { targets })).close();
  const found: Float32Array[] = [];
  for (const checkpoint of [plain, moved]) {
    const output = at("targets.nc");
    const asked = ["--input", input, "--time", "2001-01-01T00", "--lead", "24h", "-o", output, "-q"];
    expect((await run("--checkpoint", checkpoint, ...asked)).code).toBe(0);
    const file = await openForecastFile(output);
    for (const name of toyNames) found.push(await file.fields.get(name)!.read(0, 0));
    await file.close();
  }
  const [t2m, t850, t2mMoved, t850Moved] = found as [Float32Array, Float32Array, Float32Array, Float32Array];
  expect(t850Moved).toEqual(t850);
  // One rounding of values up to 400 in either.
  for (const [i, value] of t2m.entries())
    expect(Math.abs(mean + 100 + 2 * (value - mean) - t2mMoved[i]!)).toBeLessThan(2e-4);
});

describe("a projection", () => {
  const history = 3;
  const years = [2000, 2001, 2002, 2003, 2004, 2006, 2007, 2008, 2009]; // 2005 is not there
  const lead0 = ["2m_temperature", "temperature_850"];
  let checkpoint: string;
  let scenario: string;
  beforeAll(async () => {
    const variables = [...lead0, "temperature_500"];
    checkpoint = await writeNetwork(
      at("projection.safetensors"),
      {
        ...{
          type: "projection",
          variables,
          inputs: lead0,
          outputs: ["temperature_500"],
          gridShape: [8, 16],
        },
        ...{ history, patchSize: 2, embedDim: 16, depth: 1, heads: 2, dropout: 0, dropPath: 0 },
      },
      {
        task: { kind: "projection", history },
        variables: variables.map((name) => scaled(name, 280, 6)),
        inputs: lead0,
        outputs: ["temperature_500"],
        leads: [0],
      },
    );
    scenario = at("scenario.nc");
    const start = parseTime("1970-01-01", "standard");
    const hours = years.map(
      (year) => (parseTime(`${year}-07-01`, "standard").seconds - start.seconds) / 3600,
    );
    const axis = (name: string, units: string, data: ArrayLike<number>) => ({
      name,
      dimensions: [name],
      dtype: "float64" as const,
      attributes: { standard_name: name, units },
      data,
    });
    const writer = await createNetcdf(scenario, {
      dimensions: { time: years.length, latitude: 8, longitude: 16 },
      variables: [
        axis("time", "hours since 1970-01-01", hours),
        axis("latitude", "degrees_north", toyGrid.lat),
        axis("longitude", "degrees_east", toyGrid.lon),
        ...lead0.map((name) => ({
          name,
          dimensions: ["time", "latitude", "longitude"],
          dtype: "float32" as const,
          attributes: { units: "K" },
          data: years.flatMap((year) =>
            Array.from({ length: 128 }, (_, i) =>
              toyValue(name, addHours(toyStart, 7 * year), toyGrid.lat[i >> 4]!, toyGrid.lon[i & 15]!),
            ),
          ),
        })),
      ],
    });
    await writer.close();
  });

  test("has every year with enough history, at lead 0", async () => {
    const output = at("projection.nc");
    const { code, out, err } = await run(
      ...["--checkpoint", checkpoint, "--input", scenario, "--batch-size", "2", "-o", output],
    );
    expect(code, err).toBe(0);
    expect(out).toContain(": 1 variables, 5 times, SYNTHETIC");
    expect(err).toContain("4 of 9 times left out: too little history");
    const file = await openForecastFile(output);
    expect(file.leads).toEqual([0]);
    expect(file.initial.map((time) => formatTime(time).slice(0, 4))).toEqual([
      "2002",
      "2003",
      "2004",
      "2008",
      "2009",
    ]);
    const opened = await openCheckpoint(checkpoint);
    const predictor = await Predictor.load(gpu, opened);
    const states = await openStates([scenario], lead0);
    for (const [t, last] of [2, 3, 4, 7, 8].entries()) {
      const fields = new Float32Array(history * 2 * 128);
      for (let back = 0; back < history; back++)
        for (const [v, name] of lead0.entries())
          fields.set(await states.read(last - back, name), ((history - 1 - back) * 2 + v) * 128);
      const wanted = await predictor.predict({ variables: lead0, fields, leadHours: [0] }, [
        "temperature_500",
      ]);
      const found = await file.fields.get("temperature_500")!.read(t, 0);
      // Another batch may sum in another order: rounding of values of 280.
      for (const [i, value] of found.entries()) expect(Math.abs(value - wanted[i]!)).toBeLessThan(2e-4);
    }
    const [a, b] = [
      await file.fields.get("temperature_500")!.read(0, 0),
      await file.fields.get("temperature_500")!.read(1, 0),
    ];
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeGreaterThan(0.01);
    await states.close();
    await opened.close();
    await file.close();
    expect(await attributesOf(output)).toMatchObject({ title: "SYNTHETIC projections by ClimaX" });
  });

  test("of chosen times, which must have their history; of a set, history may come from other splits", async () => {
    const asked = ["--checkpoint", checkpoint, "--input", scenario];
    const output = at("chosen.nc");
    expect((await run(...asked, "--time", "2003", "-o", output, "-q")).code).toBe(0);
    const err = await refusal(...asked, "--time", "2007..2008");
    expect(err).toContain("takes 3 steps of history");
    expect(err).toContain("has them for 1 of the 2 times that are wanted");
    const set = await writeToySet(at("yearly"), {
      splits: {
        train: "2001-01-01..2001-01-25",
        val: "2001-01-26..2001-01-30",
        test: "2001-01-31..2001-01-31",
      },
    });
    const all = await run("--checkpoint", checkpoint, "--input", set, "-o", output, "-q");
    expect(all.code, all.err).toBe(0);
    const file = await openForecastFile(output);
    expect(file.initial.map(formatTime)).toEqual(
      [0, 6, 12, 18].map((h) => `2001-01-31T${String(h).padStart(2, "0")}:00:00`),
    );
    await file.close();
  });

  test.each<[string, string[], string]>([
    ["leads", ["--lead", "24h"], "found --lead 24h with a checkpoint for projections"],
    ["a roll-out", ["--rollout", "6h"], "found --rollout with"],
    ["noise", ["--ensemble.members", "2", "--ensemble.noise", "1"], "found --ensemble.noise with"],
    ["lags", ["--ensemble.lag", "6h"], "they start from no state"],
  ])("takes no %s", async (_, argv, message) => {
    expect(await refusal("--checkpoint", checkpoint, "--input", scenario, ...argv)).toContain(message);
  });
});
