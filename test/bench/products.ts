// The model's matrix products, in each order that a training step stores them, against PyTorch's.
import type { Gpu } from "../../src/engine/device.ts";
import { emptyOperand, type Tensor, tensor } from "../../src/engine/tensor.ts";
import { ClimaxError } from "../../src/errors.ts";
import { cast } from "../../src/ops/cast.ts";
import { product } from "../../src/ops/product.ts";
import { clock } from "./clock.ts";
import type { Context } from "./context.ts";
import { finished, noise } from "./model.ts";
import { absent, best, gflops, type Row, timed } from "./rows.ts";
import type { Twin } from "./twin.ts";

type Shape = readonly [M: number, N: number, K: number, order: string];

/** M, N, K of one sample's 512 tokens at D 1024. */
const SIZES = [
  [512, 1024, 1024],
  [512, 3072, 1024],
  [512, 4096, 1024],
  [512, 1024, 4096],
] as const;

/** A GPU is filled only by more rows than one sample has. */
const ROWS_ON_GPU = 16;

/** dx = dy W, y = x W^T, and with rows and depth exchanged dW = dy^T x. */
const ORDERS = ["NN", "NT", "TN"];

/** In f32, and on GPUs that have it in f16, where PyTorch is on the same GPU if it can be. */
export async function* products(context: Context): AsyncGenerator<Row> {
  const { adapter, kind } = context;
  const twins = await context.twins();
  if (typeof twins === "string") yield absent("products", adapter, twins);
  const known = typeof twins === "string" ? [] : twins;
  for (const precision of kind === "hardware" ? (["f32", "f16"] as const) : (["f32"] as const)) {
    context.say(`products in ${precision}`);
    try {
      yield* productsIn(context, await context.open(precision), known);
    } catch (error) {
      if (!(error instanceof ClimaxError)) throw error;
      yield absent(`products in ${precision}`, adapter, error.message);
    }
  }
}

async function* productsIn(
  { adapter, kind, tiny, rounds }: Context,
  gpu: Gpu,
  twins: readonly Twin[],
): AsyncGenerator<Row> {
  const { precision } = gpu;
  const scales = kind === "hardware" ? [1, ROWS_ON_GPU] : [1];
  const shapes = scales.flatMap((scale) =>
    (tiny ? SIZES.slice(0, 1) : SIZES).flatMap(([M, N, K]) =>
      ORDERS.map((order): Shape => [scale * M, N, K, order]),
    ),
  );
  const ours: number[][] = shapes.map(() => []);
  const measure = async () => {
    for (const [i, shape] of shapes.entries()) ours[i]!.push(...(await ourProduct(gpu, shape, rounds)));
  };
  await measure();
  const answers: { name: string; ms: readonly number[] }[] = [];
  for (const twin of twins) {
    const device = /nvidia/i.test(adapter) && twin.cuda ? "cuda" : "cpu";
    if (device === "cpu" && precision === "f16") continue; // no CPU computes in it
    const answer = await twin.run({ task: "products", device, precision, shapes });
    answers.push({ name: `${twin.name(answer)}, ${precision}`, ms: answer.ms });
    await measure();
  }
  gpu.device.destroy();
  for (const [i, [M, N, K, order]] of shapes.entries()) {
    const flop = 2 * M * N * K;
    const what = `product M ${M} N ${N} K ${K}, ${order}, ${precision}`;
    const mine = gflops(flop, best(ours[i]!));
    if (answers.length === 0) yield timed({ what, adapter, ours: ours[i]!, note: `${mine} GFLOP/s` });
    for (const { name, ms } of answers) {
      const note = `${mine} : ${gflops(flop, ms[i]!)} GFLOP/s`;
      yield timed({ what, adapter, ours: ours[i]!, peer: { name, ms: [ms[i]!] }, note });
    }
  }
}

async function ourProduct(gpu: Gpu, [M, N, K, order]: Shape, rounds: number): Promise<number[]> {
  const [aT, bT] = [order[0] === "T", order[1] === "T"];
  // As the model stores what products read and what they write for others.
  const stored = (rows: number, columns: number): Tensor => {
    const t = tensor(gpu, [rows, columns], noise(rows * columns));
    if (gpu.precision === "f32") return t;
    const half = cast(t);
    gpu.pool.giveBack(t.storage);
    return half;
  };
  const [a, b] = [stored(M, K), stored(K, N)];
  const c = emptyOperand(gpu, [M, N]);
  const sizes = { M, N, K };
  const operands = {
    a: { tensor: a, row: aT ? M : K, transposed: aT },
    b: { tensor: b, row: bT ? K : N, transposed: bT },
    c: { tensor: c, row: N },
  };
  const ms = await clock(
    () => product({ ...sizes, ...operands }),
    () => finished(gpu),
    rounds,
  );
  for (const { storage } of [a, b, c]) gpu.pool.giveBack(storage);
  return ms;
}
