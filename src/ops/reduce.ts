// Sums over an axis.
import { kernel, quads, run, threads } from "../engine/kernel.ts";
import { limitsOf } from "../engine/limits.ts";
import { empty, free, gradientRoom, type Tensor } from "../engine/tensor.ts";
import { broadcastLanes } from "./product.ts";

const axis = [0, 1].map((ACCUMULATE) => kernel("reduce.wgsl", "axis", { ACCUMULATE }));
const axis4 = [0, 1].map((ACCUMULATE) => kernel("reduce.wgsl", "axis4", { ACCUMULATE }));
const columns = [0, 1].map((ACCUMULATE) => kernel("reduce.wgsl", "columns", { ACCUMULATE }));
const halfColumns = [0, 1].map((ACCUMULATE) => kernel("reduce.wgsl", "columns", { ACCUMULATE }, ["HALF"]));
const pairColumns = [0, 1].map((ACCUMULATE) => kernel("reduce.wgsl", "pair_columns", { ACCUMULATE }));

/** Elements that one thread adds up when an axis is long enough to be shared; the shares are then added up alike. */
export const SHARE = 64;

/** Elements of a row that a workgroup of `columns` adds up over its block. */
const COLUMNS = 64;
/** Rows that such a workgroup adds up without another's help: two rounds of eight loads for each of its threads. */
const MOST_ROWS = 256;
/** Workgroups that fill a large GPU, eight on each of 132 processors; each then has at least LEAST_ROWS rows. */
const WORKGROUPS = 1056;
const LEAST_ROWS = 64;
/** With so many columns to add up a thread each fills a GPU. */
const MANY_COLUMNS = 2 ** 18;

type Axes = Readonly<Record<"outer" | "count" | "inner", number>>;

/**
 * The gradient of something broadcast along an axis: the sum of `dy` over it. Added to the gradient of a parameter
 * in place (then `null` is returned, as a backward pass wants it), else a new tensor.
 *
 * @param dy      [O, N, I] in any shape of that size; f32, or f16 with I a multiple of 4
 * @param target  what was broadcast, [O, I] in any shape of that size
 * @returns       f32
 */
export function sumInto(
  dy: Tensor,
  target: Tensor,
  [outer, count, inner]: readonly [number, number, number],
): Tensor | null {
  const { gpu, type } = dy;
  if (type === "f16" && inner % 4 > 0) throw new Error(`sumInto: rows of ${inner} f16 are no whole vec4s`);
  const block = blockOf(dy, { outer, count, inner });
  if (count > block) {
    const shares = Math.ceil(count / block);
    const partial = empty(gpu, [outer, shares, inner]);
    sumBlocks(dy, partial, { outer, count, inner, block }, false);
    const sum = sumInto(partial, target, [outer, shares, inner]);
    free(partial);
    return sum;
  }
  const { into, accumulate, result } = gradientRoom(target);
  sumBlocks(dy, into, { outer, count, inner, block }, accumulate);
  return result;
}

/**
 * `sumInto` of two targets at once.
 *
 * @param dy       [2, N, I], I a multiple of 4, N at most some hundreds
 * @param targets  [I] each
 */
export function sumPairInto(
  dy: Tensor,
  targets: readonly [Tensor, Tensor],
  [count, inner]: readonly [number, number],
): [Tensor | null, Tensor | null] {
  const { gpu } = dy;
  const fresh = targets.some(({ grad }) => grad === undefined);
  // One of two may be frozen: then neither sum is added to what is there.
  const [first, second] = targets.map((t) => (fresh ? empty(gpu, t.shape) : t.grad!)) as [Tensor, Tensor];
  const params = { outer: 2, count, inner, block: count };
  const groups = [Math.ceil(inner / COLUMNS), 1, 2] as const;
  run(pairColumns[fresh ? 0 : 1]!, { x4: dy, first4: first, second4: second }, params, groups);
  return fresh ? [first, second] : [null, null];
}

/** How many elements along the axis one thread, or one workgroup, adds up. */
function blockOf(dy: Tensor, axes: Axes): number {
  const { outer, count, inner } = axes;
  if (!byColumns(dy, axes)) return count > 2 * SHARE ? SHARE : count;
  if (count <= MOST_ROWS) return count;
  const shares = Math.ceil(WORKGROUPS / (outer * Math.ceil(inner / COLUMNS)));
  return Math.max(LEAST_ROWS, Math.ceil(count / shares));
}

/** Whether workgroups share the columns: on GPUs, unless there are so many that a thread can have one to itself. */
function byColumns({ gpu, type }: Tensor, { outer, count, inner }: Axes): boolean {
  if (type === "f16") return true;
  const few = outer * inner < MANY_COLUMNS || count > 2 * SHARE;
  const fits = inner % 4 === 0 && outer <= limitsOf(gpu).maxComputeWorkgroupsPerDimension;
  return broadcastLanes(gpu) === 0 && fits && few;
}

function sumBlocks(
  x: Tensor,
  y: Tensor,
  params: Axes & Readonly<Record<"block", number>>,
  accumulate: boolean,
): void {
  const { outer, count, inner, block } = params;
  const blocks = Math.ceil(count / block);
  const variant = accumulate ? 1 : 0;
  if (byColumns(x, params)) {
    const groups = [Math.ceil(inner / COLUMNS), blocks, outer] as const;
    if (x.type === "f16") run(halfColumns[variant]!, { halves4: x, y4: y }, params, groups);
    else run(columns[variant]!, { x4: x, y4: y }, params, groups);
    return;
  }
  const length = outer * blocks * inner;
  if (inner % 4 === 0) run(axis4[variant]!, { x4: x, y4: y }, params, quads(length));
  else run(axis[variant]!, { x, y }, params, threads(length));
}
