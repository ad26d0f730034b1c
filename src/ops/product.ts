// One matrix product, or a batch of them, with its epilogue: chooses the kernel that suits the adapter and the shapes.
import type { Gpu } from "../engine/device.ts";
import { type Kernel, kernel, run } from "../engine/kernel.ts";
import { limitsOf } from "../engine/limits.ts";
import type { Tensor } from "../engine/tensor.ts";
import { asPanels, asTiles, fitsPanels, fitsTiles, type StoredMatrix } from "../engine/texels.ts";
import { type Noise, noiseWords } from "./noise.ts";

/** One matrix of a product, or a batch of them, inside a tensor. All lengths in elements. */
export interface Operand {
  /** Of f32; B of either type, and where the device's precision is f16 also A and C. */
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
  /** Apply gelu; a tensor laid out like C, of either type, keeps what it was applied to. */
  readonly gelu?: Tensor | boolean | undefined;
  /** Multiply by the slope of gelu at these values; laid out like C, of either type. */
  readonly slope?: Tensor | undefined;
  /** Dropout and drop path of the elements of C, which then begins its storage and has no batch. */
  readonly noise?: Noise | undefined;
  /** Add to what C holds. */
  readonly accumulate?: boolean;
}

/** Rows and columns of C that a workgroup of a GPU owns: many where there is much to do, few for small products. */
const LARGE = 128;
const SMALL = 64;
/** k's that `matmul.wgsl` takes at a time. */
const TILE_DEPTH = 16;
/** With fewer large blocks than this a GPU of the day would be half idle: an H100 runs 132 workgroups side by side. */
const FEW_BLOCKS = 128;

/** The same for subgroup matrices, largest first, and how many matrices of 16 x 16 a subgroup has in each direction. */
const MATRIX_BLOCKS = [
  { HEIGHT: 256, WIDTH: 128, SIDE: 4 },
  { HEIGHT: 128, WIDTH: 128, SIDE: 4 },
  { HEIGHT: 64, WIDTH: 64, SIDE: 2 },
] as const;
/** One workgroup of a large block fills a processor: on an H100 96 of them keep three quarters of it busy. */
const FEW_MATRIX_BLOCKS = 96;
/** k's that `matmul_matrix.wgsl` takes at a time. */
const MATRIX_DEPTH = 32;

/**
 * Lanes of the subgroups that kernels broadcast by on software adapters, where workgroup memory and barriers cost more
 * than the arithmetic; 0 for GPUs, whose subgroups are wider or of no fixed size.
 */
export function broadcastLanes({ subgroupSize }: Gpu): number {
  return subgroupSize <= 16 ? subgroupSize : 0;
}

type Flags = Readonly<Record<string, number>>;
type Choices = readonly string[];
const entries = {
  tileAligned: (flags: Flags, choices: Choices) => kernel("matmul.wgsl", "aligned_block", flags, choices),
  tileStrided: (flags: Flags, choices: Choices) => kernel("matmul.wgsl", "strided_block", flags, choices),
  matrix: (flags: Flags, choices: Choices) => kernel("matmul_matrix.wgsl", "aligned_block", flags, choices),
  nn: (flags: Flags, choices: Choices) => kernel("matmul_subgroup.wgsl", "nn_block", flags, choices),
  nt: (flags: Flags, choices: Choices) => kernel("matmul_subgroup.wgsl", "nt_block", flags, choices),
  tn: (flags: Flags, choices: Choices) => kernel("matmul_subgroup.wgsl", "tn_block", flags, choices),
  strided: (flags: Flags, choices: Choices) =>
    kernel("matmul_subgroup.wgsl", "strided_block", flags, choices),
  texels: (flags: Flags, choices: Choices) => kernel("matmul_texels_subgroup.wgsl", "block", flags, choices),
};
interface Choice {
  readonly entry: keyof typeof entries;
  /** Rows and columns of C that a workgroup owns. */
  readonly block: readonly [number, number];
  /** Whether the entry stores C by quads. */
  readonly quads: boolean;
  readonly flags: Flags;
}
const variants = new Map<string, Kernel>();

/** Records C = alpha A B with its epilogue, by the kernel that suits the adapter and the shapes. */
export function product(p: Product): void {
  const { M, N, K, a, c, batch = [1, 1] } = p;
  const { precision } = c.tensor.gpu;
  const b = precision === "f16" ? { ...p.b, tensor: halfOf(p.b.tensor) } : p.b;
  const choice = choose(p);
  const kept = typeof p.gelu === "object" ? p.gelu : undefined;
  const before = kept ?? p.slope;
  const stored = { A: a.tensor, B: b.tensor, C: c.tensor, BEFORE: before };
  const choices = Object.entries(stored).flatMap(([name, t]) => (t?.type === "f16" ? `${name}_HALF` : []));
  if (precision === "f32" && choices.some((name) => name !== "B_HALF")) {
    throw new Error("product: a device of precision f32 takes only B as f16");
  }
  if (c.tensor.type === "f16" && p.accumulate) throw new Error("product: sums of f16 are not added to");
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
    ...choice.flags,
  };
  const key = `${choice.entry} ${Object.values(flags).join(" ")} ${choices.join(" ")}`;
  const variant = variants.get(key) ?? entries[choice.entry](flags, choices);
  variants.set(key, variant);

  // WGSL counts a binding as used even where an override switches it off, so each gets something of its own.
  const unused = (i: number): Tensor => placeholder(c.tensor, i);
  const bias = p.bias ?? unused(0);
  const residual = p.residual ?? unused(1);
  const others = choice.quads
    ? { c4: c.tensor, bias4: bias, residual4: residual, before4: before ?? unused(2) }
    : { c: c.tensor, bias, residual, before: before ?? unused(2) };
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
  const [height, width] = choice.block;
  const { FLIPPED } = choice.flags; // where it is C^T whose blocks are computed
  const [rows, columns] = FLIPPED ? [N, M] : [M, N];
  const workgroups = [Math.ceil(rows / height), Math.ceil(columns / width), batch[0] * batch[1]] as const;
  const operands = choice.entry === "texels" ? texelsOf(p, FLIPPED === 1) : { a4: a.tensor, b4: b.tensor };
  run(variant, { ...operands, ...others }, params, workgroups);
}

/** A and B as matrices of their own, without a batch: as [M, K] and [K, N]. */
function factors({ a, b, M, N, K }: Product): readonly [StoredMatrix, StoredMatrix] {
  const stored = (
    { tensor, base = 0, row, transposed = false }: Operand,
    shape: readonly [number, number],
  ) => {
    const [rows, columns] = transposed ? shape.toReversed() : shape;
    return { tensor, base, row, rows: rows!, columns: columns!, turned: transposed };
  };
  return [stored(a, [M, K]), stored(b, [K, N])];
}

/** What a texel product has as tiles and as panels: A and B, or for C^T = B^T A^T their transposes. */
function texelFactors(p: Product, flipped: boolean): readonly [StoredMatrix, StoredMatrix] {
  const [a, b] = factors(p);
  const transpose = (matrix: StoredMatrix) => ({ ...matrix, turned: !matrix.turned });
  return flipped ? [transpose(b), transpose(a)] : [a, b];
}

function texelsOf(p: Product, flipped: boolean) {
  const [tiles, panels] = texelFactors(p, flipped);
  return { tiles: asTiles(tiles), panels: asPanels(panels) };
}

/** A tensor's halves where it has them, unless it is a view of another tensor's part. */
function halfOf(tensor: Tensor): Tensor {
  const { half } = tensor;
  return half && 2 * half.offset === tensor.offset && half.shape === tensor.shape ? half : tensor;
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
    const block = [4 * lanes, 4 * lanes] as const;
    const choice = { block, flags: {}, quads: true };
    const turned = { A_TRANSPOSED: 0, B_TRANSPOSED: 0 }; // on their way to the textures, all to one kernel
    const flipped = aligned && quads(N, K) ? flippedForTexels(p) : undefined;
    if (flipped !== undefined) {
      const flags = { ...turned, FLIPPED: flipped ? 1 : 0 };
      return { entry: "texels", block: [4 * lanes, 8 * lanes], quads: true, flags };
    }
    if (aligned && !a.transposed && b.transposed && quads(N)) return { ...choice, entry: "nt" };
    if (aligned && !a.transposed && quads(N, K)) return { ...choice, entry: "nn" };
    if (aligned && a.transposed && !b.transposed && quads(K)) return { ...choice, entry: "tn" };
    return { block, flags: {}, entry: "strided", quads: false };
  }
  const byQuads = aligned && quads(N);
  if (precision === "f16" && matrices && byQuads) return chooseMatrix(p);
  const large = Math.ceil(M / LARGE) * Math.ceil(N / LARGE) * batch[0] * batch[1];
  const block = large < FEW_BLOCKS || Math.min(M, N) <= SMALL ? SMALL : LARGE;
  const whole = byQuads && M % block === 0 && N % block === 0 && K % TILE_DEPTH === 0;
  const flags = { BLOCK: block, ALIGNED: byQuads ? 1 : 0, WHOLE: whole ? 1 : 0 };
  return { entry: byQuads ? "tileAligned" : "tileStrided", block: [block, block], quads: byQuads, flags };
}

/** From so many rows and columns of C on, reading by texels is worth the copies. */
const LEAST_BY_TEXELS = 128;
/** And from so many k's on: a layer has room for 512 of them, however few there are. */
const LEAST_DEPTH = 64;

/**
 * Whether a product whose operands are read from textures should compute C^T: where that turns fewer numbers on their
 * way; undefined where operands should not be read from textures: there is too little to do with what is copied.
 */
function flippedForTexels(p: Product): boolean | undefined {
  const { M, N, K, c, batch = [1, 1] } = p;
  const { texels, precision } = c.tensor.gpu;
  const large = Math.min(M, N) >= LEAST_BY_TEXELS && K >= LEAST_DEPTH && batch[0] * batch[1] === 1;
  if (!texels || precision !== "f32" || !large) return undefined;
  const turned = (flipped: boolean): number => {
    const [tiles, panels] = texelFactors(p, flipped);
    if (!fitsTiles(tiles) || !fitsPanels(panels)) return Infinity;
    return [tiles, panels].reduce((sum, one) => sum + (one.turned ? one.rows * one.columns : 0), 0);
  };
  const [straight, flipped] = [turned(false), turned(true)];
  return straight === Infinity && flipped === Infinity ? undefined : flipped < straight;
}

function chooseMatrix({ M, N, K, c, batch = [1, 1] }: Product): Choice {
  const memory = limitsOf(c.tensor.gpu).maxComputeWorkgroupStorageSize;
  const last = MATRIX_BLOCKS.at(-1)!;
  const block =
    MATRIX_BLOCKS.find(({ HEIGHT, WIDTH, SIDE }) => {
      const many = Math.ceil(M / HEIGHT) * Math.ceil(N / WIDTH) * batch[0] * batch[1] >= FEW_MATRIX_BLOCKS;
      return many && Math.min(M, N) > SMALL && matrixMemory(HEIGHT, WIDTH, SIDE) <= memory;
    }) ?? last;
  const { HEIGHT, WIDTH } = block;
  const whole = M % HEIGHT === 0 && N % WIDTH === 0 && K % (2 * MATRIX_DEPTH) === 0;
  return { entry: "matrix", block: [HEIGHT, WIDTH], quads: true, flags: { ...block, WHOLE: whole ? 1 : 0 } };
}

/** Workgroup memory of `matmul_matrix.wgsl`, bytes: tiles of f16, and two matrices of f32 for each subgroup. */
function matrixMemory(height: number, width: number, side: number): number {
  const pitch = MATRIX_DEPTH + 8;
  const subgroups = (height * width) / (16 * side) ** 2;
  return 2 * pitch * (height + width) + 2 * 4 * 256 * subgroups;
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
