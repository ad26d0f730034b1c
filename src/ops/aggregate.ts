// Variable aggregation: one learned query attends over the V variables of each patch. Two forms of one function:
//
//   aggregateFactored   straight from the patches. The query does not depend on the input and tokens are affine in
//                       K = p p + 1 numbers, so keys, values and tokens, each [N, V, D], never exist.
//   aggregate           tokens, keys, values, as torch.nn.MultiheadAttention does it; for tests, and for tokens that
//                       come from elsewhere.
//
// N patches of a batch, V variables, D width, H heads of width d = D / H, C the padded length of a patch's row.
// (Nguyen et al. 2023, arXiv:2301.10343, section 3.1.)
import { needsGradient, record } from "../engine/autograd.ts";
import { expectShape, kernel, run, threads } from "../engine/kernel.ts";
import { copy, empty, free, type GradientRoom, gradientRoom, type Tensor, zeros } from "../engine/tensor.ts";
import { asOperand } from "./cast.ts";
import { linear } from "./matmul.ts";
import { mix, mixBackward, scoreColumns } from "./mix.ts";
import { patchColumns, patchEmbed } from "./patchembed.ts";
import { product } from "./product.ts";
import { sumInto } from "./reduce.ts";

const forwardHeads = kernel("aggregate.wgsl", "forward_heads");
const backwardHeads = kernel("aggregate.wgsl", "backward_heads");

/** The query, and torch.nn.MultiheadAttention's parameters. */
export interface AggregationWeights {
  /** [1, 1, D] */
  readonly query: Tensor;
  /** [3 D, D]: rows of the query's, the keys' and the values' projection. */
  readonly inWeight: Tensor;
  /** [3 D] */
  readonly inBias: Tensor;
  /** [D, D] */
  readonly outWeight: Tensor;
  /** [D] */
  readonly outBias: Tensor;
}

/**
 * Aggregates the variables of each patch without making their tokens:
 *
 *   S[v, k, h] = E[v, k] . U_h,  U_h = W_k,h^T q_h / sqrt(d),  q = W_q query + b_q      (b_k shifts all scores alike)
 *   M[v, k]    = W_v E[v, k]                                                             (b_v joins the output's bias)
 *   o[n, h]    = sum over v, k of softmax_v(P S)[n, h, v] P[n, v, k] M[v, k, h],  then out_proj
 *
 * @param patches  [N, C] of `patchify`; their gradient is made only where it is used, which data's is not
 * @param basis    [C, D] of `patchBasis`, called E above
 * @param V        variables
 * @param p        side of a patch
 * @param residual added to the result, [N, D]
 * @returns        [N, D]
 */
export function aggregateFactored(
  patches: Tensor,
  basis: Tensor,
  weights: AggregationWeights,
  { V, p, heads, residual }: { V: number; p: number; heads: number; residual?: Tensor },
): Tensor {
  const { inBias, outWeight, outBias } = weights;
  expectShape("aggregateFactored", "patches", patches, [patches.shape[0]!, patchColumns(V, p)]);
  if ((outBias.shape[0]! / heads) % 4 !== 0) {
    // Heads of no whole vec4s.
    return aggregate(patchEmbed(patches, basis, V, p), weights, { heads, ...(residual ? { residual } : {}) });
  }
  const o = mixPatches(patches, basis, weights, V, p, heads); // [N, D], without b_v
  const mixed = asOperand(o);
  if (mixed !== o) free(o);
  return linear(mixed, outWeight, outputBias(outWeight, inBias, outBias), residual ? { residual } : {});
}

/** `W_o b_v + b_o`: attention weights sum to 1, so the values' bias passes through the mixing unchanged. */
function outputBias(outWeight: Tensor, inBias: Tensor, outBias: Tensor): Tensor {
  const { gpu } = outBias;
  const [D] = outBias.shape as readonly [number];
  const bias = empty(gpu, [D]);
  product({
    ...{ M: D, N: 1, K: D },
    a: { tensor: outWeight, row: D },
    b: { tensor: inBias, row: 1, base: 2 * D },
    c: { tensor: bias, row: 1 },
    residual: outBias,
  });
  return record(bias, [outWeight, inBias, outBias], (dbias) => {
    const doutWeight = gradientRoom(outWeight);
    product({
      ...{ M: D, N: D, K: 1, accumulate: doutWeight.accumulate },
      a: { tensor: dbias, row: 1 },
      b: { tensor: inBias, row: D, base: 2 * D },
      c: { tensor: doutWeight.into, row: D },
    });
    const dinBias = zeros(gpu, inBias.shape);
    product({
      ...{ M: 1, N: D, K: D },
      a: { tensor: dbias, row: D },
      b: { tensor: outWeight, row: D },
      c: { tensor: dinBias, row: D, base: 2 * D },
    });
    return [doutWeight.result, dinBias, dbias];
  });
}

/** o of `aggregateFactored`, [N, D]. */
function mixPatches(
  patches: Tensor,
  basis: Tensor,
  { query, inWeight, inBias }: AggregationWeights,
  V: number,
  p: number,
  heads: number,
): Tensor {
  const { gpu } = patches;
  const [N, C] = patches.shape as readonly [number, number];
  const D = basis.shape[1]!;
  const [H, d, K] = [heads, D / heads, p * p + 1];
  const [keyRows, valueRows] = [D * D, 2 * D * D]; // where they begin in inWeight
  const alpha = 1 / Math.sqrt(d);
  expectShape("aggregateFactored", "basis", basis, [C, D]);
  expectShape("aggregateFactored", "inWeight", inWeight, [3 * D, D]);
  const sizes = { N, V, K, C, H, d };
  const scores = scoreColumns(H);

  const q = projectedQuery(query, inWeight, inBias); // [D]
  const u = empty(gpu, [H, D]);
  product({
    ...{ M: 1, N: D, K: d, batch: [1, H], alpha },
    a: { tensor: q, row: d, inner: d },
    b: { tensor: inWeight, row: D, inner: d * D, base: keyRows },
    c: { tensor: u, row: D, inner: D },
  });
  const scoreBasis = empty(gpu, [C, scores]); // S
  product({
    ...{ M: C, N: H, K: D },
    a: { tensor: basis, row: D },
    b: { tensor: u, row: D, transposed: true },
    c: { tensor: scoreBasis, row: scores },
  });
  const valueBasis = empty(gpu, [C, D]); // M
  product({
    ...{ M: C, N: D, K: D },
    a: { tensor: basis, row: D },
    b: { tensor: inWeight, row: D, base: valueRows, transposed: true },
    c: { tensor: valueBasis, row: D },
  });
  const mixed = mix(patches, scoreBasis, valueBasis, sizes);

  const patchesNeedGradient = needsGradient(patches);
  return record(mixed.o, [patches, basis, query, inWeight, inBias], (dmixed) => {
    const room = gradientRoom(inWeight);
    const { into: dinWeight, accumulate } = room;

    const dpatches = patchesNeedGradient ? empty(gpu, patches.shape) : null;
    const bases = { scoreBasis, valueBasis };
    const { dscoreBasis, dvalueBasis } = mixBackward(mixed, bases, dmixed, sizes, dpatches ?? undefined);

    // From S and M to E, to the keys' and to the values' projection.
    const dbasis = empty(gpu, [C, D]);
    product({
      ...{ M: C, N: D, K: H },
      a: { tensor: dscoreBasis, row: scores },
      b: { tensor: u, row: D },
      c: { tensor: dbasis, row: D },
    });
    product({
      ...{ M: C, N: D, K: D, accumulate: true },
      a: { tensor: dvalueBasis, row: D },
      b: { tensor: inWeight, row: D, base: valueRows },
      c: { tensor: dbasis, row: D },
    });
    product({
      ...{ M: D, N: D, K: C, accumulate },
      a: { tensor: dvalueBasis, row: D, transposed: true },
      b: { tensor: basis, row: D },
      c: { tensor: dinWeight, row: D, base: valueRows },
    });
    const du = empty(gpu, [H, D]);
    product({
      ...{ M: H, N: D, K: C },
      a: { tensor: dscoreBasis, row: scores, transposed: true },
      b: { tensor: basis, row: D },
      c: { tensor: du, row: D },
    });
    product({
      ...{ M: d, N: D, K: 1, batch: [1, H], alpha, accumulate },
      a: { tensor: q, row: d, inner: d, transposed: true },
      b: { tensor: du, row: D, inner: D },
      c: { tensor: dinWeight, row: D, inner: d * D, base: keyRows },
    });
    const dq = empty(gpu, [D]);
    product({
      ...{ M: 1, N: d, K: D, batch: [1, H], alpha },
      a: { tensor: du, row: D, inner: D },
      b: { tensor: inWeight, row: D, inner: d * D, base: keyRows, transposed: true },
      c: { tensor: dq, row: d, inner: d },
    });
    const dquery = projectedQueryBackward(dq, query, inWeight, room);
    const dinBias = zeros(gpu, inBias.shape);
    copy(dq, { ...dinBias, shape: [D] });
    return [dpatches, dbasis, dquery, room.result, dinBias];
  });
}

/** q = W_q query + b_q, [D]. */
function projectedQuery(query: Tensor, inWeight: Tensor, inBias: Tensor): Tensor {
  const D = query.shape.at(-1)!;
  const q = empty(query.gpu, [D]);
  product({
    ...{ M: 1, N: D, K: D },
    a: { tensor: query, row: D },
    b: { tensor: inWeight, row: D, transposed: true },
    c: { tensor: q, row: D },
    bias: inBias, // of which the first D are read
  });
  return q;
}

/** Returns dquery, and puts dW_q in its rows of the room for dinWeight. */
function projectedQueryBackward(
  dq: Tensor,
  query: Tensor,
  inWeight: Tensor,
  { into: dinWeight, accumulate }: GradientRoom,
): Tensor {
  const D = query.shape.at(-1)!;
  product({
    ...{ M: D, N: D, K: 1, accumulate },
    a: { tensor: dq, row: 1 },
    b: { tensor: query, row: D },
    c: { tensor: dinWeight, row: D },
  });
  const dquery = empty(query.gpu, query.shape);
  product({
    ...{ M: 1, N: D, K: D },
    a: { tensor: dq, row: D },
    b: { tensor: inWeight, row: D },
    c: { tensor: dquery, row: D },
  });
  return dquery;
}

/**
 * Aggregates tokens as torch.nn.MultiheadAttention does, with keys and values.
 *
 * @param tokens  [N, V, D]
 * @param residual added to the result, [N, D]
 * @returns       [N, D]
 */
export function aggregate(
  tokens: Tensor,
  weights: AggregationWeights,
  { heads, residual }: { heads: number; residual?: Tensor },
): Tensor {
  const { outWeight, outBias } = weights;
  return linear(attendTokens(tokens, weights, heads), outWeight, outBias, residual ? { residual } : {});
}

function attendTokens(
  tokens: Tensor,
  { query, inWeight, inBias }: AggregationWeights,
  heads: number,
): Tensor {
  const { gpu } = tokens;
  const [N, V, D] = tokens.shape as readonly [number, number, number];
  const [H, d] = [heads, D / heads];
  expectShape("aggregate", "inWeight", inWeight, [3 * D, D]);
  const params = { N, V, H, d };
  const q = projectedQuery(query, inWeight, inBias); // [D]
  const project = (third: number): Tensor => {
    const bias = empty(gpu, [D]);
    copy({ ...inBias, offset: inBias.offset + 4 * third * D }, bias);
    const projected = empty(gpu, tokens.shape);
    product({
      ...{ M: N * V, N: D, K: D, bias },
      a: { tensor: tokens, row: D },
      b: { tensor: inWeight, row: D, base: third * D * D, transposed: true },
      c: { tensor: projected, row: D },
    });
    return projected;
  };
  const keys = project(1);
  const values = project(2);
  const attention = empty(gpu, [N, H, V]);
  const o = empty(gpu, [N, D]);
  run(forwardHeads, { q, keys, values, attention, o }, params, threads(N * H));

  return record(o, [tokens, query, inWeight, inBias], (dmixed) => {
    const dkeys = empty(gpu, keys.shape);
    const dvalues = empty(gpu, values.shape);
    const dscores = empty(gpu, [N, V, H]);
    const tensors = { q, values, attention, do_: dmixed, dscores, dkeys, dvalues };
    run(backwardHeads, tensors, params, threads(N * H));
    const dq = empty(gpu, [D]);
    product({
      ...{ M: 1, N: d, K: N * V, batch: [1, H], alpha: 1 / Math.sqrt(d) },
      a: { tensor: dscores, row: H, inner: 1, transposed: true },
      b: { tensor: keys, row: D, inner: d },
      c: { tensor: dq, row: d, inner: d },
    });
    const room = gradientRoom(inWeight);
    const { into: dinWeight, accumulate } = room;
    const dinBias = zeros(gpu, inBias.shape);
    copy(dq, { ...dinBias, shape: [D] });
    const dtokens = empty(gpu, tokens.shape);
    for (const [third, dprojected] of [[1, dkeys] as const, [2, dvalues] as const]) {
      product({
        ...{ M: N * V, N: D, K: D, accumulate: third === 2 },
        a: { tensor: dprojected, row: D },
        b: { tensor: inWeight, row: D, base: third * D * D },
        c: { tensor: dtokens, row: D },
      });
      product({
        ...{ M: D, N: D, K: N * V, accumulate },
        a: { tensor: dprojected, row: D, transposed: true },
        b: { tensor: tokens, row: D },
        c: { tensor: dinWeight, row: D, base: third * D * D },
      });
      const dbias = sumInto(dprojected, dq, [1, N * V, D])!; // of dq's shape, a new tensor
      copy(dbias, { ...dinBias, offset: dinBias.offset + 4 * third * D, shape: [D] });
    }
    const dquery = projectedQueryBackward(dq, query, inWeight, room);
    return [dtokens, dquery, room.result, dinBias];
  });
}
