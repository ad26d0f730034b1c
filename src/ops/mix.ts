// How the factored aggregation mixes the variables of each patch: weights from scores, and the sums they weigh, without
// the tensor of weighted patches. N patches, V variables of K numbers each, C >= V K columns, H heads of width d, D = H d.
import { kernel, run, threads } from "../engine/kernel.ts";
import { empty, free, size, type Tensor } from "../engine/tensor.ts";
import { broadcastLanes, product } from "./product.ts";
import { sumInto } from "./reduce.ts";

const turn = kernel("mixweights.wgsl", "turn");
const forwardWeights = kernel("mixweights.wgsl", "forward_weights");
const backwardWeights = kernel("mixweights.wgsl", "backward_weights");
const backwardScoreBasis = kernel("mixweights.wgsl", "backward_score_basis");
const backwardPoints = kernel("mixweights.wgsl", "backward_points");
const gpuKernels = {
  forwardPatches: kernel("mix.wgsl", "forward_patches"),
  backwardPatches: kernel("mix.wgsl", "backward_patches"),
  backwardBasis: kernel("mix.wgsl", "backward_basis"),
};
const subgroupKernels = {
  forwardPatches: kernel("mix_subgroup.wgsl", "forward_patches"),
  backwardPatches: kernel("mix_subgroup.wgsl", "backward_patches"),
  backwardBasis: kernel("mix_subgroup.wgsl", "backward_basis"),
};

/** Blocks of the kernels: threads or lanes along patches, columns of a head, rows and vec4 columns of dM. */
interface Blocks {
  readonly along: number;
  readonly columns: number;
  readonly rows: number;
}

/** Patches whose part of dM is added up at a time, and the most such parts. */
const SHARE = 256;
const MOST_SHARES = 16;
/** Variables that one workgroup of a GPU finds the gradients of. */
const VARIABLES = 8;

/** Patches of which so many begin where a binding may, and the most products of patches and heads kept at a time. */
const ALIGNED_ROWS = 64;
const MOST_PRODUCTS = 4 * 2 ** 20;

/** What the backward pass needs: patches, patch changing fastest [C, Q] vec4s, and weights [H, V, Q] vec4s. */
export interface Mixed {
  readonly o: Tensor;
  readonly turned: Tensor;
  readonly attention: Tensor;
}

export interface MixSizes {
  readonly N: number;
  readonly V: number;
  readonly K: number;
  readonly C: number;
  readonly H: number;
  readonly d: number;
}

/** Columns of a score basis: one for each head, and up to whole vec4s. */
export function scoreColumns(heads: number): number {
  return 4 * Math.ceil(heads / 4);
}

/**
 * o[n, h] = sum over v, k of softmax_v(P S)[n, h, v] P[n, v, k] M[v, k, h].
 *
 * @param patches     P, [N, C], zero beyond V K
 * @param scoreBasis  S, [C, scoreColumns(H)]; what is beyond H does not matter
 * @param valueBasis  M, [C, D]; d is a multiple of 4
 */
export function mix(patches: Tensor, scoreBasis: Tensor, valueBasis: Tensor, sizes: MixSizes): Mixed {
  const { gpu } = patches;
  const { N, V, C, H, d } = sizes;
  const Q = Math.ceil(N / 4);
  const params = { ...sizes, Q, share: 0, first: 0 };
  const turned = empty(gpu, [C, 4 * Q]);
  run(turn, { patches, turned }, params, threads(C * Q));
  const attention = empty(gpu, [H, V, 4 * Q]);
  const tensors = { turned, score_basis: scoreBasis, attention };
  run(forwardWeights, tensors, params, threads(Math.ceil(H / 4) * Q));
  const o = empty(gpu, [N, H * d]);
  const { kernels, along, columns } = choose(patches);
  run(kernels.forwardPatches, { turned, attention, basis: valueBasis, o }, params, [
    Math.ceil(Q / along),
    Math.ceil(d / columns),
    H,
  ]);
  return { o, turned, attention };
}

/**
 * The gradients of `mix` by its bases, given that by its o: dscoreBasis, and dvalueBasis.
 *
 * @param dpatches  [N, C], where the gradient by the patches goes if that is wanted too
 */
export function mixBackward(
  mixed: Mixed,
  { scoreBasis, valueBasis }: { scoreBasis: Tensor; valueBasis: Tensor },
  dmixed: Tensor,
  sizes: MixSizes,
  dpatches?: Tensor,
): { dscoreBasis: Tensor; dvalueBasis: Tensor } {
  const { turned, attention } = mixed;
  const { gpu } = dmixed;
  const { N, V, C, H, d } = sizes;
  const D = H * d;
  const Q = Math.ceil(N / 4);
  const { kernels, lanes, along, rows } = choose(dmixed);

  const variables = lanes > 0 ? V : VARIABLES;
  const dscores = empty(gpu, [H, V, 4 * Q]);
  const params = { ...sizes, Q, share: variables, first: 0 };
  run(kernels.backwardPatches, { turned, basis: valueBasis, do_: dmixed, dscores }, params, [
    Math.ceil(Q / along),
    Math.ceil(V / variables),
    H,
  ]);
  run(backwardWeights, { attention, dscores }, params, threads(H * Q));
  const dscoreBasis = empty(gpu, [C, scoreColumns(H)]);
  const tensors = { turned, dscores, dscore_basis: dscoreBasis };
  run(backwardScoreBasis, tensors, params, size(dscoreBasis.shape) / 4);
  if (dpatches) patchGradient(dpatches, { attention, dscores, scoreBasis, valueBasis, dmixed }, sizes);
  free(dscores);

  const share = Math.max(SHARE / 4, Math.ceil(Q / MOST_SHARES));
  const shares = Math.ceil(Q / share);
  const dbasis = empty(gpu, [shares, C, D]);
  run(
    kernels.backwardBasis,
    { turned, attention, do_: dmixed, dbasis },
    { ...params, share },
    lanes > 0
      ? [Math.ceil(C / rows), Math.ceil(d / 4 / lanes), H * shares]
      : [Math.ceil(D / 4 / along), Math.ceil(C / rows), shares],
  );
  if (shares === 1) return { dscoreBasis, dvalueBasis: dbasis };
  const dvalueBasis = sumInto(dbasis, { ...valueBasis, shape: [C, D] }, [1, shares, C * D])!;
  free(dbasis);
  return { dscoreBasis, dvalueBasis };
}

/**
 * dP[n, v, k] = sum over h of a[h, v, n] (do[n, h] . M[v, k, h]) + ds[h, v, n] S[v, k, h], by blocks of patches: the
 * products of all would take H times their memory.
 */
function patchGradient(
  dpatches: Tensor,
  given: Readonly<Record<"attention" | "dscores" | "scoreBasis" | "valueBasis" | "dmixed", Tensor>>,
  sizes: MixSizes,
): void {
  const { gpu } = dpatches;
  const { attention, dscores, scoreBasis, valueBasis, dmixed } = given;
  const { N, C, H, d } = sizes;
  const D = H * d;
  const block = Math.min(N, ALIGNED_ROWS * Math.max(1, Math.floor(MOST_PRODUCTS / (H * C * ALIGNED_ROWS))));
  const dvalues = empty(gpu, [H, block, C]);
  for (let first = 0; first < N; first += block) {
    const rows = Math.min(block, N - first);
    product({
      ...{ M: rows, N: C, K: d, batch: [1, H] },
      a: {
        tensor: { ...dmixed, offset: dmixed.offset + 4 * first * D, shape: [rows, D] },
        row: D,
        inner: d,
      },
      b: { tensor: valueBasis, row: D, inner: d, transposed: true },
      c: { tensor: dvalues, row: C, inner: rows * C },
    });
    const tensors = {
      ...{ weights: attention, dweights: dscores, score_values: scoreBasis },
      ...{ dvalues, dpatches },
    };
    const params = { ...sizes, Q: Math.ceil(N / 4), share: rows, first };
    run(backwardPoints, tensors, params, threads(rows * C));
  }
  free(dvalues);
}

/** By subgroup broadcast on software adapters; `lanes` is 0 otherwise. */
function choose({ gpu }: Tensor): Blocks & { kernels: typeof gpuKernels; lanes: number } {
  const lanes = broadcastLanes(gpu);
  return lanes > 0
    ? { kernels: subgroupKernels, lanes, along: lanes, columns: 32, rows: 32 }
    : { kernels: gpuKernels, lanes, along: 64, columns: 16, rows: 8 };
}
