// The optimiser's kernels: global gradient norm, clipping and the AdamW step, all on the device.
import type { Gpu } from "../engine/device.ts";
import { kernel, run, variants } from "../engine/kernel.ts";
import { empty, free, size, type Tensor, tensor, zeros } from "../engine/tensor.ts";
import { broadcastLanes } from "./product.ts";

const squares = kernel("adamw.wgsl", "squares");
const norms = kernel("adamw.wgsl", "norm");
const scaledNorms = kernel("adamw.wgsl", "scaled_norm");
const soundSteps = variants((choices) => kernel("adamw.wgsl", "step_sound", {}, choices));
const aloneSteps = variants((choices) => kernel("adamw.wgsl", "step_alone", {}, choices));
const steps = [0, 1].map((CLEAR) => kernel("adamw.wgsl", "step", { CLEAR }));
const stepsHalves = [0, 1].map((CLEAR) => kernel("adamw.wgsl", "step_halves", { CLEAR }));

/** Threads of a workgroup of `step`, four elements each: an H100 moves 2.9 TB/s by 128, 2.4 by 64. */
const STEP_THREADS = 128;
/** Most partial sums of one tensor's gradient: enough to keep a GPU busy, few enough to add up by one workgroup. */
const MAX_SHARES = 1024;
/** Elements worth a partial sum of their own. */
const SHARE = 8192;

/** What one AdamW step reads and writes: four tensors of one shape, whole vec4s long. */
export interface AdamwGroup {
  /** Its halves, where it has some, follow it. */
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
  /** Of `makeScaler`: the gradients hold its scale times the gradient. It counts the steps in place of `t`. */
  readonly scaler?: Tensor;
  /** Leave zeros where the gradients were, in the same pass; also when the step is skipped. */
  readonly clear?: boolean;
  /** The sum of the squares of all gradients, where the groups hold a part of them alone. */
  readonly squares?: number | undefined;
}

/**
 * The state of dynamic loss scaling, [4]: the scale that the loss is to be multiplied by, how many finite gradients
 * came since it last changed, and beta1^t, beta2^t of the t steps made. A gradient that is not finite halves the scale,
 * 2000 finite ones in a row double it.
 */
export function makeScaler(gpu: Gpu): Tensor {
  return tensor(gpu, [4], [2 ** 16, 0, 1, 1]);
}

/**
 * One AdamW step over all groups, with the gradient clipped by its global norm. A gradient that is not finite changes
 * nothing.
 *
 * @returns  [5]: the norm before clipping, the factor applied (0: the step was skipped), both corrections, the scale
 * @see      Loshchilov and Hutter 2019, arXiv:1711.05101; torch.optim.AdamW, torch.nn.utils.clip_grad_norm_
 */
export function adamw(gpu: Gpu, groups: readonly AdamwGroup[], settings: AdamwSettings): Tensor {
  const { scaler, clear = false } = settings;
  const shared = sharedParams(settings);
  const partial =
    settings.squares === undefined
      ? squaresOf(gpu, groups, shared)
      : tensor(gpu, [4], [settings.squares, 0, 0, 0]);
  const state = stateOf(partial, shared, scaler);
  for (const group of groups) step(group, state, shared, clear);
  return state;
}

/** Partial sums of the squares of all gradients, whole vec4s. */
function squaresOf(gpu: Gpu, groups: readonly AdamwGroup[], shared: Shared): Tensor {
  const partial = empty(gpu, [sharesOfAll(groups)]);
  squaresInto(partial, groups, shared);
  return partial;
}

function sharesOfAll(groups: readonly AdamwGroup[]): number {
  return groups.reduce((sum, { grad }) => sum + sharesOf(grad), 0);
}

/** Partial sums one after the other. */
function squaresInto(partial: Tensor, groups: readonly AdamwGroup[], shared: Shared): void {
  let first = 0;
  for (const { grad, decay } of groups) {
    const count = sharesOf(grad);
    run(
      squares,
      { gradient: grad, partial },
      { ...shared, decay, length: size(grad.shape) / 4, first },
      count,
    );
    first += count;
  }
}

/** The state of the whole step, [5], from partial sums of squares; a scaler takes notice. */
function stateOf(partial: Tensor, shared: Shared, scaler: Tensor | undefined): Tensor {
  const state = empty(partial.gpu, [5]);
  const params = { ...shared, decay: 0, length: size(partial.shape) / 4, first: 0 };
  if (scaler) run(scaledNorms, { partial4: partial, state, scaler }, params, 1);
  else run(norms, { partial4: partial, state }, params, 1);
  return state;
}

/**
 * AdamW one tensor at a time, in any order, so that no two gradients need to exist at once. What is not finite changes
 * nothing of its own element, and shows in the state: others have changed already.
 *
 * @param lent  how many tensors will come by themselves
 * @param rest  what is stepped at the end, all at once and only if every gradient of the step was finite
 */
export function adamwInTurn(
  gpu: Gpu,
  lent: number,
  rest: readonly AdamwGroup[],
  settings: Omit<AdamwSettings, "clip" | "squares">,
) {
  const { scaler, clear = false } = settings;
  const shared = sharedParams({ ...settings, clip: 0 });
  const partial = zeros(gpu, [lent * MAX_SHARES + sharesOfAll(rest)]);
  const from = (first: number, count: number): Tensor => ({
    ...partial,
    shape: [count],
    offset: partial.offset + 4 * first,
  });
  let updated = 0;
  return {
    /** Takes the step of one tensor; nothing reads its gradient again. */
    update(group: AdamwGroup): void {
      const { value, grad, m, v, decay } = group;
      const { half } = value;
      const count = sharesOf(grad);
      const share = from(MAX_SHARES * updated++, count);
      const extras = { ...(scaler && { scaler }), ...(half && { halves: half }) };
      const tensors = { gradient: grad, value, m, v, ...extras };
      const params = { ...shared, decay, length: size(grad.shape) / 4, first: 0 };
      const choices = [...(scaler ? ["SCALED"] : []), ...(half ? ["HALVES"] : [])];
      if (broadcastLanes(gpu) > 0) {
        // Software adapters pay more for a loop than for reading a gradient twice.
        squaresInto(share, [group], shared);
        run(soundSteps(choices), tensors, params, Math.ceil(params.length / STEP_THREADS));
      } else run(aloneSteps(choices), { ...tensors, partial: share }, params, count);
    },
    /** Takes the step of the rest; the state of the whole step, as `adamw` returns it. */
    finish(): Tensor {
      if (rest.length > 0) squaresInto(from(MAX_SHARES * lent, sharesOfAll(rest)), rest, shared);
      const state = stateOf(partial, shared, scaler);
      for (const group of rest) step(group, state, shared, clear);
      free(partial);
      return state;
    },
  };
}

/** How many workgroups add up a gradient's squares, in whole vec4s. */
function sharesOf(grad: Tensor): number {
  return 4 * Math.ceil(Math.min(MAX_SHARES, size(grad.shape) / SHARE) / 4);
}

type Shared = ReturnType<typeof sharedParams>;

function sharedParams({ rate, beta1, beta2, eps, clip, t }: AdamwSettings) {
  return { clip, rate, beta1, beta2, eps, correction1: 1 - beta1 ** t, correction2: 1 - beta2 ** t };
}

function step({ value, grad, m, v, decay }: AdamwGroup, state: Tensor, shared: Shared, clear: boolean): void {
  const length = size(grad.shape) / 4;
  const params = { ...shared, decay, length, first: 0 };
  const groups = Math.ceil(length / STEP_THREADS);
  const tensors = { gradient: grad, known: state, value, m, v };
  if (value.half) run(stepsHalves[clear ? 1 : 0]!, { ...tensors, halves: value.half }, params, groups);
  else run(steps[clear ? 1 : 0]!, tensors, params, groups);
}
