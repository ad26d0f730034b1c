// The exact Gaussian error linear unit.
import { record } from "../engine/autograd.ts";
import { kernel, quads, run } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";

const forward = kernel("elementwise.wgsl", "gelus");
const slopes = kernel("elementwise.wgsl", "gelu_slopes");

/**
 * `y = x Phi(x)`, with the error function, not its tanh fit.
 *
 * @see Hendrycks and Gimpel 2016, arXiv:1606.08415; torch.nn.GELU's default
 */
export function gelu(x: Tensor): Tensor {
  const y = empty(x.gpu, x.shape);
  const length = size(x.shape);
  run(forward, { a: x, y }, { length, factor: 1 }, quads(length));
  return record(y, [x], (dy) => [geluBackward(dy, x)]);
}

/** dL/dx from dL/dy, for y = gelu(x). */
export function geluBackward(dy: Tensor, x: Tensor): Tensor {
  const dx = empty(x.gpu, x.shape);
  const length = size(x.shape);
  run(slopes, { a: dy, b: x, y: dx }, { length, factor: 1 }, quads(length));
  return dx;
}
