// Transposed convolution, which the backward of a convolution by its input is: up-sampling with a learnt kernel.
import { needsGradient, record } from "../engine/autograd.ts";
import { expectShape } from "../engine/kernel.ts";
import { empty, type Tensor } from "../engine/tensor.ts";
import {
  addBias,
  type ConvOptions,
  channelSums,
  checked,
  convolve,
  convolveBack,
  kernelGradient,
} from "./conv2d.ts";

/**
 * torch.nn.ConvTranspose2d: the transpose of `conv2d` with the same kernel, stride, padding and periodicity.
 *
 * @param x       [B, C, H, W]
 * @param weight  [C, O, k, k]
 * @param bias    [O]
 * @returns       [B, O, s (H - 1) + k - 2 p, s (W - 1) + k - 2 p]
 * @throws        ClimaxError "shape"
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { stride = 1, padding = 0, periodic = false }: Omit<ConvOptions, "slope"> = {},
): Tensor {
  const { gpu } = x;
  const [B, C, outRows, outColumns] = x.shape as [number, number, number, number];
  const [, O, side] = weight.shape as [number, number, number, number];
  expectShape("convTranspose2d", "weight", weight, [C, O, side, side]);
  expectShape("convTranspose2d", "bias", bias, [O]);
  const H = stride * (outRows - 1) + side - 2 * padding;
  const W = stride * (outColumns - 1) + side - 2 * padding;
  // Of the convolution that this is the transpose of: from the O channels of y to the C of x.
  const geometry = checked({
    ...{ B, C: O, H, W, O: C, outRows, outColumns },
    ...{ side, stride, padding, periodic },
  });
  const y = empty(gpu, [B, O, H, W]);
  convolveBack(x, weight, y, geometry);
  addBias(y, bias);
  const [toX, toWeight, toBias] = [x, weight, bias].map(needsGradient);
  return record(y, [x, weight, bias], (dy) => {
    let dx: Tensor | null = null;
    if (toX) convolve(dy, weight, (dx = empty(gpu, x.shape)), geometry);
    return [
      dx,
      toWeight ? kernelGradient(x, dy, weight, geometry) : null,
      toBias ? channelSums(dy, bias) : null,
    ];
  });
}
