// Layer normalisation.
import { record } from "../engine/autograd.ts";
import { expectShape, kernel, quads, run, threads } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";
import { SHARE, sumInto } from "./reduce.ts";

const forwardRows = kernel("layernorm.wgsl", "forward_rows");
const forwardRows4 = kernel("layernorm.wgsl", "forward_rows4");
const backwardRows = kernel("layernorm.wgsl", "backward_rows");
const backwardRows4 = kernel("layernorm.wgsl", "backward_rows4");
const backwardColumns = kernel("layernorm.wgsl", "backward_columns");
const backwardColumns4 = kernel("layernorm.wgsl", "backward_columns4");

/** The gain and the shift of a layer normalisation, each [C]. */
export interface NormWeights {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/**
 * Layer normalisation over the last axis: `y = (x - mean) / sqrt(var + eps) * weight + bias`.
 *
 * @param x       [..., C]
 * @param weight  [C], the gain
 * @param bias    [C]
 * @param eps     added to the variance; the default is torch.nn.LayerNorm's, which ClimaX keeps
 * @returns       [..., C]
 * @throws        ClimaxError "shape" if weight or bias is not [C]
 * @see           Ba et al. 2016, arXiv:1607.06450, section 3
 */
export function layernorm(x: Tensor, weight: Tensor, bias: Tensor, eps = 1e-5): Tensor {
  const norm = { weight, bias };
  const normed = normalise(x, norm, eps);
  return record(normed.y, [x, weight, bias], (dy) => normaliseBackward(dy, x, norm, normed));
}

/** What normalising gives: y [..., C], and mean and 1 / standard deviation of each row, [R]. */
export interface Normed {
  readonly y: Tensor;
  readonly mean: Tensor;
  readonly rstd: Tensor;
}

/** `layernorm`, not noted on the tape: for ops that make it again instead of keeping it. */
export function normalise(x: Tensor, { weight, bias }: NormWeights, eps = 1e-5): Normed {
  const { gpu } = x;
  const columns = x.shape.at(-1)!; // C
  const rows = size(x.shape) / columns; // R
  expectShape("layernorm", "weight", weight, [columns]);
  expectShape("layernorm", "bias", bias, [columns]);

  const params = { rows, columns, eps, block: SHARE };
  const y = empty(gpu, x.shape);
  const mean = empty(gpu, [rows]);
  const rstd = empty(gpu, [rows]);
  if (columns % 4 === 0) {
    run(forwardRows4, { x4: x, weight4: weight, bias4: bias, y4: y, mean, rstd }, params, rows);
  } else run(forwardRows, { x, weight, bias, y, mean, rstd }, params, rows);
  return { y, mean, rstd };
}

/** Gradients by x, weight and bias, the last two null where they were added to those of parameters. */
export function normaliseBackward(
  dy: Tensor,
  x: Tensor,
  { weight, bias }: NormWeights,
  { mean, rstd }: Omit<Normed, "y">,
): [Tensor, Tensor | null, Tensor | null] {
  const { gpu } = x;
  const columns = x.shape.at(-1)!; // C
  const rows = size(x.shape) / columns; // R
  const params = { rows, columns, eps: 0, block: SHARE }; // eps is in rstd already
  const dx = empty(gpu, x.shape);
  const shares = Math.ceil(rows / SHARE);
  const dweight = empty(gpu, [shares, columns]);
  const dbias = empty(gpu, [shares, columns]);
  if (columns % 4 === 0) {
    run(backwardRows4, { dy4: dy, x4: x, weight4: weight, mean, rstd, dx4: dx }, params, rows);
    const tensors = { dy4: dy, x4: x, mean, rstd, dweight4: dweight, dbias4: dbias };
    run(backwardColumns4, tensors, params, quads(size(dweight.shape)));
  } else {
    run(backwardRows, { dy, x, weight, mean, rstd, dx }, params, rows);
    run(backwardColumns, { dy, x, mean, rstd, dweight, dbias }, params, threads(size(dweight.shape)));
  }
  const summed = [1, shares, columns] as const;
  return [dx, sumInto(dweight, weight, summed), sumInto(dbias, bias, summed)];
}
