// Files as ClimaX fields: orientation, units, levels, joining, refusals; then the real files, where they are.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type ArchiveOptions, openArchive } from "../../src/data/archive.ts";
import { formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { describeGrid } from "../../src/grid/grid.ts";
import {
  type FakeDataset,
  type FakeVariable,
  fakeDataset,
  fakeGrid,
  fakeTime,
} from "../support/fakedataset.ts";

/** Opens fake files, named by their order: "a.nc", "b.nc"... */
function openFakes(files: FakeDataset[], options: Omit<ArchiveOptions, "open"> = {}) {
  const byPath = new Map(files.map((file) => [file.path, file]));
  return openArchive([...byPath.keys()], { ...options, open: async (path) => byPath.get(path)! });
}

async function failure(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof ClimaxError) return `${error.kind}: ${error.message} | ${error.hint}`;
    throw error;
  }
  return "nothing thrown";
}

const kelvin = { units: "K" };
const grid = fakeGrid([60, 0, -60], [-90, 0, 90, 180]); // north to south, from 90 W
/** t2m of a file's steps: 200 + hours + 10 per row from the south + column from Greenwich. */
const t2m = (hours: number[]): FakeVariable => ({
  dimensions: { time: hours.length, lat: 3, lon: 4 },
  data: (i) => {
    const [step, row, column] = [Math.floor(i / 12), Math.floor(i / 4) % 3, i % 4];
    return 200 + hours[step]! + 10 * (2 - row) + ((column + 3) % 4);
  },
  attributes: kelvin,
});
const expected = (hours: number) =>
  Float32Array.from({ length: 12 }, (_, i) => 200 + hours + 10 * Math.floor(i / 4) + (i % 4));

test("turns a field south to north and eastward from Greenwich, whatever the order of its dimensions", async () => {
  const whole = t2m([0, 6]).data as (i: number) => number;
  const orders: Record<string, number>[] = [
    { time: 2, lat: 3, lon: 4 },
    { lon: 4, lat: 3, time: 2 },
    { lat: 3, time: 2, expver: 1, lon: 4 },
  ];
  for (const dimensions of orders) {
    const [names, shape] = [Object.keys(dimensions), Object.values(dimensions)];
    const data = (flat: number) => {
      const at: Record<string, number> = {};
      for (let axis = names.length - 1, rest = flat; axis >= 0; axis--) {
        at[names[axis]!] = rest % shape[axis]!;
        rest = Math.floor(rest / shape[axis]!);
      }
      return whole((at.time! * 3 + at.lat!) * 4 + at.lon!);
    };
    const file = fakeDataset("a.nc", {
      ...grid,
      ...fakeTime([0, 6]),
      t2m: { dimensions, data, attributes: kelvin },
    });
    const archive = await openFakes([file]);
    expect([...archive.grid.lat]).toEqual([-60, 0, 60]);
    expect([...archive.grid.lon]).toEqual([0, 90, 180, 270]);
    expect(file.reads.filter((read) => read.startsWith("t2m"))).toEqual([]); // nothing before it is asked for
    const field = archive.variables.get("2m_temperature")!;
    expect(await field.read(1), names.join()).toEqual(expected(6));
    const count = names.map((name) => (name === "lat" || name === "lon" ? dimensions[name] : 1)).join();
    const start = names.map((name) => (name === "time" ? 1 : 0)).join();
    expect(file.reads.at(-1)).toBe(`t2m ${start} ${count}`); // one step, no more
    await archive.close();
    expect(file.closed).toBe(true);
  }
});

test("converts by the units of each file, keeps missing values, and says what it did", async () => {
  const celsius = fakeDataset("a.nc", {
    ...fakeGrid([0], [0, 120, 240]),
    ...fakeTime([0]),
    t2m: {
      dimensions: { time: 1, lat: 1, lon: 3 },
      data: [10, Number.NaN, -5],
      attributes: { units: "degC" },
    },
  });
  const absolute = fakeDataset("b.nc", {
    ...fakeGrid([0], [0, 120, 240]),
    ...fakeTime([6]),
    tas: { dimensions: { time: 1, lat: 1, lon: 3 }, data: [280, 281, 282], attributes: kelvin },
  });
  const { variables, notes } = await openFakes([celsius, absolute]);
  const field = variables.get("2m_temperature")!;
  expect(field.units).toBe("K");
  expect(await field.read(0)).toEqual(Float32Array.of(283.15, Number.NaN, 268.15));
  expect(await field.read(1)).toEqual(Float32Array.of(280, 281, 282));
  expect(notes).toEqual(["a.nc: t2m: degC to K: plus 273.15"]);
});

test("one field for each whole level, read one by one and then together", async () => {
  const level = {
    dimensions: { level: 4 },
    data: [50000.004, 85000, 92550, 100000],
    attributes: { units: "Pa" },
  };
  const zg: FakeVariable = {
    dimensions: { time: 2, level: 4, lat: 1, lon: 2 },
    data: (i) => i,
    attributes: { units: "m", standard_name: "geopotential_height" },
  };
  const file = fakeDataset("a.nc", { ...fakeGrid([0], [0, 180]), ...fakeTime([0, 6]), level, zg });
  const { variables, notes } = await openFakes([file]);
  expect([...variables.keys()]).toEqual(["geopotential_500", "geopotential_850", "geopotential_1000"]);
  expect(variables.get("geopotential_850")).toMatchObject({ level: 850, units: "m2 s-2", constant: false });
  expect(notes.join("\n")).toContain("levels of 925.5 hPa left out");
  file.reads.length = 0;
  const fields = [];
  for (const variable of variables.values()) fields.push(await variable.read(1));
  const gravity = (...heights: number[]) => Float32Array.from(heights, (height) => height * 9.80665);
  expect(fields).toEqual([gravity(8, 9), gravity(10, 11), gravity(14, 15)]);
  expect(file.reads).toEqual(["zg 1,0,0,0 1,1,1,2", "zg 1,0,0,0 1,4,1,2"]);
});

test("keeps to the variables asked for, and derives the latitude", async () => {
  const level = { dimensions: { level: 2 }, data: [500, 850], attributes: { units: "hPa" } };
  const aloft = { dimensions: { level: 2, lat: 2, lon: 2 }, attributes: { units: "K" } };
  const bad = { dimensions: { lat: 2, lon: 2 }, attributes: { units: "parsec" } };
  const file = () => fakeDataset("a.nc", { ...fakeGrid([-30, 30], [0, 180]), level, t: aloft, sp: bad });
  const names = async (variables: string[]) => [
    ...(await openFakes([file()], { variables })).variables.keys(),
  ];
  expect(await names(["t_850"])).toEqual(["temperature_850"]);
  expect(await names(["temperature"])).toEqual(["temperature_500", "temperature_850"]);
  expect(await names(["lattitude"])).toEqual(["lattitude"]);
  const { variables } = await openFakes([file()], { variables: ["latitude", "temperature_500"] });
  expect(await variables.get("lattitude")!.read(0)).toEqual(Float32Array.of(-30, -30, 30, 30));
  expect(await failure(() => openFakes([file()]))).toContain('sp in a.nc has the unknown units "parsec"');
  expect(await failure(() => openFakes([file()], { variables: ["temperature_925"] }))).toBe(
    "data: temperature_925 is not in a.nc; there is temperature_500/850, surface_pressure" +
      " | other levels are there: temperature_500/850",
  );
  expect(await failure(() => openFakes([file()], { variables: ["tmperature_500"] }))).toMatch(
    /^config: unknown variable/,
  );
  const some = await openFakes([file()], { variables: ["t_500", "z_500"], missing: "skip" });
  expect([...some.variables.keys()]).toEqual(["temperature_500"]);
});

test("joins files along time, in their order in time, and drops repeated steps", async () => {
  const part = (path: string, hours: number[]) =>
    fakeDataset(path, { ...grid, ...fakeTime(hours), t2m: t2m(hours) });
  const { times, variables, notes } = await openFakes([part("b.nc", [12, 18]), part("a.nc", [0, 6, 12])]);
  expect(times.map(formatTime)).toEqual([
    "2001-01-01T00:00:00",
    "2001-01-01T06:00:00",
    "2001-01-01T12:00:00",
    "2001-01-01T18:00:00",
  ]);
  const field = variables.get("2m_temperature")!;
  for (const [step, hours] of [0, 6, 12, 18].entries())
    expect(await field.read(step)).toEqual(expected(hours));
  expect(notes).toEqual(["b.nc: 1 of 2 steps left out, whose times were there already"]);
  await expect(field.read(4)).rejects.toThrow("step 4 of 2m_temperature; there are 4");
});

test("joins files by variable at the times they share", async () => {
  const temperature = fakeDataset("a.nc", { ...grid, ...fakeTime([0, 6, 12]), t2m: t2m([0, 6, 12]) });
  const u10 = { ...t2m([6, 12, 24]), attributes: { units: "m s-1" } };
  const wind = fakeDataset("b.nc", { ...grid, ...fakeTime([6, 12, 24]), u10 });
  const mask = { dimensions: { lat: 3, lon: 4 }, data: () => 50, attributes: { units: "%" } };
  const land = fakeDataset("c.nc", { ...grid, sftlf: mask });
  const { times, variables, notes } = await openFakes([temperature, wind, land]);
  expect([...variables.keys()]).toEqual(["2m_temperature", "10m_u_component_of_wind", "land_sea_mask"]);
  expect(times.map((time) => formatTime(time).slice(11, 13))).toEqual(["06", "12"]);
  expect(await variables.get("2m_temperature")!.read(0)).toEqual(expected(6));
  expect(await variables.get("10m_u_component_of_wind")!.read(1)).toEqual(expected(12));
  expect(variables.get("land_sea_mask")!.constant).toBe(true);
  expect(await variables.get("land_sea_mask")!.read(1)).toEqual(new Float32Array(12).fill(0.5));
  expect(notes.join("\n")).toContain("2 of 4 times left out, which not all variables have");
  const later = fakeDataset("d.nc", {
    ...grid,
    ...fakeTime([48]),
    u10: { ...t2m([48]), attributes: { units: "m/s" } },
  });
  expect(await failure(() => openFakes([temperature, later]))).toMatch(
    /^data: the variables have no time in common \(10m_u_component_of_wind: 1 times, 2001-01-03T00:00:00/,
  );
});

test("constants need no time, and a state without one is said to be constant", async () => {
  const orog = {
    dimensions: { time: 2, lat: 3, lon: 4 },
    attributes: { units: "m2 s-2" },
    data: () => 9806.65,
  };
  const file = fakeDataset("a.nc", { ...grid, ...fakeTime([0, 6]), z: orog });
  const archive = await openFakes([file]);
  expect(archive.times).toEqual([]);
  const orography = archive.variables.get("orography")!;
  expect(orography.constant).toBe(true);
  expect((await orography.read(0))[0]).toBeCloseTo(1000, 3); // float32
  expect(archive.notes.join("\n")).toMatch(/z has no level: taken as .* orography/);
  expect(archive.notes.join("\n")).toContain("the first of its 2 steps is taken");
  const state = await openFakes([
    fakeDataset("b.nc", { ...grid, t2m: { ...t2m([0]), dimensions: { lat: 3, lon: 4 } } }),
  ]);
  expect([state.times.length, state.variables.get("2m_temperature")!.constant]).toEqual([0, true]);
  expect(state.notes).toEqual(["b.nc: t2m has no time; taken as the same at all times"]);
});

test("different calendars are refused; standard and proleptic_gregorian are one since 1582", async () => {
  const part = (path: string, hours: number[], calendar: string) =>
    fakeDataset(path, { ...grid, ...fakeTime(hours, calendar), t2m: t2m(hours) });
  const { times } = await openFakes([
    part("a.nc", [0], "standard"),
    part("b.nc", [6], "proleptic_gregorian"),
  ]);
  expect(times.map((time) => time.calendar)).toEqual(["standard", "standard"]);
  expect(await failure(() => openFakes([part("a.nc", [0], "noleap"), part("b.nc", [6], "360_day")]))).toMatch(
    /^data: the calendars differ: a.nc counts in noleap, b.nc in 360_day/,
  );
});

test("absent units are taken from the name if the numbers can be", async () => {
  const file = (value: number) =>
    fakeDataset("a.nc", {
      ...grid,
      ...fakeTime([0]),
      t2m: { ...t2m([0]), data: () => value, attributes: {} },
    });
  expect((await openFakes([file(280)])).notes).toEqual([
    "a.nc: t2m: no units; taken as K, the units of 2m_temperature",
  ]);
  expect(await failure(() => openFakes([file(14)]))).toMatch(
    /^data: t2m in a.nc has no units, and its values \(14 to 14\) cannot be 2m_temperature in K/,
  );
});

test("refuses what it cannot place, and closes what it opened", async () => {
  const members = fakeDataset("a.nc", {
    ...grid,
    ...fakeTime([0]),
    t2m: { dimensions: { time: 1, number: 10, lat: 3, lon: 4 }, attributes: kelvin },
  });
  expect(await failure(() => openFakes([members]))).toBe(
    "shape: t2m in a.nc cannot be used: its dimension number has 10 entries that are no time, level, latitude or" +
      " longitude (time, number, lat, lon) | choose one of them: ncks -d number,0 a.nc out.nc",
  );
  expect(members.closed).toBe(true);
  const lev = { dimensions: { lev: 3 }, attributes: { units: "1", formula_terms: "ap: ap b: b ps: ps" } };
  const hybrid = fakeDataset("b.nc", {
    ...grid,
    lev,
    ta: { dimensions: { lev: 3, lat: 3, lon: 4 }, attributes: kelvin },
  });
  expect(await failure(() => openFakes([hybrid], { variables: ["temperature_500"] }))).toMatch(
    /^shape: ta in b.nc cannot be used: its vertical axis lev\(3\) is no pressure .*ml2pl/,
  );
  const coarse = fakeDataset("c.nc", {
    ...fakeGrid([-45, 45], [0, 180]),
    lsm: { dimensions: { lat: 2, lon: 2 }, attributes: { units: "1" } },
  });
  const fine = fakeDataset("d.nc", { ...grid, ...fakeTime([0]), t2m: t2m([0]) });
  expect(await failure(() => openFakes([fine, coarse]))).toMatch(
    /^grid: the grids differ: 2m_temperature in d.nc is 3 x 4.*, land_sea_mask in c.nc is 2 x 2.* \| .*climax regrid/,
  );
  const salt = { dimensions: { lat: 3, lon: 4 }, attributes: { long_name: "2 metre temperatures" } };
  expect(await failure(() => openFakes([fakeDataset("e.nc", { ...grid, salt })]))).toBe(
    'data: e.nc holds no variable that ClimaX knows; it holds salt "2 metre temperatures" (ClimaX has no such' +
      " variable; the nearest is 2m_temperature) | if one of them is known under another name, rename it: cdo" +
      " chname,old,t2m in.nc out.nc (known: z, u, v, t, q, r, t2m, u10, v10, msl, tas, zg...)",
  );
  expect(await failure(() => openArchive([]))).toMatch(/^config: no input file/);
});

test("a simulated planet stays marked", async () => {
  const file = (attributes: Record<string, string>) =>
    fakeDataset("a.nc", { ...grid, ...fakeTime([0]), t2m: t2m([0]) }, attributes);
  expect((await openFakes([file({ synthetic: "true" })])).synthetic).toBe(true);
  expect((await openFakes([file({ source: "ERA5" })])).synthetic).toBe(false);
});

const data = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const absent = !existsSync(data);

describe.skipIf(absent)("real files of ../shared/data (skipped where the folder is absent)", () => {
  const open = (...paths: string[]) => openArchive(paths.map((path) => data + path));
  /** Values below were read with python netCDF4, in float64; float32 keeps seven digits of them. */
  const close = (got: number | undefined, wanted: number) =>
    expect(Math.abs(got! / wanted - 1), `${got} for ${wanted}`).toBeLessThan(1e-7);

  test("ECHAM5 surface temperature in degrees Celsius, north to south, from 180 W", async () => {
    const archive = await open("geocat/t_in_Celsius_1.nc");
    expect(describeGrid(archive.grid)).toBe("96 x 192, Gaussian");
    expect([archive.times.length, formatTime(archive.times[39]!)]).toEqual([40, "2001-01-10T18:00:00"]);
    const field = await archive.variables.get("skin_temperature")!.read(5);
    // tC[5, ::-1] + 273.15 at columns 0, 96 and 100 of the file, which starts at 180 W.
    close(field[96], 236.41440429687498);
    close(field[0], 236.86557617187498);
    close(field[50 * 192 + 4], 295.560888671875);
    expect(archive.notes.join()).toContain("degC to K: plus 273.15");
    await archive.close();
  });

  test("one ERA5 state, (level, longitude, latitude), without a time axis or units of its coordinates", async () => {
    const archive = await open("era5-tl31/era5_tl31_19590102T00.nc");
    expect(describeGrid(archive.grid)).toBe("32 x 64, Gaussian");
    expect(archive.times.map(formatTime)).toEqual(["1959-01-02T00:00:00"]);
    close((await archive.variables.get("geopotential_500")!.read(0))[20 * 64 + 7], 56571.76);
    close((await archive.variables.get("temperature_850")!.read(0))[3 * 64 + 60], 262.70425);
    expect(archive.variables.has("sea_surface_temperature")).toBe(true);
    await archive.close();
  });

  test("packed ERA-Interim, -180..180, north to south, months without a year", async () => {
    const archive = await open("era-interim/eraint_uvz.nc");
    expect(describeGrid(archive.grid)).toBe("241 x 480, 0.75 degrees");
    expect(archive.times.length).toBe(2);
    const field = await archive.variables.get("u_component_of_wind_500")!.read(1); // July
    close(field[120 * 480 + 360], -5.641286890374168); // the equator at 90 W
    close(field[10 * 480], 0.5394435161447859);
    await archive.close();
  });

  test("CMIP6: years of daily temperature joined; geopotential height made geopotential", async () => {
    const awi = [2000, 2001, 2002].map(
      (year) => `cmip6-esmvaltool/ta_day_AWI-ESM-1-1-LR_historical_r1i1p1f1_gn_${year}0101-${year}1231.nc`,
    );
    const joined = await open(awi[2]!, awi[0]!, awi[1]!);
    expect(joined.times.length).toBe(366 + 365 + 365);
    expect(formatTime(joined.times[366]!)).toBe("2001-01-01T12:00:00");
    expect([...joined.variables.keys()]).toEqual(["temperature_1000", "temperature_850"]);
    await joined.close();
    const zg = await open("gcm-downscaling/zg_test.nc");
    expect(zg.times[0]!.calendar).toBe("noleap");
    close((await zg.variables.get("geopotential_500")!.read(3))[0], 57850.71643049316); // 5899.1313 m
    await zg.close();
    const hadgem = await open(
      "cmip6-mini-esgf/tasmin_day_HadGEM3-GC31-MM_dcppA-hindcast_s1960-r2i1p1f2_gn_19610101-19611230.nc",
    );
    expect([...hadgem.variables.keys()]).toEqual(["minimum_2m_temperature"]);
    expect(formatTime(hadgem.times[59]!)).toBe("1961-02-30T12:00:00"); // 360_day
    await hadgem.close();
  });

  test("constants: land fraction in percent, surface geopotential as orography", async () => {
    const land = await open(
      "geocat/sftlf_mod1_rectilinear_grid_2D.nc",
      "geocat/orog_mod1_rectilinear_grid_2D.nc",
    );
    expect(land.times).toEqual([]);
    const mask = await land.variables.get("land_sea_mask")!.read(0);
    close(mask.reduce((sum, value) => sum + value, 0) / mask.length, 0.33756510416666663);
    await land.close();
    const topography = await open("static-fields/earth_topography_2deg.nc");
    const field = await topography.variables.get("orography")!.read(0);
    close(field[60 * 180 + 42], 5088.527698678958); // 31 N, 85 E: Tibet
    await topography.close();
  });

  test("grids that are not latitude by longitude are refused", async () => {
    const refusal = (path: string) => failure(() => open(path));
    expect(await refusal("cmip6-mini-esgf/tas_Amon_ICON-ESM-LR_historical_r1i1p1f1_gn_185001.nc")).toMatch(
      /^grid: tas\(time, i\) in .* lies on an unstructured grid of 20480 cells: longitude\(i\), latitude\(i\)/,
    );
    expect(await refusal("cmip6-mini-esgf/tos_Omon_MPI-ESM-1-2-HAM_ssp370_r1i1p1f1_gn_201501.nc")).toMatch(
      /^grid: tos\(time, j, i\) in .* lies on a curvilinear grid: latitude\(j, i\), longitude\(j, i\).*climax regrid /,
    );
    expect(await refusal("geocat/camse_unstructured_grid.nc")).toContain(
      "an unstructured grid of 48602 cells",
    );
    expect(await refusal("cmip6-mini-esgf/mrsofc_fx_MPI-ESM1-2-LR_ssp370_r1i1p1f1_gn.nc")).toMatch(
      /holds no variable that ClimaX knows; it holds mrsofc "Capacity of Soil/,
    );
  });
});
