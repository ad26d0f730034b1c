// Layer normalisation.
import { isRecording, record, takeGradient } from "../engine/autograd.ts";
import { expectShape, kernel, quads, run, threads, variants } from "../engine/kernel.ts";
import { empty, emptyHalf, emptyOperand, free, size, type Tensor } from "../engine/tensor.ts";
import { broadcastLanes } from "./product.ts";
import { SHARE, sumInto, sumPairInto } from "./reduce.ts";

const forwardRows = kernel("layernorm.wgsl", "forward_rows");
const forwardRows4 = variants((choices) => kernel("layernorm.wgsl", "forward_rows4", {}, choices));
const forwardHalfRows4 = variants((choices) => kernel("layernorm.wgsl", "forward_half_rows4", {}, choices));
const backwardRows = variants((choices) => kernel("layernorm.wgsl", "backward_rows", {}, choices));
const backwardRows4 = variants((choices) => kernel("layernorm.wgsl", "backward_rows4", {}, choices));
const againQuads = variants((choices) => kernel("layernorm.wgsl", "again_quads", {}, choices));
const backwardBlocks4 = variants((choices) => kernel("layernorm.wgsl", "backward_blocks4", {}, choices));
const backwardColumns = kernel("layernorm.wgsl", "backward_columns");
const backwardColumns4 = variants((choices) => kernel("layernorm.wgsl", "backward_columns4", {}, choices));

/** Rows that a workgroup of `backward_blocks4` owns. */
const TALL = 16;

/** The gain and the shift of a layer normalisation, each [C]. */
export interface NormWeights {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/**
 * Layer normalisation over the last axis: `y = (x - mean) / sqrt(var + eps) * weight + bias`.
 *
 * @param x       [..., C]
 * @param weight  [C], the gain
 * @param bias    [C]
 * @param eps     added to the variance; the default is torch.nn.LayerNorm's, which ClimaX keeps
 * @returns       [..., C]
 * @throws        ClimaxError "shape" if weight or bias is not [C]
 * @see           Ba et al. 2016, arXiv:1607.06450, section 3
 */
export function layernorm(x: Tensor, weight: Tensor, bias: Tensor, eps = 1e-5): Tensor {
  const norm = { weight, bias };
  const normed = normalise(x, norm, eps, undefined, keepsNormed(x));
  return record(normed.y, [x, weight, bias], (dy) => normaliseBackward(dy, x, norm, normed));
}

/** Mean and 1 / standard deviation of each row, [R]. */
export interface RowStatistics {
  readonly mean: Tensor;
  readonly rstd: Tensor;
  /** (x - mean) * rstd, f16, of x's shape: where it is kept the backward reads no x. */
  readonly normed?: Tensor;
}

/** What normalising gives: y [..., C], and what its backward wants to know. */
export interface Normed extends RowStatistics {
  readonly y: Tensor;
}

/**
 * Whether ops that begin by normalising x keep all that their backward wants, in half the memory of x: then x may be
 * freed once nothing else reads it. So where products take f16 anyway.
 */
export function keepsNormed({ gpu, shape }: Tensor): boolean {
  return isRecording() && gpu.precision === "f16" && shape.at(-1)! % 4 === 0;
}

/**
 * `layernorm`, not noted on the tape: for ops that make it again instead of keeping it.
 *
 * @param y     where it goes, of x's shape; f16 if C is a multiple of 4
 * @param keep  make `normed`, too; C a multiple of 4
 */
export function normalise(
  x: Tensor,
  { weight, bias }: NormWeights,
  eps = 1e-5,
  y = empty(x.gpu, x.shape),
  keep = false,
): Normed {
  const { gpu } = x;
  const columns = x.shape.at(-1)!; // C
  const rows = size(x.shape) / columns; // R
  expectShape("layernorm", "weight", weight, [columns]);
  expectShape("layernorm", "bias", bias, [columns]);

  const params = { rows, columns, eps, block: 0 };
  const mean = empty(gpu, [rows]);
  const rstd = empty(gpu, [rows]);
  if (columns % 4 === 0) {
    const tensors = { x4: x, weight4: weight, bias4: bias, mean, rstd };
    const half = y.type === "f16";
    const forward = half ? forwardHalfRows4 : forwardRows4;
    const given = { ...tensors, [half ? "y_half4" : "y4"]: y };
    if (keep) {
      const normed = emptyHalf(gpu, x.shape);
      run(forward(["KEEP"]), { ...given, n_half4: normed }, params, rows);
      return { y, mean, rstd, normed };
    }
    run(forward([]), given, params, rows);
  } else run(forwardRows, { x, weight, bias, y, mean, rstd }, params, rows);
  return { y, mean, rstd };
}

export interface BackwardOptions {
  /** Added to the gradient by x, of its shape; by default the gradient that x has so far from its later uses. */
  readonly past?: Tensor | undefined;
  /** Room for y, to be made again from the same reads: of x's shape; f16 if C is a multiple of 4. */
  readonly again?: Tensor | undefined;
}

/**
 * Gradients by x, weight and bias, the last two null where they were added to those of parameters. The first contains
 * what was added to it: no pass of its own adds up the gradients of a residual.
 *
 * @param dy  f32, or f16 with C a multiple of 4
 */
export function normaliseBackward(
  dy: Tensor,
  x: Tensor,
  norm: NormWeights,
  statistics: RowStatistics,
  { past = takeGradient(x), again }: BackwardOptions = {},
): [Tensor, Tensor | null, Tensor | null] {
  const columns = x.shape.at(-1)!; // C
  // Software adapters pay more for the barriers of a block than for reading x and dy twice.
  const inBlocks = columns % 4 === 0 && broadcastLanes(x.gpu) === 0;
  if (inBlocks) return backwardInBlocks(dy, x, norm, statistics, past, again);
  return backwardInRows(dy, x, norm, statistics, past, again);
}

/** What tells kernels of vec4s n of the forward, with the choice for it. */
function givenTo(x: Tensor, { mean, rstd, normed }: RowStatistics) {
  if (normed) return { choices: ["NORMED"], given: { n_half4: normed, rstd } };
  return { choices: [], given: { x4: x, mean, rstd } };
}

/** The same with dy, and the choice for one of f16. */
function backwardFrom(dy: Tensor, x: Tensor, statistics: RowStatistics) {
  const { choices, given } = givenTo(x, statistics);
  return { choices: [...choices, ...(dy.type === "f16" ? ["HALF"] : [])], given: { ...given, dy4: dy } };
}

/** What has y made again in `again`, with the choice for it. */
function makingAgain(again: Tensor | undefined, { weight, bias }: NormWeights) {
  if (!again) return { choices: [], given: {} };
  const [choice, y] = again.type === "f16" ? ["AGAIN_HALF", "y_half4"] : ["AGAIN", "y4"];
  return { choices: [choice], given: { [y]: again, weight4: weight, bias4: bias } };
}

function backwardInBlocks(
  dy: Tensor,
  x: Tensor,
  norm: NormWeights,
  statistics: RowStatistics,
  past: Tensor | undefined,
  again: Tensor | undefined,
): ReturnType<typeof normaliseBackward> {
  const { gpu } = x;
  const { weight, bias } = norm;
  const columns = x.shape.at(-1)!; // C
  const rows = size(x.shape) / columns; // R
  const blocks = Math.ceil(rows / TALL);
  const dx = empty(gpu, x.shape);
  const dboth = empty(gpu, [2, blocks, columns]);
  const from = backwardFrom(dy, x, statistics);
  const anew = makingAgain(again, norm);
  const choices = [...from.choices, ...(past ? ["PAST"] : []), ...anew.choices];
  const tensors = {
    ...{ ...from.given, weight4: weight, dx4: dx, dboth4: dboth },
    ...(past ? { past4: past } : {}),
    ...anew.given,
  };
  run(backwardBlocks4(choices), tensors, { rows, columns, eps: 0, block: 0 }, blocks);
  const [dweight, dbias] = sumPairInto(dboth, [weight, bias], [blocks, columns]);
  return [dx, dweight, dbias];
}

function backwardInRows(
  dy: Tensor,
  x: Tensor,
  norm: NormWeights,
  statistics: RowStatistics,
  past: Tensor | undefined,
  again: Tensor | undefined,
): ReturnType<typeof normaliseBackward> {
  const { gpu } = x;
  const { weight, bias } = norm;
  const columns = x.shape.at(-1)!; // C
  const rows = size(x.shape) / columns; // R
  const params = { rows, columns, eps: 0, block: SHARE }; // eps is in rstd already
  const added = past ? ["PAST"] : [];
  const dx = empty(gpu, x.shape);
  const shares = Math.ceil(rows / SHARE);
  const dweight = empty(gpu, [shares, columns]);
  const dbias = empty(gpu, [shares, columns]);
  if (columns % 4 === 0) {
    const from = backwardFrom(dy, x, statistics);
    const anew = makingAgain(again, norm);
    const inRow = { ...from.given, weight4: weight, dx4: dx, ...(past ? { past4: past } : {}) };
    run(backwardRows4([...from.choices, ...added]), inRow, params, rows);
    const inColumns = { ...from.given, ...anew.given, dweight4: dweight, dbias4: dbias };
    run(backwardColumns4([...from.choices, ...anew.choices]), inColumns, params, quads(size(dweight.shape)));
  } else {
    if (again) makeAgain(x, norm, again);
    const { mean, rstd } = statistics;
    const inRow = { dy, x, weight, mean, rstd, dx, ...(past ? { past } : {}) };
    run(backwardRows(added), inRow, params, rows);
    run(backwardColumns, { dy, x, mean, rstd, dweight, dbias }, params, threads(size(dweight.shape)));
  }
  const summed = [1, shares, columns] as const;
  return [dx, sumInto(dweight, weight, summed), sumInto(dbias, bias, summed)];
}

/** y of `normalise` again, as products want it, from what it kept. */
export function normedAgain(x: Tensor, norm: NormWeights, statistics: RowStatistics): Tensor {
  const columns = x.shape.at(-1)!; // C
  const y = emptyOperand(x.gpu, x.shape);
  if (columns % 4 === 0) {
    const from = givenTo(x, statistics);
    const anew = makingAgain(y, norm);
    const params = { rows: size(x.shape) / columns, columns, eps: 0, block: 0 };
    run(
      againQuads([...from.choices, ...anew.choices]),
      { ...from.given, ...anew.given },
      params,
      quads(size(x.shape)),
    );
  } else makeAgain(x, norm, y);
  return y;
}

function makeAgain(x: Tensor, norm: NormWeights, y: Tensor): void {
  const { mean, rstd } = normalise(x, norm, undefined, y);
  for (const t of [mean, rstd]) free(t);
}
