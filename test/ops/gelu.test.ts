import { expect, test } from "vitest";
import { read, tensor } from "../../src/engine/tensor.ts";
import { gelu } from "../../src/ops/gelu.ts";
import { geluOf } from "../support/gelu.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

test.for([[1], [3, 85], [4, 64]])("gelu of [%s] agrees with the reference", async (shape) => {
  await checkOp(
    (x) => gelu(x!),
    (x) => x!.map(geluOf),
    [shape],
  );
});

test("gelu keeps its digits in the negative tail and its ends", async () => {
  const x = [-6, -5, 0, 30, -30, 100];
  const y = await read(gelu(tensor(gpu, [x.length], x)));
  // x Phi(x) at -6 and -5 from Phi(-6) = 9.865876450376946e-10, Phi(-5) = 2.8665157187919328e-7
  expect(y[0]! / (-6 * 9.865876450376946e-10)).toBeCloseTo(1, 5);
  expect(y[1]! / (-5 * 2.8665157187919328e-7)).toBeCloseTo(1, 5);
  expect([...y.subarray(2)]).toEqual([0, 30, -0, 100]);
});
