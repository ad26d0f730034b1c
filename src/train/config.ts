// The settings that pretraining and finetuning share, field by field: each is a key of the YAML file and a flag.
import { z } from "zod";

export const optimiserFields = z
  .strictObject({
    lr: z.number().positive().default(5e-4).describe("learning rate at the end of the warm-up"),
    beta1: z.number().min(0).lt(1).default(0.9).describe("decay of the mean of the gradient"),
    beta2: z.number().min(0).lt(1).default(0.95).describe("decay of the mean of its square"),
    eps: z.number().positive().default(1e-8).describe("added to the root of that mean"),
    weightDecay: z
      .number()
      .nonnegative()
      .default(1e-5)
      .describe("decoupled weight decay; embeddings of variables and positions have none"),
    clip: z.number().nonnegative().default(0).describe("largest global norm of the gradient; 0: no clipping"),
    warmup: z
      .union([z.int().nonnegative(), z.string().regex(/^\d+(\.\d+)? epochs?$/)])
      .default(0)
      .describe('linear warm-up before the cosine: optimiser steps, or "5 epochs"'),
    endLr: z.number().nonnegative().default(1e-8).describe("learning rate at the end of the run"),
  })
  .prefault({})
  .describe("AdamW and its schedule");

export const trainingFields = z
  .strictObject({
    epochs: z.int().positive().default(100).describe("passes over the training data, at most"),
    maxSteps: z.int().positive().optional().describe("optimiser steps, at most, when that is sooner"),
    batchSize: z.int().positive().default(16).describe("samples of a batch"),
    microBatch: z
      .int()
      .positive()
      .optional()
      .describe(
        "samples that go through the model at once, batches being split; by default as many as fit the adapter, " +
          "a divisor of the batch size",
      ),
    accumulate: z
      .int()
      .positive()
      .default(1)
      .describe(
        "batches whose gradients add up to one optimiser step, on each rank where several train together",
      ),
    seed: z.int().min(0).max(0xffffffff).default(1).describe("of starting values, order, leads and dropout"),
    validateEvery: z
      .int()
      .positive()
      .optional()
      .describe("optimiser steps between validations; once an epoch by default"),
    validationBatches: z
      .int()
      .positive()
      .optional()
      .describe("batches of a validation, evenly spread; all by default"),
    ema: z
      .number()
      .min(0)
      .lt(1)
      .optional()
      .describe(
        "decay of a running mean of the weights, such as 0.999, which is then what is validated and saved (beyond " +
          "the paper: smooths the noise of the last steps)",
      ),
    patience: z
      .int()
      .positive()
      .optional()
      .describe("stop after this many validations in a row without a better loss"),
    logEvery: z.int().positive().default(10).describe("optimiser steps between lines of log.jsonl"),
  })
  .prefault({})
  .describe("the run");

export const fraction = z
  .number()
  .positive()
  .max(1)
  .optional()
  .describe("learn from no more than the first such part of the training period");

/** Of `data`: how batches are made, which changes nothing in them. */
export const loaderFields = {
  workers: z
    .int()
    .nonnegative()
    .optional()
    .describe(
      "threads that make batches; 0: the main thread does. By default none for batches under 1 MiB or on fewer than 4 " +
        "cores, else one, and two from 16 cores; climax bench data measures what they are worth",
    ),
  prefetch: z
    .int()
    .positive()
    .optional()
    .describe("batches made ahead of the one in use, each in memory; by default the workers and one more"),
};

export const lossFields = z
  .strictObject({
    pressureWeighted: z
      .boolean()
      .default(false)
      .describe(
        "let a field at p hPa count p / 1000 as much as one at the surface (beyond the paper, as Stormer: the air " +
          "near the ground is what is scored)",
      ),
  })
  .prefault({})
  .describe("what is minimised");

export const runFields = {
  output: z
    .string()
    .min(1)
    .meta({ short: "o" })
    .describe("folder of the run: checkpoints, settings.yaml, log.jsonl"),
  resume: z
    .union([z.boolean(), z.literal("auto")])
    .default(false)
    .describe(
      "go on from last.safetensors in --output, as if the run had never stopped; auto: begin where there is none, for " +
        "jobs that are requeued",
    ),
  mpi: z
    .string()
    .optional()
    .describe("MPI library, under mpirun or srun; found by itself unless given")
    .meta({ value: "LIB" }),
  adapter: z.string().optional().describe("part of the name of the adapter to use; see climax doctor"),
  precision: z
    .enum(["f32", "f16"])
    .default("f32")
    .describe("operands of matrix products: f16 is faster on GPUs; they add up in f32, and all else is f32"),
  recompute: z
    .union([z.boolean(), z.literal("hidden")])
    .default(false)
    .describe(
      "run each block again for its gradient instead of keeping its activations: less memory, a third more time, " +
        "the same numbers; hidden: make only the hidden layers of a transformer's perceptrons again: a third less for " +
        "activations, a tenth more time, the same numbers (in f16 to its rounding)",
    ),
  updateEarly: z
    .union([z.boolean(), z.literal("auto")])
    .default("auto")
    .describe(
      "let AdamW take each large parameter as soon as its gradient is complete, so that the gradients of the whole " +
        "model never exist at once: a quarter less memory for them and the optimiser, the same numbers (in f16 a " +
        "gradient that overflows skips its own element alone); goes with one rank, no clipping, no accumulation, and " +
        "batches that are one micro-batch; auto: where it goes",
    ),
  shardOptimiser: z
    .boolean()
    .default(false)
    .describe(
      "ZeRO stage 1: each rank keeps the optimiser's moments of its share of the parameters alone, takes the step of " +
        "those, and gets the values of the others from the other ranks: as much traffic, the same run to the last bits; " +
        "running means of --training.ema stay whole on each rank",
    ),
  allreduce: z
    .enum(["f32", "f16"])
    .default("f32")
    .describe(
      "gradients on their way between ranks: f16 is half the traffic, to 2^-11 of each number; they add up in f32",
    ),
  memory: z
    .number()
    .positive()
    .optional()
    .describe(
      "GiB of the adapter's memory that a micro-batch may be planned for; by default 8 on a GPU, which does not tell " +
        "what it has, and half of the free memory on a software adapter",
    ),
};

export type OptimiserSettings = z.output<typeof optimiserFields>;
export type LossSettings = z.output<typeof lossFields>;
export type TrainingSettings = z.output<typeof trainingFields>;

/** The settings of the whole run: a step of it is of the batches that all ranks together accumulate. */
export function overRanks<T extends Pick<TrainingSettings, "accumulate">>(training: T, ranks: number): T {
  return { ...training, accumulate: training.accumulate * ranks };
}
