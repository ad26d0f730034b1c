import { expect, test } from "vitest";
import { copy, empty, free, read, tensor, write, zeros } from "../../src/engine/tensor.ts";
import { scale } from "../../src/ops/elementwise.ts";
import { gpu } from "../support/gradcheck.ts";

test("an upload does not overtake what was recorded before it", async () => {
  const x = tensor(gpu, [4], [1, 2, 3, 4]);
  const y = scale(x, 10);
  write(x, [0, 0, 0, 0]);
  expect([...(await read(y))]).toEqual([10, 20, 30, 40]);
});

test("a read sees the tensor as it was when it was asked for", async () => {
  const x = tensor(gpu, [2], [1, 2]);
  const first = read(x);
  write(x, [3, 4]);
  expect([...(await first)]).toEqual([1, 2]);
  expect([...(await read(x))]).toEqual([3, 4]);
});

test("memory that was given back is lent again", () => {
  const a = empty(gpu, [1000]);
  free(a);
  const b = empty(gpu, [1000]);
  expect(b.storage).toBe(a.storage);
  free(b);
});

test("copies and zeros", async () => {
  const x = tensor(gpu, [3], [1, 2, 3]);
  const y = zeros(gpu, [3]);
  expect([...(await read(y))]).toEqual([0, 0, 0]);
  copy(x, y);
  expect([...(await read(y))]).toEqual([1, 2, 3]);
});

test("data of another length is refused", () => {
  expect(() => tensor(gpu, [2, 2], [1, 2, 3])).toThrow("shape [2,2] holds 4 values, but 3 were given");
});
