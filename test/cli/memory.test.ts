/** How a run is fitted to its adapter. */
import { expect, test } from "vitest";
import { describePlan, planEarly, planRun, type Room, roomOf } from "../../src/cli/memory.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { ClimaxError } from "../../src/errors.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { optimiserFields } from "../../src/train/config.ts";
import { planMemory, type Rehearsal } from "../../src/train/plan.ts";
import { gpu } from "../support/gpu.ts";
import { tinyModel } from "../support/toyrun.ts";
import { toyGrid } from "../support/toyset.ts";

const config = ModelConfig.parse({ ...tinyModel, variables: ["a", "b"], gridShape: [8, 16], depth: 2 });
const rehearsal: Rehearsal = {
  config,
  grid: toyGrid,
  optimiser: optimiserFields.parse({}),
  options: {},
  batchSize: 6,
  batches: [{ variables: ["a", "b"], outputs: ["a"] }],
};
const wide: Room = { buffer: 2 ** 30, binding: 2 ** 27, memory: 2 ** 33, ofHost: false };
const plans = new Map([6, 3, 2, 1].map((size) => [size, planMemory(gpu, rehearsal, size)]));

function refusal(room: Room, wanted?: number, changes: Partial<Rehearsal> = {}): ClimaxError {
  try {
    planRun(gpu, { ...rehearsal, ...changes }, room, wanted);
  } catch (error) {
    expect(error).toBeInstanceOf(ClimaxError);
    expect(error).toMatchObject({ kind: "device" });
    return error as ClimaxError;
  }
  throw new Error("it was not refused");
}

test("the whole batch goes through at once when it fits, else its largest divisor that does", () => {
  expect(planRun(gpu, rehearsal, wide).microBatch).toBe(6);
  for (const size of [3, 2, 1]) {
    const { peak, largestBuffer, largestBinding } = plans.get(size)!;
    expect(planRun(gpu, rehearsal, { ...wide, memory: peak }).microBatch).toBe(size);
    expect(planRun(gpu, rehearsal, { ...wide, buffer: largestBuffer }).microBatch).toBeGreaterThanOrEqual(
      size,
    );
    expect(planRun(gpu, rehearsal, { ...wide, binding: largestBinding }).microBatch).toBeGreaterThanOrEqual(
      size,
    );
  }
});

test("what the user asks for is taken, whatever memory was to be planned for", () => {
  expect(planRun(gpu, rehearsal, { ...wide, memory: 1 }, 4).microBatch).toBe(4);
  expect(planRun(gpu, rehearsal, wide, 100).microBatch).toBe(6);
});

test("a run that does not fit is refused with what would help", () => {
  const { message, hint } = refusal({ ...wide, memory: 1000 });
  expect(message).toMatch(
    /^a micro-batch of 1 sample needs \d+ KiB of memory, and 1000 bytes may be planned for$/,
  );
  expect(hint).toMatch(
    /^use --recompute; a smaller model .*; --memory, if the adapter has more; or another --adapter$/,
  );
  expect(refusal({ ...wide, memory: 1000 }, undefined, { options: { recompute: true } }).hint).toMatch(
    /^use a smaller model/,
  );
  expect(refusal({ ...wide, binding: 1024 }, 2).message).toMatch(
    /^a micro-batch of 2 samples needs a tensor of [\d.]+ KiB, and the adapter's kernels take 1 KiB at most$/,
  );
  expect(refusal({ ...wide, buffer: 1024 }, 2)).toMatchObject({
    message: expect.stringMatching(/needs a buffer of [\d.]+ KiB, and the adapter's are 1 KiB at most$/),
    hint: expect.stringContaining("a smaller --training.micro-batch"),
  });
});

test("parameters are updated early where whole batches fit so, and take less", () => {
  const large = { ...rehearsal, config: { ...config, embedDim: 64 } };
  const [whole, early] = [planRun(gpu, large, wide), planEarly(gpu, large, wide)!];
  expect([whole.early, early.early]).toEqual([false, true]);
  // The gradients of the mlps' weights, 64 KiB each, exist one or two at a time.
  expect(whole.peak - early.peak).toBeGreaterThan(2 * 2 ** 16);
  expect(whole.optimiser).toBe(early.optimiser);
  const { peak } = early;
  expect(planEarly(gpu, large, { ...wide, memory: peak })).toMatchObject({ microBatch: 6, peak });
  expect(planEarly(gpu, large, { ...wide, memory: peak - 1 })).toBeUndefined();
  expect(planEarly(gpu, large, { ...wide, memory: 1 }, 6)).toMatchObject({ microBatch: 6 });
  expect(planEarly(gpu, large, wide, 3)).toBeUndefined();
  // Asked for, it is the whole batch or nothing.
  const asked = { ...large, options: { early: true } };
  expect(planRun(gpu, asked, { ...wide, memory: peak })).toMatchObject({ microBatch: 6, early: true });
  expect(refusal({ ...wide, memory: peak - 1 }, undefined, asked)).toMatchObject({
    message: expect.stringMatching(/^a micro-batch of 6 samples needs .* of memory/),
    hint: expect.stringMatching(
      /^use --recompute; no --update-early, which keeps batches whole; a smaller model/,
    ),
  });
});

const four = { rank: 0, size: 4, shares: false, wire: "f32" } as const;
const shared = { ...rehearsal, ranks: { ...four, shares: true } };

test("what several ranks need is planned, and may fit with shares alone", () => {
  const [whole, part] = [{ ...rehearsal, ranks: four }, shared].map((what) => planMemory(gpu, what, 1));
  const room = { ...wide, memory: (whole!.peak + part!.peak) / 2 };
  const { message, hint } = refusal(room, undefined, { ranks: four });
  expect(message).toMatch(/^a micro-batch of 1 sample needs \d+ KiB of memory/);
  expect(hint).toMatch(/^use --shard-optimiser; --recompute; /);
  expect(planRun(gpu, shared, room).microBatch).toBe(1);
  expect(refusal({ ...wide, memory: 1000 }, undefined, { ranks: shared.ranks }).hint).toMatch(
    /^use --recompute; /,
  );
  expect(refusal({ ...wide, binding: 1024 }, undefined, { ranks: four }).hint).toMatch(/^use --recompute; /);
  // Or larger micro-batches do.
  const memory = planMemory(gpu, shared, 3).peak;
  expect(planRun(gpu, shared, { ...wide, memory }).microBatch).toBe(3);
  expect(planRun(gpu, { ...rehearsal, ranks: four }, { ...wide, memory }).microBatch).toBeLessThan(3);
  // On a software adapter what the host keeps is of the same memory.
  expect(planRun(gpu, shared, { ...room, ofHost: true, memory: part!.peak + part!.host }).microBatch).toBe(1);
  expect(
    refusal({ ...room, ofHost: true, memory: part!.peak + part!.host - 1 }, undefined, {
      ranks: shared.ranks,
    }),
  ).toMatchObject({ message: expect.stringMatching(/^a micro-batch of 1 sample needs/) });
});

test("an adapter's room is below its limits where they are known to be wrong", () => {
  const limits = { maxBufferSize: 2 ** 32, maxStorageBufferBindingSize: 2 ** 27 };
  const room = (name: string, kind: Gpu["kind"], memory?: number) =>
    roomOf({ ...gpu, device: { limits } as unknown as GPUDevice, name, kind }, memory);
  expect(room("NVIDIA H100", "hardware")).toEqual({
    ...{ buffer: 2 ** 31 - 4, binding: 2 ** 27, memory: 2 ** 33, ofHost: false },
  });
  expect(room("SwiftShader driver", "software", 2)).toEqual({
    buffer: 2 ** 30 - 4,
    binding: 2 ** 27,
    memory: 2 ** 31,
    ofHost: true,
  });
  expect(room("llvmpipe", "software").memory).toBeGreaterThan(0);
});

test("a plan in one line", () => {
  const plan = {
    ...{
      microBatch: 2,
      early: false,
      parameters: 2 ** 20,
      optimiser: 2 ** 20,
      optimiserOfAll: 2 ** 20,
      activations: 3 * 2 ** 20,
      peak: 5 * 2 ** 20,
    },
    ...{ host: 0, largestBuffer: 1, largestBinding: 1, kernels: [] },
  };
  expect(describePlan(plan, wide)).toBe(
    "parameters 1 MiB, optimiser 1 MiB, activations 3 MiB, peak 5 MiB of micro-batches of 2 samples " +
      "(adapter: buffers up to 1 GiB, bindings up to 128 MiB)",
  );
  expect(describePlan({ ...plan, early: true }, wide)).toMatch(
    /^parameters 1 MiB \(large ones updated as their gradients come\), optimiser 1 MiB, /,
  );
  expect(describePlan({ ...plan, optimiserOfAll: 2 ** 22, host: 2 ** 21 }, wide, 4)).toBe(
    "parameters 1 MiB, optimiser 1 MiB of 4 MiB (1/4, --shard-optimiser), activations 3 MiB, " +
      "peak 5 MiB of micro-batches of 2 samples, for the ranks' gradients 2 MiB of the host's " +
      "(adapter: buffers up to 1 GiB, bindings up to 128 MiB)",
  );
});
