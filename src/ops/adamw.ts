// The optimiser's kernels: global gradient norm, clipping and the AdamW step, all on the device.
import type { Gpu } from "../engine/device.ts";
import { kernel, run, threads } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";

const squares = kernel("adamw.wgsl", "squares");
const norms = kernel("adamw.wgsl", "norm");
const steps = kernel("adamw.wgsl", "step");

/** Partial sums of one tensor's gradient: enough to keep a GPU busy, few enough to add up by one workgroup. */
const SHARES = 256;

/** What one AdamW step reads and writes: four tensors of one shape, whole vec4s long. */
export interface AdamwGroup {
  readonly value: Tensor;
  readonly grad: Tensor;
  /** Running mean of the gradient, and of its square. */
  readonly m: Tensor;
  readonly v: Tensor;
  /** Decoupled weight decay of this group. */
  readonly decay: number;
}

export interface AdamwSettings {
  /** The learning rate of this step. */
  readonly rate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Largest global norm of the gradient; 0 for no clipping. */
  readonly clip: number;
  /** Which step this is, from 1. */
  readonly t: number;
}

/**
 * One AdamW step over all groups, with the gradient clipped by its global norm. A gradient that is not finite changes
 * nothing.
 *
 * @returns  [2]: the norm before clipping, and the factor applied (0: the step was skipped)
 * @see      Loshchilov and Hutter 2019, arXiv:1711.05101; torch.optim.AdamW, torch.nn.utils.clip_grad_norm_
 */
export function adamw(gpu: Gpu, groups: readonly AdamwGroup[], settings: AdamwSettings): Tensor {
  const { rate, beta1, beta2, eps, clip, t } = settings;
  const shared = {
    clip,
    rate,
    beta1,
    beta2,
    eps,
    correction1: 1 - beta1 ** t,
    correction2: 1 - beta2 ** t,
  };
  const partial = empty(gpu, [SHARES * groups.length]);
  const state = empty(gpu, [2]);
  for (const [i, { grad, decay }] of groups.entries()) {
    const params = { ...shared, decay, length: size(grad.shape) / 4, first: SHARES * i };
    run(squares, { gradient: grad, partial }, params, SHARES);
  }
  run(norms, { partial, state }, { ...shared, decay: 0, length: SHARES * groups.length, first: 0 }, 1);
  for (const { value, grad, m, v, decay } of groups) {
    const length = size(grad.shape) / 4;
    const params = { ...shared, decay, length, first: 0 };
    run(steps, { gradient: grad, state, value, m, v }, params, threads(length));
  }
  return state;
}
