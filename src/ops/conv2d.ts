// Convolution of fields, zero beyond the poles and periodic or zero beyond the first and last longitude: the
// neighbourhoods of a block of points become the columns of a matrix (kernels/conv2d.wgsl), and the rest is products.
import { needsGradient, record } from "../engine/autograd.ts";
import type { Gpu } from "../engine/device.ts";
import { expectShape, type Kernel, kernel, quads, run, threads } from "../engine/kernel.ts";
import { clear, empty, free, size, type Tensor } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";
import { leakyreluBackward } from "./leakyrelu.ts";
import { product } from "./product.ts";
import { sumInto } from "./reduce.ts";

const entries = {
  unfold: (flags: Flags) => kernel("conv2d.wgsl", "unfold", flags),
  unfold4: (flags: Flags) => kernel("conv2d.wgsl", "unfold4", flags),
  fold: (flags: Flags) => kernel("conv2d.wgsl", "fold", flags),
  fold4: (flags: Flags) => kernel("conv2d.wgsl", "fold4", flags),
  turn: (flags: Flags) => kernel("conv2d.wgsl", "turn", flags),
};
const gathers = kernel("conv2d.wgsl", "gather");
const finishes = kernel("conv2d.wgsl", "finish");
type Flags = Readonly<Record<string, number>>;
const variants = new Map<string, Kernel>();

/** Bytes of a matrix of columns: what does not fit is convolved block by block. Adapters bind at least 128 MiB; on a CPU
 *  smaller blocks find more of themselves in its caches. */
const MOST_COLUMNS = { hardware: 64 * 2 ** 20, software: 16 * 2 ** 20 };
/** The widest kernel whose quads of neighbours lie within twelve values. */
const WIDEST_NEAR = 7;

export interface ConvOptions {
  /** Output points are this far apart; 1 by default. */
  readonly stride?: number;
  /** Rows and columns added on each side; 0 by default. */
  readonly padding?: number;
  /** Fill them in longitude from the other side; zeros in latitude, and in longitude too without it. */
  readonly periodic?: boolean;
  /** Apply the leaky rectifier of this slope (above 0) to the result. */
  readonly slope?: number;
}

/** Sizes of a convolution from C channels on H x W to O channels on `outRows` x `outColumns`. */
export interface Geometry {
  readonly B: number;
  readonly C: number;
  readonly H: number;
  readonly W: number;
  readonly O: number;
  readonly outRows: number;
  readonly outColumns: number;
  /** k, side of the kernel. */
  readonly side: number;
  readonly stride: number;
  readonly padding: number;
  readonly periodic: boolean;
}

/**
 * Convolution with a square kernel, torch.nn.Conv2d's: `y[o] = bias[o] + sum over c, i, j of weight[o, c, i, j] *
 * x[c, s h + i - p, s w + j - p]`, then, where asked for, the leaky rectifier.
 *
 * @param x       [B, C, H, W]
 * @param weight  [O, C, k, k]
 * @param bias    [O]
 * @returns       [B, O, (H + 2 p - k) / s + 1, (W + 2 p - k) / s + 1], rounded down
 * @throws        ClimaxError "shape"
 */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  { stride = 1, padding = 0, periodic = false, slope }: ConvOptions = {},
): Tensor {
  if (slope !== undefined && !(slope > 0)) throw new Error(`conv2d: a slope of ${slope} is not above 0`);
  const [B, C, H, W] = fourAxes("x", x);
  const [O, , side] = fourAxes("weight", weight);
  expectShape("conv2d", "weight", weight, [O, C, side, side]);
  expectShape("conv2d", "bias", bias, [O]);
  const outRows = Math.floor((H + 2 * padding - side) / stride) + 1;
  const outColumns = Math.floor((W + 2 * padding - side) / stride) + 1;
  const geometry = checked({ B, C, H, W, O, outRows, outColumns, side, stride, padding, periodic });
  const y = empty(x.gpu, [B, O, outRows, outColumns]);
  const form = isTurned(geometry) ? turnedForm : plainForm;
  form.forward(x, weight, y, geometry);
  addBias(y, bias, slope);
  const [toX, toWeight, toBias] = [x, weight, bias].map(needsGradient);
  return record(y, [x, weight, bias], (dy) => {
    const dsum = slope === undefined ? dy : leakyreluBackward(dy, y, slope);
    let dx: Tensor | null = null;
    if (toX) form.byInput(dsum, weight, (dx = empty(x.gpu, x.shape)), geometry);
    return [
      dx,
      toWeight ? form.byWeight(dsum, x, weight, geometry) : null,
      toBias ? channelSums(dsum, bias) : null,
    ];
  });
}

const plainForm = { forward: convolve, byInput: convolveBack, byWeight: kernelGradient };

// A convolution that leaves the grid as it is is also the transposed one of the kernel turned about. Then not the C
// channels that enter are unfolded but the O that leave are folded: of 128 and 4, a thirtieth.
const turnedForm: typeof plainForm = {
  forward: (x, weight, y, geometry) =>
    withTurned(weight, (turned) => convolveBack(x, turned, y, turnedGeometry(geometry))),
  byInput: (dy, weight, dx, geometry) =>
    withTurned(weight, (turned) => convolve(dy, turned, dx, turnedGeometry(geometry))),
  byWeight: (dy, x, weight, geometry) => {
    const { C, O, side } = geometry;
    const dturned = kernelGradient(x, dy, { shape: [C, O, side, side] }, turnedGeometry(geometry))!;
    const dweight = weight.grad ?? empty(x.gpu, weight.shape);
    turn(dturned, dweight, weight.grad !== undefined);
    return weight.grad ? null : dweight;
  },
};

function isTurned({ C, O, side, stride, padding }: Geometry): boolean {
  return O < C && stride === 1 && 2 * padding === side - 1;
}

function turnedGeometry(geometry: Geometry): Geometry {
  return { ...geometry, C: geometry.O, O: geometry.C };
}

/** Uses a kernel [O, C, k, k] turned about, [C, O, k, k], and gives its memory back. */
function withTurned(weight: Tensor, use: (turned: Tensor) => void): void {
  const [O, C, k] = weight.shape as [number, number, number, number];
  const turned = empty(weight.gpu, [C, O, k, k]);
  turn(weight, turned, false);
  use(turned);
  free(turned);
}

function turn(weight: Tensor, turned: Tensor, add: boolean): void {
  const [O, C, side] = weight.shape as [number, number, number, number];
  const unused = { height: 0, width: 0, out_rows: 0, out_columns: 0, stride: 0, slope: 0 };
  const noBlock = { first: 0, samples: 0, row: 0, rows: 0, x_row: 0, x_rows: 0 };
  const length = O * C * side * side;
  const words = { ...unused, ...noBlock, channels: O, length };
  run(
    variant("turn", { side, padding: 0, periodic: false }, add),
    { weight, turned },
    words,
    threads(length),
  );
}

function fourAxes(name: string, { shape }: Tensor): [number, number, number, number] {
  if (shape.length !== 4) throw new Error(`conv2d: ${name} is [${shape}], not of four axes`);
  return shape as [number, number, number, number];
}

/** Refuses sizes that no convolution has. */
export function checked(geometry: Geometry): Geometry {
  const { H, W, side, padding, periodic, outRows, outColumns } = geometry;
  if (!(outRows > 0 && outColumns > 0)) {
    throw new ClimaxError(
      "shape",
      `a ${side} x ${side} convolution with padding ${padding} has no room in a field of ${H} x ${W} points`,
      "use a larger grid, fewer levels or a smaller kernel",
    );
  }
  if (periodic && padding > W) {
    throw new ClimaxError(
      "shape",
      `a periodic padding of ${padding} goes more than once around ${W} columns`,
      "use a larger grid or fewer levels",
    );
  }
  return geometry;
}

/** Output points whose columns are one matrix: rows of one sample, or all rows of several. */
interface Block {
  readonly first: number;
  readonly samples: number;
  readonly row: number;
  readonly rows: number;
}

function* blocks({ kind }: Gpu, { B, C, O, side, outRows, outColumns }: Geometry): Generator<Block> {
  const rowBytes = 4 * Math.max(C * side * side, O) * outColumns;
  const most = Math.max(1, Math.floor(MOST_COLUMNS[kind] / rowBytes));
  const samples = Math.max(1, Math.floor(most / outRows));
  const rows = Math.min(outRows, most);
  for (let first = 0; first < B; first += samples) {
    for (let row = 0; row < outRows; row += rows) {
      yield { first, samples: Math.min(samples, B - first), row, rows: Math.min(rows, outRows - row) };
    }
  }
}

function wordsOf(geometry: Geometry, block: Block) {
  const { C, H, W, outRows, outColumns, stride } = geometry;
  const unused = { x_row: 0, x_rows: 0, length: 0, slope: 0 };
  return {
    channels: C,
    height: H,
    width: W,
    out_rows: outRows,
    out_columns: outColumns,
    stride,
    ...block,
    ...unused,
  };
}

/** Whether the neighbours of four points in a row are three quads. */
function isNear({ W, outColumns, side, stride, padding }: Geometry): boolean {
  return stride === 1 && W % 4 === 0 && outColumns === W && padding < 4 && side <= WIDEST_NEAR;
}

type Fixed = Pick<Geometry, "side" | "padding" | "periodic">;

function variant(entry: keyof typeof entries, { side, padding, periodic }: Fixed, add = false): Kernel {
  const flags = { SIDE: side, PADDING: padding, PERIODIC: periodic ? 1 : 0, ADD: add ? 1 : 0 };
  const key = `${entry} ${Object.values(flags).join(" ")}`;
  const known = variants.get(key) ?? entries[entry](flags);
  variants.set(key, known);
  return known;
}

/** Points of a block, and the places of its product in `y`. */
function layout({ O, outRows, outColumns }: Geometry, { first, samples, row, rows }: Block) {
  const plane = outRows * outColumns;
  const points = rows * outColumns;
  return {
    N: samples * points,
    points,
    inY: { row: plane, inner: O * plane, base: first * O * plane + row * outColumns },
  };
}

/** Uses the columns of a block, [C k k, N], and gives their memory back. */
function withColumns(x: Tensor, geometry: Geometry, block: Block, use: (columns: Tensor) => void): void {
  const { C, side } = geometry;
  const { N } = layout(geometry, block);
  const columns = empty(x.gpu, [C * side * side, N]);
  const words = wordsOf(geometry, block);
  if (isNear(geometry)) {
    run(variant("unfold4", geometry), { x4: x, columns4: columns }, words, threads((C * side * N) / 4));
  } else run(variant("unfold", geometry), { x, columns }, words, threads(C * side * side * N));
  use(columns);
  free(columns);
}

/** Records `y = W * x`, without bias; x [B, C, H, W], weight [O, C, k, k], y [B, O, outRows, outColumns]. */
export function convolve(x: Tensor, weight: Tensor, y: Tensor, geometry: Geometry): void {
  const { C, O, side } = geometry;
  const K = C * side * side;
  for (const block of blocks(x.gpu, geometry)) {
    const { N, points, inY } = layout(geometry, block);
    withColumns(x, geometry, block, (columns) =>
      product({
        ...{ M: O, N: points, K, batch: [1, block.samples] },
        a: { tensor: weight, row: K },
        b: { tensor: columns, row: N, inner: points },
        c: { tensor: y, ...inY },
      }),
    );
  }
}

/** Rows of x that the points of a block see. */
function reached({ H, side, stride, padding }: Geometry, { row, rows }: Block) {
  const first = Math.max(0, stride * row - padding);
  const end = Math.min(H, stride * (row + rows - 1) - padding + side);
  return { x_row: first, x_rows: Math.max(0, end - first) };
}

/** Records the backward of `convolve` by x, which is also the forward of the transposed convolution. */
export function convolveBack(dy: Tensor, weight: Tensor, dx: Tensor, geometry: Geometry): void {
  const { C, H, W, O, side, outRows } = geometry;
  const K = C * side * side;
  for (const block of blocks(dy.gpu, geometry)) {
    const { N, points, inY } = layout(geometry, block);
    const dcolumns = empty(dy.gpu, [K, N]);
    product({
      ...{ M: K, N: points, K: O, batch: [1, block.samples] },
      a: { tensor: weight, row: K, transposed: true },
      b: { tensor: dy, ...inY },
      c: { tensor: dcolumns, row: N, inner: points },
    });
    const add = block.rows < outRows;
    if (add && block.row === 0 && block.first === 0) clear(dx);
    const reach = add ? reached(geometry, block) : { x_row: 0, x_rows: H };
    const words = { ...wordsOf(geometry, block), ...reach };
    const length = block.samples * C * reach.x_rows * W;
    if (isNear(geometry)) {
      run(variant("fold4", geometry, add), { dcolumns4: dcolumns, dx4: dx }, words, quads(length));
    } else run(variant("fold", geometry, add), { dcolumns, dx }, words, threads(length));
    free(dcolumns);
  }
}

/** The backward of `convolve` by the weight. Null when it was added to the gradient of a parameter. */
export function kernelGradient(
  dy: Tensor,
  x: Tensor,
  weight: Pick<Tensor, "shape" | "grad">,
  geometry: Geometry,
): Tensor | null {
  const { gpu } = x;
  const { C, O, side } = geometry;
  const K = C * side * side;
  const dweight = weight.grad ?? empty(gpu, weight.shape);
  let accumulate = weight.grad !== undefined;
  for (const block of blocks(gpu, geometry)) {
    const { N } = layout(geometry, block);
    const z = empty(gpu, [O, N]); // dy of the block, with the samples side by side as they are in the columns
    run(gathers, { y: dy, z }, { ...wordsOf(geometry, block), channels: O }, threads(O * N));
    withColumns(x, geometry, block, (columns) =>
      product({
        ...{ M: O, N: K, K: N, accumulate },
        a: { tensor: z, row: N },
        b: { tensor: columns, row: N, transposed: true },
        c: { tensor: dweight, row: K },
      }),
    );
    free(z);
    accumulate = true;
  }
  return weight.grad ? null : dweight;
}

/** Adds the bias [O] to y [B, O, H, W] in place, and applies the leaky rectifier where asked for. */
export function addBias(y: Tensor, bias: Tensor, slope = 1): void {
  const [, O, H, W] = fourAxes("y", y);
  const length = size(y.shape);
  const unused = {
    height: 0,
    width: 0,
    stride: 0,
    first: 0,
    samples: 0,
    row: 0,
    rows: 0,
    x_row: 0,
    x_rows: 0,
  };
  const words = { ...unused, channels: O, out_rows: H, out_columns: W, length, slope };
  run(finishes, { y4: y, bias }, words, quads(length));
}

/** The backward of `addBias` by the bias: sums over samples and points. Null when added to that of a parameter. */
export function channelSums(dy: Tensor, bias: Tensor): Tensor | null {
  const [B, O, H, W] = fourAxes("dy", dy);
  const planes = sumInto(dy, { ...dy, shape: [B, O] }, [B * O, H * W, 1])!;
  return sumInto(planes, bias, [1, B, O]);
}
