// Multi-head self-attention.
import { isRecording, record } from "../engine/autograd.ts";
import { type Kernel, kernel, run, threads } from "../engine/kernel.ts";
import { empty, free, size, type Tensor } from "../engine/tensor.ts";
import { type Operand, product } from "./product.ts";
import { softmaxBackwardInPlace, softmaxInPlace } from "./softmax.ts";

/**
 * Multi-head scaled dot-product self-attention. Queries, keys and values are read, and their gradients written, where
 * the projection leaves them: no head is ever copied to a place of its own.
 *
 * @param qkv    [B, L, 3 D]: q, k and v, each [heads, D / heads], as timm's `attn.qkv` lays them out
 * @param heads  number of heads, a divisor of D
 * @returns      [B, L, D], the heads side by side
 * @see          Vaswani et al. 2017, arXiv:1706.03762, section 3.2
 */
export function attention(qkv: Tensor, heads: number): Tensor {
  const d = qkv.shape[2]! / 3 / heads;
  if (!Number.isInteger(d)) throw new Error(`attention: ${heads} heads cannot share [${qkv.shape}]`);
  const { subgroupSize, device } = qkv.gpu;
  // Subgroups of 4 to 16 are those of software adapters, where barriers cost more than all the arithmetic.
  const fast = subgroupSize === 0 || subgroupSize > 16;
  const fits = d % 4 === 0 && d <= 128 && device.limits.maxComputeWorkgroupStorageSize >= FLASH_MEMORY;
  return fast && fits ? attendInTiles(qkv, heads) : attendByProducts(qkv, heads);
}

/** `flash_subgroup.wgsl` by vec4s of a lane in a head, and the query rows that its workgroup owns. */
const forwardRows = [1, 2].map((COLUMNS) => kernel("flash_subgroup.wgsl", "forward_rows", { COLUMNS }));
const FORWARD_ROWS = 32;

const flashKernels = (constants: Readonly<Record<string, number>>) => ({
  forwardQueries: kernel("flash.wgsl", "forward_queries", constants),
  backwardDelta: kernel("flash.wgsl", "backward_delta", { QUADS: constants.QUADS! }),
  backwardQueries: kernel("flash.wgsl", "backward_queries", constants),
  backwardKeys: kernel("flash.wgsl", "backward_keys", constants),
});
type FlashKernels = Readonly<Record<keyof ReturnType<typeof flashKernels>, Kernel>>;
/** By width of a head. */
const flashVariants = new Map<number, FlashKernels>();

/** Threads of a workgroup of `flash.wgsl`, vec4s of a head that it stages at a time, and the rows that it owns. */
const [THREADS, DEPTH, OWN] = [128, 4, 64];
/** What it then takes of workgroup memory, bytes. */
const FLASH_MEMORY = 28_416;

function flash(d: number): FlashKernels {
  const kernels = flashVariants.get(d) ?? flashKernels({ THREADS, DEPTH, QUADS: d / 4 });
  flashVariants.set(d, kernels);
  return kernels;
}

/** Attention whose weights only ever exist in workgroup memory; the backward makes them again. */
function attendInTiles(qkv: Tensor, heads: number): Tensor {
  const { gpu } = qkv;
  const [B, L, D3] = qkv.shape as readonly [number, number, number];
  const D = D3 / 3;
  const d = D / heads;
  const kernels = flash(d);
  const params = { L, heads, D: D / 4, rows: B * L * heads, quads: d / 4, alpha: 1 / Math.sqrt(d) };
  const blocks = [Math.ceil(L / OWN), heads, B] as const;

  const y = empty(gpu, [B, L, D]);
  const lse = empty(gpu, [B, heads, L]);
  run(kernels.forwardQueries, { qkv4: qkv, y4: y, lse }, params, blocks);

  return record(y, [qkv], (dy) => {
    const delta = empty(gpu, lse.shape);
    run(kernels.backwardDelta, { y4: y, dy4: dy, delta }, params, threads(params.rows));
    const dqkv = empty(gpu, qkv.shape);
    const tensors = { qkv4: qkv, dy4: dy, lse, delta, dqkv4: dqkv };
    run(kernels.backwardQueries, tensors, params, blocks);
    run(kernels.backwardKeys, tensors, params, blocks);
    return [dqkv];
  });
}

/** Weights that are held at a time, bytes, and at most a quarter of what the adapter can bind (lavapipe: 128 MiB). */
const WEIGHT_BYTES = 32 * 2 ** 20;
/** Blocks of query rows are multiples of this, so that each begins where a binding may (256 bytes). */
const ROW_STEP = 64;

/**
 * Attention by matrix products, with the weights of a block of query rows in memory. If there is one block, it is
 * kept for the backward; of several, each is made again there. A forward that keeps none may go without products.
 */
function attendByProducts(qkv: Tensor, heads: number): Tensor {
  const { gpu } = qkv;
  const [B, L, D3] = qkv.shape as readonly [number, number, number];
  const D = D3 / 3;
  const d = D / heads;
  const batch = [B, heads] as const;
  const alpha = 1 / Math.sqrt(d);

  const limit = Math.min(WEIGHT_BYTES, gpu.device.limits.maxStorageBufferBindingSize / 4);
  const steps = Math.floor(limit / (4 * B * heads * L * ROW_STEP));
  const rows = Math.min(L, ROW_STEP * Math.max(1, steps)); // R
  const blocks = Array.from({ length: Math.ceil(L / rows) }, (_, i) => ({
    first: i * rows,
    count: Math.min(rows, L - i * rows),
  }));

  const part = (tensor: Tensor, which: 0 | 1 | 2): Operand => ({
    tensor,
    row: 3 * D,
    outer: L * 3 * D,
    inner: d,
    base: which * D,
  });
  const square = (tensor: Tensor): Operand => {
    const [, , R] = tensor.shape as readonly [number, number, number, number];
    return { tensor, row: L, outer: heads * R * L, inner: R * L };
  };
  const joined = (tensor: Tensor): Operand => ({ tensor, row: D, outer: L * D, inner: d });
  const flipped = (operand: Operand): Operand => ({ ...operand, transposed: true });

  const scratch = (): Tensor => empty(gpu, [B, heads, rows, L]);
  /** softmax(alpha q k^T) of the query rows of a block, [B, heads, R, L] in `room`. */
  const weigh = ({ first, count }: Block, room: Tensor): Tensor => {
    const weights = { ...room, shape: [B, heads, count, L] };
    product({
      ...{ M: count, N: L, K: d, batch, alpha },
      a: rowsFrom(part(qkv, 0), first),
      b: flipped(part(qkv, 1)),
      c: square(weights),
    });
    softmaxInPlace(weights);
    return weights;
  };

  const y = empty(gpu, [B, L, D]);
  const keep = blocks.length === 1 && isRecording();
  const fused = gpu.subgroupSize === 8 && d % 4 === 0 ? forwardRows[Math.ceil(d / 32) - 1] : undefined;
  let kept: Tensor | undefined;
  if (fused && !keep) {
    const groups = [Math.ceil(L / FORWARD_ROWS), heads, B] as const;
    run(fused, { qkv4: qkv, y4: y }, { L, D: D / 4, quads: d / 4, alpha }, groups);
  } else {
    const room = scratch();
    for (const block of blocks) {
      const a = square(weigh(block, room));
      const c = rowsFrom(joined(y), block.first);
      product({ M: block.count, N: d, K: L, a, b: part(qkv, 2), c, batch });
    }
    if (keep) kept = room;
    else free(room);
  }

  return record(y, [qkv], (dy) => {
    const dqkv = empty(gpu, qkv.shape);
    const again = kept ?? scratch();
    const dagain = scratch();
    for (const block of blocks) {
      const { first, count } = block;
      const accumulate = first > 0; // keys and values gather from all queries
      const weights = kept ?? weigh(block, again);
      const dweights = { ...dagain, shape: weights.shape };
      product({
        ...{ M: L, N: d, K: count, batch, accumulate },
        a: flipped(square(weights)),
        b: rowsFrom(joined(dy), first),
        c: part(dqkv, 2),
      });
      product({
        ...{ M: count, N: L, K: d, batch },
        a: rowsFrom(joined(dy), first),
        b: flipped(part(qkv, 2)),
        c: square(dweights),
      });
      softmaxBackwardInPlace(weights, dweights); // now by the scores
      product({
        ...{ M: count, N: d, K: L, batch, alpha },
        a: square(dweights),
        b: part(qkv, 1),
        c: rowsFrom(part(dqkv, 0), first),
      });
      product({
        ...{ M: L, N: d, K: count, batch, alpha, accumulate },
        a: flipped(square(dweights)),
        b: rowsFrom(part(qkv, 0), first),
        c: part(dqkv, 1),
      });
    }
    return [dqkv];
  });
}

interface Block {
  /** Its first query row, a multiple of ROW_STEP, and how many it has. */
  readonly first: number;
  readonly count: number;
}

/** An operand without its first rows. */
function rowsFrom(operand: Operand, first: number): Operand {
  const { tensor, row } = operand;
  const skipped = first * row;
  const view = { ...tensor, offset: tensor.offset + 4 * skipped, shape: [size(tensor.shape) - skipped] };
  return { ...operand, tensor: view };
}
