import { describe, expect, test } from "vitest";
import { makeArena } from "../../src/engine/arena.ts";
import { gradients } from "../../src/engine/autograd.ts";
import { read, readAll, size, type Tensor, tensor, write, zeros } from "../../src/engine/tensor.ts";
import {
  patchBasis,
  patchColumns,
  patchEmbed,
  patchify,
  patchifyPlain,
  unpatchify,
} from "../../src/ops/patchembed.ts";
import { checkOp, gpu, uniform } from "../support/gradcheck.ts";

/** Calls `visit` with each patch n, variable v and value k, and its place in [B, V, H, W]. */
function eachPoint(
  [B, V, H, W]: readonly number[],
  p: number,
  visit: (n: number, v: number, k: number, at: number) => void,
): void {
  for (let b = 0; b < B!; b++)
    for (let v = 0; v < V!; v++)
      for (let row = 0; row < H!; row++)
        for (let column = 0; column < W!; column++) {
          const n = (b * (H! / p) + Math.floor(row / p)) * (W! / p) + Math.floor(column / p);
          visit(n, v, (row % p) * p + (column % p), ((b * V! + v) * H! + row) * W! + column);
        }
}

function patchesOf(x: Float64Array, shape: readonly number[], p: number): Float64Array {
  const [B, V, H, W] = shape as [number, number, number, number];
  const C = patchColumns(V, p);
  const N = (B * H * W) / (p * p);
  const patches = new Float64Array(N * C);
  for (let n = 0; n < N; n++) for (let v = 0; v < V; v++) patches[n * C + v * (p * p + 1) + p * p] = 1;
  eachPoint(shape, p, (n, v, k, at) => {
    patches[n * C + v * (p * p + 1) + k] = x[at]!;
  });
  return patches;
}

// Rows of patches with and without padding; patches of 1, 2 and 4; below and above a workgroup.
const cases: [number[], number][] = [
  [[1, 1, 2, 2], 2],
  [[2, 4, 4, 8], 2],
  [[3, 3, 8, 4], 4],
  [[1, 5, 3, 5], 1],
];

test.for(cases)("patchify of [%s] in patches of %i agrees with the reference", async ([shape, p]) => {
  await checkOp(
    (x) => patchify(x!, p),
    (x) => patchesOf(x!, shape, p),
    [shape],
  );
});

test.for(cases)("patchifyPlain of [%s] in patches of %i agrees with the reference", async ([shape, p]) => {
  const V = shape[1]!;
  await checkOp(
    (x) => patchifyPlain(x!, p),
    (x) => {
      const patches = new Float64Array(x!.length);
      eachPoint(shape, p, (n, v, k, at) => {
        patches[(n * V + v) * p * p + k] = x![at]!;
      });
      return patches;
    },
    [shape],
  );
});

test.for(cases)("unpatchify to [%s] from patches of %i agrees with the reference", async ([shape, p]) => {
  const [B, V, H, W] = shape as [number, number, number, number];
  await checkOp(
    (tokens) => unpatchify(tokens!, [B, V, H, W], p),
    (tokens) => {
      const grid = new Float64Array(B * V * H * W);
      eachPoint(shape, p, (n, v, k, at) => {
        grid[at] = tokens![(n * p * p + k) * V + v]!;
      });
      return grid;
    },
    [[(B * H * W) / (p * p), p * p * V]],
  );
});

test("patchify reaches every element when the dispatch folds into two dimensions", async () => {
  const ones = tensor(gpu, [1, 1, 2048, 1280], new Float32Array(2048 * 1280).fill(1));
  const patches = patchify(ones, 1); // 2 columns padded to 4: above 65 535 workgroups of 64
  const values = await read(patches);
  expect(values.length / 64).toBeGreaterThan(65_535);
  expect(values.every((value, i) => value === (i % 4 < 2 ? 1 : 0))).toBe(true);
});

describe.for([false, true])("patchBasis, with one weight for all variables: %s", (parallel) => {
  const [V_all, D, p, ids] = [4, 70, 2, [2, 0, 3]] as const; // 70 is above a workgroup; 3 x 5 rows are padded to 16
  const one = [[D, 1, p, p], [D]];
  const shapes = parallel
    ? [
        [V_all, D, 1, p, p],
        [V_all, D],
      ]
    : ids.flatMap(() => one);

  test("agrees with the reference", async () => {
    await checkOp(
      (varEmbed, ...rest) => {
        const parts = ids.map((id, v) =>
          parallel
            ? { weight: rest[0]!, bias: rest[1]!, row: id, id }
            : { weight: rest[2 * v]!, bias: rest[2 * v + 1]!, row: 0, id },
        );
        return patchBasis(parts, varEmbed!, p);
      },
      (varEmbed, ...rest) => {
        const basis = new Float64Array(16 * D);
        for (const [v, id] of ids.entries()) {
          const weight = parallel ? rest[0]!.subarray(id * D * 4) : rest[2 * v]!;
          const bias = parallel ? rest[1]!.subarray(id * D) : rest[2 * v + 1]!;
          for (let d = 0; d < D; d++) {
            for (let k = 0; k < 4; k++) basis[(5 * v + k) * D + d] = weight[d * 4 + k]!;
            basis[(5 * v + 4) * D + d] = bias[d]! + varEmbed![id * D + d]!;
          }
        }
        return basis;
      },
      [[1, V_all, D], ...shapes],
    );
  });
});

test.for<[number, number, number, number]>([
  [3, 3, 2, 8], // N, V, p, D: padded, narrow
  [70, 4, 2, 36],
  [5, 2, 4, 16],
])("patchEmbed of %i patches of %i variables agrees with the reference", async ([N, V, p, D]) => {
  const K = p * p + 1;
  const C = patchColumns(V, p);
  await checkOp(
    (patches, basis) => patchEmbed(patches!, basis!, V, p),
    (patches, basis) => {
      const tokens = new Float64Array(N * V * D);
      for (let n = 0; n < N; n++)
        for (let v = 0; v < V; v++)
          for (let k = 0; k < K; k++)
            for (let d = 0; d < D; d++) {
              const at = (n * V + v) * D + d;
              tokens[at] = tokens[at]! + patches![n * C + v * K + k]! * basis![(v * K + k) * D + d]!;
            }
      return tokens;
    },
    [
      [N, C],
      [C, D],
    ],
  );
});

test("variables whose tensors lie side by side are packed together, to the same bits", async () => {
  const [D, p, ids] = [70, 2, [2, 0, 3]] as const;
  const random = uniform(8);
  const kinds = [
    ["weight", [D, 1, p, p]],
    ["bias", [D]],
  ] as const;
  const specs = ids.flatMap((id) =>
    kinds.map(([kind, shape]) => ({ name: `${kind}${id}`, shape, group: kind })),
  );
  const { parameters } = makeArena(gpu, [...specs, { name: "embed", shape: [1, 4, D], group: "bias" }]);
  const apart = new Map<string, Tensor>();
  for (const [name, t] of parameters) {
    const values = Float32Array.from({ length: size(t.shape) }, random);
    write(t, values);
    apart.set(name, { ...tensor(gpu, t.shape, values), grad: zeros(gpu, t.shape) });
  }
  const seed = tensor(gpu, [16, D], Float32Array.from({ length: 16 * D }, random));
  const dispatches: string[] = [];
  const results = [apart, parameters].map((of) => {
    const parts = ids.map((id) => ({
      weight: of.get(`weight${id}`)!,
      bias: of.get(`bias${id}`)!,
      row: 0,
      id,
    }));
    dispatches.length = 0;
    gpu.commands.profiler = ({ kernel }) => void dispatches.push(kernel.entry) as never;
    const { y } = gradients(() => patchBasis(parts, of.get("embed")!, p), [], seed);
    gpu.commands.profiler = undefined;
    return [y, ...[...parameters.keys()].map((name) => of.get(name)!.grad!)];
  });
  expect(dispatches).toEqual(["pack", "unpack_values", "unpack_rows", "unpack_rows"]);
  const [separate, together] = await Promise.all(results.map((tensors) => readAll(tensors)));
  expect(together).toEqual(separate);
});

test("a weight of another patch size is refused with both shapes", () => {
  const weight = tensor(gpu, [2, 1, 1, 1], [1, 2]);
  const bias = tensor(gpu, [2], [1, 2]);
  const embed = tensor(gpu, [1, 1, 2], [1, 2]);
  expect(() => patchBasis([{ weight, bias, row: 0, id: 0 }], embed, 2)).toThrow(
    "patchBasis: weight is [2,1,1,1], expected [2,1,2,2]",
  );
});

test("a variable embedding used by two variables receives both gradients", async () => {
  const weight = tensor(gpu, [1, 1, 1, 1], [1]);
  const bias = tensor(gpu, [1], [1]);
  const embed = tensor(gpu, [1, 1, 1], [1]);
  const part = { weight, bias, row: 0, id: 0 };
  const seed = tensor(gpu, [4, 1], [1, 2, 4, 8]);
  const { grads } = gradients(() => patchBasis([part, part], embed, 1), [weight, embed], seed);
  expect([...(await read(grads[0]!)), ...(await read(grads[1]!))]).toEqual([1 + 4, 2 + 8]);
});
