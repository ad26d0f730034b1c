// What a run will take of the adapter's memory, learnt from a rehearsal on a device that does nothing.

import type { Gpu } from "../engine/device.ts";
import { dryGpu } from "../engine/dry.ts";
import { type Kernel, kernelsOf } from "../engine/kernel.ts";
import { Random } from "../engine/random.ts";
import { free, type Tensor } from "../engine/tensor.ts";
import type { Grid } from "../grid/grid.ts";
import { type NetworkConfig, networkOf } from "../model/network.ts";
import { alone } from "../parallel/world.ts";
import type { Batch } from "../sets/samples.ts";
import type { OptimiserSettings } from "./config.ts";
import { Learner, type LearnerOptions } from "./learner.ts";
import { type Exchange, gradientSumOf } from "./reduce.ts";

/** What enters and leaves in one batch. */
export interface BatchVariables extends Pick<Batch, "variables" | "outputs" | "history"> {
  /** Steps of a roll-out; 1 when left out. */
  readonly steps?: number;
}

export interface Rehearsal {
  readonly config: NetworkConfig;
  readonly grid: Grid;
  readonly optimiser: OptimiserSettings;
  readonly options: Omit<LearnerOptions, "microBatch">;
  readonly batchSize: number;
  /** One of each kind of batch there is. */
  readonly batches: readonly BatchVariables[];
  /** Samples in the last batch of a validation, when it is not full. */
  readonly last?: number | undefined;
  /** Where several ranks train together: which of them this is, and how they exchange gradients. */
  readonly ranks?: (Exchange & { readonly rank: number; readonly size: number }) | undefined;
}

/** In bytes. */
export interface MemoryPlan {
  readonly microBatch: number;
  /** Whether parameters are updated as their gradients come; not in bytes, as the kernels below. */
  readonly early: boolean;
  /** Parameters, with their gradients and running means where those are kept. */
  readonly parameters: number;
  /** The optimiser's moments that this rank keeps, and those of all that is trained. */
  readonly optimiser: number;
  readonly optimiserOfAll: number;
  /** The rest at the moment of greatest need: activations, their gradients, a micro-batch, a bucket of halves. */
  readonly activations: number;
  /** All that the pool has made by then. */
  readonly peak: number;
  /** Beside it, in the host's memory: gradients on their way between ranks. */
  readonly host: number;
  readonly largestBuffer: number;
  readonly largestBinding: number;
  /** What was rehearsed with. */
  readonly kernels: readonly Kernel[];
}

/** Rehearses two steps and a validation of each kind of batch: from then on a run borrows what it gave back. */
export function planMemory(gpu: Gpu, rehearsal: Rehearsal, microBatch: number): MemoryPlan {
  const { config, grid, optimiser, options, batchSize, ranks } = rehearsal;
  const dry = dryGpu(gpu);
  const { pool } = dry.gpu;
  const share = ranks?.shares ? ranks : undefined;
  const learner = new Learner(dry.gpu, config, grid, optimiser, { ...options, microBatch, share });
  const state = pool.bytes.made;
  const sum = ranks && gradientSumOf(learner, { ...alone, ...ranks }, ranks);
  // The last micro-batch of a batch may be smaller than the others.
  const size = Math.min(batchSize, microBatch + (batchSize % microBatch));
  const batches = rehearsal.batches.map((names) => emptyBatch(names, size, config));
  for (let step = 0; step < 2; step++) {
    for (const batch of batches) {
      for (const t of rehearse(learner, batch, step)) free(t);
      for (const { loss, losses } of learner.score(batch)) for (const t of [loss, losses]) free(t);
    }
  }
  // Buffers of another size are made beside those of whole batches, which wait for the next step.
  for (const names of rehearsal.last ? rehearsal.batches : []) {
    const batch = emptyBatch(names, rehearsal.last!, config);
    for (const { loss, losses } of learner.score(batch)) for (const t of [loss, losses]) free(t);
  }
  const { made, largest } = pool.bytes;
  const { own, all } = learner.optimiserBytes;
  return {
    microBatch,
    early: learner.early,
    parameters: state - own,
    optimiser: own,
    optimiserOfAll: all,
    activations: made - state,
    peak: made,
    host: sum?.bytes ?? 0,
    largestBuffer: largest,
    largestBinding: dry.largestBinding(),
    kernels: kernelsOf(dry.gpu),
  };
}

function rehearse(learner: Learner, batch: Batch, step: number): Tensor[] {
  const random = new Random(0, step);
  if (learner.early) return Object.values(learner.stepEarly(batch, random, 0, step + 1));
  const loss = learner.accumulate(batch, 1, random);
  const state = learner.step(0, step + 1, learner.share && 0);
  if (learner.share) learner.follow(step + 1);
  return [loss, state];
}

function emptyBatch(kind: BatchVariables, size: number, config: NetworkConfig): Batch {
  const { variables, outputs, history, steps = 1 } = kind;
  const [h, w] = networkOf(config).fieldShape;
  const fields = (names: readonly string[]) => new Float32Array(size * names.length * h * w);
  return {
    variables,
    outputs,
    x: fields(Array.from({ length: history ?? 1 }, () => variables).flat()),
    y: fields(outputs),
    ...(history ? { history } : {}),
    ...(steps > 1 ? { later: Array.from({ length: steps - 1 }, () => fields(outputs)) } : {}),
    leadHours: new Float32Array(size),
    times: [],
    size,
  };
}
