import { expect, test } from "vitest";
import { clearGradients, makeArena } from "../../src/engine/arena.ts";
import { read, write } from "../../src/engine/tensor.ts";
import { gpu } from "../support/gradcheck.ts";

test("parameters keep apart in their segments, one per group", async () => {
  const { parameters, segments } = makeArena(gpu, [
    { name: "a", shape: [3], group: "decayed" },
    { name: "b", shape: [2, 2], group: "plain" },
    { name: "c", shape: [100], group: "decayed" },
  ]);
  expect(segments.map(({ group }) => group)).toEqual(["decayed", "plain"]);
  write(parameters.get("a")!, [1, 2, 3]);
  write(parameters.get("c")!, new Float32Array(100).fill(7));
  expect([...(await read(parameters.get("a")!))]).toEqual([1, 2, 3]);
  expect([...(await read(parameters.get("b")!))]).toEqual([0, 0, 0, 0]);
  const whole = await read(segments[0]!.value);
  expect(whole.reduce((sum, value) => sum + value)).toBe(6 + 700); // the padding is zero
});

test("a parameter larger than a segment gets one of its own", () => {
  const big = 20 * 2 ** 20; // 80 MiB of f32
  const { parameters, segments } = makeArena(gpu, [
    { name: "small", shape: [4], group: "g" },
    { name: "big", shape: [big], group: "g" },
    { name: "small too", shape: [4], group: "g" },
  ]);
  expect(segments).toHaveLength(3);
  expect(parameters.get("big")!.offset).toBe(0);
  for (const { value, grad } of segments) for (const t of [value, grad]) gpu.pool.giveBack(t.storage);
});

test("gradients are cleared together", async () => {
  const arena = makeArena(gpu, [{ name: "a", shape: [3], group: "g" }]);
  const { grad } = arena.parameters.get("a")!;
  write(grad!, [1, 2, 3]);
  clearGradients(arena);
  expect([...(await read(grad!))]).toEqual([0, 0, 0]);
});
