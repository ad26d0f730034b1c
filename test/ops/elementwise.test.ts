import { expect, test } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { add, scale } from "../../src/ops/elementwise.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

test.for([[1], [3, 100], [257]])("add of [%s] agrees with the reference", async (shape) => {
  await checkOp(
    (a, b) => add(a!, b!),
    (a, b) => a!.map((value, i) => value + b![i]!),
    [shape, shape],
  );
});

test("scale agrees with the reference", async () => {
  await checkOp(
    (a) => scale(a!, -2.5),
    (a) => a!.map((value) => -2.5 * value),
    [[7]],
  );
});

test("add reaches every element when the dispatch folds into two dimensions", async () => {
  const length = 65_536 * 256; // one workgroup more than fits along x
  const ones = tensor(gpu, [length], new Float32Array(length).fill(1));
  const y = await read(add(ones, ones));
  expect(y.indexOf(0)).toBe(-1);
  expect(y.findIndex((value) => value !== 2)).toBe(-1);
});

test("gradients that share a tensor stay apart", async () => {
  const [x, z, seed] = [2, 3, 1].map((value) => tensor(gpu, [1], [value]));
  const { grads } = gradients(() => add(add(x!, z!), x!), [x!, z!], seed!);
  expect([...(await read(grads[0]!)), ...(await read(grads[1]!))]).toEqual([2, 1]);
});
