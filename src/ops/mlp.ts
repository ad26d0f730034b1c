// The two-layer perceptron of a transformer block, with the layer normalisation before it. Of its hidden layer only
// what gelu was applied to is kept for the backward pass, which makes the rest again; or nothing.
import { doneWith, isRecording, needsGradient, record } from "../engine/autograd.ts";
import { expectShape } from "../engine/kernel.ts";
import { empty, emptyOperand, free, type Tensor } from "../engine/tensor.ts";
import { geluMasked, maskedOperand } from "./dropout.ts";
import { type NormWeights, normaliseBackward, normedAgain } from "./layernorm.ts";
import { biasGradient, project, projectBack, weightGradient, withNormed } from "./matmul.ts";
import type { Noise } from "./noise.ts";

/** Two layers of torch.nn.Linear. */
export interface MlpWeights {
  /** [F, D] and [F] */
  readonly weight1: Tensor;
  readonly bias1: Tensor;
  /** [D, F] and [D] */
  readonly weight2: Tensor;
  readonly bias2: Tensor;
}

export interface MlpOptions {
  /** Normalise x first. */
  readonly norm?: NormWeights | undefined;
  /** Dropout of the hidden layer. */
  readonly hiddenNoise?: Noise | undefined;
  /** Dropout and drop path of the result, before the residual is added. */
  readonly noise?: Noise | undefined;
  /** Keep nothing of the hidden layer: the backward pass makes it again, by one more product. */
  readonly hiddenAgain?: boolean;
}

/**
 * `residual + noise * (hidden W2^T + b2)`, `hidden = hiddenNoise * gelu(norm(x) W1^T + b1)`.
 *
 * @param x         [..., D]
 * @param residual  [..., D]
 * @returns         [..., D]
 * @throws          ClimaxError "shape"
 */
export function mlp(
  x: Tensor,
  residual: Tensor,
  { weight1, bias1, weight2, bias2 }: MlpWeights,
  { norm, hiddenNoise, noise, hiddenAgain = false }: MlpOptions = {},
): Tensor {
  const { gpu } = x;
  const [F, D] = weight1.shape as [number, number];
  expectShape("mlp", "weight1", weight1, [F, x.shape.at(-1)!]);
  expectShape("mlp", "weight2", weight2, [D, F]);
  expectShape("mlp", "bias1", bias1, [F]);
  expectShape("mlp", "bias2", bias2, [D]);
  expectShape("mlp", "residual", residual, x.shape);
  const wide = [...x.shape.slice(0, -1), F];
  const kept = hiddenAgain || !isRecording() ? undefined : emptyOperand(gpu, wide);
  const hidden = emptyOperand(gpu, wide);
  const activate = { bias: bias1, noise: hiddenNoise };
  const statistics = withNormed(x, norm, (input) =>
    project(input, weight1, hidden, { ...activate, gelu: kept ?? true }),
  );
  const y = empty(gpu, x.shape);
  project(hidden, weight2, y, { bias: bias2, noise, residual });
  free(hidden);

  const inputs = [x, residual, weight1, bias1, weight2, bias2];
  const trained = [weight1, weight2].map(needsGradient); // they may be frozen
  return record(y, norm ? [...inputs, norm.weight, norm.bias] : inputs, (dy) => {
    const dout = maskedOperand(dy, noise); // dL/d(hidden W2^T + b2), [..., D]
    const before = kept ?? emptyOperand(gpu, wide);
    const fromKept = kept && trained[1] ? geluMasked(kept, hiddenNoise) : undefined;
    const again = kept ? fromKept : emptyOperand(gpu, wide); // the hidden layer
    if (again && !kept) {
      const input = norm ? normedAgain(x, norm, statistics!) : x;
      project(input, weight1, again, { ...activate, gelu: before });
      if (norm) free(input);
    }
    const dweight2 = again && trained[1] ? weightGradient(dout, again, weight2) : null;
    const dbias2 = biasGradient(dout, bias2);
    if (again) free(again);
    const dbefore = emptyOperand(gpu, wide);
    projectBack(dout, weight2, dbefore, { slope: before, noise: hiddenNoise });
    if (!kept) free(before);
    doneWith(weight2);
    const dbias1 = biasGradient(dbefore, bias1);
    const dinput = norm ? emptyOperand(gpu, x.shape) : empty(gpu, x.shape);
    projectBack(dbefore, weight1, dinput);
    if (!norm) {
      const dweight1 = trained[0] ? weightGradient(dbefore, x, weight1) : null;
      return [dinput, dy, dweight1, dbias1, dweight2, dbias2];
    }
    const input = trained[0] ? emptyOperand(gpu, x.shape) : undefined; // x normalised, again
    const one = x === residual; // then the gradient of the residual goes along
    const options = { again: input, ...(one ? { past: dy } : {}) };
    const [dx, ...dnorm] = normaliseBackward(dinput, x, norm, statistics!, options);
    const dweight1 = input ? weightGradient(dbefore, input, weight1) : null;
    return [dx, one ? null : dy, dweight1, dbias1, dweight2, dbias2, ...dnorm];
  });
}
