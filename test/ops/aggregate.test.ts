import { describe, expect, test } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { read, size, type Tensor, tensor } from "../../src/engine/tensor.ts";
import { type AggregationWeights, aggregate, aggregateFactored } from "../../src/ops/aggregate.ts";
import { scale } from "../../src/ops/elementwise.ts";
import { patchColumns, patchEmbed, patchify } from "../../src/ops/patchembed.ts";
import { checkOp, expectClose, gpu, uniform } from "../support/gradcheck.ts";

/** x W^T + b by rows, W and b from row `from` on. */
function project(x: Float64Array, weight: Float64Array, bias: Float64Array, from: number): Float64Array {
  const D = weight.length / bias.length;
  const y = new Float64Array(x.length);
  for (let n = 0; n < x.length / D; n++)
    for (let j = 0; j < D; j++) {
      let sum = bias[from + j]!;
      for (let c = 0; c < D; c++) sum += x[n * D + c]! * weight[(from + j) * D + c]!;
      y[n * D + j] = sum;
    }
  return y;
}

/** torch.nn.MultiheadAttention with one query for all patches, written plainly. */
function reference(
  tokens: Float64Array,
  [query, inWeight, inBias, outWeight, outBias]: readonly Float64Array[],
  V: number,
  H: number,
): Float64Array {
  const D = query!.length;
  const d = D / H;
  const q = project(query!, inWeight!, inBias!, 0);
  const keys = project(tokens, inWeight!, inBias!, D);
  const values = project(tokens, inWeight!, inBias!, 2 * D);
  const N = tokens.length / (V * D);
  const o = new Float64Array(N * D);
  for (let n = 0; n < N; n++)
    for (let h = 0; h < H; h++) {
      const scores = Array.from({ length: V }, (_, v) => {
        let s = 0;
        for (let j = h * d; j < (h + 1) * d; j++) s += q[j]! * keys[(n * V + v) * D + j]!;
        return s / Math.sqrt(d);
      });
      const exps = scores.map((s) => Math.exp(s - Math.max(...scores)));
      const total = exps.reduce((a, b) => a + b);
      for (let v = 0; v < V; v++)
        for (let j = h * d; j < (h + 1) * d; j++)
          o[n * D + j] = o[n * D + j]! + (exps[v]! / total) * values[(n * V + v) * D + j]!;
    }
  return project(o, outWeight!, outBias!, 0);
}

const weightShapes = (D: number) => [[1, 1, D], [3 * D, D], [3 * D], [D, D], [D]];
const weightsOf = ([query, inWeight, inBias, outWeight, outBias]: readonly Tensor[]): AggregationWeights => ({
  query: query!,
  inWeight: inWeight!,
  inBias: inBias!,
  outWeight: outWeight!,
  outBias: outBias!,
});

// Keys of a tenth of the checks' usual size: otherwise one variable takes all the attention, and nothing is checked.
const SMALL = 0.1;

/** Patches of random values, each with its 1, padded with zeros. */
function patchesFor(N: number, V: number, p: number): Float64Array {
  const K = p * p + 1;
  const C = patchColumns(V, p);
  const random = uniform(9);
  return Float64Array.from({ length: N * C }, (_, i) => {
    const c = i % C;
    return c >= V * K ? 0 : c % K === K - 1 ? 1 : random();
  });
}

/** The patches of fields [B, V, H, W], as `patchify` lays them out. */
function cut(x: Float64Array, shape: readonly number[], p: number): Float64Array {
  const [B, V, H, W] = shape as [number, number, number, number];
  const K = p * p + 1;
  const C = patchColumns(V, p);
  const [rows, columns] = [H / p, W / p];
  const patches = new Float64Array(B * rows * columns * C);
  for (let n = 0; n < B * rows * columns; n++)
    for (let v = 0; v < V; v++)
      for (let k = 0; k < K; k++) {
        const b = Math.floor(n / (rows * columns));
        const row = p * Math.floor((n % (rows * columns)) / columns) + Math.floor(k / p);
        const column = p * (n % columns) + (k % p);
        patches[n * C + v * K + k] = k < p * p ? x[((b * V + v) * H + row) * W + column]! : 1;
      }
  return patches;
}

function tokensOf(patches: Float64Array, basis: Float64Array, V: number, p: number, D: number): Float64Array {
  const K = p * p + 1;
  const C = patchColumns(V, p);
  const N = patches.length / C;
  const tokens = new Float64Array(N * V * D);
  for (let n = 0; n < N; n++)
    for (let v = 0; v < V; v++)
      for (let k = 0; k < K; k++)
        for (let j = 0; j < D; j++) {
          const at = (n * V + v) * D + j;
          tokens[at] = tokens[at]! + patches[n * C + v * K + k]! * basis[(v * K + k) * D + j]!;
        }
  return tokens;
}

test.for<[number, number, number, number]>([
  [1, 1, 4, 1], // N, V, D, H
  [5, 3, 8, 2],
  [40, 4, 12, 3], // more patches and heads than a workgroup
])(
  "aggregate of %i patches, %i variables, width %i, %i heads agrees with the reference",
  async ([N, V, D, heads]) => {
    await checkOp(
      (tokens, ...weights) => aggregate(scale(tokens!, SMALL), weightsOf(weights), { heads }),
      (tokens, ...weights) =>
        reference(
          tokens!.map((value) => SMALL * value),
          weights,
          V,
          heads,
        ),
      [[N, V, D], ...weightShapes(D)],
    );
  },
);

// By subgroups as on software adapters, and as on GPUs.
describe.each<[string, Gpu]>([
  ["the adapter's lanes", gpu],
  ["threads that share nothing", { ...gpu, subgroupSize: 0 }],
])("by %s", (_, device) => {
  test.for<[number, number, number, number, number]>([
    [1, 1, 1, 4, 1], // N, V, p, D, H
    [5, 3, 2, 8, 2], // rows of patches are padded
    [40, 4, 2, 12, 3], // no padding
    [6, 2, 4, 16, 4],
    [3, 9, 1, 40, 2], // more variables, and columns of a head, than a thread holds
    [6, 2, 1, 12, 2], // heads of no whole vec4s
    [260, 2, 2, 4, 1], // more patches than a workgroup or a share
  ])(
    "aggregateFactored of %i patches, %i variables of side %i, width %i, %i heads agrees with the reference",
    async ([N, V, p, D, heads]) => {
      const patches = patchesFor(N, V, p);
      const C = patchColumns(V, p);
      await checkOp(
        (basis, ...weights) => {
          const data = tensor(device, [N, C], patches);
          return aggregateFactored(data, scale(basis!, SMALL), weightsOf(weights), { V, p, heads });
        },
        (basis, ...weights) =>
          reference(
            tokensOf(
              patches,
              basis!.map((value) => SMALL * value),
              V,
              p,
              D,
            ),
            weights,
            V,
            heads,
          ),
        [[C, D], ...weightShapes(D)],
        { device },
      );
    },
  );

  test.for<[number[], number, number, number]>([
    [[1, 1, 2, 2], 2, 4, 1], // x, p, D, H: one patch
    [[2, 3, 4, 6], 2, 16, 2], // rows of patches are padded
    [[1, 4, 4, 4], 2, 20, 5], // no padding; more heads than a vec4
    [[1, 2, 9, 8], 1, 8, 1], // more patches than a workgroup
    [[2, 2, 4, 4], 2, 12, 2], // heads of no whole vec4s
  ])(
    "the gradient of aggregateFactored flows on to fields [%s] in patches of %i, width %i, %i heads",
    async ([shape, p, D, heads]) => {
      const V = shape[1]!;
      await checkOp(
        (x, basis, ...weights) =>
          aggregateFactored(patchify(x!, p), scale(basis!, SMALL), weightsOf(weights), { V, p, heads }),
        (x, basis, ...weights) => {
          const tokens = tokensOf(
            cut(x!, shape, p),
            basis!.map((value) => SMALL * value),
            V,
            p,
            D,
          );
          return reference(tokens, weights, V, heads);
        },
        [shape, [patchColumns(V, p), D], ...weightShapes(D)],
        { device },
      );
    },
  );

  test("both forms agree on a model of many variables, values and gradients", async () => {
    const [N, V, p, D, heads] = [96, 20, 2, 144, 3]; // heads of more columns than a subgroup holds
    const C = patchColumns(V, p);
    const random = uniform(4);
    const fill = (shape: readonly number[], factor: number) =>
      tensor(
        device,
        shape,
        Float32Array.from({ length: size(shape) }, () => factor * random()),
      );
    const patches = tensor(device, [N, C], patchesFor(N, V, p));
    const basis = fill([C, D], 0.2);
    const weights = weightShapes(D).map((shape) => fill(shape, 0.2));
    const residual = fill([N, D], 1);
    const seed = fill([N, D], 1);
    const wrt = [patches, basis, ...weights, residual];
    const named = weightsOf(weights);
    const plain = gradients(
      () => aggregate(patchEmbed(patches, basis, V, p), named, { heads, residual }),
      wrt,
      seed,
    );
    const factored = gradients(
      () => aggregateFactored(patches, basis, named, { V, p, heads, residual }),
      wrt,
      seed,
    );
    const names = [
      "y",
      "patches",
      "basis",
      "query",
      "inWeight",
      "inBias",
      "outWeight",
      "outBias",
      "residual",
    ];
    for (const [i, name] of names.entries()) {
      const a = await read([plain.y, ...plain.grads][i]!);
      const b = await read([factored.y, ...factored.grads][i]!);
      const keep = (j: number) => name !== "inBias" || Math.floor(j / D) !== 1; // of the keys' bias: zero, and rounding
      const norm = Math.sqrt(a.reduce((sum, value, j) => sum + (keep(j) ? value ** 2 : 0), 0));
      const difference = Math.sqrt(
        a.reduce((sum, value, j) => sum + (keep(j) ? (value - b[j]!) ** 2 : 0), 0),
      );
      // Sums of about a hundred f32 terms in two orders.
      expect(difference / norm, name).toBeLessThan(3e-6);
    }
  });
});

test("the gradient by patches is that of each alone, in several blocks", async () => {
  // So many heads and columns that a block holds the 64 patches it must at least.
  const [N, V, p, D, heads] = [66, 52, 2, 1024, 256];
  const C = patchColumns(V, p);
  const random = uniform(6);
  const fill = (shape: readonly number[], factor: number) =>
    tensor(
      gpu,
      shape,
      Float32Array.from({ length: size(shape) }, () => factor * random()),
    );
  const basis = fill([C, D], 0.05);
  const weights = weightsOf(weightShapes(D).map((shape) => fill(shape, 0.05)));
  const values = Float32Array.from(patchesFor(N, V, p));
  const seeds = Float32Array.from({ length: N * D }, random);
  const gradient = async (first: number) => {
    const patches = tensor(gpu, [N - first, C], values.subarray(first * C));
    const seed = tensor(gpu, [N - first, D], seeds.subarray(first * D));
    const once = () => aggregateFactored(patches, basis, weights, { V, p, heads });
    return read(gradients(once, [patches], seed).grads[0]!);
  };
  const [all, last] = [await gradient(0), await gradient(64)];
  const wanted = new Map([...last.entries()]);
  expectClose("gradient by the last patches", all.subarray(64 * C), wanted, 1e-6);
});

test("patches of another number of variables are refused with both shapes", () => {
  const patches = tensor(gpu, [2, 8], new Float32Array(16));
  const basis = tensor(gpu, [8, 4], new Float32Array(32));
  const weights = weightsOf(
    weightShapes(4).map((shape) => tensor(gpu, shape, new Float32Array(size(shape)))),
  );
  expect(() => aggregateFactored(patches, basis, weights, { V: 3, p: 2, heads: 2 })).toThrow(
    "aggregateFactored: patches is [2,8], expected [2,16]",
  );
});
