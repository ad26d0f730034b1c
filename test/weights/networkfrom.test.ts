import { describe, expect, test } from "vitest";
import { default48 } from "../../src/data/variables.ts";
import { adaptParameters } from "../../src/model/adapt.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { type NetworkConfig, networkOf } from "../../src/model/network.ts";
import { ProjectionConfig } from "../../src/model/projection.ts";
import { compareShapes, type NetworkTold, networkFrom } from "../../src/weights/networkfrom.ts";
import { refusal } from "../support/refusal.ts";

const sizes = { gridShape: [4, 8] as [number, number], embedDim: 8, heads: 2, depth: 3 };
const climax = ModelConfig.parse({ ...sizes, variables: ["a", "b", "c"], mlpRatio: 2.5, decoderDepth: 1 });
const projection = ProjectionConfig.parse({
  ...{ type: "projection", ...sizes, history: 3 },
  ...{ variables: ["a", "b", "y", "z"], inputs: ["a", "b"], outputs: ["y", "z"] },
});
const all: NetworkTold = { variables: ["a", "b", "c"], heads: 2 };

type Shapes = Map<string, readonly number[]>;
const shapesOf = (config: NetworkConfig): Shapes => new Map(networkOf(config).shapes);

/** The shapes of a network with some changed; undefined takes one away. */
function changed(config: NetworkConfig, changes: Record<string, readonly number[] | undefined>): Shapes {
  const shapes = shapesOf(config);
  for (const [name, shape] of Object.entries(changes)) {
    if (shape) shapes.set(name, shape);
    else shapes.delete(name);
  }
  return shapes;
}

const dropout = "dropout 0.1 and drop path 0.1, the paper's, which only training needs";

describe("ClimaX", () => {
  test.for<[string, Partial<ModelConfig>]>([
    ["as it is", {}],
    ["in the parallel form", { parallelPatchEmbed: true }],
    ["with another patch and no hidden layer in the head", { patchSize: 4, decoderDepth: 0 }],
    ["without blocks", { depth: 0, mlpRatio: 4 }],
    ["with many blocks", { depth: 12 }],
    ["with an MLP width that no plain ratio gives", { embedDim: 96, mlpRatio: 49 / 96 }],
  ])("every size is in the shapes: %s", ([, change]) => {
    const config = ModelConfig.parse({ ...climax, ...change });
    const { config: found, assumed } = networkFrom(shapesOf(config), all, "x.ckpt");
    expect(found).toEqual({ ...config, mlpRatio: expect.closeTo(config.mlpRatio, 12) });
    expect(networkOf(found).shapes).toEqual(networkOf(config).shapes);
    expect(assumed).toEqual([
      expect.stringMatching(
        /^a grid of 4 x 8 points, for \d+ patches of \d x \d and twice as many columns as rows$/,
      ),
      dropout,
    ]);
  });

  test.for([
    ["5.625deg.ckpt", 32, 64, 2],
    ["1.40625deg.ckpt", 128, 256, 4],
  ] as const)("the released %s needs no word", ([, rows, columns, patchSize]) => {
    const released = ModelConfig.parse({ variables: default48, gridShape: [rows, columns], patchSize });
    const { config, assumed } = networkFrom(shapesOf(released), {}, "x.ckpt");
    expect(config).toEqual(released);
    expect(assumed).toEqual([
      "16 attention heads, the paper's for D 1024 (weights do not show them)",
      `a grid of ${rows} x ${columns} points, for ${(rows * columns) / patchSize ** 2} patches of ${patchSize} x ` +
        `${patchSize} and twice as many columns as rows`,
      "the paper's 48 variables in the order of the reference's default_vars",
      dropout,
    ]);
  });

  test("what is told is not assumed, and a region is a part of the whole grid", () => {
    const region = { rows: [0, 1], columns: [1, 2, 3] };
    const { config, assumed } = networkFrom(
      shapesOf(climax),
      { ...all, gridShape: [4, 8], region },
      "x.ckpt",
    );
    expect(config).toEqual({ ...climax, region });
    expect(assumed).toEqual([dropout]);
    expect(() =>
      networkFrom(shapesOf(climax), { ...all, region: { rows: [5], columns: [0] } }, "x.ckpt"),
    ).toThrow("x.ckpt with what is said of it makes no network that can be: region: patch row 5");
  });

  test("weights without a head get the paper's", () => {
    const bare = new Map([...shapesOf(climax)].filter(([name]) => !name.startsWith("head.")));
    const { config, assumed } = networkFrom(bare, all, "x.ckpt");
    expect(config).toMatchObject({ decoderDepth: 2 });
    expect(assumed[0]).toBe("a head of 2 hidden layers, the paper's, as the file has none");
  });

  test.for<[string, NetworkTold, NetworkConfig, string]>([
    [
      "heads",
      { variables: ["a", "b", "c"] },
      climax,
      "config: x.ckpt does not show how many attention heads its network has (D 8; a weight matrix has the same shape " +
        "for any number) | say it: --source.heads NUMBER, num_heads of the run that trained it",
    ],
    [
      "names",
      { heads: 2 },
      climax,
      "config: x.ckpt has 3 variables, and does not name them | name them in its order: --source.variables with 3 " +
        "names, default_vars of the run that trained it",
    ],
    [
      "as many names as variables",
      { ...all, variables: ["a", "b"] },
      climax,
      "config: x.ckpt has 3 variables, but 2 are named: a, b | name 3, in the order of the file",
    ],
    [
      "the grid",
      all,
      ModelConfig.parse({ ...climax, gridShape: [8, 8] }),
      "config: x.ckpt has positions of 16 patches of 2 x 2 points, which make no grid with twice as many columns as " +
        "rows | say which grid it is: --source.grid-shape H,W, img_size of the run that trained it",
    ],
    [
      "the grid it has",
      { ...all, gridShape: [8, 16] },
      climax,
      "config: x.ckpt has positions of 8 patches of 2 x 2 points, but a grid of 8 x 16 points has 32 | give the whole " +
        "grid the weights were trained on (also for a region); positions can be resized to another when they are " +
        "converted: --res",
    ],
    [
      "possible heads",
      { ...all, heads: 3 },
      climax,
      "config: x.ckpt with what is said of it makes no network that can be: heads: 3 heads cannot share embedDim 8 " +
        "evenly | correct what is said of it (--source.*)",
    ],
  ])("what it does not show is wanted: %s", ([, told, config, message]) => {
    expect(refusal(() => networkFrom(shapesOf(config), told, "x.ckpt"))).toBe(message);
  });

  test.for<[string, Record<string, readonly number[] | undefined>, string]>([
    [
      "a missing block",
      { "blocks.1.norm1.weight": undefined, ...withoutBlock(1) },
      "it has block 2, but no block 1",
    ],
    [
      "two widths",
      { "norm.weight": [16] },
      '"var_embed" says 8 for D, the width of a token, "norm.weight" says 16',
    ],
    ["a misshapen embedding", { var_embed: [3, 8] }, '"var_embed" is [3, 8], expected [1, any, n]'],
    ["a width of 0", { var_embed: [1, 3, 0] }, '"var_embed" is [1, 3, 0], expected [1, any, n]'],
    ["no positions", { pos_embed: undefined }, 'nothing in it shows positions: "pos_embed" is missing'],
    [
      "oblong patches",
      { "token_embeds.0.proj.weight": [8, 1, 2, 4] },
      '"token_embeds.0.proj.weight" is for patches of 2 x 4 points; only square ones can be',
    ],
    [
      "a missing patch embedding",
      { "token_embeds.1.proj.weight": undefined, "token_embeds.1.proj.bias": undefined },
      "it has patch embedding 2, but no patch embedding 1",
    ],
    [
      "both forms of patch embeddings",
      { "token_embeds.proj_weights": [3, 8, 1, 2, 2] },
      "it has patch embeddings in both forms",
    ],
    [
      "more patch embeddings than variables",
      { "token_embeds.3.proj.weight": [8, 1, 2, 2] },
      "it has patch embeddings of 4 variables, but var_embed is for 3",
    ],
    [
      "a head with a gap",
      { "head.4.weight": [12, 8], "head.2.weight": undefined },
      "its head has a layer 4, but none at 2",
    ],
    [
      "a head of odd layers",
      { "head.1.weight": [8, 8], "head.2.weight": undefined },
      "its head has a layer 1, but none at 2",
    ],
  ])("tensors that contradict each other are named: %s", ([, changes, what]) => {
    const message = refusal(() => networkFrom(changed(climax, changes), all, "x.ckpt"));
    expect(message).toContain(`checkpoint: x.ckpt is no sound ClimaX: ${what}`);
  });

  test("the parallel form counts its variables twice", () => {
    const shapes = changed(ModelConfig.parse({ ...climax, parallelPatchEmbed: true }), {
      "token_embeds.proj_weights": [4, 8, 1, 2, 2],
    });
    expect(() => networkFrom(shapes, all, "x.ckpt")).toThrow(
      '"var_embed" says 3 for variables, "token_embeds.proj_weights" says 4',
    );
  });

  test("sizes beyond all networks are refused before anything is made of them", () => {
    const shapes = changed(climax, { var_embed: [1, 2 ** 40, 8] });
    expect(() => networkFrom(shapes, { heads: 2 }, "x.ckpt")).toThrow("has 1099511627776 variables");
  });

  test("time embeddings alone make no projection", () => {
    const shapes = changed(climax, { time_pos_embed: [1, 1, 8] });
    expect(networkFrom(shapes, all, "x.ckpt").config).toEqual(climax);
  });
});

function withoutBlock(i: number): Record<string, undefined> {
  const names = [...shapesOf(climax).keys()].filter((name) => name.startsWith(`blocks.${i}.`));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

describe("its projection", () => {
  const told = { inputs: ["a", "b"], outputs: ["y", "z"], heads: 2 };

  test.for([false, true])(
    "every size is in the shapes (parallel patch embeddings: %s)",
    (parallelPatchEmbed) => {
      const config = { ...projection, parallelPatchEmbed };
      expect(networkFrom(shapesOf(config), told, "x.ckpt").config).toEqual(config);
      const { variables } = projection;
      expect(networkFrom(shapesOf(config), { variables, heads: 2 }, "x.ckpt").config).toEqual(config);
    },
  );

  test("what it does not show is wanted", () => {
    const told2 = (more: NetworkTold) => () =>
      networkFrom(shapesOf(projection), { heads: 2, ...more }, "x.ckpt");
    expect(refusal(told2({}))).toBe(
      "config: x.ckpt is a projection from 2 variables, and does not name them | name them in its order: " +
        "--source.inputs with 2 names (the reference's default_vars for ClimateBench: CO2, SO2, CH4, BC)",
    );
    expect(refusal(told2({ inputs: ["a"] }))).toContain("x.ckpt has 2 inputs, but 1 are named: a");
    expect(refusal(told2({ inputs: ["a", "b"] }))).toContain(
      "x.ckpt is a projection of 2 variables, and does not name them | name what it projects: --source.outputs with 2 of",
    );
    expect(refusal(told2({ inputs: ["a", "b"], outputs: ["y"] }))).toContain(
      "has 2 outputs, but 1 are named: y",
    );
  });

  test("a last layer that makes no whole fields is refused", () => {
    const shapes = changed(projection, { "head.weight": [65, 8] });
    expect(refusal(() => networkFrom(shapes, told, "x.ckpt"))).toContain(
      "x.ckpt is a projection whose last layer makes 65 values, which are no whole fields of 4 x 8 points",
    );
  });
});

test("differences of shapes are listed", () => {
  const shapes = changed(climax, {
    var_query: undefined,
    "norm.bias": [9],
    time_pos_embed: [1, 1, 8],
  });
  expect(compareShapes(climax, shapes)).toEqual({
    missing: ["var_query"],
    extra: ["time_pos_embed"],
    misshapen: [{ name: "norm.bias", found: [9], wanted: [8] }],
  });
  expect(compareShapes(climax, shapesOf(climax))).toEqual({ missing: [], extra: [], misshapen: [] });
});

test("one form of patch embeddings becomes the other and comes back, bit for bit", async () => {
  let next = 0;
  const values = new Map(
    [...networkOf(climax).shapes].map(([name, shape]) => [
      name,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.fround(Math.sin(next++))),
    ]),
  );
  const parallel = ModelConfig.parse({ ...climax, parallelPatchEmbed: true });
  const there = adaptParameters({ config: climax, parameter: (name) => values.get(name)! }, parallel, 0);
  const back = adaptParameters({ config: parallel, parameter: there.parameter }, climax, 0);
  for (const [name, value] of values) expect(await back.parameter(name), name).toEqual(value);
  const weights = await there.parameter("token_embeds.proj_weights");
  const each = [0, 1, 2].flatMap((v) => [...values.get(`token_embeds.${v}.proj.weight`)!]);
  expect([...weights]).toEqual(each);
  expect([there.report, back.report]).toEqual([[], []]);
});
