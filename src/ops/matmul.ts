// Matrix products, plain, batched and with the epilogues of a linear layer.
import { record } from "../engine/autograd.ts";
import { expectShape, type Kernel, kernel, run } from "../engine/kernel.ts";
import { empty, type Shape, size, type Tensor } from "../engine/tensor.ts";
import { geluBackward } from "./gelu.ts";
import { sumInto } from "./reduce.ts";

/** One matrix of a product, or a batch of them, inside a tensor. All lengths in floats. */
export interface Operand {
  readonly tensor: Tensor;
  /** From one stored row to the next. */
  readonly row: number;
  /** Stored as its transpose. */
  readonly transposed?: boolean;
  /** From one matrix of the batch to the next, in the outer and the inner batch axis. */
  readonly outer?: number;
  readonly inner?: number;
  /** Where the first matrix begins; not for A. */
  readonly base?: number;
}

/** C = alpha A B (+ bias) (gelu) (+ residual) (+ C). */
export interface Product {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly a: Operand;
  readonly b: Operand;
  readonly c: Operand;
  /** Outer and inner batch size; [1, 1] by default. */
  readonly batch?: readonly [number, number];
  readonly alpha?: number;
  /** [N] */
  readonly bias?: Tensor | undefined;
  /** Laid out like C. */
  readonly residual?: Tensor | undefined;
  /** Apply gelu, and keep here what it was applied to; laid out like C. */
  readonly gelu?: Tensor | undefined;
  /** Add to what C holds. */
  readonly accumulate?: boolean;
}

/** Rows of C that one workgroup owns, and columns. */
const TILE = 64;
const SUBGROUP_ROWS = 16;

type Flags = Readonly<Record<string, number>>;
const entries = {
  tile: (flags: Flags) => kernel("matmul.wgsl", "forward_tile", flags),
  nn: (flags: Flags) => kernel("matmul_subgroup.wgsl", "nn_block", flags),
  nt: (flags: Flags) => kernel("matmul_subgroup.wgsl", "nt_block", flags),
  tn: (flags: Flags) => kernel("matmul_subgroup.wgsl", "tn_block", flags),
  strided: (flags: Flags) => kernel("matmul_subgroup.wgsl", "strided_block", flags),
};
type Entry = keyof typeof entries;
const variants = new Map<string, Kernel>();

/** Records C = alpha A B with its epilogue, by the kernel that suits the adapter and the shapes. */
export function product(p: Product): void {
  const { gpu } = p.c.tensor;
  const { M, N, K, a, b, c, batch = [1, 1] } = p;
  const lanes = gpu.subgroupSize;
  const entry = choose(p, lanes);
  const flags = {
    BIAS: p.bias ? 1 : 0,
    GELU: p.gelu ? 1 : 0,
    RESIDUAL: p.residual ? 1 : 0,
    ACCUMULATE: p.accumulate ? 1 : 0,
    ...(entry === "tile" || entry === "strided"
      ? { A_TRANSPOSED: a.transposed ? 1 : 0, B_TRANSPOSED: b.transposed ? 1 : 0 }
      : {}),
  };
  const key = `${entry} ${Object.values(flags).join("")}`;
  const variant = variants.get(key) ?? entries[entry](flags);
  variants.set(key, variant);

  // WGSL counts a binding as used even where an override switches it off, so each gets something of its own.
  const unused = (i: number): Tensor => placeholder(c.tensor, i);
  const bias = p.bias ?? unused(0);
  const residual = p.residual ?? unused(1);
  const before = p.gelu ?? unused(2);
  const [A, B, C] = [a.tensor, b.tensor, c.tensor];
  const tensors = {
    tile: { a: A, b: B, c: C, bias, residual, before },
    strided: { a: A, b: B, c: C, bias, residual, before },
    nt: { a4: A, b4: B, c: C, bias, residual, before },
    nn: { a4: A, b4: B, c4: C, bias4: bias, residual4: residual, before4: before },
    tn: { a4: A, b4: B, c4: C, bias4: bias, residual4: residual, before4: before },
  }[entry];
  const params = {
    M,
    N,
    K,
    a_row: a.row,
    b_row: b.row,
    c_row: c.row,
    inner: batch[1],
    a_outer: a.outer ?? 0,
    a_inner: a.inner ?? 0,
    b_outer: b.outer ?? 0,
    b_inner: b.inner ?? 0,
    c_outer: c.outer ?? 0,
    c_inner: c.inner ?? 0,
    b_base: b.base ?? 0,
    c_base: c.base ?? 0,
    alpha: p.alpha ?? 1,
  };
  const rows = entry === "tile" ? TILE : entry === "tn" ? 4 * lanes : SUBGROUP_ROWS;
  const columns = entry === "tile" ? TILE : 4 * lanes;
  run(variant, tensors, params, [Math.ceil(M / rows), Math.ceil(N / columns), batch[0] * batch[1]]);
}

function choose({ M, N, K, a, b, c }: Product, lanes: number): Entry {
  if (lanes === 0 || lanes > SUBGROUP_ROWS) return "tile";
  const quads = (...lengths: (number | undefined)[]): boolean => lengths.every((n = 0) => n % 4 === 0);
  const aligned = [a, b, c].every(({ row, outer, inner, base }) => quads(row, outer, inner, base));
  if (!aligned) return "strided";
  if (!a.transposed && !b.transposed && quads(N, K)) return "nn";
  if (!a.transposed && b.transposed && quads(K)) return "nt";
  if (a.transposed && !b.transposed && quads(M, N, K)) return "tn";
  return "strided";
}

const placeholders = new WeakMap<object, Tensor[]>();

function placeholder({ gpu }: Tensor, i: number): Tensor {
  let known = placeholders.get(gpu);
  if (!known) {
    known = [0, 1, 2].map(() => ({ gpu, shape: [4], storage: gpu.pool.borrow(16), offset: 0 }));
    placeholders.set(gpu, known);
  }
  return known[i]!;
}

export interface MatmulOptions {
  /** a is stored [..., K, M]. */
  readonly transposeA?: boolean;
  /** b is stored [..., N, K]. */
  readonly transposeB?: boolean;
}

/**
 * The product of two matrices, or of two equal batches of them.
 *
 * @param a  [..., M, K], or [..., K, M] with transposeA
 * @param b  [..., K, N], or [..., N, K] with transposeB
 * @returns  [..., M, N]
 */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false }: MatmulOptions = {},
): Tensor {
  const [M, K] = transposeA ? lastTwo(a.shape).reverse() : lastTwo(a.shape);
  const [kOfB, N] = transposeB ? lastTwo(b.shape).reverse() : lastTwo(b.shape);
  const lead = a.shape.slice(0, -2);
  if (K !== kOfB) throw new Error(`matmul: [${a.shape}] and [${b.shape}] share no axis`);
  expectShape("matmul", "b", b, [...lead, ...lastTwo(b.shape)]);
  const y = empty(a.gpu, [...lead, M!, N!]);
  multiply(a, transposeA, b, transposeB, y);
  return record(y, [a, b], (dy) => {
    const da = empty(a.gpu, a.shape);
    const db = empty(b.gpu, b.shape);
    // y = A B: dA = dy B^T, dB = A^T dy; stored transposed, each is the transpose of that.
    if (transposeA) multiply(b, transposeB, dy, true, da);
    else multiply(dy, false, b, !transposeB, da);
    if (transposeB) multiply(dy, true, a, transposeA, db);
    else multiply(a, !transposeA, dy, false, db);
    return [da, db];
  });
}

/** y = op(a) op(b) over equal batches. */
function multiply(a: Tensor, transposeA: boolean, b: Tensor, transposeB: boolean, y: Tensor): void {
  const [M, N] = lastTwo(y.shape) as [number, number];
  const K = transposeA ? a.shape.at(-2)! : a.shape.at(-1)!;
  const operand = (tensor: Tensor, transposed: boolean): Operand => ({
    tensor,
    transposed,
    row: tensor.shape.at(-1)!,
    inner: size(tensor.shape.slice(-2)),
  });
  product({
    M,
    N,
    K,
    a: operand(a, transposeA),
    b: operand(b, transposeB),
    c: operand(y, false),
    batch: [1, size(y.shape.slice(0, -2))],
  });
}

function lastTwo(shape: Shape): number[] {
  if (shape.length < 2) throw new Error(`matmul: [${shape}] is no matrix`);
  return shape.slice(-2);
}

export interface LinearOptions {
  /** Apply gelu to the result. */
  readonly gelu?: boolean;
  /** Added to the result, [..., N]. */
  readonly residual?: Tensor;
}

/**
 * A linear layer `y = x W^T + bias`, then gelu, then plus a residual, in one kernel.
 *
 * @param x       [..., K]
 * @param weight  [N, K], torch.nn.Linear's layout
 * @param bias    [N]
 * @returns       [..., N]
 * @throws        ClimaxError "shape"
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  { gelu = false, residual }: LinearOptions = {},
): Tensor {
  const { gpu } = x;
  const K = x.shape.at(-1)!;
  const N = weight.shape[0]!;
  const M = size(x.shape) / K;
  expectShape("linear", "weight", weight, [N, K]);
  if (bias) expectShape("linear", "bias", bias, [N]);
  const y = empty(gpu, [...x.shape.slice(0, -1), N]);
  if (residual) expectShape("linear", "residual", residual, y.shape);
  const before = gelu ? empty(gpu, y.shape) : undefined;
  product({
    M,
    N,
    K,
    a: { tensor: x, row: K },
    b: { tensor: weight, row: K, transposed: true },
    c: { tensor: y, row: N },
    bias,
    residual,
    gelu: before,
  });
  const inputs = [x, weight, ...(bias ? [bias] : []), ...(residual ? [residual] : [])];
  return record(y, inputs, (dy) => {
    const dh = before ? geluBackward(dy, before) : dy; // dL/d(x W^T + bias)
    const dx = empty(gpu, x.shape);
    product({
      M,
      N: K,
      K: N,
      a: { tensor: dh, row: N },
      b: { tensor: weight, row: K },
      c: { tensor: dx, row: K },
    });
    const dweight = weight.grad ?? empty(gpu, weight.shape);
    product({
      M: N,
      N: K,
      K: M,
      a: { tensor: dh, row: N, transposed: true },
      b: { tensor: x, row: K },
      c: { tensor: dweight, row: K },
      accumulate: weight.grad !== undefined,
    });
    const dbias = bias ? [sumInto(dh, bias, [1, M, N])] : [];
    return [dx, weight.grad ? null : dweight, ...dbias, ...(residual ? [dy] : [])];
  });
}
