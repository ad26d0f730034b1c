import { describe, expect, test } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { read, size, tensor } from "../../src/engine/tensor.ts";
import { type ConvOptions, conv2d } from "../../src/ops/conv2d.ts";
import { convolvePlainly } from "../support/convolution.ts";
import { checkOp, expectClose, gpu, uniform } from "../support/gradcheck.ts";

type Axes = readonly [number, number, number, number];

/** One case: x, channels out, side of the kernel. */
async function check(x: Axes, O: number, side: number, options: ConvOptions): Promise<void> {
  const weight: Axes = [O, x[1], side, side];
  await checkOp(
    (...t) => conv2d(t[0]!, t[1]!, t[2]!, options),
    (...t) => convolvePlainly(t[0]!, x, t[1]!, weight, t[2]!, options),
    [x, weight, [O]],
  );
}

describe("conv2d agrees with the reference", () => {
  // Rows of quads and others; blocks of products of 16 and 32, and above; both ways beyond the edge.
  test.for<[string, Axes, number, number, ConvOptions]>([
    ["one point", [1, 1, 1, 1], 1, 1, {}],
    ["1 x 1, quads", [2, 4, 2, 4], 5, 1, {}],
    ["3 x 3, one quad a row", [1, 2, 3, 4], 3, 3, { padding: 1, periodic: true }],
    ["3 x 3, quads", [2, 4, 5, 12], 6, 3, { padding: 1, periodic: true }],
    ["3 x 3, quads, zeros", [2, 4, 5, 12], 6, 3, { padding: 1 }],
    ["3 x 3, no quads", [3, 2, 4, 5], 3, 3, { padding: 1, periodic: true }],
    ["3 x 3, no quads, zeros", [3, 2, 4, 5], 3, 3, { padding: 1 }],
    ["3 x 3 without padding", [1, 2, 4, 8], 3, 3, {}],
    ["more channels than a block", [1, 3, 4, 8], 36, 3, { padding: 1, periodic: true }],
    ["7 x 7, quads", [1, 3, 6, 8], 4, 7, { padding: 3, periodic: true }],
    ["7 x 7, zeros", [1, 3, 6, 8], 4, 7, { padding: 3 }],
    ["7 x 7, no quads, wrapped twice over", [1, 1, 3, 3], 2, 7, { padding: 3, periodic: true }],
    ["9 x 9", [1, 1, 9, 12], 2, 9, { padding: 4, periodic: true }],
    ["stride 2", [2, 3, 6, 8], 4, 3, { stride: 2, padding: 1, periodic: true }],
    ["stride 2, zeros", [2, 3, 6, 8], 4, 3, { stride: 2, padding: 1 }],
    ["stride 3 that leaves columns over", [1, 2, 7, 11], 2, 2, { stride: 3, padding: 1, periodic: true }],
    ["fewer channels out than in", [2, 5, 4, 8], 3, 3, { padding: 1, periodic: true }],
    ["fewer, zeros, no quads", [2, 5, 4, 6], 2, 3, { padding: 1 }],
    ["fewer, 1 x 1", [2, 6, 3, 4], 4, 1, {}],
    ["fewer, stride 2", [1, 4, 4, 8], 2, 3, { stride: 2, padding: 1, periodic: true }],
    ["a rectifier", [2, 3, 3, 5], 4, 3, { padding: 1, periodic: true, slope: 0.3 }],
    ["a rectifier, quads", [2, 2, 3, 8], 4, 3, { padding: 1, periodic: true, slope: 0.3 }],
  ])("%s", async ([, x, O, side, options]) => {
    await check(x, O, side, options);
  });
});

// What is too large for one matrix of columns is convolved by rows or by samples. An adapter of the other kind has room
// for all of it, so that both must give the same.
const other: Gpu = { ...gpu, kind: gpu.kind === "software" ? "hardware" : "software" };
test.for<[string, Axes, number, number, ConvOptions]>([
  ["rows", [1, 4, 352, 64], 4, 7, { padding: 3, periodic: true }],
  ["rows, fewer channels out than in", [1, 6, 352, 64], 4, 7, { padding: 3 }],
  ["rows, stride 2", [1, 8, 352, 128], 8, 7, { stride: 2, padding: 3, periodic: true }],
  ["samples", [11, 4, 32, 64], 4, 7, { padding: 3, periodic: true }],
])("conv2d block by block, %s, is conv2d of the whole", async ([, shape, O, side, options]) => {
  const random = uniform(1);
  const shapes = [shape, [O, shape[1], side, side], [O]];
  const data = shapes.map((one) => Float32Array.from({ length: size(one) }, random));
  const results = [gpu, other].map(async (device) => {
    const inputs = shapes.map((one, i) => tensor(device, one, data[i]!));
    const op = () => conv2d(inputs[0]!, inputs[1]!, inputs[2]!, options);
    const y = op();
    const seed = tensor(device, y.shape, Float32Array.from({ length: size(y.shape) }, uniform(2)));
    const { grads } = gradients(op, inputs, seed);
    return await Promise.all([y, ...grads].map(read));
  });
  const [one, two] = await Promise.all(results);
  for (const [i, name] of ["y", "dx", "dweight", "dbias"].entries()) {
    expectClose(name, two![i]!, new Map(one![i]!.entries()), 1e-5); // sums of thousands in another order
  }
});

describe("conv2d refuses", () => {
  const of = (...shape: number[]) => tensor(gpu, shape, new Float32Array(size(shape)));

  test("a kernel of other channels", () => {
    expect(() => conv2d(of(1, 2, 4, 4), of(3, 1, 3, 3), of(3))).toThrow(
      "conv2d: weight is [3,1,3,3], expected [3,2,3,3]",
    );
  });

  test("a kernel larger than the field", () => {
    expect(() => conv2d(of(1, 1, 2, 8), of(1, 1, 7, 7), of(1), { padding: 2 })).toThrow(
      "a 7 x 7 convolution with padding 2 has no room in a field of 2 x 8 points",
    );
  });

  test("a padding that goes more than once around", () => {
    const options = { padding: 3, periodic: true };
    expect(() => conv2d(of(1, 1, 8, 2), of(1, 1, 7, 7), of(1), options)).toThrow(
      "a periodic padding of 3 goes more than once around 2 columns",
    );
  });
});
