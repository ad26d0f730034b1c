import { expect, test } from "vitest";
import { Random } from "../../src/engine/random.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { type ForwardOptions, forward, type ModelInput, variableIds } from "../../src/model/climax.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { initialise, parameterShapes } from "../../src/model/parameters.ts";
import { gpu, uniform } from "../support/gradcheck.ts";

const config = ModelConfig.parse({
  variables: ["a", "b", "c"],
  gridShape: [4, 8],
  embedDim: 16,
  heads: 2,
  depth: 2,
  dropout: 0.25,
  dropPath: 0.5,
});
const shapes = parameterShapes(config);
const start = initialise(config, 5);
const parameters = new Map(
  [...start].map(([name, values]) => [name, tensor(gpu, shapes.get(name)!, values)]),
);
const random = uniform(2);
const fields = Array.from({ length: 3 }, () => Float32Array.from({ length: 2 * 32 }, random)); // of each variable, [B, H, W]

/** An input of two samples with these variables, in this order. */
function inputOf(variables: number[], outputs: number[]): ModelInput {
  const x = Float32Array.from(
    [0, 1].flatMap((b) => variables.flatMap((v) => [...fields[v]!.subarray(32 * b, 32 * (b + 1))])),
  );
  return { x: tensor(gpu, [2, variables.length, 4, 8], x), variables, leadHours: [6, 72], outputs };
}

const predict = (input: ModelInput, options: ForwardOptions = {}, changed: Partial<ModelConfig> = {}) =>
  read(forward(parameters, { ...config, ...changed }, input, options));

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
}

test("asking for some outputs gives those of asking for all, in the order asked", async () => {
  const all = await predict(inputOf([0, 1, 2], [0, 1, 2]));
  const some = await predict(inputOf([0, 1, 2], [2, 0]));
  const field = (b: number, v: number) => [...all.subarray((b * 3 + v) * 32, (b * 3 + v + 1) * 32)];
  const wanted = Float32Array.from([field(0, 2), field(0, 0), field(1, 2), field(1, 0)].flat());
  expect(largestDifference(some, wanted)).toBe(0); // the same sums in the same order
});

test("the order of the input's variables does not matter, their values do", async () => {
  const one = await predict(inputOf([0, 1, 2], [1]));
  const other = await predict(inputOf([2, 0, 1], [1]));
  const scale = one.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  expect(largestDifference(one, other) / scale).toBeLessThan(1e-5); // other sums over variables
  expect(largestDifference(one, await predict(inputOf([0, 1], [1]))) / scale).toBeGreaterThan(1e-3);
});

test("the lead time changes the forecast of its own sample alone", async () => {
  const input = inputOf([0, 1, 2], [1]);
  const one = await predict(input);
  const other = await predict({ ...input, leadHours: [6, 24] });
  expect(largestDifference(one.subarray(0, 32), other.subarray(0, 32))).toBe(0);
  expect(largestDifference(one.subarray(32), other.subarray(32))).toBeGreaterThan(0);
});

test("noise is the same for the same draw, another for another step, and absent in a forecast", async () => {
  const input = inputOf([0, 1], [0]);
  const quiet = await predict(input);
  const noisy = await predict(input, { random: new Random(1, 1) });
  expect(largestDifference(noisy, await predict(input, { random: new Random(1, 1) }))).toBe(0);
  expect(largestDifference(noisy, await predict(input, { random: new Random(1, 2) }))).toBeGreaterThan(0);
  expect(largestDifference(noisy, quiet)).toBeGreaterThan(0);
});

test("noise of rates next to nothing changes next to nothing", async () => {
  const input = inputOf([0, 1], [0]);
  const quiet = await predict(input);
  const rates = { dropout: 1e-8, dropPath: 1e-8 };
  const noisy = await predict(input, { random: new Random(1, 1) }, rates);
  const scale = quiet.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  expect(largestDifference(noisy, quiet) / scale).toBeLessThan(1e-5); // f32, in kernels that fuse less
});

test("names become places in the model's list; an unknown one is refused with the nearest", () => {
  expect(variableIds(config, ["c", "a"])).toEqual([2, 0]);
  const winds = { ...config, variables: ["geopotential_500", "2m_temperature"] };
  expect(() => variableIds(winds, ["geopotental_500"])).toThrow(
    'unknown variable of the model "geopotental_500"',
  );
});

test("fields of another grid are refused with both shapes", () => {
  const x = tensor(gpu, [1, 2, 4, 4], new Float32Array(32));
  const input = { x, variables: [0, 1], leadHours: [6], outputs: [0] };
  expect(() => forward(parameters, config, input)).toThrow("forward: x is [1,2,4,4], expected [1,2,4,8]");
});
