// Arithmetic on tensors of equal shape.
import { record } from "../engine/autograd.ts";
import { expectShape, kernel, quads, run } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";

const adds = kernel("elementwise.wgsl", "add");
const approaches = kernel("elementwise.wgsl", "approach");
const scales = kernel("elementwise.wgsl", "scale");

/** `a + b`, for tensors of one shape. Nothing is broadcast. */
export function add(a: Tensor, b: Tensor): Tensor {
  expectShape("add", "b", b, a.shape);
  const y = empty(a.gpu, a.shape);
  const length = size(a.shape);
  run(adds, { a, b, y }, { length, factor: 1 }, quads(length));
  return record(y, [a, b], (dy) => [dy, dy]);
}

/** Lets `y` go by `factor` of the way towards `a`, in place and off the tape: `y = y + factor (a - y)`. */
export function approach(y: Tensor, a: Tensor, factor: number): void {
  expectShape("approach", "a", a, y.shape);
  const length = size(a.shape);
  run(approaches, { a, y }, { length, factor }, quads(length));
}

/** `factor * a`, for a number known when the op is recorded. */
export function scale(a: Tensor, factor: number): Tensor {
  const length = size(a.shape);
  const times = (x: Tensor): Tensor => {
    const y = empty(a.gpu, a.shape);
    run(scales, { a: x, y }, { length, factor }, quads(length));
    return y;
  };
  return record(times(a), [a], (dy) => [times(dy)]);
}
