// Sums over an axis.
import { record } from "../engine/autograd.ts";
import { kernel, run, threads } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";

const axis = kernel("reduce.wgsl", "axis");
const accumulateAxis = kernel("reduce.wgsl", "axis", { ACCUMULATE: 1 });
const spread = kernel("reduce.wgsl", "spread");

/**
 * The sum over one axis, which disappears.
 *
 * @param x      [..., N, ...]
 * @param which  the axis, counted from 0
 */
export function sumAxis(x: Tensor, which: number): Tensor {
  const params = folded(x, which);
  const y = empty(x.gpu, [...x.shape.slice(0, which), ...x.shape.slice(which + 1)]);
  run(axis, { x, y }, params, threads(size(y.shape)));
  return record(y, [x], (dy) => {
    const dx = empty(x.gpu, x.shape);
    run(spread, { x: dy, y: dx }, params, threads(size(x.shape)));
    return [dx];
  });
}

/**
 * The gradient of something broadcast along an axis: the sum of `dy` over it. Added to the gradient of a parameter
 * in place (then `null` is returned, as a backward pass wants it), else a new tensor.
 *
 * @param dy      [O, N, I] in any shape of that size
 * @param target  what was broadcast, [O, I] in any shape of that size
 */
export function sumInto(
  dy: Tensor,
  target: Tensor,
  [outer, count, inner]: readonly [number, number, number],
): Tensor | null {
  const params = { outer, count, inner };
  const y = target.grad ?? empty(dy.gpu, target.shape);
  run(target.grad ? accumulateAxis : axis, { x: dy, y }, params, threads(outer * inner));
  return target.grad ? null : y;
}

function folded(x: Tensor, which: number): { outer: number; count: number; inner: number } {
  const count = x.shape[which];
  if (count === undefined) throw new Error(`[${x.shape}] has no axis ${which}`);
  return { outer: size(x.shape.slice(0, which)), count, inner: size(x.shape.slice(which + 1)) };
}
