// Convolution as its formula says, in f64.
import type { ConvOptions } from "../../src/ops/conv2d.ts";

type Axes = readonly [number, number, number, number];

/** `conv2d` of x [B, C, H, W] by weight [O, C, k, k] and bias [O], point by point. */
export function convolvePlainly(
  x: Float64Array,
  [B, C, H, W]: Axes,
  weight: Float64Array,
  [O, , k]: Axes,
  bias: Float64Array,
  { stride = 1, padding = 0, periodic = false, slope = 1 }: ConvOptions,
): Float64Array {
  const rows = Math.floor((H + 2 * padding - k) / stride) + 1;
  const columns = Math.floor((W + 2 * padding - k) / stride) + 1;
  const y = new Float64Array(B * O * rows * columns);
  let at = 0;
  for (let b = 0; b < B; b++) {
    for (let o = 0; o < O; o++) {
      for (let h = 0; h < rows; h++) {
        for (let w = 0; w < columns; w++) {
          let sum = bias[o]!;
          for (let c = 0; c < C; c++) {
            for (let i = 0; i < k; i++) {
              for (let j = 0; j < k; j++) {
                const row = stride * h + i - padding;
                let column = stride * w + j - padding;
                if (periodic) column = (column + W) % W;
                if (row < 0 || row >= H || column < 0 || column >= W) continue;
                const value = x[((b * C + c) * H + row) * W + column]!;
                sum += weight[((o * C + c) * k + i) * k + j]! * value;
              }
            }
          }
          y[at++] = sum < 0 ? slope * sum : sum;
        }
      }
    }
  }
  return y;
}
