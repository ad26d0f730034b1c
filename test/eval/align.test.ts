/** Truth and forecasts on one grid: as they are, cut, or regridded, and said. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseTime } from "../../src/data/time.ts";
import { alignAll } from "../../src/eval/align.ts";
import type { RegridChoice } from "../../src/eval/commongrid.ts";
import { type ForecastSystem, openSystems } from "../../src/eval/systems.ts";
import type { Truth } from "../../src/eval/truth.ts";
import { type Grid, makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { makeRegridder } from "../../src/grid/regrid.ts";
import { tinyFolder, writeForecast } from "./tinyfiles.ts";

const time = parseTime("2018-01-01", "standard");
const name = "2m_temperature";
type Height = (lat: number, lon: number) => number;
/** Smooth, and nowhere the same. */
const wave: Height = (lat, lon) =>
  280 + 20 * Math.sin((lat * Math.PI) / 60) + 5 * Math.cos(((lon + 2 * lat) * Math.PI) / 90);
const fieldOn = ({ lat, lon }: Grid, height: Height) =>
  Float32Array.from({ length: lat.length * lon.length }, (_, i) =>
    height(lat[Math.floor(i / lon.length)]!, lon[i % lon.length]!),
  );

const truthOn = (grid: Grid, height = wave): Truth => ({
  ...{ path: "truth.nc", grid, synthetic: false, calendar: "standard", times: [time], notes: [] },
  units: new Map([[name, "K"]]),
  splitOf: () => undefined,
  read: async () => fieldOn(grid, height),
  training: async () => () => fieldOn(grid, () => 7),
  close: async () => {},
});
const systemOn = (grid: Grid, label = "ours", height = wave, region?: string): ForecastSystem => ({
  ...{ name: label, paths: [`${label}.nc`], grid, calendar: "standard", synthetic: false },
  ...{ initialTimes: [time], leads: [6], units: new Map([[name, "K"]]), members: 1 },
  ...{ averageHours: undefined, region, made: [] },
  has: () => true,
  read: async () => fieldOn(grid, height),
});
const none = new Map<string, never>();
const part = ({ lat, lon }: Grid, rows: number[], columns: number[]) =>
  makeGrid(
    rows.map((row) => lat[row]!),
    columns.map((column) => lon[column]!).sort((a, b) => a - b),
  );
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
const forecastOf = (system: ForecastSystem) => system.read(name, time, 6);

const [coarse, fine] = [regularGrid(22.5), regularGrid(7.5)];
/** 13 x 24 with both poles, as most of WeatherBench 2's. */
const poles = makeGrid(
  range(-6, 7).map((i) => 15 * i),
  range(0, 24).map((i) => 15 * i),
);

describe("grids that fit", () => {
  test("the same grid: nothing is touched", () => {
    const [truth, system] = [truthOn(coarse), systemOn(regularGrid(22.5))];
    const aligned = alignAll(truth, [system], none);
    expect(aligned.truth).toBe(truth);
    expect(aligned.systems[0]).toBe(system);
    expect([aligned.region, aligned.notes]).toEqual(["global", []]);
  });

  test("units of a bench: scaled, truth and forecasts", async () => {
    const units = new Map([[name, { units: "mK", scale: 1000 }]]);
    const { truth, systems } = alignAll(truthOn(coarse), [systemOn(coarse)], units);
    const wanted = fieldOn(coarse, wave).map((value) => value * 1000);
    expect(await truth.read(name, 0)).toEqual(wanted);
    expect(await forecastOf(systems[0]!)).toEqual(wanted);
    expect([truth.units.get(name), systems[0]!.units.get(name)]).toEqual(["mK", "mK"]);
  });

  test("a regional forecast on points of the truth: all is cut to it, nothing regridded", async () => {
    const region = part(coarse, [4, 5, 6], [2, 3, 4, 5]);
    const aligned = alignAll(
      truthOn(coarse),
      [systemOn(coarse, "global"), systemOn(region, "ours", wave, "Somewhere")],
      none,
    );
    expect(aligned.region).toBe("Somewhere");
    expect(aligned.notes).toEqual([
      "cut to the region of ours.nc, Somewhere, 3 x 4, 22.5 degrees, 11.25..56.25N 45..112.5E: " +
        "the truth truth.nc (8 x 16, 22.5 degrees), global (global.nc) (8 x 16, 22.5 degrees)",
    ]);
    expect(await aligned.truth.read(name, 0)).toEqual(fieldOn(region, wave));
    for (const system of aligned.systems) expect(await forecastOf(system)).toEqual(fieldOn(region, wave));
    expect(await (await aligned.truth.training!("mean", name))(time)).toEqual(new Float32Array(12).fill(7));
  });

  test("across Greenwich", async () => {
    const region = part(coarse, [3, 4], [14, 15, 0, 1]);
    const { truth, notes } = alignAll(truthOn(coarse), [systemOn(region)], none);
    expect(await truth.read(name, 0)).toEqual(fieldOn(region, wave));
    expect(notes[0]).toMatch(
      /^cut to the region of ours\.nc, 2 x 4, 22.5 degrees, -11.25\.\.11.25N 315\.\.22.5E: the truth/,
    );
  });

  test("every second point of a region: all is cut to those, and what is regridded is had there", async () => {
    const region = part(coarse, [3, 5, 6], [2, 4, 6]);
    const aligned = alignAll(truthOn(coarse), [systemOn(region), systemOn(fine, "fine")], none);
    expect(await aligned.truth.read(name, 0)).toEqual(fieldOn(region, wave));
    expect(await forecastOf(aligned.systems[0]!)).toEqual(fieldOn(region, wave));
    const whole = makeRegridder(fine, coarse, "conservative").apply(fieldOn(fine, wave));
    const there = [3, 5, 6].flatMap((row) => [2, 4, 6].map((column) => whole[row * 16 + column]!));
    expect(await forecastOf(aligned.systems[1]!)).toEqual(Float32Array.from(there));
  });

  test("a regional truth: a global forecast is cut to it; regions that overlap, to what they share", async () => {
    const region = part(coarse, [4, 5, 6], range(2, 7));
    const cut = alignAll(truthOn(region), [systemOn(coarse)], none);
    expect(await forecastOf(cut.systems[0]!)).toEqual(fieldOn(region, wave));
    expect(cut.region).toBe("3 x 5, 22.5 degrees, 11.25..56.25N 45..135E");
    expect(cut.notes).toEqual([
      "cut to 3 x 5, 22.5 degrees, 11.25..56.25N 45..135E: ours (ours.nc) (8 x 16, 22.5 degrees)",
    ]);
    const beside = part(coarse, [3, 4, 5], range(4, 9));
    const both = alignAll(truthOn(region), [systemOn(beside)], none);
    const shared = part(coarse, [4, 5], [4, 5, 6]);
    expect(await both.truth.read(name, 0)).toEqual(fieldOn(shared, wave));
    expect(await forecastOf(both.systems[0]!)).toEqual(fieldOn(shared, wave));
  });
});

describe("grids that differ", () => {
  test.for([
    ["auto", fine, "conservative"],
    ["auto", regularGrid(30), "bilinear"],
    ["auto", poles, "conservative"],
    ["bilinear", fine, "bilinear"],
    ["conservative", regularGrid(30), "conservative"],
    ["nearest", fine, "nearest"],
  ] as const)("%s from %#: onto the truth's grid", async ([regrid, from, method]) => {
    const aligned = alignAll(truthOn(coarse), [systemOn(from)], none, { regrid });
    const wanted = makeRegridder(from, coarse, method).apply(fieldOn(from, wave));
    expect(await forecastOf(aligned.systems[0]!)).toEqual(wanted);
    expect(aligned.systems[0]!.grid).toBe(coarse);
    expect(aligned.region).toBe("global");
    const size = `${from.lat.length} x ${from.lon.length}, ${from.lon[1]} degrees`;
    expect(aligned.notes).toEqual([
      `ours (ours.nc): regridded from ${size} to 8 x 16, 22.5 degrees, ${method}`,
    ]);
  });

  test("every third point of a finer grid is no part of it: regridded, not picked", async () => {
    const third = makeGrid(
      range(0, 8).map((i) => fine.lat[3 * i + 1]!),
      range(0, 16).map((i) => fine.lon[3 * i]!),
    );
    const aligned = alignAll(truthOn(third), [systemOn(fine)], none);
    expect(aligned.notes).toEqual([
      "ours (ours.nc): regridded from 24 x 48, 7.5 degrees to 8 x 16, 22.5 degrees, conservative",
    ]);
    expect(await forecastOf(aligned.systems[0]!)).not.toEqual(fieldOn(third, wave));
  });

  test("a region of another grid: all is cut to what it covers, as regridding the globe gives there", async () => {
    const region = part(fine, range(10, 23), range(5, 30));
    const whole = makeRegridder(fine, coarse, "conservative").apply(fieldOn(fine, wave));
    const aligned = alignAll(
      truthOn(coarse),
      [systemOn(region, "ours", wave, "There"), systemOn(fine, "globe"), systemOn(coarse, "fits")],
      none,
    );
    // Rows 10 to 22 are -15 to 82.5 N: whole cells of 22.5 degrees from 0 to 67.5; columns 33.75 to 221.25.
    const to = part(coarse, [4, 5, 6], range(2, 10));
    expect([[...aligned.truth.grid.lat], [...aligned.truth.grid.lon]]).toEqual([[...to.lat], [...to.lon]]);
    expect(aligned.region).toBe("There");
    expect(await aligned.truth.read(name, 0)).toEqual(fieldOn(to, wave));
    const wanted = Float32Array.from(
      [4, 5, 6].flatMap((row) => range(2, 10).map((column) => whole[row * 16 + column]!)),
    );
    expect(await forecastOf(aligned.systems[2]!)).toEqual(fieldOn(to, wave));
    for (const system of aligned.systems.slice(0, 2)) {
      const found = await forecastOf(system);
      // Weights are those of the same cells, summed in the same order: float32 rounds alike.
      for (const [i, value] of found.entries()) expect(value).toBeCloseTo(wanted[i]!, 4);
    }
    expect(aligned.notes).toEqual([
      "ours (ours.nc): regridded from 13 x 25, 7.5 degrees, -11.25..78.75N 37.5..217.5E to 3 x 8, 22.5 degrees, 11.25..56.25N 45..202.5E, conservative",
      "globe (globe.nc): regridded from 24 x 48, 7.5 degrees to 3 x 8, 22.5 degrees, 11.25..56.25N 45..202.5E, conservative",
      "cut to the region of ours.nc, There, 3 x 8, 22.5 degrees, 11.25..56.25N 45..202.5E: the truth truth.nc (8 x 16, 22.5 degrees), fits (fits.nc) (8 x 16, 22.5 degrees)",
    ]);
  });

  test("a grid of its own: truth, climatology and forecasts", async () => {
    const [lonely, degrees] = [truthOn(fine), 22.5];
    const aligned = alignAll(lonely, [systemOn(poles), systemOn(coarse, "fits")], none, { grid: degrees });
    const regrid = makeRegridder(fine, coarse, "conservative");
    expect(await aligned.truth.read(name, 0)).toEqual(regrid.apply(fieldOn(fine, wave)));
    expect(await (await aligned.truth.training!("mean", name))(time)).toEqual(new Float32Array(128).fill(7));
    expect(await forecastOf(aligned.systems[1]!)).toEqual(fieldOn(coarse, wave));
    expect(aligned.notes).toEqual([
      "the truth truth.nc: regridded from 24 x 48, 7.5 degrees to 8 x 16, 22.5 degrees, conservative",
      "ours (ours.nc): regridded from 13 x 24, 15 degrees to 8 x 16, 22.5 degrees, conservative",
    ]);
    expect(() => alignAll(lonely, [systemOn(fine)], none, { grid: 7 })).toThrow(
      "a regular global grid of 7 degrees does not exist: the resolution must divide 180",
    );
  });

  test("gaps: conservative leaves them out of a cell, bilinear gives a gap", async () => {
    const holed: Height = (lat, lon) => (lat > 0 && lat < 7.5 && lon === 45 ? Number.NaN : 1);
    const gaps = async (regrid: RegridChoice) => {
      const { systems } = alignAll(truthOn(coarse), [systemOn(fine, "ours", holed)], none, { regrid });
      return [...(await forecastOf(systems[0]!))].filter(Number.isNaN).length;
    };
    expect(await gaps("conservative")).toBe(0);
    const beside: Height = (lat, lon) => (Math.abs(lat - 11.25) < 1 && lon === 45 ? Number.NaN : 1);
    const { systems } = alignAll(truthOn(coarse), [systemOn(fine, "ours", beside)], none, {
      regrid: "bilinear",
    });
    expect(Number.isNaN((await forecastOf(systems[0]!))[4 * 16 + 2])).toBe(true);
  });

  test("other fields through the same alignment", () => {
    const region = part(coarse, [4, 5, 6], [2, 3, 4, 5]);
    const aligned = alignAll(truthOn(coarse), [systemOn(region)], none);
    const alignment = aligned.alignmentOf(fine, "the climatology c.nc");
    expect(alignment.note).toBe(
      "the climatology c.nc: regridded from 24 x 48, 7.5 degrees to 3 x 4, 22.5 degrees, 11.25..56.25N 45..112.5E, conservative",
    );
    expect(alignment.apply(name, new Float32Array(24 * 48).fill(3))).toEqual(new Float32Array(12).fill(3));
    expect(aligned.alignmentOf(coarse, "same").note).toBeUndefined();
    expect(() => aligned.alignmentOf(part(coarse, [4, 5], [2, 3, 4, 5]), "c.nc")).toThrow(
      "c.nc (2 x 4, 22.5 degrees, 11.25..33.75N 45..112.5E) does not cover all that is scored, 3 x 4, 22.5 degrees, 11.25..56.25N 45..112.5E",
    );
  });
});

describe("refused", () => {
  test("grids that differ, where nothing is to be regridded", () => {
    expect(() => alignAll(truthOn(coarse), [systemOn(fine)], none, { regrid: "none" })).toThrow(
      expect.objectContaining({
        kind: "grid",
        message: "ours (ours.nc) is on 24 x 48, 7.5 degrees, the truth truth.nc on 8 x 16, 22.5 degrees",
        hint: "let forecasts be regridded (leave --regrid none out), or put both on one grid first: climax regrid IN --res ... -o OUT",
      }),
    );
    // A part of the same points needs none.
    const region = part(coarse, [4, 5, 6], [2, 3, 4, 5]);
    expect(alignAll(truthOn(coarse), [systemOn(region)], none, { regrid: "none" }).truth.grid).toEqual(
      region,
    );
  });

  test("regions that share nothing", () => {
    const [a, b] = [part(coarse, [5, 6], [2, 3, 4]), part(coarse, [5, 6], [8, 9, 10])];
    expect(() => alignAll(truthOn(coarse), [systemOn(a, "west"), systemOn(b, "east")], none)).toThrow(
      "no point of 8 x 16, 22.5 degrees is covered by all of the truth truth.nc (8 x 16, 22.5 degrees), west (west.nc) (2 x 3",
    );
  });
});

describe("the same numbers in another order", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await tinyFolder();
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("north first, from -180, or both: bit for bit the same field, regridded too", async () => {
    const lats = [...fine.lat];
    const west = [...fine.lon].map((lon) => (lon >= 180 ? lon - 360 : lon)).toSorted((a, b) => a - b);
    const layouts: [string, number[], number[]][] = [
      ["plain", lats, [...fine.lon]],
      ["north", lats.toReversed(), [...fine.lon]],
      ["west", lats, west],
      ["both", lats.toReversed(), west],
      ["rolled", lats, [...fine.lon.slice(20), ...fine.lon.slice(0, 20)]],
    ];
    const paths = await Promise.all(
      layouts.map(([label, lat, lon]) => {
        const values = lat.flatMap((y) => lon.map((x) => wave(y, x < 0 ? x + 360 : x)));
        return writeForecast(join(folder, `${label}.nc`), [0], [6], { [name]: [[values]] }, { lat, lon });
      }),
    );
    const { systems, close } = await openSystems(
      paths,
      layouts.map(([label]) => label),
    );
    for (const regrid of ["conservative", "bilinear", "nearest"] as const) {
      const aligned = alignAll(truthOn(coarse), systems, none, { regrid });
      const [plain, ...others] = await Promise.all(aligned.systems.map(forecastOf));
      for (const other of others) expect(other).toEqual(plain);
    }
    await close();
  });
});
