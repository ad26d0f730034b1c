/** Tasks and networks other than forecasts with ClimaX, trained on several ranks as on one. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { size } from "../../src/engine/tensor.ts";
import { isState } from "../../src/model/network.ts";
import { alone, type World } from "../../src/parallel/world.ts";
import { FinetuneConfig, finetuneObjective } from "../../src/train/finetune.ts";
import { Learner } from "../../src/train/learner.ts";
import { type Run, trainRun } from "../../src/train/loop.ts";
import { averageStates, fromFirst } from "../../src/train/onemodel.ts";
import { fakeWorlds } from "../support/fakeworld.ts";
import { gpu } from "../support/gpu.ts";
import { farthest } from "../support/ranks.ts";
import { writeToySet } from "../support/toyset.ts";

let root: string;
let set: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-parallel-finetune-"));
  set = await writeToySet(join(root, "set"));
});
afterAll(() => rmSync(root, { recursive: true }));

interface Task {
  readonly task?: string;
  readonly data: Record<string, unknown>;
  readonly model: Record<string, unknown>;
}

const small = {
  patchSize: 2,
  embedDim: 16,
  depth: 1,
  decoderDepth: 1,
  heads: 2,
  dropout: 0.1,
  dropPath: 0.1,
};

const tasks: Record<string, Task> = {
  "a roll-out": { data: { leads: [12], rollout: 2 }, model: small },
  "a projection": {
    task: "projection",
    data: { history: 3, inputs: ["temperature_850"], outputs: ["2m_temperature"] },
    model: { embedDim: 16, depth: 1, heads: 2, dropout: 0.1, dropPath: 0.1, patchSize: 2 },
  },
  "a residual network": {
    data: { leads: [12] },
    model: { type: "resnet", hidden: 4, blocks: 1, dropout: 0.1 },
  },
};

/** One rank's run, with its part of so many batches a step. */
async function open({ task, data, model }: Task, output: string, batches: number, world: World) {
  const config = FinetuneConfig.parse({
    output,
    ...(task ? { task } : {}),
    data: { set, ...data },
    model,
    optimiser: { lr: 0.01, warmup: 2 },
    training: {
      ...{ batchSize: 4, microBatch: 2, maxSteps: 6, validateEvery: 3, validationBatches: 3 },
      accumulate: batches / world.size,
    },
  });
  const { optimiser, training } = config;
  const objective = await finetuneObjective(config, undefined, { command: "a test" }, world.localSize);
  const { train, validation, info, grid, close } = objective;
  const learner = new Learner(gpu, objective.model, grid, optimiser, {
    ...objective.learner,
    microBatch: training.microBatch,
    variables: info.inputs!,
  });
  const signal = new AbortController().signal;
  const run: Run = { learner, train, validation, world, optimiser, training, info, out: output, signal };
  return { learner, run, start: objective.start, close };
}

/** The losses of its steps. */
async function train(task: Task, output: string, batches: number, world: World): Promise<number[]> {
  const { learner, run, start, close } = await open(task, output, batches, world);
  try {
    // Rank 0's values are everybody's, whatever the others would have begun with.
    const own = world.rank === 0 ? start : () => Promise.reject(new Error("rank 0 reads for all"));
    await learner.load(fromFirst(world, learner, own));
    const losses: number[] = [];
    await trainRun({ ...run, onStep: ({ loss }) => losses.push(loss) });
    return losses;
  } finally {
    await close();
  }
}

test.for(Object.keys(tasks))("%s has the losses that it has on one rank", async (name) => {
  const task = tasks[name]!;
  const one = await train(task, join(root, `${name} on one`), 2, alone);
  const ranks = await Promise.all(
    fakeWorlds(2).map((world) => train(task, join(root, `${name} on two`), 2, world)),
  );
  expect(one).toHaveLength(6);
  for (const losses of ranks) expect(farthest(losses, one)).toBeLessThan(1e-5);
});

// That the loop does it shows above: ranks whose running moments differ have other weights, which is an error.
test("the running moments of batch normalisations become their mean over ranks, and nothing else does", async () => {
  const [one, two] = await Promise.all(
    fakeWorlds(2).map(async (world) => {
      const { learner, close } = await open(tasks["a residual network"]!, join(root, "unused"), 2, world);
      const before = (name: string) =>
        Float32Array.from(
          { length: size(learner.network.shapes.get(name)!) },
          (_, i) => (i + 1) * (world.rank + 1),
        );
      await learner.load(before);
      await averageStates(world, learner);
      const found = new Map<string, Float32Array>();
      for (const name of learner.names) found.set(name, await learner.parameter(name));
      await close();
      return { before, found };
    }),
  );
  expect([...one!.found.keys()].filter(isState).length).toBeGreaterThan(0);
  for (const [name, values] of one!.found) {
    const mean = one!.before(name).map((_, i) => 1.5 * (i + 1));
    expect(values).toEqual(isState(name) ? mean : one!.before(name));
    expect(two!.found.get(name)).toEqual(isState(name) ? mean : two!.before(name));
  }
});
