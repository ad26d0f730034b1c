// Prediction heads: that of ClimaX and of the ViT baseline, hidden layers and then the values of each patch; and the part of
// a linear one that some of its outputs need.
import { reshape } from "../engine/autograd.ts";
import type { Tensor } from "../engine/tensor.ts";
import { gather } from "../ops/layout.ts";
import { linear } from "../ops/matmul.ts";
import { unpatchify } from "../ops/patchembed.ts";
import type { ModelConfig } from "./config.ts";
import type { Get } from "./encoder.ts";

/**
 * The part of a layer's weight or bias that predicts some of its outputs, each of whose rows lie together.
 *
 * @param whole   [outputs n, ...]
 * @param known   how many outputs the layer predicts
 * @param wanted  which of those are wanted
 * @returns       [wanted n, ...]
 */
export function rowsOfOutputs(whole: Tensor, known: number, wanted: readonly number[]): Tensor {
  if (wanted.length === known && wanted.every((place, i) => place === i)) return whole;
  const [rows, ...rest] = whole.shape as [number, ...number[]];
  const picked = gather(reshape(whole, [known, rows / known, ...rest]), wanted);
  return reshape(picked, [(wanted.length * rows) / known, ...rest]);
}

/**
 * Predicts fields from tokens.
 *
 * @param x        [B, L, D]
 * @param known    how many fields the head's last layer predicts
 * @param outputs  which of those are wanted
 * @param shape    [h, w] of the fields
 * @returns        [B, outputs, h, w]
 */
export function predictFields(
  get: Get,
  { patchSize: p, decoderDepth }: Pick<ModelConfig, "patchSize" | "decoderDepth">,
  x: Tensor,
  { known, outputs, shape }: { known: number; outputs: readonly number[]; shape: readonly [number, number] },
): Tensor {
  const [B, L, D] = x.shape as [number, number, number];
  let y = x;
  for (let i = 0; i < decoderDepth; i++) {
    const [weight, bias] = [get(`head.${2 * i}.weight`), get(`head.${2 * i}.bias`)];
    y = linear(y, weight, bias, { gelu: true, operand: true });
  }
  // The last layer predicts p p values of every variable it knows, the variable changing fastest: only the rows of
  // the outputs are computed.
  const wanted = Array.from({ length: p * p }, (_, k) => outputs.map((id) => k * known + id)).flat();
  const pick = (name: string) => gather(get(`head.${2 * decoderDepth}.${name}`), wanted);
  y = linear(reshape(y, [B * L, D]), pick("weight"), pick("bias")); // [B, L, D] -> [B L, p p outputs]
  return unpatchify(y, [B, outputs.length, ...shape], p); // -> [B, outputs, h, w]
}
