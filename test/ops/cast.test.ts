import { expect, test } from "vitest";
import { read, tensor } from "../../src/engine/tensor.ts";
import { cast, widen } from "../../src/ops/cast.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { checkOp, gpu, uniform } from "../support/gradcheck.ts";
import { half } from "../support/half.ts";

// Ties to either side, the smallest f16, one between two subnormal ones, and the largest.
const special = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -24, 5.4 * 2 ** -24, -65504, 0];

test.for([1, 4, 6, 1021])("%s numbers are rounded to the nearest f16", async (count) => {
  const random = uniform(5);
  const values = Array.from({ length: count }, (_, i) => special[i] ?? random());
  const y = cast(tensor(gpu, [1, count], values));
  const one = tensor(gpu, [1, 1], [1]);
  expect([...(await read(matmul(one, y)))]).toEqual(values.map(half));
});

test("half the memory", () => {
  expect(cast(tensor(gpu, [4096], new Float32Array(4096))).storage.bytes).toBe(2 * 4096);
});

test.for([1, 6, 1021])("%s numbers come back as they were, and so do their gradients", async (count) => {
  const random = uniform(6);
  const values = Array.from({ length: count }, (_, i) => special[i] ?? random());
  expect([...(await read(widen(cast(tensor(gpu, [count], values)))))]).toEqual(values.map(half));
  // Each number is rounded once on its way and its gradient once: by half a unit in the 11th bit.
  const identity = (x: Float64Array | undefined) => x!;
  await checkOp((x) => widen(cast(x!)), identity, [[count]], { tolerance: 2 ** -11 });
});
