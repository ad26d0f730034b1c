// The loss of one batch: of a forecast, or of a roll-out that feeds on what it predicts.

import type { Gpu } from "../engine/device.ts";
import { type Tensor, tensor } from "../engine/tensor.ts";
import { type ForwardOptions, type ModelInput, type Parameters, variableIds } from "../model/climax.ts";
import type { BoundNetwork } from "../model/network.ts";
import { add, scale } from "../ops/elementwise.ts";
import { selectFields } from "../ops/fields.ts";
import { weightedMse } from "../ops/loss.ts";
import type { Batch } from "../sets/samples.ts";

/** A batch on the device. */
export interface Uploaded {
  readonly input: ModelInput;
  /** Each [B, Vo, h, w]: the truth at the lead time, and at every further step of a roll-out. */
  readonly targets: readonly Tensor[];
  /** [Vo], how much each output counts, with mean 1; undefined: alike. */
  readonly share: Tensor | undefined;
}

/**
 * Copies a batch to the device.
 *
 * @param shares  how much outputs count in the loss, relative to the others; 1 where nothing is said
 */
export function upload(
  gpu: Gpu,
  { config, fieldShape }: BoundNetwork,
  batch: Batch,
  shares?: Readonly<Record<string, number>>,
): Uploaded {
  const { size: B, variables, outputs, history } = batch;
  const input = {
    x: tensor(gpu, [B, ...(history ? [history] : []), variables.length, ...fieldShape], batch.x),
    variables: variableIds(config, variables),
    leadHours: batch.leadHours,
    outputs: variableIds(config, outputs),
  };
  const targets = [batch.y, ...(batch.later ?? [])].map((y) =>
    tensor(gpu, [B, outputs.length, ...fieldShape], y),
  );
  return { input, targets, share: shares && shareOf(gpu, outputs, shares) };
}

function shareOf(gpu: Gpu, outputs: readonly string[], shares: Readonly<Record<string, number>>): Tensor {
  const each = outputs.map((name) => shares[name] ?? 1);
  const mean = each.reduce((a, b) => a + b, 0) / each.length;
  return tensor(
    gpu,
    [each.length],
    each.map((share) => share / mean),
  );
}

/**
 * The loss and that of each variable; of a roll-out their means over its steps, through all of which the gradient
 * flows. What changes in time but is not predicted, and what does not change, is carried along as it was.
 *
 * @param weights  [h], of the latitudes
 */
export function lossOfBatch(
  network: BoundNetwork,
  parameters: Parameters,
  { input, targets, share }: Uploaded,
  weights: Tensor,
  options: ForwardOptions = {},
): { loss: Tensor; losses: Tensor } {
  const places = input.variables.map((id) => {
    const place = input.outputs.indexOf(id);
    return place < 0 ? undefined : place;
  });
  let { x } = input;
  let sum: { loss: Tensor; losses: Tensor } | undefined;
  for (const [step, y] of targets.entries()) {
    const pred = network.forward(parameters, { ...input, x }, options);
    const one = weightedMse(pred, y, weights, { share });
    sum = sum ? { loss: add(sum.loss, one.loss), losses: add(sum.losses, one.losses) } : one;
    if (step + 1 < targets.length) x = selectFields(pred, places, x);
  }
  const { loss, losses } = sum!;
  const mean = 1 / targets.length;
  return mean === 1 ? { loss, losses } : { loss: scale(loss, mean), losses: scale(losses, mean) };
}
