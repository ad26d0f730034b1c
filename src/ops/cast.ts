// Weights in f16.
import { kernel, quads, run } from "../engine/kernel.ts";
import { emptyHalf, size, type Tensor } from "../engine/tensor.ts";

const forwardQuads = kernel("cast.wgsl", "forward_quads");

/** `x` rounded to f16, for products that read it as their second operand; not differentiable. */
export function cast(x: Tensor): Tensor {
  const y = emptyHalf(x.gpu, x.shape);
  const count = size(x.shape);
  run(forwardQuads, { x, y }, { count }, quads(count));
  return y;
}
