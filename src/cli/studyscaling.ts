// climax study scaling: models of several widths on several parts of the data, and the power laws in their errors
// (paper, section 4.5).
import { join } from "node:path";
import { ClimaxError } from "../errors.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { networkOf } from "../model/network.ts";
import { fitPowerLaw, type PowerLaw, powerLawMethod } from "../scores/powerlaw.ts";
import { bestCheckpoint } from "../train/resume.ts";
import { flagsFor, type StudyConfig } from "./studyconfig.ts";
import { machineFlags, type Planner, type StudySet, scoreJobs } from "./studyjobs.ts";
import type { Cell, Finished } from "./studyruns.ts";

export interface ScalingPlan {
  readonly cells: readonly ScalingCell[];
  /** Hours. */
  readonly lead: number;
  readonly variables: readonly string[];
  /** The set that is finetuned on and scored. */
  readonly set: StudySet;
}

export interface ScalingCell extends Cell {
  readonly width: number;
  readonly fraction: number;
  /** Training states that the fraction leaves, of all sets it applies to. */
  readonly states: number;
}

/**
 * A model for each width and part of the data: pretrained on that part and finetuned for the lead on all of the set,
 * as in the paper, or without pretraining trained for the lead on that part.
 *
 * @throws ClimaxError "config" for settings that do not go together
 */
export function planScaling(
  planner: Planner,
  config: StudyConfig,
  sets: { readonly set: StudySet; readonly sources: readonly StudySet[] },
  variables: readonly string[],
): ScalingPlan {
  const { widths, fractions = [1], leads = [72], headWidth = 32, pretrain = true } = config;
  if (!widths) throw new ClimaxError("config", "no widths were given", "give --widths 32,64,128");
  if (leads.length > 1) {
    throw new ClimaxError("config", `found ${leads.length} leads, wanted one`, "give one lead: --leads 72h");
  }
  if (!pretrain && config.data.sources) {
    throw new ClimaxError(
      "config",
      "found --data.sources with --no-pretrain: nothing would be learnt from them",
      "leave one of them out",
    );
  }
  const [lead] = leads as [number];
  const ascending = (values: readonly number[]) => [...new Set(values)].sort((a, b) => a - b);
  const { set } = sets;
  const learnt = pretrain ? sets.sources : [set];
  const cells = ascending(widths).flatMap((width) =>
    ascending(fractions).map((fraction): ScalingCell => {
      const name = `w${width}-f${fraction}`;
      const folder = join(config.output, name);
      const network = flagsFor({
        model: { embedDim: width, heads: Math.max(1, Math.round(width / headWidth)), ...config.model },
      });
      const part = fraction < 1 ? ["--data.fraction", String(fraction)] : [];
      const pretrained = planner.job(
        "pretrain",
        [
          ...["--data.sources", sets.sources.map(({ dir }) => dir).join(","), ...part],
          ...flagsFor({ data: { leads: config.pretraining.leads } }),
          ...network,
          ...flagsFor({ optimiser: config.pretraining.optimiser, training: config.pretraining.training }),
          ...machineFlags(config),
        ],
        join(folder, "pretrain"),
      );
      const finetuned = planner.job(
        "finetune",
        [
          ...(pretrain ? ["--checkpoint", bestCheckpoint(pretrained.product)] : []),
          ...["--data.set", set.dir, "--data.leads", String(lead), "--data.outputs", variables.join(",")],
          ...(pretrain ? [] : [...part, ...network]),
          ...flagsFor({ optimiser: config.optimiser, training: config.training }),
          ...machineFlags(config),
        ],
        join(folder, "finetune"),
      );
      const checkpoint = bestCheckpoint(finetuned.product);
      const scores = scoreJobs(planner, config, set.dir, folder, {
        ...{ checkpoint, leads: [lead], variables },
        loss: true,
      });
      return {
        ...{ name, width, fraction },
        states: learnt.reduce((sum, { states }) => sum + Math.max(1, Math.round(fraction * states)), 0),
        jobs: [...(pretrain ? [pretrained] : []), finetuned, ...scores],
      };
    }),
  );
  return { cells, lead, variables, set };
}

/** Parameters of the model of a cell, and the states it learnt from. */
export async function scalingFacts({
  width,
  fraction,
  states,
  jobs,
}: ScalingCell): Promise<Record<string, number>> {
  const { product } = jobs.find(({ command }) => command === "finetune")!;
  const checkpoint = await openCheckpoint(bestCheckpoint(product));
  const { model } = checkpoint.info;
  await checkpoint.close();
  const parameters = [...networkOf(model).shapes.values()].reduce(
    (sum, shape) => sum + shape.reduce((a, b) => a * b, 1),
    0,
  );
  return { width, fraction, states, parameters };
}

/** What falls as models and data grow: the loss, or the RMSE of a variable. */
export interface Quantity {
  readonly name: string;
  readonly units: string;
  of(found: Finished): number | undefined;
}

/**
 * The loss of training, on the test split: mean over variables of the squared error in units of the variance over the
 * training period; and the RMSE of each variable as the paper defines it.
 */
export function quantitiesOf(
  { variables, set }: ScalingPlan,
  units: (variable: string) => string,
): Quantity[] {
  const rmse = (found: Finished, variable: string, definition: string) =>
    found.scores.find(
      (score) => score.system === "model" && score.variable === variable && score.definition === definition,
    )?.value ?? undefined;
  return [
    {
      name: "loss",
      units: "1",
      of: (found) => {
        const squares = variables.map(
          (name) => (rmse(found, name, "weatherbench1") ?? Number.NaN) / set.std[name]!,
        );
        const mean = squares.reduce((sum, value) => sum + value ** 2, 0) / variables.length;
        return Number.isFinite(mean) ? mean : undefined;
      },
    },
    ...variables.map((name) => ({
      name,
      units: units(name),
      of: (found: Finished) => rmse(found, name, "climax"),
    })),
  ];
}

export interface ScalingPoint {
  readonly width: number;
  readonly fraction: number;
  readonly parameters: number;
  readonly states: number;
  /** By the name of the quantity. */
  readonly values: Readonly<Record<string, number | undefined>>;
}

export function pointsOf(
  { cells }: ScalingPlan,
  done: Readonly<Record<string, Finished>>,
  quantities: readonly Quantity[],
): ScalingPoint[] {
  return cells.flatMap(({ name, width, fraction, states }) => {
    const found = done[name];
    if (!found) return [];
    const values = Object.fromEntries(quantities.map((quantity) => [quantity.name, quantity.of(found)]));
    return [{ width, fraction, states, parameters: found.facts.parameters!, values }];
  });
}

/** What the sizes of a law are, and what is the same at all of its points. */
export type Over = "parameters" | "states";

export interface ScalingFit extends PowerLaw {
  readonly quantity: string;
  readonly over: Over;
  /** The fraction, of laws over parameters, or the width, of laws over states. */
  readonly at: number;
  readonly method: string;
}

/** A law over parameters for each fraction, and over states for each width, wherever there are two sizes. */
export function fitsOf(
  points: readonly ScalingPoint[],
  quantities: readonly Quantity[],
  offset: boolean,
): ScalingFit[] {
  return (["parameters", "states"] as const).flatMap((over) => {
    const same = over === "parameters" ? "fraction" : "width";
    return [...new Set(points.map((point) => point[same]))].flatMap((at) =>
      quantities.flatMap(({ name }) => {
        const sizes = points.flatMap((point) => {
          const error = point.values[name];
          return point[same] === at && error !== undefined ? [{ size: point[over], error }] : [];
        });
        const different = new Set(sizes.map(({ size }) => size)).size;
        if (different < 2) return [];
        const withOffset = offset && different >= 4;
        const law = fitPowerLaw(sizes, withOffset);
        return [
          { quantity: name, over, at, ...law, method: powerLawMethod[withOffset ? "offset" : "plain"] },
        ];
      }),
    );
  });
}
