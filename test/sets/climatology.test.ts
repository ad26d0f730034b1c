import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addHours, type Calendar, type CfTime, parseTime, timeParts } from "../../src/data/time.ts";
import type { ClimaxError } from "../../src/errors.ts";
import { readNpy, writeNpy } from "../../src/files/npy.ts";
import { makeClimatology } from "../../src/sets/climatology.ts";
import { dynamicNames } from "../../src/sets/manifest.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { openSet, type PreparedSet } from "../../src/sets/prepared.ts";
import { writeSeasonal } from "../../src/sets/seasonalfiles.ts";
import { fakeArchive, fakeCells, provenance } from "../support/fakearchive.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-climatology-"));
const sets: PreparedSet[] = [];
afterAll(async () => {
  for (const set of sets) await set.close();
  rmSync(folder, { recursive: true });
});

/** A season, a daily cycle and something without order, about 280. */
function weather(_: string, time: CfTime, cell: number): number {
  const { dayOfYear, hour } = timeParts(time);
  const noise = Math.sin(time.seconds / 1e4 + 7 * cell) * 43758.5453;
  const season = 15 * Math.cos((2 * Math.PI * (dayOfYear - 20)) / 365);
  return Math.fround(280 + cell + season + (hour === 12 ? 3 : 0) + 4 * (noise - Math.floor(noise)));
}

async function setOf(calendar: Calendar, train: string, start: string, steps: number): Promise<PreparedSet> {
  const dir = join(folder, `${calendar}-${steps}`);
  const names = ["2m_temperature"];
  const archive = fakeArchive({ calendar, start, steps, stepHours: 12, names, value: weather });
  await prepare(archive, dir, { train, provenance });
  const set = await openSet(dir);
  sets.push(set);
  return set;
}

/** All training states of a cell, as they are in the set. */
function statesOf(set: PreparedSet, cell: number) {
  return set
    .split("train")
    .times.map((time) => ({ time, value: weather("", time, cell), ...timeParts(time) }));
}

/** float32 of numbers near 300. */
const step = 2 ** -15;

/**
 * The recipe of WeatherBench 2, literally, for one cell and hour: a table of years by days, what a year lacks at its
 * end filled from its last day, the table wrapped round, and a weighted mean over 61 days and all years.
 */
function slidingMean(set: PreparedSet, cell: number, hour: number, days: number): number[] {
  const states = statesOf(set, cell).filter((state) => state.hour === hour);
  const years = [...new Set(states.map(({ year }) => year))].map((year) => {
    const own = states.filter((state) => state.year === year).map(({ value }) => value);
    return Array.from({ length: days }, (_, day) => own[day] ?? own.at(-1)!);
  });
  return Array.from({ length: days }, (_, day) => {
    let [sum, total] = [0, 0];
    for (let k = 0; k < 61; k++) {
      const weight = k <= 30 ? k / 30 : (60 - k) / 30;
      for (const year of years) {
        sum += weight * year[(day + k - 30 + days) % days]!;
        total += weight;
      }
    }
    return sum / total;
  });
}

const cases: [Calendar, string, number, number][] = [
  ["standard", "2015..2017", 2 * 1096, 366],
  ["noleap", "2015..2016", 2 * 730, 365],
  ["360_day", "2015..2016", 2 * 720, 360],
];

describe.for(cases)("%s", ([calendar, train, steps, days]) => {
  const lastDay = { standard: "2020-12-31", noleap: "2021-12-31", "360_day": "2021-12-30" }[
    calendar as "standard"
  ];

  test("day of the year and hour, as WeatherBench 2 smooths it", async () => {
    const set = await setOf(calendar, train, "2015-01-01", steps);
    const climatology = await makeClimatology(set, "dayofyear", "2m_temperature");
    for (const cell of [0, fakeCells - 1]) {
      for (const hour of [0, 12]) {
        const expected = slidingMean(set, cell, hour, days);
        for (const text of ["2020-01-01", "2020-02-28", "2020-03-01", "2020-07-15", lastDay]) {
          const time = addHours(parseTime(text, calendar), hour);
          const found = climatology.field(time)[cell]!;
          expect(
            Math.abs(found - expected[timeParts(time).dayOfYear - 1]!),
            `${text} ${hour} h`,
          ).toBeLessThanOrEqual(step);
        }
      }
    }
  });

  test("weeks from 1 January, the 52nd with the days that are left", async () => {
    const set = sets.find(({ manifest }) => manifest.calendar === calendar)!;
    const climatology = await makeClimatology(set, "weekly", "2m_temperature");
    const mean = (from: number, to: number) => {
      const own = statesOf(set, 3).filter(({ dayOfYear }) => dayOfYear >= from && dayOfYear <= to);
      return own.reduce((sum, { value }) => sum + value / own.length, 0);
    };
    const at = (text: string) => climatology.field(parseTime(text, calendar))[3]!;
    expect(Math.abs(at("2021-01-01") - mean(1, 7))).toBeLessThanOrEqual(step);
    expect(at("2021-01-07T18")).toBe(at("2021-01-01"));
    expect(Math.abs(at("2021-01-08") - mean(8, 14))).toBeLessThanOrEqual(step);
    expect(Math.abs(at(lastDay) - mean(358, 366))).toBeLessThanOrEqual(step);
  });

  test("the mean is that of the set; what was made is kept", async () => {
    const set = sets.find(({ manifest }) => manifest.calendar === calendar)!;
    const mean = await makeClimatology(set, "mean", "2m_temperature");
    expect(mean.field(parseTime("2021-06-01", calendar))).toEqual(set.climatology("2m_temperature"));
    expect(await makeClimatology(set, "weekly", "2m_temperature")).toBe(
      await makeClimatology(set, "weekly", "2m_temperature"),
    );
  });
});

describe("a training period of ten days", () => {
  const at = (text: string, calendar: Calendar = "standard") => parseTime(text, calendar);
  const failure = (work: () => unknown): ClimaxError => {
    try {
      work();
    } catch (error) {
      return error as ClimaxError;
    }
    throw new Error("no error");
  };

  test("has no climatology of other times, and says so", async () => {
    const set = await setOf("standard", "2015-01-01..2015-01-10", "2015-01-01", 20);
    const weekly = await makeClimatology(set, "weekly", "2m_temperature");
    const span = `the training period of ${set.dir} (2015-01-01T00:00:00 to 2015-01-10T12:00:00)`;
    expect(weekly.field(at("2016-01-14"))).toHaveLength(fakeCells);
    expect(failure(() => weekly.field(at("2016-01-15")))).toMatchObject({
      kind: "data",
      message: `no weekly climatology: ${span} has no state in week 3 of the year`,
      hint: "prepare a set whose training period covers the whole year at these hours, or take the mean climatology",
    });
    const daily = await makeClimatology(set, "dayofyear", "2m_temperature");
    // 29 days after the 10th of January, and 29 before the 1st: the last with a weight.
    expect(daily.field(at("2016-02-08"))).toHaveLength(fakeCells);
    expect(failure(() => daily.field(at("2016-02-09"))).message).toBe(
      `no dayofyear climatology: ${span} has no state within 29 days of day 40 of the year`,
    );
    expect(daily.field(at("2015-12-04"))).toHaveLength(fakeCells);
    expect(failure(() => daily.field(at("2015-12-03"))).message).toContain("of day 337 of the year");
    expect(failure(() => daily.field(at("2016-01-05T06"))).message).toContain("has no state at 06:00");
    expect(failure(() => daily.field(at("2016-01-05", "noleap"))).message).toBe(
      `the climatology of ${set.dir} counts days in the standard calendar, the time asked for in the noleap calendar`,
    );
  });

  test("of an unknown variable", async () => {
    await expect(makeClimatology(sets[0]!, "weekly", "2m_temperatur")).rejects.toThrow(
      'unknown variable "2m_temperatur"',
    );
  });
});

describe("stored in the set", () => {
  const names = ["2m_temperature", "temperature_850", "geopotential_500"];
  const archive = () =>
    fakeArchive({
      start: "2015-03-01",
      steps: 800,
      stepHours: 12,
      names,
      constants: ["orography"],
      value: weather,
    });
  const train = "2015-03-01..2016-03-20";
  let stored: PreparedSet;
  let plain: PreparedSet;
  beforeAll(async () => {
    const told: [number, number][] = [];
    for (const [dir, climatology] of [
      ["plain", []],
      ["stored", ["weekly", "dayofyear"]],
    ] as const) {
      await prepare(archive(), join(folder, dir), {
        train,
        provenance,
        climatology,
        onStep: (done, total, stage) => stage === "climatology" && told.push([done, total]),
      });
      sets.push(await openSet(join(folder, dir)));
    }
    [plain, stored] = [sets.at(-2)!, sets.at(-1)!];
    const total = 386 * 2 * 3 * 2;
    expect(told.at(-1)).toEqual([total, total]);
  });

  test("they are what would be made, to the bit, and no state of train is read", async () => {
    const blind: PreparedSet = {
      ...stored,
      split: (name) => ({ ...stored.split(name), read: () => Promise.reject(new Error("a state was read")) }),
    };
    for (const kind of ["weekly", "dayofyear"] as const)
      for (const name of names) {
        const [found, wanted] = [
          await makeClimatology(blind, kind, name),
          await makeClimatology(plain, kind, name),
        ];
        for (const day of ["2020-01-01", "2020-02-29T12", "2020-06-30", "2021-12-31T12"]) {
          const time = parseTime(day, "standard");
          expect(found.field(time), `${kind} ${name} ${day}`).toEqual(wanted.field(time));
        }
      }
    const fixed = await makeClimatology(stored, "dayofyear", "orography");
    expect(fixed.field(parseTime("2020-01-01", "standard"))).toEqual(stored.climatology("orography"));
  });

  test("NumPy opens them: weeks, and times of day by days", async () => {
    const weekly = await readNpy(join(stored.dir, "climatology/weekly/temperature_850.npy"));
    expect([weekly.dtype, ...weekly.shape]).toEqual(["float32", 52, 3, 4]);
    const daily = await readNpy(join(stored.dir, "climatology/dayofyear/temperature_850.npy"));
    expect(daily.shape).toEqual([2, 366, 3, 4]);
    expect(stored.manifest.climatology.dayofyear).toEqual({ minutes: [0, 720] });
    const noon = (await makeClimatology(plain, "dayofyear", "temperature_850")).field(
      parseTime("2019-03-01T12", "standard"),
    );
    const start = (366 + 59) * fakeCells;
    expect([...daily.data.subarray(start, start + fakeCells)]).toEqual([...noon]);
  });

  test("with memory for little at once the files are the same", async () => {
    for (const budget of [1, 40_000]) {
      const written: Record<string, string> = {};
      const { climatology, ...manifest } = plain.manifest;
      await writeSeasonal({
        dir: plain.dir,
        manifest: { ...manifest, climatology },
        kinds: ["weekly", "dayofyear"],
        names: dynamicNames(plain.manifest),
        whole: new Set(),
        onFiles: async (files) => void Object.assign(written, files),
        budget,
      });
      expect(Object.keys(written)).toHaveLength(6);
      expect(stored.manifest.checksums).toMatchObject(written);
    }
  });

  test("a file that is not there, or of another shape", async () => {
    const file = join(stored.dir, "climatology/weekly/2m_temperature.npy");
    const again = await openSet(stored.dir);
    sets.push(again);
    await writeNpy(file, [51, 3, 4], new Float32Array(51 * 12));
    await expect(makeClimatology(again, "weekly", "2m_temperature")).rejects.toThrow(
      "2m_temperature.npy holds float32 (51, 3, 4), wanted is float32 (52, 3, 4)",
    );
    rmSync(file);
    const last = await openSet(stored.dir);
    sets.push(last);
    await expect(makeClimatology(last, "weekly", "2m_temperature")).rejects.toThrow("cannot open");
  });

  test("weeks and hours that train lacks are refused as when they are made", async () => {
    const dir = join(folder, "short");
    await prepare(fakeArchive({ stepHours: 12, names }), dir, {
      train: "2015-12-25..2016-01-01",
      climatology: ["weekly", "dayofyear"],
      provenance,
    });
    const set = await openSet(dir);
    sets.push(set);
    const refusal = async (kind: "weekly" | "dayofyear", text: string) => {
      const climatology = await makeClimatology(set, kind, names[0]!);
      try {
        climatology.field(parseTime(text, "standard"));
      } catch (error) {
        return (error as ClimaxError).message;
      }
      return "no error";
    };
    expect(await refusal("weekly", "2016-03-01")).toContain("has no state in week 9 of the year");
    expect(await refusal("dayofyear", "2016-06-01")).toContain(
      "has no state within 29 days of day 153 of the year",
    );
    expect(await refusal("dayofyear", "2016-01-01T06")).toContain("has no state at 06:00");
    expect(await refusal("dayofyear", "2016-01-01")).toBe("no error");
  });
});
