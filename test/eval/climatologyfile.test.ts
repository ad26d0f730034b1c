/** Climatologies by the time of the year, in files as WeatherBench 2 writes them. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type CfTime, decodeTimes } from "../../src/data/time.ts";
import { cutAlignment } from "../../src/eval/align.ts";
import { openClimatologyFile } from "../../src/eval/climatologyfile.ts";
import { openClimatology } from "../../src/eval/climatologysource.ts";
import { createNetcdf, type WrittenVariable } from "../../src/files/netcdf4writer.ts";
import { makeGrid } from "../../src/grid/grid.ts";
import { tinyFolder } from "./tinyfiles.ts";

const at = (date: string, calendar = "standard"): CfTime =>
  decodeTimes([0], `hours since ${date}`, calendar)[0]!;

/** What a field holds: day, hour, level and place can be told from each value. */
const value = (day: number, hour: number, level: number, row: number, column: number) =>
  1000 * day + 100 * (hour / 6) + level / 100 + 0.25 * row + 0.5 * column;

const lengths = { dayofyear: 0, hour: 0, level: 0, latitude: 2, longitude: 2 };
type Axis = keyof typeof lengths;

interface Contents {
  days: number[];
  hours?: number[];
  levels?: number[];
  order: Axis[];
  name: string;
  units?: string;
  /** North first. */
  lat?: number[];
}

async function write(path: string, { days, hours, levels, order, name, units, lat = [30, -30] }: Contents) {
  const axes = {
    dayofyear: days,
    hour: hours ?? [0],
    level: levels ?? [0],
    latitude: lat,
    longitude: [0, 180],
  };
  const data: number[] = [];
  const walk = (at: Partial<Record<Axis, number>>, [next, ...rest]: Axis[]) => {
    if (next === undefined) {
      const get = (axis: Axis) => axes[axis][at[axis] ?? 0]!;
      // Row 0 is the southern one.
      const row = lat.length - 1 - at.latitude!;
      data.push(value(get("dayofyear"), get("hour"), get("level"), row, at.longitude!));
    } else for (let i = 0; i < axes[next].length; i++) walk({ ...at, [next]: i }, rest);
  };
  walk({}, order);
  const coordinate = (axis: Axis): WrittenVariable => ({
    name: axis,
    dimensions: [axis],
    dtype: axis === "latitude" || axis === "longitude" ? "float64" : "int32",
    attributes:
      axis === "latitude"
        ? { units: "degrees_north" }
        : axis === "longitude"
          ? { units: "degrees_east" }
          : axis === "level"
            ? { units: "hPa" }
            : {},
    data: axes[axis],
  });
  const file = await createNetcdf(path, {
    dimensions: Object.fromEntries(order.map((axis) => [axis, axes[axis].length])),
    variables: [
      ...order.map(coordinate),
      { name, dimensions: order, dtype: "float32", attributes: units ? { units } : {}, data },
    ],
  });
  await file.close();
  return path;
}

let folder: string;
beforeAll(async () => {
  folder = await tinyFolder();
});
const file = (name: string) => join(folder, name);

/** South to north, eastward. */
const field = (day: number, hour: number, level: number) =>
  [0, 1].flatMap((row) => [0, 1].map((column) => value(day, hour, level, row, column)));

describe("by day of the year and hour", () => {
  test.for([
    [["hour", "dayofyear", "level", "latitude", "longitude"]],
    [["dayofyear", "hour", "latitude", "longitude", "level"]],
    [["longitude", "latitude", "level", "dayofyear", "hour"]],
  ] as [Axis[]][])("dimensions %j", async ([order]) => {
    const path = await write(file(`${order.join("-")}.nc`), {
      ...{ days: [1, 59, 60, 61, 366], hours: [0, 6, 18], levels: [500, 850], order },
      ...{ name: "temperature", units: "K" },
    });
    const climatology = (await openClimatologyFile(path))!;
    expect(climatology.variables).toEqual(["temperature_500", "temperature_850"]);
    expect([...climatology.grid.lat]).toEqual([-30, 30]);
    expect(climatology.axes.words).toBe("by day of the year and hour (5 days, hours 0, 6, 18)");
    const field500 = climatology.field("temperature_500")!;
    const field850 = climatology.field("temperature_850")!;
    // 1 March is day 60, in leap years day 61; 31 December of a leap year day 366.
    expect([...(await field850(at("2018-01-01T06:00")))]).toEqual(field(1, 6, 850));
    expect([...(await field500(at("2018-03-01T18:00")))]).toEqual(field(60, 18, 500));
    expect([...(await field500(at("2020-03-01T00:00")))]).toEqual(field(61, 0, 500));
    expect([...(await field850(at("2020-02-29T00:00")))]).toEqual(field(60, 0, 850));
    expect([...(await field850(at("2020-12-31T18:00")))]).toEqual(field(366, 18, 850));
    expect(climatology.field("geopotential_500")).toBeUndefined();
    await climatology.close();
  });

  test("a day and an hour that it lacks are named, and what it has", async () => {
    const path = await write(file("few.nc"), {
      ...{ days: [1, 2, 3, 59], hours: [0, 12], order: ["hour", "dayofyear", "latitude", "longitude"] },
      ...{ name: "2m_temperature", units: "K" },
    });
    const climatology = (await openClimatologyFile(path))!;
    const t2m = climatology.field("2m_temperature")!;
    await expect(async () => await t2m(at("2018-01-04T00:00"))).rejects.toThrow(
      /few.nc has no day 4, which 2018-01-04T00:00:00Z? needs; it has days 1 to 3, 59 and hours 0, 12/,
    );
    await expect(async () => await t2m(at("2018-01-03T06:00"))).rejects.toThrow(/has no hour 6, which/);
    await expect(async () => await t2m(at("2018-01-03T00:30"))).rejects.toThrow(/has no hour 0:30, which/);
    await expect(async () => await t2m(at("2018-06-01T18:00"))).rejects.toThrow(
      /has no day 152 and no hour 18/,
    );
    await climatology.close();
  });

  test("units are converted, endings of WeatherBench 2 understood, and other statistics left out", async () => {
    const order: Axis[] = ["dayofyear", "latitude", "longitude"];
    const path = await write(file("mean.nc"), {
      days: [1],
      order,
      name: "2m_temperature_mean",
      units: "degC",
    });
    const climatology = (await openClimatologyFile(path))!;
    expect(climatology.variables).toEqual(["2m_temperature"]);
    expect(climatology.notes.join()).toContain("plus 273.15");
    // Without hours the same field all day.
    const noon = await climatology.field("2m_temperature")!(at("2018-01-01T12:00"));
    expect(noon[0]).toBeCloseTo(field(1, 0, 0)[0]! + 273.15, 3);
    await climatology.close();
    const std = await write(file("std.nc"), { days: [1], order, name: "2m_temperature_std", units: "K" });
    await expect(openClimatologyFile(std)).rejects.toThrow(
      /std.nc holds no climatology of a variable that is known; it has .*2m_temperature_std/,
    );
  });

  test("numbers without units must be possible", async () => {
    const order: Axis[] = ["dayofyear", "latitude", "longitude"];
    const path = await write(file("odd.nc"), { days: [20], order, name: "2m_temperature" });
    const climatology = (await openClimatologyFile(path))!;
    await expect(async () => await climatology.field("2m_temperature")!(at("2018-01-20"))).rejects.toThrow(
      /has no units, and its values .* cannot be 2m_temperature in K/,
    );
    await climatology.close();
  });

  test("another calendar is refused where its days cannot be the file's", async () => {
    const order: Axis[] = ["dayofyear", "latitude", "longitude"];
    const path = await write(file("c.nc"), { days: [1, 366], order, name: "2m_temperature", units: "K" });
    const climatology = (await openClimatologyFile(path))!;
    const t2m = climatology.field("2m_temperature")!;
    expect((await t2m(at("2018-01-01", "noleap")))[0]).toBe(1000);
    await expect(async () => await t2m(at("2018-01-01", "360_day"))).rejects.toThrow(
      /has a day 366, the calendar of 2018-01-01T00:00:00Z? has 360/,
    );
    await climatology.close();
  });
});

test("a Zarr store, its chunks of several days", async () => {
  const store = file("clim.zarr");
  const days = [1, 2, 3, 4, 5];
  const array = async (
    name: string,
    shape: number[],
    chunks: number[],
    dims: string[],
    fill: (at: number[]) => number,
  ) => {
    await mkdir(join(store, name), { recursive: true });
    const attributes = { _ARRAY_DIMENSIONS: dims, ...(name === "t2m" ? { units: "K" } : {}) };
    const zarray = {
      ...{ zarr_format: 2, shape, chunks, dtype: "<f8", order: "C", compressor: null },
      ...{ fill_value: null, filters: null },
    };
    await writeFile(join(store, name, ".zarray"), JSON.stringify(zarray));
    await writeFile(join(store, name, ".zattrs"), JSON.stringify(attributes));
    const counts = shape.map((n, i) => Math.ceil(n / chunks[i]!));
    const size = chunks.reduce((a, b) => a * b, 1);
    const total = counts.reduce((a, b) => a * b, 1);
    const digits = (index: number, base: number[]) =>
      base.map((_, i) => Math.floor(index / base.slice(i + 1).reduce((a, b) => a * b, 1)) % base[i]!);
    for (let chunk = 0; chunk < total; chunk++) {
      const which = digits(chunk, counts);
      const values = Float64Array.from({ length: size }, (_, i) => {
        const at = digits(i, chunks).map((inside, axis) => which[axis]! * chunks[axis]! + inside);
        return at.every((x, axis) => x < shape[axis]!) ? fill(at) : 0;
      });
      await writeFile(join(store, name, which.join(".")), new Uint8Array(values.buffer));
    }
  };
  await mkdir(store, { recursive: true });
  await writeFile(join(store, ".zgroup"), JSON.stringify({ zarr_format: 2 }));
  await array("dayofyear", [5], [5], ["dayofyear"], ([i]) => days[i!]!);
  await array("hour", [2], [2], ["hour"], ([i]) => 12 * i!);
  await array("latitude", [2], [2], ["latitude"], ([i]) => 60 * i! - 30);
  await array("longitude", [2], [2], ["longitude"], ([i]) => 180 * i!);
  await array(
    "t2m",
    [2, 5, 2, 2],
    [2, 2, 2, 2],
    ["hour", "dayofyear", "latitude", "longitude"],
    ([h, d, i, j]) => value(days[d!]!, 12 * h!, 0, i!, j!),
  );
  const climatology = (await openClimatologyFile(store))!;
  const t2m = climatology.field("2m_temperature")!;
  for (const day of [3, 1, 5, 2, 4])
    for (const hour of [0, 12])
      expect([...(await t2m(at(`2018-01-0${day}T${hour}:00`)))]).toEqual(field(day, hour, 0));
  await climatology.close();
});

test("a dimension of days without values is refused; a file without one is no such climatology", async () => {
  const bare = file("bare.nc");
  const contents = (dimension: string) => ({
    dimensions: { [dimension]: 2, latitude: 1, longitude: 1 },
    variables: [
      {
        name: "t2m",
        dimensions: [dimension, "latitude", "longitude"],
        dtype: "float32" as const,
        data: [1, 2],
      },
    ],
  });
  await (await createNetcdf(bare, contents("dayofyear"))).close();
  await expect(openClimatologyFile(bare)).rejects.toThrow(
    /bare.nc has a dimension dayofyear of 2, but no variable dayofyear that says which they are/,
  );
  await (await createNetcdf(file("none.nc"), contents("time"))).close();
  expect(await openClimatologyFile(file("none.nc"))).toBeUndefined();
});

test("as a climatology of an evaluation: labelled, cut to what is scored; by month too", async () => {
  const path = await write(file("whole.nc"), {
    ...{ days: [1], hours: [0], order: ["hour", "dayofyear", "latitude", "longitude"] as Axis[] },
    ...{ name: "2m_temperature", units: "K" },
  });
  const part = makeGrid([30], [0, 180]);
  const units = new Map([["2m_temperature", { units: "mK", scale: 1000 }]]);
  const own = await openClimatology(path, (from) => ({
    ...cutAlignment(from, part, units)!,
    note: "cut",
  }));
  expect(own.kind).toBe("dayofyear");
  expect(own.climatology.label).toBe(
    `the climatology of ${path} by day of the year and hour (1 day, hours 0)`,
  );
  expect(own.notes).toContain("cut");
  const t2m = (await own.climatology.field("2m_temperature"))!;
  expect([...(await t2m(at("1999-01-01")))]).toEqual(
    field(1, 0, 0)
      .slice(2)
      .map((x) => x * 1000),
  );
  expect(await own.climatology.field("geopotential_500")).toBeUndefined();
  await own.close();

  const monthly = await createNetcdf(file("monthly.nc"), {
    dimensions: { month: 2, latitude: 1, longitude: 2 },
    variables: [
      { name: "month", dimensions: ["month"], dtype: "int32", data: [1, 7] },
      {
        name: "latitude",
        dimensions: ["latitude"],
        dtype: "float64",
        attributes: { units: "degrees_north" },
        data: [30],
      },
      {
        name: "longitude",
        dimensions: ["longitude"],
        dtype: "float64",
        attributes: { units: "degrees_east" },
        data: [0, 180],
      },
      {
        ...{ name: "t2m", dimensions: ["month", "latitude", "longitude"], dtype: "float32" as const },
        ...{ attributes: { units: "K" }, data: [270, 271, 290, 291] },
      },
    ],
  });
  await monthly.close();
  const months = await openClimatology(file("monthly.nc"), (from) => ({
    ...cutAlignment(from, part, new Map())!,
    note: undefined,
  }));
  const usual = (await months.climatology.field("2m_temperature"))!;
  expect([...(await usual(at("2018-07-31T18:00")))]).toEqual([290, 291]);
  await expect(async () => await usual(at("2018-02-01"))).rejects.toThrow(
    /has no month 2, which 2018-02-01T00:00:00Z? needs; it has months 1, 7/,
  );
  await months.close();
});
