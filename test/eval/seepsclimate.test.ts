/** Dry fractions and borders of heavy rain: from files of WeatherBench 2, and made of a training period. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { addHours, type CfTime, decodeTimes, timeParts } from "../../src/data/time.ts";
import { cutAlignment } from "../../src/eval/align.ts";
import { chooseSeepsClimate } from "../../src/eval/seepsclimate.ts";
import type { Truth } from "../../src/eval/truth.ts";
import { createNetcdf } from "../../src/files/netcdf4writer.ts";
import { type Grid, makeGrid } from "../../src/grid/grid.ts";
import { weightedQuantile } from "../../src/scores/weightedquantile.ts";
import { tinyFolder } from "./tinyfiles.ts";

const at = (date: string): CfTime => decodeTimes([0], `hours since ${date}`, "standard")[0]!;
const grid = makeGrid([-30, 30], [0]);
const alignmentOf = (from: Grid) => ({ ...cutAlignment(from, grid, new Map())!, note: undefined });
const tp = "total_precipitation_24hr";

/** A small generator, the same numbers every time. */
function generator() {
  let state = 1;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}

function truthOf(
  first: string,
  step: number,
  count: number,
  value: (time: CfTime, i: number) => number[],
): Truth {
  const times = Array.from({ length: count }, (_, i) => addHours(at(first), i * step));
  return {
    ...{ path: "the set", grid, synthetic: false, calendar: "standard" as const, times, notes: [] },
    units: new Map([
      [tp, "m"],
      ["2m_temperature", "K"],
    ]),
    splitOf: (i) => (timeParts(times[i]!).year < 2018 ? "train" : "test"),
    read: async (_, i) => Float32Array.from(value(times[i]!, i)),
    training: undefined,
    close: async () => undefined,
  };
}

describe("weighted quantiles", () => {
  const quantile = (pairs: [number, number][], q: number) =>
    weightedQuantile(
      Float32Array.from(pairs, ([x]) => x),
      Float64Array.from(pairs, ([, w]) => w),
      pairs.length,
      q,
    );

  test("equal weights give the linear quantile", () => {
    const four: [number, number][] = [4, 1, 3, 2].map((x) => [x, 0.5]);
    expect(quantile(four, 2 / 3)).toBeCloseTo(3, 12); // place 2 of 0 to 3
    expect(quantile(four, 0.5)).toBeCloseTo(2.5, 12);
    expect(quantile([[7, 0.1]], 2 / 3)).toBe(7);
    expect(quantile([], 0.5)).toBeNaN();
  });

  test("a heavy value takes more of the way", () => {
    // Weights 1, 3: n = 16 / 10 = 1.6, from 0.3 / 1.6 = 0.1875 to 1.3 / 1.6 = 0.8125 of the way; the first value reaches to 1/4.
    const [first, second] = [0.25 - 0.1875, 0.8125 - 0.25];
    const pairs: [number, number][] = [
      [1, 1],
      [2, 3],
    ];
    expect(quantile(pairs, 0.5)).toBeCloseTo((first + 2 * second) / 0.625, 12);
  });

  test("is the sorted definition on many values, ties among them", () => {
    const random = generator();
    const pairs = Array.from({ length: 500 }, (): [number, number] => [
      Math.fround(1e-3 + Math.floor(random() ** 3 * 200) / 1000),
      Math.ceil(random() * 30) / 30,
    ]);
    const sorted = pairs.toSorted(([a], [b]) => a - b);
    const total = sorted.reduce((sum, [, w]) => sum + w, 0);
    const n = total ** 2 / sorted.reduce((sum, [, w]) => sum + w * w, 0);
    for (const q of [0, 0.1, 1 / 3, 0.5, 2 / 3, 0.99, 1]) {
      const h = (n - 1) * q + 1;
      let [cumulative, plain] = [0, 0];
      for (const [x, w] of sorted) {
        const clip = (c: number) => Math.max((h - 1) / n, Math.min(h / n, c)) * n - h + 1;
        plain += x * (clip(cumulative + w / total) - clip(cumulative));
        cumulative += w / total;
      }
      expect(quantile(pairs, q), `q ${q}`).toBeCloseTo(plain, 9);
    }
  });
});

describe("of a training period", () => {
  test("dry fraction of the whole period; the border of heavy rain about a day", async () => {
    // 2017, daily: dry in January and at 0.25 mm, which is not dry, all through February; then k mm on day k.
    const truth = truthOf("2017-01-01", 24, 365, (time) => {
      const { month, dayOfYear } = timeParts(time);
      return [month === 1 ? 0.2e-3 : month === 2 ? 0.25e-3 : dayOfYear * 1e-3, Number.NaN];
    });
    const open = (await chooseSeepsClimate({ asked: undefined, truth, alignmentOf }))!;
    expect(open.label).toBe("dry fractions and borders of heavy rain of the training period of the set");
    const field = (await open.climate.field(tp))!;
    const summer = await field(at("2018-07-19")); // day 200
    // Day 365 stands for day 366 too.
    expect(summer.dryFraction[0]).toBeCloseTo(31 / 366, 12);
    expect(summer.dryFraction[1]).toBeNaN();
    // Days 171 to 229 with weights 1/30 to 1 to 1/30, by the definition written out.
    const weights = Array.from({ length: 59 }, (_, i) => 1 - Math.abs(i - 29) / 30);
    const total = weights.reduce((a, b) => a + b);
    const n = total ** 2 / weights.reduce((a, b) => a + b * b, 0);
    const h = ((n - 1) * 2) / 3 + 1;
    let [cumulative, border] = [0, 0];
    for (const [i, w] of weights.entries()) {
      const clip = (c: number) => Math.max((h - 1) / n, Math.min(h / n, c)) * n - h + 1;
      border += (171 + i) * 1e-3 * (clip(cumulative + w / total) - clip(cumulative));
      cumulative += w / total;
    }
    expect(summer.heavy[0]).toBeCloseTo(border, 7);
    expect(summer.heavy[1]).toBeNaN();
    // In mid-January only February's drizzle and the December before are near: days 337 to 366 and 32 to 43.
    const winter = await field(at("2018-01-14"));
    expect(winter.heavy[0]).toBeGreaterThan(0.25e-3);
    expect(winter.heavy[0]).toBeLessThan(0.367);
    expect(await open.climate.field("2m_temperature")).toBeUndefined();
    await expect(async () => await field(at("2018-07-19T06:00"))).rejects.toThrow(
      "no border of heavy rain for 2018-07-19T06:00",
    );
    await open.close();
  });

  test("hours of the day are apart for the border, together for the dry fraction", async () => {
    const truth = truthOf("2017-01-01", 12, 730, (time) => {
      const noon = timeParts(time).hour === 12;
      return noon ? [5e-3, 0] : [1e-3, 1e-3];
    });
    const field = (await (await chooseSeepsClimate({
      asked: "evaluation",
      truth,
      alignmentOf,
    }))!.climate.field(tp))!;
    const [night, noon] = [await field(at("2018-05-01")), await field(at("2018-05-01T12:00"))];
    expect([...night.dryFraction]).toEqual([0, 0.5]);
    expect([...night.heavy]).toEqual([1e-3, 1e-3].map(Math.fround));
    expect([...noon.heavy]).toEqual([Math.fround(5e-3), Number.NaN]);
  });

  test("none without a training period", async () => {
    const truth = truthOf("2018-01-01", 24, 3, () => [0, 0]);
    expect(await chooseSeepsClimate({ asked: undefined, truth, alignmentOf })).toBeUndefined();
  });
});

test("from WeatherBench 2's climatology, in any order of dimensions", async () => {
  const path = join(await tinyFolder(), "clim.nc");
  const dimensions = ["dayofyear", "latitude", "hour", "longitude"];
  // [day, latitude (north first), hour]
  const dryness = [0.1, 0.2, 0.3, 0.4, 0.5, Number.NaN, 0.7, 0.8];
  const threshold = [1, 2, 3, 4, 5, 6, 7, 8].map((x) => x * 1e-3);
  const axis = (name: string, data: number[], units?: string) => ({
    ...{ name, dimensions: [name], dtype: "float64" as const, data },
    attributes: units ? { units } : {},
  });
  const file = await createNetcdf(path, {
    dimensions: { dayofyear: 2, latitude: 2, hour: 2, longitude: 1 },
    variables: [
      ...[axis("dayofyear", [60, 61]), axis("hour", [0, 12]), axis("longitude", [0], "degrees_east")],
      axis("latitude", [30, -30], "degrees_north"),
      { name: `${tp}_seeps_dry_fraction`, dimensions, dtype: "float32", data: dryness },
      { name: `${tp}_seeps_threshold`, dimensions, dtype: "float32", data: threshold },
    ],
  });
  await file.close();
  const truth = truthOf("2017-01-01", 24, 3, () => [0, 0]);
  const open = (await chooseSeepsClimate({ asked: path, truth, alignmentOf }))!;
  expect(open.label).toBe(`dry fractions and borders of heavy rain of ${path}`);
  expect(open.notes).toEqual([
    `the dry fraction of seeps is the mean of the 2 days of the year that ${path} has`,
  ]);
  const field = (await open.climate.field(tp))!;
  const fields = await field(at("2020-02-29T12:00")); // day 60, hour 12: second and fourth of the day
  expect([...fields.heavy]).toEqual([4e-3, 2e-3].map(Math.fround));
  // South: 0.3, 0.4, 0.7, 0.8; north: 0.1, 0.2, 0.5 and an unknown one.
  expect([...fields.dryFraction]).toEqual([expect.closeTo(0.55, 6), expect.closeTo(0.8 / 3, 6)]);
  expect(await open.climate.field("total_precipitation_6hr")).toBeUndefined();
  await expect(async () => await field(at("2020-03-02"))).rejects.toThrow(/has no day 62/);
  await open.close();
});

const judge = (() => {
  try {
    execFileSync("/usr/bin/python3", ["-c", "import xarray"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

// WeatherBench 2's way: years side by side, day 366 filled from day 365, a window of 61 days round the year, of which the
// border takes xarray's weighted quantile and the dry fraction a plain mean, then the mean over days and hours.
const weatherbench2 = `
import json, sys, warnings, numpy as np, xarray as xr, pandas as pd
warnings.simplefilter("ignore")
time = pd.date_range("2015-01-01", "2017-12-31T12", freq="12h")
x = np.array(json.load(sys.stdin), "f4")
rain = xr.DataArray(x, dims=("time", "cell"), coords={"time": time})
weights = np.concatenate([np.linspace(0, 1, 31), np.linspace(1, 0, 31)[1:]])
dryness, borders = [], []
for hour in (0, 12):
    of = rain.isel(time=(rain.time.dt.hour == hour).values)
    years = [of.sel(time=str(year)) for year in (2015, 2016, 2017)]
    years = [y.assign_coords(time=y.time.dt.dayofyear.values).rename(time="day") for y in years]
    all = xr.concat(years, dim="year")
    all = all.fillna(all.sel(day=365)).pad(day=30, mode="wrap")
    window = all.rolling(day=61, center=True).construct("window").isel(day=slice(30, -30))
    dry = window < np.float32(0.25e-3)
    dryness.append(dry.mean(("window", "year")).mean("day").values)
    wet = window.where(~dry).isel(day=[0, 58, 199, 365])
    border = wet.weighted(xr.DataArray(weights, dims="window")).quantile(2 / 3, dim=("window", "year"))
    borders.append(border.transpose("day", "cell").values.tolist())
print(json.dumps([np.mean(dryness, axis=0).tolist(), borders]))
`;

test.skipIf(!judge)(
  "of a training period as WeatherBench 2 (skipped without python3 and xarray)",
  async () => {
    const random = generator();
    const rain = Array.from({ length: 2 * 1096 }, () =>
      [0.4, 0.6].map((dry) =>
        random() < dry ? 0.1e-3 * random() : Math.fround(random() ** 4 / 50 + 0.2e-3),
      ),
    );
    const out = execFileSync("/usr/bin/python3", ["-c", weatherbench2], {
      encoding: "utf8",
      input: JSON.stringify(rain),
    });
    const [dryness, borders] = JSON.parse(out) as [number[], number[][][]];
    const truth = truthOf("2015-01-01", 12, rain.length, (_, i) => rain[i]!);
    const field = (await (await chooseSeepsClimate({ asked: undefined, truth, alignmentOf }))!.climate.field(
      tp,
    ))!;
    const dates = ["2020-01-01", "2020-02-28", "2020-07-18", "2020-12-31"]; // days 1, 59, 200, 366
    for (const [h, hour] of [0, 12].entries()) {
      for (const [d, date] of dates.entries()) {
        const { dryFraction, heavy } = await field(addHours(at(date), hour));
        expect([...dryFraction]).toEqual(dryness.map((x) => expect.closeTo(x, 12)));
        // Borders are kept as float32.
        for (const [i, x] of borders[h]![d]!.entries()) {
          const off = Math.abs(heavy[i]! / x - 1);
          expect(off, `${date} ${hour} h, cell ${i}`).toBeLessThan(2 ** -23);
        }
      }
    }
  },
);
