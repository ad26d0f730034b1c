// Roll-outs: a lead is reached in steps, each forecast being the state that the next step starts from.
import { formatLead } from "../data/leadtime.ts";
import { parseName } from "../data/variables.ts";
import { ClimaxError } from "../errors.ts";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import { checkLeads, type Opened } from "./inputs.ts";
import type { States } from "./states.ts";

/** Steps of which hours a lead is made of; one after the other, all of one length. */
export type Intervals = readonly number[];

export interface Roll {
  /** Names of the fields that enter, in their order. */
  readonly inputs: readonly string[];
  /** Names of those that are wanted. */
  readonly outputs: readonly string[];
  /** Values of one field, H W. */
  readonly cells: number;
  readonly intervals: Intervals;
  /** Hours, ascending; each a multiple of one of the intervals at least. */
  readonly leads: readonly number[];
  /**
   * Predicts `names` from B states one interval later.
   *
   * @param pass  counts the calls from 0
   * @returns     [B, names, H, W]
   */
  step(fields: Float32Array, hours: number, names: readonly string[], pass: number): Promise<Float32Array>;
  /** Names of the inputs that a step predicts; the others are carried along. */
  readonly predicted: readonly string[];
}

/** Whether the lead is so many intervals, to the rounding of hours with fractions. */
function isMultiple(lead: number, interval: number): boolean {
  return Math.abs(lead / interval - Math.round(lead / interval)) < 1e-9;
}

/**
 * Rolls B states forward and gives each lead when it is reached. With several intervals each has a roll-out of its own,
 * and a lead is the mean over those that reach it (the homogeneous combinations of Stormer; Nguyen et al. 2023,
 * arXiv:2312.03876). No more is kept than one state of each.
 *
 * @param initial  [B, inputs, H, W], physical units
 * @returns        the leads in order, with fields of [B, outputs, H, W]
 */
export async function* rollout(
  initial: Float32Array,
  roll: Roll,
): AsyncGenerator<{ lead: number; fields: Float32Array }> {
  const { inputs, outputs, cells, intervals, leads, predicted } = roll;
  const size = inputs.length * cells;
  const B = initial.length / size;
  const names = [...new Set([...inputs.filter((name) => predicted.includes(name)), ...outputs])];
  const ways = intervals.map((hours) => ({ hours, steps: 0, state: initial }));
  let pass = 0;
  for (const lead of leads) {
    const arriving = ways.filter(({ hours }) => isMultiple(lead, hours));
    const sum = new Float64Array(B * outputs.length * cells);
    for (const way of arriving) {
      let pred: Float32Array | undefined;
      for (const last = Math.round(lead / way.hours); way.steps < last; way.steps++) {
        pred = await roll.step(way.state, way.hours, names, pass++);
        way.state = nextState(way.state, pred);
      }
      for (let b = 0; b < B; b++)
        for (const [v, name] of outputs.entries()) {
          const from = (b * names.length + names.indexOf(name)) * cells;
          const to = (b * outputs.length + v) * cells;
          for (let i = 0; i < cells; i++) sum[to + i]! += pred![from + i]!;
        }
    }
    yield { lead, fields: new Float32Array(sum.map((total) => total / arriving.length)) };
  }

  /** What was predicted, and of the rest what was there. */
  function nextState(state: Float32Array, pred: Float32Array): Float32Array {
    const next = state.slice();
    for (let b = 0; b < B; b++)
      for (const [v, name] of inputs.entries()) {
        const at = names.indexOf(name);
        if (at < 0) continue;
        const from = (b * names.length + at) * cells;
        next.set(pred.subarray(from, from + cells), b * size + v * cells);
      }
    return next;
  }
}

/** Passes of the network that a roll-out of one state takes. */
export function countPasses(intervals: Intervals, leads: readonly number[]): number {
  return intervals.reduce((sum, hours) => {
    const reached = leads.filter((lead) => isMultiple(lead, hours));
    return sum + (reached.length > 0 ? Math.round(reached.at(-1)! / hours) : 0);
  }, 0);
}

/**
 * Whether a checkpoint can be rolled out: it forecasts every interval, and predicts what changes in time of its inputs.
 *
 * @param inputs      names of the variables that enter
 * @param separately  each interval is a forecast of its own, so that each must reach every lead
 * @throws            ClimaxError "config" that names the interval, the lead or the variables at fault
 */
export function checkRollout(
  checkpoint: Opened,
  states: Pick<States, "constants" | "variables">,
  {
    inputs,
    intervals,
    leads,
    separately,
  }: { inputs: readonly string[]; intervals: Intervals; leads: readonly number[]; separately: boolean },
): void {
  const { path, info } = checkpoint;
  if (info.task.kind !== "forecast") {
    throw new ClimaxError(
      "config",
      `${path} was trained for ${taskWords(info)}, which cannot be the state of a next step`,
      "leave out --rollout",
    );
  }
  checkLeads(checkpoint, intervals);
  const steps = intervals.map(formatLead).join(", ");
  for (const lead of leads) {
    const reaching = intervals.filter((hours) => isMultiple(lead, hours));
    if (reaching.length === intervals.length || (reaching.length > 0 && !separately)) continue;
    throw new ClimaxError(
      "config",
      `a lead of ${formatLead(lead)} is no multiple of ${separately ? "each of the steps" : intervals.length > 1 ? "any of the steps" : "the step"} ${steps}`,
      separately
        ? "choose leads that every step reaches, or leave out --rollout-members to average over those that do"
        : "choose leads that are multiples of a step",
    );
  }
  const changing = inputs.filter((name) => !isConstant(name, states) && !info.outputs.includes(name));
  if (changing.length === 0) return;
  throw new ClimaxError(
    "config",
    `${path} needs ${changing.join(", ")} at every step of a roll-out, and does not predict ${changing.length === 1 ? "it" : "them"}`,
    "finetune a checkpoint whose --data.outputs are all of its inputs, or forecast directly without --rollout",
  );
}

/** Whether a variable is carried along a roll-out: constant by its nature, or because the input has it without a time. */
export function isConstant(
  name: string,
  { constants, variables }: Pick<States, "constants" | "variables">,
): boolean {
  // One that the input lacks was allowed to be its mean, at every step alike.
  return parseName(name).info.role === "constant" || constants.includes(name) || !variables.includes(name);
}

/** What a checkpoint was trained for, in words for messages. */
export function taskWords({ task }: Pick<CheckpointInfo, "task">): string {
  switch (task.kind) {
    case "forecast":
      return "forecasts";
    case "mean":
      return `means over ${formatLead(task.hours)}`;
    case "downscaling":
      return "downscaling";
    case "projection":
      return "projections";
  }
}
