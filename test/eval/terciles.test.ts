/** Terciles of training periods and of files, by hand. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { addHours, type CfTime, decodeTimes, timeParts } from "../../src/data/time.ts";
import { cutAlignment } from "../../src/eval/align.ts";
import { isoWeek, weekOfLeapYear } from "../../src/eval/tercilefile.ts";
import { chooseTerciles, dryBorder } from "../../src/eval/terciles.ts";
import type { Truth } from "../../src/eval/truth.ts";
import { createNetcdf } from "../../src/files/netcdf4writer.ts";
import { type Grid, makeGrid } from "../../src/grid/grid.ts";
import { tinyFolder } from "./tinyfiles.ts";

const at = (date: string): CfTime => decodeTimes([0], `hours since ${date}`, "standard")[0]!;
const grid = makeGrid([-30, 30], [0]);
const alignmentOf = (from: Grid) => ({ ...cutAlignment(from, grid, new Map())!, note: undefined });

/** States every `step` hours in memory; those of 2018 and later are no training. */
function truthOf(
  first: string,
  step: number,
  count: number,
  value: (time: CfTime, index: number) => number[],
  units: [string, string] = ["2m_temperature", "K"],
): Truth {
  const times = Array.from({ length: count }, (_, i) => addHours(at(first), i * step));
  return {
    ...{ path: "the set", grid, synthetic: false, calendar: "standard" as const, times, notes: [] },
    units: new Map([units]),
    splitOf: (i) => (timeParts(times[i]!).year < 2018 ? "train" : "test"),
    read: async (_, i) => Float32Array.from(value(times[i]!, i)),
    training: undefined,
    close: async () => undefined,
  };
}

const choose = (truth: Truth, averageHours?: number, asked?: string) =>
  chooseTerciles({ asked, truth, averageHours, alignmentOf });

describe("of a training period", () => {
  test("states of the same week and hour of all years, linear between values", async () => {
    // Twelve-hourly from 2016 to 2018: at 00 the year's last digit in the south and the day of the week of the year in
    // the north; at 12 a hundred more.
    const truth = truthOf("2016-01-01", 12, 2 * 1096, (time) => {
      const { year, dayOfYear, hour } = timeParts(time);
      const more = hour === 12 ? 100 : 0;
      return [(year % 10) + more, ((dayOfYear - 1) % 7) + more];
    });
    const open = (await choose(truth))!;
    expect(open.terciles.label).toBe(
      "the terciles by week of the year of the states of the training period of the set",
    );
    const terciles = (await open.terciles.field("2m_temperature", 24))!;
    const valid = at("2019-02-08"); // day 39, in week 6
    const [lower, upper] = await terciles(at("2019-02-07"), valid);
    // South: seven times 6 and 7 (2016 and 2017): places 13/3 and 26/3 of fourteen values. North: 0 to 6 twice.
    expect([...lower].map((x) => x.toFixed(5))).toEqual(["6.00000", "2.00000"]);
    expect([...upper].map((x) => x.toFixed(5))).toEqual(["7.00000", "4.00000"]);
    const [noon] = await terciles(at("2019-02-07"), at("2019-02-08T12:00"));
    expect([...noon]).toEqual([106, 102]);
    // The same week again is the same array, made once.
    expect((await terciles(valid, at("2019-02-11")))[0]).toBe(lower);
    expect(await open.terciles.field("geopotential_500", 24)).toBeUndefined();
    await expect(async () => await terciles(valid, at("2019-02-08T06:00"))).rejects.toThrow(
      "no terciles for 2019-02-08T06:00",
    );
  });

  test("of means over two days, of those that begin in the week and are whole in training", async () => {
    const truth = truthOf("2017-12-22", 24, 20, (_, i) => [i, 2 * i]);
    const open = (await choose(truth, 48))!;
    const terciles = (await open.terciles.field("2m_temperature", 336))!;
    // Days 22 to 31 December are states 0 to 9; week 52 has the starts from 24 December (day 358, state 2) on, the last
    // whole mean begins on the 30th (state 8): means 2.5, 3.5, ..., 8.5.
    const [lower, upper] = await terciles(at("2018-12-01"), at("2018-12-25"));
    expect([...lower]).toEqual([4.5, 9]);
    expect([...upper]).toEqual([6.5, 13]);
    await expect(async () => await terciles(at("2018-01-01"), at("2018-01-10"))).rejects.toThrow(
      "has no whole means over 48 h at 00:00 in week 2 of the year",
    );
  });

  test("a cell without values has none; missing ones are left out", async () => {
    const truth = truthOf("2017-01-01", 24, 7, (_, i) => [Number.NaN, i < 3 ? Number.NaN : i]);
    const terciles = (await (await choose(truth))!.terciles.field("2m_temperature", 24))!;
    const [lower, upper] = await terciles(at("2018-01-01"), at("2018-01-02"));
    expect([...lower]).toEqual([Number.NaN, 4]);
    expect([...upper]).toEqual([Number.NaN, 5]);
  });

  test("none without a training period", async () => {
    expect(await choose(truthOf("2018-01-01", 24, 7, () => [0, 0]))).toBeUndefined();
  });

  test("precipitation whose lower tercile is below 1 mm a day is not scored", async () => {
    const rain = (south: number, north: number, units: [string, string]) =>
      truthOf("2017-01-01", 24, 7, () => [south, north], units);
    const lower = async (truth: Truth) => {
      const [variable] = truth.units.keys();
      const field = (await (await choose(truth))!.terciles.field(variable!, 24))!;
      return [...(await field(at("2018-01-01"), at("2018-01-02")))[0]].map(Number.isNaN);
    };
    expect(await lower(rain(0.9e-3, 1.1e-3, ["total_precipitation_24hr", "m"]))).toEqual([true, false]);
    expect(await lower(rain(0.2e-3, 0.3e-3, ["total_precipitation_6hr", "m"]))).toEqual([true, false]);
    const rate = rain(0.9 / 86400, 1.1 / 86400, ["mean_total_precipitation_rate", "kg m-2 s-1"]);
    expect(await lower(rate)).toEqual([true, false]);
    const daily = rain(0.9, 1.1, ["mean_total_precipitation_rate", "kg m-2 day-1"]);
    expect(await lower(daily)).toEqual([true, false]);
    expect(dryBorder("2m_temperature", "K")).toBeUndefined();
    await expect(lower(rain(0, 0, ["total_precipitation", "m"]))).rejects.toThrow(
      "terciles of total_precipitation need the hours that it is summed over",
    );
  });
});

describe("weeks", () => {
  test("the 53 Thursdays of 2020 are weeks 1 to 53 both ways", () => {
    const thursdays = Array.from({ length: 53 }, (_, i) => addHours(at("2020-01-02"), i * 168));
    const all = Array.from({ length: 53 }, (_, i) => i + 1);
    expect(thursdays.map(weekOfLeapYear)).toEqual(all);
    expect(thursdays.map(isoWeek)).toEqual(all);
  });

  test("a date is in the same week every year by the challenge's count, by ISO's it is not", () => {
    const years = [2000, 2001, 2005, 2010, 2019].map((year) => at(`${year}-03-05`));
    expect(years.map(weekOfLeapYear)).toEqual([10, 10, 10, 10, 10]);
    // Known dates of the standard: 1 January 2005 is in week 53 of 2004, 31 December 2019 in week 1 of 2020.
    expect([at("2005-01-01"), at("2019-12-31"), at("2010-01-03"), at("1969-12-29")].map(isoWeek)).toEqual([
      53, 1, 53, 1,
    ]);
  });
});

describe("from a file", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await tinyFolder();
  });

  async function write(
    name: string,
    dimensions: Record<string, number[]>,
    variables: Record<string, string>,
    sign = 1,
  ) {
    const path = join(folder, name);
    const names = Object.keys(dimensions);
    const lengths = names.map((key) => dimensions[key]!.length);
    const units: Record<string, string> = {
      ...{ latitude: "degrees_north", longitude: "degrees_east", lead_time: "days" },
      ...{ forecast_time: "days since 2020-01-01" },
    };
    // Value: 1000 edge + 100 lead + 10 week + row (in the file's order).
    const weight: Record<string, number> = { category_edge: 1000, lead_time: 100, latitude: 1, longitude: 0 };
    const total = lengths.reduce((a, b) => a * b, 1);
    const data = Array.from({ length: total }, (_, at) => {
      let [rest, sum] = [at, 0];
      for (let axis = names.length - 1; axis >= 0; axis--) {
        sum += (rest % lengths[axis]!) * (weight[names[axis]!] ?? 10);
        rest = Math.floor(rest / lengths[axis]!);
      }
      return sign * sum;
    });
    const file = await createNetcdf(path, {
      dimensions: Object.fromEntries(names.map((key, i) => [key, lengths[i]!])),
      variables: [
        ...names.map((key) => ({
          ...{ name: key, dimensions: [key], dtype: "float64" as const, data: dimensions[key]! },
          attributes: units[key] ? { units: units[key] } : {},
        })),
        ...Object.entries(variables).map(([key, unit]) => ({
          ...{ name: key, dimensions: names, dtype: "float32" as const, data },
          attributes: { units: unit },
        })),
      ],
    });
    await file.close();
    return path;
  }
  const places = { latitude: [30, -30], longitude: [0] };
  const edges = { category_edge: [1 / 3, 2 / 3], lead_time: [14, 28] };
  const truth = truthOf("2020-01-01", 24, 3, () => [0, 0]);

  test("by week and lead, in the order of dimensions that it has", async () => {
    const path = await write("edges.nc", { ...edges, week: [1, 2, 3], ...places }, { t2m: "K" });
    const open = (await choose(truth, 336, path))!;
    expect(open.terciles.label).toBe(`the tercile edges of ${path}`);
    const late = (await open.terciles.field("2m_temperature", 672))!;
    const [lower, upper] = await late(at("2020-01-09"), at("2020-02-06")); // week 2
    expect([...lower]).toEqual([111, 110]); // south first
    expect([...upper]).toEqual([1111, 1110]);
    expect(await open.terciles.field("2m_temperature", 168)).toBeUndefined();
    await expect(async () => await late(at("2020-01-30"), at("2020-02-27"))).rejects.toThrow(
      "has no tercile edges for week 5, the initial time 2020-01-30",
    );
    await open.close();
    const turned = await write("turned.nc", { ...places, week: [1, 2, 3], ...edges }, { t2m: "K" });
    const other = (await choose(truth, 336, turned))!;
    const again = (await other.terciles.field("2m_temperature", 672))!;
    expect((await again(at("2020-01-09"), at("2020-02-06"))).map((field) => [...field])).toEqual([
      [111, 110],
      [1111, 1110],
    ]);
    await other.close();
  });

  test("by initial time, without a lead", async () => {
    const { category_edge } = edges;
    const path = await write("times.nc", { category_edge, forecast_time: [1, 8], ...places }, { t2m: "K" });
    const open = (await choose(truth, undefined, path))!;
    const field = (await open.terciles.field("2m_temperature", 24))!;
    expect([...(await field(at("2020-01-09"), at("2020-01-10")))[0]]).toEqual([11, 10]);
    await expect(async () => await field(at("2020-01-10"), at("2020-01-11"))).rejects.toThrow(
      "has no tercile edges for a forecast from that time, the initial time 2020-01-10",
    );
    await open.close();
  });

  test("sums of precipitation over two weeks serve its mean rate, dry cells masked", async () => {
    const path = await write("rain.nc", { ...edges, week: [1, 2, 3], ...places }, { tp: "kg m-2" });
    const rate = truthOf("2020-01-01", 24, 3, () => [0, 0], ["mean_total_precipitation_rate", "kg m-2 s-1"]);
    const open = (await choose(rate, 336, path))!;
    const field = (await open.terciles.field("mean_total_precipitation_rate", 336))!;
    // Week 3: 20 and 21 mm in two weeks, above 14.
    const [lower, upper] = await field(at("2020-01-16"), at("2020-01-30"));
    expect([...lower].map((x) => x * 14 * 86400)).toEqual([expect.closeTo(21, 4), expect.closeTo(20, 4)]);
    expect([...upper].map((x) => x * 14 * 86400)).toEqual([expect.closeTo(1021, 2), expect.closeTo(1020, 2)]);
    const [dry] = await field(at("2020-01-02"), at("2020-01-16"));
    expect([...dry]).toEqual([Number.NaN, Number.NaN]);
    // Nothing to take daily means from.
    const daily = (await choose(rate, 24, path))!;
    expect(await daily.terciles.field("mean_total_precipitation_rate", 336)).toBeUndefined();
    await open.close();
    await daily.close();
  });

  test("what is no file of edges is refused", async () => {
    const none = await write("none.nc", { week: [1, 2], ...places }, { t2m: "K" });
    await expect(choose(truth, 336, none)).rejects.toThrow(
      /none.nc holds no tercile edges; wanted a variable/,
    );
    const three = await write("three.nc", { category_edge: [1, 2, 3], week: [1], ...places }, { t2m: "K" });
    const open = (await choose(truth, 336, three))!;
    await expect(open.terciles.field("2m_temperature", 336)).rejects.toThrow(
      /t2m of .*three.nc is t2m\(category_edge 3, week 1, latitude 2, longitude 1\); wanted two edges/,
    );
    await open.close();
    // The first edge of a negated file lies above the second.
    const down = await write("down.nc", { ...edges, week: [1], ...places }, { t2m: "K" }, -1);
    const turned = (await choose(truth, 336, down))!;
    const field = (await turned.terciles.field("2m_temperature", 336))!;
    await expect(async () => await field(at("2020-01-02"), at("2020-01-16"))).rejects.toThrow(
      /the first tercile edge of t2m of .*down.nc lies above the second/,
    );
    await turned.close();
  });
});

const python = (() => {
  try {
    execFileSync("/usr/bin/python3", ["-c", "import numpy"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

test.skipIf(!python)("quantiles are NumPy's (skipped without python3 and numpy)", async () => {
  // 21 values a week of three years, from a small generator.
  let state = 1;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const values = Array.from({ length: 3 * 365 }, () => [random(), random() ** 4]);
  const truth = truthOf("2013-01-01", 24, values.length, (_, i) => values[i]!);
  const terciles = (await (await choose(truth))!.terciles.field("2m_temperature", 24))!;
  const [lower, upper] = await terciles(at("2018-01-01"), at("2018-01-18"));
  const week = [0, 1, 2].flatMap((year) => values.slice(year * 365 + 14, year * 365 + 21));
  const folder = await tinyFolder();
  writeFileSync(join(folder, "week.json"), JSON.stringify(week));
  const code =
    "import json,sys,numpy as np;x=np.array(json.load(open(sys.argv[1])),'f4').astype('f8');" +
    "print(json.dumps(np.quantile(x,[1/3,2/3],axis=0).tolist()))";
  const out = execFileSync("/usr/bin/python3", ["-c", code, join(folder, "week.json")], { encoding: "utf8" });
  const [wantedLower, wantedUpper] = JSON.parse(out) as number[][];
  expect([...lower]).toEqual(wantedLower!.map((x) => expect.closeTo(x, 6)));
  expect([...upper]).toEqual(wantedUpper!.map((x) => expect.closeTo(x, 6)));
});
