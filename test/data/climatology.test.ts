import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { makeClimatology } from "../../src/data/climatology.ts";
import { prepare } from "../../src/data/prepare.ts";
import { openSet, type PreparedSet } from "../../src/data/prepared.ts";
import { addHours, type Calendar, type CfTime, parseTime, timeParts } from "../../src/data/time.ts";
import type { ClimaxError } from "../../src/errors.ts";
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
