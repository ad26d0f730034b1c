import { expect, test } from "vitest";
import { makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { coveredTarget } from "../../src/grid/region.ts";
import { makeRegridder } from "../../src/grid/regrid.ts";
import { triangles } from "../support/triangles.ts";

const steps = (n: number, step: number, from = 0) => Array.from({ length: n }, (_, i) => from + i * step);

test("a globe covers the whole target", () => {
  const target = regularGrid(5.625);
  const source = makeGrid(steps(19, 10, -90), steps(36, 10));
  expect(coveredTarget(makeRegridder(source, target, "bilinear"))).toBe(target);
});

test("a region across Greenwich covers the rows and columns within it", () => {
  const source = makeGrid(steps(11, 1, 40), [0, 1, 2, 3, 4, 5, 354, 355, 356, 357, 358, 359]);
  const part = (method: "bilinear" | "conservative") =>
    coveredTarget(makeRegridder(source, regularGrid(5.625), method));
  // Target centres are 36.5625, 42.1875, 47.8125, 53.4375 N; 0, 5.625, 348.75, 354.375 E.
  expect([...part("bilinear").lat]).toEqual([42.1875, 47.8125]);
  expect([...part("bilinear").lon]).toEqual([0, 354.375]);
  // The region's cells reach 39.5 .. 50.5 N and 353.5 .. 5.5 E, so they touch those of 5.625 E too, but not of 53.4375 N.
  expect([...part("conservative").lat]).toEqual([42.1875, 47.8125]);
  expect([...part("conservative").lon]).toEqual([0, 5.625, 354.375]);
});

test("grids that do not meet are refused", () => {
  const source = makeGrid([10, 10.1], [10, 10.1]);
  expect(() => coveredTarget(makeRegridder(source, regularGrid(5.625), "bilinear"))).toThrow(
    "no point of the target grid (32 x 64, 5.625 degrees) lies within the source (2 x 2, 0.1 degrees, 10..10.1N 10..10.1E)",
  );
});

test("an ocean's grid that leaves out Antarctica is no region; a part of it is", () => {
  const { points } = triangles(4, [0.1, 0.2, 0.3]);
  const ocean = (keep: (lat: number, lon: number) => boolean) => ({
    ...points,
    lat: points.lat.map((lat, i) => (keep(lat, points.lon[i]!) ? lat : Number.NaN)),
  });
  const target = regularGrid(5.625);
  const covered = (keep: (lat: number, lon: number) => boolean) => {
    const regridder = makeRegridder(ocean(keep), target, "conservative");
    expect(regridder.apply(new Float32Array(points.lat.length)).some(Number.isNaN)).toBe(true);
    return coveredTarget(regridder);
  };
  expect(covered((lat) => lat > -75)).toBe(target);
  const atlantic = covered((lat, lon) => lat > -75 && lat < 70 && lon > 280);
  expect(atlantic.lon.length).toBeLessThan(20);
  expect(atlantic.lat.length).toBeLessThan(32);
});
