/** Files of one system or several: joined by what they hold, few of them open at once. */
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addHours, formatTime, parseTime } from "../../src/data/time.ts";
import { factsTaker } from "../../src/eval/filefacts.ts";
import type { ForecastFile } from "../../src/eval/forecastfile.ts";
import { forecastIndex } from "../../src/eval/forecastindex.ts";
import { openSystems } from "../../src/eval/systems.ts";
import { openTruth } from "../../src/eval/truth.ts";
import { makeGrid } from "../../src/grid/grid.ts";
import { tinyFolder, writeForecast, writeTruth } from "./tinyfiles.ts";

let folder: string;
beforeAll(async () => {
  folder = await tinyFolder();
});
afterAll(() => rm(folder, { recursive: true }));

const at = (name: string) => join(folder, name);
/** A field of four equal numbers for each initial hour and lead. */
const fields = (hours: number[], leads: number[]) =>
  hours.map((hour) => leads.map((lead) => Array<number>(4).fill(hour * 10 + lead)));
const forecast = (name: string, hours: number[], leads: number[], variable = "2m_temperature", system = "") =>
  writeForecast(
    at(name),
    hours,
    leads,
    { [variable]: fields(hours, leads) },
    { attributes: system === "" ? {} : { system } },
  );

describe("files become systems", () => {
  test("one for each initial time, by a pattern in natural order: one system, each forecast from its own file", async () => {
    for (const [i, hour] of [0, 6, 12].entries()) await forecast(`run${i * 5}.nc`, [hour], [6, 24]);
    const { systems, notes, close } = await openSystems([at("run*.nc")]);
    expect(systems).toHaveLength(1);
    const [system] = systems;
    expect(system!.paths.map((path) => basename(path))).toEqual(["run0.nc", "run5.nc", "run10.nc"]);
    expect(system!.initialTimes.map(formatTime)).toEqual(
      [0, 6, 12].map((h) => `2018-01-01T${String(h).padStart(2, "0")}:00:00`),
    );
    expect(system!.leads).toEqual([6, 24]);
    for (const time of system!.initialTimes) {
      const hour = (time.seconds - system!.initialTimes[0]!.seconds) / 3600;
      expect((await system!.read("2m_temperature", time, 24))[0]).toBe(hour * 10 + 24);
    }
    expect(system!.has("2m_temperature", addHours(system!.initialTimes[0]!, 18), 6)).toBe(false);
    await expect(system!.read("2m_temperature", addHours(system!.initialTimes[0]!, 18), 6)).rejects.toThrow(
      new RangeError("run0 has no 2m_temperature from 2018-01-01T18:00:00 for 6 h"),
    );
    expect(notes.at(-1)).toMatch(
      /^3 files, .*run0\.nc to .*run10\.nc, are one system, run0; --name says otherwise$/,
    );
    await close();
  });

  test("a copy among them is another system, and that is said; two files are simply two", async () => {
    for (const hour of [0, 6]) await forecast(`day${hour}.nc`, [hour], [6]);
    await forecast("daycopy.nc", [6], [6]);
    const { systems, notes, close } = await openSystems([at("day*.nc")]);
    expect(systems.map(({ name }) => name)).toEqual(["day0", "daycopy"]);
    expect(notes).toContain(
      `${at("daycopy.nc")} holds the forecast of 2m_temperature from 2018-01-01T06:00:00 for 6 h again, which is in ` +
        `${at("day6.nc")}: taken for another system, daycopy; only what both hold is scored. Leave it out if it is a copy`,
    );
    await close();
    const two = await openSystems([at("day6.nc"), at("daycopy.nc")]);
    expect(two.notes).toEqual([]);
    await two.close();
  });

  test("one for each lead, and one for each variable", async () => {
    const paths = [
      await forecast("lead6.nc", [0, 6], [6]),
      await forecast("lead12.nc", [0, 6], [12]),
      await forecast("wind.nc", [0, 6], [6, 12], "skin_temperature"),
    ];
    const { systems, close } = await openSystems(paths);
    const [system] = systems;
    expect([systems.length, system!.leads]).toEqual([1, [6, 12]]);
    expect((await system!.read("2m_temperature", system!.initialTimes[1]!, 12))[3]).toBe(72);
    expect((await system!.read("skin_temperature", system!.initialTimes[1]!, 6))[3]).toBe(66);
    await close();
  });

  test("systems that say their names, or hold the same forecasts, are apart", async () => {
    const paths = [
      await forecast("a1.nc", [0], [6], "2m_temperature", "alpha"),
      await forecast("b1.nc", [0], [6], "2m_temperature", "beta"),
      await forecast("a2.nc", [6], [6], "2m_temperature", "alpha"),
      await forecast("plain.nc", [0], [6]),
      await forecast("other.nc", [0], [6]),
    ];
    const { systems, close } = await openSystems(paths);
    expect(systems.map(({ name, paths }) => [name, paths.length])).toEqual([
      ["alpha", 2],
      ["beta", 1],
      ["plain", 1],
      ["other", 1],
    ]);
    await close();
  });

  test("names go with patterns and folders", async () => {
    await forecast("n1.nc", [0], [6]);
    await forecast("n2.nc", [6], [6]);
    const { systems, close } = await openSystems([at("n[12].nc"), at("plain.nc")], ["ours", "theirs"]);
    expect(systems.map(({ name, paths }) => [name, paths.length])).toEqual([
      ["ours", 2],
      ["theirs", 1],
    ]);
    await close();
    await expect(openSystems([at("n1.nc"), at("n2.nc"), at("plain.nc")], ["a", "b"])).rejects.toMatchObject({
      kind: "config",
      message: "2 names for 3 forecast files",
    });
  });

  test("a note that many files give is said once", async () => {
    const celsius = { variableAttributes: { units: "degC" } };
    const paths = [0, 6, 12].map((hour) =>
      writeForecast(at(`c${hour}.nc`), [hour], [6], { "2m_temperature": fields([hour], [6]) }, celsius),
    );
    const { notes, close } = await openSystems(await Promise.all(paths), ["c"]);
    expect(notes).toEqual([`${at("c0.nc")} and 2 more: 2m_temperature: degC to K: plus 273.15`]);
    await close();
  });
});

describe("refused", () => {
  test("the same forecast twice under one name", async () => {
    const [a, b] = [await forecast("t1.nc", [0, 6], [6, 12]), await forecast("t2.nc", [6, 12], [12, 24])];
    await expect(openSystems([a, b], ["one"])).rejects.toMatchObject({
      kind: "data",
      message: `the forecast of 2m_temperature from 2018-01-01T06:00:00 for 12 h is in ${a} and again in ${b}, both of one`,
      hint: "give two systems two names with --name, or leave one of the files out",
    });
  });

  test("a baseline's name, another grid, other numbers of members", async () => {
    const a = await forecast("g1.nc", [0], [6]);
    await expect(openSystems([a], ["persistence"])).rejects.toThrow(
      "a system is named persistence, as a baseline is",
    );
    const b = await writeForecast(
      at("g2.nc"),
      [6],
      [6],
      { "2m_temperature": fields([6], [6]) },
      { lat: [-30, 30] },
    );
    await expect(openSystems([a, b], ["one"])).rejects.toMatchObject({
      kind: "grid",
      message: `${b} is on 2 x 2, 60 x 180 degrees, -30..30N 0..180E, ${a} of the same system one on 2 x 2, 60 x 180 degrees, -60..0N 0..180E`,
    });
  });

  test("a folder with nothing to read, and a pattern without matches", async () => {
    await writeTruth(at("x.txt"), [0], { "2m_temperature": [[1, 2, 3, 4]] });
    const { mkdir, rename } = await import("node:fs/promises");
    await mkdir(at("empty"));
    await rename(at("x.txt"), join(at("empty"), "x.txt"));
    await expect(openSystems([at("empty")])).rejects.toMatchObject({
      message: `${at("empty")} is a folder without files to read; it holds x.txt`,
      hint: `name the files, or a pattern in quotes: '${join(at("empty"), "*.nc")}'`,
    });
    await expect(openSystems([at("nothing*.nc")])).rejects.toThrow(
      `the pattern ${at("nothing*.nc")} matches nothing`,
    );
  });
});

test("a folder of files may be the truth, one that is no set and no data is refused", async () => {
  const { mkdir } = await import("node:fs/promises");
  await mkdir(at("truth"));
  await writeTruth(at("truth/a.nc"), [0, 6], {
    "2m_temperature": [
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ],
  });
  await writeTruth(at("truth/b.nc"), [12], { "2m_temperature": [[9, 9, 9, 9]] });
  const truth = await openTruth([at("truth")]);
  expect(truth.times.map(formatTime)).toEqual([
    "2018-01-01T00:00:00",
    "2018-01-01T06:00:00",
    "2018-01-01T12:00:00",
  ]);
  await truth.close();
  await expect(openTruth([at("empty")])).rejects.toThrow(at("empty"));
});

test("thousands of files: an index of them is made in a moment, and finds the clash of the last", () => {
  const [runs, leads] = [3000, Array.from({ length: 40 }, (_, j) => 6 * (j + 1))];
  const start = parseTime("2018-01-01", "standard");
  const presence = { has: () => true };
  const names = ["2m_temperature", "geopotential_500", "temperature_850"];
  const take = factsTaker();
  const fileOf = (hour: number, path: string): ForecastFile => ({
    ...{
      path,
      system: undefined,
      synthetic: false,
      averageHours: undefined,
      region: undefined,
      made: undefined,
    },
    notes: [],
    ...{ grid: makeGrid([-60, 0], [0, 180]), initial: [addHours(start, hour)], leads },
    fields: new Map(
      names.map((name) => [
        name,
        { units: "K", members: 1, presence, has: presence.has, read: async () => new Float32Array(4) },
      ]),
    ),
    close: async () => {},
  });
  const began = performance.now();
  const index = forecastIndex();
  for (let run = 0; run < runs; run++) {
    const file = take(fileOf(6 * run, `run${run}`));
    expect(index.clash(file)).toBeUndefined();
    index.add(file);
  }
  // Each with each would be 4.5 million pairs of 120 forecasts, minutes.
  expect(performance.now() - began).toBeLessThan(10_000);
  const place = index.find("temperature_850", addHours(start, 6 * 2999), 240)!;
  expect([place.file.path, place.initialIndex, place.leadIndex]).toEqual(["run2999", 0, 39]);
  expect(index.find("temperature_850", addHours(start, 6 * 3000), 240)).toBeUndefined();
  expect(index.clash(take(fileOf(6 * 1234, "again")))).toMatchObject({
    forecast: "2m_temperature from 2018-11-05T12:00:00 for 6 h",
    other: { path: "run1234" },
  });
});

test("70 files are read in turn, with 64 open at most", async () => {
  const paths = await Promise.all(
    Array.from({ length: 70 }, (_, i) => forecast(`many${i}.nc`, [6 * i], [6])),
  );
  const { readdirSync, readlinkSync } = await import("node:fs");
  const open = () =>
    process.platform === "linux"
      ? readdirSync("/proc/self/fd").filter((fd) => {
          try {
            return readlinkSync(`/proc/self/fd/${fd}`).startsWith(at("many"));
          } catch {
            return false;
          }
        }).length
      : 0;
  const { systems, close } = await openSystems(paths, ["many"]);
  for (let round = 0; round < 2; round++) {
    for (const [i, time] of systems[0]!.initialTimes.entries()) {
      expect((await systems[0]!.read("2m_temperature", time, 6))[0]).toBe(60 * i + 6);
    }
    expect(open()).toBeLessThanOrEqual(64);
    if (process.platform === "linux") expect(open()).toBeGreaterThan(32);
  }
  await close();
  expect(open()).toBe(0);
  await expect(systems[0]!.read("2m_temperature", systems[0]!.initialTimes[0]!, 6)).rejects.toThrow();
});
