import { describe, expect, test } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { attention } from "../../src/ops/attention.ts";
import { attendInMatrices, fitsMatrices } from "../../src/ops/attentionmatrix.ts";
import { cast, widen } from "../../src/ops/cast.ts";
import { expectClose, gpu, uniform } from "../support/gradcheck.ts";
import { half } from "../support/half.ts";

// On an adapter without subgroup matrices the multiplications are plain loops, and all else is the same.
const matrices: Gpu = { ...gpu, matrices: true, precision: "f16" };

/** Multi-head self-attention and its gradient, in f64, loop by loop. */
function reference(qkv: Float64Array, dy: Float64Array, [B, L, heads, d]: readonly number[]) {
  const D = heads! * d!;
  const y = new Float64Array(dy.length);
  const dqkv = new Float64Array(qkv.length);
  const dot = (a: Float64Array, i: number, b: Float64Array, j: number): number => {
    let sum = 0;
    for (let e = 0; e < d!; e++) sum += a[i + e]! * b[j + e]!;
    return sum;
  };
  const add = (to: Float64Array, i: number, factor: number, from: Float64Array, j: number): void => {
    for (let e = 0; e < d!; e++) to[i + e]! += factor * from[j + e]!;
  };
  const alpha = 1 / Math.sqrt(d!);
  for (let b = 0; b < B!; b++) {
    for (let h = 0; h < heads!; h++) {
      const at = (l: number, which: number): number => (b * L! + l) * 3 * D + which * D + h * d!;
      for (let l = 0; l < L!; l++) {
        const row = (b * L! + l) * D + h * d!;
        const scores = Array.from({ length: L! }, (_, m) => alpha * dot(qkv, at(l, 0), qkv, at(m, 1)));
        const most = Math.max(...scores);
        const powers = scores.map((score) => Math.exp(score - most));
        const total = powers.reduce((a, e) => a + e);
        const weights = powers.map((e) => e / total);
        for (const [m, w] of weights.entries()) add(y, row, w, qkv, at(m, 2));
        const delta = dot(dy, row, y, row);
        for (const [m, w] of weights.entries()) {
          add(dqkv, at(m, 2), w, dy, row);
          const ds = alpha * w * (dot(dy, row, qkv, at(m, 2)) - delta);
          add(dqkv, at(l, 0), ds, qkv, at(m, 1));
          add(dqkv, at(m, 1), ds, qkv, at(l, 0));
        }
      }
    }
  }
  return { y, dqkv };
}

async function check(sizes: readonly number[], scale = (_: number): number => 1): Promise<void> {
  const [B, L, heads, d] = sizes as [number, number, number, number];
  const D = heads * d;
  const random = uniform(1);
  const qkv = Float64Array.from({ length: 3 * B * L * D }, (_, i) =>
    half(random() * scale(Math.floor(i / (3 * D)) % L)),
  );
  const dy = Float64Array.from({ length: B * L * D }, () => half(random()));
  const wanted = reference(qkv, dy, sizes);
  const x = cast(tensor(matrices, [B, L, 3 * D], qkv));
  const seed = cast(tensor(matrices, [B, L, D], dy));
  const plain = attendInMatrices(x, heads);
  const { y, grads } = gradients(() => attendInMatrices(x, heads), [x], seed);
  expect([plain.type, y.type, grads[0]!.type]).toEqual(["f16", "f16", "f16"]);
  // Weights, their gradients and the results are rounded to f16, each to 2^-11 of itself: 5e-4 of the largest result
  // where all of it is of one term, less where the errors of many cancel; and delta is of y as it was rounded.
  for (const one of [plain, y]) expectClose("y", await read(widen(one)), new Map(wanted.y.entries()), 1e-3);
  expectClose("dqkv", await read(widen(grads[0]!)), new Map(wanted.dqkv.entries()), 2e-3);
}

describe.skipIf(!gpu.half)("attention in matrices (skipped without shader-f16)", () => {
  // Lengths below, at and above 16 rows of a subgroup, the 16 and 32 of a tile and the 64 of a workgroup; heads whose
  // tiles do not come out even among the threads, and heads of the paper's width.
  test.for([
    [2, 1, 2, 48],
    [1, 17, 1, 48],
    [2, 64, 2, 48],
    [1, 65, 3, 48],
    [2, 100, 2, 64],
  ])(
    "B, L, heads, d = %s, %s, %s, %s",
    { timeout: 180_000 }, // lavapipe takes seconds to compile a kernel with many barriers
    (sizes) => check(sizes),
  );

  test("sums are scaled down where later keys outweigh the first by more than f16 holds", () =>
    check([1, 100, 2, 64], (row) => (row < 20 ? 0.25 : row < 70 ? 2 : 4)));

  test.for([
    [matrices, 48, true],
    [matrices, 24, false],
    [matrices, 144, false],
    [{ ...matrices, matrices: false }, 48, false],
  ] as const)("heads are taken in matrices where they fit: case %$", ([device, d, fits]) => {
    expect(fitsMatrices(device, d)).toBe(fits);
  });

  test("attention in f16 where matrices do not fit is that of the same numbers in f32, rounded", async () => {
    const [B, L, heads, d] = [1, 9, 2, 6];
    const random = uniform(2);
    const qkv = cast(tensor(gpu, [B, L, 3 * heads * d], Float64Array.from({ length: 324 }, random)));
    const dy = cast(tensor(gpu, [B, L, heads * d], Float64Array.from({ length: 108 }, random)));
    const wide = widen(qkv);
    const halves = gradients(() => attention(qkv, heads), [qkv], dy);
    const floats = gradients(() => attention(wide, heads), [wide], widen(dy));
    const rounded = (x: Float32Array) => new Map([...x].map((value, i) => [i, half(value)]));
    expectClose("y", await read(widen(halves.y)), rounded(await read(floats.y)), 1e-9);
    expectClose("dqkv", await read(widen(halves.grads[0]!)), rounded(await read(floats.grads[0]!)), 1e-9);
  });
});
