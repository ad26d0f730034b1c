// The states that a forecast is held to: one state a lead time later, the mean of a stretch of them (two weeks of a
// sub-seasonal forecast), or those at several times the lead (a roll-out). Found by real time, never by counting steps.

import type { CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { Split } from "./prepared.ts";

export interface TargetOptions {
  /** Hours: the target is the mean of all states from t + lead to t + lead + average, the end left out. */
  average?: number;
  /** Targets at lead, 2 lead, ... steps lead, for a roll-out; 1 unless told otherwise. */
  steps?: number;
}

/** Hours: a list, or every `step` from `min` to `max` inclusive. */
export type Leads = readonly number[] | { min: number; max: number; step: number };

/** The leads an option stands for, hours, ascending. @throws ClimaxError (config) for leads that are not positive */
export function leadList(leads: Leads): number[] {
  const list = Array.isArray(leads) ? leads.toSorted((a, b) => a - b) : [];
  if (!Array.isArray(leads)) {
    const { min, max, step } = leads as { min: number; max: number; step: number };
    if (step > 0) for (let i = 0; min + i * step <= max; i++) list.push(min + i * step);
  }
  if (list.length === 0 || !list.every((lead) => Number.isFinite(lead) && lead > 0))
    throw new ClimaxError(
      "config",
      `leads ${JSON.stringify(leads)} are not one or more positive numbers of hours`,
      "write a list such as 24,72, or min, max and step with min not above max",
    );
  return [...new Set(list)];
}

/**
 * Returns a function that gives the steps whose mean is each target of a forecast, [steps][states of the mean]; nothing
 * where one of them is not there.
 *
 * @param stepHours  the usual distance of states
 * @throws ClimaxError (config) for an average that is no multiple of it, or a number of steps that is none
 */
export function targetFinder(
  times: readonly CfTime[],
  stepHours: number,
  { average, steps = 1 }: TargetOptions,
): (step: number, lead: number) => number[][] | undefined {
  if (!Number.isInteger(steps) || steps < 1)
    throw new ClimaxError(
      "config",
      `${steps} steps of a roll-out; wanted a whole number from 1`,
      "write how many leads one after the other the model is held to",
    );
  const states = average === undefined ? 1 : average / stepHours;
  if (!(Number.isInteger(states) && states >= 1))
    throw new ClimaxError(
      "config",
      `a mean over ${average} h is no whole number of states, which come every ${stepHours} h`,
      `choose a multiple of ${stepHours} h`,
    );
  const stepAt = new Map(times.map(({ seconds }, step) => [Math.round(seconds), step]));
  return (step, lead) => {
    const targets: number[][] = [];
    for (let k = 1; k <= steps; k++) {
      const target: number[] = [];
      for (let i = 0; i < states; i++) {
        const hours = k * lead + i * stepHours;
        const found = stepAt.get(Math.round(times[step]!.seconds + hours * 3600));
        if (found === undefined) return undefined;
        target.push(found);
      }
      targets.push(target);
    }
    return targets;
  };
}

/** What a set lacks that has no such target, for messages: "no two states 6 h apart". @param lead "6", or "6 to 168" */
export function describeLack(lead: string, { average, steps = 1 }: TargetOptions): string {
  if (average !== undefined) return `no state with all states of ${average} h from ${lead} h later on`;
  if (steps > 1) return `no state with states ${steps} times one after the other ${lead} h later`;
  return `no two states ${lead} h apart`;
}

/** The mean of these states, [V, H, W], summed in f64. It may come in `into`, memory of that length. */
export async function readMean(
  split: Split,
  steps: readonly number[],
  variables: readonly string[],
  into?: Float32Array,
): Promise<Float32Array> {
  if (steps.length === 1) return split.read(steps[0]!, variables, into);
  let sum = new Float64Array();
  for (const step of steps) {
    const state = await split.read(step, variables, into);
    if (sum.length === 0) sum = new Float64Array(state.length);
    for (let i = 0; i < sum.length; i++) sum[i]! += state[i]!;
  }
  const mean = into ?? new Float32Array(sum.length);
  for (let i = 0; i < sum.length; i++) mean[i] = sum[i]! / steps.length;
  return mean;
}
