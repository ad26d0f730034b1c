import { expect, test } from "vitest";
import { dryGpu } from "../../src/engine/dry.ts";
import { table } from "../../src/engine/table.ts";
import { read } from "../../src/engine/tensor.ts";
import { gpu } from "../support/gradcheck.ts";

test("a table holds its words as they are, and is written once", async () => {
  const words = [3, 0, 0xffffffff, 7];
  const first = table(gpu, words);
  expect([...new Uint32Array((await read(first)).buffer)]).toEqual(words);
  expect(table(gpu, [...words])).toBe(first);
  expect(table(gpu, words.slice(1)).storage).not.toBe(first.storage);
});

test("tables that keep changing do not fill the memory", () => {
  const { gpu: dry } = dryGpu(gpu);
  for (let i = 0; i < 2000; i++) table(dry, [i]);
  expect(dry.pool.bytes.made).toBe(256 * 256); // as many of the smallest buffers as are kept at once
});
