// climax finetune: a task of the paper, from a checkpoint or from nothing.
import { openCheckpoint } from "../model/checkpoint.ts";
import { FinetuneConfig, finetuneObjective } from "../train/finetune.ts";
import { presetOf, type TaskName, taskNames } from "../train/presets.ts";
import { version } from "../version.ts";
import { command } from "./command.ts";
import { trainInTheOpen } from "./trainrun.ts";

export const finetuneCommand = command({
  name: "finetune",
  summary: "train for a task: forecasts, a region, two-week means, projection, downscaling",
  description:
    "Trains a checkpoint on for one task of the paper, or a network from nothing: ClimaX, or with --model a baseline. " +
    "The settings are the paper's for that task (climax config TASK shows them); flags and --config win over them. " +
    "The statistics of the set normalise the fields. Ctrl-C and SIGTERM save a checkpoint that --resume takes up.",
  examples: [
    "climax finetune --task global --checkpoint runs/pretrain/best.safetensors --data.set sets/era5 -o runs/global",
    "climax finetune --task regional --region NorthAmerica --checkpoint best.safetensors --data.set sets/era5 -o runs/na",
    "climax finetune --task downscaling --data.set sets/mpi-5.6 --data.fine sets/era5-1.4 --checkpoint best.safetensors -o runs/fine",
    "climax finetune --model resnet --data.set sets/era5 --data.leads 72 -o runs/resnet",
  ],
  config: FinetuneConfig,
  preset: ({ task = "global", checkpoint }) =>
    taskNames.includes(task as TaskName) ? presetOf(task as TaskName, checkpoint !== undefined) : {},
  run: async (config, context) => {
    const checkpoint = config.checkpoint === undefined ? undefined : await openCheckpoint(config.checkpoint);
    try {
      const provenance = { command: context.commandLine, climax: version() };
      // What is fitted at once takes every sample, none left over from whole batches.
      const single = config.model.type === "pattern-scaling";
      const asked = single ? { ...config, training: { ...config.training, batchSize: 1 } } : config;
      const objective = await finetuneObjective(asked, checkpoint, provenance);
      try {
        await trainInTheOpen("finetune", config, objective, context);
      } finally {
        await objective.close();
      }
    } finally {
      await checkpoint?.close();
    }
  },
});
