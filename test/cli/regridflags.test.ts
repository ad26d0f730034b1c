/** Flags keep to their values when they are regridded: a mean of "sea" and "land ice" is not "land". */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { climax } from "../support/climax.ts";
import { makeWeatherFile, readVariable } from "../support/weatherfile.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-regrid-flags-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

const codes = Float32Array.from({ length: 180 }, (_, i) => (i * 7) % 3);
const { path } = await makeWeatherFile(at("weather.nc"), {
  extra: [
    {
      name: "area_type_code",
      dimensions: ["latitude", "longitude"],
      dtype: "float32",
      data: codes,
      attributes: { flag_values: Float32Array.of(0, 1, 2), flag_meanings: "sea land land_ice" },
    },
  ],
});

test.for(["conservative", "bilinear", "nearest"])("--method %s", async (method) => {
  const said = await climax("regrid", path, "--res", "45", "--method", method, "--force", "-o", at("out.nc"));
  expect(said.code).toBe(0);
  const note = "area_type_code: nearest neighbour, as a mean of flags is no flag";
  if (method === "nearest") expect(said.err).not.toContain(note);
  else expect(said.err).toContain(note);
  const flags = await readVariable(at("out.nc"), "area_type_code");
  expect(new Set(flags.values)).toEqual(new Set([0, 1, 2]));
  const dataset = await openDataset(at("out.nc"));
  expect(dataset.attributes.get("regrid_method")).toBe(method);
  await dataset.close();
});

test("the other fields are regridded as asked, to the same numbers as without flags", async () => {
  await climax("regrid", path, "--res", "45", "--method", "conservative", "--force", "-o", at("with.nc"));
  await makeWeatherFile(at("plain.nc"));
  await climax("regrid", at("plain.nc"), "--res", "45", "--method", "conservative", "-o", at("without.nc"));
  const [a, b] = [await readVariable(at("with.nc"), "t"), await readVariable(at("without.nc"), "t")];
  expect([...a.values]).toEqual([...b.values]);
});
