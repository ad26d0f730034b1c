// Our side of a model's measurement: the training step and the forward pass.

import { type Gpu, throwFault } from "../../src/engine/device.ts";
import { Random } from "../../src/engine/random.ts";
import { done, free, scope, size, type Tensor, tensor } from "../../src/engine/tensor.ts";
import { makeGrid } from "../../src/grid/grid.ts";
import { forward, type Recompute } from "../../src/model/climax.ts";
import { ModelConfig } from "../../src/model/config.ts";
import { initialise, parameterShapes } from "../../src/model/parameters.ts";
import type { Batch } from "../../src/sets/samples.ts";
import { optimiserFields } from "../../src/train/config.ts";
import { Learner } from "../../src/train/learner.ts";
import type { ModelSpec } from "./twin.ts";

/** Something to time: `call` records and submits it, `done` resolves when the device has finished. */
export interface Timed {
  call(): void;
  done(): Promise<void>;
}

/** Hours; the twin looks as far. */
const LEAD = 72;

/** How a model is trained. */
export interface Way {
  /** What is not kept for the backward pass. */
  readonly recompute: Recompute;
  /** Parameters are updated as their gradients come. */
  readonly early: boolean;
}

/** As runs train unless told otherwise, where batches go through whole. */
export const DEFAULT: Way = { recompute: false, early: true };

/** How a user asks for it. */
export function flagsOf({ recompute, early }: Way): string {
  const flags = [
    ...(recompute === false ? [] : [recompute === true ? "--recompute" : `--recompute ${recompute}`]),
    ...(early ? [] : ["--no-update-early"]),
  ];
  return flags.map((flag) => `, ${flag}`).join("");
}

/** Forward with dropout, backward and AdamW, as a training run does them: the batch is uploaded, nothing is read. */
export async function trainingStep(gpu: Gpu, spec: ModelSpec, way: Way = DEFAULT): Promise<Timed> {
  const config = configOf(spec);
  const learner = new Learner(gpu, config, gridOf(spec), optimiserFields.parse({}), way);
  await learner.load((name) => initialise(config, 1, new Set([name])).get(name)!);
  const batch = batchOf(spec, config);
  let t = 0;
  return {
    call: () => {
      t++;
      if (learner.early) {
        for (const made of Object.values(learner.stepEarly(batch, new Random(1, t), 5e-4, t))) free(made);
        return;
      }
      free(learner.accumulate(batch, 1, new Random(1, t)));
      free(learner.step(5e-4, t));
    },
    done: () => finished(gpu),
  };
}

/** The forward pass without dropout. */
export function forwardPass(gpu: Gpu, spec: ModelSpec): Timed {
  const config = configOf(spec);
  const parameters = new Map<string, Tensor>();
  for (const [name, shape] of parameterShapes(config)) {
    parameters.set(name, tensor(gpu, shape, initialise(config, 1, new Set([name])).get(name)!));
  }
  const { batch: B, height, width } = spec;
  const ids = [...config.variables.keys()];
  const shape = [B, ids.length, height, width];
  const input = {
    x: tensor(gpu, shape, noise(size(shape))),
    variables: ids,
    leadHours: new Float32Array(B).fill(LEAD),
    outputs: ids,
  };
  return {
    call: () => free(scope(gpu, () => forward(parameters, config, input))),
    done: () => finished(gpu),
  };
}

/** Resolves when the device has done all that was recorded. */
export async function finished(gpu: Gpu): Promise<void> {
  await done(gpu);
  throwFault(gpu);
}

/** Numbers in [-1, 1) that look random: products of zeros are no measure. */
export function noise(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => ((i * 7919) % 2003) / 1001.5 - 1);
}

function configOf({ variables, height, width, patch, dim, depth, heads }: ModelSpec): ModelConfig {
  return ModelConfig.parse({
    variables: Array.from({ length: variables }, (_, v) => `variable_${v}`),
    gridShape: [height, width],
    patchSize: patch,
    embedDim: dim,
    depth,
    heads,
  });
}

function gridOf({ height, width }: ModelSpec) {
  return makeGrid(
    Float64Array.from({ length: height }, (_, i) => -90 + (180 * (i + 0.5)) / height),
    Float64Array.from({ length: width }, (_, i) => (360 * i) / width),
  );
}

function batchOf({ batch, height, width }: ModelSpec, { variables }: ModelConfig): Batch {
  const count = batch * variables.length * height * width;
  return {
    variables,
    outputs: variables,
    x: noise(count),
    y: noise(count),
    leadHours: new Float32Array(batch).fill(LEAD),
    times: [],
    size: batch,
  };
}
