/** The memory plan: what it says is what a run takes. */
import { expect, test } from "vitest";
import type { Gpu } from "../../src/engine/device.ts";
import { Pool } from "../../src/engine/pool.ts";
import { Random } from "../../src/engine/random.ts";
import { free } from "../../src/engine/tensor.ts";
import { ModelConfig } from "../../src/model/config.ts";
import type { Batch } from "../../src/sets/samples.ts";
import { optimiserFields } from "../../src/train/config.ts";
import { Learner } from "../../src/train/learner.ts";
import { type BatchVariables, planMemory, type Rehearsal } from "../../src/train/plan.ts";
import { type Exchange, gradientSumOf } from "../../src/train/reduce.ts";
import { fakeWorlds } from "../support/fakeworld.ts";
import { gpu } from "../support/gpu.ts";
import { tinyModel } from "../support/toyrun.ts";
import { toyGrid } from "../support/toyset.ts";

const names = Array.from({ length: 5 }, (_, v) => `v${v}`);
const config = ModelConfig.parse({
  ...tinyModel,
  variables: names,
  gridShape: [8, 16],
  embedDim: 32,
  depth: 3,
  dropout: 0.1,
});
const rehearsal: Rehearsal = {
  config,
  grid: toyGrid,
  optimiser: optimiserFields.parse({}),
  options: { variables: names },
  batchSize: 8,
  batches: [
    { variables: names, outputs: names.slice(1) },
    { variables: names.slice(2), outputs: names.slice(2) },
  ],
};

const batchOf = ({ variables, outputs }: BatchVariables, size: number): Batch => {
  const fields = (count: number) => new Float32Array(size * count * 8 * 16);
  return {
    ...{ variables, outputs, size, times: [], leadHours: new Float32Array(size) },
    x: fields(variables.length),
    y: fields(outputs.length),
  };
};

test.for([
  { microBatch: 8, recompute: false },
  { microBatch: 8, recompute: true },
  { microBatch: 8, recompute: "hidden" },
  { microBatch: 3, recompute: false },
  { microBatch: 8, recompute: false, last: 5 },
  { microBatch: 8, recompute: false, early: true },
] as const)("a run takes what was planned: %o", async ({ microBatch, recompute, last, early = false }) => {
  const options = { ...rehearsal.options, recompute, early };
  const model = early ? { ...config, embedDim: 64 } : config; // so that gradients are lent
  const plan = planMemory(gpu, { ...rehearsal, config: model, options, last }, microBatch);
  // A pool of its own, which begins at nothing.
  const device: Gpu = { ...gpu, pool: new Pool(gpu.device) };
  const learner = new Learner(device, model, toyGrid, rehearsal.optimiser, { ...options, microBatch });
  const state = device.pool.bytes.made;
  expect(plan.parameters + plan.optimiser).toBe(state);
  for (let step = 0; step < 4; step++) {
    const batch = batchOf(rehearsal.batches[step % 2]!, 8);
    if (early) {
      for (const made of Object.values(learner.stepEarly(batch, new Random(1, step), 1e-3, step + 1)))
        free(made);
    } else {
      free(learner.accumulate(batch, 1, new Random(1, step)));
      free(learner.step(1e-3, step + 1));
    }
    await learner.evaluate(batch);
  }
  for (const kind of last ? rehearsal.batches : []) await learner.evaluate(batchOf(kind, last!));
  const { made, largest } = device.pool.bytes;
  expect(plan.largestBuffer).toBe(largest);
  // Rehearsed with two micro-batches of different size at most: a few numbers less than with all of them.
  expect(made - plan.peak).toBeGreaterThanOrEqual(0);
  expect(made - plan.peak).toBeLessThanOrEqual(2048);
  expect(plan.activations).toBe(plan.peak - state);
  expect(plan.largestBinding).toBeLessThanOrEqual(largest);
  expect(plan.largestBinding).toBeGreaterThan(largest / 2);
});

test("smaller micro-batches and recomputation take less, and nothing of the adapter is touched", () => {
  const before = gpu.pool.bytes;
  const again = { ...rehearsal, options: { ...rehearsal.options, recompute: true } };
  const hidden = { ...rehearsal, options: { ...rehearsal.options, recompute: "hidden" as const } };
  const whole = planMemory(gpu, rehearsal, 8);
  expect(planMemory(gpu, rehearsal, 4).activations).toBeLessThan(0.7 * whole.activations);
  expect(planMemory(gpu, again, 8).activations).toBeLessThan(0.8 * whole.activations);
  expect(planMemory(gpu, hidden, 8).activations).toBeLessThan(0.9 * whole.activations);
  expect(gpu.pool.bytes).toEqual(before);
});

test("what goes between ranks is planned, and shares of the optimiser's state are a part of its memory", async () => {
  const planOf = (rank: number, size: number, shares: boolean, wire: Exchange["wire"] = "f32") =>
    planMemory(gpu, { ...rehearsal, ranks: { rank, size, shares, wire } }, 8);
  const whole = planOf(0, 1, false);
  const parts = [0, 1, 2, 3].map((rank) => planOf(rank, 4, true));
  expect(parts.reduce((sum, { optimiser }) => sum + optimiser, 0)).toBe(whole.optimiser);
  for (const part of parts) {
    expect(part.optimiserOfAll).toBe(whole.optimiser);
    expect(part.optimiser / whole.optimiser).toBeCloseTo(1 / 4, 1); // to a block of 2 KiB
    expect(part.parameters).toBe(whole.parameters);
    expect(whole.peak - part.peak).toBe(whole.optimiser - part.optimiser);
  }
  // Gradients in f32, in whole blocks; halves, and one bucket of what the others sent. Values go in f32 anyway.
  expect(whole.host / (whole.optimiser / 2)).toBeCloseTo(1, 1);
  expect(planOf(0, 4, false, "f16").host / whole.host).toBeCloseTo(1, 1);
  expect(planOf(0, 4, true, "f16").host / whole.host).toBeCloseTo(1.5, 1);

  // A rank that has one share, which is all, and meets nobody: all the same steps.
  const plan = planOf(0, 1, true, "f16");
  const device: Gpu = { ...gpu, pool: new Pool(gpu.device) };
  const share = { rank: 0, size: 1 };
  const options = { ...rehearsal.options, microBatch: 8, share };
  const learner = new Learner(device, config, toyGrid, rehearsal.optimiser, options);
  expect(plan.parameters + plan.optimiser).toBe(device.pool.bytes.made);
  const sum = gradientSumOf(learner, fakeWorlds(1)[0]!, { shares: true, wire: "f16" });
  expect(sum.bytes).toBe(plan.host);
  for (let step = 0; step < 4; step++) {
    const batch = batchOf(rehearsal.batches[step % 2]!, 8);
    free(learner.accumulate(batch, 1, new Random(1, step), sum.complete));
    const { squares } = await sum.finish();
    free(learner.step(1e-3, step + 1, squares));
    await sum.handOut();
    learner.follow(step + 1);
    await learner.evaluate(batch);
  }
  expect(device.pool.bytes.made).toBe(plan.peak);
});
