// climax study ablation: the ways to make forecasts for several leads and variables (paper, section 4.6).
import { join } from "node:path";
import { formatLead } from "../data/leadtime.ts";
import { ClimaxError } from "../errors.ts";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import { settingsOf } from "../model/networkfields.ts";
import { bestCheckpoint } from "../train/resume.ts";
import { type AblationRow, ablationRows, flagsFor, type StudyConfig } from "./studyconfig.ts";
import { machineFlags, type Planner, type StudySet, scoreJobs } from "./studyjobs.ts";
import type { Cell, Finished, Job } from "./studyruns.ts";

/** What each row is, for the reader of the table. */
export const rowMeanings: Readonly<Record<AblationRow, string>> = {
  direct: "a model for each lead; all variables in, the scored ones out",
  continuous: "one model for every lead",
  iterative: "one model for a short step, rolled out; all variables in and out",
  "all-out": "a model for each lead; all variables in and out",
  "per-variable": "a model for each lead and variable",
  scratch: "as direct, not pretrained",
  frozen: "as direct, attention and MLP as pretrained",
};

export interface AblationPlan {
  readonly cells: readonly (Cell & { readonly name: AblationRow })[];
  /** Hours, ascending. */
  readonly leads: readonly number[];
  readonly variables: readonly string[];
}

/**
 * The rows of the table, each with the models that it takes. A model that two rows have in common is trained once.
 *
 * @param pretrained  what the checkpoint says of itself
 * @throws            ClimaxError "config" for a step that does not lead to every lead
 */
export function planAblation(
  planner: Planner,
  config: StudyConfig,
  set: StudySet,
  variables: readonly string[],
  pretrained: CheckpointInfo,
): AblationPlan {
  const leads = [...new Set(config.leads ?? [24, 72])].sort((a, b) => a - b);
  const step = config.step ?? leads[0]!;
  const off = leads.filter((lead) => lead % step !== 0);
  const rows = ablationRows.filter((row) => (config.rows ?? ablationRows).includes(row));
  if (rows.includes("iterative") && off.length > 0) {
    throw new ClimaxError(
      "config",
      `steps of ${formatLead(step)} do not lead to ${off.map(formatLead).join(", ")}`,
      "give --step with a divisor of every lead, or leave iterative out of --rows",
    );
  }
  const train = (folder: string, options: Partial<Trained>): Job =>
    trainJob(planner, config, set, folder, options);
  const each = (row: AblationRow, options: Partial<Trained>, scored = variables, under = ""): Job[] =>
    leads.flatMap((lead) => {
      const folder = join(config.output, row, under, formatLead(lead));
      const model = train(folder, { outputs: scored, ...options, leads: [lead] });
      const checkpoint = bestCheckpoint(model.product);
      return [
        model,
        ...scoreJobs(planner, config, set.dir, folder, { checkpoint, leads: [lead], variables: scored }),
      ];
    });
  const once = (row: AblationRow, options: Partial<Trained>, rollout?: number): Job[] => {
    const folder = join(config.output, row);
    const model = train(folder, { outputs: variables, ...options });
    const scored = {
      ...{ checkpoint: bestCheckpoint(model.product), leads, variables },
      ...(rollout === undefined ? {} : { rollout }),
    };
    return [model, ...scoreJobs(planner, config, set.dir, folder, scored)];
  };
  const jobsOf: Readonly<Record<AblationRow, () => Job[]>> = {
    direct: () => each("direct", {}),
    continuous: () => once("continuous", { leads: config.continuous ?? leads }),
    iterative: () => once("iterative", { leads: [step], outputs: set.changing }, step),
    "all-out": () => each("all-out", { outputs: set.changing }),
    "per-variable": () => variables.flatMap((name) => each("per-variable", {}, [name], name)),
    scratch: () => each("scratch", { scratch: pretrained.model }),
    frozen: () => each("frozen", { freeze: ["attention", "mlp"] }),
  };
  return { cells: rows.map((name) => ({ name, jobs: jobsOf[name]() })), leads, variables };
}

interface Trained {
  readonly leads: readonly number[] | { readonly min: number; readonly max: number; readonly step: number };
  readonly outputs: readonly string[];
  readonly freeze: readonly string[];
  /** The network to make anew in place of the checkpoint. */
  readonly scratch: CheckpointInfo["model"];
}

function trainJob(
  planner: Planner,
  config: StudyConfig,
  set: StudySet,
  folder: string,
  { leads, outputs, freeze, scratch }: Partial<Trained>,
): Job {
  return planner.job(
    "finetune",
    [
      ...(scratch ? networkFlags(scratch) : ["--checkpoint", config.checkpoint!]),
      ...flagsFor({ data: { set: set.dir, leads, outputs }, freeze }),
      ...flagsFor({ optimiser: config.optimiser, training: config.training }),
      ...machineFlags(config),
    ],
    join(folder, "model"),
  );
}

/** The flags for a network of the same type and sizes. */
function networkFlags(model: CheckpointInfo["model"]): string[] {
  const own: Readonly<Record<string, unknown>> = { ...model };
  const settings = Object.fromEntries(settingsOf(model.type).map((key) => [key, own[key]]));
  return ["--model", model.type, ...flagsFor({ model: settings })];
}

/** How many models a row takes: the paper's measure of its cost. */
export function modelsOf({ jobs }: Cell): number {
  return new Set(jobs.filter(({ command }) => command === "finetune").map(({ product }) => product)).size;
}

/** RMSE of a system at a variable and lead. */
export function rmseOf(
  found: Finished | undefined,
  system: string,
  variable: string,
  lead: number,
): number | undefined {
  const score = found?.scores.find(
    (one) => one.system === system && one.variable === variable && one.lead_hours === lead,
  );
  return score?.value ?? undefined;
}
