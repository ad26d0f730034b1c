/** The NetCDF file of scores, read by ourselves and by xarray. */
import { execFileSync, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { writeScoresNetcdf } from "../../src/scores/scoresnetcdf.ts";
import { tinyFolder } from "../eval/tinyfiles.ts";
import { tinyScores } from "./tinyscores.ts";

const python = "/usr/bin/python3";
const noXarray = spawnSync(python, ["-c", "import xarray, netCDF4"]).status !== 0;
const noNcdump = spawnSync("ncdump", []).error !== undefined;

const scores = tinyScores();
const { rows, differences } = scores.document;
let folder: string;
let path: string;

beforeAll(async () => {
  folder = await tinyFolder();
  path = join(folder, "scores.nc");
  await writeScoresNetcdf(path, scores);
});
afterAll(() => rmSync(folder, { recursive: true }));

const row = (system: string, metric: string, lead: number, region: string, season: string) =>
  rows.find(
    (one) =>
      one.system === system &&
      one.metric === metric &&
      one.lead_hours === lead &&
      one.region === region &&
      one.season === season,
  )!;

test("axes, and a score at its place along them", async () => {
  const { variables, attributes, close } = await openDataset(path);
  const text = (name: string) => variables.get(name)!.readText();
  expect(await text("system")).toEqual(["ours", "theirs", "climatology"]);
  expect(await text("metric")).toEqual(["rmse", "bias"]);
  expect(await text("season")).toEqual(["all", "DJF"]);
  expect(await text("versus")).toEqual(["theirs", "climatology"]);
  expect(await text("score_units")).toEqual(["K", "K"]);
  expect([...(await variables.get("lead_time")!.read())]).toEqual([24, 72]);
  expect([...(await variables.get("members")!.read())]).toEqual([4, 1, 1]);
  const value = variables.get("value")!;
  expect(value.dimensions).toEqual(["system", "metric", "variable", "lead_time", "region", "season"]);
  const [score] = await value.read([1, 1, 0, 1, 1, 0], [1, 1, 1, 1, 1, 1]);
  expect(score).toBe(row("theirs", "bias", 72, "tropics", "all").value);
  expect(attributes.get("definition")).toBe("weatherbench2");
  expect(attributes.get("files")).toBe("ours.nc 10 sha256:00ff");
  expect(attributes.has("anomalies")).toBe(false);
  await close();
});

test("maps and curves", async () => {
  const { variables, close } = await openDataset(path);
  const map = variables.get("bias_map")!;
  expect(map.dimensions).toEqual(["system", "variable", "lead_time", "latitude", "longitude"]);
  expect([...(await map.read([1, 0, 1, 0, 0], [1, 1, 1, 2, 2]))]).toEqual([144, 144, 144, 144]);
  expect([...(await map.read([2, 0, 0, 0, 0], [1, 1, 1, 2, 2]))]).toEqual(Array(4).fill(Number.NaN));
  const spectrum = variables.get("spectrum")!;
  expect(spectrum.dimensions).toEqual(["system", "variable", "lead_time", "region", "zonal_wavenumber"]);
  expect([...(await spectrum.read([0, 0, 0, 0, 0], [1, 1, 1, 1, 2]))]).toEqual([1, 2]);
  expect([...(await variables.get("spectrum_truth")!.read([0, 0, 0, 0, 0], [1, 1, 1, 1, 2]))]).toEqual([
    3, 4,
  ]);
  expect(await variables.get("spectrum_units")!.readText()).toEqual(["m K2"]);
  await close();
});

test("a run of curves alone, without any score", async () => {
  const curves = { ...scores.document, rows: [], differences: [] };
  const alone = join(folder, "curves.nc");
  await writeScoresNetcdf(alone, { document: curves, maps: [] });
  const { variables, close } = await openDataset(alone);
  expect([...variables.keys()].toSorted()).toEqual(
    ["lead_time", "members", "region", "spectrum", "spectrum_truth", "spectrum_units", "system", "variable"]
      .concat("zonal_wavenumber")
      .toSorted(),
  );
  await close();
});

describe.skipIf(noXarray)("xarray (skipped without python3, xarray and netCDF4)", () => {
  const common = 'metric="rmse", variable="2m_temperature"';
  const pair = `sel(${common}, region="global", season="all").isel(lead_time=0).sel(system="ours")`;
  const questions = {
    limits: `[d[k].sel(system="ours", ${common}, region="tropics", season="DJF") for k in ("value", "low", "high")]`,
    samples: 'd.samples.sel(season="DJF").max()',
    hours: 'd.lead_time.values / np.timedelta64(1, "h")',
    difference: `d.difference.${pair}.sel(versus="climatology")`,
    better: `d.better.${pair}.sel(versus="climatology")`,
    p: `d.difference_p.${pair}.sel(versus="theirs")`,
    noPair: `np.isnan(d.difference.sel(system="climatology", versus="theirs")).all()`,
    map: 'd.rmse_map.sel(system="ours", latitude=-60, longitude=180).isel(variable=0, lead_time=0)',
  };
  let answers: Record<keyof typeof questions, unknown>;

  beforeAll(() => {
    const lines = Object.entries(questions).map(([name, question]) => `    "${name}": ${question},`);
    const program = `
import json, sys, numpy as np, xarray as xr
d = xr.open_dataset(sys.argv[1])
print(json.dumps({k: np.asarray(v).tolist() for k, v in {
${lines.join("\n")}
}.items()}))`;
    answers = JSON.parse(execFileSync(python, ["-c", program, path], { encoding: "utf8" }));
  }, 60_000);

  test("selects scores by their names", () => {
    expect(answers.limits).toEqual(
      (["value", "low", "high"] as const).map((key) =>
        [24, 72].map((lead) => row("ours", "rmse", lead, "tropics", "DJF")[key]),
      ),
    );
    expect(answers.samples).toBe(28); // 1 to 28 February
    expect(answers.hours).toEqual([24, 72]);
  });

  test("selects differences, NaN for a pair that is not there", () => {
    const against = (versus: string) =>
      differences.find(
        (one) =>
          one.system === "ours" &&
          one.versus === versus &&
          [one.metric, one.lead_hours, one.region, one.season].join() === "rmse,24,global,all",
      )!;
    expect(answers.difference).toBe(against("climatology").difference);
    expect(answers.better).toBe(1);
    expect(answers.p).toBe(against("theirs").p);
    expect(answers.noPair).toBe(true);
  });

  test("selects maps by name and place", () => {
    expect(answers.map).toBe(Math.fround(Math.sqrt(24)));
  });
});

test.skipIf(noNcdump)("NetCDF-C reads the names as its strings (skipped without ncdump)", () => {
  const header = execFileSync("ncdump", ["-h", path], { encoding: "utf8" });
  expect(header).toContain("string system(system)");
  expect(header).toContain("double value(system, metric, variable, lead_time, region, season)");
  expect(header).toContain("int samples(system, metric, variable, lead_time, region, season)");
});
