// Multi-head self-attention.
import { record } from "../engine/autograd.ts";
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
  const { gpu } = qkv;
  const [B, L, D3] = qkv.shape as [number, number, number];
  const D = D3 / 3;
  const d = D / heads;
  if (!Number.isInteger(d)) throw new Error(`attention: ${heads} heads cannot share [${qkv.shape}]`);
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
    M: L,
    N: L,
    K: d,
    a: part(qkv, 0),
    b: flipped(part(qkv, 1)),
    c: square(weights),
    batch,
    alpha,
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
      M: L,
      N: d,
      K: L,
      a: flipped(square(dweights)),
      b: part(qkv, 0),
      c: part(dqkv, 1),
      batch,
      alpha,
    });
    return [dqkv];
  });
}
