import { describe, expect, test } from "vitest";
import type { Gpu } from "../../src/engine/device.ts";
import { read, type Tensor, tensor } from "../../src/engine/tensor.ts";
import { cast, widen } from "../../src/ops/cast.ts";
import { type Operand, product } from "../../src/ops/product.ts";
import { geluOf } from "../support/gelu.ts";
import { expectClose, gpu, uniform } from "../support/gradcheck.ts";
import { half } from "../support/half.ts";

// Every kernel of products by itself: layouts, edges, batches, epilogues, operands in f32 and f16.

interface Case {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly batch: readonly [number, number];
  /** Whether A and B are stored transposed. */
  readonly stored: readonly [boolean, boolean];
  /** Floats between the rows, and before the first one: not a multiple of 4 keeps vec4s away. */
  readonly gap: number;
  readonly epilogue?: "gelu" | "slope";
  /** Which tensors are stored as f16: B, or all that may be (then nothing is added to what C holds). */
  readonly half?: "B" | "all";
}

// A large block is 128 x 128 and needs 128 workgroups; a small one is 64 x 64. Depths are 4, 8 and 32.
const aligned = { M: 68, N: 72, K: 36, batch: [1, 2], gap: 4 } as const;
const strided = { M: 67, N: 66, K: 35, batch: [2, 1], gap: 3 } as const;
const large = { M: 132, N: 72, K: 36, batch: [8, 8], gap: 4 } as const;
const largeStrided = { M: 131, N: 70, K: 35, batch: [8, 8], gap: 3 } as const;
const [NN, NT, TN, TT] = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const;

const few: readonly Case[] = [
  { ...aligned, stored: NN, epilogue: "gelu" },
  { ...strided, stored: NT, epilogue: "gelu" },
  { ...aligned, stored: TN, epilogue: "slope" },
  { ...strided, stored: TT },
  { ...aligned, stored: NT, half: "B" },
];
const tiles: readonly Case[] = [
  ...few,
  { ...aligned, stored: TT },
  { ...strided, stored: NN, half: "B" },
  { ...aligned, M: 64, N: 128, K: 32, stored: NN },
  { ...aligned, M: 1, N: 4, K: 4, stored: NT },
  { ...large, stored: NT, epilogue: "gelu" },
  { ...large, stored: TN },
  { ...largeStrided, stored: TT },
];
const halves: readonly Case[] = [
  { ...aligned, stored: NN, half: "all", epilogue: "gelu" },
  { ...strided, stored: NT, half: "all", epilogue: "gelu" },
  { ...aligned, stored: TN, half: "all", epilogue: "slope" },
  { ...strided, stored: TT, half: "all", epilogue: "slope" },
  { ...aligned, M: 128, N: 64, K: 64, gap: 0, stored: NT, half: "all" },
];
// The last two lie wholly inside; one has more rows of blocks than are met in a band. Large blocks take a CPU minutes to
// compile; they differ from small ones in their sizes alone.
const matrixCases: readonly Case[] = [
  { ...aligned, stored: NN, epilogue: "gelu" },
  { ...aligned, stored: NT, half: "B" },
  { ...aligned, stored: TN, half: "all", epilogue: "slope" },
  { ...aligned, M: 128, N: 64, K: 128, gap: 0, stored: NT, half: "all" },
  { ...aligned, M: 2112, N: 128, K: 64, batch: [1, 1], gap: 0, stored: TN },
];
const noMatrices = { ...gpu, matrices: false };
const inHalf = { ...noMatrices, precision: "f16" } as const;
const devices: readonly (readonly [string, Gpu, readonly Case[]])[] = [
  ["the adapter's kernels", noMatrices, few],
  ["tiles", { ...noMatrices, subgroupSize: 0 }, tiles],
];
const halfDevices: typeof devices = [
  ["the adapter's kernels in f16", inHalf, [...few, ...halves]],
  ["tiles in f16", { ...inHalf, subgroupSize: 0 }, [...few.slice(2), ...halves.slice(0, 2)]],
  // On an adapter without subgroup matrices the multiplications are plain loops, and all else is the same.
  ["subgroup matrices", { ...inHalf, subgroupSize: 0, matrices: true }, matrixCases],
];

describe.each(devices)("%s", (_, device, cases) => {
  test.for(cases)("%o", async (one) => {
    await check(device, one);
  });
});

describe.skipIf(!gpu.half).each(halfDevices)("%s (skipped without shader-f16)", (_, device, cases) => {
  test.for(cases)("%o", async (one) => {
    await check(device, one);
  });
});

/** A tensor of random numbers that holds a batch of matrices [rows, columns] with gaps. */
function operand(
  device: Gpu,
  random: () => number,
  one: Case,
  [rows, columns]: [number, number],
  first: number,
) {
  const [outer, inner] = one.batch;
  const row = columns + one.gap;
  const data = Float32Array.from({ length: first + outer * inner * rows * row }, random);
  const strides = { row, outer: inner * rows * row, inner: rows * row, base: first };
  return { data, strides, tensor: tensor(device, [data.length], data) };
}

async function check(device: Gpu, one: Case): Promise<void> {
  const { M, N, K, batch, stored, gap, epilogue } = one;
  const [halfB, halfAll] = [one.half !== undefined, one.half === "all"];
  const [transposeA, transposeB] = stored;
  const random = uniform(3);
  const a = operand(device, random, one, transposeA ? [K, M] : [M, K], 0);
  const b = operand(device, random, one, transposeB ? [N, K] : [K, N], gap);
  const c = operand(device, random, one, [M, N], gap);
  const laidOutLikeC = () => Float32Array.from(c.data, random);
  const [bias, residual, before] = [Float32Array.from({ length: N }, random), laidOutLikeC(), laidOutLikeC()];
  const put = (data: Float32Array): Tensor => tensor(device, [data.length], data);
  const stored16 = (t: Tensor): Tensor => (halfAll ? cast(t) : t);
  const kept = stored16(put(before));
  const alpha = 0.75;
  const epilogues = {
    gelu: { bias: put(bias), gelu: kept, residual: put(residual), accumulate: !halfAll },
    slope: { slope: kept },
    none: {},
  };
  const at = (of: typeof a, transposed: boolean): Operand => ({
    tensor: of.tensor,
    ...of.strides,
    transposed,
  });
  const target = stored16(c.tensor);
  product({
    ...{ M, N, K, batch, alpha },
    a: { ...at(a, transposeA), tensor: stored16(a.tensor) },
    b: { ...at(b, transposeB), tensor: halfB ? cast(b.tensor) : b.tensor },
    c: { ...at(c, false), tensor: target },
    ...epilogues[epilogue ?? "none"],
  });

  // Once with the operands as the kernel has them, when only the order of an f32 sum is left to differ; and once with
  // those given, each of which f16 keeps to 2^-11: K errors of that size, of random sign, to a sum of K terms.
  const asF16 = (x: number): number => half(x);
  const asIs = (x: number): number => x;
  const inHalf = device.precision === "f16";
  const rounded = expected(inHalf ? asF16 : asIs, inHalf || halfB ? asF16 : asIs);
  const values = (t: Tensor): Promise<Float32Array> => read(halfAll ? widen(t) : t);
  const y = await values(target);
  const tolerance = halfAll ? 2 ** -11 : 1e-5; // of f16 the last of 11 bits
  expectClose("C", y, new Map(rounded.c.entries()), tolerance);
  if (epilogue === "gelu") {
    expectClose("what gelu was applied to", await values(kept), new Map(rounded.before.entries()), tolerance);
  }
  if (inHalf || halfB) expectClose("C", y, new Map(expected(asIs, asIs).c.entries()), 1e-3);

  /** C and `before` as a whole, so that a write beside the matrices is seen too. */
  function expected(ofA: (x: number) => number, ofB: (x: number) => number) {
    const asStored = (x: number): number => (halfAll ? half(x) : x);
    const old = { c: Float64Array.from(c.data, asStored), before: Float64Array.from(before, asStored) };
    const result = { c: old.c.slice(), before: old.before.slice() };
    const [A, B] = [Float64Array.from(a.data, ofA), Float64Array.from(b.data, ofB)];
    for (let z = 0; z < batch[0] * batch[1]; z++) {
      const start = ({ strides: { outer, inner, base } }: typeof a): number =>
        base + Math.floor(z / batch[1]) * outer + (z % batch[1]) * inner;
      const [startA, startB, startC] = [start(a), start(b), start(c)];
      for (let m = 0; m < M; m++) {
        for (let n = 0; n < N; n++) {
          let sum = 0;
          for (let k = 0; k < K; k++) {
            const i = transposeA ? k * a.strides.row + m : m * a.strides.row + k;
            const j = transposeB ? n * b.strides.row + k : k * b.strides.row + n;
            sum += A[startA + i]! * B[startB + j]!;
          }
          const i = startC + m * c.strides.row + n;
          let value = alpha * sum;
          if (epilogue === "gelu") {
            value += bias[n]!;
            result.before[i] = value;
            value = geluOf(value) + residual[i]! + (halfAll ? 0 : c.data[i]!);
          }
          if (epilogue === "slope") value *= slopeOf(old.before[i]!);
          result.c[i] = value;
        }
      }
    }
    return result;
  }
}

test("on a device of precision f32 only B may be stored as f16; sums of f16 are not added to", () => {
  const a = tensor(gpu, [16], new Float32Array(16));
  const at = (one: Tensor): Operand => ({ tensor: one, row: 4 });
  const sizes = { M: 4, N: 4, K: 4 };
  expect(() => product({ ...sizes, a: at(cast(a)), b: at(a), c: at(a) })).toThrow("takes only B as f16");
  const c = cast(tensor({ ...gpu, precision: "f16" }, [16], new Float32Array(16)));
  expect(() => product({ ...sizes, a: at(a), b: at(a), c: at(c), accumulate: true })).toThrow("not added to");
});

/** gelu' by central differences, to 1e-10. */
function slopeOf(x: number): number {
  const h = 1e-5;
  return (geluOf(x + h) - geluOf(x - h)) / (2 * h);
}
