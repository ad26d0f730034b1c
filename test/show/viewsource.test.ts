import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createNetcdf } from "../../src/files/netcdf4writer.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { cellWeights, definition } from "../../src/scores/definitions.ts";
import type { SeriesMetric } from "../../src/scores/metric.ts";
import { metricInfo } from "../../src/scores/metrics.ts";
import { errorNumbers, fieldNumbers } from "../../src/show/viewnumbers.ts";
import { openViewSource } from "../../src/show/viewsource.ts";
import { trueKelvin, viewGrid, writeViewForecast, writeViewTruth } from "../support/viewfiles.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-viewsource-"));
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  await writeViewForecast(at("forecast.nc"));
  await writeViewForecast(at("means.nc"), { attributes: { climax_average_hours: 12 } });
  await writeViewTruth(at("truth.nc"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const choice = { variable: "2m_temperature", initial: 0, leadHours: 6, member: 0 } as const;

test("means over time have the mean of the truth's states inside; one that is not whole is lacking", async () => {
  const source = await openViewSource([at("means.nc")], { truth: [at("truth.nc")] });
  const { truth } = await source.frame(choice); // of the states at 6 and 12 h
  for (const cell of [0, 511]) {
    const latitude = viewGrid.lat[Math.floor(cell / 32)]!;
    const mean = (trueKelvin(latitude, 6, 0) + trueKelvin(latitude, 12, 0)) / 2;
    expect(truth![cell]).toBeCloseTo(mean, 4);
  }
  expect(await source.frame({ ...choice, initial: 1, leadHours: 18 })).toMatchObject({
    truth: undefined,
    lacking: "the truth lacks 2020-01-02T12:00:00, which the mean from 2020-01-02T06:00:00 on wants",
  });
  await source.close();
});

test("a truth on another grid: the forecast is brought to it, and that is said", async () => {
  const coarse = regularGrid(22.5);
  const axis = (name: string, data: ArrayLike<number>, units: string) =>
    ({ name, dimensions: [name], dtype: "float64", attributes: { units }, data }) as const;
  const file = await createNetcdf(at("coarse.nc"), {
    dimensions: { time: 1, latitude: 8, longitude: 16 },
    variables: [
      axis("time", [6], "hours since 2020-01-01"),
      axis("latitude", coarse.lat, "degrees_north"),
      axis("longitude", coarse.lon, "degrees_east"),
      {
        ...{ name: "2m_temperature", dimensions: ["time", "latitude", "longitude"], dtype: "float32" },
        attributes: { units: "K" },
        data: Float32Array.from({ length: 128 }, (_, i) => trueKelvin(coarse.lat[i >> 4]!, 6, 0)),
      },
    ],
  });
  await file.close();
  const source = await openViewSource([at("forecast.nc")], { truth: [at("coarse.nc")] });
  expect(source.notes.join()).toMatch(/regridded from 16 x 32, 11\.25 degrees to 8 x 16, 22\.5 degrees/);
  expect([...source.system.grid.lat]).toEqual([...coarse.lat]);
  const { forecast, truth, difference } = await source.frame(choice);
  expect([forecast.length, truth!.length, difference!.length]).toEqual([128, 128, 128]);
  await source.close();
});

test("a forecast that is not in the files is told, and the same frame is read once", async () => {
  const source = await openViewSource([at("forecast.nc")]);
  await expect(source.frame({ ...choice, leadHours: 7 })).rejects.toThrow(
    "there is no 2m_temperature from 2020-01-01T00:00:00 for 7 h in toy",
  );
  expect(await source.frame(choice)).toBe(await source.frame({ ...choice }));
  await source.close();
});

describe("the numbers", () => {
  const field = Float32Array.of(1, 2, Number.NaN, 5);
  const weights = Float64Array.of(0.5, 1.5, 1, 1);

  test("by hand", () => {
    expect(fieldNumbers(field, weights)).toEqual({ mean: 8.5 / 3, least: 1, most: 5, missing: 1 });
    expect(errorNumbers(field, weights)).toEqual({
      rmse: Math.sqrt((0.5 * 1 + 1.5 * 4 + 25) / 3),
      bias: 8.5 / 3,
      cells: 3,
    });
    expect(fieldNumbers(Float32Array.of(Number.NaN), Float64Array.of(1))).toEqual({
      ...{ mean: Number.NaN, least: Number.NaN, most: Number.NaN, missing: 1 },
    });
  });

  test.for(["climax", "weatherbench2"])("are those of climax evaluate under %s", async (name) => {
    const source = await openViewSource([at("forecast.nc")], { truth: [at("truth.nc")], definition: name });
    const { forecast, truth, difference } = await source.frame(choice);
    const weights = cellWeights(viewGrid, definition(name));
    const found = errorNumbers(difference!, weights);
    const cells = { grid: viewGrid, weights, inside: Int32Array.from(weights.keys()) };
    for (const metric of ["rmse", "bias"] as const) {
      const made = metricInfo(metric).make({
        ...{ definition: source.definition, grid: viewGrid, members: 1, variable: choice.variable },
      }) as SeriesMetric;
      const score = made.score(made.measure({ forecast, truth: truth! }, cells)!);
      expect(Math.abs(found[metric] / score - 1)).toBeLessThan(1e-6); // differences are float32
    }
    await source.close();
  });
});
