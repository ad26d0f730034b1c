import { expect, test } from "vitest";
import { adaptParameters, type Trained } from "../../src/model/adapt.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { LinearConfig } from "../../src/model/linear.ts";
import { type NetworkConfig, networkOf } from "../../src/model/network.ts";
import { resizePositions } from "../../src/model/positions.ts";
import { ProjectionConfig } from "../../src/model/projection.ts";
import { VitConfig } from "../../src/model/vit.ts";

const [D, p] = [8, 2];
const sizes = { gridShape: [4, 8] as [number, number], embedDim: D, heads: 2, depth: 1, decoderDepth: 1 };
const climax = ModelConfig.parse({ ...sizes, variables: ["a", "b", "c"] });
const projection = ProjectionConfig.parse({
  ...{ gridShape: [4, 8], embedDim: D, heads: 2, depth: 1, history: 3 },
  ...{ type: "projection", variables: ["x", "b", "y", "z"], inputs: ["x", "b"], outputs: ["y", "z"] },
});
const vit = VitConfig.parse({
  type: "vit",
  ...sizes,
  variables: ["a", "b"],
  inputs: ["a", "b"],
  outputs: ["b", "a"],
});

/** A trained network, each value of which is told from every other. */
function trained(config: NetworkConfig) {
  let next = 1;
  const values = new Map(
    [...networkOf(config).shapes].map(([name, shape]) => [
      name,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => next++),
    ]),
  );
  return { config, values, parameter: (name: string) => values.get(name)! };
}

/** All values of the new network, its own start values, and the report. */
async function adapted(from: Trained, to: NetworkConfig) {
  const { parameter, report } = adaptParameters(from, to, 7);
  const network = networkOf(to);
  const got = new Map<string, Float32Array>();
  for (const [name, shape] of network.shapes) {
    got.set(name, await parameter(name));
    expect(got.get(name)!.length, name).toBe(shape.reduce((a, b) => a * b, 1));
  }
  return { got, fresh: network.initialise(7), report };
}

const row = (values: Float32Array, i: number, length: number) => [
  ...values.subarray(i * length, (i + 1) * length),
];

test("the same network is taken as it is, and so is a region's", async () => {
  const from = trained(climax);
  for (const region of [undefined, { rows: [0], columns: [1, 2] }]) {
    const { got, report } = await adapted(from, { ...climax, region });
    expect(got).toEqual(from.values);
    expect(report).toEqual([]);
  }
});

test("variables follow their names; what is new starts anew and is told, as is what is left out", async () => {
  const from = trained(climax);
  const to = { ...climax, variables: ["c", "d", "a"] };
  const { got, fresh, report } = await adapted(from, to);
  const [theirs, ours] = [from.values, got];
  for (const [v, old] of [[0, 2] as const, [2, 0] as const]) {
    for (const part of ["weight", "bias"]) {
      expect(ours.get(`token_embeds.${v}.proj.${part}`)).toEqual(
        theirs.get(`token_embeds.${old}.proj.${part}`),
      );
    }
    expect(row(ours.get("var_embed")!, v, D)).toEqual(row(theirs.get("var_embed")!, old, D));
    for (let k = 0; k < p * p; k++) {
      expect(row(ours.get("head.2.weight")!, k * 3 + v, D)).toEqual(
        row(theirs.get("head.2.weight")!, k * 3 + old, D),
      );
      expect(ours.get("head.2.bias")![k * 3 + v]).toBe(theirs.get("head.2.bias")![k * 3 + old]);
    }
  }
  expect(ours.get("token_embeds.1.proj.weight")).toEqual(fresh.get("token_embeds.1.proj.weight"));
  expect(row(ours.get("var_embed")!, 1, D)).toEqual(row(fresh.get("var_embed")!, 1, D));
  expect(row(ours.get("head.2.weight")!, 1, D)).toEqual(row(fresh.get("head.2.weight")!, 1, D));
  for (const name of ["head.0.weight", "blocks.0.mlp.fc1.weight", "var_agg.in_proj_weight", "var_query"]) {
    expect(ours.get(name)).toEqual(theirs.get(name));
  }
  expect(report).toEqual([
    "new inputs, from scratch: d",
    "inputs left out: b",
    "new outputs, from scratch: d",
    "outputs left out: b",
  ]);
  expect([...from.values.get("var_embed")!]).toEqual([...trained(climax).values.get("var_embed")!]); // left as it was
});

test("positions are resized to another grid, bicubic", async () => {
  const from = trained(climax);
  const { got, report } = await adapted(from, { ...climax, gridShape: [8, 16] });
  expect(got.get("pos_embed")).toEqual(resizePositions(from.values.get("pos_embed")!, D, [2, 4], [4, 8]));
  expect(report).toEqual(["positions resized, bicubic: 2 x 4 patches to 4 x 8"]);
});

test("patch embeddings go from one form to the other and back", async () => {
  const from = trained(climax);
  const parallel = { ...climax, parallelPatchEmbed: true, variables: ["b", "c"] };
  const there = await adapted(from, parallel);
  const weights = there.got.get("token_embeds.proj_weights")!;
  expect(row(weights, 0, D * p * p)).toEqual([...from.values.get("token_embeds.1.proj.weight")!]);
  expect(row(there.got.get("token_embeds.proj_biases")!, 1, D)).toEqual([
    ...from.values.get("token_embeds.2.proj.bias")!,
  ]);
  const through = { config: parallel, parameter: (name: string) => there.got.get(name)! };
  const back = await adapted(through, climax);
  expect(back.got.get("token_embeds.2.proj.weight")).toEqual(from.values.get("token_embeds.2.proj.weight"));
  expect(back.got.get("token_embeds.0.proj.bias")).toEqual(back.fresh.get("token_embeds.0.proj.bias"));
});

test("a projection takes the encoder over; its head and what is about time are new", async () => {
  const from = trained(climax);
  const { got, fresh, report } = await adapted(from, projection);
  const kept = [...got.keys()].filter((name) =>
    /^(blocks|norm|lead_time_embed|pos_embed|var_agg|var_query)/.test(name),
  );
  expect(kept.length).toBeGreaterThan(15);
  for (const name of kept) expect(got.get(name), name).toEqual(from.values.get(name));
  for (const name of [...got.keys()].filter((one) => /^(head|time_)/.test(one))) {
    expect(got.get(name), name).toEqual(fresh.get(name));
  }
  expect(got.get("token_embeds.1.proj.weight")).toEqual(from.values.get("token_embeds.1.proj.weight")); // b
  expect(report).toEqual([
    "new inputs, from scratch: x",
    "inputs left out: a, c",
    "new parts, from scratch: time_pos_embed, time_query, head, time_agg",
  ]);
});

test("a projection of other outputs keeps the rows of those it shares", async () => {
  const from = trained(projection);
  const to = { ...projection, variables: ["x", "b", "z", "w"], outputs: ["w", "z"], history: 4 };
  const { got, fresh, report } = await adapted(from, to);
  expect(row(got.get("head.weight")!, 1, 32 * D)).toEqual(row(from.values.get("head.weight")!, 1, 32 * D));
  expect(row(got.get("head.bias")!, 0, 32)).toEqual(row(fresh.get("head.bias")!, 0, 32));
  expect(got.get("time_agg.in_proj_weight")).toEqual(from.values.get("time_agg.in_proj_weight"));
  expect(got.get("time_pos_embed")).toEqual(fresh.get("time_pos_embed"));
  expect(report).toEqual([
    "new outputs, from scratch: w",
    "outputs left out: y",
    "new parts, from scratch: time_pos_embed",
  ]);
});

test("a ViT's patch embedding follows the names of its inputs, its head those of its outputs", async () => {
  const from = trained(vit);
  const { got, fresh, report } = await adapted(from, {
    ...vit,
    variables: ["b", "e"],
    inputs: ["e", "b"],
    outputs: ["b"],
  });
  const weight = got.get("patch_embed.proj.weight")!;
  for (let d = 0; d < D; d++) {
    expect(row(weight, 2 * d + 1, p * p)).toEqual(
      row(from.values.get("patch_embed.proj.weight")!, 2 * d + 1, p * p),
    );
    expect(row(weight, 2 * d, p * p)).toEqual(row(fresh.get("patch_embed.proj.weight")!, 2 * d, p * p));
  }
  expect(got.get("patch_embed.proj.bias")).toEqual(from.values.get("patch_embed.proj.bias"));
  expect(row(got.get("head.2.weight")!, 3, D)).toEqual(row(from.values.get("head.2.weight")!, 6, D));
  expect(report).toEqual(["new inputs, from scratch: e", "inputs left out: a", "outputs left out: a"]);
});

test("a ViT and ClimaX start from one another but for their tokens", async () => {
  const { got, fresh, report } = await adapted(trained(climax), { ...vit, residual: true });
  expect(got.get("patch_embed.proj.weight")).toEqual(fresh.get("patch_embed.proj.weight"));
  expect(report).toEqual([
    "outputs left out: c",
    "the head was trained to predict states, and now predicts changes",
    "new parts, from scratch: patch_embed",
  ]);
  const back = await adapted(trained(vit), climax);
  expect(back.report.at(-1)).toBe("new parts, from scratch: var_embed, var_query, token_embeds, var_agg");
});

test("a head of another depth is new as a whole", async () => {
  const { got, fresh, report } = await adapted(trained(climax), { ...climax, decoderDepth: 2 });
  expect(got.get("head.0.weight")).toEqual(fresh.get("head.0.weight"));
  expect(report).toEqual(["new parts, from scratch: head"]);
});

test.for<[string, NetworkConfig, string, RegExp]>([
  [
    "another patch size",
    { ...climax, patchSize: 4 },
    "patchSize 2, but 4 is wanted",
    /keep patchSize 2, or train/,
  ],
  ["another width", { ...climax, embedDim: 16 }, "embedDim 8, but 16 is wanted", /set embedDim to 8/],
  ["another number of heads", { ...climax, heads: 4 }, "heads 2, but 4 is wanted", /set heads to 2/],
  ["another depth", { ...projection, depth: 2 }, "depth 1, but 2 is wanted", /set depth to 1/],
  [
    "a network without its encoder",
    LinearConfig.parse({ type: "linear", variables: ["a"], inputs: ["a"], outputs: ["a"] }),
    "a network of type climax, but linear is wanted",
    /from scratch/,
  ],
])("%s is refused with the reason", ([, to, message, hint]) => {
  try {
    adaptParameters(trained(climax), to, 1);
    expect.unreachable();
  } catch (error) {
    expect(error).toMatchObject({
      name: "ClimaxError",
      kind: "config",
      message: `the checkpoint has ${message}`,
    });
    expect((error as { hint: string }).hint).toMatch(hint);
  }
});

test("linear regression is taken as it is or refused", async () => {
  const linear = LinearConfig.parse({
    ...{ type: "linear", variables: ["a", "b"], inputs: ["a", "b"], outputs: ["a"], gridShape: [2, 2] },
  });
  const from = trained(linear);
  expect((await adapted(from, { ...linear, residual: true })).got).toEqual(from.values);
  const refused = (change: object) => () => adaptParameters(from, { ...linear, ...change }, 1);
  expect(refused({ inputs: ["b"] })).toThrow("the checkpoint has inputs a,b, but b is wanted");
  expect(refused({ gridShape: [2, 4] })).toThrow('"out.weight" of shape [4,8], but [8,16] is wanted');
  expect(refused({ rank: 2 })).toThrow('"down.weight" of shape [none], but [2,8] is wanted');
});
