/** A file whose last column repeats its first, 0 .. 360, regridded as the file without it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { createNetcdf } from "../../src/files/netcdf4writer.ts";
import { regridMethods } from "../../src/grid/regrid.ts";
import { climax } from "../support/climax.ts";
import { steps } from "../support/weatherfile.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-repeated-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

async function makeFile(path: string, columns: number): Promise<void> {
  const [lat, lon] = [steps(6, -30, 75), steps(columns, 30)];
  const data = Float32Array.from(
    { length: 6 * columns },
    (_, i) => (Math.floor(i / columns) * 7 + 100 * ((i % columns) % 12)) % 31,
  );
  const writer = await createNetcdf(path, {
    dimensions: { lat: 6, lon: columns },
    variables: [
      {
        name: "lat",
        dimensions: ["lat"],
        dtype: "float64",
        data: lat,
        attributes: { units: "degrees_north" },
      },
      {
        name: "lon",
        dimensions: ["lon"],
        dtype: "float64",
        data: lon,
        attributes: { units: "degrees_east" },
      },
      { name: "t", dimensions: ["lat", "lon"], dtype: "float32", data },
    ],
  });
  await writer.close();
}

async function regridded(input: string, output: string, ...flags: string[]): Promise<number[]> {
  const said = await climax("regrid", at(input), "--res", "22.5", ...flags, "-o", at(output));
  expect(said).toMatchObject({ code: 0 });
  const dataset = await openDataset(at(output));
  return [
    ...(await dataset.variables
      .get("t")!
      .readUnpacked()
      .finally(() => dataset.close())),
  ];
}

test.each(regridMethods)("%s", async (method) => {
  await makeFile(at("plain.nc"), 12);
  await makeFile(at("repeated.nc"), 13);
  const plain = await regridded("plain.nc", `plain_${method}.nc`, "--method", method);
  const repeated = await regridded("repeated.nc", `repeated_${method}.nc`, "--method", method);
  // Sums of products of numbers below 31, in f64 in two orders, rounded to float32 once.
  expect(Math.max(...plain.map((x, i) => Math.abs(x - repeated[i]!)))).toBeLessThanOrEqual(2 ** -19);
  expect(new Set(plain).size).toBeGreaterThan(10);
});
