import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { inspectFile } from "../../src/data/inspect.ts";
import { choosePeriods, outputName } from "../../src/data/inspectadvice.ts";
import { fileSchema, inspectionSchema } from "../../src/data/inspectschema.ts";
import { describeTimes } from "../../src/data/inspecttimes.ts";
import { inspectTogether } from "../../src/data/inspecttogether.ts";
import { type Calendar, parseTime } from "../../src/data/time.ts";
import { createNetcdf, type WrittenVariable } from "../../src/files/netcdf4writer.ts";
import { makeWeatherFile, steps } from "../support/weatherfile.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-inspect-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

const times = (texts: string[], calendar: Calendar = "standard") =>
  texts.map((text) => parseTime(text, calendar));

describe("times", () => {
  test("usual step, gaps, repeated and backward times", () => {
    const found = describeTimes(
      times([
        "2000-01-01",
        "2000-01-01T06",
        "2000-01-01T12",
        "2000-01-02",
        "2000-01-02",
        "2000-01-01T18:00",
        "2000-01-03",
      ]),
    );
    expect(found).toMatchObject({ stepHours: 6, step: "every 6 h", steps: 7, repeated: 1, backwards: 1 });
    expect(found.gaps).toEqual([
      { from: "2000-01-02T00:00:00", to: "2000-01-03T00:00:00", hours: 24, missing: 3 },
    ]);
    expect([found.gapCount, found.missing]).toEqual([1, 3]);
  });

  test("months and years have no one length, and a missing month is a gap", () => {
    const months = times(["2000-01-16", "2000-02-15", "2000-03-16", "2000-05-16", "2000-06-15"]);
    expect(describeTimes(months)).toMatchObject({ step: "every month", gapCount: 1, missing: 1 });
    expect(describeTimes(times(["1999-07-01", "2000-07-01", "2001-07-01"]))).toMatchObject({
      step: "every year",
      gapCount: 0,
    });
    expect(describeTimes(times(["2000-01-30"], "360_day"))).toMatchObject({
      stepHours: 0,
      step: "single states",
    });
  });

  test("periods for a training set, by years, months, days or hours", () => {
    const hours = (n: number, step: number) =>
      Array.from({ length: n }, (_, i) => ({ calendar: "standard" as const, seconds: i * step * 3600 }));
    expect(choosePeriods(times(Array.from({ length: 40 }, (_, i) => String(1979 + i))))).toBe(
      "--train 1979..2015 --val 2016 --test 2017..2018", // the paper's
    );
    expect(choosePeriods(hours(366, 24))).toBe("--train 1970-01..1970-11 --val 1970-12 --test 1971-01");
    expect(choosePeriods(hours(20, 6))).toBe(
      "--train 1970-01-01..1970-01-03 --val 1970-01-04 --test 1970-01-05",
    );
    expect(choosePeriods(hours(4, 6))).toBe(
      "--train 1970-01-01T00..1970-01-01T06 --val 1970-01-01T12 --test 1970-01-01T18",
    );
    expect(choosePeriods(hours(2, 6))).toBeUndefined();
  });
});

describe("a file", () => {
  test("as reanalyses come: packed, north to south, on levels", async () => {
    const { path } = await makeWeatherFile(at("weather.nc"));
    const report = fileSchema.parse(await inspectFile(path));
    expect(report).toMatchObject({ format: "NetCDF-4", title: "made for a test", synthetic: false });
    expect(report.bytes).toBeGreaterThan(1000);
    expect(report.dimensions[0]).toEqual({ name: "time", length: 3, unlimited: true });
    const [t] = report.variables;
    expect(t).toMatchObject({
      name: "t",
      climax: "temperature",
      recognisedBy: "standard name air_temperature",
      fileUnits: "K",
      units: "K",
      conversion: null,
      dtype: "int16",
      packing: { scale: 0.01 },
      values: { missing: expect.any(Number), steps: 3, levels: 2, outOfBounds: 0, bounds: [120, 350] },
    });
    expect(t!.values!.min!).toBeLessThan(t!.values!.mean!);
    expect(t!.values!.mean!).toBeLessThan(t!.values!.max!);
    expect(report.grids[0]).toMatchObject({
      kind: "regular",
      global: true,
      latitudes: { first: 90, last: -90, order: "north to south" },
      longitudes: { first: 0, last: 340 },
    });
    expect(report.next).toMatchObject({ usable: false });
    expect(report.next.commands[0]).toBe(`climax regrid ${path} --res 5.625 -o weather_5.625deg.nc`);
  });

  const grid = (lat: number[], lon: number[]): WrittenVariable[] => [
    { name: "lat", dimensions: ["lat"], dtype: "float64", data: lat, attributes: { units: "degrees_north" } },
    { name: "lon", dimensions: ["lon"], dtype: "float64", data: lon, attributes: { units: "degrees_east" } },
  ];
  async function make(
    name: string,
    lat: number[],
    lon: number[],
    hours: number[],
    fields: WrittenVariable[],
  ) {
    const writer = await createNetcdf(at(name), {
      dimensions: { time: hours.length, lat: lat.length, lon: lon.length, member: 2, lev: 3 },
      attributes: {},
      variables: [
        ...grid(lat, lon),
        {
          name: "time",
          dimensions: ["time"],
          dtype: "float64",
          data: hours,
          attributes: { units: "hours since 2001-01-01" },
        },
        ...fields,
      ],
    });
    await writer.close();
    return at(name);
  }
  const globe = [steps(32, 5.625, -87.1875), steps(64, 5.625)] as const;
  const field = (
    name: string,
    attributes: Record<string, string>,
    data: ArrayLike<number>,
    more: string[] = [],
  ): WrittenVariable => ({
    name,
    dimensions: ["time", ...more, "lat", "lon"],
    dtype: "float32",
    data,
    attributes,
  });
  const cells = (n: number, value: (i: number) => number) =>
    Float32Array.from({ length: n * 2048 }, (_, i) => value(i));

  test("on the paper's grid is ready, with its gaps in time and in space said, and values out of bounds", async () => {
    const tas = cells(4, (i) => (i % 4 === 0 ? Number.NaN : i === 5 ? 999 : 280));
    const path = await make(
      "ready.nc",
      ...globe,
      [0, 6, 12, 24],
      [
        field("tas", { standard_name: "air_temperature", units: "K" }, tas),
        field(
          "thing",
          { units: "1" },
          cells(4, () => 1),
        ),
      ],
    );
    const {
      variables,
      unused,
      times: [time],
      next,
    } = await inspectFile(path);
    expect(variables).toHaveLength(1);
    expect(variables[0]!.values).toMatchObject({
      max: 999,
      outOfBounds: 1,
      missing: 3 * 512,
      of: 3 * 2048,
      steps: 3,
    });
    expect(unused).toEqual([
      {
        name: "thing",
        dimensions: ["time", "lat", "lon"],
        units: "1",
        climax: null,
        why: "ClimaX has no such variable",
        mend: null,
      },
    ]);
    expect(time).toMatchObject({ steps: 4, gapCount: 1, missing: 1 });
    expect(next).toEqual({
      usable: true,
      why: "it lies on the regular grid of 5.625 degrees",
      commands: [
        `climax prepare ${path} --train 2001-01-01T00..2001-01-01T06 --val 2001-01-01T12 --test 2001-01-02T00 --nan-fill mean -o ready-set`,
      ],
    });
  });

  test("with units that mean nothing still shows the others", async () => {
    const path = await make(
      "units.nc",
      ...globe,
      [0],
      [
        field(
          "tas",
          { units: "furlongs" },
          cells(1, () => 1),
        ),
        field(
          "psl",
          { units: "hPa" },
          cells(1, () => 1013),
        ),
      ],
    );
    const { variables, unused } = await inspectFile(path);
    expect(variables).toMatchObject([
      { name: "psl", conversion: "hPa to Pa: times 100", values: { min: 101300, max: 101300 } },
    ]);
    expect(unused[0]).toMatchObject({
      name: "tas",
      why: expect.stringContaining('has the unknown units "furlongs"'),
      mend: expect.stringContaining("cdo setattribute,tas@units="),
    });
  });

  test("of members is regridded first, then one of them is chosen", async () => {
    const path = await make(
      "members.nc",
      ...globe,
      [0],
      [
        field(
          "tas",
          { units: "K" },
          cells(2, () => 280),
          ["member"],
        ),
      ],
    );
    const { next, unused } = await inspectFile(path);
    expect(unused[0]).toMatchObject({ name: "tas", climax: "2m_temperature" });
    expect(next.why).toContain("its dimension member has 2 entries");
    expect(next.commands).toEqual([
      `climax regrid ${path} --res 5.625 -o members_5.625deg.nc`,
      "ncks -d member,0 members_5.625deg.nc members_5.625deg_member0.nc",
    ]);
  });

  test("on model levels gets cdo's line", async () => {
    const path = await make(
      "model.nc",
      ...globe,
      [0],
      [
        {
          name: "lev",
          dimensions: ["lev"],
          dtype: "float64",
          data: [1, 2, 3],
          attributes: { standard_name: "atmosphere_hybrid_sigma_pressure_coordinate" },
        },
        field(
          "ta",
          { units: "K" },
          cells(3, () => 280),
          ["lev"],
        ),
      ],
    );
    const { next } = await inspectFile(path);
    expect(next.why).toContain("is no pressure");
    expect(next.commands).toEqual([
      `cdo -f nc4 ml2pl,5000,25000,50000,60000,70000,85000,92500 ${path} out.nc`,
    ]);
  });

  test("of rain alone is regridded conservatively, of a region finely", async () => {
    const lat = steps(20, 0.25, 40);
    const rain = field("pr", { units: "kg m-2 s-1" }, new Float32Array(400));
    const path = await make("rain.nc", lat, steps(20, 0.25), [0], [rain]);
    const { next } = await inspectFile(path);
    expect(next.commands[0]).toBe(
      `climax regrid ${path} --res 1.40625 --method conservative -o rain_1.40625deg.nc`,
    );
    expect(next.commands[1]).toMatch(
      /^climax forecast --checkpoint .* --input rain_1.40625deg.nc --time 2001-01-01T00:00:00/,
    );
  });

  test("larger than may be read is looked at in part, or not, and that is said", async () => {
    const path = await make("large.nc", ...globe, steps(12, 6), [
      field(
        "tas",
        { units: "K" },
        cells(12, (i) => 280 + Math.floor(i / 2048)),
      ),
    ]);
    const values = async (budget: number) => (await inspectFile(path, { budget })).variables[0]!.values;
    expect(await values(2048 * 12)).toMatchObject({ steps: 3, min: 280, max: 291 });
    expect(await values(2048 * 2)).toMatchObject({ steps: 2 });
    expect(await values(2048)).toMatchObject({ steps: 1, max: 280 });
    const none = await inspectFile(path, { budget: 2047 });
    expect(none.variables[0]!.values).toBeNull();
    expect(none.notes[0]).toBe("tas: its values were not looked at: one field means reading 2048 numbers");
  });

  test("shows only what is asked for, and says when it has none of it", async () => {
    const { path } = await makeWeatherFile(at("chosen.nc"));
    expect((await inspectFile(path, { variables: ["temperature_850"] })).variables).toHaveLength(1);
    await expect(inspectFile(path, { variables: ["zg"] })).rejects.toMatchObject({
      kind: "config",
      message: `${path} has no variable zg`,
      hint: expect.stringContaining("it has "),
    });
  });
});

test("a few points are no grid", async () => {
  const { path } = await makeWeatherFile(at("few.nc"), { lat: [88.4, 89.3], lon: [0, 0.9, 1.9] });
  expect((await inspectFile(path)).next).toEqual({
    usable: false,
    why: expect.stringMatching(/^2 x 3, .*: a few points, on which no grid of ClimaX can be made$/),
    commands: [],
  });
});

test("several files as one archive", async () => {
  const { path } = await makeWeatherFile(at("one.nc"));
  const { path: other } = await makeWeatherFile(at("two.nc"));
  const files = [await inspectFile(path), await inspectFile(other)];
  const together = await inspectTogether(files, [path, other]);
  inspectionSchema.parse({ files, sets: [], refused: [], together });
  expect(together).toMatchObject({ files: 2, times: { steps: 3 }, next: { usable: false } });
  expect("next" in together && together.next.commands).toEqual([
    `climax regrid ${path} ${other} --res 5.625 -o regridded`,
    expect.stringMatching(/^climax prepare regridded\/\*\.nc --train /),
  ]);
  expect("notes" in together && together.notes.join()).toContain("whose times were there already");
});

test.each([
  ["/data/tas_day.nc", "tas_day_5.625deg.nc"],
  ["gs://bucket/era5-64x32.zarr/", "era5-64x32_5.625deg.nc"],
  ["my data.grib2", "'my data_5.625deg.nc'"],
])("%s is regridded into %s", (path, name) => {
  expect(outputName(path, 5.625)).toBe(name);
});
