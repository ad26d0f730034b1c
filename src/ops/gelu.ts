// The exact Gaussian error linear unit.
import { record } from "../engine/autograd.ts";
import { kernel, quads, run } from "../engine/kernel.ts";
import { empty, emptyLike, size, type Tensor } from "../engine/tensor.ts";

const forward = kernel("elementwise.wgsl", "gelus");
const slopes = kernel("elementwise.wgsl", "gelu_slopes");
const halfSlopes = kernel("elementwise.wgsl", "half_gelu_slopes");

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

/** dL/dx from dL/dy, for y = gelu(x); all of f32 or all of f16. */
export function geluBackward(dy: Tensor, x: Tensor): Tensor {
  if (dy.type !== x.type) throw new Error(`geluBackward: dy of ${dy.type ?? "f32"}, x of ${x.type ?? "f32"}`);
  const dx = emptyLike(x);
  const params = { length: size(x.shape), factor: 1 };
  if (x.type === "f16") run(halfSlopes, { a_half: dy, b_half: x, y_half: dx }, params, quads(params.length));
  else run(slopes, { a: dy, b: x, y: dx }, params, quads(params.length));
  return dx;
}
