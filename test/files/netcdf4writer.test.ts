// What the writer writes is what the reader reads; failures are explained and leave nothing behind.
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { ClimaxError } from "../../src/errors.ts";
import { createNetcdf, type NetcdfContents } from "../../src/files/netcdf4writer.ts";
import { builtSource } from "../support/builtclimax.ts";

const root = mkdtempSync(join(tmpdir(), "climax-writer-"));
afterAll(() => rmSync(root, { recursive: true }));
let folder = root;
beforeEach(() => {
  folder = mkdtempSync(join(root, "case-"));
});

const H = 8;
const W = 16;
const field = (seed: number): Float32Array => Float32Array.from({ length: H * W }, (_, i) => seed + i / 1024);

const forecast: NetcdfContents = {
  dimensions: { time: null, prediction_timedelta: 2, latitude: H, longitude: W, bnds: 2 },
  attributes: {
    Conventions: "CF-1.11",
    title: "Prévision à 5,6°",
    empty: "",
    count: 3,
    ratio: 2.5,
    list: [1, 2, 3.5],
    small: Int16Array.of(7),
    history: "x".repeat(100_000), // more than one HDF5 object header (64 kB) holds
  },
  variables: [
    {
      name: "time",
      dimensions: ["time"],
      dtype: "float64",
      attributes: { units: "hours since 2018-01-01", standard_name: "forecast_reference_time" },
    },
    { name: "prediction_timedelta", dimensions: ["prediction_timedelta"], dtype: "int32", data: [6, 12] },
    {
      name: "latitude",
      dimensions: ["latitude"],
      dtype: "float64",
      attributes: { units: "degrees_north" },
      data: Float64Array.from({ length: H }, (_, i) => -78.75 + 22.5 * i),
    },
    {
      name: "longitude",
      dimensions: ["longitude"],
      dtype: "float64",
      attributes: { units: "degrees_east" },
      data: Float64Array.from({ length: W }, (_, i) => 22.5 * i),
    },
    {
      name: "z",
      dimensions: ["time", "prediction_timedelta", "latitude", "longitude"],
      dtype: "float32",
      attributes: { units: "m2 s-2", _FillValue: Number.NaN, pressure_level_hPa: 500 },
    },
    {
      name: "packed",
      dimensions: ["time", "latitude", "longitude"],
      dtype: "int16",
      attributes: { scale_factor: 1, add_offset: 273, _FillValue: -32767, valid_range: [-500, 500] },
    },
    { name: "orography", dimensions: ["latitude", "longitude"], dtype: "float32", data: field(0) },
    {
      name: "crs",
      dimensions: [],
      dtype: "int32",
      attributes: { grid_mapping_name: "latitude_longitude" },
      data: [1],
    },
  ],
};

async function writeForecast(path: string): Promise<void> {
  const writer = await createNetcdf(path, forecast);
  for (const t of [0, 1, 2]) {
    await writer.write("time", [t], [24 * t]);
    await writer.write("z", [t, 0, 0, 0], field(10 * t));
    if (t !== 1) await writer.write("z", [t, 1, 0, 0], field(10 * t + 1));
    await writer.write("packed", [t, 0, 0], field(100 * t));
  }
  await writer.write("z", [1, 1, 2, 3], [5, 6], [1, 1, 1, 2]);
  await writer.close();
}

describe("round trip", () => {
  test("names, types and attributes", async () => {
    await writeForecast(join(folder, "f.nc"));
    expect(readdirSync(folder)).toEqual(["f.nc"]);
    const dataset = await openDataset(join(folder, "f.nc"));
    expect(dataset.format).toBe("NetCDF-4");
    expect(Object.fromEntries(dataset.dimensions)).toEqual({ ...forecast.dimensions, time: 3 });
    expect([...dataset.unlimited]).toEqual(["time"]);
    expect(Object.fromEntries(dataset.attributes)).toEqual({ ...forecast.attributes, small: 7 });
    expect([...dataset.variables.keys()]).toEqual(forecast.variables.map((variable) => variable.name));
    for (const { name, dimensions, dtype } of forecast.variables) {
      const variable = dataset.variables.get(name)!;
      expect([variable.dimensions, variable.dtype], name).toEqual([dimensions, dtype]);
    }
    expect(Object.fromEntries(dataset.variables.get("packed")!.attributes)).toEqual({
      scale_factor: 1,
      add_offset: 273,
      _FillValue: -32767,
      valid_range: [-500, 500],
    });
    await dataset.close();
  });

  test("numbers; what was never written is fill", async () => {
    await writeForecast(join(folder, "f.nc"));
    const { variables, close } = await openDataset(join(folder, "f.nc"));
    const z = variables.get("z")!;
    expect(z.shape).toEqual([3, 2, H, W]);
    for (const t of [0, 1, 2]) expect(await z.read([t, 0, 0, 0], [1, 1, H, W])).toEqual(field(10 * t));
    expect(await z.read([2, 1, 0, 0], [1, 1, H, W])).toEqual(field(21));
    const holes = await z.read([1, 1, 0, 0], [1, 1, H, W]);
    expect([holes[2 * W + 3], holes[2 * W + 4]]).toEqual([5, 6]);
    expect(holes.filter((n: number) => Number.isNaN(n))).toHaveLength(H * W - 2);
    expect(await variables.get("packed")!.read([2, 0, 0], [1, 1, 2])).toEqual(Int16Array.of(200, 200));
    // scale_factor 1 is stored as float64, so that the unpacked numbers are.
    expect(await variables.get("packed")!.readUnpacked([2, 0, 0], [1, 1, 1])).toEqual(Float64Array.of(473));
    expect(await variables.get("orography")!.read()).toEqual(field(0));
    expect(await variables.get("crs")!.read()).toEqual(Int32Array.of(1));
    await close();
  });

  test("variables along one unlimited dimension end together", async () => {
    const path = join(folder, "f.nc");
    const writer = await createNetcdf(path, forecast);
    await writer.write("packed", [4, 0, 0], field(0));
    await writer.close();
    const { variables, dimensions, close } = await openDataset(path);
    expect(dimensions.get("time")).toBe(5);
    expect((await variables.get("time")!.readUnpacked()).every((n: number) => Number.isNaN(n))).toBe(true);
    expect((await variables.get("z")!.read()).every((n: number) => Number.isNaN(n))).toBe(true);
    expect(await variables.get("packed")!.read([3, 0, 0], [1, 1, 2])).toEqual(Int16Array.of(-32767, -32767));
    await close();
  });

  test("integers: NaN is fill, fractions are rounded, what does not fit is refused", async () => {
    const path = join(folder, "f.nc");
    const one = { name: "v", dimensions: ["x"], dtype: "int16" as const, attributes: { _FillValue: -1 } };
    const writer = await createNetcdf(path, { dimensions: { x: 3 }, variables: [one] });
    await expect(writer.write("v", [0], [1, 2, 40000])).rejects.toThrow("40000 is no int16");
    await writer.write("v", [0], [Number.NaN, 1.6, -2]);
    await writer.close();
    const { variables, close } = await openDataset(path);
    expect(await variables.get("v")!.read()).toEqual(Int16Array.of(-1, 2, -2));
    await close();
  });

  test("compression is a choice and changes no number", async () => {
    const sizes: number[] = [];
    for (const deflate of [0, 1, 9]) {
      const path = join(folder, `level-${deflate}.nc`);
      const v = {
        name: "v",
        dimensions: ["y", "x"],
        dtype: "float32" as const,
        deflate,
        data: new Float32Array(65536),
      };
      const writer = await createNetcdf(path, { dimensions: { y: 256, x: 256 }, variables: [v] });
      await writer.close();
      sizes.push(readFileSync(path).length);
      const { variables, close } = await openDataset(path);
      expect(await variables.get("v")!.read()).toEqual(v.data);
      await close();
    }
    expect(sizes[0]).toBeGreaterThan(262144);
    expect(sizes[1]).toBeLessThan(20000);
  });
});

describe("nothing is left behind", () => {
  const failure = async (promise: Promise<unknown>): Promise<ClimaxError> => {
    const caught = await promise.catch((error: unknown) => error);
    expect(caught).toBeInstanceOf(ClimaxError);
    return caught as ClimaxError;
  };

  test("until close, only a temporary name; abort removes it and keeps the old file", async () => {
    const path = join(folder, "f.nc");
    writeFileSync(path, "old");
    const writer = await createNetcdf(path, forecast);
    expect(writer.temporaryPath).toBe(`${path}.partial-${process.pid}`);
    expect(readdirSync(folder).toSorted()).toEqual(["f.nc", `f.nc.partial-${process.pid}`]);
    await writer.abort();
    expect(readdirSync(folder)).toEqual(["f.nc"]);
    expect(readFileSync(path, "utf8")).toBe("old");
    await expect(writer.write("time", [0], [0])).rejects.toThrow("write after the file was aborted");
    await writer.close(); // does nothing after abort
    expect(readFileSync(path, "utf8")).toBe("old");
  });

  test("close replaces the old file", async () => {
    const path = join(folder, "f.nc");
    writeFileSync(path, "old");
    await writeForecast(path);
    expect(readFileSync(path).subarray(1, 4).toString()).toBe("HDF");
  });

  test("a missing folder", async () => {
    const error = await failure(createNetcdf(join(folder, "no", "f.nc"), forecast));
    expect(error.message).toBe(`cannot write ${folder}/no/f.nc: the folder ${folder}/no does not exist`);
    expect(error.hint).toBe(`make it: mkdir -p ${folder}/no`);
  });

  test("a folder of that name, a file in the path, a second writer", async () => {
    mkdirSync(join(folder, "f.nc"));
    expect((await failure(createNetcdf(join(folder, "f.nc"), forecast))).message).toContain("it is a folder");
    writeFileSync(join(folder, "file"), "");
    expect((await failure(createNetcdf(join(folder, "file", "f.nc"), forecast))).message).toContain(
      "is not a folder",
    );
    const first = await createNetcdf(join(folder, "g.nc"), forecast);
    expect((await failure(createNetcdf(join(folder, "g.nc"), forecast))).message).toContain(
      "is writing it already",
    );
    await first.close();
    expect(readdirSync(folder).toSorted()).toEqual(["f.nc", "file", "g.nc"]);
  });

  test.skipIf(process.getuid?.() === 0)(
    "a folder without permission (skipped: root may write all)",
    async () => {
      chmodSync(folder, 0o500);
      const error = await failure(createNetcdf(join(folder, "f.nc"), forecast));
      chmodSync(folder, 0o700);
      expect(error.message).toContain("you may not write in");
    },
  );

  test("a mistake in the definition is the caller's, and leaves nothing", async () => {
    const bad = { name: "v", dimensions: ["nowhere"], dtype: "float32" as const };
    await expect(createNetcdf(join(folder, "f.nc"), { dimensions: {}, variables: [bad] })).rejects.toThrow(
      '"v": no dimension "nowhere" is defined',
    );
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a box that does not fit is refused", async () => {
    const writer = await createNetcdf(join(folder, "f.nc"), forecast);
    await expect(writer.write("orography", [0, 0], field(0).subarray(1))).rejects.toThrow(RangeError);
    await expect(writer.write("z", [0, 2, 0, 0], field(0))).rejects.toThrow(RangeError);
    await expect(writer.write("nothing", [0], [1])).rejects.toThrow('has no variable "nothing"');
    await writer.abort();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a process that ends in between", () => {
    const script = `
      import { createNetcdf } from ${JSON.stringify(builtSource("files/netcdf4writer"))};
      createNetcdf(process.argv[1], { dimensions: { x: 3 }, variables: [] }).then(() => process.exit(7));
    `;
    const argv = ["--input-type=module", "-e", script, join(folder, "f.nc")];
    expect(spawnSync(process.execPath, argv, { stdio: "ignore" }).status).toBe(7);
    expect(readdirSync(folder)).toEqual([]);
  });
});

const hasNcdump = spawnSync("ncdump", [], { stdio: "ignore" }).error === undefined;
test.skipIf(!hasNcdump)("ncdump reads it as its own (skipped where ncdump is not installed)", async () => {
  const path = join(folder, "f.nc");
  await writeForecast(path);
  const cdl = execFileSync("ncdump", ["-v", "time,prediction_timedelta", path], { encoding: "utf8" });
  expect(cdl).toContain("time = UNLIMITED ; // (3 currently)");
  expect(cdl).toContain("float z(time, prediction_timedelta, latitude, longitude) ;");
  expect(cdl).toContain('z:units = "m2 s-2" ;');
  expect(cdl).toContain("packed:_FillValue = -32767s ;");
  expect(cdl).toContain(':title = "Prévision à 5,6°" ;');
  expect(cdl).toContain("time = 0, 24, 48 ;");
  expect(cdl).toContain("bnds = 2 ;");
});

describe("texts", () => {
  const contents = (text: string[]) => ({
    dimensions: { system: 2 },
    variables: [{ name: "score", dimensions: ["system"], dtype: "float64" as const, data: [1, 2] }],
    texts: [{ name: "system", dimensions: ["system"], text, attributes: { long_name: "who" } }],
  });

  test("of any length are the coordinates of a dimension", async () => {
    const path = join(folder, "texts.nc");
    await (await createNetcdf(path, contents(["Zürich, a longer name", ""]))).close();
    const dataset = await openDataset(path);
    const system = dataset.variables.get("system")!;
    expect([system.dtype, system.dimensions, await system.readText()]).toEqual([
      "string",
      ["system"],
      ["Zürich, a longer name", ""],
    ]);
    expect(system.attributes.get("long_name")).toBe("who");
    expect(dataset.variables.get("score")!.dimensions).toEqual(["system"]);
    await dataset.close();
  });

  test("that do not fill their dimensions are refused, and nothing is left behind", async () => {
    const path = join(folder, "wrong.nc");
    await expect(createNetcdf(path, contents(["one"]))).rejects.toThrow('1 texts do not fit "system" [2]');
    expect(readdirSync(folder).filter((name) => name.startsWith("wrong"))).toEqual([]);
  });
});
