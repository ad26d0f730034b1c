// climax finetune: from a checkpoint to chosen lead times and variables.
import { openCheckpoint } from "../model/checkpoint.ts";
import { FinetuneConfig, finetuneObjective } from "../train/finetune.ts";
import { command } from "./command.ts";
import { trainInTheOpen } from "./trainrun.ts";
import { version } from "./version.ts";

export const finetuneCommand = command({
  name: "finetune",
  summary: "train a checkpoint on for chosen lead times and variables",
  description:
    "Trains a checkpoint on, for chosen lead times and output variables of one prepared set, whose statistics then " +
    "normalise the model's fields. Ctrl-C and SIGTERM save a checkpoint that --resume takes up.",
  examples: [
    "climax finetune --checkpoint runs/pretrain/best.safetensors --data.set sets/era5 --data.leads 72 -o runs/72h",
    "climax finetune --config finetune.yaml --resume",
  ],
  config: FinetuneConfig,
  run: async (config, context) => {
    const checkpoint = await openCheckpoint(config.checkpoint);
    try {
      const provenance = { command: context.commandLine, climax: version() };
      const objective = await finetuneObjective(config, checkpoint, provenance);
      try {
        await trainInTheOpen("finetune", config, objective, (name) => checkpoint.parameter(name), context);
      } finally {
        for (const set of objective.sets) await set.close();
      }
    } finally {
      await checkpoint.close();
    }
  },
});
