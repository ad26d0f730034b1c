// Dropout of elements, and of whole residual branches (drop path).
import { record } from "../engine/autograd.ts";
import { kernel, quads, run } from "../engine/kernel.ts";
import type { Draw } from "../engine/random.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";

const mask = kernel("dropout.wgsl", "mask");

/**
 * Sets elements to zero with probability `rate` and scales the others by 1 / (1 - rate).
 *
 * @param draw  names the random numbers; the backward pass draws the same ones again
 * @see         Srivastava et al. 2014
 */
export function dropout(x: Tensor, rate: number, draw: Draw): Tensor {
  return rate === 0 ? x : masked(x, rate, draw, 1);
}

/**
 * Drops whole samples of a residual branch with probability `rate` and scales the others by 1 / (1 - rate).
 *
 * @param x  [B, ...]
 * @see      Huang et al. 2016, arXiv:1603.09382 (stochastic depth)
 */
export function dropPath(x: Tensor, rate: number, draw: Draw): Tensor {
  return rate === 0 ? x : masked(x, rate, draw, size(x.shape.slice(1)));
}

function masked(x: Tensor, rate: number, { seed, stream, step }: Draw, share: number): Tensor {
  if (!(rate >= 0 && rate < 1)) throw new Error(`a dropout rate of ${rate} is not in [0, 1)`);
  const length = size(x.shape);
  const params = {
    length,
    share,
    threshold: Math.floor(rate * 2 ** 32),
    factor: 1 / (1 - rate),
    seed,
    stream,
    step,
  };
  const apply = (from: Tensor): Tensor => {
    const y = empty(x.gpu, x.shape);
    run(mask, { x: from, y }, params, quads(length));
    return y;
  };
  return record(apply(x), [x], (dy) => [apply(dy)]);
}
