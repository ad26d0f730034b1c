import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { climax } from "../support/climax.ts";
import { classicFile, fieldValue } from "../support/regridclassic.ts";
import { makeWeatherFile, readVariable } from "../support/weatherfile.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-regrid-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
const run = async (input: string, ...flags: string[]) => {
  const said = await climax("regrid", input, "--res", "45", "--force", "-o", at("out.nc"), ...flags);
  expect(said).toMatchObject({ code: 0 });
  return said;
};

const { path } = await makeWeatherFile(at("weather.nc"));
classicFile(at("steps.nc"), { steps: 40, height: 5, width: 8 });

test("levels of the file are kept as they are, in the order asked for", async () => {
  await run(path);
  const whole = await readVariable(at("out.nc"), "t");
  await run(path, "--levels", "850,500");
  const t = await readVariable(at("out.nc"), "t");
  expect(t.shape).toEqual([3, 2, 4, 8]);
  expect([...(await readVariable(at("out.nc"), "level")).values]).toEqual([850, 500]);
  expect([...t.values.slice(0, 32)]).toEqual([...whole.values.slice(32, 64)]);
  expect([...t.values.slice(32, 64)]).toEqual([...whole.values.slice(0, 32)]);
});

test("levels between them are interpolated in the logarithm of pressure, which is said", async () => {
  await run(path);
  const whole = await readVariable(at("out.nc"), "t");
  const { err } = await run(path, "--levels", "700");
  expect(err).toContain(
    "700 hPa lies between 500 and 850 hPa, and is interpolated in the logarithm of pressure",
  );
  const t = await readVariable(at("out.nc"), "t");
  expect(t.shape).toEqual([3, 1, 4, 8]);
  expect([...(await readVariable(at("out.nc"), "level")).values]).toEqual([700]);
  const weight = Math.log(700 / 500) / Math.log(850 / 500);
  for (let i = 0; i < 32; i++) {
    // Both levels are rounded to float32 before this sum and not before the program's: a step of it at 300.
    const expected = (1 - weight) * whole.values[i]! + weight * whole.values[32 + i]!;
    expect(Math.abs(t.values[i]! - expected)).toBeLessThan(3.1e-5);
  }
});

test("levels beyond those of the file are refused", async () => {
  const { code, err } = await climax("regrid", path, "--levels", "1000", "-o", at("beyond.nc"));
  expect(code).toBe(2);
  expect(err).toContain("levels 1000 hPa were wanted; the levels there are reach from 500 to 850 hPa");
  const none = await climax("regrid", at("steps.nc"), "--levels", "500", "-o", at("beyond.nc"));
  expect(none.err).toContain(
    `no variable of ${at("steps.nc")} that is regridded lies on pressure levels; found --levels 500`,
  );
});

test("steps are thinned and cut to a period, which is said; times, bounds and calendar go with them", async () => {
  await run(at("steps.nc"));
  const whole = await readVariable(at("out.nc"), "t");
  const { err } = await run(at("steps.nc"), "--every", "12h", "--period", "2000-01-02..2000-01-03");
  expect(err).toContain("kept 8 of 40 steps: 2000-01-02..2000-01-03");
  expect(err).toContain("kept 2 of 4 steps a day: 12-hourly; 4 of 8");
  const t = await readVariable(at("out.nc"), "t");
  expect(t.shape).toEqual([4, 4, 8]);
  expect([...(await readVariable(at("out.nc"), "time")).values]).toEqual([24, 36, 48, 60]);
  for (const [i, step] of [4, 6, 8, 10].entries())
    expect([...t.values.slice(32 * i, 32 * i + 32)]).toEqual([
      ...whole.values.slice(32 * step, 32 * step + 32),
    ]);

  await run(path, "--every", "12h");
  const time = await readVariable(at("out.nc"), "time");
  expect([[...time.values], time.attributes.get("calendar")]).toEqual([[12], "noleap"]);
  expect([...(await readVariable(at("out.nc"), "time_bounds")).values]).toEqual([9, 15]);
});

test("means over a day, with bounds that say so", async () => {
  await run(at("steps.nc"));
  const whole = await readVariable(at("out.nc"), "t");
  await run(at("steps.nc"), "--every", "1d", "--average");
  const t = await readVariable(at("out.nc"), "t");
  expect(t.shape).toEqual([10, 4, 8]);
  expect(t.attributes.get("cell_methods")).toBe("time: mean");
  const time = await readVariable(at("out.nc"), "time");
  expect([...time.values.slice(0, 3)]).toEqual([0, 24, 48]);
  expect(time.attributes.get("bounds")).toBe("time_bnds");
  expect([...(await readVariable(at("out.nc"), "time_bnds")).values.slice(2, 6)]).toEqual([24, 48, 48, 72]);
  for (let i = 0; i < 32; i++) {
    const expected = [4, 5, 6, 7].reduce((sum, step) => sum + whole.values[32 * step + i]! / 4, 0);
    expect(Math.abs(t.values[32 + i]! - expected)).toBeLessThan(3.1e-5);
  }
});

test("a length of time that is none, and means without one, are refused", async () => {
  const bad = await climax("regrid", path, "--every", "often", "-o", at("x.nc"));
  expect(bad.err).toContain("found --every often; wanted a time such as 6h or 1d");
  const mean = await climax("regrid", path, "--average", "-o", at("x.nc"));
  expect(mean.err).toContain("means were asked for without their length");
});

test("stored weights: written for the next time, then read, with the same result", async () => {
  const argv = ["--weights", at("weights.nc"), "--extent", "target"];
  await run(path, "--method", "conservative", ...argv);
  const first = await readVariable(at("out.nc"), "t");
  await run(path, ...argv);
  const second = await readVariable(at("out.nc"), "t");
  expect(second.file.get("regrid_method")).toBe("conservative");
  // The stored weights are products of those of the axes: f64 sums in another order, rounded to float32.
  const apart = first.values.map((x, i) => Math.abs(x - second.values[i]!));
  expect(Math.max(...apart)).toBeLessThan(3.1e-5);
  const other = await climax(
    "regrid",
    path,
    "--res",
    "45",
    "--force",
    "--method",
    "nearest",
    "-o",
    at("out.nc"),
    ...argv,
  );
  expect(other.err).toContain(`${at("weights.nc")} holds conservative weights; found --method nearest`);
});

test("stored weights of a region are for the whole target, and cut for the file", async () => {
  const lat = [40, 42, 44, 46, 48, 50];
  const region = await makeWeatherFile(at("region.nc"), { lat, lon: [350, 352, 354, 356, 358, 0, 2, 4] });
  const grid = ["--res", "2.8125", "--force", "-o"];
  await climax("regrid", region.path, ...grid, at("plain.nc"));
  const weights = ["--weights", at("region-weights.nc")];
  await climax("regrid", region.path, ...grid, at("made.nc"), ...weights);
  await climax("regrid", region.path, ...grid, at("read.nc"), ...weights);
  const plain = await readVariable(at("plain.nc"), "t");
  expect(plain.shape.slice(-2)).toEqual([4, 5]);
  for (const name of ["made.nc", "read.nc"]) {
    const { shape, values } = await readVariable(at(name), "t");
    expect(shape).toEqual(plain.shape);
    expect(Math.max(...values.map((x, i) => Math.abs(x - plain.values[i]!)))).toBeLessThan(3.1e-5);
    expect([...(await readVariable(at(name), "longitude")).values][0]).toBeLessThan(0);
  }
});

test("the made file holds what it says", async () => {
  const { values } = await readVariable(at("steps.nc"), "t");
  expect(values[40 + 3]).toBe(fieldValue(1, 3));
});
