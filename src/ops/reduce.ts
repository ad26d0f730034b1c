// Sums over an axis.
import { kernel, quads, run, threads } from "../engine/kernel.ts";
import { empty, free, type Tensor } from "../engine/tensor.ts";

const axis = [0, 1].map((ACCUMULATE) => kernel("reduce.wgsl", "axis", { ACCUMULATE }));
const axis4 = [0, 1].map((ACCUMULATE) => kernel("reduce.wgsl", "axis4", { ACCUMULATE }));

/** Elements that one thread adds up when an axis is long enough to be shared; the shares are then added up alike. */
export const SHARE = 64;

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
  const { gpu } = dy;
  if (count > 2 * SHARE) {
    const shares = Math.ceil(count / SHARE);
    const partial = empty(gpu, [outer, shares, inner]);
    sumBlocks(dy, partial, { outer, count, inner, block: SHARE }, false);
    const sum = sumInto(partial, target, [outer, shares, inner]);
    free(partial);
    return sum;
  }
  const y = target.grad ?? empty(gpu, target.shape);
  sumBlocks(dy, y, { outer, count, inner, block: count }, target.grad !== undefined);
  return target.grad ? null : y;
}

function sumBlocks(
  x: Tensor,
  y: Tensor,
  params: { outer: number; count: number; inner: number; block: number },
  accumulate: boolean,
): void {
  const { outer, count, inner, block } = params;
  const length = outer * Math.ceil(count / block) * inner;
  const variant = accumulate ? 1 : 0;
  if (inner % 4 === 0) run(axis4[variant]!, { x4: x, y4: y }, params, quads(length));
  else run(axis[variant]!, { x, y }, params, threads(length));
}
