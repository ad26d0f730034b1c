/** The learner: gradients of micro-batches add up, steps leave alone what they should, nothing leaks. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Gpu } from "../../src/engine/device.ts";
import { Random } from "../../src/engine/random.ts";
import { free, read } from "../../src/engine/tensor.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { initialise } from "../../src/model/parameters.ts";
import { openSet, type PreparedSet } from "../../src/sets/prepared.ts";
import { type Batch, samples } from "../../src/sets/samples.ts";
import { optimiserFields } from "../../src/train/config.ts";
import { Learner, type LearnerOptions } from "../../src/train/learner.ts";
import { gpu } from "../support/gpu.ts";
import { tinyModel } from "../support/toyrun.ts";
import { toyGrid, toyNames, writeToySet } from "../support/toyset.ts";

let root: string;
let set: PreparedSet;
let batch: Batch;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-learner-"));
  set = await openSet(await writeToySet(join(root, "set")));
  batch = await batches(8).batchAt(0, 0);
});
afterAll(async () => {
  await set.close();
  rmSync(root, { recursive: true });
});

const batches = (batchSize: number) =>
  samples(set, "train", {
    inputs: toyNames,
    outputs: toyNames,
    leads: { min: 6, max: 24, step: 6 },
    batchSize,
    seed: 7,
  });

const unseen = "geopotential_500";
const variables = [unseen, ...toyNames];
const optimiser = { lr: 0.01, weightDecay: 0.1 };

async function makeLearner(
  changes: Record<string, unknown> = {},
  options: LearnerOptions & { device?: Gpu } = {},
) {
  const model = ModelConfig.parse({ ...tinyModel, variables, gridShape: [8, 16], ...changes });
  const learner = new Learner(options.device ?? gpu, model, toyGrid, optimiserFields.parse(optimiser), {
    variables: toyNames,
    ...options,
  });
  const values = initialise(model, 1);
  await learner.load((name) => values.get(name)!);
  return learner;
}

async function value(t: ReturnType<Learner["accumulate"]>): Promise<Float32Array> {
  const values = read(t);
  free(t);
  return await values;
}

/** Norm of the difference over the norm. */
function distance(a: Float32Array, b: Float32Array): number {
  let [difference, norm] = [0, 0];
  for (const [i, x] of a.entries()) {
    difference += (x - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(difference / (norm || 1));
}

test("two micro-batches of 4 are one batch of 8, to the rounding of f32", async () => {
  const [whole, halves] = [await makeLearner(), await makeLearner()];
  const loss = await value(whole.accumulate(batch, 1, new Random(1, 0)));
  let sum = 0;
  for (const index of [0, 1]) {
    const half = await batches(4).batchAt(0, index);
    expect(half.times).toEqual(batch.times.slice(4 * index, 4 * index + 4));
    sum += (await value(halves.accumulate(half, 1 / 2, new Random(1, index))))[0]!;
  }
  expect(sum / loss[0]!).toBeCloseTo(1, 6);
  const [one, two] = [await value(whole.step(0.01, 1)), await value(halves.step(0.01, 1))];
  expect(two[0]! / one[0]!).toBeCloseTo(1, 5); // the norm of the gradient
  for (const name of whole.names) {
    // After one step the moment is a tenth of the gradient. Sums of 8 are taken as 4 + 4: a few ulp, more where
    // positive and negative terms nearly cancel.
    const found = await halves.moments.expAvg(name);
    expect(distance(found, await whole.moments.expAvg(name)), name).toBeLessThan(1e-4);
  }
});

const noisy = { dropout: 0.3, depth: 2, dropPath: 0.3 };

/** The loss of one step from the start, and every first moment after it: a tenth of the gradient. */
async function firstStep(learner: Learner): Promise<{ loss: number; moments: Map<string, Float32Array> }> {
  const [loss] = await value(learner.accumulate(batch, 1, new Random(1, 0)));
  await value(learner.step(0.01, 1));
  const moments = new Map<string, Float32Array>();
  for (const name of learner.names) moments.set(name, await learner.moments.expAvg(name));
  return { loss: loss!, moments };
}

test.for([4, 3])(
  "a batch of 8 in micro-batches of %i is the same batch, dropout included",
  async (microBatch) => {
    const [whole, split] = [await makeLearner(noisy), await makeLearner(noisy, { microBatch })];
    const [expected, found] = [await firstStep(whole), await firstStep(split)];
    expect(found.loss / expected.loss).toBeCloseTo(1, 6);
    for (const [name, moment] of expected.moments) {
      expect(distance(found.moments.get(name)!, moment), name).toBeLessThan(1e-4); // another mask would be 0.3 and more
    }
    const [one, several] = [await whole.evaluate(batch), await split.evaluate(batch)];
    expect(several.loss / one.loss).toBeCloseTo(1, 6);
    for (const [v, loss] of one.losses.entries()) expect(several.losses[v]! / loss).toBeCloseTo(1, 6);
  },
);

test.for([true, "hidden"] as const)(
  "running blocks again (%s) for their gradients changes no bit",
  async (recompute) => {
    const [kept, again] = [await makeLearner(noisy), await makeLearner(noisy, { recompute })];
    expect(await firstStep(again)).toEqual(await firstStep(kept));
  },
);

describe.skipIf(!gpu.half)("in f16 (skipped without shader-f16)", () => {
  const half: Gpu = { ...gpu, precision: "f16" };

  test("a step is that of f32, but for the rounding of operands", async () => {
    const [full, rounded] = [await makeLearner(), await makeLearner({}, { device: half })];
    const [expected, found] = [await firstStep(full), await firstStep(rounded)];
    expect(Math.abs(found.loss / expected.loss - 1)).toBeLessThan(1e-3);
    for (const [name, moment] of expected.moments) {
      expect(distance(found.moments.get(name)!, moment), name).toBeLessThan(0.02); // f16 rounds to 5e-4
    }
    expect(await full.scaler()).toBeUndefined();
    const [scale, sound, power1, power2] = (await rounded.scaler())!;
    expect([scale, sound]).toEqual([65536, 1]);
    expect([power1, power2]).toEqual([0.9, 0.95].map(Math.fround));
  });

  // Residual streams are given back in the forward pass, or kept to run blocks again: other memory, the same numbers.
  test("running blocks again for their gradients changes no bit", async () => {
    const deep = { ...noisy, depth: 3 };
    const kept = await makeLearner(deep, { device: half });
    const again = await makeLearner(deep, { device: half, recompute: true });
    expect(await firstStep(again)).toEqual(await firstStep(kept));
  });

  test("hidden layers that are made again are those of before to the rounding of their operands", async () => {
    const [kept, again] = [
      await makeLearner(noisy, { device: half }),
      await makeLearner(noisy, { device: half, recompute: "hidden" }),
    ];
    const [expected, found] = [await firstStep(kept), await firstStep(again)];
    expect(found.loss).toBe(expected.loss);
    for (const [name, moment] of expected.moments) {
      expect(distance(found.moments.get(name)!, moment), name).toBeLessThan(1e-3); // two roundings of f16, each of 5e-4
    }
  });

  test("a gradient too large for its scale halves it and changes nothing else", async () => {
    const learner = await makeLearner({}, { device: half });
    const values = learner.network.initialise(1);
    await learner.load((name) => values.get(name)!, undefined, { scaler: [2 ** 120, 7, 0.5, 0.25] });
    free(learner.accumulate({ ...batch, y: batch.y.map((y) => 1e5 * y) }, 1, new Random(1, 0)));
    const state = await value(learner.step(0.01, 1));
    expect([state[1], state[4]]).toEqual([0, 2 ** 120]);
    expect(await learner.scaler()).toEqual([2 ** 119, 0, 0.5, 0.25]);
    for (const name of learner.names) expect(await learner.parameter(name)).toEqual(values.get(name));
  });
});

test("gradients begin anew after each step", async () => {
  const [once, twice] = [await makeLearner(), await makeLearner()];
  // The first of `twice` has no rate, so only gradients that were left over could make a difference.
  await value(twice.accumulate(await batches(8).batchAt(0, 1), 1, new Random(1, 0)));
  await value(twice.step(0, 1));
  const gradientNorm = async (learner: Learner) => {
    await value(learner.accumulate(batch, 1, new Random(1, 0)));
    return (await value(learner.step(0, 2)))[0]!;
  };
  expect(await gradientNorm(twice)).toBe(await gradientNorm(once));
});

test("what embeds variables that are never seen is left alone, decay included", async () => {
  const learner = await makeLearner();
  const values = learner.network.initialise(1);
  for (let t = 1; t <= 3; t++) {
    free(learner.accumulate(batch, 1, new Random(1, t)));
    free(learner.step(0.01, t));
  }
  const changed: string[] = [];
  for (const name of learner.names) {
    const now = await learner.parameter(name);
    if (now.some((x, i) => x !== values.get(name)![i])) changed.push(name);
  }
  const tokens = (v: number) => ["weight", "bias"].map((part) => `token_embeds.${v}.proj.${part}`);
  expect(changed).not.toEqual(expect.arrayContaining([expect.stringContaining("token_embeds.0.")]));
  expect(changed).toEqual(expect.arrayContaining([...tokens(1), ...tokens(2), "head.2.weight", "var_query"]));
  expect(await learner.moments.expAvgSq(tokens(0)[0]!)).toEqual(new Float32Array(16 * 4));
});

test("a gradient that is not finite changes nothing and is told", async () => {
  const learner = await makeLearner();
  const values = learner.network.initialise(1);
  free(learner.accumulate({ ...batch, y: batch.y.map(() => Number.NaN) }, 1, new Random(1, 0)));
  const [norm, factor] = await value(learner.step(0.01, 1));
  expect(norm).toBeNaN();
  expect(factor).toBe(0);
  for (const name of learner.names) expect(await learner.parameter(name)).toEqual(values.get(name));
});

test("dropout depends on its random numbers only, and an evaluation has none", async () => {
  const learner = await makeLearner({ dropout: 0.3, depth: 2, dropPath: 0.3 });
  const loss = async (seed: number, step: number) =>
    (await value(learner.accumulate(batch, 1, new Random(seed, step))))[0]!;
  expect(await loss(1, 0)).toBe(await loss(1, 0));
  expect(await loss(1, 1)).not.toBe(await loss(1, 0));
  expect(await loss(2, 0)).not.toBe(await loss(1, 0));
  const quiet = await makeLearner({ depth: 2 });
  const { loss: without } = await learner.evaluate(batch);
  expect(without).toBe((await quiet.evaluate(batch)).loss);
  expect(await loss(1, 0)).not.toBe(without);
  expect((await value(quiet.accumulate(batch, 1, new Random(1, 0))))[0]).toBe(without);
});

test("parameters and moments come back as they were put", async () => {
  const learner = await makeLearner();
  const put = (name: string, salt: number) => {
    const { length } = learner.network.initialise(1).get(name)!;
    return Float32Array.from({ length }, (_, i) => salt + i / 64 + name.length);
  };
  await learner.load((name) => put(name, 1), {
    expAvg: (name) => put(name, 2),
    expAvgSq: async (name) => put(name, 3),
  });
  for (const name of learner.names) {
    expect(await learner.parameter(name), name).toEqual(put(name, 1));
    const idle = name.startsWith("token_embeds.0."); // of the unseen variable, which has no moments
    expect(await learner.moments.expAvg(name), name).toEqual(idle ? put(name, 2).fill(0) : put(name, 2));
    expect(await learner.moments.expAvgSq(name), name).toEqual(idle ? put(name, 3).fill(0) : put(name, 3));
  }
});

test("what is frozen stays as it was, and the rest learns as it would", async () => {
  const names = [...(await makeLearner()).names];
  const frozen = new Set(names.filter((name) => /^(blocks|pos_embed)/.test(name)));
  const [free_, cold] = [await makeLearner(), await makeLearner({}, { frozen })];
  const start = cold.network.initialise(1);
  const [whole, part] = [await firstStep(free_), await firstStep(cold)];
  expect(part.loss).toBe(whole.loss);
  for (const name of names) {
    if (frozen.has(name)) expect(await cold.parameter(name), name).toEqual(start.get(name));
    else expect(part.moments.get(name), name).toEqual(whole.moments.get(name));
  }
  expect(cold.optimiserBytes.own).toBeLessThan(free_.optimiserBytes.own);
});

test("the running mean of the weights follows them, and is what is validated", async () => {
  const averageOf = 0.9;
  const learner = await makeLearner({}, { average: averageOf });
  const [name, wanted] = ["head.0.weight", [...(await learner.parameter("head.0.weight"))]];
  for (let t = 1; t <= 4; t++) {
    free(learner.accumulate(batch, 1, new Random(1, t)));
    free(learner.step(0.01, t));
    const decay = Math.min(averageOf, (1 + t) / (10 + t));
    for (const [i, weight] of (await learner.parameter(name)).entries()) {
      wanted[i] = decay * wanted[i]! + (1 - decay) * weight;
    }
  }
  const found = await learner.averaged(name);
  expect(distance(found, Float32Array.from(wanted))).toBeLessThan(1e-6);
  expect(distance(found, await learner.parameter(name))).toBeGreaterThan(1e-3);

  const plain = await makeLearner();
  const means = new Map<string, Float32Array>();
  for (const other of learner.names) means.set(other, await learner.averaged(other));
  await plain.load((other) => means.get(other)!);
  expect(await learner.evaluate(batch)).toEqual(await plain.evaluate(batch));
});

test("outputs count by their share of the loss, the losses of each as they are", async () => {
  const shares = { [toyNames[0]!]: 3 };
  const [even, uneven] = [await makeLearner(), await makeLearner({}, { shares })];
  const [a, b] = [await even.evaluate(batch), await uneven.evaluate(batch)];
  expect([...b.losses]).toEqual([...a.losses]);
  expect(b.loss).toBeCloseTo((3 * a.losses[0]! + a.losses[1]!) / 4, 6);
});

describe("through a roll-out", () => {
  // A second target makes the forecast of the first step an input: the gradient flows through both.
  const twice = () => ({ ...batch, later: [batch.y.map((y, i) => 0.5 * y + Math.fround(Math.sin(i)))] });

  test.for([{ residual: true }, { residual: false }])(
    "the loss falls along the gradient as that says, %o",
    async (model) => {
      const config = { ...model, variables: toyNames, depth: 1 };
      const learner = await makeLearner(config);
      // Starting weights are so small that a fresh model says much the same of every state.
      const large = (name: string) => /^(token_embeds|var_agg.out|lead_time|head).*weight$/.test(name);
      const fresh = learner.network.initialise(1);
      const start = new Map([...fresh].map(([name, w]) => [name, large(name) ? w.map((x) => 15 * x) : w]));
      await learner.load((name) => start.get(name)!);
      const { loss } = await learner.evaluate(twice());
      const one = await learner.evaluate(batch);
      const two = await learner.evaluate({ ...batch, y: twice().later[0]! });
      expect(Math.min(one.loss, two.loss)).toBeGreaterThan(0.1);
      expect(loss).not.toBeCloseTo((one.loss + two.loss) / 2, 3); // the second step starts from the first forecast
      free(learner.accumulate(twice(), 1, new Random(1, 0)));
      await value(learner.step(0, 1)); // nothing moves, but the moments are a tenth of the gradient
      const slopes = new Map<string, Float32Array>();
      let norm = 0;
      for (const name of learner.names) {
        const slope = (await learner.moments.expAvg(name)).map((m) => 10 * m);
        slopes.set(name, slope);
        norm += slope.reduce((sum, g) => sum + g * g, 0);
      }
      const h = 2e-3 / Math.sqrt(norm);
      const at = async (step: number): Promise<number> => {
        await learner.load((name) => start.get(name)!.map((w, i) => w + step * slopes.get(name)![i]!));
        return (await learner.evaluate(twice())).loss;
      };
      // Central difference of an f32 loss of about 1: its rounding (6e-8) over 2 h |g|^2 (some 1e-3) is below 1e-3.
      const difference = ((await at(h)) - (await at(-h))) / (2 * h);
      expect(difference / norm).toBeCloseTo(1, 2);
    },
  );
});

test("memory on the device does not grow with steps and evaluations", async () => {
  const learner = await makeLearner({ dropout: 0.1 });
  const lent: number[] = [];
  for (let t = 1; t <= 4; t++) {
    await value(learner.accumulate(batch, 1, new Random(1, t)));
    await value(learner.step(0.01, t));
    await learner.evaluate(batch);
    lent.push(gpu.pool.bytes.lent);
  }
  expect(lent).toEqual(lent.map(() => lent[0]));
});

describe("updating early", () => {
  const wide = { embedDim: 64, heads: 4 }; // weights of mlps are large enough to be lent a gradient each
  /** As it is; as GPUs do it; and in f16. */
  const ways: [string, Gpu][] = [
    ["f32", gpu],
    ["f32 on GPUs", { ...gpu, subgroupSize: 0 }],
    ...(gpu.half ? [["f16", { ...gpu, precision: "f16" }] as [string, Gpu]] : []),
  ];

  // Of one step of each kind: bit for bit, for a parameter's gradient is the same sum in the same order.
  test.for(
    ways.flatMap(([way, device]) => [
      { way, device, options: {} },
      { way, device, options: { recompute: true } },
    ]),
  )("takes the steps of gradients that are kept, in $way, $options", async ({ device, options }) => {
    const noisy = { ...wide, dropout: 0.2, depth: 2, dropPath: 0.2 };
    const kept = await makeLearner(noisy, { device });
    const early = await makeLearner(noisy, { device, ...options, early: true });
    const losses: Float32Array[] = [];
    for (let t = 1; t <= 3; t++) {
      losses.push(await value(kept.accumulate(batch, 1, new Random(3, t))));
      const norm = await value(kept.step(0.01, t));
      const { loss, state } = early.stepEarly(batch, new Random(3, t), 0.01, t);
      expect(await value(loss)).toEqual(losses.at(-1));
      expect((await value(state))[0]! / norm[0]!).toBeCloseTo(1, 5); // the norm adds up in another order
    }
    for (const name of kept.names) expect(await early.parameter(name)).toEqual(await kept.parameter(name));
    for (const name of ["pos_embed", "head.0.weight"]) {
      expect(await early.moments.expAvgSq(name)).toEqual(await kept.moments.expAvgSq(name));
    }
    expect(await early.scaler()).toEqual(await kept.scaler());
  });

  test("holds a part of the gradients at a time", async () => {
    const wider = { embedDim: 128, depth: 4, heads: 4 };
    const peaks: number[] = [];
    for (const early of [false, true]) {
      const before = gpu.pool.bytes.lent;
      const learner = await makeLearner(wider, { early });
      peaks.push(gpu.pool.bytes.lent - before);
      if (!early) {
        free(learner.accumulate(batch, 1, new Random(3, 1))); // makes the textures that products read from
        continue;
      }
      // The first step leaves behind the tables by which kernels find their way, and nothing more comes of others.
      const kept = [1, 2].map((t) => {
        for (const made of Object.values(learner.stepEarly(batch, new Random(3, t), 0.01, t))) free(made);
        return gpu.pool.bytes.lent - before - peaks.at(-1)!;
      });
      expect(kept[0]).toBeLessThan(2 ** 14);
      expect(kept[1]).toBe(kept[0]);
    }
    expect(peaks[1]! / peaks[0]!).toBeCloseTo(3 / 4, 1); // of small parameters they are all kept
  });

  test("a gradient that is not finite shows in the state", async () => {
    const learner = await makeLearner(wide, { early: true });
    const broken = { ...batch, y: new Float32Array(batch.y.length).fill(3e38) };
    const { loss, state } = learner.stepEarly(broken, new Random(3, 1), 0.01, 1);
    free(loss);
    expect((await value(state))[1]).toBe(0);
    expect((await learner.parameter("head.0.weight")).every(Number.isFinite)).toBe(true);
  });

  test.skipIf(!gpu.half)(
    "in f16 what is too large for its scale changes nothing, and halves the scale (skipped without shader-f16)",
    async () => {
      const learner = await makeLearner(
        { ...wide, depth: 2 },
        { device: { ...gpu, precision: "f16" }, early: true },
      );
      const values = learner.network.initialise(1);
      await learner.load((name) => values.get(name)!, undefined, { scaler: [2 ** 120, 7, 0.5, 0.25] });
      const large = { ...batch, y: batch.y.map((y) => 1e5 * y) };
      const { loss, state } = learner.stepEarly(large, new Random(1, 0), 0.01, 1);
      free(loss);
      expect([...(await value(state))].filter((_, i) => i === 1 || i === 4)).toEqual([0, 2 ** 120]);
      expect(await learner.scaler()).toEqual([2 ** 119, 0, 0.5, 0.25]);
      for (const name of learner.names) expect(await learner.parameter(name), name).toEqual(values.get(name));
    },
  );
});
