import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { era5Statistics } from "../../src/data/era5statistics.ts";
import { readClimaxStatistics } from "../../src/data/shardstatistics.ts";
import { default48, knownName } from "../../src/data/variables.ts";

const folder = "../shared/data/era5-normalization-npz";

test("every name is one of the variables table, spelled as there", () => {
  for (const name of era5Statistics.keys()) expect(knownName(name)?.name).toBe(name);
});

test("of the paper's 48 variables it has all but latitude and relative humidity", () => {
  const lacking = default48.filter((name) => !era5Statistics.has(name));
  expect(lacking.filter((name) => !name.startsWith("relative_humidity_"))).toEqual(["lattitude"]);
  expect(lacking).toHaveLength(8);
});

test("means lie within what the variables can be, and no deviation is too large for it", () => {
  for (const [name, { mean, std }] of era5Statistics) {
    const [low, high] = knownName(name)!.info.bounds;
    expect(mean, name).toBeGreaterThanOrEqual(low);
    expect(mean, name).toBeLessThanOrEqual(high);
    expect(std, name).toBeGreaterThan(0);
    expect(std, name).toBeLessThanOrEqual((high - low) / 2);
  }
});

describe.skipIf(!existsSync(folder))(
  "beside the published files (skipped: ../shared/data is not there)",
  () => {
    test("every number is theirs to float32", async () => {
      const { mean, std } = await readClimaxStatistics(folder);
      const renamed = (name: string) => (name === "orography" ? "geopotential_at_surface" : name);
      const scale = (name: string) => (name === "orography" ? 9.80665 : 1);
      for (const [name, ours] of era5Statistics) {
        expect(Math.fround(ours.mean * scale(name)), name).toBe(Math.fround(mean.get(renamed(name))!));
        expect(Math.fround(ours.std * scale(name)), name).toBe(Math.fround(std.get(renamed(name))!));
      }
      const left = [...mean.keys()].filter((name) => ![...era5Statistics.keys()].map(renamed).includes(name));
      expect(left).toEqual(["lake_depth"]);
    });
  },
);
