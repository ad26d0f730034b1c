// Finetuning: from a checkpoint, to chosen lead times and output variables on one set (paper, section 3.3).
import { z } from "zod";
import { samples } from "../data/samples.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, makeGrid, sameGrid } from "../grid/grid.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import { ModelConfig, modelFields } from "../model/config.ts";
import { optimiserFields, runFields, trainingFields } from "./config.ts";
import { changing, describeSet, type Objective, openSets } from "./pretrain.ts";

export const FinetuneConfig = z.strictObject({
  ...runFields,
  checkpoint: z.string().describe("where to start: a .safetensors of climax pretrain or finetune"),
  data: z
    .strictObject({
      set: z.string().describe("a prepared set, as climax prepare makes it"),
      inputs: z
        .array(z.string())
        .min(1)
        .optional()
        .describe("variables that enter; all of the set by default"),
      outputs: z
        .array(z.string())
        .min(1)
        .optional()
        .describe("variables to forecast; all that change in time by default"),
      leads: z.array(z.number().positive()).min(1).describe("lead times to forecast, hours"),
    })
    .describe("what to learn from"),
  model: z
    .strictObject({
      dropPath: modelFields.dropPath.unwrap().optional().describe("as the checkpoint unless given"),
      dropout: modelFields.dropout.unwrap().optional().describe("as the checkpoint unless given"),
    })
    .prefault({})
    .describe("noise of the network"),
  optimiser: optimiserFields,
  training: trainingFields,
});
export type FinetuneConfig = z.output<typeof FinetuneConfig>;

/**
 * Opens the set and says what there is to learn, starting from `checkpoint`. The caller closes the set.
 *
 * @throws ClimaxError for variables or a grid that the checkpoint does not have
 */
export async function finetuneObjective(
  config: FinetuneConfig,
  checkpoint: Checkpoint,
  provenance: Record<string, unknown>,
): Promise<Objective> {
  const sets = await openSets([config.data.set]);
  const set = sets[0]!;
  const { info } = checkpoint;
  const { leads } = config.data;
  const inputs = [...new Set(config.data.inputs ?? set.variables.map(({ name }) => name))];
  const outputs = [...new Set(config.data.outputs ?? changing(set))];
  const strange = [...new Set([...inputs, ...outputs])].filter(
    (name) => !info.model.variables.includes(name),
  );
  if (strange.length > 0) {
    throw new ClimaxError(
      "checkpoint",
      `${checkpoint.path} was not trained with ${strange.join(", ")}; it has ${info.model.variables.join(", ")}`,
      "leave them out with --data.inputs and --data.outputs, or pretrain with a source that has them",
    );
  }
  const trained = makeGrid(info.grid.lat, info.grid.lon);
  if (!sameGrid(trained, set.grid)) {
    throw new ClimaxError(
      "grid",
      `${checkpoint.path} is for ${describeGrid(trained)}, ${set.dir} is on ${describeGrid(set.grid)}`,
      "bring the data to the checkpoint's grid with climax regrid, then climax prepare",
    );
  }
  const { dropPath = info.model.dropPath, dropout = info.model.dropout } = config.model;
  const model = ModelConfig.parse({ ...info.model, dropPath, dropout });
  const { batchSize, seed } = config.training;
  const options = { inputs, outputs, leads, batchSize, seed, everyLead: true };
  const names = [...new Set([...inputs, ...outputs])];
  const units = new Map(set.variables.map((variable) => [variable.name, variable.units]));
  return {
    model,
    train: samples(set, "train", options),
    validation: set.splits.includes("val") ? samples(set, "val", options) : undefined,
    sets,
    batches: [{ variables: inputs, outputs }],
    info: {
      format: "climax-checkpoint",
      version: 1,
      model,
      task: { kind: "forecast" },
      variables: names.map((name) => ({
        name,
        units: units.get(name)!,
        mean: set.mean[name]!,
        std: set.std[name]!,
      })),
      inputs,
      outputs,
      grid: { lat: [...set.grid.lat], lon: [...set.grid.lon] },
      leads,
      synthetic: set.manifest.synthetic || info.synthetic,
      provenance: {
        ...provenance,
        stage: "finetune",
        data: [describeSet(set)],
        from: { path: checkpoint.path, sha256: await checkpoint.sha256(), provenance: info.provenance },
      },
    },
  };
}
