// Batch normalisation, with the moments of the batch in training and the running ones otherwise.
import { record } from "../engine/autograd.ts";
import { expectShape, kernel, quads, run, threads } from "../engine/kernel.ts";
import { empty, free, size, type Tensor } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";

const momentsPlanes = kernel("batchnorm.wgsl", "moments_planes");
const momentsChannels = [0, 1].map((UPDATE) => kernel("batchnorm.wgsl", "moments_channels", { UPDATE }));
const runningChannels = kernel("batchnorm.wgsl", "running_channels");
const forwards = kernel("batchnorm.wgsl", "forward");
const sumsPlanes = kernel("batchnorm.wgsl", "sums_planes");
const sumsChannels = [0, 1].map((ADD_WEIGHT) =>
  [0, 1].map((ADD_BIAS) => kernel("batchnorm.wgsl", "sums_channels", { ADD_WEIGHT, ADD_BIAS })),
);
const backwards = [0, 1].map((TRAINING) => kernel("batchnorm.wgsl", "backward", { TRAINING }));

export interface BatchnormOptions {
  /** Normalise by the moments of this batch, not by the running ones. */
  readonly training: boolean;
  /** In training, also let the running moments follow; true by default. A pass that is run again must not. */
  readonly update?: boolean;
  /** How far the running moments move towards those of a batch; 0.1 by default, torch's. */
  readonly momentum?: number;
  /** Added to the variance; 1e-5 by default, torch's. */
  readonly eps?: number;
}

/**
 * Batch normalisation of each channel over samples and points, torch.nn.BatchNorm2d's: in training y has the biased
 * variance of the batch divided out, the running variance follows the unbiased one, and gradients flow through the
 * moments.
 *
 * @param x            [B, C, ...]
 * @param weight       [C]
 * @param bias         [C]
 * @param runningMean  [C], changed in place in training
 * @param runningVar   [C], changed in place in training
 * @returns            [B, C, ...]
 * @throws             ClimaxError "shape" if the shapes do not fit, or a channel in training has a single value
 * @see                Ioffe and Szegedy 2015, arXiv:1502.03167
 */
export function batchnorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  runningMean: Tensor,
  runningVar: Tensor,
  { training, update = true, momentum = 0.1, eps = 1e-5 }: BatchnormOptions,
): Tensor {
  const { gpu } = x;
  const [samples, channels] = x.shape as [number, number];
  const plane = size(x.shape.slice(2));
  for (const [name, t] of Object.entries({ weight, bias, runningMean, runningVar })) {
    expectShape("batchnorm", name, t, [channels]);
  }
  if (training && samples * plane < 2) {
    throw new ClimaxError(
      "shape",
      `batchnorm: x is [${x.shape}], one value in each channel, and one value has no variance`,
      "train with a larger batch or micro-batch, a larger grid, or fewer levels",
    );
  }
  const params = { samples, channels, plane, momentum, eps };
  const mean = empty(gpu, [channels]);
  const rstd = empty(gpu, [channels]);
  const running = { running_mean: runningMean, running_var: runningVar };
  if (training) {
    const planes = {
      plane_mean: empty(gpu, [samples, channels]),
      plane_squares: empty(gpu, [samples, channels]),
    };
    run(momentsPlanes, { x4: x, ...planes }, params, samples * channels);
    // A binding counts as used even where an override switches it off.
    const followed = update ? running : { running_mean: empty(gpu, [1]), running_var: empty(gpu, [1]) };
    run(momentsChannels[update ? 1 : 0]!, { ...planes, mean, rstd, ...followed }, params, threads(channels));
    for (const t of Object.values(planes)) free(t);
    if (!update) for (const t of Object.values(followed)) free(t);
  } else run(runningChannels, { mean, rstd, ...running }, params, threads(channels));
  const y = empty(gpu, x.shape);
  run(forwards, { x4: x, weight, bias, mean, rstd, y4: y }, params, quads(size(x.shape)));

  return record(y, [x, weight, bias], (dy) => {
    const planes = { plane_dy: empty(gpu, [samples, channels]), plane_dyn: empty(gpu, [samples, channels]) };
    run(sumsPlanes, { x4: x, dy4: dy, mean, rstd, ...planes }, params, samples * channels);
    const averages = { mean_dy: empty(gpu, [channels]), mean_dyn: empty(gpu, [channels]) };
    const dweight = weight.grad ?? empty(gpu, [channels]);
    const dbias = bias.grad ?? empty(gpu, [channels]);
    const sums = sumsChannels[weight.grad ? 1 : 0]![bias.grad ? 1 : 0]!;
    run(sums, { ...planes, ...averages, dweight, dbias }, params, threads(channels));
    const dx = empty(gpu, x.shape);
    const tensors = { x4: x, dy4: dy, weight, mean, rstd, ...averages, dx4: dx };
    run(backwards[training ? 1 : 0]!, tensors, params, quads(size(x.shape)));
    return [dx, weight.grad ? null : dweight, bias.grad ? null : dbias];
  });
}
