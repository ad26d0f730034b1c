// The leaky rectifier.
import { record } from "../engine/autograd.ts";
import { kernel, quads, run } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";

const forwards = kernel("leakyrelu.wgsl", "forward");
const backwards = kernel("leakyrelu.wgsl", "backward");

/**
 * `x` where it is positive, `slope * x` where it is negative.
 *
 * @param slope  above 0: the backward pass tells by the sign of y which side x was on
 * @see          Maas et al. 2013
 */
export function leakyrelu(x: Tensor, slope: number): Tensor {
  if (!(slope > 0)) throw new Error(`leakyrelu: a slope of ${slope} is not above 0`);
  const y = empty(x.gpu, x.shape);
  const length = size(x.shape);
  run(forwards, { x, y }, { length, slope }, quads(length));
  return record(y, [x], (dy) => [leakyreluBackward(dy, y, slope)]);
}

/** dL/dx from dL/dy and y, not noted on the tape. */
export function leakyreluBackward(dy: Tensor, y: Tensor, slope: number): Tensor {
  const dx = empty(y.gpu, y.shape);
  const length = size(y.shape);
  run(backwards, { dy, kept: y, y: dx }, { length, slope }, quads(length));
  return dx;
}
