// Finetuning: one task of the paper (section 4) on chosen data, from a checkpoint or from nothing.
import { z } from "zod";
import { ClimaxError } from "../errors.ts";
import { regionNamed } from "../grid/regions.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import { frozenNames } from "../model/freeze.ts";
import { networkOf } from "../model/network.ts";
import { fraction, loaderFields, lossFields, optimiserFields, runFields, trainingFields } from "./config.ts";
import { modelSettings } from "./makenetwork.ts";
import { describeSet, type Objective, openSamples, openSets, sharesOf } from "./objective.ts";
import { taskNames } from "./presets.ts";
import { startingPoint } from "./start.ts";
import { type Learning, learn, recipesOf } from "./tasks.ts";

const leadTimes = z.union([
  z.array(z.number().positive()).min(1),
  z.strictObject({
    min: z.number().positive().describe("of a range: the shortest, hours"),
    max: z.number().positive().describe("of a range: the longest, hours, inclusive"),
    step: z.number().positive().describe("of a range: hours between them"),
  }),
]);

export const FinetuneConfig = z.strictObject({
  ...runFields,
  task: z.enum(taskNames).default("global").describe("what to learn; its settings are those of the paper"),
  checkpoint: z
    .string()
    .optional()
    .describe("where to start: a .safetensors of climax pretrain, finetune or convert; from nothing without"),
  region: z
    .string()
    .optional()
    .describe(
      "part of the globe that enters and is predicted: NorthAmerica, wb2-europe, or a box such as 15..65,220..300",
    ),
  freeze: z
    .array(z.string())
    .optional()
    .describe("parts that stay as they are: attention, mlp, norms, embedding, position, lead, head, encoder"),
  data: z
    .strictObject({
      set: z
        .union([z.string(), z.array(z.string()).min(1)])
        .describe("a prepared set, as climax prepare makes it; for projection one for each experiment"),
      fine: z
        .string()
        .optional()
        .describe("downscaling: the prepared set of the fine fields, where data.set has the coarse ones"),
      coarsen: z
        .int()
        .min(2)
        .optional()
        .describe(
          "downscaling: make the coarse fields from those of data.set, as means of so many cells a side",
        ),
      interpolate: z
        .enum(["nearest", "bilinear", "bicubic"])
        .optional()
        .describe("downscaling: how coarse fields are brought to the fine grid before they enter"),
      inputs: z
        .array(z.string())
        .min(1)
        .optional()
        .describe("variables that enter; all of the set by default"),
      outputs: z.array(z.string()).min(1).optional().describe("variables to predict"),
      leads: leadTimes
        .optional()
        .describe("lead times, hours: a list, each as often as the others, or a range to draw from"),
      average: z
        .number()
        .positive()
        .optional()
        .describe("predict means over so many hours that begin at the lead time"),
      rollout: z
        .int()
        .min(2)
        .optional()
        .describe(
          "train through so many steps, each starting from the forecast of the one before (beyond the paper: for " +
            "forecast --rollout); every input that changes in time must be an output",
        ),
      fraction,
      history: z.int().positive().optional().describe("projection: steps of the inputs that enter"),
      ...loaderFields,
    })
    .describe("what to learn from"),
  model: modelSettings,
  loss: lossFields,
  optimiser: optimiserFields,
  training: trainingFields,
});
export type FinetuneConfig = z.output<typeof FinetuneConfig>;

/**
 * Opens the sets and says what there is to learn, from `checkpoint` or from nothing. The caller closes the sets.
 *
 * @param processes  of the run on this machine, which share its cores
 * @throws ClimaxError for data that the task, the network or the checkpoint cannot take
 */
export async function finetuneObjective(
  config: FinetuneConfig,
  checkpoint: Checkpoint | undefined,
  provenance: Record<string, unknown>,
  processes = 1,
): Promise<Objective> {
  const dirs = [config.data.set, config.data.fine ?? []].flat();
  const sets = await openSets(dirs);
  try {
    const learning = learn(
      config,
      sets,
      config.region === undefined ? undefined : regionNamed(config.region),
      {
        patchSize: patchSizeOf(config, checkpoint),
      },
    );
    return await objectiveOf(config, learning, checkpoint, provenance, processes);
  } catch (error) {
    for (const set of sets) await set.close();
    throw error;
  }
}

/** A region is made of patches; networks without them take it point by point. */
function patchSizeOf({ model }: FinetuneConfig, checkpoint: Checkpoint | undefined): number {
  const own = checkpoint?.info.model;
  if (own && "patchSize" in own) return own.patchSize;
  const { type = "climax", patchSize = 2 } = model as { type?: string; patchSize?: number };
  return type === "climax" || type === "vit" ? patchSize : 1;
}

async function objectiveOf(
  config: FinetuneConfig,
  learning: Learning,
  checkpoint: Checkpoint | undefined,
  provenance: Record<string, unknown>,
  processes: number,
): Promise<Objective> {
  const { inputs, outputs, task, leads, history, steps, grid, sets } = learning;
  const { model, start, notes } = startingPoint(config, learning, checkpoint);
  const network = networkOf(model);
  const several = "min" in leads || leads.length > 1;
  if (!network.knowsLead && several) {
    throw new ClimaxError(
      "config",
      `a ${model.type} network is not told the lead time, and ${JSON.stringify(leads)} were asked for`,
      "train one for each lead: --data.leads 72",
    );
  }
  return {
    model,
    ...openSamples(sets, recipesOf(config, learning), { ...config.data, processes }),
    sets,
    grid,
    learner: {
      frozen: frozenNames(network.shapes.keys(), config.freeze ?? []),
      shares: sharesOf(outputs, config.loss),
      byLatitude: task.kind !== "projection", // the reference's projection minimises the plain error
    },
    start,
    batches: [
      {
        ...{ variables: inputs, outputs },
        ...(history ? { history } : {}),
        ...(steps ? { steps } : {}),
      },
    ],
    notes: [...learning.notes, ...notes],
    info: {
      format: "climax-checkpoint",
      version: 1,
      model,
      task,
      variables: learning.variables,
      ...(learning.targets ? { targets: learning.targets } : {}),
      inputs: [...inputs],
      outputs: [...outputs],
      grid: { lat: [...grid.lat], lon: [...grid.lon] },
      ...(learning.region ? { region: learning.region.name } : {}),
      leads: "min" in leads ? leads : [...leads],
      synthetic: sets.some(({ manifest }) => manifest.synthetic) || (checkpoint?.info.synthetic ?? false),
      provenance: {
        ...provenance,
        stage: "finetune",
        task: config.task,
        freeze: config.freeze ?? [],
        data: sets.map(describeSet),
        from: checkpoint
          ? {
              path: checkpoint.path,
              sha256: await checkpoint.sha256(),
              provenance: checkpoint.info.provenance,
            }
          : null,
      },
    },
  };
}
