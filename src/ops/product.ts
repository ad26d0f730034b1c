// One matrix product, or a batch of them, with its epilogue: chooses the kernel that suits the adapter and the shapes.
import type { Gpu } from "../engine/device.ts";
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

/** Rows and columns of C that a workgroup of a GPU owns: many where there is much to do, few for small products. */
const LARGE = 128;
const SMALL = 64;
/** With fewer large blocks than this a GPU of the day would be half idle: an H100 runs 132 workgroups side by side. */
const FEW_BLOCKS = 128;

/**
 * Lanes of the subgroups that kernels broadcast by on software adapters, where workgroup memory and barriers cost more
 * than the arithmetic; 0 for GPUs, whose subgroups are wider or of no fixed size.
 */
export function broadcastLanes({ subgroupSize }: Gpu): number {
  return subgroupSize <= 16 ? subgroupSize : 0;
}

type Flags = Readonly<Record<string, number>>;
const entries = {
  tileAligned: (flags: Flags) => kernel("matmul.wgsl", "aligned_block", flags),
  tileStrided: (flags: Flags) => kernel("matmul.wgsl", "strided_block", flags),
  matrixAligned: (flags: Flags) => kernel("matmul_matrix.wgsl", "aligned_block", flags),
  matrixStrided: (flags: Flags) => kernel("matmul_matrix.wgsl", "strided_block", flags),
  nn: (flags: Flags) => kernel("matmul_subgroup.wgsl", "nn_block", flags),
  nt: (flags: Flags) => kernel("matmul_subgroup.wgsl", "nt_block", flags),
  tn: (flags: Flags) => kernel("matmul_subgroup.wgsl", "tn_block", flags),
  strided: (flags: Flags) => kernel("matmul_subgroup.wgsl", "strided_block", flags),
};
interface Choice {
  readonly entry: keyof typeof entries;
  /** Rows and columns of C that a workgroup owns. */
  readonly block: number;
  /** Whether the entry stores C by quads. */
  readonly quads: boolean;
  readonly flags: Flags;
}
const variants = new Map<string, Kernel>();

/** Records C = alpha A B with its epilogue, by the kernel that suits the adapter and the shapes. */
export function product(p: Product): void {
  const { M, N, K, a, b, c, batch = [1, 1] } = p;
  if (a.tensor.type === "f16") throw new Error("product: only B may be stored as f16");
  const choice = choose(p);
  const kept = typeof p.gelu === "object" ? p.gelu : undefined;
  const halfB = b.tensor.type === "f16";
  const flags = {
    BIAS: p.bias ? 1 : 0,
    GELU: p.gelu ? 1 : 0,
    KEEP: kept ? 1 : 0,
    SLOPE: p.slope ? 1 : 0,
    NOISE: p.noise ? 1 : 0,
    RESIDUAL: p.residual ? 1 : 0,
    ACCUMULATE: p.accumulate ? 1 : 0,
    A_TRANSPOSED: a.transposed ? 1 : 0,
    B_TRANSPOSED: b.transposed ? 1 : 0,
    B_HALF: halfB ? 1 : 0,
    ...choice.flags,
  };
  const key = `${choice.entry} ${Object.values(flags).join(" ")}`;
  const variant = variants.get(key) ?? entries[choice.entry](flags);
  variants.set(key, variant);

  // WGSL counts a binding as used even where an override switches it off, so each gets something of its own.
  const unused = (i: number): Tensor => placeholder(c.tensor, i);
  const bias = p.bias ?? unused(0);
  const residual = p.residual ?? unused(1);
  const before = kept ?? p.slope ?? unused(2);
  const operands = {
    a4: a.tensor,
    b4: halfB ? unused(3) : b.tensor,
    b_half: halfB ? b.tensor : unused(3),
  };
  const results = choice.quads
    ? { c4: c.tensor, bias4: bias, residual4: residual, before4: before }
    : { c: c.tensor, bias, residual, before };
  const params = {
    M,
    N,
    K,
    a_row: a.row,
    b_row: b.row,
    c_row: c.row,
    inner: batch[1],
    b_base: b.base ?? 0,
    ...(p.noise ? noiseStrides(p.noise) : strides(p)),
    alpha: p.alpha ?? 1,
  };
  const { block } = choice;
  const workgroups = [Math.ceil(M / block), Math.ceil(N / block), batch[0] * batch[1]] as const;
  run(variant, { ...operands, ...results }, params, workgroups);
}

function strides({ a, b, c }: Product) {
  return {
    a_outer: a.outer ?? 0,
    a_inner: a.inner ?? 0,
    b_outer: b.outer ?? 0,
    b_inner: b.inner ?? 0,
    c_outer: c.outer ?? 0,
    c_inner: c.inner ?? 0,
    c_base: c.base ?? 0,
  };
}

/** The words of kernels/product.wgsl that carry noise instead of strides. */
function noiseStrides(noise: Noise) {
  const { threshold, path_threshold, share, seed, stream, step, first } = noiseWords(noise);
  return {
    a_outer: threshold,
    a_inner: path_threshold,
    b_outer: share,
    b_inner: seed,
    c_outer: stream,
    c_inner: step,
    c_base: first,
  };
}

function choose(p: Product): Choice {
  const { M, N, K, a, b, c, batch = [1, 1] } = p;
  const { matrices, precision } = c.tensor.gpu;
  const lanes = broadcastLanes(c.tensor.gpu);
  const quads = (...lengths: (number | undefined)[]): boolean => lengths.every((n = 0) => n % 4 === 0);
  const aligned =
    [a, b, c].every(({ row, outer, inner, base }) => quads(row, outer, inner, base)) &&
    quads(a.transposed ? M : K, b.transposed ? K : N);
  if (lanes > 0) {
    const choice = { block: 4 * lanes, flags: {} };
    if (aligned && !a.transposed && b.transposed && quads(N)) return { ...choice, entry: "nt", quads: true };
    if (aligned && !a.transposed && quads(N, K)) return { ...choice, entry: "nn", quads: true };
    if (aligned && a.transposed && !b.transposed && quads(K)) return { ...choice, entry: "tn", quads: true };
    return { ...choice, entry: "strided", quads: false };
  }
  const large = Math.ceil(M / LARGE) * Math.ceil(N / LARGE) * batch[0] * batch[1];
  const block = large < FEW_BLOCKS || Math.min(M, N) <= SMALL ? SMALL : LARGE;
  const byQuads = aligned && quads(N);
  const flags = { BLOCK: block, ALIGNED: byQuads ? 1 : 0 };
  if (precision === "f16" && matrices) {
    return { entry: byQuads ? "matrixAligned" : "matrixStrided", block, quads: byQuads, flags };
  }
  return { entry: byQuads ? "tileAligned" : "tileStrided", block, quads: byQuads, flags };
}

const placeholders = new WeakMap<object, Tensor[]>();

function placeholder({ gpu }: Tensor, i: number): Tensor {
  let known = placeholders.get(gpu);
  if (!known) {
    known = [0, 1, 2, 3].map(() => ({ gpu, shape: [4], storage: gpu.pool.borrow(16), offset: 0 }));
    placeholders.set(gpu, known);
  }
  return known[i]!;
}
