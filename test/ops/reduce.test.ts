import { expect, test } from "vitest";
import { read, tensor } from "../../src/engine/tensor.ts";
import { SHARE, sumInto } from "../../src/ops/reduce.ts";
import { expectClose, gpu, uniform } from "../support/gradcheck.ts";

test.for<[number, number, number]>([
  [1, 1, 1],
  [3, 5, 7],
  [70, 4, 3],
  [70, 7, 4], // whole vec4s, more than a workgroup of them
  [2, 130, 66], // just long enough to be shared by several threads
  [2, 2 * SHARE, 8],
  [1, 2 * SHARE + 1, 8],
  [1, SHARE * (2 * SHARE + 1), 4], // twice
])("the sum over the middle of [%s, %s, %s]", async ([O, N, I]) => {
  const random = uniform(3);
  const x = Float64Array.from({ length: O * N * I }, random);
  const wanted = new Float64Array(O * I);
  x.forEach((value, i) => {
    wanted[Math.floor(i / (N * I)) * I + (i % I)]! += value;
  });
  const dy = tensor(gpu, [O, N, I], x);
  const target = tensor(gpu, [O, I], wanted);
  const sum = sumInto(dy, target, [O, N, I])!;
  expectClose("sum", await read(sum), new Map(wanted.entries()), 1e-5);

  const parameter = { ...target, grad: tensor(gpu, [O, I], new Float32Array(O * I).fill(0.5)) };
  expect(sumInto(dy, parameter, [O, N, I])).toBeNull();
  const added = new Map([...wanted.entries()].map(([i, value]) => [i, value + 0.5]));
  expectClose("sum added to a gradient", await read(parameter.grad), added, 1e-5);
});
