// climax pretrain: a model from nothing, on one or more prepared sets.
import { PretrainConfig, pretrainObjective } from "../train/pretrain.ts";
import { version } from "../version.ts";
import { command } from "./command.ts";
import { trainInTheOpen } from "./trainrun.ts";

export const pretrainCommand = command({
  name: "pretrain",
  summary: "train a model from nothing on prepared sets",
  description:
    "Trains ClimaX from nothing on one or more prepared sets, whose variables may differ: every variable that " +
    "changes in time is forecast, at lead times drawn anew for every sample, with a latitude-weighted mean squared " +
    "error. Ctrl-C and SIGTERM save a checkpoint that --resume takes up.",
  examples: [
    "climax pretrain --config pretrain.yaml",
    "climax pretrain --data.sources sets/mpi-esm,sets/taiesm --model.embed-dim 256 --model.heads 8 -o runs/small",
    "climax pretrain --config pretrain.yaml --resume",
  ],
  config: PretrainConfig,
  run: async (config, context) => {
    const objective = await pretrainObjective(config, { command: context.commandLine, climax: version() });
    try {
      await trainInTheOpen("pretrain", config, objective, context);
    } finally {
      await objective.close();
    }
  },
});
