import { expect, test } from "vitest";
import { z } from "zod";
import { gradients } from "../../src/engine/autograd.ts";
import { Random } from "../../src/engine/random.ts";
import { read, type Tensor, tensor } from "../../src/engine/tensor.ts";
import type { ForwardOptions, ModelInput } from "../../src/model/climax.ts";
import { networkOf } from "../../src/model/network.ts";
import { ProjectionConfig } from "../../src/model/projection.ts";
import { gpu, uniform } from "../support/gradcheck.ts";

const config = ProjectionConfig.parse({
  type: "projection",
  variables: ["CO2", "SO2", "tas", "pr"],
  inputs: ["CO2", "SO2"],
  outputs: ["tas", "pr"],
  gridShape: [4, 8],
  history: 3,
  embedDim: 16,
  heads: 2,
  depth: 2,
  dropout: 0.25,
  dropPath: 0.5,
});
const network = networkOf(config);
const start = network.initialise(5);
const parameters = new Map(
  [...start].map(([name, values]) => [name, tensor(gpu, network.shapes.get(name)!, values)]),
);
const random = uniform(3);
const years = Float32Array.from({ length: 2 * 3 * 2 * 32 }, random); // [B, T, V, H, W]

const inputOf = (outputs: number[], samples = [0, 1]): ModelInput => ({
  x: tensor(
    gpu,
    [samples.length, 3, 2, 4, 8],
    samples.flatMap((b) => [...years.subarray(b * 192, (b + 1) * 192)]),
  ),
  variables: [0, 1],
  leadHours: samples.map((b) => 24 * b),
  outputs,
});
const predict = (input: ModelInput, options: ForwardOptions = {}) =>
  read(network.forward(parameters, input, options));

test("the defaults are the reference's for ClimateBench", () => {
  const names = { variables: ["CO2", "tas"], inputs: ["CO2"], outputs: ["tas"] };
  expect(ProjectionConfig.parse({ type: "projection", ...names })).toMatchObject({
    ...{ gridShape: [32, 64], history: 10, patchSize: 2, embedDim: 1024, depth: 8, heads: 16, mlpRatio: 4 },
    ...{ dropPath: 0.1, dropout: 0.1, parallelPatchEmbed: false },
  });
});

test("asking for some outputs gives those of asking for all, in the order asked", async () => {
  const all = await predict(inputOf([2, 3]));
  expect(all.length).toBe(2 * 2 * 32);
  const pr = await predict(inputOf([3]));
  expect([...pr]).toEqual([...all.subarray(32, 64), ...all.subarray(96)]);
  const swapped = await predict(inputOf([3, 2]));
  expect([...swapped.subarray(0, 64)]).toEqual([...all.subarray(32, 64), ...all.subarray(0, 32)]);
});

test("the order of years matters", async () => {
  const { x, ...rest } = inputOf([2], [0]);
  const turned = Float32Array.from([2, 1, 0].flatMap((t) => [...years.subarray(t * 64, (t + 1) * 64)]));
  const one = await predict({ x, ...rest });
  const other = await predict({ x: tensor(gpu, x.shape, turned), ...rest });
  const scale = Math.max(...one.map(Math.abs));
  expect(Math.max(...one.map((value, i) => Math.abs(value - other[i]!))) / scale).toBeGreaterThan(1e-4); // not rounding
});

test("parts of a batch draw the noise that the whole draws", async () => {
  const whole = await predict(inputOf([2]), { random: new Random(1, 1) });
  const second = await predict(inputOf([2], [1]), { random: new Random(1, 1, 1) });
  const scale = Math.max(...whole.map(Math.abs));
  // Sums of other shapes may take another order.
  expect(Math.max(...second.map((value, i) => Math.abs(value - whole[32 + i]!))) / scale).toBeLessThan(1e-5);
  const quiet = await predict(inputOf([2], [1]));
  expect(Math.max(...second.map((value, i) => Math.abs(value - quiet[i]!))) / scale).toBeGreaterThan(1e-2);
});

test("recomputed blocks give the same gradients", async () => {
  const names = ["time_pos_embed", "blocks.0.mlp.fc1.weight", "head.weight"];
  const wrt = names.map((name) => parameters.get(name)!);
  const input = inputOf([2, 3]);
  const seed = tensor(gpu, [2, 2, 4, 8], Float32Array.from({ length: 128 }, random));
  const by = async (recompute: boolean) => {
    const once = (): Tensor => network.forward(parameters, input, { random: new Random(1, 1), recompute });
    return Promise.all(gradients(once, wrt, seed).grads.map(read));
  };
  const [kept, again] = [await by(false), await by(true)];
  expect(again).toEqual(kept);
  for (const gradient of kept) expect(gradient.some((value) => value !== 0)).toBe(true);
});

test("values start as in the reference", () => {
  expect(start.get("time_query")!.every((value) => value === 0)).toBe(true);
  // Sine, then cosine, of 0, 1 and 2.
  const time = start.get("time_pos_embed")!;
  expect([time[0], time[8], time[16], time[40]]).toEqual([
    0,
    1,
    Math.fround(Math.sin(1)),
    Math.fround(Math.cos(2)),
  ]);
  for (const name of ["head.weight", "time_agg.out_proj.weight"]) {
    const largest = Math.max(...start.get(name)!.map(Math.abs));
    expect(largest).toBeLessThanOrEqual(1 / Math.sqrt(16));
    expect(largest).toBeGreaterThan(0.9 / Math.sqrt(16)); // of hundreds of uniform draws
  }
});

test("tokens of absent inputs are not used", () => {
  const unused = [...network.shapes.keys()].filter((name) => !network.usedParameters([1, 2]).has(name));
  expect(unused).toEqual(["token_embeds.0.proj.weight", "token_embeds.0.proj.bias"]);
  const parallel = networkOf({ ...config, parallelPatchEmbed: true });
  expect(parallel.usedParameters([1]).size).toBe(parallel.shapes.size);
});

test("what does not fit is refused with what was found and wanted", () => {
  const input = inputOf([2]);
  const forward = (changed: Partial<ModelInput>) => () =>
    network.forward(parameters, { ...input, ...changed });
  expect(forward({ x: tensor(gpu, [1, 2, 2, 4, 8], new Float32Array(128)), leadHours: [0] })).toThrow(
    "x is [1,2,2,4,8], expected [1,3,2,4,8]",
  );
  expect(forward({ outputs: [0] })).toThrow("this network predicts tas, pr, not CO2");
  expect(forward({ variables: [0, 2] })).toThrow("this network reads CO2, SO2, not tas");
});

test.for<[string, object, string]>([
  ["an output that is no variable", { outputs: ["tos"] }, '"tos" is not among the variables'],
  ["an input listed twice", { inputs: ["CO2", "CO2"] }, '"CO2" is listed twice'],
  ["heads that do not divide D", { heads: 3 }, "3 heads cannot share embedDim 16 evenly"],
])("%s is refused", ([, change, message]) => {
  const { error } = ProjectionConfig.safeParse({ ...config, ...change });
  expect(error && z.prettifyError(error)).toContain(message);
});
