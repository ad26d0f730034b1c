/** Every metric of microsoft/ClimaX on one random case (float32, PyTorch), `test/fixtures/metrics.npz`. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Field, Metric } from "../../src/eval/accumulator.ts";
import { cellWeights, definition } from "../../src/eval/definitions.ts";
import { acc, rmse } from "../../src/eval/metrics.ts";
import { meanBias, pearson, projectionScores, weightedMse } from "../../src/eval/reference.ts";
import { readNpz } from "../../src/files/npy.ts";

const variables = ["geopotential_500", "2m_temperature"];
const climax = definition("climax");
let arrays: Awaited<ReturnType<typeof readNpz>>;
let weights: Float64Array;

beforeAll(async () => {
  arrays = await readNpz("test/fixtures/metrics.npz");
  const lon = Float64Array.from({ length: 32 }, (_, i) => (i * 360) / 32);
  weights = cellWeights({ lat: Float64Array.from(numbers("lat")), lon }, climax);
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
    mask: numbers("mask").subarray(b * 512, (b + 1) * 512),
  }));

function score(metric: Metric, v: number) {
  const accumulator = metric(weights, climax);
  for (const sample of samples(v)) accumulator.add(sample);
  return accumulator.value();
}

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
  test("latitude-weighted MSE, plain and masked", () => {
    const plain = weightedMse(weights);
    const masked = weightedMse(weights);
    for (const { forecast, truth, mask } of samples(v)) {
      plain.add(forecast, truth);
      masked.add(forecast, truth, mask);
    }
    expectClose(plain.value(), expected(`lat_weighted_mse/${name}`));
    expectClose(masked.value(), expected(`lat_weighted_mse_masked/${name}`));
  });

  test("RMSE", () => {
    expectClose(score(rmse, v), expected(`lat_weighted_rmse/${name}`));
  });

  test("ACC, the batch being all there is", () => {
    expectClose(score(acc, v), expected(`lat_weighted_acc/${name}`));
  });

  test("NRMSEs, NRMSEg and their total", () => {
    const normaliser = expected("climatebench_normalization");
    const scores = projectionScores(weights, normaliser);
    for (const { forecast, truth } of samples(v)) scores.add(forecast, truth);
    const { spatial, global, total } = scores.value();
    const rounding = cancellation(v) / normaliser;
    expectClose(spatial, expected(`climatebench/w_nrmses_${name}`));
    expectClose(global, expected(`climatebench/w_nrmseg_${name}`), rounding);
    expectClose(total, expected(`climatebench/w_nrmse_${name}`), 5 * rounding);
  });

  test("Pearson correlation", () => {
    const accumulator = pearson();
    for (const sample of samples(v)) accumulator.add(sample);
    expectClose(accumulator.value(), expected(`pearson/pearsonr_${name}_day_1`));
  });

  test("mean bias", () => {
    const accumulator = meanBias();
    for (const sample of samples(v)) accumulator.add(sample);
    expectClose(accumulator.value(), expected(`mean_bias/mean_bias_${name}_day_1`), cancellation(v));
  });
});

test("the means over variables", () => {
  const mean = (metric: Metric) => (score(metric, 0) + score(metric, 1)) / 2;
  expectClose(mean(rmse), expected("lat_weighted_rmse/w_rmse"));
  expectClose(mean(acc), expected("lat_weighted_acc/acc"));
});
