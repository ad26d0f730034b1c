import { expect, test } from "vitest";
import { BindGroups } from "../../src/engine/bindgroups.ts";
import { dryGpu } from "../../src/engine/dry.ts";
import type { Tensor } from "../../src/engine/tensor.ts";
import type { Texels } from "../../src/engine/texels.ts";
import { trainingStep } from "../bench/model.ts";
import { gpu } from "../support/gradcheck.ts";

/** A tensor somewhere in the storage of that number. */
function at(id: number, offset = 0, shape = [4]): Tensor {
  return { gpu, shape, storage: { id, bytes: 2 ** 32, buffer: {} as GPUBuffer }, offset };
}

/** Bind groups that are the words of what they were made of. */
function worded(): BindGroups {
  const words = (tensors: Readonly<Record<string, Tensor | Texels>>) =>
    Object.entries(tensors).map(([name, { storage, offset, shape }]) => [name, storage.id, offset, shape]);
  return new BindGroups((tensors) => ({ label: JSON.stringify(words(tensors)) }) as unknown as GPUBindGroup);
}

test("a bind group is found again by storages, offsets and sizes alone", () => {
  const groups = worded();
  const known = groups.of({ x: at(1), y: at(2) });
  expect(groups.of({ x: at(1, 0, [2, 2]), y: { ...at(2), type: "f16", shape: [8] } })).toBe(known);
  const others = [
    groups.of({ x: at(2), y: at(1) }),
    groups.of({ x: at(1), y: at(2, 256) }),
    groups.of({ x: at(1), y: at(2, 0, [5]) }),
    groups.of({ x: at(1), y: { ...at(2, 0, [20]), type: "f16" } }),
    groups.of({ x: at(1) }),
  ];
  expect(new Set([known, ...others]).size).toBe(6);
});

test("bind groups of one hash are told apart", () => {
  // FNV-1a by words: an offset that undoes what another storage's id does to the hash.
  const after = (id: number): number => Math.imul(0x811c9dc5 ^ id, 0x01000193);
  const [one, other] = [at(1), at(2, (after(1) ^ after(2)) >>> 0)];
  const groups = worded();
  const [first, second] = [groups.of({ x: one }), groups.of({ x: other })];
  expect(second).not.toBe(first);
  expect([groups.of({ x: one }), groups.of({ x: other })]).toEqual([first, second]);
});

test("training makes no bind groups once it is under way", async () => {
  let made = 0;
  const { gpu: dry } = dryGpu(gpu);
  const device = new Proxy(dry.device, {
    get: (target, key) => {
      if (key === "createBindGroup") made++;
      return Reflect.get(target, key);
    },
  });
  const sizes = { batch: 2, variables: 2, height: 4, width: 8, patch: 2, dim: 16, depth: 2, heads: 2 };
  const step = await trainingStep({ ...dry, device }, sizes);
  step.call();
  expect(made).toBeGreaterThan(20);
  for (let i = 0; i < 3; i++) step.call();
  const sofar = made;
  step.call();
  expect(made).toBe(sofar);
});
