// Samples for climate projection (ClimateBench): the last years of what drives the climate, and the climate of the
// last of them. From one or several experiments, each a prepared set of annual means.

import type { CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, sameGrid } from "../grid/grid.ts";
import { cropFields, cropGrid, type PatchWindow } from "../grid/regions.ts";
import { type BatchingOptions, batched, gather, type Statistics, settled } from "./batching.ts";
import type { SplitName } from "./manifest.ts";
import type { PreparedSet, Split } from "./prepared.ts";
import { type BatchSource, describeSplit, mustHave } from "./samples.ts";

export interface HistoryOptions extends BatchingOptions {
  inputs: readonly string[];
  outputs: readonly string[];
  /** T, steps up to and including that of the target; 10 unless told otherwise. */
  history?: number;
  window?: PatchWindow;
  /** What x and y are normalised by; `pooledStatistics` of the sets unless told otherwise. */
  statistics?: Statistics;
}

/**
 * Samples of one split of each set, all shuffled together; without `shuffle` set by set in time order. x is
 * [B, T, V, H, W], the T states in a row that end with the target's, y the outputs of the target's, leadHours 0.
 *
 * Targets lie in the split. The years before may reach back into the set's other splits, for what drives the climate
 * is known before it answers; they never come of another set, nor from before a gap (more than 1.5 usual steps).
 *
 * @param sets  experiments or members with the same variables and grid
 * @throws ClimaxError (config) for unknown variables, for a history that no state has; (grid) for grids that differ
 */
export function historySamples(
  sets: readonly PreparedSet[],
  splitName: SplitName,
  options: HistoryOptions,
): BatchSource {
  const { inputs, outputs, history = 10, batchSize, seed, window } = options;
  const train = splitName === "train";
  const { shuffle = train, dropLast = train } = options;
  if (!Number.isInteger(history) || history < 1)
    throw new ClimaxError(
      "config",
      `a history of ${history} steps; wanted a whole number from 1`,
      "write how many steps enter, the target's own included",
    );
  for (const set of sets) mustHave(set, [...inputs, ...outputs]);
  const first = mustAgree(sets);
  const statistics = options.statistics ?? pooledStatistics(sets);
  const where = sets.map((set) => describeSplit(set, splitName)).join("; ");
  const targets = sets.flatMap((set) => targetsOf(set, splitName, history));
  if (targets.length === 0)
    throw new ClimaxError(
      "config",
      `${where}: no state has the ${history - 1} before it in a row`,
      "choose a shorter history, or sets that go farther back",
    );

  const read = ({ split, step }: Step, names: readonly string[], into: Float32Array) =>
    window
      ? split.read(step, names).then((fields) => cropFields(fields, first.grid, window))
      : split.read(step, names, into);
  const { lat, lon } = window ? cropGrid(first.grid, window) : first.grid;
  const cells = lat.length * lon.length;
  return batched(targets.length, { batchSize, seed, shuffle, dropLast }, where, async (indices, _, spare) => {
    const chosen = indices.map((index) => targets[index]!);
    const [x, y] = await settled([
      gather(
        chosen.length * history,
        { names: inputs, statistics, cells },
        (n, into) => read(chosen[Math.floor(n / history)]![n % history]!, inputs, into),
        spare?.x,
      ),
      gather(
        chosen.length,
        { names: outputs, statistics, cells },
        (b, into) => read(chosen[b]!.at(-1)!, outputs, into),
        spare?.y,
      ),
    ]);
    return {
      variables: inputs,
      outputs,
      x: x!,
      y: y!,
      history,
      leadHours: new Float32Array(chosen.length),
      times: chosen.map((steps) => steps.at(-1)!.time),
      size: chosen.length,
    };
  });
}

interface Step {
  split: Split;
  step: number;
  time: CfTime;
}

/** The `history` steps in a row that end with each state of the split, where there are as many. */
function targetsOf(set: PreparedSet, splitName: SplitName, history: number): Step[][] {
  set.split(splitName); // it must have that one; what lies before may be of any
  const all: Step[] = set.splits
    .map((name) => set.split(name))
    .flatMap((split) => split.times.map((time, step) => ({ split, step, time })))
    .sort((a, b) => a.time.seconds - b.time.seconds);
  const longest = 1.5 * set.manifest.stepHours * 3600;
  const targets: Step[][] = [];
  let run = 0;
  for (const [i, { split, time }] of all.entries()) {
    const follows = i > 0 && time.seconds - all[i - 1]!.time.seconds <= longest;
    run = follows ? run + 1 : 1;
    if (split.name === splitName && run >= history) targets.push(all.slice(i + 1 - history, i + 1));
  }
  return targets;
}

function mustAgree([first, ...others]: readonly PreparedSet[]): PreparedSet {
  if (!first)
    throw new ClimaxError("config", "no set was given; at least one is wanted", "name a prepared set");
  for (const set of others)
    if (!sameGrid(first.grid, set.grid))
      throw new ClimaxError(
        "grid",
        `the grids differ: ${first.dir} is ${describeGrid(first.grid)}, ${set.dir} is ${describeGrid(set.grid)}`,
        "bring the files to one grid with climax regrid, then climax prepare",
      );
  return first;
}

/**
 * Mean and deviation over the training states of all sets together, as ClimateBench's models take them. Those of the
 * first set alone would not do: what drives a climate grows far beyond the one experiment's range in another. A field
 * that does not vary has the deviation 1, as in the sets.
 */
export function pooledStatistics(sets: readonly PreparedSet[]): Statistics {
  const mean: Record<string, number> = {};
  const std: Record<string, number> = {};
  for (const { name } of sets[0]?.variables ?? []) {
    const parts = sets.filter(({ mean: own }) => own[name] !== undefined);
    const counts = parts.map((set) => set.split("train").times.length);
    const total = counts.reduce((sum, n) => sum + n, 0);
    const average = (value: (set: PreparedSet) => number) =>
      parts.reduce((sum, set, i) => sum + counts[i]! * value(set), 0) / total;
    const centre = average((set) => set.mean[name]!);
    // A deviation of exactly 1 is how a set says that the field does not vary.
    const variance = average((set) => {
      return (set.std[name] === 1 ? 0 : set.std[name]! ** 2) + (set.mean[name]! - centre) ** 2;
    });
    const deviation = Math.sqrt(variance);
    mean[name] = centre;
    std[name] = deviation <= Math.abs(centre) * 2 ** -24 ? 1 : deviation;
  }
  return { mean, std };
}
