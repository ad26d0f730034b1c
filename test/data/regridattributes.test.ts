import { describe, expect, test } from "vitest";
import { cellMethods, globalAttributes } from "../../src/data/regridattributes.ts";

describe("cell methods", () => {
  test.each([
    // As found in CMIP6 files; CF 1.11 section 7.3.
    ["area: time: mean", "time: mean", "area: time: mean"],
    ["area: mean where land time: mean", "time: mean", "area: mean where land time: mean"],
    ["area: mean time: minimum", "time: minimum", "area: mean time: minimum"],
    [
      "time: mean within days time: mean over days area: mean",
      "time: mean within days time: mean over days",
      "time: mean within days time: mean over days area: mean",
    ],
    [
      "time: mean (interval: 6 hour comment: of steps)",
      "time: mean (interval: 6 hour comment: of steps)",
      "time: mean (interval: 6 hour comment: of steps) area: mean",
    ],
    ["area: mean where sea", "", "area: mean where sea"],
    [undefined, "", "area: mean"],
  ])("%j: interpolated %j, conservative %j", (given, interpolated, conservative) => {
    expect(cellMethods(given, "bilinear")).toBe(interpolated);
    expect(cellMethods(given, "nearest")).toBe(interpolated);
    expect(cellMethods(given, "conservative")).toBe(conservative);
  });

  test("a long and odd text takes no longer than its length", () => {
    const started = performance.now();
    cellMethods(`area: ${"a: ( b ".repeat(20_000)}`, "bilinear");
    expect(performance.now() - started).toBeLessThan(2000); // milliseconds where backtracking would take years
  });
});

test("global attributes keep their order and say where they come from", () => {
  const given = new Map<string, string | number>([
    ["_NCProperties", "version=2"],
    ["institution", "AWI"],
    ["Conventions", "CF-1.7 CMIP-6.2"],
    ["nominal_resolution", "250 km"],
    ["grid", "gn"],
    ["geospatial_lat_min", -90],
  ]);
  const out = globalAttributes(given, {
    commandLine: "climax regrid a.nc -o b.nc",
    program: "climax 0.1.0",
    method: "bilinear",
    sourceGrid: "96 x 192, Gaussian",
    targetGrid: "32 x 64, 5.625 degrees",
    sourceFile: "a.nc",
    date: new Date(Date.UTC(2026, 0, 2, 3, 4, 5)),
  });
  expect([...out]).toEqual([
    ["Conventions", "CF-1.7 CMIP-6.2"],
    ["institution", "AWI"],
    ["grid", "32 x 64, 5.625 degrees; bilinear regridding from 96 x 192, Gaussian"],
    ["history", "2026-01-02T03:04:05Z: climax regrid a.nc -o b.nc (climax 0.1.0)"],
    ["regrid_method", "bilinear"],
    ["regrid_source_grid", "96 x 192, Gaussian"],
    ["regrid_source_file", "a.nc"],
  ]);
});
