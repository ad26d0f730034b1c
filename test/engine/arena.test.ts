import { expect, test } from "vitest";
import { clearGradients, isLent, makeArena, makeLendingArena } from "../../src/engine/arena.ts";
import { gradientRoom, read, write } from "../../src/engine/tensor.ts";
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

test("gradients of large parameters are lent, at first of any content or zero; those of small ones are kept", async () => {
  const [whole, odd] = [64 * 64 * 4, 64 * 64 * 4 + 1]; // 64 KiB, and a float more
  const { parameters, segments } = makeLendingArena(gpu, [
    { name: "small", shape: [100], group: "g" },
    { name: "whole", shape: [whole], group: "g" },
    { name: "odd", shape: [odd], group: "g" },
  ]);
  expect(segments.map((segment) => "grad" in segment)).toEqual([true, false]);
  expect([...parameters].filter(([, t]) => isLent(t)).map(([name]) => name)).toEqual(["whole", "odd"]);
  const [large, uneven] = [parameters.get("whole")!, parameters.get("odd")!];
  const before = gpu.pool.bytes.lent;
  for (const name of ["whole", "odd"]) expect(isLent(parameters.get(name)!)).toBe(true);
  expect(gpu.pool.bytes.lent).toBe(before); // to ask what it is borrows nothing

  const fresh = gradientRoom(large);
  expect(fresh).toMatchObject({ accumulate: false, result: null });
  expect(gpu.pool.bytes.lent - before).toBeGreaterThanOrEqual(4 * whole);
  write(fresh.into, new Float32Array(whole).fill(3));
  expect(gradientRoom(large)).toEqual({ into: fresh.into, accumulate: true, result: null });
  expect(large.grad).toBe(fresh.into);
  // An optimiser reads the last three floats of the odd one's last vec4, too: it begins at zero.
  const room = gradientRoom(uneven);
  expect(room).toMatchObject({ accumulate: true, result: null });
  expect((await read({ ...room.into, shape: [odd + 3] })).every((x) => x === 0)).toBe(true);

  for (const t of [large, uneven]) if (isLent(t)) t.release();
  expect(gpu.pool.bytes.lent).toBe(before);
  expect((await read(large.grad!)).every((x) => x === 0)).toBe(true); // what was lent before holds threes
  if (isLent(large)) large.release();
});
