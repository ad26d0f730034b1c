// Pretraining: several sources with different variables, every lead time up to a week (paper, section 3.2).
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { describeGrid, sameGrid } from "../grid/grid.ts";
import { ModelConfig, modelFields } from "../model/config.ts";
import { networkOf } from "../model/network.ts";
import type { PreparedSet } from "../sets/prepared.ts";
import type { Recipe } from "../sets/recipe.ts";
import { fraction, loaderFields, lossFields, optimiserFields, runFields, trainingFields } from "./config.ts";
import { describeSet, type Objective, openSamples, openSets, predictable, sharesOf } from "./objective.ts";
import type { BatchVariables } from "./plan.ts";

const { variables: _variables, gridShape: _gridShape, region: _region, ...shapeFields } = modelFields;

export const leadRange = z
  .strictObject({
    min: z.number().positive().default(6).describe("shortest lead time, hours"),
    max: z.number().positive().default(168).describe("longest lead time, hours, inclusive"),
    step: z.number().positive().default(6).describe("hours between lead times"),
  })
  .prefault({});

export const PretrainConfig = z.strictObject({
  ...runFields,
  data: z
    .strictObject({
      sources: z.array(z.string()).min(1).describe("prepared sets, as climax prepare makes them"),
      weights: z
        .array(z.number().positive())
        .optional()
        .describe("how often each source is drawn from; by its size by default"),
      leads: leadRange,
      fraction,
      ...loaderFields,
    })
    .describe("what to learn from"),
  model: z.strictObject(shapeFields).prefault({}).describe("size of the network"),
  loss: lossFields,
  optimiser: optimiserFields,
  training: trainingFields,
});
export type PretrainConfig = z.output<typeof PretrainConfig>;

/**
 * Opens the sources and says what there is to learn. Variables are those of all sources in the order met; a batch
 * is of one source and has only its own. Every variable that changes in time, and does not drive from outside, is a target. The caller closes the sets.
 *
 * @param processes  of the run on this machine, which share its cores
 * @throws ClimaxError for sets that are missing, broken, or on different grids
 */
export async function pretrainObjective(
  config: PretrainConfig,
  provenance: Record<string, unknown>,
  processes = 1,
): Promise<Objective> {
  const { sources, weights, leads, fraction: part } = config.data;
  const sets = await openSets(sources);
  const [first] = sets as [PreparedSet, ...PreparedSet[]];
  for (const set of sets) {
    if (!sameGrid(set.grid, first.grid)) {
      throw new ClimaxError(
        "grid",
        `${set.dir} is on ${describeGrid(set.grid)}, ${first.dir} on ${describeGrid(first.grid)}`,
        "bring all sources to one grid with climax regrid before climax prepare",
      );
    }
  }
  if (weights && weights.length !== sources.length) {
    throw new ClimaxError(
      "config",
      `${weights.length} weights (${weights.join(", ")}) for ${sources.length} sources`,
      "give one positive weight for each source",
    );
  }
  const known = new Map(
    sets.toReversed().flatMap((set) => set.variables.map(({ name, units }) => [name, { set, units }])),
  );
  const names = [...new Set(sets.flatMap((set) => set.variables.map(({ name }) => name)))];
  const outputs = [...new Set(sets.flatMap(predictable))];
  const idle = sets.find((set) => predictable(set).length === 0);
  if (idle) {
    throw new ClimaxError(
      "data",
      `${idle.dir} has nothing to predict: ${idle.variables.map(({ name }) => name).join(", ")}`,
      "prepare it with the files of what changes, or leave it out",
    );
  }
  const model = checkedModel({
    ...config.model,
    variables: names,
    gridShape: [first.grid.lat.length, first.grid.lon.length],
  });
  const { batchSize, seed } = config.training;
  const variablesOf = (set: PreparedSet): BatchVariables => ({
    variables: set.variables.map(({ name }) => name),
    outputs: predictable(set),
  });
  const recipe = (split: "train" | "val"): Recipe | undefined => {
    const parts = [...sets.entries()]
      .filter(([, set]) => set.splits.includes(split))
      .map(([place, set]): Recipe => {
        const { variables: inputs, outputs } = variablesOf(set);
        const options = {
          ...{ inputs, outputs, leads, batchSize, seed },
          ...(split === "train" && part !== undefined ? { fraction: part } : {}),
        };
        return { kind: "samples", set: place, split, options };
      });
    if (parts.length < 2) return parts[0];
    return { kind: "mixture", parts, seed, ...(split === "train" && weights ? { weights } : {}) };
  };
  return {
    model,
    ...openSamples(sets, { train: recipe("train")!, val: recipe("val") }, { ...config.data, processes }),
    sets,
    grid: first.grid,
    learner: { shares: sharesOf(outputs, config.loss) },
    start: (name) =>
      networkOf(model)
        .initialise(seed, new Set([name]))
        .get(name)!,
    batches: sets.map(variablesOf),
    info: {
      format: "climax-checkpoint",
      version: 1,
      model,
      task: { kind: "forecast" },
      // Samples are normalised by their own source; a forecast by the first source that has the variable.
      variables: names.map((name) => {
        const { set, units } = known.get(name)!;
        return { name, units, mean: set.mean[name]!, std: set.std[name]! };
      }),
      outputs,
      grid: { lat: [...first.grid.lat], lon: [...first.grid.lon] },
      leads,
      synthetic: sets.some(({ manifest }) => manifest.synthetic),
      provenance: { ...provenance, stage: "pretrain", data: sets.map(describeSet), weights: weights ?? null },
    },
  };
}

/** @throws ClimaxError "config" for sizes that do not go together, or with the grid of the sets */
function checkedModel(fields: z.input<typeof ModelConfig>): ModelConfig {
  const { data, error } = ModelConfig.safeParse(fields);
  if (data) return data;
  throw new ClimaxError(
    "config",
    error.issues.map(({ path, message }) => `model.${path.join(".")}: ${message}`).join("; "),
    "heads divide embedDim, patchSize divides both sides of the grid, and embedDim is a multiple of 4",
    { cause: error },
  );
}
