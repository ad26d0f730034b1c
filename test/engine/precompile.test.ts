import { expect, test } from "vitest";
import type { Gpu } from "../../src/engine/device.ts";
import { dryGpu } from "../../src/engine/dry.ts";
import { kernel, kernelsOf, precompile } from "../../src/engine/kernel.ts";
import { empty } from "../../src/engine/tensor.ts";
import { gelu } from "../../src/ops/gelu.ts";
import { layernorm } from "../../src/ops/layernorm.ts";
import { geluOf } from "../support/gelu.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

/** The same device to a compiler that knows no kernel yet, and counts what it is asked to compile while it waits. */
function fresh(): { gpu: Gpu; waitedFor: () => number } {
  let count = 0;
  const device = new Proxy(gpu.device, {
    get: (target, key) => {
      if (key === "createComputePipeline") count++;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { gpu: { ...gpu, device }, waitedFor: () => count };
}

test("what was rehearsed is compiled side by side, and nothing of it once more", async () => {
  const { gpu: dry } = dryGpu(gpu);
  layernorm(gelu(empty(dry, [2, 8])), empty(dry, [8]), empty(dry, [8]));
  const rehearsed = kernelsOf(dry);
  expect(rehearsed.map(({ entry }) => entry)).toEqual(["gelus", "forward_rows4"]);

  const one = fresh();
  await precompile(one.gpu, rehearsed);
  await precompile(one.gpu, rehearsed);
  expect(kernelsOf(one.gpu)).toEqual(rehearsed);
  gelu(empty(one.gpu, [4]));
  expect(one.waitedFor()).toBe(0);
  // What it compiled computes; the backward's kernel is compiled when it is needed.
  await checkOp(
    (x) => gelu(x!),
    (x) => x!.map(geluOf),
    [[2, 8]],
    { device: one.gpu },
  );
  expect(one.waitedFor()).toBeGreaterThan(0);
});

test("a kernel that the device refuses is an error", async () => {
  const impossible = kernel("layernorm.wgsl", "no_such_entry");
  await expect(precompile(fresh().gpu, [impossible])).rejects.toThrow("no_such_entry");
});
