// The loss ClimaX is trained with.
import { record } from "../engine/autograd.ts";
import { expectShape, kernel, run, threads } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";

const forwardRows = [0, 1].map((MASKED) => kernel("loss.wgsl", "forward_rows", { MASKED }));
const forwardTotal = kernel("loss.wgsl", "forward_total");
const backwardElements = [0, 1].map((MASKED) => kernel("loss.wgsl", "backward_elements", { MASKED }));

/**
 * Latitude-weighted mean squared error.
 *
 * @param pred    [B, V, H, W], normalised
 * @param y       [B, V, H, W], the truth; not differentiated by
 * @param weight  [H], cos(lat) / mean cos(lat)
 * @param mask    [B, H, W], how much each cell counts; cells of weight 0 may hold anything
 * @returns       loss [1], which is on the tape, and losses [V] of the variables, which are not
 * @see           ClimaX, arXiv:2301.10343, section 3.2
 */
export function weightedMse(
  pred: Tensor,
  y: Tensor,
  weight: Tensor,
  mask?: Tensor,
): { loss: Tensor; losses: Tensor } {
  const { gpu } = pred;
  const [B, V, H, W] = pred.shape as [number, number, number, number];
  expectShape("weightedMse", "y", y, pred.shape);
  expectShape("weightedMse", "weight", weight, [H]);
  if (mask) expectShape("weightedMse", "mask", mask, [B, H, W]);
  const params = { B, V, H, W };
  const variant = mask ? 1 : 0;
  const rows = empty(gpu, [B, V, H]);
  const mask_rows = empty(gpu, [B, V, H]);
  const losses = empty(gpu, [V]);
  const loss = empty(gpu, [1]);
  const count = empty(gpu, [1]);
  // Without a mask its binding is declared but never read: any tensor will do.
  run(
    forwardRows[variant]!,
    { pred, y, weight, mask: mask ?? weight, rows, mask_rows },
    params,
    size(rows.shape),
  );
  run(forwardTotal, { rows, mask_rows, losses, loss, count }, params, 1);
  record(loss, [pred], (dloss) => {
    const dpred = empty(gpu, pred.shape);
    const tensors = { pred, y, weight, mask: mask ?? weight, count, dloss, dpred };
    run(backwardElements[variant]!, tensors, params, threads(size(pred.shape)));
    return [dpred];
  });
  return { loss, losses };
}
