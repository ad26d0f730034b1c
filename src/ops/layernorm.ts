// Layer normalisation.
import { record } from "../engine/autograd.ts";
import { expectShape, kernel, run, threads } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";

const forwardRows = kernel("layernorm.wgsl", "forward_rows");
const backwardRows = kernel("layernorm.wgsl", "backward_rows");
const backwardColumns = [0, 1].map((ACCUMULATE_WEIGHT) =>
  [0, 1].map((ACCUMULATE_BIAS) =>
    kernel("layernorm.wgsl", "backward_columns", { ACCUMULATE_WEIGHT, ACCUMULATE_BIAS }),
  ),
);

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
  const { gpu } = x;
  const columns = x.shape.at(-1)!; // C
  const rows = size(x.shape) / columns; // R
  expectShape("layernorm", "weight", weight, [columns]);
  expectShape("layernorm", "bias", bias, [columns]);

  const params = { rows, columns, eps };
  const y = empty(gpu, x.shape);
  const mean = empty(gpu, [rows]);
  const rstd = empty(gpu, [rows]);
  run(forwardRows, { x, weight, bias, y, mean, rstd }, params, rows);

  return record(y, [x, weight, bias], (dy) => {
    const dx = empty(gpu, x.shape);
    const dweight = weight.grad ?? empty(gpu, [columns]);
    const dbias = bias.grad ?? empty(gpu, [columns]);
    run(backwardRows, { dy, x, weight, mean, rstd, dx }, params, rows);
    const columnsKernel = backwardColumns[weight.grad ? 1 : 0]![bias.grad ? 1 : 0]!;
    run(columnsKernel, { dy, x, mean, rstd, dweight, dbias }, params, threads(columns));
    return [dx, weight.grad ? null : dweight, bias.grad ? null : dbias];
  });
}
