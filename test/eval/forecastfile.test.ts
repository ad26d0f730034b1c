import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openArchive } from "../../src/data/archive.ts";
import { formatTime } from "../../src/data/time.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import type { WrittenVariable } from "../../src/files/netcdf4writer.ts";
import { along, axis, scalar, since, writeCounting } from "./forecastwriter.ts";
import { tinyFolder } from "./tinyfiles.ts";

let folder: string;
beforeAll(async () => {
  folder = await tinyFolder();
});
afterAll(() => rmSync(folder, { recursive: true }));

const write = (
  name: string,
  ...rest: Parameters<typeof writeCounting> extends [string, ...infer R] ? R : never
) => writeCounting(join(folder, name), ...rest);

const lat = axis("latitude", [-45, 0, 45], { units: "degrees_north" });
const lon = axis("longitude", [0, 180], { units: "degrees_east" });

test("a file whose axis of initial times is empty holds no forecasts", async () => {
  const path = await write(
    "empty.nc",
    [axis("time", [], since), axis("prediction_timedelta", [24], { units: "hours" }), lat, lon],
    [
      {
        name: "2m_temperature",
        dimensions: ["time", "prediction_timedelta", "latitude", "longitude"],
        units: "K",
      },
    ],
  );
  await expect(openForecastFile(path)).rejects.toMatchObject({
    kind: "data",
    message: `${path} holds no forecasts: its axis of initial times is empty`,
    hint: "the program that wrote it found none: write it again, or leave the file out",
  });
});

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

  test("what names the system and its maker is one line, whatever a terminal would make of it", async () => {
    const path = await write(
      "named.nc",
      [axis("time", [0], since), axis("step", [6], { units: "hours" }), lat, lon],
      [{ name: "t2m", dimensions: ["time", "step", "latitude", "longitude"] }],
      { model: " IFS\n\u001b[31mHRES ", source: "ECMWF\r\nMARS\u009b2J" },
    );
    const file = await openForecastFile(path);
    expect([file.system, file.made]).toEqual(["IFS [31mHRES", "ECMWF MARS 2J"]);
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

describe("levels", () => {
  const times = [axis("time", [0, 6], since), axis("step", [6, 12], { units: "hours" })];
  const plain = ["time", "step", "latitude", "longitude"];
  const aloft = ["time", "step", "level", "latitude", "longitude"];

  test("an axis of one level is that of the variables along it only", async () => {
    const path = await write(
      "onelevel.nc",
      [...times, axis("level", [500], { units: "hPa" }), lat, lon],
      [
        { name: "geopotential", dimensions: aloft, units: "m2 s-2" },
        { name: "t", dimensions: aloft },
        { name: "2m_temperature", dimensions: plain },
        { name: "10m_u_component_of_wind", dimensions: plain, units: "m s-1" },
        { name: "msl", dimensions: plain, units: "Pa" },
      ],
    );
    const file = await openForecastFile(path);
    expect([...file.fields.keys()].toSorted()).toEqual([
      "10m_u_component_of_wind",
      "2m_temperature",
      "geopotential_500",
      "mean_sea_level_pressure",
      "temperature_500",
    ]);
    expect(file.notes).toEqual([]);
    await file.close();
  });

  test("one that coordinates name is its level, and so is a scalar", async () => {
    for (const level of [axis("level", [850], { units: "hPa" }), scalar("level", 850, { units: "hPa" })]) {
      const path = await write(
        "scalarlevel.nc",
        [...times, level, lat, lon],
        [
          { name: "t", dimensions: plain, attributes: { coordinates: "level" } },
          { name: "t2m", dimensions: plain },
        ],
      );
      const file = await openForecastFile(path);
      expect([...file.fields.keys()]).toEqual(["temperature_850", "2m_temperature"]);
      await file.close();
    }
  });

  test("and in an archive", async () => {
    const path = await write(
      "archivelevel.nc",
      [times[0]!, axis("level", [500], { units: "hPa" }), lat, lon],
      [
        { name: "z", dimensions: ["time", "level", "latitude", "longitude"], units: "m2 s-2" },
        { name: "t", dimensions: ["time", "level", "latitude", "longitude"] },
        {
          name: "air",
          dimensions: ["time", "latitude", "longitude"],
          attributes: { standard_name: "air_temperature" },
        },
        { name: "t2m", dimensions: ["time", "latitude", "longitude"] },
      ],
    );
    const archive = await openArchive([path]);
    // "air" lies on no level that it names: it is not the temperature at 500 hPa.
    expect([...archive.variables.keys()]).toEqual(["geopotential_500", "temperature_500", "2m_temperature"]);
    expect(archive.unrecognised.map(({ name }) => name)).toEqual(["air"]);
    await archive.close();
  });
});

describe("cells of a mesh", () => {
  /** Points spread evenly on the sphere, along a spiral. */
  const points = Array.from({ length: 1000 }, (_, i) => ({
    lat: (Math.asin(1 - (2 * i + 1) / 1000) * 180) / Math.PI,
    lon: (i * 137.50776405) % 360,
  }));
  const mesh = (kept: typeof points) => [
    axis("time", [0], since),
    axis("step", [6, 12], { units: "hours" }),
    along(
      "cell",
      "clat",
      kept.map(({ lat }) => lat),
      { units: "degrees_north" },
    ),
    along(
      "cell",
      "clon",
      kept.map(({ lon }) => lon),
      { units: "degrees_east" },
    ),
  ];
  const values = (kept: typeof points) =>
    [0, 1].flatMap((step) =>
      kept.map(
        ({ lat, lon }) => step + Math.sin((lat * Math.PI) / 180) + 0.1 * Math.cos((lon * Math.PI) / 180),
      ),
    );

  test("round the globe: regridded to latitudes by longitudes about as fine, and said", async () => {
    const path = await write("mesh.nc", mesh(points), [
      {
        name: "t2m",
        dimensions: ["time", "step", "cell"],
        data: values(points),
        attributes: { coordinates: "clat clon" },
      },
    ]);
    const file = await openForecastFile(path);
    expect(file.notes).toEqual([
      `${path}: regridded from 1000 cells, unstructured to 28 x 56, 6.42857 degrees, distance-weighted`,
    ]);
    const field = await file.fields.get("2m_temperature")!.read(0, 1);
    const { lat, lon } = file.grid;
    const apart = field.map((value, i) => {
      const [y, x] = [(lat[Math.floor(i / 56)]! * Math.PI) / 180, (lon[i % 56]! * Math.PI) / 180];
      return Math.abs(value - (1 + Math.sin(y) + 0.1 * Math.cos(x)));
    });
    // A slope of 1 per radian, and cells 6.4 degrees apart: nowhere off by more than from one to the next, and by half of
    // that on average.
    expect(Math.max(...apart)).toBeLessThan(0.112);
    expect(apart.reduce((a, b) => a + b) / apart.length).toBeLessThan(0.056);
    await file.close();
  });

  test("of a region: refused, with the mend", async () => {
    const north = points.filter(({ lat }) => lat > 30);
    const path = await write("region.nc", mesh(north), [
      { name: "t2m", dimensions: ["time", "step", "cell"], data: values(north) },
    ]);
    await expect(openForecastFile(path)).rejects.toMatchObject({
      kind: "grid",
      message: `t2m(time, step, cell) in ${path} lies on an unstructured grid of ${north.length} cells: clat(cell), clon(cell); wanted latitudes and longitudes of one dimension each`,
      hint: `regrid it first: climax regrid ${path} --res 5.625 --method distance-weighted -o out.nc`,
    });
  });
});

describe("rain", () => {
  const hours = [6, 12, 18, 24];
  const times = [axis("time", [0], since), axis("step", hours, { units: "hours" })];
  const dimensions = ["time", "step", "latitude", "longitude"];
  const sums = hours.flatMap((hour) => [0, 1, 2, 3, 4, 5].map((cell) => (hour * cell) / 1024));
  const rain = (name: string, data: number[], attributes: Record<string, string> = {}) =>
    write(name, [...times, lat, lon], [{ name: "tp", dimensions, units: "m", data, attributes }]);

  test("summed since the initial time, told by its numbers: differences between leads", async () => {
    const path = await rain("rainsince.nc", sums);
    const file = await openForecastFile(path);
    expect(file.notes).toEqual([
      `${path}: tp is summed since the initial time, by its numbers, which never fall from lead to lead; differences ` +
        "between leads give total_precipitation_6hr, total_precipitation_12hr, total_precipitation_24hr",
    ]);
    expect([...file.fields.keys()]).toEqual([6, 12, 24].map((h) => `total_precipitation_${h}hr`));
    const six = file.fields.get("total_precipitation_6hr")!;
    for (const lead of hours.keys()) {
      expect(six.has(0, lead)).toBe(true);
      expect([...(await six.read(0, lead))]).toEqual([0, 1, 2, 3, 4, 5].map((cell) => (6 * cell) / 1024));
    }
    const day = file.fields.get("total_precipitation_24hr")!;
    expect(hours.map((_, j) => day.has(0, j))).toEqual([false, false, false, true]);
    expect((await day.read(0, 3))[5]).toBe((24 * 5) / 1024);
    await file.close();
  });

  test("by what the file says: an interval is its name, and others are left out", async () => {
    const falling = sums.toReversed();
    const said = async (cellMethods: string) => {
      const file = await openForecastFile(await rain("rainsaid.nc", falling, { cell_methods: cellMethods }));
      await file.close();
      return [[...file.fields.keys()], file.notes.map((note) => note.slice(note.indexOf(": ") + 2))];
    };
    expect(await said("time: sum (interval: 6 hours)")).toEqual([
      ["total_precipitation_6hr"],
      ["tp is what falls in 6 h: taken as total_precipitation_6hr"],
    ]);
    expect(await said("step: sum (interval: 1 day)")).toEqual([
      ["total_precipitation_24hr"],
      ["tp is what falls in 24 h: taken as total_precipitation_24hr"],
    ]);
    expect(await said("time: sum (interval: 1 hour)")).toEqual([["total_precipitation"], []]);
    expect(await said("time: sum (interval: 3 hours)")).toEqual([
      [],
      ["tp left out: it is what falls in 3 h; only 1, 6, 12 and 24 h have a name"],
    ]);
    expect((await said("time: sum (comment: since the initial time)"))[1]).toEqual([
      "tp is summed since the initial time; differences between leads give total_precipitation_6hr, total_precipitation_12hr, total_precipitation_24hr",
    ]);
  });

  test("that does not say is taken as ERA5's hour, and said", async () => {
    const path = await rain("rainunknown.nc", sums.toReversed());
    const file = await openForecastFile(path);
    expect([...file.fields.keys()]).toEqual(["total_precipitation"]);
    expect(file.notes).toEqual([
      `${path}: tp does not say over how many hours it is summed; taken as one, as ERA5's total_precipitation`,
    ]);
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
    const metres = await write(
      "metres.nc",
      [times[0]!, axis("step", [6, 12], { units: "m" }), lat, lon],
      [{ name: "t2m", dimensions }],
    );
    await expect(openForecastFile(metres)).rejects.toMatchObject({
      message: `the lead step in ${metres} has the units "m"; wanted hours, days or another unit of time`,
      hint: `set them: ncatted -a units,step,o,c,hours ${metres}`,
    });
    const undated = await write(
      "undated.nc",
      [axis("time", [0, 6], {}), times[1]!, lat, lon],
      [{ name: "t2m", dimensions }],
    );
    await expect(openForecastFile(undated)).rejects.toMatchObject({
      message: `time in ${undated} has no units, so that its times cannot be told`,
      hint: `set them: ncatted -a units,time,o,c,"hours since 1970-01-01" ${undated}`,
    });
  });

  test("variables on two grids, a lead without an initial time, an initial time without a lead", async () => {
    const coarse = [
      axis("lat", [-60, 60], { units: "degrees_north" }),
      axis("lon", [0, 180], { units: "degrees_east" }),
    ];
    const two = await write(
      "twogrids.nc",
      [...times, lat, lon, ...coarse],
      [
        { name: "t2m", dimensions },
        { name: "msl", dimensions: ["time", "step", "lat", "lon"], units: "Pa" },
      ],
    );
    await expect(openForecastFile(two)).rejects.toMatchObject({
      kind: "grid",
      message: `msl of ${two} is on 2 x 2, 120 x 180 degrees, -60..60N 0..180E, the variables before it on 3 x 2, 45 x 180 degrees, -45..45N 0..180E`,
    });
    const noInitial = await write(
      "noinitial.nc",
      [times[1]!, lat, lon],
      [{ name: "t2m", dimensions: dimensions.slice(1) }],
    );
    await expect(openForecastFile(noInitial)).rejects.toThrow(
      `${noInitial} has no initial time; its dimensions are`,
    );
    const reference = { ...since, standard_name: "forecast_reference_time" };
    const noLead = await write(
      "nolead.nc",
      [axis("time", [0, 6], reference), lat, lon],
      [{ name: "t2m", dimensions: ["time", "latitude", "longitude"] }],
    );
    await expect(openForecastFile(noLead)).rejects.toThrow(`${noLead} has no lead; its dimensions are`);
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
