import { expect, test } from "vitest";
import { z } from "zod";
import { gradients } from "../../src/engine/autograd.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { networkOf } from "../../src/model/network.ts";
import {
  applyPatternScaling,
  fitPatternScaling,
  PatternScalingConfig,
  patternScalingParameters,
} from "../../src/model/patternscaling.ts";
import { expectClose, gpu, uniform } from "../support/gradcheck.ts";

test("a case worked by hand", () => {
  // Two points of weights 1 and 3, three years. Means: 1, 2, 6; on 0, 1, 2 the line 2.5 f + 0.5.
  const fit = fitPatternScaling({
    forcing: [0, 1, 2],
    fields: [
      [1, 1, 5, 1, 9, 5],
      [7, 0, 7, 2, 7, 10],
    ],
    temperature: 0,
    weights: [1, 3],
  });
  expect(fit.globalSlope).toBeCloseTo(2.5, 14);
  expect(fit.globalIntercept).toBeCloseTo(0.5, 14);
  // Means 1, 2, 6 about 3: -2, -1, 3; their squares add up to 14. Local sums: 1, 5, 9 -> 20; 1, 1, 5 -> 12;
  // 7, 7, 7 -> 0; 0, 2, 10 -> 28.
  const slopes = [20 / 14, 12 / 14, 0, 2];
  const means = [5, 7 / 3, 7, 4];
  for (const [i, slope] of slopes.entries()) {
    expect(fit.slope[i]).toBeCloseTo(slope, 14);
    expect(fit.intercept[i]).toBeCloseTo(means[i]! - 3 * slope, 14);
  }
  const at = 2.5 * 4 + 0.5; // of forcing 4
  expect(applyPatternScaling(fit, [4])[3]).toBeCloseTo(2 * at + 4 - 6, 12);
});

const config = PatternScalingConfig.parse({
  ...{ type: "pattern-scaling", variables: ["CO2", "SO2", "tas", "pr"], inputs: ["SO2", "CO2"] },
  ...{ outputs: ["tas", "pr"], gridShape: [2, 4], history: 3 },
});
const network = networkOf(config);
const random = uniform(5);
const weights = [1, 1, 1, 1, 2, 2, 2, 2];

test("what is linear in the forcing is found again, and the network computes the same", async () => {
  const patterns = Array.from({ length: 16 }, () => 1 + random() / 4); // warming everywhere
  const forcing = Array.from({ length: 20 }, (_, n) => 1000 + n ** 2); // gigatonnes
  const field = (o: number) =>
    forcing.flatMap((f) => Array.from({ length: 8 }, (_, i) => 3 - o + patterns[o * 8 + i]! * 0.01 * f));
  const fit = fitPatternScaling({ forcing, fields: [field(0), field(1)], temperature: 0, weights });
  const wanted = [field(0).slice(-8), field(1).slice(-8)].flat();
  const applied = applyPatternScaling(fit, [forcing.at(-1)!]);
  for (const [i, value] of wanted.entries()) expect(applied[i]).toBeCloseTo(value, 10);

  const values = patternScalingParameters(fit, weights);
  expect([...values.keys()]).toEqual([...network.shapes.keys()]);
  const parameters = new Map(
    [...values].map(([name, data]) => [name, tensor(gpu, network.shapes.get(name)!, data)]),
  );
  // Two samples of three years of CO2 and SO2; of CO2 only the last counts, by its weighted mean.
  const x = Float32Array.from({ length: 2 * 3 * 2 * 8 }, random).map((value) => value / 2);
  const co2 = (b: number) => x.subarray((b * 6 + 4) * 8, (b * 6 + 5) * 8);
  const means = [0, 1].map((b) => weights.reduce((sum, weight, i) => sum + (weight / 12) * co2(b)[i]!, 0));
  const input = { x: tensor(gpu, [2, 3, 2, 2, 4], x), variables: [0, 1], leadHours: [0, 0], outputs: [2, 3] };
  const all = await read(network.forward(parameters, input));
  expectClose("projection", all, new Map(applyPatternScaling(fit, means).entries()), 1e-5);
  const pr = await read(network.forward(parameters, { ...input, outputs: [3] }));
  expect([...pr]).toEqual([...all.subarray(8, 16), ...all.subarray(24)]);

  expect(() => network.forward(parameters, { ...input, variables: [1, 1] })).toThrow(
    "pattern scaling reads CO2, which is not among SO2,SO2",
  );
  expect(() => gradients(() => network.forward(parameters, input), [], input.x)).toThrow(
    "pattern scaling is fitted in closed form, not trained by steps",
  );
});

test("one step of history may come without its axis", async () => {
  const once = networkOf({ ...config, history: 1 });
  const values = once.initialise(1);
  expect([...values.values()].every((data) => data.every((value) => value === 0))).toBe(true);
  values.set("weights", new Float32Array(8).fill(1 / 8));
  values.set("global.slope", Float32Array.of(2));
  values.set("local.slope", new Float32Array(16).fill(1));
  const parameters = new Map(
    [...values].map(([name, data]) => [name, tensor(gpu, once.shapes.get(name)!, data)]),
  );
  const given = { variables: [0], leadHours: [0], outputs: [2] };
  for (const shape of [
    [1, 1, 2, 4],
    [1, 1, 1, 2, 4],
  ]) {
    const x = tensor(gpu, shape, new Float32Array(8).fill(3));
    expect([...(await read(once.forward(parameters, { x, ...given })))]).toEqual(Array(8).fill(6));
  }
});

test.for<[string, number[], string]>([
  ["a single year", [1], "pattern scaling cannot be fitted: there are 1 years"],
  [
    "a constant forcing",
    [1, 1, 1],
    "pattern scaling cannot be fitted: the forcing is the same in all 3 years",
  ],
  ["a constant temperature", [1, 2, 3], "the global mean temperature is the same in all 3 years"],
])("%s is refused", ([, forcing, message]) => {
  const fields = [Array(forcing.length).fill(280)];
  expect(() => fitPatternScaling({ forcing, fields, temperature: 0, weights: [1] })).toThrow(message);
});

test("a predictor that does not enter is refused", () => {
  const { error } = PatternScalingConfig.safeParse({ ...config, predictor: "tas" });
  expect(error && z.prettifyError(error)).toContain('"tas" is not among the inputs');
});
