// The aggregation of variables with all that does not depend on the input folded into two constants, in f64: what
// src/ops/aggregate.ts does on the device at each step, done once. Keys, values and tokens need not be computed any more.
//
// V variables, p patch side, K = p p + 1, D width of a token, H heads of width d = D / H.
import { tokenNames } from "../model/parameters.ts";
import type { ReadParameter } from "./graph.ts";

/** What an aggregation from patches is made of. */
export interface FoldedAggregation {
  /** S [V, K, H]: a patch of a variable, with a 1 after it, times its part is the variable's score for each head. */
  readonly scores: Float32Array;
  /** M [H, V K, d]: the same patches, weighted, times a head's part are what that head gives, but for the values' bias. */
  readonly values: Float32Array;
  /** [D], the output's bias, with the values' bias put through the output's weights: attention weights sum to 1. */
  readonly outBias: Float32Array;
}

/**
 * Folds the tokens of some variables and the attention that aggregates them:
 *
 *   S[v, k, h] = E_v[k] . U_h,   U_h = W_k,h^T q_h / sqrt(d),   q = W_q query + b_q     (b_k shifts all scores alike)
 *   M[h, v, k] = W_v,h E_v[k],   E_v = [W_v; b_v + var_embed_v]
 *
 * @param variables  for each its place among those that have tokens
 * @see              Nguyen et al. 2023, arXiv:2301.10343, section 3.1
 */
export async function foldAggregation(
  read: ReadParameter,
  config: { patchSize: number; embedDim: number; heads: number; parallelPatchEmbed: boolean },
  variables: readonly number[],
): Promise<FoldedAggregation> {
  const { patchSize: p, embedDim: D, heads: H, parallelPatchEmbed } = config;
  const [pp, K, V, d] = [p * p, p * p + 1, variables.length, D / config.heads];
  const inWeight = await read("var_agg.in_proj_weight"); // [3 D, D]: query's, keys', values'
  const inBias = await read("var_agg.in_proj_bias"); // [3 D]
  const U = foldQuery(await read("var_query"), inWeight, inBias, H);
  const valueWeight = inWeight.subarray(2 * D * D);
  const embed = await read("var_embed"); // [1, V_all, D]

  const scores = new Float32Array(V * K * H);
  const values = new Float32Array(V * K * D);
  const E = new Float64Array(K * D); // of one variable
  const shared = parallelPatchEmbed ? await readToken(read, config, 0) : undefined;
  for (const [v, id] of variables.entries()) {
    const { weight, bias } = shared ?? (await readToken(read, config, id));
    const row = shared ? id : 0;
    for (let c = 0; c < D; c++) {
      for (let k = 0; k < pp; k++) E[k * D + c] = weight[(row * D + c) * pp + k]!;
      E[pp * D + c] = bias[row * D + c]! + embed[id * D + c]!;
    }
    for (let k = 0; k < K; k++) {
      const e = E.subarray(k * D, (k + 1) * D);
      for (let h = 0; h < H; h++) scores[(v * K + k) * H + h] = dot(e, U, h * D);
      for (let c = 0; c < D; c++) {
        const h = Math.floor(c / d);
        values[(h * V * K + v * K + k) * d + (c % d)] = dot(e, valueWeight, c * D);
      }
    }
  }

  const outWeight = await read("var_agg.out_proj.weight");
  const outBias = (await read("var_agg.out_proj.bias")).slice();
  const valueBias = Float64Array.from(inBias.subarray(2 * D));
  for (let c = 0; c < D; c++) outBias[c] = outBias[c]! + dot(valueBias, outWeight, c * D);
  return { scores, values, outBias };
}

/** Weight [.., D, 1, p, p] and bias [.., D] of a variable's patch embedding, or in the parallel form of all. */
async function readToken(read: ReadParameter, config: { parallelPatchEmbed: boolean }, id: number) {
  const names = tokenNames(config, id);
  return { weight: await read(names.weight), bias: await read(names.bias) };
}

/**
 * A learned query and the keys' projection as one: a token times row h is the token's score for head h, but for what the
 * keys' bias adds, the same to all.
 *
 * @param query     [D]
 * @param inWeight  [3 D, D], torch.nn.MultiheadAttention's
 * @param inBias    [3 D]
 * @returns         U [H, D]
 */
export function foldQuery(
  query: Float32Array,
  inWeight: Float32Array,
  inBias: Float32Array,
  H: number,
): Float64Array {
  const D = query.length;
  const d = D / H;
  const given = Float64Array.from(query);
  const U = new Float64Array(H * D);
  for (let row = 0; row < D; row++) {
    const q = (dot(given, inWeight, row * D) + inBias[row]!) / Math.sqrt(d);
    const start = Math.floor(row / d) * D;
    const key = (D + row) * D;
    for (let c = 0; c < D; c++) U[start + c] = U[start + c]! + q * inWeight[key + c]!;
  }
  return U;
}

/** Of `a` and as many numbers of `b` from `start`. */
function dot(a: Float64Array, b: Float32Array | Float64Array, start: number): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[start + i]!;
  return sum;
}
