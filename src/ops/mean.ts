// Means over an axis.
import { record } from "../engine/autograd.ts";
import type { Gpu } from "../engine/device.ts";
import { empty, type Tensor, tensor } from "../engine/tensor.ts";
import { product } from "./product.ts";

/**
 * The mean of the rows of each matrix, as a product with a row of ones.
 *
 * @param x  [B, L, D]
 * @returns  [B, D]
 */
export function meanRows(x: Tensor): Tensor {
  const { gpu } = x;
  const [B, L, D] = x.shape as [number, number, number];
  const ones = rowOfOnes(gpu, L);
  const y = empty(gpu, [B, D]);
  product({
    ...{ M: 1, N: D, K: L, batch: [1, B], alpha: 1 / L },
    a: { tensor: ones, row: L },
    b: { tensor: x, row: D, inner: L * D },
    c: { tensor: y, row: D, inner: D },
  });
  return record(y, [x], (dy) => {
    const dx = empty(gpu, x.shape);
    product({
      ...{ M: L, N: D, K: 1, batch: [1, B], alpha: 1 / L },
      a: { tensor: ones, row: 1 },
      b: { tensor: dy, row: D, inner: D },
      c: { tensor: dx, row: D, inner: L * D },
    });
    return [dx];
  });
}

function rowOfOnes(gpu: Gpu, length: number): Tensor {
  return tensor(gpu, [length], new Float32Array(length).fill(1));
}
