import { describe, expect, test } from "vitest";
import type { Gpu } from "../../src/engine/device.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { linear, matmul } from "../../src/ops/matmul.ts";
import { geluOf } from "../support/gelu.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

/** op(a) op(b) over a batch, in f64. */
function reference(a: Float64Array, b: Float64Array, [batch, M, N, K]: number[], tA: boolean, tB: boolean) {
  const y = new Float64Array(batch! * M! * N!);
  for (let z = 0; z < batch!; z++) {
    for (let m = 0; m < M!; m++) {
      for (let n = 0; n < N!; n++) {
        let sum = 0;
        for (let k = 0; k < K!; k++) {
          sum +=
            a[z * M! * K! + (tA ? k * M! + m : m * K! + k)]! *
            b[z * K! * N! + (tB ? n * K! + k : k * N! + n)]!;
        }
        y[(z * M! + m) * N! + n] = sum;
      }
    }
  }
  return y;
}

// Below, at and above a block of each kernel (16 rows by 16 or 32 columns, 64 by 64), multiples of four and not.
const sizes = [
  [1, 1, 1, 1],
  [2, 3, 5, 7],
  [1, 16, 32, 8],
  [3, 17, 36, 12],
  [1, 68, 72, 20],
  [2, 65, 66, 17],
];

const layouts = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const;

// The products of adapters with small subgroups, where this is one, and the register tiles of all others.
const devices: [string, Gpu][] = [
  ["the adapter's kernels", gpu],
  ["register tiles", { ...gpu, subgroupSize: 0 }],
];
const cases = devices.flatMap(([name, device]) => layouts.map((layout) => ({ name, device, layout })));

describe.each(cases)(
  "matmul by $name, transposed $layout",
  ({ device, layout: [transposeA, transposeB] }) => {
    test.for(sizes)("batch, M, N, K = %s, %s, %s, %s", async ([batch, M, N, K]) => {
      await checkOp(
        (a, b) => matmul(a!, b!, { transposeA, transposeB }),
        (a, b) => reference(a!, b!, [batch!, M!, N!, K!], transposeA, transposeB),
        [transposeA ? [batch!, K!, M!] : [batch!, M!, K!], transposeB ? [batch!, N!, K!] : [batch!, K!, N!]],
        { device },
      );
    });
  },
);

test.for([
  [5, 8, 12],
  [33, 36, 3],
])("linear with bias, gelu and residual, M, N, K = %s, %s, %s", async ([M, N, K]) => {
  for (const [, device] of devices) await checkLinear(device, M!, N!, K!);
});

async function checkLinear(device: Gpu, M: number, N: number, K: number): Promise<void> {
  await checkOp(
    (x, weight, bias, residual) => linear(x!, weight!, bias!, { gelu: true, residual: residual! }),
    (x, weight, bias, residual) => {
      const y = reference(x!, weight!, [1, M, N, K], false, true);
      return y.map((sum, i) => geluOf(sum + bias![i % N]!) + residual![i]!);
    },
    [[M, K], [N, K], [N], [M, N]],
    { device },
  );
}

test("linear with three axes and no bias", async () => {
  await checkOp(
    (x, weight) => linear(x!, weight!),
    (x, weight) => reference(x!, weight!, [1, 6, 4, 8], false, true),
    [
      [2, 3, 8],
      [4, 8],
    ],
  );
});

test("a product of many terms keeps f32 accuracy", async () => {
  const K = 4096;
  const a = Float32Array.from({ length: K }, (_, k) => Math.fround(Math.sin(k)));
  const b = Float32Array.from({ length: K }, (_, k) => Math.fround(Math.cos(3 * k)));
  const exact = a.reduce((sum, value, k) => sum + value * b[k]!, 0);
  const [y] = await read(matmul(tensor(gpu, [1, K], a), tensor(gpu, [K, 1], b)));
  expect(Math.abs(y! - exact)).toBeLessThan(1e-3); // terms of size 1 summed in f32: sqrt(K) 2^-24 K
});

test("shapes that do not fit are refused with both", () => {
  const x = tensor(gpu, [2, 3], new Float32Array(6));
  const weight = tensor(gpu, [4, 5], new Float32Array(20));
  expect(() => linear(x, weight)).toThrow("linear: weight is [4,5], expected [4,3]");
  expect(() => matmul(x, weight)).toThrow("share no axis");
});
