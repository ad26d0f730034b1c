// climax pretrain: a model from nothing, on one or more prepared sets.
import { PretrainConfig, pretrainObjective } from "../train/pretrain.ts";
import { byAll } from "../train/together.ts";
import { version } from "../version.ts";
import { command } from "./command.ts";
import { inTrainingRanks } from "./trainranks.ts";
import { trainInTheOpen } from "./trainrun.ts";

export const pretrainCommand = command({
  name: "pretrain",
  summary: "train a model from nothing on prepared sets",
  description:
    "Trains ClimaX from nothing on one or more prepared sets, whose variables may differ: every variable that " +
    "changes in time is forecast, at lead times drawn anew for every sample, with a latitude-weighted mean squared " +
    "error. Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint that --resume takes up. Under mpirun or srun the ranks train " +
    "together, each with --training.accumulate batches a step.",
  examples: [
    "climax pretrain --config pretrain.yaml",
    "climax pretrain --data.sources sets/mpi-esm,sets/taiesm --model.embed-dim 256 --model.heads 8 -o runs/small",
    "climax pretrain --config pretrain.yaml --resume",
    "mpirun -n 4 climax pretrain --config pretrain.yaml --resume auto",
  ],
  config: PretrainConfig,
  together: true,
  run: (config, context) =>
    inTrainingRanks(config.mpi, context, async (world, own) => {
      const provenance = { command: context.commandLine, climax: version() };
      const objective = await byAll(world, () => pretrainObjective(config, provenance, world.localSize));
      try {
        await trainInTheOpen("pretrain", config, objective, own, world);
      } finally {
        await objective.close();
      }
    }),
});
