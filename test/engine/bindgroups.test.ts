import { expect, test } from "vitest";
import { BindGroups, type Bound } from "../../src/engine/bindgroups.ts";
import { dryGpu } from "../../src/engine/dry.ts";
import type { Tensor } from "../../src/engine/tensor.ts";
import { trainingStep } from "../bench/model.ts";
import { gpu } from "../support/gradcheck.ts";

/** A tensor somewhere in the storage of that number. */
function at(id: number, offset = 0, shape = [4]): Tensor {
  return { gpu, shape, storage: { id, bytes: 2 ** 32, buffer: {} as GPUBuffer }, offset };
}

/** Makes bind groups that are nothing but unlike each other, and counts them. */
function maker() {
  let made = 0;
  const groups = new BindGroups();
  const make = () => ({ label: `${made++}` }) as GPUBindGroup;
  return {
    of: (tensors: Bound, kernel = 0) => groups.of(kernel, tensors, make),
    get made() {
      return made;
    },
  };
}

test("a bind group is found again by kernel, storages, offsets and sizes alone", () => {
  const groups = maker();
  const known = groups.of({ x: at(1), y: at(2) });
  expect(groups.of({ x: at(1, 0, [2, 2]), y: { ...at(2), type: "f16", shape: [8] } })).toBe(known);
  const others = [
    groups.of({ x: at(2), y: at(1) }),
    groups.of({ x: at(1), y: at(2, 256) }),
    groups.of({ x: at(1), y: at(2, 0, [5]) }),
    groups.of({ x: at(1), y: { ...at(2, 0, [20]), type: "f16" } }),
    groups.of({ x: at(1) }),
    groups.of({ x: at(1), y: at(2) }, 1),
  ];
  expect(new Set([known, ...others]).size).toBe(7);
});

test("bind groups of one hash are told apart", () => {
  // FNV-1a by words: an offset that undoes what another storage's id does to the hash.
  const start = Math.imul(0x811c9dc5, 0x01000193); // kernel 0
  const after = (id: number): number => Math.imul(start ^ id, 0x01000193);
  const [one, other] = [at(1), at(2, (after(1) ^ after(2)) >>> 0)];
  const groups = maker();
  const [first, second] = [groups.of({ x: one }), groups.of({ x: other })];
  expect(second).not.toBe(first);
  expect([groups.of({ x: one }), groups.of({ x: other })]).toEqual([first, second]);
});

test("of all kernels together no more are kept than a process can have", () => {
  const groups = maker();
  const bindings = (from: number) => {
    for (let i = 0; i < 4096; i++) groups.of({ x: at(from + i) }, i % 3);
    return groups.made;
  };
  expect(bindings(0)).toBe(4096);
  expect(bindings(4096)).toBe(8192);
  expect(bindings(0)).toBe(8192); // all there still
  expect(bindings(8192)).toBe(12_288); // instead of those before
  expect(bindings(8192)).toBe(12_288);
  expect(bindings(0)).toBe(16_384);
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
