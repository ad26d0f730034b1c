import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { regridCommand } from "../../src/cli/regrid.ts";
import { makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { makeRegridder } from "../../src/grid/regrid.ts";
import { difference, type Layout, makeWeatherFile, readVariable, steps } from "../support/weatherfile.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-regrid-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
const shared = fileURLToPath(new URL("../../../shared/data/", import.meta.url));

let printed = "";
let said = "";
beforeEach(() => {
  printed = "";
  said = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => !!(printed += text));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => !!(said += text));
});
afterEach(() => {
  vi.restoreAllMocks();
});

const makeFile = (name: string, layout?: Layout) => makeWeatherFile(at(name), layout);

describe("a packed file, north to south", () => {
  test("is regridded, and what does not depend on the grid is kept", async () => {
    const { path, values } = await makeFile("packed.nc");
    const out = at("out.nc");
    expect(await regridCommand.run([path, "--res", "22.5", "--method", "conservative", "-o", out])).toBe(0);

    const t = await readVariable(out, "t");
    expect([t.dimensions, t.shape, t.dtype]).toEqual([
      ["time", "level", "latitude", "longitude"],
      [3, 2, 8, 16],
      "float32",
    ]);
    const source = makeGrid(steps(10, 20, -90), steps(18, 20));
    const regridder = makeRegridder(source, regularGrid(22.5), "conservative");
    for (const field of [0, 5]) {
      // File rows run north to south.
      const flipped = Float64Array.from(
        { length: 180 },
        (_, k) => values[field * 180 + (9 - Math.floor(k / 18)) * 18 + (k % 18)]!,
      );
      // Unpacked by the reader in f64 or float32: one float32 step at 300 is 3e-5.
      expect(
        difference(regridder.apply(flipped), t.values.subarray(field * 128, field * 128 + 128)),
      ).toBeLessThan(4e-5);
    }
    const attributes = Object.fromEntries(t.attributes);
    expect(attributes).toEqual({
      units: "K",
      standard_name: "air_temperature",
      cell_methods: "area: time: mean",
      grid_mapping: "crs",
      coordinates: "level",
      _FillValue: Number.NaN,
    });

    const lat = await readVariable(out, "latitude");
    expect([...lat.values]).toEqual([...regularGrid(22.5).lat]);
    expect(lat.attributes.get("bounds")).toBe("latitude_bnds");
    expect([...(await readVariable(out, "latitude_bnds")).values].slice(0, 4)).toEqual([
      -90, -67.5, -67.5, -45,
    ]);
    expect([...(await readVariable(out, "longitude_bnds")).values].slice(0, 4)).toEqual([
      -11.25, 11.25, 11.25, 33.75,
    ]);
    const time = await readVariable(out, "time");
    expect([[...time.values], time.dtype]).toEqual([[6, 12, 18], "int32"]);
    expect(Object.fromEntries(time.attributes)).toEqual({
      units: "hours since 2000-02-28",
      calendar: "noleap",
      bounds: "time_bounds",
    });
    expect([...(await readVariable(out, "time_bounds")).values]).toEqual([3, 9, 9, 15, 15, 21]);
    expect([...(await readVariable(out, "level")).values]).toEqual([500, 850]);
    await readVariable(out, "crs");
    await expect(readVariable(out, "gw")).rejects.toThrow("has no gw");
    expect(said).toContain("gw left out, belongs to the old grid");

    const file = Object.fromEntries(t.file);
    expect(file.history).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: climax regrid \S+packed\.nc --res 22\.5 --method conservative -o \S+ \(climax \d+\.\d+\.\d+\)\nyesterday: made$/,
    );
    expect(file).toMatchObject({
      Conventions: "CF-1.11",
      title: "made for a test",
      grid_label: "gr",
      source_tracking_id: "hdl:1",
      regrid_method: "conservative",
      regrid_source_grid: "10 x 18, 20 degrees",
      regrid_source_file: "packed.nc",
    });
    expect(file.tracking_id).toBeUndefined();
    expect(printed).toMatch(
      /^packed\.nc -> \S+out\.nc: t; conservative, 10 x 18, 20 degrees -> 8 x 16, 22\.5 degrees; /,
    );
  });

  test("in any order of dimensions comes out the same, with latitude and longitude last", async () => {
    const { path, values } = await makeFile("turned.nc", {
      order: ["longitude", "level", "latitude", "time"],
    });
    await regridCommand.run([path, "--res", "45", "-o", at("turned-out.nc")]);
    const t = await readVariable(at("turned-out.nc"), "t");
    expect(t.dimensions).toEqual(["level", "time", "latitude", "longitude"]);
    const regridder = makeRegridder(makeGrid(steps(10, 20, -90), steps(18, 20)), regularGrid(45), "bilinear");
    for (let field = 0; field < 6; field++) {
      const [level, time] = [Math.floor(field / 3), field % 3];
      const straight = Float64Array.from({ length: 180 }, (_, k) => {
        const [row, column] = [9 - Math.floor(k / 18), k % 18];
        return values[((column * 2 + level) * 10 + row) * 3 + time]!;
      });
      expect(
        difference(regridder.apply(straight), t.values.subarray(field * 32, field * 32 + 32)),
      ).toBeLessThan(4e-5);
    }
  });

  test("is opened without complaint by ncdump, cdo and xarray (each where it is installed)", async () => {
    const { path } = await makeFile("judged.nc");
    await regridCommand.run([path, "--res", "5.625", "-o", at("judged-out.nc")]);
    const has = (tool: string, ...args: string[]) => spawnSync(tool, args).status === 0;
    if (has("ncdump", at("judged-out.nc"))) {
      expect(execFileSync("ncdump", ["-h", at("judged-out.nc")], { encoding: "utf8" })).toContain(
        "float t(time, level, latitude, longitude)",
      );
    }
    if (has("cdo", "--version")) {
      const { status, stderr } = spawnSync("cdo", ["-s", "sinfo", at("judged-out.nc")], { encoding: "utf8" });
      expect([status, stderr]).toEqual([0, ""]);
    }
    const python = "/usr/bin/python3";
    if (has(python, "-c", "import xarray, netCDF4")) {
      const program = `import warnings, xarray
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    d = xarray.open_dataset(${JSON.stringify(at("judged-out.nc"))})
    mean = float(d.t.mean())
print(mean, d.time.values[2], [str(w.message) for w in seen if "xarray" in w.filename])`;
      const words = execFileSync(python, ["-c", program], { encoding: "utf8" });
      expect(words).toMatch(/^2[678]\d\.\d+ 2000-02-28 18:00:00 \[\]/);
    }
  });
});

describe("regions", () => {
  const region: Layout = { lat: steps(21, 1, 40), lon: steps(41, 1, -20).map((x) => (x + 360) % 360) };

  test("write the part of the target that they cover, across Greenwich from west to east", async () => {
    const { path } = await makeFile("region.nc", region);
    await regridCommand.run([path, "--res", "5.625", "-o", at("region-out.nc")]);
    const lon = await readVariable(at("region-out.nc"), "longitude");
    expect([...lon.values]).toEqual([-16.875, -11.25, -5.625, 0, 5.625, 11.25, 16.875]);
    expect([...(await readVariable(at("region-out.nc"), "latitude")).values]).toEqual([
      42.1875, 47.8125, 53.4375, 59.0625,
    ]);
    expect([...(await readVariable(at("region-out.nc"), "longitude_bnds")).values].slice(0, 2)).toEqual([
      -19.6875, -14.0625,
    ]);
    const t = await readVariable(at("region-out.nc"), "t");
    expect(t.values.every(Number.isFinite)).toBe(true);
    expect(said).toContain("a region; wrote the part it covers (--extent target for the whole grid)");

    await regridCommand.run([path, "--res", "5.625", "--extent", "target", "-o", at("region-whole.nc")]);
    const whole = await readVariable(at("region-whole.nc"), "t");
    expect(whole.shape).toEqual([3, 2, 32, 64]);
    // Row 23 is 42.1875 N; column 61 is 343.125 E, the first of the part.
    expect(whole.values[23 * 64 + 61]).toBe(t.values[0]);
    expect(whole.values.filter(Number.isFinite).length).toBe(3 * 2 * 4 * 7);
  });

  test("are refused where they meet no point of the target", async () => {
    const { path } = await makeFile("tiny.nc", { lat: steps(3, 0.1, 10), lon: steps(3, 0.1, 10) });
    await expect(regridCommand.run([path, "-o", at("tiny-out.nc")])).rejects.toThrow(
      `${path}: no point of the target grid (32 x 64, 5.625 degrees) lies within the source (3 x 3, 0.1 degrees, 10..10.2N 10..10.2E)`,
    );
    expect(existsSync(at("tiny-out.nc"))).toBe(false);
  });
});

describe("--grid", () => {
  test("takes the grid of a dataset, or of a description as CDO has them", async () => {
    const { path } = await makeFile("for-grid.nc");
    await makeFile("target.nc", { lat: [-50, 0, 60], lon: [10, 100, 200, 300] });
    await regridCommand.run([path, "--grid", at("target.nc"), "-o", at("gridded.nc")]);
    expect((await readVariable(at("gridded.nc"), "t")).shape).toEqual([3, 2, 3, 4]);
    expect([...(await readVariable(at("gridded.nc"), "longitude")).values]).toEqual([10, 100, 200, 300]);

    writeFileSync(
      at("grid.txt"),
      "# a grid\ngridtype = lonlat\nxsize = 4\nysize=3\nxfirst = -90\nxinc = 90\nyvals = 60 0\n  -60\n",
    );
    await regridCommand.run([path, "--grid", at("grid.txt"), "-o", at("described.nc")]);
    expect([...(await readVariable(at("described.nc"), "latitude")).values]).toEqual([-60, 0, 60]);
    expect([...(await readVariable(at("described.nc"), "longitude")).values]).toEqual([0, 90, 180, 270]);
  });

  test.each([
    ["gridtype = curvilinear", 'the grid type is "curvilinear"; wanted lonlat or gaussian'],
    ["gridtype = lonlat\nxsize = 4", '"ysize" is missing'],
    ["gridtype = lonlat\nysize = 1e9", "ysize is 1000000000; wanted a whole number up to 100000"],
    ["gridtype = lonlat\nysize = 3\nyvals = 1 2", "yvals has 2 numbers, ysize is 3"],
    ["gridtype = lonlat\nysize = 2\nyfirst = x\nyinc = 1", "yfirst = x is not numeric"],
  ])("refuses %j", async (text, message) => {
    writeFileSync(at("bad.txt"), text);
    await expect(regridCommand.run(["a.nc", "--grid", at("bad.txt"), "-o", at("x.nc")])).rejects.toThrow(
      message,
    );
  });
});

test("several files go to a folder under their own names", async () => {
  const one = await makeFile("one.nc");
  const two = await makeFile("two.nc");
  await regridCommand.run([one.path, two.path, "--res", "45", "-o", at("many")]);
  expect(readdirSync(at("many"))).toEqual(["one.nc", "two.nc"]);
  mkdirSync(at("there.nc"), { recursive: true });
  await regridCommand.run([one.path, "--res", "45", "-o", at("there.nc")]);
  expect(readdirSync(at("there.nc"))).toEqual(["one.nc"]);
});

/** Real files and what CDO 2.1.1 made of them; see the README beside them. */
describe.skipIf(!existsSync(shared))("CDO 2.1.1 on real files of ../shared/data (skipped without it)", () => {
  const awi = "cmip6-mini-esgf/tas_Amon_AWI-ESM-1-1-LR_1pctCO2_r1i1p1f1_gn_185501.nc";
  const ecmwf = "ecmwf-pl-timeseries/test4.nc";
  // Both sum in f64 and round once to float32, so they part by one step of it at most: 2^-23 of the value. CDO
  // keeps the f64 of ECMWF's packed numbers where this program has float32, which makes it two.
  const tolerance = 2 ** -22;
  test.each([
    [awi, "bilinear", "awi_tas_remapbil.nc", ["tas"]],
    [awi, "conservative", "awi_tas_remapcon.nc", ["tas"]],
    [awi, "nearest", "awi_tas_remapnn.nc", ["tas"]],
    [ecmwf, "bilinear", "era_tz_remapbil.nc", ["t", "z"]],
    [ecmwf, "conservative", "era_tz_remapcon.nc", ["t", "z"]],
    [ecmwf, "nearest", "era_tz_remapnn.nc", ["t", "z"]],
    ["geocat/t_in_Celsius_1.nc", "bilinear", "echam_ts_6hourly_remapbil_5.6.nc", ["tC"]],
    [
      "reference-cdo/pl_regular_ll_native.nc",
      "bilinear",
      "pl_10deg_to_5.6_remapbil.nc",
      ["t", "r", "u", "v", "z"],
    ],
  ])("%s, %s", async (input, method, reference, names) => {
    const out = at("real.nc");
    await regridCommand.run([join(shared, input), "--res", "5.625", "--method", method, "-o", out]);
    for (const name of names) {
      const ours = await readVariable(out, name);
      const cdo = await readVariable(join(shared, "reference-cdo", reference), name);
      const largest = Array.from(cdo.values).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      expect(difference(ours.values, cdo.values)).toBeLessThan(tolerance * largest);
    }
  });

  test.each([
    [
      "cmip6-mini-esgf/tas_Amon_ICON-ESM-LR_historical_r1i1p1f1_gn_185001.nc",
      "20480 cells, unstructured",
      "tas",
    ],
    ["geocat/camse_unstructured_grid.nc", "48602 cells, unstructured", "T850"],
    ["cmip6-mini-esgf/tos_Omon_MPI-ESM-1-2-HAM_ssp370_r1i1p1f1_gn_201501.nc", "curvilinear", "tos"],
    ["geocat/tos_ocean_bipolar_grid.nc", "curvilinear", "tos"],
  ])("%s is taken by distance, which is said", async (input, what, name) => {
    const out = at("scattered.nc");
    await regridCommand.run([join(shared, input), "--variables", name, "--force", "-o", out]);
    expect(said).toContain("distance-weighted, as its grid has no rows of latitude and columns of longitude");
    expect(printed).toContain(what);
    const field = await readVariable(out, name);
    expect(field.shape.at(-1)).toBe(64);
    expect(field.shape.at(-2)).toBeGreaterThan(30); // no ocean reaches the South Pole
    expect(field.dimensions.slice(-2)).toEqual(["lat", "lon"]);
    expect(field.values.some(Number.isFinite)).toBe(true);
    expect(field.attributes.get("coordinates") ?? "").not.toMatch(/lat|lon/);
  });
});
