import { describe, expect, test } from "vitest";
import type { Gpu } from "../../src/engine/device.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { cast } from "../../src/ops/cast.ts";
import { SHARE, sumInto, sumPairInto } from "../../src/ops/reduce.ts";
import { expectClose, gpu, uniform } from "../support/gradcheck.ts";
import { half } from "../support/half.ts";

type Axes = readonly [number, number, number];

function summed(x: Float64Array, [O, N, I]: Axes): Float64Array {
  const sums = new Float64Array(O * I);
  x.forEach((value, i) => {
    sums[Math.floor(i / (N * I)) * I + (i % I)]! += value;
  });
  return sums;
}

// A GPU without subgroups of a fixed, small size shares a column among the threads of a workgroup.
const wide: Gpu = { ...gpu, subgroupSize: 0 };

describe.each<[string, Gpu]>([
  ["this adapter", gpu],
  ["a GPU", wide],
])("on %s the sum over the middle", (_, device) => {
  test.for<Axes>([
    [1, 1, 1],
    [3, 5, 7],
    [70, 4, 3],
    [70, 7, 4], // whole vec4s, more than a workgroup of them
    [2, 130, 66], // just long enough to be shared by several threads
    [2, 2 * SHARE, 8],
    [1, 2 * SHARE + 1, 8],
    [1, SHARE * (2 * SHARE + 1), 4], // twice
    [2, 300, 260], // several workgroups along each axis
  ])("of [%s, %s, %s]", async ([O, N, I]) => {
    const x = Float64Array.from({ length: O * N * I }, uniform(3));
    const wanted = summed(x, [O, N, I]);
    const dy = tensor(device, [O, N, I], x);
    const target = tensor(device, [O, I], wanted);
    const sum = sumInto(dy, target, [O, N, I])!;
    expectClose("sum", await read(sum), new Map(wanted.entries()), 1e-5);

    const parameter = { ...target, grad: tensor(device, [O, I], new Float32Array(O * I).fill(0.5)) };
    expect(sumInto(dy, parameter, [O, N, I])).toBeNull();
    const added = new Map([...wanted.entries()].map(([i, value]) => [i, value + 0.5]));
    expectClose("sum added to a gradient", await read(parameter.grad), added, 1e-5);
  });

  test.for<Axes>([
    [1, 1, 4],
    [3, 7, 68],
    [1, 1000, 72],
  ])("of [%s, %s, %s] in f16 is added up in f32", async ([O, N, I]) => {
    const x = Float64Array.from({ length: O * N * I }, uniform(4)).map(half);
    const wanted = summed(x, [O, N, I]);
    const target = tensor(device, [O, I], wanted);
    const sum = sumInto(cast(tensor(device, [O, N, I], x)), target, [O, N, I])!;
    expectClose("sum", await read(sum), new Map(wanted.entries()), 1e-6);
  });

  test.for([false, true])("of two at once, added to gradients: %s", async (accumulate) => {
    const [N, I] = [37, 72];
    const x = Float64Array.from({ length: 2 * N * I }, uniform(5));
    const wanted = summed(x, [2, N, I]);
    const halfway = () => tensor(device, [I], new Float32Array(I).fill(0.5));
    const target = () => ({ ...halfway(), ...(accumulate ? { grad: halfway() } : {}) });
    const targets = [target(), target()] as const;
    const sums = sumPairInto(tensor(device, [2, N, I], x), targets, [N, I]);
    for (const [i, { grad }] of targets.entries()) {
      if (accumulate) expect(sums[i]).toBeNull();
      const part = wanted.subarray(i * I, (i + 1) * I).map((value) => value + (accumulate ? 0.5 : 0));
      expectClose(`sum ${i}`, await read(grad ?? sums[i]!), new Map(part.entries()), 1e-5);
    }
  });
});

test("rows of f16 that are no whole vec4s are refused", () => {
  const x = cast(tensor(gpu, [2, 6], new Float32Array(12)));
  expect(() => sumInto(x, x, [1, 2, 6])).toThrow("sumInto: rows of 6 f16 are no whole vec4s");
});
