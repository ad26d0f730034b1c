// Patterns, names and URLs as inputs.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expandPaths } from "../../src/data/paths.ts";
import { ClimaxError } from "../../src/errors.ts";

let dir = "";
const put = (...parts: string[]) => {
  mkdirSync(join(dir, ...parts.slice(0, -1)), { recursive: true });
  writeFileSync(join(dir, ...parts), "");
};
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "climax-paths-"));
  for (const name of ["t_2001_10.nc", "t_2001_9.nc", "t_2002_1.nc", "z_2001_1.nc", "odd[1].nc"]) put(name);
  for (const variable of ["geopotential", "temperature"]) put(variable, `${variable}_1979.nc`);
  put("store.zarr", ".zgroup");
  put("store.zarr", "t", "0.0.0");
  put("shards", "lat.npy");
  put("shards", "train", "1979_0.npz");
});
afterAll(() => rmSync(dir, { recursive: true }));

const expanded = async (...patterns: string[]) =>
  (await expandPaths(patterns.map((pattern) => join(dir, pattern)))).map((path) =>
    path.slice(dir.length + 1),
  );

async function failure(pattern: string): Promise<string> {
  const error = await expandPaths([join(dir, pattern)]).catch((error: unknown) => error);
  if (!(error instanceof ClimaxError)) throw error;
  return `${error.kind}: ${error.message} | ${error.hint}`.replaceAll(`${dir}/`, "").replaceAll(dir, "DIR");
}

test("patterns, in natural order, each file once", async () => {
  expect(await expanded("t_*.nc")).toEqual(["t_2001_9.nc", "t_2001_10.nc", "t_2002_1.nc"]);
  expect(await expanded("z_*.nc", "*_2001*.nc")).toEqual(["z_2001_1.nc", "t_2001_9.nc", "t_2001_10.nc"]);
  expect(await expanded("t_200{1,2}_1*.nc")).toEqual(["t_2001_10.nc", "t_2002_1.nc"]);
  expect(await expanded("{geopotential,temperature}/*.nc")).toEqual([
    "geopotential/geopotential_1979.nc",
    "temperature/temperature_1979.nc",
  ]);
});

test("a store is one input, and nothing in it is another", async () => {
  expect(await expanded("*.zarr")).toEqual(["store.zarr"]);
  expect(await expanded("s*/**")).toEqual(["shards", "store.zarr"]);
});

test("names, also odd ones, and URLs are taken as they are", async () => {
  expect(await expanded("odd[1].nc", "absent.nc", "store.zarr")).toEqual([
    "odd[1].nc",
    "absent.nc",
    "store.zarr",
  ]);
  const urls = ["gs://weatherbench2/era5/x.zarr", "https://a.b/c?x=[1]*.nc", "s3://bucket/{y}.zarr"];
  expect(await expandPaths([...urls, urls[0]!])).toEqual(urls);
});

test("relative patterns give relative paths", async () => {
  expect(await expandPaths(["test/data/pat?s.test.ts"])).toEqual(["test/data/paths.test.ts"]);
});

test("a pattern that matches nothing names what is near", async () => {
  expect(await failure("t_2003*.nc")).toMatch(
    /^data: the pattern t_2003\*\.nc matches nothing \| the nearest in DIR: t_2001_9.nc, t_2002_1.nc, /,
  );
  expect(await failure("temperatur/*.nc")).toMatch(/the nearest in DIR: temperature, /);
  expect(await failure("temperature/*_1980.nc")).toBe(
    "data: the pattern temperature/*_1980.nc matches nothing | the nearest in temperature: temperature/temperature_1979.nc",
  );
  expect(await failure("geo*")).toMatch(/matches no file, only 1 folder/);
});
