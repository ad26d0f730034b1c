// Dropout of elements, and of whole residual branches (drop path), where no product takes it along.
import { record } from "../engine/autograd.ts";
import { kernel, quads, run } from "../engine/kernel.ts";
import { empty, emptyLike, emptyOperand, size, type Tensor } from "../engine/tensor.ts";
import { type Noise, noiseWords } from "./noise.ts";

const mask = kernel("dropout.wgsl", "mask");
const geluMask = kernel("dropout.wgsl", "gelu_mask");
const halfMask = kernel("dropout.wgsl", "half_mask");
const halfGeluMask = kernel("dropout.wgsl", "half_gelu_mask");

/** Multiplies by dropout and drop path; the backward pass draws the same numbers again. */
export function dropout(x: Tensor, noise: Noise | undefined): Tensor {
  return noise ? record(masked(x, noise), [x], (dy) => [masked(dy, noise)]) : x;
}

/** `x * noise`, not noted on the tape: dL/dx from dL/dy. */
export function masked(x: Tensor, noise: Noise | undefined): Tensor {
  if (!noise) return x;
  return maskInto(empty(x.gpu, x.shape), x, noise);
}

/** `masked` for what only products read. */
export function maskedOperand(x: Tensor, noise: Noise | undefined): Tensor {
  if (!noise) return x;
  return maskInto(emptyOperand(x.gpu, x.shape), x, noise);
}

function maskInto(y: Tensor, x: Tensor, noise: Noise): Tensor {
  const params = { length: size(x.shape), ...noiseWords(noise) };
  if (y.type === "f16") run(halfMask, { x, y_half: y }, params, quads(params.length));
  else run(mask, { x, y }, params, quads(params.length));
  return y;
}

/** `gelu(before) * noise`, of the type of `before`, not noted on the tape: a hidden layer that was not kept. */
export function geluMasked(before: Tensor, noise: Noise | undefined): Tensor {
  const y = emptyLike(before);
  const params = { length: size(before.shape), ...(noise ? noiseWords(noise) : SILENCE) };
  if (before.type === "f16") run(halfGeluMask, { x_half: before, y_half: y }, params, quads(params.length));
  else run(geluMask, { x: before, y }, params, quads(params.length));
  return y;
}

const SILENCE = { threshold: 0, path_threshold: 0, share: 1, seed: 0, stream: 0, step: 0, first: 0 };
