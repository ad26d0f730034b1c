// Multi-head self-attention of f16 on subgroup matrices (tensor cores).
import { record } from "../engine/autograd.ts";
import type { Gpu } from "../engine/device.ts";
import { type Kernel, kernel, run } from "../engine/kernel.ts";
import { limitsOf } from "../engine/limits.ts";
import { empty, emptyHalf, type Tensor } from "../engine/tensor.ts";

/** Whether `attendInMatrices` can take heads of this width: multiples of 16, on a GPU that has subgroup matrices. */
export function fitsMatrices(gpu: Gpu, d: number): boolean {
  const memory = limitsOf(gpu).maxComputeWorkgroupStorageSize;
  return gpu.matrices && d % 16 === 0 && d <= 128 && ENTRIES.every((entry) => sizesFor(entry, d, memory));
}

/**
 * Attention whose weights only ever exist in workgroup memory, as f16; the backward makes them again. Products are of
 * f16, sums f32.
 *
 * @param qkv    [B, L, 3 D] of f16, as `attention` takes it, of heads for which `fitsMatrices` holds
 * @returns      [B, L, D] of f16; its gradient comes, and that of qkv goes on, as f16
 */
export function attendInMatrices(qkv: Tensor, heads: number): Tensor {
  const { gpu } = qkv;
  const [B, L, D3] = qkv.shape as readonly [number, number, number];
  const D = D3 / 3;
  const d = D / heads;
  const kernels = kernelsFor(gpu, d);
  const alpha = 1 / Math.sqrt(d);
  const params = { L, heads, D: D / 4, alpha, binary: alpha * Math.LOG2E, across: d / 16 };
  const launch = ({ kernel, own }: Sized, tensors: Readonly<Record<string, Tensor>>) =>
    run(kernel, tensors, params, [Math.ceil(L / own), heads, B]);

  const y = emptyHalf(gpu, [B, L, D]);
  const lse = empty(gpu, [B, heads, L]);
  launch(kernels.forwardQueries, { qkv4: qkv, y4: y, lse });

  return record(y, [qkv], (dy) => {
    if (dy.type !== "f16") throw new Error("attention: the gradient of what is f16 must be f16");
    const delta = empty(gpu, lse.shape);
    const dqkv = emptyHalf(gpu, qkv.shape);
    // The queries' kernel also makes delta, which the keys' one reads.
    const tensors = { qkv4: qkv, dy4: dy, lse, delta, dqkv4: dqkv };
    launch(kernels.backwardQueries, { ...tensors, y4: y });
    launch(kernels.backwardKeys, tensors);
    return [dqkv];
  });
}

interface Sized {
  readonly kernel: Kernel;
  /** Rows of a workgroup. */
  readonly own: number;
}

const ENTRIES = ["forwardQueries", "backwardQueries", "backwardKeys"] as const;
type Entry = (typeof ENTRIES)[number];
type Kernels = Readonly<Record<Entry, Sized>>;

/** What is in workgroup memory at a time: tiles of rows and squares of weights in f16, squares in f32. */
const HOLDS: Readonly<Record<Entry, Readonly<Record<"TILES" | "WEIGHTS" | "SQUARES", number>>>> = {
  forwardQueries: { TILES: 2, WEIGHTS: 1, SQUARES: 1 },
  backwardQueries: { TILES: 3, WEIGHTS: 1, SQUARES: 2 },
  backwardKeys: { TILES: 4, WEIGHTS: 2, SQUARES: 2 },
};

/** Floats beside those, for each thread. */
const FLOATS: Readonly<Record<Entry, number>> = { forwardQueries: 2, backwardQueries: 1, backwardKeys: 0 };

interface Sizes {
  /** Of a workgroup, two for each row that it owns. */
  readonly THREADS: number;
  /** Rows of a tile. */
  readonly SPAN: number;
}

const SMALL: readonly Sizes[] = [
  { THREADS: 128, SPAN: 16 },
  { THREADS: 64, SPAN: 16 },
];
/** The fastest first, as measured on an H100; the first that fit are taken. */
const SIZES: Readonly<Record<Entry, readonly Sizes[]>> = {
  forwardQueries: SMALL,
  backwardQueries: SMALL,
  backwardKeys: [{ THREADS: 128, SPAN: 32 }, ...SMALL],
};

function sizesFor(entry: Entry, d: number, memory: number): Sizes | undefined {
  const { TILES, WEIGHTS, SQUARES } = HOLDS[entry];
  return SIZES[entry].find(({ THREADS, SPAN }) => {
    const own = THREADS / 2;
    const square = own * (SPAN + 8);
    const halves = Math.max(TILES * SPAN * (d + 8) + WEIGHTS * square, own * (d + 8));
    return 2 * halves + 4 * (SQUARES * square + FLOATS[entry] * THREADS) <= memory;
  });
}

/** By workgroup memory and width of a head. */
const variants = new Map<string, Kernels>();

function kernelsFor(gpu: Gpu, d: number): Kernels {
  const memory = limitsOf(gpu).maxComputeWorkgroupStorageSize;
  const key = `${memory} ${d}`;
  const sized = (entry: Entry, make: (constants: Record<string, number>) => Kernel): Sized => {
    const sizes = sizesFor(entry, d, memory)!;
    return { kernel: make({ ...HOLDS[entry], ...sizes, WIDTH: d }), own: sizes.THREADS / 2 };
  };
  const kernels = variants.get(key) ?? {
    forwardQueries: sized("forwardQueries", (all) => kernel("flash_matrix.wgsl", "forward_queries", all)),
    backwardQueries: sized("backwardQueries", (all) =>
      kernel("flash_matrix_backward.wgsl", "backward_queries", all),
    ),
    backwardKeys: sized("backwardKeys", (all) => kernel("flash_matrix_backward.wgsl", "backward_keys", all)),
  };
  variants.set(key, kernels);
  return kernels;
}
