// Multi-head self-attention.
import { record } from "../engine/autograd.ts";
import type { Gpu } from "../engine/device.ts";
import { type Kernel, kernel, run, threads } from "../engine/kernel.ts";
import { empty, type Tensor } from "../engine/tensor.ts";
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
  // Software adapters have subgroups of 4 to 16, and barriers that cost more than all the arithmetic.
  const { subgroupSize } = qkv.gpu;
  const barriers = subgroupSize === 0 || subgroupSize > 16;
  return barriers && d % 4 === 0 && d <= 128 ? attendInTiles(qkv, heads) : attendByProducts(qkv, heads);
}

const flashKernels = (constants: Readonly<Record<string, number>>) => ({
  forwardQueries: kernel("flash.wgsl", "forward_queries", constants),
  backwardDelta: kernel("flash.wgsl", "backward_delta", { QUADS: constants.QUADS! }),
  backwardQueries: kernel("flash.wgsl", "backward_queries", constants),
  backwardKeys: kernel("flash.wgsl", "backward_keys", constants),
});
type FlashKernels = Readonly<Record<keyof ReturnType<typeof flashKernels>, Kernel>>;
const flashVariants = new Map<string, FlashKernels>();

/** Workgroup memory of `flash.wgsl` with tiles of 64 by 64, bytes. */
const LARGE_TILES = 28_416;

function flash({ device }: Gpu, d: number): { kernels: FlashKernels; own: number } {
  const large = device.limits.maxComputeWorkgroupStorageSize >= LARGE_TILES;
  const THREADS = large ? 128 : 64;
  const key = `${THREADS} ${d}`;
  const kernels = flashVariants.get(key) ?? flashKernels({ THREADS, DEPTH: large ? 4 : 2, QUADS: d / 4 });
  flashVariants.set(key, kernels);
  return { kernels, own: THREADS / 2 };
}

/** Attention whose weights only ever exist in workgroup memory; the backward makes them again. */
function attendInTiles(qkv: Tensor, heads: number): Tensor {
  const { gpu } = qkv;
  const [B, L, D3] = qkv.shape as readonly [number, number, number];
  const D = D3 / 3;
  const d = D / heads;
  const { kernels, own } = flash(gpu, d);
  const params = { L, heads, D: D / 4, rows: B * L * heads, quads: d / 4, alpha: 1 / Math.sqrt(d) };
  const blocks = [Math.ceil(L / own), heads, B] as const;

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

/** Attention by matrix products, with all weights in memory. */
function attendByProducts(qkv: Tensor, heads: number): Tensor {
  const { gpu } = qkv;
  const [B, L, D3] = qkv.shape as readonly [number, number, number];
  const D = D3 / 3;
  const d = D / heads;
  const batch = [B, heads] as const;
  const alpha = 1 / Math.sqrt(d);

  const part = (tensor: Tensor, which: 0 | 1 | 2): Operand => ({
    tensor,
    row: 3 * D,
    outer: L * 3 * D,
    inner: d,
    base: which * D,
  });
  const square = (tensor: Tensor): Operand => ({ tensor, row: L, outer: heads * L * L, inner: L * L });
  const joined = (tensor: Tensor): Operand => ({ tensor, row: D, outer: L * D, inner: d });
  const flipped = (operand: Operand): Operand => ({ ...operand, transposed: true });

  const weights = empty(gpu, [B, heads, L, L]);
  product({
    ...{ M: L, N: L, K: d, batch, alpha },
    a: part(qkv, 0),
    b: flipped(part(qkv, 1)),
    c: square(weights),
  });
  softmaxInPlace(weights);
  const y = empty(gpu, [B, L, D]);
  product({ M: L, N: d, K: L, a: square(weights), b: part(qkv, 2), c: joined(y), batch });

  return record(y, [qkv], (dy) => {
    const dqkv = empty(gpu, qkv.shape);
    const dweights = empty(gpu, weights.shape);
    product({ M: L, N: d, K: L, a: flipped(square(weights)), b: joined(dy), c: part(dqkv, 2), batch });
    product({ M: L, N: L, K: d, a: joined(dy), b: flipped(part(qkv, 2)), c: square(dweights), batch });
    softmaxBackwardInPlace(weights, dweights); // now by the scores
    product({ M: L, N: d, K: L, a: square(dweights), b: part(qkv, 1), c: part(dqkv, 0), batch, alpha });
    product({
      ...{ M: L, N: d, K: L, batch, alpha },
      a: flipped(square(dweights)),
      b: part(qkv, 0),
      c: part(dqkv, 1),
    });
    return [dqkv];
  });
}
