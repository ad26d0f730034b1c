import { describe, expect, test } from "vitest";
import { size, tensor } from "../../src/engine/tensor.ts";
import type { ConvOptions } from "../../src/ops/conv2d.ts";
import { convTranspose2d } from "../../src/ops/convtranspose2d.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

type Axes = readonly [number, number, number, number];

/** Every value of x, times the kernel, put where the stride and the padding say. */
function reference(
  x: Float64Array,
  [B, C, H, W]: Axes,
  weight: Float64Array,
  [, O, k]: Axes,
  bias: Float64Array,
  { stride = 1, padding = 0, periodic = false }: ConvOptions,
): Float64Array {
  const rows = stride * (H - 1) + k - 2 * padding;
  const columns = stride * (W - 1) + k - 2 * padding;
  const y = Float64Array.from(
    { length: B * O * rows * columns },
    (_, i) => bias[Math.floor(i / (rows * columns)) % O]!,
  );
  x.forEach((value, at) => {
    const [w, h] = [at % W, Math.floor(at / W) % H];
    const [c, b] = [Math.floor(at / (W * H)) % C, Math.floor(at / (W * H * C))];
    for (let o = 0; o < O; o++) {
      for (let i = 0; i < k; i++) {
        for (let j = 0; j < k; j++) {
          const row = stride * h + i - padding;
          let column = stride * w + j - padding;
          if (periodic) column = (column + columns) % columns;
          if (row < 0 || row >= rows || column < 0 || column >= columns) continue;
          y[((b * O + o) * rows + row) * columns + column]! += value * weight[((c * O + o) * k + i) * k + j]!;
        }
      }
    }
  });
  return y;
}

describe("convTranspose2d agrees with the reference", () => {
  test.for<[string, Axes, number, number, ConvOptions]>([
    ["doubling, periodic", [2, 3, 3, 4], 4, 4, { stride: 2, padding: 1, periodic: true }],
    ["doubling", [2, 3, 3, 4], 4, 4, { stride: 2, padding: 1 }],
    ["doubling, no quads", [1, 4, 2, 3], 2, 4, { stride: 2, padding: 1, periodic: true }],
    ["as a convolution, quads", [1, 2, 3, 8], 5, 3, { padding: 1, periodic: true }],
    ["with gaps", [1, 2, 3, 5], 2, 2, { stride: 3 }],
    ["more channels than a block", [1, 36, 2, 4], 3, 4, { stride: 2, padding: 1, periodic: true }],
  ])("%s", async ([, x, O, side, options]) => {
    const weight: Axes = [x[1], O, side, side];
    await checkOp(
      (...t) => convTranspose2d(t[0]!, t[1]!, t[2]!, options),
      (...t) => reference(t[0]!, x, t[1]!, weight, t[2]!, options),
      [x, weight, [O]],
    );
  });
});

test("a kernel of other channels is refused with both shapes", () => {
  const of = (...shape: number[]) => tensor(gpu, shape, new Float32Array(size(shape)));
  expect(() => convTranspose2d(of(1, 2, 4, 4), of(3, 1, 4, 4), of(1))).toThrow(
    "convTranspose2d: weight is [3,1,4,4], expected [2,1,4,4]",
  );
});
