// Softmax over the last axis.
import { record } from "../engine/autograd.ts";
import { kernel, run } from "../engine/kernel.ts";
import { copy, empty, size, type Tensor } from "../engine/tensor.ts";

const forwardRows = kernel("softmax.wgsl", "forward_rows");
const forwardRows4 = kernel("softmax.wgsl", "forward_rows4");
const backwardRows = kernel("softmax.wgsl", "backward_rows");
const backwardRows4 = kernel("softmax.wgsl", "backward_rows4");

/**
 * `y = exp(x) / sum of exp(x)` over the last axis.
 *
 * @param x  [..., C]
 * @returns  [..., C]
 */
export function softmax(x: Tensor): Tensor {
  const y = duplicate(x);
  softmaxInPlace(y);
  return record(y, [x], (dy) => {
    const dx = duplicate(dy);
    softmaxBackwardInPlace(y, dx);
    return [dx];
  });
}

/** Turns scores into weights where they lie. Not noted on the tape: for ops that write their own backward. */
export function softmaxInPlace(y: Tensor): void {
  const columns = y.shape.at(-1)!;
  const rows = size(y.shape) / columns;
  if (columns % 4 === 0) run(forwardRows4, { y4: y }, { rows, columns }, rows);
  else run(forwardRows, { y }, { rows, columns }, rows);
}

/** Turns the gradient by the weights y into that by the scores, where it lies. */
export function softmaxBackwardInPlace(y: Tensor, dy: Tensor): void {
  const columns = y.shape.at(-1)!;
  const rows = size(y.shape) / columns;
  if (columns % 4 === 0) run(backwardRows4, { y4: y, dy4: dy }, { rows, columns }, rows);
  else run(backwardRows, { y, dy }, { rows, columns }, rows);
}

function duplicate(x: Tensor): Tensor {
  const y = empty(x.gpu, x.shape);
  copy(x, y);
  return y;
}
