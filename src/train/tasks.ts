// What each task of the paper learns from: its samples, their grid, and how its fields are normalised.

import { knownName } from "../data/variables.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import { coarsener } from "../grid/coarsen.ts";
import type { Grid } from "../grid/grid.ts";
import { cropGrid, type PatchWindow, patchWindow, type Region } from "../grid/regions.ts";
import type { CheckpointInfo, Task } from "../model/checkpoint.ts";
import type { Statistics } from "../sets/batching.ts";
import { pooledStatistics } from "../sets/historysamples.ts";
import type { PreparedSet, SplitName } from "../sets/prepared.ts";
import type { Recipe } from "../sets/recipe.ts";
import type { SampleOptions } from "../sets/samples.ts";
import type { FinetuneConfig } from "./finetune.ts";
import { changing, predictable } from "./objective.ts";
import { outputsOf, type TaskName } from "./presets.ts";

type Scaled = CheckpointInfo["variables"];

/** What a run learns, as far as the data go. */
export interface Learning {
  readonly task: Task;
  readonly sets: readonly PreparedSet[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Of inputs and outputs, as they enter. */
  readonly variables: Scaled;
  /** Of outputs, where those are normalised otherwise. */
  readonly targets?: Scaled | undefined;
  readonly leads: SampleOptions["leads"];
  /** The set's whole grid. */
  readonly whole: Grid;
  /** What of it enters. */
  readonly grid: Grid;
  readonly region?: Region | undefined;
  readonly window?: PatchWindow | undefined;
  readonly history?: number | undefined;
  /** Of a roll-out. */
  readonly steps?: number | undefined;
  readonly notes: readonly string[];
}

type Data = FinetuneConfig["data"];

/** Which settings of `data` each task reads, beside set, inputs, outputs and how batches are made. */
const read: Readonly<Record<TaskName, readonly (keyof Data)[]>> = {
  global: ["leads", "rollout", "average", "fraction"],
  regional: ["leads", "average", "fraction"],
  s2s: ["leads", "average", "fraction"],
  projection: ["history"],
  downscaling: ["fine", "coarsen", "interpolate"],
};
const always: readonly (keyof Data)[] = ["set", "inputs", "outputs", "workers", "prefetch"];

/**
 * What a task learns from these sets.
 *
 * @param sets  those of data.set, then that of data.fine
 * @throws      ClimaxError "config" or "grid" for settings that the task does not read, lacks, or that do not fit
 */
export function learn(
  config: FinetuneConfig,
  sets: readonly PreparedSet[],
  region: Region | undefined,
  { patchSize }: { patchSize: number },
): Learning {
  const { task, data } = config;
  const strange = (Object.keys(data) as (keyof Data)[]).filter(
    (key) => data[key] !== undefined && !always.includes(key) && !read[task].includes(key),
  );
  if (strange.length > 0) {
    throw new ClimaxError(
      "config",
      `the task ${task} does not read ${strange.map((key) => `data.${key}`).join(", ")}`,
      `it reads ${[...always, ...read[task]].map((key) => `data.${key}`).join(", ")}`,
    );
  }
  if (task === "regional" && !region) {
    throw new ClimaxError(
      "config",
      "the task regional wants a region",
      "give --region NorthAmerica, or a box",
    );
  }
  if (region && task === "projection") {
    throw new ClimaxError("config", "the task projection is for the whole globe", "leave --region out");
  }
  if (task === "projection") return projection(config, sets);
  if (task === "downscaling") return downscaling(config, sets, region, patchSize);
  if (Array.isArray(data.set) && data.set.length > 1) {
    throw new ClimaxError(
      "config",
      `the task ${task} learns from one set, and ${data.set.length} were given`,
      "name one, or pretrain on several",
    );
  }
  return forecasting(config, sets[0]!, region, patchSize);
}

function forecasting(
  { data, task }: FinetuneConfig,
  set: PreparedSet,
  region: Region | undefined,
  patchSize: number,
): Learning {
  const { leads, average, rollout } = data;
  if (!leads) throw new ClimaxError("config", "no lead times were given", "give --data.leads 72, hours");
  if (task === "s2s" && average === undefined) {
    throw new ClimaxError("config", "the task s2s predicts means", "give --data.average 336, hours");
  }
  const inputs = chosen(set, data.inputs) ?? set.variables.map(({ name }) => name);
  const { outputs, notes } = outputsFor(task, set, data.outputs);
  if (rollout !== undefined) {
    if (average !== undefined) {
      throw new ClimaxError(
        "config",
        "data.rollout and data.average exclude each other: a mean is no state to go on from",
        "leave one of them out",
      );
    }
    const lost = inputs.filter((name) => changing(set).includes(name) && !outputs.includes(name));
    if (lost.length > 0) {
      throw new ClimaxError(
        "config",
        `a roll-out of ${rollout} steps predicts its own inputs, and ${lost.join(", ")} would not be predicted`,
        "add them to --data.outputs, or leave them out with --data.inputs",
      );
    }
  }
  const window = region && patchWindow(set.grid, region, patchSize);
  return {
    task: average === undefined ? { kind: "forecast" } : { kind: "mean", hours: average },
    sets: [set],
    inputs,
    outputs,
    variables: scaled(set, [...new Set([...inputs, ...outputs])]),
    leads,
    whole: set.grid,
    grid: window ? cropGrid(set.grid, window) : set.grid,
    region,
    window,
    steps: rollout,
    notes,
  };
}

function projection({ data }: FinetuneConfig, sets: readonly PreparedSet[]): Learning {
  const [set] = sets as [PreparedSet];
  const { history } = data;
  const inputs = chosen(set, data.inputs);
  if (!inputs || !history) {
    throw new ClimaxError(
      "config",
      "the task projection wants to be told what drives the climate, and how many steps of it enter",
      "give --data.inputs and --data.history",
    );
  }
  const { outputs, notes } = outputsFor("projection", set, data.outputs);
  return {
    task: { kind: "projection", history },
    sets,
    inputs,
    outputs,
    variables: scaled(set, [...new Set([...inputs, ...outputs])], pooledStatistics(sets)),
    leads: [0],
    whole: set.grid,
    grid: set.grid,
    history,
    notes,
  };
}

function downscaling(
  { data }: FinetuneConfig,
  sets: readonly PreparedSet[],
  region: Region | undefined,
  patchSize: number,
): Learning {
  const { fine: dir, coarsen, interpolate = "bilinear" } = data;
  if ((dir === undefined) === (coarsen === undefined)) {
    throw new ClimaxError(
      "config",
      dir === undefined
        ? "the task downscaling has no fine fields to learn"
        : "both data.fine and data.coarsen were given",
      "give --data.fine SET with the fine fields, or --data.coarsen 4 to make coarse fields from data.set",
    );
  }
  const [coarse, fine = coarse] = sets as [PreparedSet, PreparedSet?];
  const inputs = chosen(coarse, data.inputs) ?? coarse.variables.map(({ name }) => name);
  const { outputs, notes } = outputsFor("downscaling", fine, data.outputs);
  const window = region && patchWindow(fine.grid, region, patchSize);
  const from = coarsen === undefined ? coarse.grid : coarsener(fine.grid, coarsen).target;
  // Outputs that do not enter have no statistics as inputs: theirs stand for both.
  const rest = outputs.filter((name) => !inputs.includes(name));
  return {
    task: {
      kind: "downscaling",
      from: { lat: [...from.lat], lon: [...from.lon] },
      method: interpolate,
    },
    sets,
    inputs,
    outputs,
    variables: [...scaled(coarse, inputs), ...scaled(fine, rest)],
    targets: scaled(fine, outputs),
    leads: [0],
    whole: fine.grid,
    grid: window ? cropGrid(fine.grid, window) : fine.grid,
    region,
    window,
    notes,
  };
}

/** Variables asked for by any of their names, each once. Throws a `config` ClimaxError for one that the set does not have. */
function chosen(set: PreparedSet, asked: readonly string[] | undefined): string[] | undefined {
  const known = set.variables.map(({ name }) => name);
  const names = asked?.map((text) => {
    const name = knownName(text)?.name ?? text;
    return known.includes(name) ? name : unknownName(`variable of ${set.dir}`, text, known);
  });
  return names && [...new Set(names)];
}

/** What is predicted: what was asked for, or of what the task predicts what the set has, or all that changes but what drives it. */
function outputsFor(
  task: TaskName,
  set: PreparedSet,
  asked: readonly string[] | undefined,
): { outputs: string[]; notes: string[] } {
  const given = chosen(set, asked);
  if (given) return { outputs: given, notes: [] };
  const there = predictable(set);
  if (there.length === 0)
    throw new ClimaxError(
      "data",
      `${set.dir} has nothing to predict: ${set.variables.map(({ name }) => name).join(", ")}`,
      "prepare it with the files of what changes, or name outputs with --data.outputs",
    );
  const outputs = outputsOf[task].filter((name) => there.includes(name));
  const lacking = outputsOf[task].filter((name) => !there.includes(name));
  if (outputs.length === 0) {
    return {
      outputs: there,
      notes: [`${set.dir} has none of ${lacking.join(", ")}: it is ${there.join(", ")} that is predicted`],
    };
  }
  const notes =
    lacking.length > 0 ? [`of what the task ${task} predicts, ${set.dir} lacks ${lacking.join(", ")}`] : [];
  return { outputs, notes };
}

function scaled(set: PreparedSet, wanted: readonly string[], { mean, std }: Statistics = set): Scaled {
  const units = new Map(set.variables.map((variable) => [variable.name, variable.units]));
  return wanted.map((name) => ({
    name,
    units: units.get(name)!,
    mean: mean[name]!,
    std: std[name]!,
  }));
}

/** How the samples to train on, and to validate with, are made. */
export function recipesOf(
  { data, training }: FinetuneConfig,
  { task, sets, inputs, outputs, leads, window, history, steps }: Learning,
): { train: Recipe; val: Recipe | undefined } {
  const { batchSize, seed } = training;
  const common = { inputs, outputs, batchSize, seed, ...(window ? { window } : {}) };
  const recipe = (split: SplitName): Recipe => {
    if (task.kind === "projection") {
      return {
        ...{ kind: "history", sets: [...sets.keys()], split },
        options: { ...common, history: history! },
      };
    }
    if (task.kind === "downscaling") {
      return {
        ...{ kind: "pairs", split },
        coarse: data.coarsen === undefined ? 0 : { coarsen: data.coarsen },
        fine: sets.length - 1,
        options: { ...common, method: data.interpolate ?? "bilinear" },
      };
    }
    const options = {
      ...common,
      leads,
      everyLead: Array.isArray(leads),
      ...(split === "train" && data.fraction !== undefined ? { fraction: data.fraction } : {}),
      ...(task.kind === "mean" ? { average: task.hours } : {}),
      ...(steps ? { steps } : {}),
    };
    return { kind: "samples", set: 0, split, options };
  };
  const validated = sets.every((set) => set.splits.includes("val"));
  return { train: recipe("train"), val: validated ? recipe("val") : undefined };
}
