// Matrix products and linear layers, differentiable.
import { isRecording, needsGradient, record } from "../engine/autograd.ts";
import { expectShape } from "../engine/kernel.ts";
import {
  empty,
  emptyLike,
  emptyOperand,
  free,
  gradientRoom,
  type Shape,
  size,
  type Tensor,
} from "../engine/tensor.ts";
import { masked, maskedOperand } from "./dropout.ts";
import { geluBackward } from "./gelu.ts";
import {
  keepsNormed,
  type NormWeights,
  normalise,
  normaliseBackward,
  type RowStatistics,
} from "./layernorm.ts";
import type { Noise } from "./noise.ts";
import { type Operand, type Product, product } from "./product.ts";
import { sumInto } from "./reduce.ts";

export interface MatmulOptions {
  /** a is stored [..., K, M]. */
  readonly transposeA?: boolean;
  /** b is stored [..., N, K]. */
  readonly transposeB?: boolean;
}

/**
 * The product of two matrices, or of two equal batches of them.
 *
 * @param a  [..., M, K], or [..., K, M] with transposeA
 * @param b  [..., K, N], or [..., N, K] with transposeB
 * @returns  [..., M, N]
 */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false }: MatmulOptions = {},
): Tensor {
  const [M, K] = transposeA ? lastTwo(a.shape).reverse() : lastTwo(a.shape);
  const [kOfB, N] = transposeB ? lastTwo(b.shape).reverse() : lastTwo(b.shape);
  const lead = a.shape.slice(0, -2);
  if (K !== kOfB) throw new Error(`matmul: [${a.shape}] and [${b.shape}] share no axis`);
  expectShape("matmul", "b", b, [...lead, ...lastTwo(b.shape)]);
  const y = empty(a.gpu, [...lead, M!, N!]);
  multiply(a, transposeA, b, transposeB, y);
  return record(y, [a, b], (dy) => {
    const da = empty(a.gpu, a.shape);
    const db = empty(b.gpu, b.shape);
    // y = A B: dA = dy B^T, dB = A^T dy; stored transposed, each is the transpose of that.
    if (transposeA) multiply(b, transposeB, dy, true, da);
    else multiply(dy, false, b, !transposeB, da);
    if (transposeB) multiply(dy, true, a, transposeA, db);
    else multiply(a, !transposeA, dy, false, db);
    return [da, db];
  });
}

/** y = op(a) op(b) over equal batches. */
function multiply(a: Tensor, transposeA: boolean, b: Tensor, transposeB: boolean, y: Tensor): void {
  const [M, N] = lastTwo(y.shape) as [number, number];
  const K = transposeA ? a.shape.at(-2)! : a.shape.at(-1)!;
  const operand = (tensor: Tensor, transposed: boolean): Operand => ({
    tensor,
    transposed,
    row: tensor.shape.at(-1)!,
    inner: size(tensor.shape.slice(-2)),
  });
  product({
    M,
    N,
    K,
    a: operand(a, transposeA),
    b: operand(b, transposeB),
    c: operand(y, false),
    batch: [1, size(y.shape.slice(0, -2))],
  });
}

function lastTwo(shape: Shape): number[] {
  if (shape.length < 2) throw new Error(`matmul: [${shape}] is no matrix`);
  return shape.slice(-2);
}

export interface LinearOptions {
  /** Normalise x first; the backward pass does it again, so that nothing of it is kept. */
  readonly norm?: NormWeights | undefined;
  /** Apply gelu to the result. */
  readonly gelu?: boolean;
  /** Dropout and drop path of the result, before the residual is added. */
  readonly noise?: Noise | undefined;
  /** Added to the result, [..., N]. */
  readonly residual?: Tensor;
  /** Only products and attention read the result: it may be stored as f16. Not with both gelu and noise. */
  readonly operand?: boolean;
}

/**
 * A linear layer `y = x W^T + bias`, then gelu, then noise, then plus a residual, in one kernel; before it, where asked
 * for, layer normalisation of x.
 *
 * @param x       [..., K]
 * @param weight  [N, K], torch.nn.Linear's layout
 * @param bias    [N]
 * @returns       [..., N]
 * @throws        ClimaxError "shape"
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  { norm, gelu = false, noise, residual, operand = false }: LinearOptions = {},
): Tensor {
  const { gpu } = x;
  const N = weight.shape[0]!;
  expectShape("linear", "weight", weight, [N, x.shape.at(-1)!]);
  if (bias) expectShape("linear", "bias", bias, [N]);
  const y = (operand ? emptyOperand : empty)(gpu, [...x.shape.slice(0, -1), N]);
  if (residual) expectShape("linear", "residual", residual, y.shape);
  const before = gelu && isRecording() ? emptyLike(y) : undefined;
  const statistics = withNormed(x, norm, (input) =>
    project(input, weight, y, { bias, gelu: before ?? gelu, noise, residual }),
  );
  const inputs = [x, weight, bias, residual, norm?.weight, norm?.bias].filter((t) => t !== undefined);
  const trained = needsGradient(weight); // it may be frozen
  const reached = norm !== undefined || needsGradient(x); // x may be data
  return record(y, inputs, (dy) => {
    const dh = before ? geluBackward(masked(dy, noise), before) : maskedOperand(dy, noise); // dL/d(x W^T + bias)
    const dinput = reached ? (norm ? emptyOperand(gpu, x.shape) : emptyLike(x)) : null;
    if (dinput) projectBack(dh, weight, dinput);
    const dbias = bias ? [biasGradient(dh, bias)] : [];
    const past = residual ? [dy] : [];
    if (!norm) return [dinput, trained ? weightGradient(dh, x, weight) : null, ...dbias, ...past];
    const input = trained ? emptyOperand(gpu, x.shape) : undefined; // x normalised, again
    const [dx, ...dnorm] = normaliseBackward(dinput!, x, norm, statistics!, { again: input });
    const dweight = input ? weightGradient(dh, input, weight) : null;
    return [dx, dweight, ...dbias, ...past, ...dnorm];
  });
}

/**
 * Hands `use` x as it enters a layer, normalised or as it is, and gives back the memory that this took, but for what the
 * backward of the normalisation wants to know.
 */
export function withNormed(
  x: Tensor,
  norm: NormWeights | undefined,
  use: (input: Tensor) => void,
): RowStatistics | undefined {
  if (!norm) {
    use(x);
    return undefined;
  }
  const { y, ...statistics } = normalise(x, norm, undefined, emptyOperand(x.gpu, x.shape), keepsNormed(x));
  use(y);
  free(y);
  return statistics;
}

/** Records `y = x W^T` with an epilogue; x [..., K], weight [N, K], y [..., N]. */
export function project(
  x: Tensor,
  weight: Tensor,
  y: Tensor,
  epilogue: Pick<Product, "bias" | "gelu" | "noise" | "residual">,
): void {
  const [N, K] = weight.shape as [number, number];
  product({
    ...{ M: size(x.shape) / K, N, K },
    a: { tensor: x, row: K },
    b: { tensor: weight, row: K, transposed: true },
    c: { tensor: y, row: N },
    ...epilogue,
  });
}

/** Records `dx = dy W` with an epilogue: the backward of `project` by x. */
export function projectBack(
  dy: Tensor,
  weight: Tensor,
  dx: Tensor,
  epilogue: Pick<Product, "slope" | "noise"> = {},
): void {
  const [N, K] = weight.shape as [number, number];
  product({
    ...{ M: size(dy.shape) / N, N: K, K: N },
    a: { tensor: dy, row: N },
    b: { tensor: weight, row: K },
    c: { tensor: dx, row: K },
    ...epilogue,
  });
}

/** `dy^T x`: the backward of `project` by the weight. Null when it was added to the gradient of a parameter. */
export function weightGradient(dy: Tensor, x: Tensor, weight: Tensor): Tensor | null {
  const [N, K] = weight.shape as [number, number];
  const { into, accumulate, result } = gradientRoom(weight);
  product({
    ...{ M: N, N: K, K: size(dy.shape) / N, accumulate },
    a: { tensor: dy, row: N, transposed: true },
    b: { tensor: x, row: K },
    c: { tensor: into, row: K },
  });
  return result;
}

/** The column sums of dy: the backward of `project` by the bias. Null when added to the gradient of a parameter. */
export function biasGradient(dy: Tensor, bias: Tensor): Tensor | null {
  const N = size(bias.shape);
  return sumInto(dy, bias, [1, size(dy.shape) / N, N]);
}
