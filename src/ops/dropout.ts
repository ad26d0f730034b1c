// Dropout of elements, and of whole residual branches (drop path), where no product takes it along.
import { record } from "../engine/autograd.ts";
import { kernel, quads, run } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";
import { type Noise, noiseWords } from "./noise.ts";

const mask = kernel("dropout.wgsl", "mask");
const geluMask = kernel("dropout.wgsl", "gelu_mask");

/** Multiplies by dropout and drop path; the backward pass draws the same numbers again. */
export function dropout(x: Tensor, noise: Noise | undefined): Tensor {
  return noise ? record(masked(x, noise), [x], (dy) => [masked(dy, noise)]) : x;
}

/** `x * noise`, not noted on the tape: dL/dx from dL/dy. */
export function masked(x: Tensor, noise: Noise | undefined): Tensor {
  if (!noise) return x;
  const y = empty(x.gpu, x.shape);
  const length = size(x.shape);
  run(mask, { x, y }, { length, ...noiseWords(noise) }, quads(length));
  return y;
}

/** `gelu(before) * noise`, not noted on the tape: a hidden layer that was not kept. */
export function geluMasked(before: Tensor, noise: Noise | undefined): Tensor {
  const y = empty(before.gpu, before.shape);
  const length = size(before.shape);
  const words = noise ? noiseWords(noise) : SILENCE;
  run(geluMask, { x: before, y }, { length, ...words }, quads(length));
  return y;
}

const SILENCE = { threshold: 0, path_threshold: 0, share: 1, seed: 0, stream: 0, step: 0, first: 0 };
