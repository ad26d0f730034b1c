// Training samples from prepared sets: a state now, the state a lead time later, normalised, in batches whose
// content depends only on (seed, epoch, index). A resumed run asks for the batch it stopped at.

import { ClimaxError, unknownName } from "../errors.ts";
import type { SplitName } from "./manifest.ts";
import type { PreparedSet } from "./prepared.ts";
import { drawInteger, permutation } from "./shuffle.ts";
import { type CfTime, formatTime } from "./time.ts";

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
  /** @param index  in [0, batches) */
  batchAt(epoch: number, index: number): Promise<Batch>;
}

export interface SampleOptions {
  inputs: readonly string[];
  outputs: readonly string[];
  /** Hours: a list, or every `step` from `min` to `max` inclusive. */
  leads: readonly number[] | { min: number; max: number; step: number };
  batchSize: number;
  seed: number;
  /** Another order every epoch; in `train` unless told otherwise. Without it samples come in time order. */
  shuffle?: boolean;
  /**
   * false: a sample is an initial time, its lead is drawn anew every epoch (without `shuffle`: once for all
   * epochs). true: a sample is a pair of initial time and lead, and an epoch has all of them.
   */
  everyLead?: boolean;
  /** Leaves out the last batch when it is not full; in `train` unless told otherwise. */
  dropLast?: boolean;
}

// Streams of random numbers, so that order and leads are independent.
const orderStream = 1;
const leadStream = 2;
const mixStream = 3;

/**
 * Samples of one split of one set. Targets are found by real time: an initial time t makes a sample with lead l when
 * the split holds both t and t + l, so no target crosses into another split, and nothing is lost where
 * files end. Leads are drawn uniformly from those an initial time has: within the longest lead of the split's end, or
 * of a gap, that is not all of them.
 *
 * @throws ClimaxError (config) for unknown variables, for leads that the split cannot have, for too few samples
 */
export function samples(set: PreparedSet, splitName: SplitName, options: SampleOptions): BatchSource {
  const { inputs, outputs, batchSize, seed } = options;
  const train = splitName === "train";
  const { shuffle = train, dropLast = train, everyLead = false } = options;
  const known = set.variables.map(({ name }) => name);
  for (const name of [...inputs, ...outputs]) if (!known.includes(name)) unknownName("variable", name, known);
  const split = set.split(splitName);
  const leads = leadList(options.leads);

  const stepAt = new Map(split.times.map(({ seconds }, step) => [Math.round(seconds), step]));
  const targetOf = (step: number, lead: number): number | undefined =>
    stepAt.get(Math.round(split.times[step]!.seconds + lead * 3600));
  const leadsOf = (step: number) => leads.filter((lead) => targetOf(step, lead) !== undefined);

  const where = `${set.dir}: ${splitName} (${formatTime(split.times[0]!)} to ${formatTime(split.times.at(-1)!)}, every ${set.manifest.stepHours} h)`;
  if (Array.isArray(options.leads))
    for (const lead of leads)
      if (!split.times.some((_, step) => targetOf(step, lead) !== undefined))
        throw new ClimaxError(
          "config",
          `${where} has no two states ${lead} h apart`,
          "choose leads that are multiples of the step and shorter than the split",
        );

  // Samples in time order: initial steps, and with everyLead the lead of each.
  const initial: number[] = [];
  const given: number[] = [];
  for (let step = 0; step < split.times.length; step++) {
    if (everyLead)
      for (const lead of leadsOf(step)) {
        initial.push(step);
        given.push(lead);
      }
    else if (leads.some((lead) => targetOf(step, lead) !== undefined)) initial.push(step);
  }
  const batches = dropLast ? Math.floor(initial.length / batchSize) : Math.ceil(initial.length / batchSize);
  if (initial.length === 0)
    throw new ClimaxError(
      "config",
      `${where} has no two states ${leads.length === 1 ? leads[0] : `${leads[0]} to ${leads.at(-1)}`} h apart`,
      "choose leads that are multiples of the step and shorter than the split",
    );
  if (batches === 0)
    throw new ClimaxError(
      "config",
      `${where} has ${initial.length} samples, fewer than one batch of ${batchSize}`,
      "choose a smaller batch size, or a longer period",
    );

  let orderEpoch = Number.NaN;
  let order: Uint32Array = new Uint32Array();
  const sampleAt = (epoch: number, position: number) => {
    if (shuffle && orderEpoch !== epoch) {
      order = permutation(initial.length, seed, orderStream, epoch);
      orderEpoch = epoch;
    }
    const index = shuffle ? order[position]! : position;
    const step = initial[index]!;
    if (everyLead) return { step, lead: given[index]! };
    const available = leadsOf(step);
    return {
      step,
      lead: available[drawInteger(available.length, seed, leadStream, shuffle ? epoch : 0, index)]!,
    };
  };

  return {
    samples: initial.length,
    batches,
    batchAt: async (epoch, index) => {
      if (!(index >= 0 && index < batches)) throw new RangeError(`batch ${index} of ${batches}`);
      const size = Math.min(batchSize, initial.length - index * batchSize);
      const chosen = Array.from({ length: size }, (_, b) => sampleAt(epoch, index * batchSize + b));
      const cells = set.grid.lat.length * set.grid.lon.length;
      const x = new Float32Array(size * inputs.length * cells);
      const y = new Float32Array(size * outputs.length * cells);
      await Promise.all(
        chosen.map(async ({ step, lead }, b) => {
          const [now, later] = await Promise.all([
            split.read(step, inputs),
            split.read(targetOf(step, lead)!, outputs),
          ]);
          normalise(now, inputs, set, x.subarray(b * now.length, (b + 1) * now.length));
          normalise(later, outputs, set, y.subarray(b * later.length, (b + 1) * later.length));
        }),
      );
      return {
        variables: inputs,
        outputs,
        x,
        y,
        leadHours: Float32Array.from(chosen, ({ lead }) => lead),
        times: chosen.map(({ step }) => split.times[step]!),
        size,
      };
    },
  };
}

/** The leads an option stands for, hours, ascending. @throws ClimaxError (config) for leads that are not positive */
export function leadList(leads: SampleOptions["leads"]): number[] {
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

/** Physical units to (value - mean) / std, [V, H, W]. */
function normalise(
  fields: Float32Array,
  names: readonly string[],
  { mean, std }: PreparedSet,
  out: Float32Array,
): void {
  const cells = fields.length / names.length;
  for (const [v, name] of names.entries()) {
    const centre = mean[name]!;
    const scale = 1 / std[name]!;
    for (let i = v * cells; i < (v + 1) * cells; i++) out[i] = (fields[i]! - centre) * scale;
  }
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
    batchAt: async (epoch, index) => {
      if (!(index >= 0 && index < plan.length)) throw new RangeError(`batch ${index} of ${plan.length}`);
      if (orderEpoch !== epoch) {
        order = permutation(plan.length, seed, mixStream, epoch);
        orderEpoch = epoch;
      }
      const { source, turn } = plan[order[index]!]!;
      const chosen = sources[source]!;
      const position = epoch * counts[source]! + turn;
      return chosen.batchAt(Math.floor(position / chosen.batches), position % chosen.batches);
    },
  };
}
