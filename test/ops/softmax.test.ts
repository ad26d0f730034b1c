import { expect, test } from "vitest";
import { read, tensor } from "../../src/engine/tensor.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

function softmaxRows(x: Float64Array, C: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += C) {
    const e = x.subarray(start, start + C).map(Math.exp);
    const total = e.reduce((a, b) => a + b);
    e.forEach((value, c) => {
      y[start + c] = value / total;
    });
  }
  return y;
}

test.for([
  [1, 1],
  [3, 5],
  [2, 2, 64],
  [2, 130],
  [3, 36],
])("softmax of [%s] agrees with the reference", async (shape) => {
  await checkOp(
    (x) => softmax(x!),
    (x) => softmaxRows(x!, shape.at(-1)!),
    [shape],
  );
});

test("softmax reaches every row when the dispatch folds into two dimensions", async () => {
  const rows = 65_536; // one more than fits along x
  const y = await read(softmax(tensor(gpu, [rows, 2], new Float32Array(2 * rows).fill(3))));
  expect(y.every((value) => value === 0.5)).toBe(true);
});

test("softmax of large scores does not overflow", async () => {
  const y = await read(softmax(tensor(gpu, [1, 2], [1000, 1000])));
  expect([...y]).toEqual([0.5, 0.5]);
});
