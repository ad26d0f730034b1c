// One matrix product, or a batch of them, with its epilogue: chooses the kernel that suits the adapter and the shapes.
import { type Kernel, kernel, run } from "../engine/kernel.ts";
import type { Tensor } from "../engine/tensor.ts";
import { type Noise, noiseWords } from "./noise.ts";

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

/** C = alpha A B (+ bias) (gelu) (* gelu') (* noise) (+ residual) (+ C), in this order. */
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
  /** Apply gelu; a tensor laid out like C keeps what it was applied to. */
  readonly gelu?: Tensor | boolean | undefined;
  /** Multiply by the slope of gelu at these values; laid out like C. */
  readonly slope?: Tensor | undefined;
  /** Dropout and drop path of the elements of C, which then begins its storage and has no batch. */
  readonly noise?: Noise | undefined;
  /** Add to what C holds. */
  readonly accumulate?: boolean;
}

/** Rows of C that one workgroup owns, and columns. */
const TILE = 64;
const SUBGROUP_ROWS = 32;

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
  const kept = typeof p.gelu === "object" ? p.gelu : undefined;
  const flags = {
    BIAS: p.bias ? 1 : 0,
    GELU: p.gelu ? 1 : 0,
    KEEP: kept ? 1 : 0,
    SLOPE: p.slope ? 1 : 0,
    NOISE: p.noise ? 1 : 0,
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
  const before = kept ?? p.slope ?? unused(2);
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
    ...(p.noise ? noiseStrides(p.noise) : strides(p)),
    b_base: b.base ?? 0,
    c_base: c.base ?? 0,
    alpha: p.alpha ?? 1,
  };
  const rows = entry === "tile" ? TILE : entry === "tn" ? 4 * lanes : SUBGROUP_ROWS;
  const columns = entry === "tile" ? TILE : 4 * lanes;
  run(variant, tensors, params, [Math.ceil(M / rows), Math.ceil(N / columns), batch[0] * batch[1]]);
}

function strides({ a, b, c }: Product) {
  return {
    a_outer: a.outer ?? 0,
    a_inner: a.inner ?? 0,
    b_outer: b.outer ?? 0,
    b_inner: b.inner ?? 0,
    c_outer: c.outer ?? 0,
    c_inner: c.inner ?? 0,
  };
}

/** The words of kernels/product.wgsl that carry noise instead of strides. */
function noiseStrides(noise: Noise) {
  const { threshold, path_threshold, share, seed, stream, step } = noiseWords(noise);
  return {
    a_outer: threshold,
    a_inner: path_threshold,
    b_outer: share,
    b_inner: seed,
    c_outer: stream,
    c_inner: step,
  };
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
