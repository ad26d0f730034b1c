// Between f32 and f16: weights that are only read, and activations that only products and attention read.
import { record } from "../engine/autograd.ts";
import { kernel, quads, run } from "../engine/kernel.ts";
import { empty, emptyHalf, size, type Tensor } from "../engine/tensor.ts";

const forwardQuads = kernel("cast.wgsl", "forward_quads");
const backwardQuads = kernel("cast.wgsl", "backward_quads");

/** `x` rounded to the nearest f16, of the same shape; its gradient comes as f16 and goes on as f32. */
export function cast(x: Tensor): Tensor {
  return record(narrowed(x), [x], (dy) => [widened(dy)]);
}

/** `x` as only products will read it: `cast` where those take f16 anyway and its rows are whole vec4s, else itself. */
export function asOperand(x: Tensor): Tensor {
  return x.gpu.precision === "f16" && x.shape.at(-1)! % 4 === 0 ? cast(x) : x;
}

/** What `cast` made, as f32 again, exactly; its gradient is rounded to f16. */
export function widen(x: Tensor): Tensor {
  return record(widened(x), [x], (dy) => [narrowed(dy)]);
}

/** Rounds what x holds now into its halves, where it has room for them. */
export function keepHalves(x: Tensor): void {
  if (x.half) narrow(x, x.half);
}

function narrowed(x: Tensor): Tensor {
  const y = emptyHalf(x.gpu, x.shape);
  narrow(x, y);
  return y;
}

function narrow(x: Tensor, y: Tensor): void {
  const count = size(x.shape);
  run(forwardQuads, { x, y }, { count }, quads(count));
}

function widened(y: Tensor): Tensor {
  const x = empty(y.gpu, y.shape);
  const count = size(y.shape);
  run(backwardQuads, { halves: y, wide: x }, { count }, quads(count));
  return x;
}
