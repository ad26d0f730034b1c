// climax finetune: a task of the paper, from a checkpoint or from nothing.
import { openCheckpoint } from "../model/checkpoint.ts";
import type { World } from "../parallel/world.ts";
import { FinetuneConfig, finetuneObjective } from "../train/finetune.ts";
import { presetOf, type TaskName, taskNames } from "../train/presets.ts";
import { byAll } from "../train/together.ts";
import { version } from "../version.ts";
import { type Context, command } from "./command.ts";
import { inTrainingRanks } from "./trainranks.ts";
import { trainInTheOpen } from "./trainrun.ts";

export const finetuneCommand = command({
  name: "finetune",
  summary: "train for a task: forecasts, a region, two-week means, projection, downscaling",
  description:
    "Trains a checkpoint on for one task of the paper, or a network from nothing: ClimaX, or with --model a baseline. " +
    "The settings are the paper's for that task (climax config TASK shows them); flags and --config win over them. " +
    "The statistics of the set normalise the fields. Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint that " +
    "--resume takes up. Under mpirun or srun the ranks train together, each with --training.accumulate batches a step.",
  examples: [
    "climax finetune --task global --checkpoint runs/pretrain/best.safetensors --data.set sets/era5 -o runs/global",
    "climax finetune --task regional --region NorthAmerica --checkpoint best.safetensors --data.set sets/era5 -o runs/na",
    "climax finetune --task downscaling --data.set sets/mpi-5.6 --data.fine sets/era5-1.4 --checkpoint best.safetensors -o runs/fine",
    "climax finetune --model resnet --data.set sets/era5 --data.leads 72 -o runs/resnet",
  ],
  config: FinetuneConfig,
  together: true,
  preset: ({ task = "global", checkpoint }) =>
    taskNames.includes(task as TaskName) ? presetOf(task as TaskName, checkpoint !== undefined) : {},
  run: (config, context) =>
    inTrainingRanks(config.mpi, context, async (world, own) => {
      const { checkpoint, objective } = await byAll(world, () => open(config, context, world));
      try {
        await trainInTheOpen("finetune", config, objective, own, world);
      } finally {
        await objective.close();
        await checkpoint?.close();
      }
    }),
});

/** What is to be learnt and what from; closes the checkpoint again when that cannot be. */
async function open(config: FinetuneConfig, { commandLine }: Context, { localSize }: World) {
  const checkpoint = config.checkpoint === undefined ? undefined : await openCheckpoint(config.checkpoint);
  try {
    const provenance = { command: commandLine, climax: version() };
    // What is fitted at once takes every sample, none left over from whole batches.
    const single = config.model.type === "pattern-scaling";
    const asked = single ? { ...config, training: { ...config.training, batchSize: 1 } } : config;
    return { checkpoint, objective: await finetuneObjective(asked, checkpoint, provenance, localSize) };
  } catch (error) {
    await checkpoint?.close();
    throw error;
  }
}
