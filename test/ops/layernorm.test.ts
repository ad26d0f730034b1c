import { describe, expect, test } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { layernorm } from "../../src/ops/layernorm.ts";
import { checkOp, expectClose, gpu } from "../support/gradcheck.ts";

const eps = 0.1; // large enough to matter: at 1e-5 a kernel that forgot it would still pass

function reference(x: Float64Array, weight: Float64Array, bias: Float64Array): Float64Array {
  const C = weight.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += C) {
    const row = x.subarray(start, start + C);
    const mean = row.reduce((a, b) => a + b) / C;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / C;
    row.forEach((value, c) => {
      y[start + c] = ((value - mean) / Math.sqrt(variance + eps)) * weight[c]! + bias[c]!;
    });
  }
  return y;
}

// Rows summed by a subgroup, and by a tree in workgroup memory as on adapters without subgroups of one size.
describe.each<[string, Gpu]>([
  ["the adapter's lanes", gpu],
  ["workgroup memory", { ...gpu, subgroupSize: 0 }],
])("layernorm by %s", (_, device) => {
  // Last axis below, at and above one workgroup of 64; one row and many.
  test.for([
    [1, 3],
    [3, 4],
    [2, 64],
    [5, 100],
    [2, 3, 200],
    [2, 258],
    [65, 8], // rows that two threads of a column share
    [129, 3],
  ])("of [%s] agrees with the reference", async (shape) => {
    const C = shape.at(-1)!;
    await checkOp(
      (x, weight, bias) => layernorm(x!, weight!, bias!, eps),
      (x, weight, bias) => reference(x!, weight!, bias!),
      [shape, [C], [C]],
      { device },
    );
  });
});

test("a mean far from zero, and an outlier in front, cost no digits of the variance", async () => {
  const C = 64;
  const rows = [
    Float64Array.from({ length: C }, (_, c) => Math.fround(1000 + Math.sin(c))),
    Float64Array.from({ length: C }, (_, c) => (c === 0 ? 1000 : Math.fround(Math.sin(c)))),
  ];
  const one = tensor(gpu, [C], new Float32Array(C).fill(1));
  const zero = tensor(gpu, [C], new Float32Array(C));
  for (const row of rows) {
    const wanted = reference(row, new Float64Array(C).fill(1), new Float64Array(C));
    const y = await read(layernorm(tensor(gpu, [1, C], row), one, zero, eps));
    expectClose("y", y, new Map(wanted.entries()), 1e-4); // x itself has steps of 6e-5
  }
});

test("a tensor used twice receives both gradients", async () => {
  const x = tensor(gpu, [1, 2], [-1, 1]);
  const w = tensor(gpu, [2], [1, 1]);
  const seed = tensor(gpu, [1, 2], [1, 1]);
  const { grads } = gradients(() => layernorm(x, w, w, 0), [w], seed);
  expect([...(await read(grads[0]!))]).toEqual([-1 + 1, 1 + 1]); // as weight, n; as bias, 1
});

test("a weight of the wrong length is refused with both shapes", () => {
  const x = tensor(gpu, [1, 4], [1, 2, 3, 5]);
  const short = tensor(gpu, [3], [1, 1, 1]);
  expect(() => layernorm(x, short, short)).toThrow("layernorm: weight is [3], expected [4]");
});
