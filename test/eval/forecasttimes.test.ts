/** However a file stores its initial times and leads, the same numbers give the same fields. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { readFields } from "../../src/eval/forecastfields.ts";
import { type ForecastFile, openForecastFile } from "../../src/eval/forecastfile.ts";
import type { WrittenVariable } from "../../src/files/netcdf4writer.ts";
import { type FakeVariable, fakeDataset, fakeGrid } from "../support/fakedataset.ts";
import { along, axis, scalar, since, writeCounting } from "./forecastwriter.ts";
import { tinyFolder } from "./tinyfiles.ts";

let folder: string;
beforeAll(async () => {
  folder = await tinyFolder();
});
afterAll(() => rmSync(folder, { recursive: true }));

const lat = axis("latitude", [-45, 0, 45], { units: "degrees_north" });
const lon = axis("longitude", [0, 180], { units: "degrees_east" });
const hours = { units: "hours" };

/** A file of t2m along these time dimensions, 6 numbers to a field. */
async function t2m(
  name: string,
  coordinates: WrittenVariable[],
  dimensions: string[],
  attributes: Record<string, string> = {},
): Promise<string> {
  const fields = [{ name: "t2m", dimensions: [...dimensions, "latitude", "longitude"], attributes }];
  return writeCounting(join(folder, name), [...coordinates, lat, lon], fields);
}

/** The forecasts of a file, by the number of the field in it. */
async function forecasts(file: ForecastFile): Promise<Record<string, number>> {
  const field = file.fields.get("2m_temperature")!;
  const found: Record<string, number> = {};
  for (const [i, time] of file.initial.entries()) {
    for (const [j, lead] of file.leads.entries()) {
      if (!field.has(i, j)) continue;
      found[`${formatTime(time).slice(8, 13)} +${lead}`] = (await field.read(i, j))[0]! / 6;
    }
  }
  return found;
}

async function forecastsOf(path: string, ...options: boolean[]): Promise<Record<string, number>> {
  const file = await openForecastFile(path, ...options);
  try {
    return await forecasts(file);
  } finally {
    await file.close();
  }
}

const records = { "01T00 +6": 0, "01T00 +12": 1, "01T12 +6": 2, "02T00 +24": 3 };
const initial = [0, 0, 12, 24];
const leads = [6, 12, 6, 24];
const valid = [6, 12, 18, 48];
const standard = (name: string, units = since) => ({ ...units, standard_name: name });

describe("records, each with its own initial and valid time", () => {
  test("time, and forecast_reference_time along it (CF)", async () => {
    const path = await t2m(
      "cfpairs.nc",
      [
        axis("time", valid, standard("time")),
        along("time", "forecast_reference_time", initial, standard("forecast_reference_time")),
      ],
      ["time"],
    );
    expect(await forecastsOf(path)).toEqual(records);
  });

  test("with forecast_period instead, or as well", async () => {
    const period = along("time", "forecast_period", leads, { standard_name: "forecast_period", ...hours });
    const time = axis("time", valid, standard("time"));
    expect(await forecastsOf(await t2m("period.nc", [time, period], ["time"]))).toEqual(records);
    const reference = along("time", "forecast_reference_time", initial, standard("forecast_reference_time"));
    const all = await t2m("all.nc", [time, period, reference], ["time"]);
    expect(await forecastsOf(all)).toEqual(records);
    const wrong = along("time", "forecast_period", [6, 12, 6, 18], {
      standard_name: "forecast_period",
      ...hours,
    });
    await expect(openForecastFile(await t2m("wrong.nc", [time, wrong, reference], ["time"]))).rejects.toThrow(
      "wrong.nc: time says 2018-01-03T00:00:00 for the initial time 2018-01-02T00:00:00 and a lead of 18 h",
    );
  });

  test("initial time and lead along a dimension of another name", async () => {
    const path = await t2m(
      "records.nc",
      [
        axis("record", [1, 2, 3, 4], {}),
        along("record", "init_time", initial, since),
        along("record", "lead", leads, hours),
      ],
      ["record"],
    );
    expect(await forecastsOf(path)).toEqual(records);
  });

  test("twice the same, and times that do not say which they are, are refused", async () => {
    const twice = await t2m(
      "twicepair.nc",
      [
        axis("time", [6, 6], standard("time")),
        along("time", "forecast_reference_time", [0, 0], standard("forecast_reference_time")),
      ],
      ["time"],
    );
    await expect(openForecastFile(twice)).rejects.toThrow(
      `${twice} has the forecast from 2018-01-01T00:00:00 for 6 h more than once`,
    );
    const unsaid = await t2m(
      "unsaid.nc",
      [axis("time", valid, since), along("time", "lead_time", leads, hours)],
      ["time"],
    );
    await expect(openForecastFile(unsaid)).rejects.toMatchObject({
      kind: "data",
      message: `${unsaid} has time and lead_time along one dimension, and does not say whether these times are initial or valid ones`,
      hint: `say it: ncatted -a standard_name,time,o,c,forecast_reference_time ${unsaid} (initial), or time (valid)`,
    });
  });
});

describe("two axes", () => {
  const grid = { "01T00 +6": 0, "01T00 +12": 1, "01T12 +6": 2, "01T12 +12": 3 };

  test("time (initial), step and valid_time(time, step), as cfgrib", async () => {
    const stated: WrittenVariable = {
      ...{ name: "valid_time", dimensions: ["time", "step"], dtype: "float64" },
      ...{ attributes: standard("time"), data: [6, 12, 18, 24] },
    };
    const path = await t2m(
      "cfgrib2.nc",
      [
        axis("time", [0, 12], standard("forecast_reference_time")),
        axis("step", [0.25, 0.5], { units: "days", standard_name: "forecast_period" }),
        stated,
      ],
      ["time", "step"],
      { coordinates: "valid_time" },
    );
    expect(await forecastsOf(path)).toEqual(grid);
  });

  test.for([
    ["nanoseconds", 3600e9],
    ["hours", 1],
    ["days", 1 / 24],
    ["seconds", 3600],
    ["minutes", 60],
    ["timedelta64[ns]", 3600e9],
    ["timedelta64[h]", 1],
  ] as const)("leads in %s", async ([units, anHour]) => {
    const path = await t2m(
      `units${units.length}${anHour}.nc`,
      [axis("time", [0, 12], since), axis("prediction_timedelta", [6 * anHour, 12 * anHour], { units })],
      ["time", "prediction_timedelta"],
    );
    expect(await forecastsOf(path)).toEqual(grid);
  });

  test("stored by valid time: valid_time and leads, or time by request (WeatherBench 2's by_init=False)", async () => {
    const lead = axis("prediction_timedelta", [6, 12], hours);
    const expected = { "01T06 +6": 0, "01T00 +12": 1, "01T12 +6": 2, "01T06 +12": 3 };
    const named = await t2m(
      "validtime.nc",
      [axis("valid_time", [12, 18], since), lead],
      ["valid_time", "prediction_timedelta"],
    );
    expect(await forecastsOf(named)).toEqual(expected);
    const plain = await t2m(
      "plaintime.nc",
      [axis("time", [12, 18], since), lead],
      ["time", "prediction_timedelta"],
    );
    expect(await forecastsOf(plain, false, true)).toEqual(expected);
    expect(Object.keys(await forecastsOf(plain))).toContain("01T18 +12");
  });

  test("initial times and valid times: what lies before its beginning is none", async () => {
    const path = await t2m(
      "initvalid.nc",
      [
        axis("forecast_reference_time", [0, 12], standard("forecast_reference_time")),
        axis("time", [6, 12, 18], standard("time")),
      ],
      ["forecast_reference_time", "time"],
    );
    expect(await forecastsOf(path)).toEqual({
      "01T00 +6": 0,
      "01T00 +12": 1,
      "01T00 +18": 2,
      "01T12 +0": 4,
      "01T12 +6": 5,
    });
  });

  test("a lead twice", async () => {
    const path = await t2m(
      "leadtwice.nc",
      [axis("time", [0], since), axis("step", [6, 6], hours)],
      ["time", "step"],
    );
    await expect(openForecastFile(path)).rejects.toThrow(`${path} has the lead of 6 h more than once`);
  });
});

test("variables of different leads in one file: each has its own", async () => {
  const path = await writeCounting(
    join(folder, "mixed.nc"),
    [
      axis("time", [0, 12], since),
      axis("step", [6, 12, 24], hours),
      axis("lead_time", [12, 36], hours),
      lat,
      lon,
    ],
    [
      { name: "t2m", dimensions: ["time", "step", "latitude", "longitude"] },
      { name: "msl", dimensions: ["lead_time", "time", "latitude", "longitude"], units: "Pa" },
      { name: "lsm", dimensions: ["latitude", "longitude"], units: "1" },
    ],
  );
  const file = await openForecastFile(path);
  expect(file.leads).toEqual([6, 12, 24, 36]);
  expect([...file.fields.keys()]).toEqual(["2m_temperature", "mean_sea_level_pressure"]);
  const msl = file.fields.get("mean_sea_level_pressure")!;
  expect(file.leads.map((_, j) => msl.has(1, j))).toEqual([false, true, false, true]);
  expect((await msl.read(1, 3))[0]).toBe(6 * 3);
  await expect(msl.read(1, 0)).rejects.toThrow(RangeError);
  await file.close();
});

test("one initial time, no lead but its valid time: both scalars", async () => {
  const path = await t2m(
    "scalars.nc",
    [
      scalar("time", 30, standard("time")),
      scalar("forecast_reference_time", 6, standard("forecast_reference_time")),
    ],
    [],
  );
  expect(await forecastsOf(path)).toEqual({ "01T06 +24": 0 });
});

/** The value of a forecast at a place, whatever the file looks like. */
const truth = (initial: number, lead: number, member: number, level: number, y: number, x: number) =>
  ((((initial * 4 + lead) * 4 + member) * 4 + level) * 8 + y) * 8 + x;

test("any layout of the same numbers gives the same fields", async () => {
  let files = 0;
  const choices = fc.record({
    order: fc.shuffledSubarray(["time", "lead", "number", "level", "y", "x"], { minLength: 6, maxLength: 6 }),
    northFirst: fc.boolean(),
    west: fc.constantFrom(0, 90, 180),
    shortNames: fc.boolean(),
    timeName: fc.constantFrom("time", "init_time", "forecast_reference_time", "initial_time"),
    leadName: fc.constantFrom("prediction_timedelta", "step", "lead_time", "forecast_period"),
    leadUnits: fc.constantFrom(
      ["hours", 1],
      ["days", 1 / 24],
      ["nanoseconds", 3600e9],
      ["seconds", 3600],
    ) as fc.Arbitrary<[string, number]>,
    memberName: fc.constantFrom("number", "realization", "member"),
    levels: fc.constantFrom([500, 850], [850, 500]),
    inPascals: fc.boolean(),
    celsius: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(choices, async (layout) => {
      const rows = layout.northFirst ? [2, 1, 0] : [0, 1, 2];
      const columns = [0, 1, 2, 3].map((x) => (x + layout.west / 90) % 4);
      const latitude = layout.shortNames ? "lat" : "latitude";
      const longitude = layout.shortNames ? "lon" : "longitude";
      const names: Record<string, string> = {
        ...{ time: layout.timeName, lead: layout.leadName, number: layout.memberName, level: "level" },
        ...{ y: latitude, x: longitude },
      };
      const lengths: Record<string, number> = { time: 2, lead: 3, number: 2, level: 2, y: 3, x: 4 };
      const index = (place: Record<string, number>) =>
        truth(
          ...([place.time!, place.lead!, place.number!] as const),
          [850, 500].indexOf(layout.levels[place.level!]!),
          rows[place.y!]!,
          columns[place.x!]!,
        );
      const data: number[] = [];
      const fill = (place: Record<string, number>, [dimension, ...rest]: string[]) => {
        if (dimension === undefined) return void data.push(index(place) - (layout.celsius ? 273 : 0));
        for (let i = 0; i < lengths[dimension]!; i++) fill({ ...place, [dimension]: i }, rest);
      };
      fill({}, layout.order);
      const [leadUnits, anHour] = layout.leadUnits;
      const path = await writeCounting(
        join(folder, `any${files++}.nc`),
        [
          axis(names.time!, [0, 12], since),
          axis(
            names.lead!,
            [6, 24, 48].map((lead) => lead * anHour),
            { units: leadUnits },
          ),
          axis(names.number!, [0, 1], {}),
          axis(
            "level",
            layout.levels.map((hPa) => (layout.inPascals ? 100 * hPa : hPa)),
            {
              units: layout.inPascals ? "Pa" : "hPa",
            },
          ),
          axis(
            latitude,
            rows.map((y) => 45 * (y - 1)),
            { units: "degrees_north" },
          ),
          axis(
            longitude,
            columns.map((x) => (x >= 2 && layout.west > 0 ? 90 * x - 360 : 90 * x)),
            {
              units: "degrees_east",
            },
          ),
        ],
        [
          {
            name: "t",
            dimensions: layout.order.map((dimension) => names[dimension]!),
            units: layout.celsius ? "degC" : "K",
            data,
          },
        ],
      );
      const file = await openForecastFile(path);
      expect([[...file.grid.lat], [...file.grid.lon], file.leads]).toEqual([
        [-45, 0, 45],
        [0, 90, 180, 270],
        [6, 24, 48],
      ]);
      for (const [level, hPa] of [850, 500].entries()) {
        for (const [i, j, member] of [
          [0, 0, 0],
          [1, 2, 1],
        ] as const) {
          const found = await file.fields.get(`temperature_${hPa}`)!.read(i, j, member);
          const wanted = Array.from({ length: 12 }, (_, k) =>
            truth(i, j, member, level, Math.floor(k / 4), k % 4),
          );
          // 0.15 K is what Celsius and the test's 273 differ by.
          expect([...found].map((value) => Math.round(value - (layout.celsius ? 0.15 : 0)))).toEqual(wanted);
        }
      }
      await file.close();
    }),
    { numRuns: 40, seed: 6 },
  );
});

test("whatever coordinates a file has, it opens, or is refused with a mend", async () => {
  const sane: Record<string, [string, string]> = {
    time: ["hours since 2018-01-01", ""],
    step: ["hours", ""],
    forecast_reference_time: ["hours since 2018-01-01", "forecast_reference_time"],
    valid_time: ["hours since 2018-01-01", "time"],
    lead_time: ["hours", "forecast_period"],
  };
  const one = fc.record({
    place: fc.constantFrom("absent", "absent", "a", "b", "scalar", "both"),
    odd: fc.option(
      fc.tuple(
        fc.constantFrom("hours", "days since 2018-01-01", "", "m", "months since 1-1-1", "?"),
        fc.constantFrom("", "time", "forecast_reference_time", "forecast_period", "latitude"),
      ),
      { freq: 6 },
    ),
    values: fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom([0, 6, 12, 18], [6, 12, 12, 18], [24, 30, 36, 42]) },
      {
        weight: 1,
        arbitrary: fc.array(fc.constantFrom(0, 6, -6, 1e9, Number.NaN), { minLength: 4, maxLength: 4 }),
      },
    ),
  });
  let opened = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(...Object.keys(sane).map(() => one)),
      fc.shuffledSubarray(["a", "b", "number"]),
      fc.boolean(),
      fc.boolean(),
      async (all, outer, leadZero, timeIsValid) => {
        const lengths: Record<string, number> = { a: 2, b: 2, number: 3, lat: 2, lon: 3 };
        const sized = (names: string[]) => Object.fromEntries(names.map((name) => [name, lengths[name]!]));
        const coordinates = Object.entries(sane).flatMap(([name, plain], i): [string, FakeVariable][] => {
          const { place, odd, values } = all[i]!;
          if (place === "absent") return [];
          const [units, standard] = odd ?? plain;
          const attributes = { ...(units && { units }), ...(standard && { standard_name: standard }) };
          const own = place === "both" ? ["a", "b"] : place === "scalar" ? [] : [place];
          return [[name, { dimensions: sized(own), data: values, attributes }]];
        });
        const dataset = fakeDataset("odd.nc", {
          ...fakeGrid([-45, 45], [0, 120, 240]),
          ...Object.fromEntries(coordinates),
          t2m: { dimensions: sized([...outer, "lat", "lon"]), attributes: { units: "K" } },
        });
        try {
          const { fields, initial, leads } = await readFields(dataset, { leadZero, timeIsValid }, false);
          opened++;
          const field = fields.get("2m_temperature")!;
          const there = initial.flatMap((_, i) =>
            leads.map((_, j) => [i, j] as const).filter((at) => field.has(...at)),
          );
          expect(there.length).toBeGreaterThan(0);
          for (const at of there) expect(await field.read(...at, field.members - 1)).toHaveLength(6);
        } catch (error) {
          if (!(error instanceof ClimaxError)) throw error;
          expect([error.message, error.hint].every((text) => text.length > 20)).toBe(true);
        }
      },
    ),
    { numRuns: 2000, seed: 6 },
  );
  expect(opened).toBeGreaterThan(30);
});
