// Real GRIB files against their NetCDF twins, and against ecCodes' own tools where these are installed.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { openArchive } from "../../src/data/archive.ts";
import { openDataset } from "../../src/data/open.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import type { Dataset, DatasetVariable } from "../../src/files/dataset.ts";
import { climax } from "../support/climax.ts";
import { eccodesInstalled } from "../support/eccodes.ts";

const shared = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const installed = existsSync(shared) && (await eccodesInstalled());
const hasTool = (name: string) => spawnSync(name, ["-V"]).error === undefined;
const folder = mkdtempSync(join(tmpdir(), "climax-gribreal-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function opened<T>(path: string, use: (dataset: Dataset) => Promise<T>): Promise<T> {
  const dataset = await openDataset(path);
  try {
    return await use(dataset);
  } finally {
    await dataset.close();
  }
}

/** The largest difference; NaN must meet NaN. */
function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let most = 0;
  for (let i = 0; i < a.length; i++) {
    if (Number.isNaN(a[i]) && Number.isNaN(b[i])) continue;
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= most)) most = difference;
  }
  return most;
}

function extremes(values: ArrayLike<number>): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i]!);
    high = Math.max(high, values[i]!);
  }
  return [low, high];
}

describe.skipIf(!installed)("real GRIB files (skipped without ../shared/data or ecCodes)", () => {
  // Made by CDO, in float32: nothing may differ. By grib_to_netcdf, packed: half a step of its packing, and of float32.
  test.each([
    [
      "ecmwf-pl-timeseries/pl_regular_ll.grib",
      "reference-cdo/pl_regular_ll_native.nc",
      ["t", "r", "u", "v", "z"],
      0,
    ],
    [
      "era5-ensemble-grib/multi_param_on_multi_dims.grib",
      "reference-cdo/multi_param_native.nc",
      ["z", "t", "u"],
      0,
    ],
    ["ecmwf-pl-timeseries/test4.grib", "ecmwf-pl-timeseries/test4.nc", ["t", "z"], 0.5],
    ["ecmwf-pl-timeseries/tuv_pl.grib", "ecmwf-pl-timeseries/tuv_pl.nc", ["t", "u", "v"], 0.5],
  ])("%s holds what %s holds", async (grib, netcdf, names, steps) => {
    await opened(join(shared, grib), (ours) =>
      opened(join(shared, netcdf), async (theirs) => {
        for (const name of names) {
          const [a, b] = [ours.variables.get(name)!, theirs.variables.get(name)!];
          expect(a.shape).toEqual(b.shape);
          const scale = (b.attributes.get("scale_factor") as number | undefined) ?? 1;
          const values = await b.readUnpacked();
          const [low, high] = extremes(values);
          const rounding = Math.max(-low, high) * 2 ** -24;
          expect(apart(await a.readUnpacked(), values)).toBeLessThanOrEqual(steps * (scale + 2 * rounding));
          for (const [d, dimension] of b.dimensions.entries()) {
            if (dimension === "time") continue;
            const [own, other] = [a.dimensions[d]!, dimension].map(
              (each, i) => [ours, theirs][i]!.variables.get(each)!,
            );
            const factor = dimension === "plev" ? 0.01 : 1;
            const wanted = Array.from(await other!.readUnpacked(), (value) => value * factor);
            expect(apart(await own!.readUnpacked(), wanted)).toBeLessThan(1e-9);
          }
        }
      }),
    );
    // The archive dates, names and turns them alike.
    const [ours, theirs] = [
      await openArchive([join(shared, grib)]),
      await openArchive([join(shared, netcdf)]),
    ];
    expect(ours.times.map(({ seconds }) => seconds)).toEqual(theirs.times.map(({ seconds }) => seconds));
    expect([...ours.variables.keys()].sort()).toEqual([...theirs.variables.keys()].sort());
    expect(ours.grid).toEqual(theirs.grid);
    await ours.close();
    await theirs.close();
  });

  test("climax regrid of a GRIB file gives the numbers of its conversion by CDO", async () => {
    const [ours, theirs] = [join(folder, "grib.nc"), join(folder, "netcdf.nc")];
    const source = join(shared, "ecmwf-pl-timeseries/pl_regular_ll.grib");
    const twin = join(shared, "reference-cdo/pl_regular_ll_native.nc");
    expect((await climax("regrid", source, "--res", "5.625", "-o", ours)).code).toBe(0);
    expect((await climax("regrid", twin, "--res", "5.625", "-o", theirs)).code).toBe(0);
    const [a, b] = [await openArchive([ours]), await openArchive([theirs])];
    expect([a.grid.lat.length, a.grid.lon.length, a.times.length, a.variables.size]).toEqual([32, 64, 8, 30]);
    for (const [name, variable] of a.variables) {
      for (const step of [0, 7]) {
        expect(apart(await variable.read(step), await b.variables.get(name)!.read(step))).toBe(0);
      }
    }
    await a.close();
    await b.close();
  });

  test.each<[string, string, string[], number[]]>([
    ["era5-ensemble-grib/regular_gg_sfc.grib", "u10", ["latitude", "longitude"], [96, 192]],
    ["era5-ensemble-grib/reduced_gg.grib", "u10", ["cell"], [13280]],
    ["ecmwf-pl-timeseries/O32_global.grib2", "t", ["cell"], [5248]],
    ["gfs-grib2/rotated_ll.grib1", "t2m", ["y", "x"], [372, 496]],
    ["era5-ensemble-grib/lambert_grid.grib", "nlwrs", ["y", "x"], [475, 475]],
    ["modern-grib2/hrrr.t06z.wrfsfcf01-TMP.grib2", "t", ["y", "x"], [1059, 1799]],
    ["modern-grib2/aifs-single-t500.grib2", "t", ["latitude", "longitude"], [721, 1440]],
  ])("%s lies on its grid, as grib_get_data has it", async (file, name, dimensions, shape) => {
    await opened(join(shared, file), async (dataset) => {
      const variable = dataset.variables.get(name)!;
      expect(variable.dimensions.slice(-shape.length)).toEqual(dimensions);
      expect(variable.shape.slice(-shape.length)).toEqual(shape);
      if (!hasTool("grib_get_data")) return;
      const values = await variable.readUnpacked();
      if (values.length > 300_000) {
        // Printing a million points takes longer than reading them; the extremes are printed at once.
        const [low, high] = execFileSync("grib_get", ["-F", "%.9g", "-p", "min,max", join(shared, file)])
          .toString()
          .split(" ")
          .map(Number) as [number, number];
        const [least, most] = extremes(values);
        expect(least).toBeCloseTo(low, 4);
        expect(most).toBeCloseTo(high, 4);
        return;
      }
      const { latitude, longitude } = await pointsOf(dataset, dimensions);
      // A hundred points of the print, in the file's order; one in a few thousand of the larger grids.
      const every = Math.ceil(values.length / 100);
      const print = `${every} == 1 || NR % ${every} == 2 {print NR - 2, $1, $2, $3}`;
      const options = `-F %.9g -L '%.6f %.6f' '${join(shared, file)}'`;
      const text = execFileSync("sh", [
        "-c",
        `grib_get_data ${options} 2>/dev/null | awk 'NR > 1 && (${print.replace(" {", ") {")}'`,
      ]);
      const lines = text.toString().trim().split("\n");
      expect(lines.length).toBeGreaterThan(90);
      for (const line of lines) {
        const [i, lat, lon, value] = line.split(" ").map(Number) as [number, number, number, number];
        expect(Math.abs(latitude(i) - lat)).toBeLessThan(1e-6);
        expect(Math.abs(((longitude(i) - lon + 540) % 360) - 180)).toBeLessThan(1e-6);
        // One step of float32.
        expect(Math.abs(values[i]! - value)).toBeLessThanOrEqual(1.2e-7 * Math.abs(value));
      }
    });
  });

  test("HEALPix, which ecCodes 2.28 does not know, lies where the same forecast on latitudes and longitudes has it", async () => {
    await opened(join(shared, "ecmwf-pl-timeseries/healpix_H8.grib2"), (cells) =>
      opened(join(shared, "ecmwf-pl-timeseries/pl_regular_ll.grib"), async (regular) => {
        const t = cells.variables.get("t")!;
        expect([t.dimensions, t.shape]).toEqual([
          ["time", "level", "cell"],
          [2, 1, 768],
        ]);
        const level = Array.from(await regular.variables.get("level")!.readUnpacked()).indexOf(500);
        const field = await regular.variables.get("t")!.readUnpacked([0, level, 0, 0], [1, 1, 19, 36]);
        const { latitude, longitude } = await pointsOf(cells, ["cell"]);
        const values = await t.readUnpacked([0, 0, 0], [1, 1, 768]);
        let squares = 0;
        for (let i = 0; i < 768; i++) {
          // Bilinear on the 10 degree grid, from 90 degrees north and Greenwich.
          const [y, x] = [(90 - latitude(i)) / 10, longitude(i) / 10];
          const [row, column] = [Math.min(17, Math.floor(y)), Math.floor(x)];
          const at = (r: number, c: number) => field[(row + r) * 36 + ((column + c) % 36)]!;
          const [v, u] = [y - row, x - column];
          const there =
            (1 - v) * ((1 - u) * at(0, 0) + u * at(0, 1)) + v * ((1 - u) * at(1, 0) + u * at(1, 1));
          squares += (values[i]! - there) ** 2;
        }
        // The field's own standard deviation is 11 K; a wrong order would leave as much.
        expect(Math.sqrt(squares / 768)).toBeLessThan(1.5);
      }),
    );
  });

  test("the ensemble of ERA5 is [time, number, level, latitude, longitude]", async () => {
    await opened(join(shared, "era5-ensemble-grib/era5-levels-members.grib"), async (dataset) => {
      expect(dataset.variables.get("z")!.shape).toEqual([4, 10, 2, 61, 120]);
      expect(dataset.notes).toEqual([]);
    });
  });

  test("a forecast and an ensemble of forecasts can be scored as they are", async () => {
    const forecast = await openForecastFile(
      join(shared, "era5-ensemble-grib/multi_param_on_multi_dims.grib"),
    );
    expect(forecast.leads).toEqual([0, 12, 24, 36]);
    expect([...forecast.fields.keys()]).toContain("geopotential_500");
    await forecast.close();
    const ensemble = await openForecastFile(join(shared, "ecmwf-pl-timeseries/ens_50.grib"));
    expect([ensemble.leads, ensemble.fields.get("geopotential_850")!.members]).toEqual([[78], 51]);
    await ensemble.close();
  });

  test("rows of alternating direction are smooth once they are put in one", async () => {
    await opened(join(shared, "era5-ensemble-grib/alternate-scanning.grib"), async (dataset) => {
      const values = await dataset.variables.get("t2m")!.readUnpacked();
      const [height, width] = [171, 291];
      let sum = 0;
      for (let i = width; i < values.length; i++) sum += Math.abs(values[i]! - values[i - width]!);
      // Between rows 0.1 degrees apart; as ecCodes 2.28 and CDO 2.1.1 return them it is 5.0 K.
      expect(sum / (width * (height - 1))).toBeLessThan(0.6);
    });
  });

  test("a GFS file becomes variables by parameter and level, and ClimaX knows the right ones", async () => {
    const archive = await openArchive([join(shared, "gfs-grib2/gfs.grb")]);
    const names = [...archive.variables.keys()];
    expect(names.filter((name) => name.startsWith("temperature_")).length).toBe(26);
    for (const name of [
      "geopotential_500",
      "2m_temperature",
      "10m_u_component_of_wind",
      "surface_pressure",
      "skin_temperature",
    ]) {
      expect(names).toContain(name);
    }
    // Not the pressure of cloud tops, not the winds of the tropopause.
    expect(archive.variables.get("surface_pressure")!.attributes.get("GRIB_typeOfLevel")).toBe("surface");
    expect(archive.unrecognised.map(({ name }) => name)).toContain("pres_maxWind");
    await archive.close();
  });

  test.each([
    [
      "era5-ensemble-grib/era5-levels-corrupted.grib",
      /GRIB message 1 at byte 0 is damaged: its sections end at byte 22064, the message itself at 1584/,
    ],
    [
      "gfs-grib2/flux.grb",
      /from byte 46580, behind GRIB message 4, there is something that is no GRIB message/,
    ],
  ])("%s is refused", async (file, wanted) => {
    await expect(openDataset(join(shared, file))).rejects.toThrow(wanted);
  });
});

/** Latitude and longitude of point i of a field. */
async function pointsOf(dataset: Dataset, dimensions: string[]) {
  const read = (name: string) => (dataset.variables.get(name) as DatasetVariable).readUnpacked();
  const [lat, lon] = [await read("latitude"), await read("longitude")];
  if (!dimensions.includes("latitude"))
    return { latitude: (i: number) => lat[i]!, longitude: (i: number) => lon[i]! };
  return {
    latitude: (i: number) => lat[Math.floor(i / lon.length)]!,
    longitude: (i: number) => lon[i % lon.length]!,
  };
}
