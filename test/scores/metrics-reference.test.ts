/** The metrics of microsoft/ClimaX, but for those of projections, on one random case (float32, PyTorch), `test/fixtures/metrics.npz`. */
import { beforeAll, describe, expect, test } from "vitest";
import { readNpz } from "../../src/files/npy.ts";
import type { Grid } from "../../src/grid/grid.ts";
import type { Field } from "../../src/scores/metric.ts";
import { metricInfo } from "../../src/scores/metrics.ts";
import { score as scoreOf } from "./scored.ts";

const variables = ["geopotential_500", "2m_temperature"];
let arrays: Awaited<ReturnType<typeof readNpz>>;
let grid: Grid;

beforeAll(async () => {
  arrays = await readNpz("test/fixtures/metrics.npz");
  const lon = Float64Array.from({ length: 32 }, (_, i) => (i * 360) / 32);
  grid = { lat: Float64Array.from(numbers("lat")), lon };
});

const numbers = (name: string) => arrays.get(name)!.data as Field;
const expected = (name: string) => numbers(name)[0]!;

/** Field v of forecast b of an array [B, V, H, W]. */
const field = (name: string, b: number, v: number) =>
  numbers(name).subarray((b * 2 + v) * 512, (b * 2 + v + 1) * 512);
const samples = (v: number) =>
  Array.from({ length: 6 }, (_, b) => ({
    forecast: field("pred", b, v),
    truth: field("y", b, v),
    climatology: numbers("clim").subarray(v * 512, (v + 1) * 512),
  }));

const score = (metric: string, v: number) => scoreOf(metricInfo(metric), samples(v), { grid });

/** Relative to the reference's value: what its float32 sums leave over. */
const tolerance = 1e-5;
function expectClose(value: number, reference: number, allowed = tolerance * Math.abs(reference)) {
  expect(Math.abs(value - reference), `${value} beside the reference's ${reference}`).toBeLessThanOrEqual(
    allowed,
  );
}

/**
 * Where the reference subtracts two float32 means, what is left carries the rounding of those means: half a unit
 * in the 24th bit of the mean, once for each of the two and once for their difference's own sum.
 */
function cancellation(v: number) {
  const mean = samples(v).reduce(
    (sum, { truth }) => sum + Float64Array.from(truth).reduce((s, x) => s + x, 0) / 512 / 6,
    0,
  );
  return 3 * 2 ** -24 * Math.abs(mean);
}

describe.for(variables.map((name, v) => [name, v] as const))("%s", ([name, v]) => {
  test("latitude-weighted MSE, RMSE, and ACC, the batch being all there is", () => {
    expectClose(score("mse", v), expected(`lat_weighted_mse/${name}`));
    expectClose(score("rmse", v), expected(`lat_weighted_rmse/${name}`));
    expectClose(score("acc", v), expected(`lat_weighted_acc/${name}`));
  });

  test("Pearson correlation and mean bias", () => {
    expectClose(score("pearson", v), expected(`pearson/pearsonr_${name}_day_1`));
    expectClose(score("mean_bias", v), expected(`mean_bias/mean_bias_${name}_day_1`), cancellation(v));
  });
});

test("the means over variables", () => {
  const mean = (metric: string) => (score(metric, 0) + score(metric, 1)) / 2;
  expectClose(mean("rmse"), expected("lat_weighted_rmse/w_rmse"));
  expectClose(mean("acc"), expected("lat_weighted_acc/acc"));
});
