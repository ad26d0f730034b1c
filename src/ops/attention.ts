// Multi-head self-attention.
import { isRecording, record } from "../engine/autograd.ts";
import { type Kernel, kernel, run, threads } from "../engine/kernel.ts";
import { limitsOf } from "../engine/limits.ts";
import { empty, free, size, type Tensor } from "../engine/tensor.ts";
import { asPanels, fitsPanels, type StoredMatrix } from "../engine/texels.ts";
import { attendInMatrices, fitsMatrices } from "./attentionmatrix.ts";
import { cast, widen } from "./cast.ts";
import { broadcastLanes, type Operand, product } from "./product.ts";
import { softmaxBackwardInPlace, softmaxInPlace } from "./softmax.ts";

/**
 * Multi-head scaled dot-product self-attention. Queries, keys and values are read, and their gradients written, where
 * the projection leaves them: no head is ever copied to a place of its own.
 *
 * @param qkv    [B, L, 3 D], f32 or f16: q, k and v, each [heads, D / heads], as timm's `attn.qkv` lays them out
 * @param heads  number of heads, a divisor of D
 * @returns      [B, L, D] of qkv's type, the heads side by side
 * @see          Vaswani et al. 2017, arXiv:1706.03762, section 3.2
 */
export function attention(qkv: Tensor, heads: number): Tensor {
  const d = qkv.shape[2]! / 3 / heads;
  if (!Number.isInteger(d)) throw new Error(`attention: ${heads} heads cannot share [${qkv.shape}]`);
  if (qkv.type === "f16") {
    if (fitsMatrices(qkv.gpu, d)) return attendInMatrices(qkv, heads);
    return cast(attention(widen(qkv), heads));
  }
  const fits = d % 4 === 0 && d <= 128 && limitsOf(qkv.gpu).maxComputeWorkgroupStorageSize >= FLASH_MEMORY;
  if (broadcastLanes(qkv.gpu) === 0 && fits) return attendInTiles(qkv, heads);
  if (fitsRows(qkv, heads)) return attendInRows(qkv, heads);
  return attendByProducts(qkv, heads);
}

const inTiles = (constants: Readonly<Record<string, number>>) => ({
  forwardQueries: kernel("flash.wgsl", "forward_queries", constants),
  backwardQueries: kernel("flash.wgsl", "backward_queries", constants),
  backwardKeys: kernel("flash.wgsl", "backward_keys", constants),
});
type FlashKernels = Readonly<Record<keyof ReturnType<typeof inTiles>, Kernel>>;
const backwardDelta = kernel("flash.wgsl", "backward_delta");
/** By width of a head. */
const flashVariants = new Map<number, FlashKernels>();

/** Threads of a workgroup of `flash.wgsl`, vec4s of a head that it stages at a time, and the rows that it owns. */
const [THREADS, DEPTH, OWN] = [128, 4, 64];
/** What it then takes of workgroup memory, bytes. */
const FLASH_MEMORY = 28_416;

function flash(d: number): FlashKernels {
  const kernels = flashVariants.get(d) ?? inTiles({ THREADS, DEPTH, QUADS: d / 4 });
  flashVariants.set(d, kernels);
  return kernels;
}

/** Attention whose weights only ever exist in workgroup memory; the backward makes them again. */
function attendInTiles(qkv: Tensor, heads: number): Tensor {
  const { gpu } = qkv;
  const { B, L, D, d, alpha } = arrange(qkv, heads);
  const kernels = flash(d);
  const params = { L, heads, D: D / 4, rows: B * L * heads, quads: d / 4, alpha };
  const blocks = [Math.ceil(L / OWN), heads, B] as const;

  const y = empty(gpu, [B, L, D]);
  const lse = empty(gpu, [B, heads, L]);
  run(kernels.forwardQueries, { qkv4: qkv, y4: y, lse }, params, blocks);

  return record(y, [qkv], (dy) => {
    const delta = empty(gpu, lse.shape);
    run(backwardDelta, { y4: y, dy4: dy, delta }, params, threads(params.rows));
    const dqkv = empty(gpu, qkv.shape);
    const tensors = { qkv4: qkv, dy4: dy, lse, delta, dqkv4: dqkv };
    run(kernels.backwardQueries, tensors, params, blocks);
    run(kernels.backwardKeys, tensors, params, blocks);
    return [dqkv];
  });
}

const inRows = (constants: Readonly<Record<string, number>>): FlashKernels => ({
  forwardQueries: kernel("flash_subgroup.wgsl", "forward_queries", constants),
  backwardQueries: kernel("flash_subgroup.wgsl", "backward_queries", constants),
  backwardKeys: kernel("flash_subgroup.wgsl", "backward_keys", constants),
});
/** By how many of a lane's vec4s a row of a head takes. */
const rowsVariants = new Map<number, FlashKernels>();
/** Query or key rows that a workgroup of `flash_subgroup.wgsl` owns. */
const ROWS = 32;

function flashRows(d: number, lanes: number): FlashKernels {
  const COLUMNS = Math.ceil(d / (4 * lanes));
  const kernels = rowsVariants.get(COLUMNS) ?? inRows({ COLUMNS });
  rowsVariants.set(COLUMNS, kernels);
  return kernels;
}

/** Whether `flash_subgroup.wgsl` takes such heads, and there is room for qkv, and dy beside it, in a texture. */
function fitsRows(qkv: Tensor, heads: number): boolean {
  const { L, D, d } = arrange(qkv, heads);
  const dy = { ...matrixOf(qkv), row: D, columns: D };
  return qkv.gpu.texels && L % 4 === 0 && d % 4 === 0 && d <= 64 && fitsPanels(matrixOf(qkv), dy);
}

/** Attention that keeps no weights and reads texels; the backward makes the weights again, for queries and for keys. */
function attendInRows(qkv: Tensor, heads: number): Tensor {
  const { gpu } = qkv;
  const { B, L, D, d, alpha } = arrange(qkv, heads);
  const kernels = flashRows(d, broadcastLanes(gpu));
  const params = { L, heads, D: D / 4, quads: d / 4, alpha };
  const blocks = [Math.ceil(L / ROWS), heads, B] as const;

  const y = empty(gpu, [B, L, D]);
  const lse = empty(gpu, [B, heads, L]);
  const tokens = asPanels(matrixOf(qkv));
  run(kernels.forwardQueries, { tokens, y4: y, lse }, { ...params, panels: tokens.breadth }, blocks);

  return record(y, [qkv], (dy) => {
    const rows = B * L * heads;
    const delta = empty(gpu, lse.shape);
    run(backwardDelta, { y4: y, dy4: dy, delta }, { ...params, rows }, threads(rows));
    const dqkv = empty(gpu, qkv.shape);
    const tokens = asPanels(matrixOf(qkv), matrixOf(dy));
    const tensors = { tokens, lse4: lse, delta4: delta, dqkv4: dqkv };
    const backward = { ...params, panels: tokens.breadth };
    run(kernels.backwardQueries, tensors, backward, blocks);
    run(kernels.backwardKeys, tensors, backward, blocks);
    return [dqkv];
  });
}

/** The rows of all tokens, [B, L, columns]. */
function matrixOf(tensor: Tensor): StoredMatrix {
  const [B, L, columns] = tensor.shape as readonly [number, number, number];
  return { tensor, base: 0, row: columns, rows: B * L, columns, turned: false };
}

/**
 * Attention by matrix products and softmax, a block of query rows at a time. The weights of a single block are kept for
 * the backward; of several, each is made again there.
 */
function attendByProducts(qkv: Tensor, heads: number): Tensor {
  const { gpu } = qkv;
  const { B, L, D, d, alpha, batch, part, joined } = arrange(qkv, heads);

  /** softmax(alpha q k^T) of a block, in `room`. */
  const weigh = (block: Block, room: Tensor): Tensor => {
    const weights = blockOf(room, block);
    product({
      ...{ M: block.count, N: L, K: d, batch, alpha },
      a: rowsFrom(part(qkv, 0), block.first),
      b: flipped(part(qkv, 1)),
      c: square(weights),
    });
    softmaxInPlace(weights);
    return weights;
  };
  const y = empty(gpu, [B, L, D]);
  const room = roomForBlock(qkv, heads);
  const blocks = blocksOf(qkv, heads);
  for (const block of blocks) {
    const a = square(weigh(block, room));
    const c = rowsFrom(joined(y), block.first);
    product({ M: block.count, N: d, K: L, batch, a, b: part(qkv, 2), c });
  }
  const kept = blocks.length === 1 && isRecording() ? room : undefined;
  if (!kept) free(room);

  return record(y, [qkv], (dy) => {
    const again = kept ?? roomForBlock(qkv, heads);
    return [
      backwardByBlocks(qkv, heads, dy, (block, dscores) => {
        product({
          ...{ M: block.count, N: L, K: d, batch },
          a: rowsFrom(joined(dy), block.first),
          b: flipped(part(qkv, 2)),
          c: square(dscores), // by the weights, until they are softmax's
        });
        const weights = kept ?? weigh(block, again);
        softmaxBackwardInPlace(weights, dscores);
        return weights;
      }),
    ];
  });
}

/**
 * dL/dqkv, a block of query rows at a time.
 *
 * @param fill  sets the gradient by the scores of a block and returns its weights, both [B, heads, R, L]
 */
function backwardByBlocks(
  qkv: Tensor,
  heads: number,
  dy: Tensor,
  fill: (block: Block, dscores: Tensor) => Tensor,
): Tensor {
  const { gpu } = qkv;
  const { L, d, alpha, batch, part, joined } = arrange(qkv, heads);
  const dqkv = empty(gpu, qkv.shape);
  const room = roomForBlock(qkv, heads);
  for (const block of blocksOf(qkv, heads)) {
    const { first, count } = block;
    const dscores = blockOf(room, block);
    const weights = fill(block, dscores);
    product({
      ...{ M: count, N: d, K: L, batch, alpha },
      a: square(dscores),
      b: part(qkv, 1),
      c: rowsFrom(part(dqkv, 0), first),
    });
    const all = { M: L, N: d, K: count, batch, accumulate: first > 0 }; // keys and values gather from all queries
    product({
      ...all,
      alpha,
      a: flipped(square(dscores)),
      b: rowsFrom(part(qkv, 0), first),
      c: part(dqkv, 1),
    });
    product({ ...all, a: flipped(square(weights)), b: rowsFrom(joined(dy), first), c: part(dqkv, 2) });
  }
  return dqkv;
}

/** Sizes, and where matrices lie in tensors of them. */
function arrange(qkv: Tensor, heads: number) {
  const [B, L, D3] = qkv.shape as readonly [number, number, number];
  const D = D3 / 3;
  const d = D / heads;
  return {
    ...{ B, L, D, d, alpha: 1 / Math.sqrt(d), batch: [B, heads] as const },
    /** q, k or v of each head. */
    part: (tensor: Tensor, which: 0 | 1 | 2): Operand => ({
      tensor,
      row: 3 * D,
      outer: L * 3 * D,
      inner: d,
      base: which * D,
    }),
    joined: (tensor: Tensor): Operand => ({ tensor, row: D, outer: L * D, inner: d }),
  };
}

/** A matrix for each head, [B, heads, R, L]. */
function square(tensor: Tensor): Operand {
  const [, heads, R, L] = tensor.shape as readonly [number, number, number, number];
  return { tensor, row: L, outer: heads * R * L, inner: R * L };
}

function flipped(operand: Operand): Operand {
  return { ...operand, transposed: true };
}

interface Block {
  /** Its first query row, a multiple of ROW_STEP, and how many it has. */
  readonly first: number;
  readonly count: number;
}

/**
 * Weights that are held at a time, bytes, and at most a quarter of what the adapter can bind (lavapipe: 128 MiB); but
 * always those of ROW_STEP rows.
 */
const WEIGHT_BYTES = 8 * 2 ** 20;
/** Blocks of query rows are multiples of this, so that each begins where a binding may (256 bytes). */
const ROW_STEP = 64;

function blocksOf(qkv: Tensor, heads: number): Block[] {
  const { B, L } = arrange(qkv, heads);
  const limit = Math.min(WEIGHT_BYTES, limitsOf(qkv.gpu).maxStorageBufferBindingSize / 4);
  const steps = Math.floor(limit / (4 * B * heads * L * ROW_STEP));
  const rows = Math.min(L, ROW_STEP * Math.max(1, steps));
  return Array.from({ length: Math.ceil(L / rows) }, (_, i) => ({
    first: i * rows,
    count: Math.min(rows, L - i * rows),
  }));
}

/** Room for the weights of the largest block, [B, heads, R, L]. */
function roomForBlock(qkv: Tensor, heads: number): Tensor {
  const { B, L } = arrange(qkv, heads);
  return empty(qkv.gpu, [B, heads, blocksOf(qkv, heads)[0]!.count, L]);
}

function blockOf(room: Tensor, { count }: Block): Tensor {
  const [B, heads, , L] = room.shape as readonly [number, number, number, number];
  return { ...room, shape: [B, heads, count, L] };
}

/** An operand without its first rows. */
function rowsFrom(operand: Operand, first: number): Operand {
  const { tensor, row } = operand;
  const skipped = first * row;
  const view = { ...tensor, offset: tensor.offset + 4 * skipped, shape: [size(tensor.shape) - skipped] };
  return { ...operand, tensor: view };
}
