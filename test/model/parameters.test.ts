import { expect, test } from "vitest";
import { ModelConfig } from "../../src/model/config.ts";
import { decays, initialise, parameterShapes, usedParameters } from "../../src/model/parameters.ts";

const variables = ["a", "b", "c"];
const small = ModelConfig.parse({ variables, gridShape: [8, 16], embedDim: 128, heads: 4, depth: 2 });

const count = (config: ModelConfig) =>
  [...parameterShapes(config).values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);

test.for<[number, number, number]>([
  // Width, patch side (on 32 x 64, or on 128 x 256 for 4), millions of parameters (the paper's four sizes and 1.40625 degrees).
  [128, 2, 1.81],
  [256, 2, 6.97],
  [512, 2, 27.31],
  [1024, 2, 108.09],
  [1024, 4, 110.84],
])("a model of width %i with patches of %i has %f million parameters", ([embedDim, patchSize, millions]) => {
  const config = ModelConfig.parse({
    variables: Array.from({ length: 48 }, (_, v) => `variable ${v}`),
    gridShape: patchSize === 4 ? [128, 256] : [32, 64],
    embedDim,
    patchSize,
  });
  expect(count(config) / 1e6).toBeCloseTo(millions, 2);
});

test("the parallel form has the same numbers under two names", () => {
  const parallel = { ...small, parallelPatchEmbed: true };
  expect(count(parallel)).toBe(count(small));
  expect(parameterShapes(parallel).get("token_embeds.proj_weights")).toEqual([3, 128, 1, 2, 2]);
  expect(parameterShapes(parallel).has("token_embeds.0.proj.weight")).toBe(false);
});

function spread(values: Float32Array): { mean: number; deviation: number; largest: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const square = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  const largest = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return { mean, deviation: Math.sqrt(square), largest };
}

test("values start from the distributions of the reference", () => {
  const start = initialise(small, 1);
  // 128 x 512 draws: the mean strays by 0.02 / 256, the deviation by 0.3 %; both bounds are five of those.
  const fc1 = spread(start.get("blocks.0.mlp.fc1.weight")!);
  expect(Math.abs(fc1.mean)).toBeLessThan((5 * 0.02) / 256);
  expect(Math.abs(fc1.deviation / 0.02 - 1)).toBeLessThan(0.015);
  expect(fc1.largest).toBeGreaterThan(0.02 * 3.5); // a normal's tail, which a uniform of that deviation lacks

  const xavier = Math.sqrt(6 / (4 * 128));
  const inProj = spread(start.get("var_agg.in_proj_weight")!);
  expect(inProj.largest).toBeLessThanOrEqual(xavier);
  expect(inProj.deviation / (xavier / Math.sqrt(3))).toBeCloseTo(1, 1);

  const bias = spread(start.get("token_embeds.1.proj.bias")!);
  expect(bias.largest).toBeLessThanOrEqual(1 / 2);
  expect(bias.largest).toBeGreaterThan(0.45); // of 128 draws, none above 0.9 of the bound: 1 in 700 000

  const weight = spread(start.get("token_embeds.1.proj.weight")!);
  expect(weight.deviation).toBeGreaterThan(0.015);
  for (const name of ["var_query", "head.0.bias", "var_agg.in_proj_bias", "blocks.1.norm2.bias"]) {
    expect(start.get(name)!.every((value) => value === 0)).toBe(true);
  }
  for (const name of ["norm.weight", "blocks.1.norm2.weight"]) {
    expect(start.get(name)!.every((value) => value === 1)).toBe(true);
  }
});

test("a seed gives the same values again, and each parameter its own", () => {
  const tiny = { ...small, embedDim: 16 };
  const [once, again, other] = [initialise(tiny, 7), initialise(tiny, 7), initialise(tiny, 8)];
  expect(again).toEqual(once);
  const name = "blocks.0.attn.proj.weight";
  expect(other.get(name)).not.toEqual(once.get(name));
  expect(once.get("blocks.1.attn.proj.weight")).not.toEqual(once.get(name));
  expect(initialise({ ...tiny, depth: 1 }, 7).get(name)).toEqual(once.get(name));
});

test("a few parameters can be asked for by name", () => {
  expect([...initialise(small, 1, new Set(["norm.bias"])).keys()]).toEqual(["norm.bias"]);
});

test("only embeddings go undecayed", () => {
  expect([...parameterShapes(small).keys()].filter((name) => !decays(name))).toEqual([
    "var_embed",
    "pos_embed",
  ]);
});

test("tokens of absent variables are not used, but in the parallel form, where they share a tensor", () => {
  const all = [...parameterShapes(small).keys()];
  const used = usedParameters(small, [0, 2]);
  expect(all.filter((name) => !used.has(name))).toEqual([
    "token_embeds.1.proj.weight",
    "token_embeds.1.proj.bias",
  ]);
  const parallel = { ...small, parallelPatchEmbed: true };
  expect(usedParameters(parallel, [0]).size).toBe(parameterShapes(parallel).size);
});
