// What openDataset says of things it cannot open, the rules of unpacking, and a look at real files.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { ClimaxError } from "../../src/errors.ts";
import type { AttributeValue, Dtype } from "../../src/files/dataset.ts";
import type { NumericArray } from "../../src/files/hyperslab.ts";
import { packingOf, unpack } from "../../src/files/packing.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-dataset-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function refusal(path: string): Promise<ClimaxError> {
  const caught = await openDataset(path).catch((error: unknown) => error);
  expect(caught).toBeInstanceOf(ClimaxError);
  expect((caught as ClimaxError).kind).toBe("data");
  return caught as ClimaxError;
}

function save(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe("what is not a NetCDF file is named, with the way from there", () => {
  test.each<[string, string | Buffer, RegExp, RegExp]>([
    ["nothing.nc", "", /is empty \(0 bytes\)/, /fetch or write it again/],
    [
      "era5.grib",
      "GRIB....",
      /GRIB message 1 at byte 0 is damaged: the file ends 8 bytes after/,
      /fetch or write/,
    ],
    ["a.nc.gz", gzipSync("CDF"), /compressed by gzip/, /gunzip/],
    ["a.zip", "PK\x03\x04....", /zip archive/, /unzip/],
    ["a.hdf", Buffer.from([14, 3, 19, 1]), /HDF4/, /h4toh5/],
    ["login.nc", "<!DOCTYPE html><html>", /web page/, /login/],
    ["zeros.nc", Buffer.alloc(600), /begins with zeros only/, /cut off/],
    ["text.nc", "hello, this is text", /no known format \(first bytes: 68656c6c6f2c2074\)/, /cdo -f nc4/],
    ["cdf9.nc", "CDF\x09....", /unknown version 9/, /fetch it again/],
    ["cdf.nc", "CDF", /unknown version \(cut off\)/, /fetch it again/],
  ])("%s", async (name, content, message, hint) => {
    const path = save(name, content);
    const error = await refusal(path);
    expect(error.message).toContain(path);
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
  });

  test("a file that is not there", async () => {
    const error = await refusal(join(folder, "absent.nc"));
    expect(error.message).toBe(`cannot open ${join(folder, "absent.nc")}: there is no such file`);
  });

  test("a folder, and a Zarr store", async () => {
    mkdirSync(join(folder, "files"));
    writeFileSync(join(folder, "files", "a.nc"), "");
    const plain = await refusal(join(folder, "files"));
    expect(plain.message).toContain("is a folder of 1 entries (1 look like NetCDF), not a file");
    expect(plain.hint).toContain("*.nc");
    // Read as a store (test/files/zarr.test.ts), of which there is nothing here.
    mkdirSync(join(folder, "store.zarr"));
    writeFileSync(join(folder, "store.zarr", ".zgroup"), '{"zarr_format": 2}');
    const zarr = await refusal(join(folder, "store.zarr"));
    expect(zarr.message).toBe(`${join(folder, "store.zarr")} has no arrays in its root group`);
  });

  test.skipIf(process.getuid?.() === 0)(
    "a file without permission (skipped: root may read all)",
    async () => {
      const path = save("secret.nc", "CDF\x01");
      chmodSync(path, 0);
      expect((await refusal(path)).message).toContain("you may not read it");
    },
  );
});

describe("unpacking", () => {
  const physical = (
    raw: NumericArray,
    dtype: Dtype,
    attributes: Record<string, [AttributeValue, Dtype]>,
  ): Float32Array | Float64Array => {
    const entries = Object.entries(attributes);
    const values = new Map(entries.map(([name, [value]]) => [name, value]));
    const types = new Map(entries.map(([name, [, type]]) => [name, type]));
    return unpack(raw, packingOf(dtype, values, types));
  };
  const { NaN: missing } = Number;

  test("the width follows CF 8.1: float64 attributes give float64, float32 ones float32", () => {
    const raw = Int16Array.of(0, 10);
    const wide = physical(raw, "int16", { scale_factor: [0.1, "float64"], add_offset: [1, "float64"] });
    expect(wide).toEqual(Float64Array.of(1, 10 * 0.1 + 1));
    const narrow = physical(raw, "int16", { scale_factor: [0.5, "float32"] });
    expect(narrow).toEqual(Float32Array.of(0, 5));
    expect(physical(Int32Array.of(16777217), "int32", {})).toEqual(Float64Array.of(16777217));
    expect(physical(Int16Array.of(7), "int16", {})).toEqual(Float32Array.of(7));
  });

  test("_FillValue and missing_value are compared in packed units, as the variable's type holds them", () => {
    const raw = Int16Array.of(-1, -2, 3, 4);
    expect(
      physical(raw, "int16", {
        _FillValue: [-1, "int16"],
        missing_value: [[-2, 3], "int16"],
        scale_factor: [2, "float32"],
      }),
    ).toEqual(Float32Array.of(missing, missing, missing, 8));
    // 1e20 in float64 is not a float32; rounded to one it is.
    const fill = Float32Array.of(1e20, 1);
    expect(physical(fill, "float32", { missing_value: [1e20, "float64"] })).toEqual(
      Float32Array.of(missing, 1),
    );
    // A value the type cannot hold matches nothing.
    expect(physical(Int16Array.of(-25536), "int16", { missing_value: [40000, "int32"] })[0]).toBe(-25536);
  });

  test("without _FillValue, NetCDF's default fill is missing, but not in bytes", () => {
    expect(physical(Int16Array.of(-32767), "int16", {})[0]).toBeNaN();
    expect(physical(Float32Array.of(9.969209968386869e36), "float32", {})[0]).toBeNaN();
    expect(physical(Int16Array.of(-32767), "int16", { _FillValue: [1, "int16"] })[0]).toBe(-32767);
    expect(physical(Int8Array.of(-127), "int8", {})[0]).toBe(-127);
  });

  test("the valid range is in packed units, unless its type is wider: then in physical ones", () => {
    const raw = Int16Array.of(-11, -10, 10, 11);
    const packed = { scale_factor: [0.5, "float64"] } as Record<string, [AttributeValue, Dtype]>;
    const expected = Float64Array.of(missing, -5, 5, missing);
    expect(physical(raw, "int16", { ...packed, valid_range: [[-10, 10], "int16"] })).toEqual(expected);
    expect(
      physical(raw, "int16", { ...packed, valid_min: [-10, "int16"], valid_max: [10, "int16"] }),
    ).toEqual(expected);
    expect(physical(raw, "int16", { ...packed, valid_range: [[-5, 5], "float64"] })).toEqual(expected);
  });

  test("_Unsigned reads the same bits with the other sign, attributes included", () => {
    const raw = Int8Array.of(-1, -2, 127);
    expect(
      physical(raw, "int8", {
        _Unsigned: ["true", "char"],
        _FillValue: [-1, "int8"],
        scale_factor: [2, "float32"],
      }),
    ).toEqual(Float32Array.of(missing, 508, 254));
    expect(physical(Uint8Array.of(255), "uint8", { _Unsigned: ["false", "char"] })[0]).toBe(-1);
  });
});

const shared = "../shared/data";
describe.skipIf(!existsSync(shared))("real files (skipped where ../shared/data is absent)", () => {
  // Values printed by ncdump and cdo infon.
  test("ERA5 at T31, NetCDF-3 64-bit offset, dimensions (level, longitude, latitude)", async () => {
    const dataset = await openDataset(`${shared}/era5-tl31/era5_tl31_19590102T00.nc`);
    const t = dataset.variables.get("temperature")!;
    expect(dataset.format).toBe("NetCDF 64-bit offset (CDF-2)");
    expect(t.dimensions.slice(-3)).toEqual(["level", "longitude", "latitude"]);
    expect(t.shape.slice(-3)).toEqual([37, 64, 32]);
    const values = await t.readUnpacked();
    const sane = values.every((kelvin) => kelvin > 150 && kelvin < 330);
    expect(sane).toBe(true);
    await dataset.close();
  });

  test("packed ERA-Interim and chunked CMIP6 unpack to weather", async () => {
    const range = async (file: string, name: string): Promise<[number, number]> => {
      const dataset = await openDataset(`${shared}/${file}`);
      const values = Array.from(await dataset.variables.get(name)!.readUnpacked()).filter(
        (n) => !Number.isNaN(n),
      );
      await dataset.close();
      return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
    };
    const [low, high] = await range(
      "cmip6-mini-esgf/tas_Amon_AWI-ESM-1-1-LR_1pctCO2_r1i1p1f1_gn_185501.nc",
      "tas",
    );
    expect(low).toBeGreaterThan(200);
    expect(high).toBeLessThan(320);
    const [slow, fast] = await range("era-interim/eraint_uvz.nc", "u");
    expect(slow).toBeGreaterThan(-100);
    expect(fast).toBeGreaterThan(30);
    expect(fast).toBeLessThan(120);
  });
});
