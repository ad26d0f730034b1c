import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatTime } from "../../src/data/time.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import { createNetcdf, type WrittenVariable } from "../../src/files/netcdf4writer.ts";
import { tinyFolder } from "./tinyfiles.ts";

let folder: string;
beforeAll(async () => {
  folder = await tinyFolder();
});
afterAll(() => rmSync(folder, { recursive: true }));

const axis = (name: string, data: number[], attributes: Record<string, string>): WrittenVariable => ({
  name,
  dimensions: [name],
  dtype: "float64",
  attributes,
  data,
});
const scalar = (name: string, value: number, attributes: Record<string, string>): WrittenVariable => ({
  name,
  dimensions: [],
  dtype: "float64",
  attributes,
  data: [value],
});
const since = { units: "hours since 2018-01-01", calendar: "standard" };

/** Writes variables whose values count up from 0 in the file's own order. */
async function write(
  name: string,
  coordinates: WrittenVariable[],
  fields: {
    name: string;
    dimensions: string[];
    units?: string;
    attributes?: Record<string, string>;
    shift?: number;
  }[],
  attributes: Record<string, string> = {},
): Promise<string> {
  const path = join(folder, name);
  const lengths = new Map(
    coordinates
      .filter(({ dimensions }) => dimensions.length === 1)
      .map(({ name, data }) => [name, data!.length]),
  );
  const file = await createNetcdf(path, {
    dimensions: Object.fromEntries(lengths),
    attributes,
    variables: [
      ...coordinates,
      ...fields.map(({ name, dimensions, units = "K", attributes = {}, shift = 0 }): WrittenVariable => {
        const size = dimensions.reduce((product, dimension) => product * lengths.get(dimension)!, 1);
        const data = Float32Array.from({ length: size }, (_, i) => i + shift);
        return { name, dimensions, dtype: "float32", attributes: { units, ...attributes }, data };
      }),
    ],
  });
  await file.close();
  return path;
}

const lat = axis("latitude", [-45, 0, 45], { units: "degrees_north" });
const lon = axis("longitude", [0, 180], { units: "degrees_east" });

describe("the forms of forecast files", () => {
  test("WeatherBench 2: time, prediction_timedelta, level, longitude, latitude; north first, -180 to 180, days", async () => {
    const path = await write(
      "wb2.nc",
      [
        axis("time", [0, 12], since),
        axis("prediction_timedelta", [0.25, 1], { units: "days" }),
        axis("level", [500, 850], {}),
        axis("longitude", [-180, -90, 0, 90], { units: "degrees_east" }),
        axis("latitude", [45, 0, -45], { units: "degrees_north" }),
      ],
      [
        {
          name: "geopotential",
          dimensions: ["time", "prediction_timedelta", "level", "longitude", "latitude"],
          units: "m**2 s**-2",
        },
        { name: "2m_temperature", dimensions: ["time", "prediction_timedelta", "longitude", "latitude"] },
      ],
    );
    const file = await openForecastFile(path);
    expect([...file.fields.keys()].toSorted()).toEqual([
      "2m_temperature",
      "geopotential_500",
      "geopotential_850",
    ]);
    expect(file.initial.map(formatTime)).toEqual(["2018-01-01T00:00:00", "2018-01-01T12:00:00"]);
    expect(file.leads).toEqual([6, 24]);
    expect([...file.grid.lat]).toEqual([-45, 0, 45]);
    expect([...file.grid.lon]).toEqual([0, 90, 180, 270]);
    // Second time, first lead, second level: the 6th of 8 slabs of 12. South is the last of each column of 3, 0 E the third.
    const at = (column: number, row: number) => 5 * 12 + column * 3 + row;
    const field = await file.fields.get("geopotential_850")!.read(1, 0);
    expect([...field]).toEqual([2, 1, 0].flatMap((row) => [2, 3, 0, 1].map((column) => at(column, row))));
    await file.close();
  });

  test("one initial time as a scalar, leads along step (cfgrib)", async () => {
    const path = await write(
      "cfgrib.nc",
      [
        scalar("time", 6, { ...since, standard_name: "forecast_reference_time" }),
        axis("step", [3600e9, 7200e9], { units: "nanoseconds" }),
        lat,
        lon,
      ],
      [{ name: "t2m", dimensions: ["step", "latitude", "longitude"] }],
    );
    const file = await openForecastFile(path);
    expect(file.initial.map(formatTime)).toEqual(["2018-01-01T06:00:00"]);
    expect(file.leads).toEqual([1, 2]);
    expect([...(await file.fields.get("2m_temperature")!.read(0, 1))]).toEqual([6, 7, 8, 9, 10, 11]);
    await file.close();
  });

  test("many initial times, one lead as a scalar", async () => {
    const path = await write(
      "onelead.nc",
      [axis("time", [0, 6], since), scalar("lead_time", 3, { units: "days" }), lat, lon],
      [{ name: "t2m", dimensions: ["time", "latitude", "longitude"] }],
    );
    const file = await openForecastFile(path);
    expect(file.leads).toEqual([72]);
    expect((await file.fields.get("2m_temperature")!.read(1, 0))[0]).toBe(6);
    await file.close();
    const years = await write(
      "bareyears.nc",
      [axis("time", [2080, 2081], {}), lat, lon],
      [{ name: "tas", dimensions: ["time", "latitude", "longitude"] }],
    );
    const projection = await openForecastFile(years, true);
    expect(projection.initial.map(formatTime)).toEqual(["2080-07-01T00:00:00", "2081-07-01T00:00:00"]);
    await projection.close();
  });

  test("one forecast along its valid time, the initial time beside it", async () => {
    const path = await write(
      "valid.nc",
      [
        axis("time", [24, 48], { ...since, standard_name: "time" }),
        scalar("forecast_reference_time", 0, { ...since, standard_name: "forecast_reference_time" }),
        lat,
        lon,
      ],
      [{ name: "t2m", dimensions: ["time", "latitude", "longitude"] }],
    );
    const file = await openForecastFile(path);
    expect(file.leads).toEqual([24, 48]);
    expect((await file.fields.get("2m_temperature")!.read(0, 1))[0]).toBe(6);
    await file.close();
  });

  test("units are converted, and said", async () => {
    const path = await write(
      "celsius.nc",
      [axis("init_time", [0], since), axis("lead", [24], { units: "hours" }), lat, lon],
      [{ name: "t2m", dimensions: ["init_time", "lead", "latitude", "longitude"], units: "degC" }],
    );
    const file = await openForecastFile(path);
    expect((await file.fields.get("2m_temperature")!.read(0, 0))[1]).toBeCloseTo(274.15, 4);
    expect(file.notes).toEqual([`${path}: t2m: degC to K: plus 273.15`]);
    await file.close();
  });
});

describe("members of an ensemble", () => {
  const times = [axis("time", [0, 6], since), axis("step", [6, 12], { units: "hours" })];

  test.for(["number", "realization", "member", "ensemble"])("in a dimension %s", async (name) => {
    const path = await write(
      `${name}.nc`,
      [...times, axis(name, [0, 1, 2], {}), lat, lon],
      [{ name: "t2m", dimensions: ["time", "step", name, "latitude", "longitude"] }],
    );
    const file = await openForecastFile(path);
    const field = file.fields.get("2m_temperature")!;
    expect(field.members).toBe(3);
    // 6 cells a field: member 2 of lead 1 of initial time 1 comes last of 12.
    expect((await field.read(1, 1, 2))[0]).toBe(6 * 11);
    expect((await field.read(1, 1))[0]).toBe(6 * 9);
    await file.close();
  });

  test("before all others, or last", async () => {
    for (const dimensions of [
      ["number", "step", "time", "latitude", "longitude"],
      ["time", "step", "latitude", "longitude", "number"],
    ]) {
      const path = await write(
        "order.nc",
        [...times, axis("number", [0, 1, 2], {}), lat, lon],
        [{ name: "t2m", dimensions }],
      );
      const file = await openForecastFile(path);
      const field = file.fields.get("2m_temperature")!;
      // Initial time 1, lead 0, member 2.
      const [first, step] = dimensions[0] === "number" ? [6 * (2 * 4 + 1), 1] : [2 * 18 + 2, 3];
      expect([...(await field.read(1, 0, 2))]).toEqual(
        Array.from({ length: 6 }, (_, i) => first! + step! * i),
      );
      await file.close();
    }
  });
});

describe("files that are refused", () => {
  const times = [axis("time", [0, 6], since), axis("step", [6, 12], { units: "hours" })];
  const dimensions = ["time", "step", "latitude", "longitude"];

  test("a dimension that is no ensemble's", async () => {
    const path = await write(
      "extra.nc",
      [...times, axis("expver", [1, 5], {}), lat, lon],
      [{ name: "t2m", dimensions: ["time", "step", "expver", "latitude", "longitude"] }],
    );
    await expect(openForecastFile(path)).rejects.toMatchObject({
      kind: "data",
      message:
        `t2m of ${path} has a dimension expver of 2; wanted one forecast for each initial time and lead, ` +
        "or the members of an ensemble in a dimension number, realization, member or ensemble",
    });
  });

  test("an average that is no number of hours", async () => {
    const path = await write("average.nc", [...times, lat, lon], [{ name: "t2m", dimensions }], {
      climax_average_hours: "two weeks",
    });
    await expect(openForecastFile(path)).rejects.toThrow(
      `${path}: its attribute climax_average_hours is "two weeks"; wanted a number of hours above zero`,
    );
  });

  test("no lead, unless it may be zero", async () => {
    const path = await write(
      "years.nc",
      [times[0]!, lat, lon],
      [{ name: "tas", dimensions: ["time", "latitude", "longitude"] }],
    );
    await expect(openForecastFile(path)).rejects.toThrow(`${path} has no initial time and no lead`);
    const file = await openForecastFile(path, true);
    expect(file.leads).toEqual([0]);
    expect(file.initial.map(formatTime)).toEqual(["2018-01-01T00:00:00", "2018-01-01T06:00:00"]);
    expect((await file.fields.get("2m_temperature")!.read(1, 0))[0]).toBe(6);
    await file.close();
    const years = await write(
      "bareyears.nc",
      [axis("time", [2080, 2081], {}), lat, lon],
      [{ name: "tas", dimensions: ["time", "latitude", "longitude"] }],
    );
    const projection = await openForecastFile(years, true);
    expect(projection.initial.map(formatTime)).toEqual(["2080-07-01T00:00:00", "2081-07-01T00:00:00"]);
    await projection.close();
  });

  test("leads without units", async () => {
    const path = await write(
      "nounits.nc",
      [times[0]!, axis("step", [6, 12], {}), lat, lon],
      [{ name: "t2m", dimensions }],
    );
    await expect(openForecastFile(path)).rejects.toThrow(
      `the lead step in ${path} has no units; wanted hours, days or another unit of time`,
    );
  });

  test("valid times that are not initial time plus lead", async () => {
    const stated: WrittenVariable = {
      name: "valid_time",
      dimensions: ["time", "step"],
      dtype: "float64",
      attributes: { ...since, standard_name: "time" },
      data: [6, 12, 12, 24],
    };
    const path = await write("shifted.nc", [...times, stated, lat, lon], [{ name: "t2m", dimensions }]);
    await expect(openForecastFile(path)).rejects.toThrow(
      `${path}: valid_time says 2018-01-02T00:00:00 for the initial time 2018-01-01T06:00:00 and a lead of 12 h`,
    );
  });

  test("an initial time twice, a variable twice, no variable that is known", async () => {
    const twice = await write(
      "twice.nc",
      [axis("time", [6, 6], since), times[1]!, lat, lon],
      [{ name: "t2m", dimensions }],
    );
    await expect(openForecastFile(twice)).rejects.toThrow(
      `${twice} has the initial time 2018-01-01T06:00:00 more than once in time`,
    );
    const same = await write(
      "same.nc",
      [...times, lat, lon],
      [
        { name: "t2m", dimensions },
        { name: "2m_temperature", dimensions },
      ],
    );
    await expect(openForecastFile(same)).rejects.toThrow(
      `${same}: t2m and 2m_temperature are both 2m_temperature`,
    );
    const unknown = await write("unknown.nc", [...times, lat, lon], [{ name: "ozone_hole", dimensions }]);
    await expect(openForecastFile(unknown)).rejects.toThrow(
      `${unknown} holds no forecast of a variable that is known`,
    );
  });

  test("units of something else", async () => {
    const path = await write("units.nc", [...times, lat, lon], [{ name: "t2m", dimensions, units: "m s-1" }]);
    await expect(openForecastFile(path)).rejects.toThrow(`t2m of ${path} has the units "m s-1"`);
  });
});
