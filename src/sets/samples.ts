// Training samples from prepared sets: a state now, the state a lead time later, normalised, in batches whose
// content depends only on (seed, epoch, index). A resumed run asks for the batch it stopped at.

import { type CfTime, formatTime } from "../data/time.ts";
import { describeStep } from "../data/timestep.ts";
import { ClimaxError, unknownName } from "../errors.ts";
import { cropFields, cropGrid, type PatchWindow } from "../grid/regions.ts";
import { type BatchingOptions, batched, gather, settled } from "./batching.ts";
import type { SplitName } from "./manifest.ts";
import type { PreparedSet, Split } from "./prepared.ts";
import { drawInteger, permutation } from "./shuffle.ts";
import { describeLack, type Leads, leadList, readMean, type TargetOptions, targetFinder } from "./targets.ts";

/** B samples of one source. Checked when made; after that only shapes matter. */
export interface Batch {
  variables: readonly string[];
  outputs: readonly string[];
  /** [B, V, H, W], (x - mean) / std. */
  x: Float32Array;
  /** [B, Vo, H, W], (y - mean) / std. */
  y: Float32Array;
  /** The truth at twice, three times, ... the lead time, like y: what a roll-out is held to. */
  later?: readonly Float32Array[];
  /** T, when x is [B, T, V, H, W]: the steps up to and including that of y. */
  history?: number;
  /** [B], hours. */
  leadHours: Float32Array;
  /** [B], of x; y is `leadHours` later. */
  times: CfTime[];
  /** B. */
  size: number;
}

/** Any batch of any epoch, on demand and in any order. */
export interface BatchSource {
  /** Samples in an epoch. */
  readonly samples: number;
  /** Batches in an epoch. */
  readonly batches: number;
  /** Batches worth asking for ahead of the one in use; 1 when nothing is said. */
  readonly ahead?: number;
  /**
   * @param index  in [0, batches)
   * @param spare  a batch that nobody needs any more: its arrays may become those of the new one
   */
  batchAt(epoch: number, index: number, spare?: Batch): Promise<Batch>;
}

export interface SampleOptions extends TargetOptions, BatchingOptions {
  inputs: readonly string[];
  outputs: readonly string[];
  leads: Leads;
  /**
   * false: a sample is an initial time, its lead is drawn anew every epoch (without `shuffle`: once for all
   * epochs). true: a sample is a pair of initial time and lead, and an epoch has all of them.
   */
  everyLead?: boolean;
  /** Takes no more than the first such part of the split's states. */
  fraction?: number;
  /** Cuts every field down to a region of the set's grid. */
  window?: PatchWindow;
}

// Streams of random numbers, so that order (in batching.ts), leads and mixture are independent.
const leadStream = 2;
const mixStream = 3;

/**
 * Samples of one split of one set. Targets are found by real time: an initial time t makes a sample with lead l when
 * the split holds both t and t + l (and all else that `average` and `steps` want), so no target crosses into another
 * split, and nothing is lost where files end. Leads are drawn uniformly from those an initial time has: within the
 * longest lead of the split's end, or of a gap, that is not all of them.
 *
 * @throws ClimaxError (config) for unknown variables, for leads that the split cannot have, for too few samples
 */
export function samples(set: PreparedSet, splitName: SplitName, options: SampleOptions): BatchSource {
  const { inputs, outputs, batchSize, seed, window } = options;
  const train = splitName === "train";
  const { shuffle = train, dropLast = train, everyLead = false } = options;
  mustHave(set, [...inputs, ...outputs]);
  const split = firstPart(set.split(splitName), options.fraction);
  const leads = leadList(options.leads);
  const targetsOf = targetFinder(split.times, set.manifest.stepHours, options);
  const leadsOf = (step: number) => leads.filter((lead) => targetsOf(step, lead) !== undefined);

  const where = describeSplit(set, splitName);
  const lacking = (lead: string) =>
    new ClimaxError(
      "config",
      `${where} has ${describeLack(lead, options)}`,
      "choose leads that are multiples of the step and shorter than the split",
    );
  if (Array.isArray(options.leads))
    for (const lead of leads)
      if (!split.times.some((_, step) => targetsOf(step, lead) !== undefined)) throw lacking(String(lead));

  // Samples in time order: initial steps, and with everyLead the lead of each.
  const initial: number[] = [];
  const given: number[] = [];
  for (let step = 0; step < split.times.length; step++) {
    if (everyLead)
      for (const lead of leadsOf(step)) {
        initial.push(step);
        given.push(lead);
      }
    else if (leads.some((lead) => targetsOf(step, lead) !== undefined)) initial.push(step);
  }
  if (initial.length === 0)
    throw lacking(leads.length === 1 ? String(leads[0]) : `${leads[0]} to ${leads.at(-1)}`);

  const leadOf = (index: number, epoch: number): number => {
    if (everyLead) return given[index]!;
    const available = leadsOf(initial[index]!);
    return available[drawInteger(available.length, seed, leadStream, shuffle ? epoch : 0, index)]!;
  };
  const read = (of: readonly number[], names: readonly string[], into: Float32Array) =>
    window
      ? readMean(split, of, names).then((fields) => cropFields(fields, set.grid, window))
      : readMean(split, of, names, into);
  const { lat, lon } = window ? cropGrid(set.grid, window) : set.grid;
  const fields = (names: readonly string[]) => ({ names, statistics: set, cells: lat.length * lon.length });

  return batched(
    initial.length,
    { batchSize, seed, shuffle, dropLast },
    where,
    async (indices, epoch, spare) => {
      const steps = indices.map((index) => initial[index]!);
      const leadHours = Float32Array.from(indices, (index) => leadOf(index, epoch));
      const targets = steps.map((step, b) => targetsOf(step, leadHours[b]!)!);
      const count = steps.length;
      const [x, y, ...later] = await settled([
        gather(count, fields(inputs), (b, into) => read([steps[b]!], inputs, into), spare?.x),
        ...targets[0]!.map((_, k) =>
          gather(
            count,
            fields(outputs),
            (b, into) => read(targets[b]![k]!, outputs, into),
            k === 0 ? spare?.y : spare?.later?.[k - 1],
          ),
        ),
      ]);
      return {
        variables: inputs,
        outputs,
        x: x!,
        y: y!,
        ...(later.length > 0 ? { later } : {}),
        leadHours,
        times: steps.map((step) => split.times[step]!),
        size: count,
      };
    },
  );
}

/** The first part of a split, at least one state. */
function firstPart(split: Split, fraction = 1): Split {
  return { ...split, times: split.times.slice(0, Math.max(1, Math.round(fraction * split.times.length))) };
}

/** @throws ClimaxError (config) for a variable that the set does not have */
export function mustHave(set: PreparedSet, names: readonly string[]): void {
  const known = set.variables.map(({ name }) => name);
  for (const name of names) if (!known.includes(name)) unknownName("variable", name, known);
}

/** "sets/era5: train (1979-01-01T00:00:00 to 2015-12-31T18:00:00, every 6 h)", for messages. */
export function describeSplit(set: PreparedSet, splitName: SplitName): string {
  const { times } = set.split(splitName);
  const every = describeStep(set.manifest);
  return `${set.dir}: ${splitName} (${formatTime(times[0]!)} to ${formatTime(times.at(-1)!)}, ${every})`;
}

/**
 * Several sources as one: every batch is of one source (their variables may differ), in an order shuffled anew
 * every epoch. Without weights an epoch has each source's batches once, so sources count by their size; with weights
 * the epoch is as long, but source i has weights[i] / sum of it, and goes through its own epochs faster or slower.
 */
export function mixSources(
  sources: readonly BatchSource[],
  { seed, weights }: { seed: number; weights?: readonly number[] },
): BatchSource {
  const total = sources.reduce((sum, { batches }) => sum + batches, 0);
  if (weights && (weights.length !== sources.length || !weights.every((weight) => weight > 0)))
    throw new ClimaxError(
      "config",
      `${weights.length} weights (${weights.join(", ")}) for ${sources.length} sources`,
      "give one positive weight for each source",
    );
  const sum = weights?.reduce((a, b) => a + b, 0) ?? 1;
  const counts = sources.map(({ batches }, i) =>
    weights ? Math.max(1, Math.round((total * weights[i]!) / sum)) : batches,
  );
  const plan = counts.flatMap((count, source) =>
    Array.from({ length: count }, (_, turn) => ({ source, turn })),
  );
  let orderEpoch = Number.NaN;
  let order: Uint32Array = new Uint32Array();
  return {
    samples: sources.reduce((all, { samples }) => all + samples, 0),
    batches: plan.length,
    batchAt: async (epoch, index, spare) => {
      if (!(index >= 0 && index < plan.length)) throw new RangeError(`batch ${index} of ${plan.length}`);
      if (orderEpoch !== epoch) {
        order = permutation(plan.length, seed, mixStream, epoch);
        orderEpoch = epoch;
      }
      const { source, turn } = plan[order[index]!]!;
      const chosen = sources[source]!;
      const position = epoch * counts[source]! + turn;
      return chosen.batchAt(Math.floor(position / chosen.batches), position % chosen.batches, spare);
    },
  };
}
