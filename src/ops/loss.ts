// The loss ClimaX is trained with.
import { isRecording, record } from "../engine/autograd.ts";
import { expectShape, kernel, quads, run } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";

const forwardBlocks = [0, 1].map((MASKED) =>
  [0, 1].map((GRADIENT) =>
    [0, 1].map((SHARED) => kernel("loss.wgsl", "forward_blocks", { MASKED, GRADIENT, SHARED })),
  ),
);
const forwardTotal = [0, 1].map((MASKED) =>
  [0, 1].map((SHARED) => kernel("loss.wgsl", "forward_total", { MASKED, SHARED })),
);
const backwardElements = [0, 1].map((MASKED) => kernel("loss.wgsl", "backward_elements", { MASKED }));

/** Elements of a field that one workgroup adds up; BLOCK in the kernel. */
const BLOCK = 2048;

/**
 * Latitude-weighted mean squared error.
 *
 * @param pred    [B, V, H, W], normalised
 * @param y       [B, V, H, W], the truth; not differentiated by
 * @param weight  [H], cos(lat) / mean cos(lat)
 * @param mask    [B, H, W], how much each cell counts; cells of weight 0 may hold anything
 * @param share   [V], how much each variable counts, with mean 1; all alike when left out
 * @returns       loss [1], which is on the tape, and losses [V] of the variables, unshared, which are not
 * @see           ClimaX, arXiv:2301.10343, section 3.2
 */
export function weightedMse(
  pred: Tensor,
  y: Tensor,
  weight: Tensor,
  { mask, share }: { readonly mask?: Tensor; readonly share?: Tensor | undefined } = {},
): { loss: Tensor; losses: Tensor } {
  const { gpu } = pred;
  const [B, V, H, W] = pred.shape as [number, number, number, number];
  expectShape("weightedMse", "y", y, pred.shape);
  expectShape("weightedMse", "weight", weight, [H]);
  if (mask) expectShape("weightedMse", "mask", mask, [B, H, W]);
  if (share) expectShape("weightedMse", "share", share, [V]);
  const params = { B, V, H, W };
  const [masked, shared] = [mask ? 1 : 0, share ? 1 : 0];
  const blocks = [B, V, Math.ceil((H * W) / BLOCK)];
  const sums = empty(gpu, blocks);
  const counts = empty(gpu, blocks);
  const losses = empty(gpu, [V]);
  const loss = empty(gpu, [1]);
  const count = empty(gpu, [1]);
  // The gradient for dloss = 1, made while pred and y are at hand. What a variant does not use is bound all the same.
  const recording = isRecording();
  const dpred = empty(gpu, recording ? pred.shape : [1]);
  const shares = share ?? weight;
  const tensors = { pred, y, weight, mask: mask ?? weight, sums, counts, dpred, share: shares };
  run(forwardBlocks[masked]![recording ? 1 : 0]![shared]!, tensors, params, size(blocks));
  run(forwardTotal[masked]![shared]!, { sums, counts, losses, loss, count, share: shares }, params, 1);
  record(loss, [pred], (dloss) => {
    run(backwardElements[masked]!, { count, dloss, dpred }, params, quads(size(pred.shape)));
    return [dpred];
  });
  return { loss, losses };
}
