// Fields made from others: formulas against published tables and hand-worked values, and what an archive makes of them.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ArchiveOptions, openArchive } from "../../src/data/archive.ts";
import { recipes } from "../../src/data/derived.ts";
import { relativeHumidity, saturationPressure, specificHumidity } from "../../src/data/derivedhumidity.ts";
import { openDataset } from "../../src/data/open.ts";
import { readClimaxStatistics } from "../../src/data/shardstatistics.ts";
import { findVariable } from "../../src/data/variables.ts";
import { ClimaxError } from "../../src/errors.ts";
import { type FakeVariable, fakeDataset, fakeGrid, fakeTime } from "../support/fakedataset.ts";

describe("humidity", () => {
  test("saturation pressures of the WMO's tables", () => {
    // Smithsonian Meteorological Tables, 94 (water) and 96 (ice): °C, hPa.
    const tables = {
      water: [
        [-20, 1.254],
        [0, 6.1078],
        [20, 23.373],
        [40, 73.777],
      ],
      ice: [
        [-40, 0.1283],
        [-20, 1.032],
        [-10, 2.597],
        [0, 6.1071],
      ],
    } as const;
    for (const over of ["water", "ice"] as const)
      for (const [celsius, hectopascals] of tables[over]) {
        const ratio = saturationPressure(celsius + 273.15, over) / (100 * hectopascals);
        // Tetens' formula itself is good to 0.3 %.
        expect(Math.abs(ratio - 1), `${celsius} °C over ${over}`).toBeLessThan(3e-3);
      }
  });

  test("a blend between the triple point and 23 K below it, without a step", () => {
    for (const temperature of [273.16, 280, 310])
      expect(saturationPressure(temperature)).toBe(saturationPressure(temperature, "water"));
    for (const temperature of [250.16, 240, 200])
      expect(saturationPressure(temperature)).toBe(saturationPressure(temperature, "ice"));
    // (261.66 - 250.16) / 23 = 1/2: a quarter water.
    const [water, ice] = (["water", "ice"] as const).map((over) => saturationPressure(261.66, over));
    expect(saturationPressure(261.66)).toBeCloseTo(0.25 * water! + 0.75 * ice!, 10);
  });

  test("hand-worked states", () => {
    // e = p q / (eps + (1 - eps) q) over saturation: 1087.991 / 1917.277, 80.3395 / 200.3724, 4.82301 / 8.93344 Pa.
    const states: [q: number, t: number, p: number, r: number][] = [
      [0.008, 290, 85000, 56.7467019],
      [0.001, 260, 50000, 40.0950919],
      [1e-4, 230, 30000, 53.9882337],
    ];
    for (const [q, t, p, r] of states) {
      expect(relativeHumidity(q, t, p)).toBeCloseTo(r, 3);
      expect(specificHumidity(r, t, p)).toBeCloseTo(q, 7);
    }
  });

  test("there and back, and no more vapour than air", () => {
    const between = (min: number, max: number) => fc.double({ min, max, noNaN: true });
    fc.assert(
      fc.property(between(1e-7, 0.03), between(190, 320), between(5000, 105000), (q, t, p) => {
        const back = specificHumidity(relativeHumidity(q, t, p), t, p);
        expect(Math.abs(back / q - 1)).toBeLessThan(1e-12); // f64, some ten roundings
      }),
      { seed: 5 },
    );
    expect(specificHumidity(100, 300, 2000)).toBeNaN(); // 35 hPa of vapour in 20 hPa of air
  });
});

const grid = fakeGrid([-45, 45], [0, 180]);
const level: FakeVariable = { dimensions: { level: 2 }, data: [500, 850], attributes: { units: "hPa" } };
const aloft = (values: number[], units: string, steps = 2): FakeVariable => ({
  dimensions: { time: steps, level: 2, lat: 2, lon: 2 },
  data: (i) => values[Math.floor(i / 4) % 2]!,
  attributes: { units },
});
const surface = (values: number[], units: string, attributes = {}): FakeVariable => ({
  dimensions: { time: values.length, lat: 2, lon: 2 },
  data: (i) => values[Math.floor(i / 4)]!,
  attributes: { units, ...attributes },
});

function open(files: Record<string, FakeVariable>[], options: Omit<ArchiveOptions, "open"> = {}) {
  const made = new Map(
    files.map((variables, i) => [`${"abc"[i]}.nc`, fakeDataset(`${"abc"[i]}.nc`, { ...grid, ...variables })]),
  );
  return openArchive([...made.keys()], { ...options, open: async (path) => made.get(path)! });
}

async function failure(run: () => Promise<unknown>): Promise<string> {
  const error = await run().catch((error: unknown) => error);
  if (!(error instanceof ClimaxError)) throw error ?? new Error("nothing thrown");
  return `${error.kind}: ${error.message} | ${error.hint}`;
}

describe("an archive", () => {
  const humid = {
    ...fakeTime([0, 6]),
    level,
    q: aloft([0.001, 0.008], "kg kg-1"),
    t: aloft([260, 290], "K"),
  };

  test("derives relative humidity where it is asked for and lacking, and says so", async () => {
    const archive = await open([humid], { variables: ["relative_humidity", "t_850"] });
    expect([...archive.variables.keys()]).toEqual([
      "temperature_850",
      "relative_humidity_500",
      "relative_humidity_850",
    ]);
    const field = archive.variables.get("relative_humidity_850")!;
    expect(field).toMatchObject({ units: "%", level: 850, constant: false });
    expect((await field.read(1))[3]).toBeCloseTo(relativeHumidity(0.008, 290, 85000), 4);
    expect(archive.notes).toEqual([
      "relative_humidity_500/850: derived from specific_humidity and temperature (saturation over water, ice and between as the IFS has it)",
    ]);
    await expect(field.read(2)).rejects.toThrow("step 2 of relative_humidity_850; there are 2");
  });

  test("derives nothing that is not asked for, and nothing that a file has", async () => {
    expect([...(await open([humid])).variables.keys()].some((name) => name.startsWith("relative"))).toBe(
      false,
    );
    const has = { ...humid, r: aloft([40, 60], "%") };
    const archive = await open([has], { variables: ["r_500"] });
    expect((await archive.variables.get("relative_humidity_500")!.read(0))[0]).toBe(40);
    expect(archive.notes).toEqual([]);
  });

  test("inputs may lie in another file, and their times are shared", async () => {
    const q = { ...fakeTime([0, 6]), level, q: aloft([0.001, 0.008], "kg kg-1"), u: aloft([1, 2], "parsec") };
    const t = { ...fakeTime([6, 12]), level, t: aloft([260, 290], "K") };
    const archive = await open([q, t], { variables: ["r_500"] });
    expect([archive.times.length, [...archive.variables.keys()]]).toEqual([1, ["relative_humidity_500"]]);
    const back = { ...fakeTime([0]), level, r: aloft([50, 60], "%", 1), t: aloft([260, 290], "K", 1) };
    const dry = await open([back], { variables: ["specific_humidity_850"] });
    expect((await dry.variables.get("specific_humidity_850")!.read(0))[0]).toBeCloseTo(
      specificHumidity(60, 290, 85000),
      8,
    );
  });

  test("what is lacking names what it could be made of", async () => {
    const only = { ...fakeTime([0, 6]), level, q: aloft([0.001, 0.008], "kg kg-1") };
    expect(await failure(() => open([only], { variables: ["r_500"] }))).toBe(
      "data: relative_humidity_500 is not in a.nc; there is specific_humidity_500/850 | give the file that has it as " +
        "well, or those of specific_humidity_500 and temperature_500, from which it is derived, or leave the variable out",
    );
    const skipped = await open([only], { variables: ["r_500", "q_500"], missing: "skip" });
    expect([...skipped.variables.keys()]).toEqual(["specific_humidity_500"]);
  });

  test("winds from speed and direction, and back", async () => {
    // From the north, the east, the south and the west.
    const wind = {
      ...fakeTime([0, 1, 2, 3]),
      si10: surface([10, 10, 10, 10], "m s-1"),
      wdir10: surface([0, 90, 180, 270], "degrees"),
    };
    const archive = await open([wind], { variables: ["u10", "v10"] });
    const blows: number[][] = [];
    for (const step of [0, 1, 2, 3]) {
      const [u, v] = [...archive.variables.values()].map((variable) => variable.read(step));
      blows.push([(await u!)[0]!, (await v!)[0]!].map((x) => Math.round(x * 1e5) / 1e5 + 0));
    }
    expect(blows).toEqual([
      [0, -10],
      [-10, 0],
      [0, 10],
      [10, 0],
    ]);
    const parts = { ...fakeTime([0]), u10: surface([3], "m s-1"), v10: surface([-4], "m s-1") };
    const speed = await open([parts], { variables: ["10m_wind_speed"] });
    expect((await speed.variables.get("10m_wind_speed")!.read(0))[0]).toBe(5);
    const levels = { ...fakeTime([0, 1]), level, u: aloft([6, 0], "m s-1"), v: aloft([8, 1], "m s-1") };
    const up = await open([levels], { variables: ["wind_speed_500"] });
    expect((await up.variables.get("wind_speed_500")!.read(1))[0]).toBe(10);
  });

  test("rain of a step from its mean rate, not from the rate of a moment", async () => {
    const rate = (method: string) => ({
      ...fakeTime([0, 6, 12, 24]),
      pr: surface([1e-4, 2e-4, 0, 0], "kg m-2 s-1", { cell_methods: `area: mean time: ${method}` }),
    });
    const archive = await open([rate("mean")], { variables: ["total_precipitation"] });
    const rain = archive.variables.get("total_precipitation")!;
    expect((await rain.read(1))[0]).toBeCloseTo(2e-4 * 21600 * 1e-3, 8); // 4.32 mm
    expect(rain.attributes.get("cell_methods")).toBe("time: sum (interval: 6 hours)");
    expect(archive.notes.at(-1)).toMatch(
      /^total_precipitation: derived from mean_total_precipitation_rate .*steps of 6 h$/,
    );
    expect(await failure(() => open([rate("point")], { variables: ["tp"] }))).toMatch(
      /^data: total_precipitation is what falls in a step, and mean_total_precipitation_rate is the rate at a moment/,
    );
    const single = { ...fakeTime([0]), pr: surface([1e-4], "kg m-2 s-1") };
    expect(await failure(() => open([single], { variables: ["tp"] }))).toContain(
      "the files have 1 step, whose length they do not say",
    );
    const skipped = await open([{ ...single, t2m: surface([280], "K") }], {
      variables: ["t2m", "tp"],
      missing: "skip",
    });
    expect([...skipped.variables.keys()]).toEqual(["2m_temperature"]);
    expect(skipped.notes).toEqual([
      expect.stringMatching(/^a.nc: not derived: total_precipitation is what falls/),
    ]);
  });

  test("the daily range, the latitude, and land from flags", async () => {
    const day = { ...fakeTime([12]), tasmax: surface([290], "K"), tasmin: surface([281.5], "K") };
    const codes: FakeVariable = {
      dimensions: { lat: 2, lon: 2 },
      data: [0, 1, 2, 1.5],
      attributes: { flag_values: [0, 1, 2], flag_meanings: "sea land land_ice" },
    };
    const archive = await open([day, { area_type_code: codes }], { variables: ["dtr", "latitude", "lsm"] });
    const read = async (name: string) => [...(await archive.variables.get(name)!.read(0))];
    expect(await read("diurnal_temperature_range")).toEqual([8.5, 8.5, 8.5, 8.5]);
    expect(await read("lattitude")).toEqual([-45, -45, 45, 45]);
    expect(await read("land_sea_mask")).toEqual([0, 1, 1, Number.NaN]); // a mean of flags is no flag
    expect(archive.variables.get("land_sea_mask")!.constant).toBe(true);
  });

  test("constants of one more file: percent and metres, or ECMWF's z of the surface", async () => {
    const state = { ...fakeTime([0]), t2m: surface([280], "K") };
    const flat = (value: number, units: string): FakeVariable => ({
      dimensions: { lat: 2, lon: 2 },
      data: () => value,
      attributes: { units },
    });
    const wanted = { variables: ["t2m", "land_sea_mask", "orography"] };
    for (const constants of [
      { sftlf: flat(30, "%"), orog: flat(500, "m") },
      { lsm: flat(0.3, "(0 - 1)"), z: flat(500 * 9.80665, "m**2 s**-2") },
      { land_sea_mask: flat(0.3, "1"), geopotential_at_surface: flat(500 * 9.80665, "m2 s-2") },
    ] as Record<string, FakeVariable>[]) {
      const { variables } = await open([state, constants], wanted);
      expect((await variables.get("land_sea_mask")!.read(0))[0]).toBeCloseTo(0.3, 6);
      expect((await variables.get("orography")!.read(0))[0]).toBeCloseTo(500, 3);
    }
  });

  test("sunlight needs dates", async () => {
    const dated = await open([{ ...fakeTime([12]), t2m: surface([280], "K") }], {
      variables: ["t2m", "tisr"],
    });
    expect((await dated.variables.get("toa_incident_solar_radiation")!.read(0))[0]).toBeGreaterThan(2e6);
    const lsm: FakeVariable = { dimensions: { lat: 2, lon: 2 }, attributes: { units: "1" } };
    expect(await failure(() => open([{ lsm }], { variables: ["lsm", "tisr"] }))).toMatch(
      /^data: toa_incident_solar_radiation is made from the date, and no field of the files has one/,
    );
  });
});

test("every recipe makes and takes known variables, on the same kind of level", () => {
  for (const [name, list] of Object.entries(recipes)) {
    const made = findVariable(name);
    expect(made?.name).toBe(name);
    for (const input of list.flatMap(({ inputs }) => inputs)) {
      expect(findVariable(input)?.name).toBe(input);
      expect(findVariable(input)!.levels).toBe(made!.levels);
    }
  }
});

const data = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
describe.skipIf(!existsSync(data))(
  "real files of ../shared/data (skipped where the folder is absent)",
  () => {
    /** Mean over the globe, every cell with equal weight, as the reference's means are. */
    const mean = (field: Float32Array) => field.reduce((sum, value) => sum + value, 0) / field.length;

    test("ERA5 of 1959: humid air is near saturation, and hardly ever far above", async () => {
      const names = [500, 700, 850].map((level) => `relative_humidity_${level}`);
      const archive = await openArchive([`${data}era5-tl31/era5_tl31_19590102T00.nc`], { variables: names });
      for (const name of names) {
        const field = (await archive.variables.get(name)!.read(0)).toSorted();
        // Spectral truncation to T31 leaves q a little below zero and above saturation.
        expect(field.filter((r) => r < -5 || r > 125).length / field.length, name).toBeLessThan(0.01);
        expect(field.at(-1), name).toBeGreaterThan(90);
        expect(mean(field), name).toBeGreaterThan(30);
        expect(mean(field), name).toBeLessThan(80);
      }
      await archive.close();
    });

    test("ECMWF's t and r of June 2024 give the humidity of ERA5's means", async () => {
      const { mean: wanted, std } = await readClimaxStatistics(`${data}era5-normalization-npz`);
      const levels = [500, 700, 850];
      const variables = levels.map((level) => `specific_humidity_${level}`);
      const archive = await openArchive([`${data}reference-cdo/pl_regular_ll_native.nc`], { variables });
      for (const name of variables) {
        const got = mean(await archive.variables.get(name)!.read(0));
        // Another month and a grid of 10 degrees: a fifth of the deviation between places and times.
        expect(Math.abs(got - wanted.get(name)!), name).toBeLessThan(0.2 * std.get(name)!);
      }
      await archive.close();
    });

    test("GFS near the ground: its own relative from its own specific humidity (skipped without ecCodes)", async ({
      skip,
    }) => {
      const dataset = await openDataset(`${data}gfs-grib2/gfs.grb`).catch((error: Error) => {
        if (!/ecCodes/.test(error.message)) throw error;
        return skip(error.message);
      });
      const [q, t, p, r] = await Promise.all(
        ["sh_2m", "t2m", "sp", "r_2m"].map((name) => dataset.variables.get(name)!.readUnpacked()),
      );
      await dataset.close();
      // Above freezing nothing depends on the blend; q is stored in steps of 1e-5, r of 0.1.
      const off = Array.from(r!, (value, i) => relativeHumidity(q![i]!, t![i]!, p![i]!) - value);
      const rms = (from: number, to: number) => {
        const some = off.filter((_, i) => t![i]! > from && t![i]! <= to);
        expect(some.length).toBeGreaterThan(1000);
        return Math.sqrt(some.reduce((sum, x) => sum + x * x, 0) / some.length);
      };
      expect(rms(273.16, 330)).toBeLessThan(0.3);
      expect(rms(253, 273.16)).toBeLessThan(2); // GFS blends otherwise
    });

    test("land of the 2-degree mask", async () => {
      const archive = await openArchive(
        ["earth_landmask_2deg.nc", "earth_topography_2deg.nc"].map((name) => `${data}static-fields/${name}`),
        { variables: ["lsm", "orography"] },
      );
      const mask = await archive.variables.get("land_sea_mask")!.read(0);
      expect(new Set(mask)).toEqual(new Set([0, 1]));
      expect(mean(mask)).toBeGreaterThan(0.25); // 29 % of the area; cells of equal weight count the poles more
      expect(mean(mask)).toBeLessThan(0.45);
      await archive.close();
    });
  },
);
