/** What benches fix, and what they refuse; climatologies, land and departures of a run. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CfTime, decodeTimes } from "../../src/data/time.ts";
import { parseName } from "../../src/data/variables.ts";
import { cutAlignment } from "../../src/eval/align.ts";
import { chooseClimatology } from "../../src/eval/baselines.ts";
import {
  bench,
  benches,
  challengeRegion,
  checkBench,
  chooseMetrics,
  chooseRegions,
  chooseVariables,
} from "../../src/eval/benches.ts";
import { departures } from "../../src/eval/departures.ts";
import { landFraction } from "../../src/eval/land.ts";
import type { Samples } from "../../src/eval/samples.ts";
import type { ForecastSystem } from "../../src/eval/systems.ts";
import { openTruth, type Truth } from "../../src/eval/truth.ts";
import { createNetcdf } from "../../src/files/netcdf4writer.ts";
import { type Grid, makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { definition } from "../../src/scores/definitions.ts";
import { metricTable } from "../../src/scores/metrics.ts";
import { regionCells } from "../../src/scores/regioncells.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { fakeArchive, fakeCells, fakeGrid, provenance } from "../support/fakearchive.ts";
import { tinyFolder, writeTruth } from "./tinyfiles.ts";

const at = (date: string): CfTime => decodeTimes([0], `hours since ${date}`, "standard")[0]!;

describe("the benches", () => {
  test("are made of variables, metrics and definitions that are known", () => {
    expect(benches.map(({ name }) => name)).toEqual([
      ...["weatherbench", "weatherbench2", "s2s", "downscaling", "climatebench"],
    ]);
    for (const one of benches) {
      for (const variable of one.variables) expect(parseName(variable).name).toBe(variable);
      for (const metric of [...one.metrics, ...one.tercileMetrics])
        expect(metricTable, `${metric} of ${one.name}`).toHaveProperty(metric);
      expect(definition(one.definition).name).toBe(one.definition);
      expect(one.period).toMatch(/^\d{4}(\.\.\d{4})?$/);
    }
    expect(() => bench("weatherbench3")).toThrow('unknown bench "weatherbench3"');
  });

  const one = [{ members: 1 }];
  const many = [{ members: 1 }, { members: 8 }];
  const of = (variables: string[], more: { terciles?: boolean; seeps?: boolean } = {}) => ({
    variables,
    terciles: false,
    ...more,
  });

  test("metrics: those asked for, else the bench's that its variables have, and of ensembles theirs", () => {
    const wb2 = bench("weatherbench2");
    expect(chooseMetrics(["crps"], wb2, one, of(["2m_temperature"]))).toEqual(["crps"]);
    expect(chooseMetrics(undefined, wb2, one, of(["2m_temperature"]))).toEqual(["rmse", "bias", "acc"]);
    const wet = ["u_component_of_wind_850", "v_component_of_wind_850", "total_precipitation_24hr"];
    // The error of a vector needs both components of every wind that is scored.
    const half = [...wet, "10m_u_component_of_wind"];
    expect(chooseMetrics(undefined, wb2, one, of(half))).toEqual(["rmse", "bias", "acc", "seeps"]);
    const all = ["rmse", "bias", "acc", "wind_vector_rmse", "seeps"];
    expect(chooseMetrics(undefined, wb2, one, of(wet))).toEqual(all);
    expect(chooseMetrics(undefined, wb2, one, of(wet, { seeps: false }))).toEqual(all.slice(0, 4));
    const ensemble = chooseMetrics(undefined, wb2, many, of(["2m_temperature"]));
    expect(ensemble).toEqual(["rmse", "bias", "acc", "crps", "spread", "spread_skill"]);
  });

  test("rpss of the S2S challenge: of ensembles, where terciles are given; over land north of 60 S too", () => {
    const s2s = bench("s2s");
    const given = of(["2m_temperature"], { terciles: true });
    expect(chooseMetrics(undefined, s2s, many, given)).toContain("rpss");
    expect(chooseMetrics(undefined, s2s, one, given)).toEqual(["rmse"]);
    expect(chooseMetrics(undefined, s2s, many, of(["2m_temperature"]))).not.toContain("rpss");
    expect(chooseRegions(undefined, ["rmse", "rpss"], true)).toEqual(["global", challengeRegion]);
    expect(chooseRegions(undefined, ["rmse", "rpss"], false)).toEqual(["global"]);
    expect(chooseRegions(["tropics"], ["rpss"], true)).toEqual(["tropics"]);
    const grid = regularGrid(30); // rows at -75, -45, ..., 75
    const land = new Float32Array(72).fill(1);
    land[70] = 0; // in the northernmost row
    const [cells] = regionCells([challengeRegion], grid, definition("climax"), land);
    expect([...cells!.cells.inside]).toEqual(
      Array.from({ length: 60 }, (_, i) => i + 12).filter((i) => i !== 70),
    );
  });

  const holding = (units: string[], name = "ours") => ({
    name,
    units: new Map(units.map((key) => [key, "K"])),
  });

  test("variables: those of the bench that all have, and what is left out and why", () => {
    const truth = {
      units: new Map([
        ["2m_temperature", "K"],
        ["temperature_850", "K"],
      ]),
    };
    const systems = [holding(["2m_temperature", "geopotential_500"]), holding(["2m_temperature"], "theirs")];
    expect(chooseVariables(undefined, bench("weatherbench"), systems, truth)).toEqual({
      variables: ["2m_temperature"],
      left: [
        "geopotential_500 (not in theirs, the truth)",
        "temperature_850 (not in ours, theirs)",
        "10m_u_component_of_wind (not in ours, theirs, the truth)",
      ],
    });
    expect(() => chooseVariables(["t_850"], bench("weatherbench"), systems, truth)).toThrow(
      "cannot score temperature_850 (not in ours, theirs)",
    );
  });

  test("two-week means are wanted by s2s; persistence has no place where there is no lead", () => {
    const system = { name: "ours", paths: ["f.nc"], averageHours: undefined } as unknown as ForecastSystem;
    expect(() => checkBench(bench("s2s"), [system], [])).toThrow(
      "bench s2s scores means over 336 h from the valid time on; ours holds states at single times",
    );
    checkBench(bench("weatherbench2"), [system], ["persistence"]);
    expect(() => checkBench(bench("downscaling"), [system], ["persistence"])).toThrow(
      "bench downscaling has forecasts without a lead; persistence would be the truth itself",
    );
  });
});

describe("departures of a run from its bench", () => {
  const samples = (
    initial: [string, string],
    leads: number[],
    valid = initial,
    hours = ["00:00", "12:00"],
  ) => {
    const [from, to] = initial;
    const day = from.slice(0, 10);
    return {
      byVariable: [
        {
          variable: "geopotential_500",
          leads,
          samples: hours.map((hour) => ({ initial: at(`${day}T${hour}`) })),
        },
      ],
      initial: [at(from), at(to)],
      valid: valid.map((date) => at(date)),
    } as unknown as Samples;
  };
  const said = (name: string, run: Samples, by: string = bench(name).definition) =>
    departures(bench(name), run, definition(by));

  test("none where dates, leads, hours and definition are those of the bench", () => {
    expect(said("weatherbench", samples(["2017-01-01", "2018-12-15"], [6, 72]))).toEqual([]);
    expect(said("weatherbench2", samples(["2020-01-01", "2020-12-31"], [6, 240]))).toEqual([]);
    const years: [string, string] = ["2080-07-01", "2100-07-01"];
    expect(said("climatebench", samples(years, [0], years))).toEqual([]);
  });

  test("each is named, in one sentence", () => {
    expect(said("weatherbench", samples(["2017-01-01", "2017-02-01"], [72, 96]), "weatherbench2")).toEqual([
      "numbers published for weatherbench do not compare with these: they are of 2017..2018, these begin at " +
        "2017-01-01 to 2017-02-01; there are none for 96 h; definition weatherbench2 in place of climax",
    ]);
    expect(
      said("weatherbench2", samples(["2020-01-01", "2020-12-31"], [6], undefined, ["00:00", "06:00"])),
    ).toEqual([
      "numbers published for weatherbench2 do not compare with these: they begin at 00, 12 UTC, these at 00, 06",
    ]);
    const outside: [string, string] = ["1980-07-01", "1999-07-01"];
    expect(said("climatebench", samples(outside, [0], outside))).toEqual([
      "numbers published for climatebench do not compare with these: they are of 2080..2100, these are of " +
        "1980-07-01 to 1999-07-01",
    ]);
  });
});

const alignmentOf = (grid: Grid) => (from: Grid) => ({
  ...cutAlignment(from, grid, new Map())!,
  note: undefined,
});

describe("land", () => {
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "climax-land-"));
  });
  afterAll(() => rmSync(root, { recursive: true }));

  test("of a prepared set: its constant, cut to what is scored; none where it has none", async () => {
    const periods = { train: "2015-12-25..2016-01-01", val: "2016-01-02", provenance };
    const [withMask, without] = [join(root, "with"), join(root, "without")];
    await prepare(
      fakeArchive({ names: ["2m_temperature"], constants: ["land_sea_mask"] }),
      withMask,
      periods,
    );
    await prepare(fakeArchive({ names: ["2m_temperature"], constants: ["orography"] }), without, periods);
    const truth = await openTruth([withMask]);
    const whole = (await landFraction(truth, alignmentOf(fakeGrid)))!;
    expect(whole.length).toBe(fakeCells);
    const rows = makeGrid(fakeGrid.lat.slice(0, 1), fakeGrid.lon);
    expect([...(await landFraction(withMask, alignmentOf(rows)))!]).toEqual([
      ...whole.slice(0, fakeGrid.lon.length),
    ]);
    await truth.close();
    const bare = await openTruth([without]);
    expect(await landFraction(bare, alignmentOf(fakeGrid))).toBeUndefined();
    await bare.close();
    await expect(landFraction(without, alignmentOf(fakeGrid))).rejects.toThrow(
      /without has no land_sea_mask; it has orography, 2m_temperature/,
    );
  });

  test("of an archive and of a file, per cent turned to fractions", async () => {
    const folder = await tinyFolder();
    const mask = await writeTruth(
      join(folder, "sftlf.nc"),
      [0],
      { sftlf: [[0, 25, 50, 100]] },
      {
        variableAttributes: { units: "%" },
      },
    );
    const grid = makeGrid([-60, 0], [0, 180]);
    expect([...(await landFraction(mask, alignmentOf(grid)))!]).toEqual([0, 0.25, 0.5, 1]);
    const states = await writeTruth(join(folder, "t.nc"), [0], { t2m: [[1, 2, 3, 4]] });
    const both = await openTruth([states, mask]);
    expect([...(await landFraction(both, alignmentOf(grid)))!]).toEqual([0, 0.25, 0.5, 1]);
    await both.close();
    const alone = await openTruth([states]);
    expect(await landFraction(alone, alignmentOf(grid))).toBeUndefined();
    await alone.close();
    await expect(landFraction(states, alignmentOf(grid))).rejects.toThrow(/land_sea_mask is not in .*t.nc/);
    const notes: string[] = [];
    await landFraction(
      mask,
      (from) => ({ ...alignmentOf(grid)(from), note: "regridded" }),
      (note) => notes.push(note),
    );
    expect(notes).toEqual(["regridded"]);
  });

  const real = "../shared/data/static-fields/earth_landmask_2deg.nc";
  test.skipIf(!existsSync(real))(
    "of real flags of sea, land and ice (skipped without ../shared/data)",
    async () => {
      let grid: Grid | undefined;
      const land = (await landFraction(real, (from) => ({
        ...alignmentOf(from)(from),
        ...{ grid: (grid = from) },
      })))!;
      // 29 % of the globe is land; latitudes weigh by their cosine.
      let [sum, total] = [0, 0];
      for (const [i, x] of land.entries()) {
        const w = Math.cos((grid!.lat[Math.floor(i / grid!.lon.length)]! * Math.PI) / 180);
        sum += w * x;
        total += w;
      }
      expect(sum / total).toBeGreaterThan(0.27);
      expect(sum / total).toBeLessThan(0.31);
    },
  );
});

describe("climatologies", () => {
  const grid = makeGrid([-60, 0], [0, 180]);
  const samples = { validSteps: [1, 2] } as unknown as Samples;
  const common = (truth: Truth, by: string) => ({
    ...{ truth, samples, definition: definition(by), alignmentOf: alignmentOf(grid) },
    baselines: ["persistence", "climatology", "climatology-dayofyear"] as const,
  });

  test("a file of states gives its mean; one by day of the year both baselines", async () => {
    const folder = await tinyFolder();
    const path = await writeTruth(join(folder, "t.nc"), [0, 6, 12], {
      t2m: [
        [1, 2, 3, 4],
        [3, 4, 5, 6],
        [5, 6, 7, 8],
      ],
    });
    const truth = await openTruth([path]);
    const plain = { ...common(truth, "climax"), baselines: ["persistence", "climatology"] as const };
    const own = await chooseClimatology({ ...plain, asked: undefined });
    expect(own.anomalies.label).toBe(
      "the mean of the truth over 2018-01-01T00:00:00 to 2018-01-01T12:00:00 (3 states)",
    );
    expect([...own.baselines.keys()]).toEqual([]);
    const asked = await chooseClimatology({ ...plain, asked: path });
    expect(asked.anomalies.label).toBe(`the mean of ${path} (3 states)`);
    expect([...asked.baselines.keys()]).toEqual(["climatology"]);
    expect([...(await (await asked.anomalies.field("2m_temperature"))!(at("2000-01-01")))]).toEqual([
      3, 4, 5, 6,
    ]);
    await asked.close();
    await expect(chooseClimatology({ ...common(truth, "climax"), asked: path })).rejects.toThrow(
      "the baseline climatology-dayofyear wants the training period of a prepared set",
    );
    const unasked = { ...common(truth, "climax"), asked: path, baselinesAsked: false };
    expect([...(await chooseClimatology(unasked)).baselines.keys()]).toEqual(["climatology"]);
    await expect(chooseClimatology({ ...plain, asked: "train" })).rejects.toThrow(
      "--climatology train wants a prepared set as the truth",
    );
    const clim = join(folder, "clim.nc");
    const axis = (name: string, data: number[], units?: string) => ({
      ...{ name, dimensions: [name], dtype: "float64" as const, data },
      attributes: units ? { units } : {},
    });
    const file = await createNetcdf(clim, {
      dimensions: { dayofyear: 1, latitude: 2, longitude: 2 },
      variables: [
        ...[axis("dayofyear", [1]), axis("latitude", [-60, 0], "degrees_north")],
        axis("longitude", [0, 180], "degrees_east"),
        {
          ...{ name: "2m_temperature", dimensions: ["dayofyear", "latitude", "longitude"] },
          ...{ dtype: "float32" as const, attributes: { units: "K" }, data: [1, 2, 3, 4] },
        },
      ],
    });
    await file.close();
    const daily = await chooseClimatology({ ...common(truth, "weatherbench2"), asked: clim });
    const label = `the climatology of ${clim} by day of the year (1 day)`;
    expect(daily.anomalies.label).toBe(label);
    expect([...daily.baselines].map(([name, { label }]) => [name, label])).toEqual([
      ["climatology", label],
      ["climatology-dayofyear", label],
    ]);
    await daily.close();
    await truth.close();
  });

  test("WeatherBench 2's definition takes the day of the year of a training period", async () => {
    const made: string[] = [];
    const truth = {
      ...{ path: "set", grid, times: [at("2017-01-01"), at("2018-01-01"), at("2018-01-02")] },
      units: new Map([["2m_temperature", "K"]]),
      splitOf: () => "test",
      training: async (kind: string) => {
        made.push(kind);
        return () => new Float32Array(4);
      },
    } as unknown as Truth;
    const chosen = await chooseClimatology({ ...common(truth, "weatherbench2"), asked: undefined });
    expect(chosen.anomalies.label).toBe(
      "the smoothed means by day of the year and hour (61-day triangular window) of the training period of set",
    );
    await chosen.anomalies.field("2m_temperature");
    expect(made).toEqual(["dayofyear"]);
    const train = await chooseClimatology({ ...common(truth, "weatherbench2"), asked: "train" });
    expect(train.anomalies.label).toBe("the mean of the training period of set");
    expect([...train.baselines.values()].map(({ label }) => label)).toEqual([
      "the mean of the training period of set",
      "the smoothed means by day of the year and hour (61-day triangular window) of the training period of set",
    ]);
  });
});
