// Forecasts from many initial times, streamed to one file: memory does not grow with their number, nor with that of
// leads and members.
import { hash32 } from "../data/hash.ts";
import { formatLead } from "../data/leadtime.ts";
import { type Share, stretchOf } from "../data/share.ts";
import { formatTime } from "../data/time.ts";
import { Random } from "../engine/random.ts";
import { ClimaxError } from "../errors.ts";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import { type Missing, readState } from "./inputs.ts";
import { type Ensemble, listMembers, type Member, noEnsemble, perturb, type Rollout } from "./members.ts";
import { createOutput, type ForecastOutput, type OutputShape } from "./output.ts";
import type { Predictor } from "./predictor.ts";
import { countPasses, isConstant, rollout } from "./rollout.ts";
import { createShare, type ShareOfForecasts, shareFileOf } from "./sharefile.ts";
import { earlierStep, type States } from "./states.ts";

/** A checkpoint that forecasts. */
export interface Model {
  readonly info: CheckpointInfo;
  /** Variables that enter; those that the states lack enter as their mean. */
  readonly inputs: readonly string[];
  /** Puts it on the device for as long as `work` takes: several need not fit there together. */
  use(work: (predictor: Predictor) => Promise<void>): Promise<void>;
}

/** What is forecast from what; where the fields go is the caller's. */
export interface Forecasts {
  /** Of one task, grid and list of outputs; each makes members of its own. */
  readonly models: readonly Model[];
  readonly states: States;
  /** Steps of `states` to start from, ascending. */
  readonly steps: readonly number[];
  /** Hours, ascending; only 0 where a field is made of the fields of its own time. */
  readonly leads: readonly number[];
  readonly outputs: readonly string[];
  /** Without it every lead is forecast directly. */
  readonly rollout?: Rollout | undefined;
  readonly ensemble?: Ensemble | undefined;
  readonly missing: Missing;
  /** States that go through the network at once. */
  readonly batchSize: number;
  readonly signal: Pick<AbortSignal, "throwIfAborted">;
  /** Only this share of the batches; they are the same whoever makes them, and so are their bits. */
  readonly share?: Share | undefined;
  /** Counts states that went through a network. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface ForecastJob extends Forecasts {
  /** With a share, its fields go to `shareFileOf(output, share)`. */
  readonly output: string;
  readonly share?: ShareOfForecasts | undefined;
  /** Global attributes beside the usual ones: where it comes from. */
  readonly attributes: Readonly<Record<string, string>>;
}

/**
 * Forecasts every lead from every initial time, with every member. The file appears whole or not at all.
 *
 * @throws ClimaxError for missing values, a lagged start that is not there, a roll-out that ends in infinities, or a
 *         place that cannot be written
 */
export async function forecast(job: ForecastJob): Promise<void> {
  const { states, steps, leads, outputs } = job;
  const { variables, task } = job.models[0]!.info;
  const members = membersOf(job);
  const output = await beginOutput(job, {
    grid: states.grid,
    initial: steps.map((step) => states.times[step]!),
    leads,
    members: members.length,
    variables: outputs.map((name) => ({
      name,
      units: variables.find((variable) => variable.name === name)!.units,
    })),
    averageHours: task.kind === "mean" ? task.hours : undefined,
    attributes: job.attributes,
  });
  try {
    await forecastInto(job, (name, at, field) => output.write(name, at, field));
    await output.close();
  } catch (error) {
    await output.abort();
    throw error;
  }
}

/** The file itself, or that of a share. */
export async function beginOutput(
  { output, share }: Pick<ForecastJob, "output" | "share">,
  shape: OutputShape,
): Promise<ForecastOutput> {
  return share ? createShare(shareFileOf(output, share), shape, share) : await createOutput(output, shape);
}

/**
 * The same, field by field to whom it may concern; fields are views of arrays that are not written to again.
 *
 * @throws ClimaxError for missing values, a lagged start that is not there, or a roll-out that ends in infinities
 */
export async function forecastInto(job: Forecasts, write: ForecastOutput["write"]): Promise<void> {
  const { models, steps, leads, ensemble } = job;
  const members = membersOf(job);
  const groups = models.map((_, index) => groupsOf(members, index, ensemble?.dropout ?? false));
  // The batches of all groups are counted through.
  let batches = 0;
  const planned = groups.map((own) =>
    own.map((group) => {
      const units = steps.length * group.members.length * (group.intervals ? 1 : leads.length);
      const ends = [...chunkEnds(units, job.batchSize, group.dropped)];
      const wanted = leads.map((lead) => lead + group.lag);
      const passes = group.intervals ? countPasses(group.intervals, wanted) : 1; // of the network, for a unit
      batches += ends.length;
      return { group, ends, passes, begin: batches - ends.length };
    }),
  );
  const [from, to] = job.share ? stretchOf(batches, job.share) : [0, batches];
  const own = planned.map((each) =>
    each.flatMap(({ group, ends, passes, begin }) => {
      const range = { from: Math.max(0, from - begin), to: Math.min(ends.length, to - begin) };
      if (range.from >= range.to) return [];
      const units = ends[range.to - 1]! - (ends[range.from - 1] ?? 0);
      return [{ group, range, passes: units * passes }];
    }),
  );
  const total = own.flat().reduce((sum, { passes }) => sum + passes, 0);
  let done = 0;
  const count = (passes: number): void => {
    done += passes;
    job.onProgress?.(done, total);
  };
  for (const [index, model] of models.entries()) {
    if (own[index]!.length === 0) continue;
    await model.use(async (predictor) => {
      for (const { group, range } of own[index]!) {
        const run = { job, model, predictor, group, range, write, count };
        await (group.intervals ? forecastInSteps(run, group.intervals) : forecastDirectly(run));
      }
    });
  }
}

/** @throws ClimaxError "config" for a lagged start that is not there */
function membersOf({ models, states, steps, ensemble, rollout }: Forecasts): Member[] {
  const members = listMembers(models.length, ensemble ?? noEnsemble, rollout);
  for (const { lag } of members) for (const step of steps) earlierStep(states, step, lag);
  return members;
}

/** Members of one checkpoint that go through it alike, in the same batches. */
interface Group {
  readonly lag: number;
  readonly intervals: Member["intervals"];
  readonly dropped: boolean;
  readonly members: readonly { readonly number: number; readonly copy: number }[];
}

function groupsOf(members: readonly Member[], model: number, dropout: boolean): Group[] {
  const groups = new Map<
    string,
    { lag: number; intervals: Member["intervals"]; dropped: boolean; members: Group["members"][number][] }
  >();
  for (const [number, member] of members.entries()) {
    if (member.model !== model) continue;
    const { lag, intervals, copy } = member;
    const dropped = dropout && copy > 0;
    const key = JSON.stringify([lag, intervals, dropped]);
    const group = groups.get(key) ?? { lag, intervals, dropped, members: [] };
    groups.set(key, group);
    group.members.push({ number, copy });
  }
  return [...groups.values()];
}

interface Run {
  readonly job: Forecasts;
  readonly model: Model;
  readonly predictor: Predictor;
  readonly group: Group;
  /** Of its batches. */
  readonly range: { readonly from: number; readonly to: number };
  readonly write: ForecastOutput["write"];
  readonly count: (passes: number) => void;
}

/** One pass of the network for each initial time, member and lead. */
async function forecastDirectly({ job, model, predictor, group, range, write, count }: Run): Promise<void> {
  const { steps, leads, outputs, states } = job;
  const units = steps.flatMap((step, t) =>
    group.members.flatMap(({ number, copy }) => leads.map((lead, l) => ({ step, t, number, copy, lead, l }))),
  );
  const start = starts(job, model, group.lag);
  const cells = states.grid.lat.length * states.grid.lon.length;
  for (const { first, chunk } of chunks(units, job.batchSize, group.dropped, range)) {
    job.signal.throwIfAborted();
    const fields = await together(chunk, start);
    const leadHours = chunk.map(({ lead }) => lead + group.lag);
    const pred = await predictor.predict(
      { variables: model.inputs, fields, leadHours, ...noiseOf(job, group, first, 0) },
      outputs,
    );
    for (const [b, { t, l, number }] of chunk.entries()) {
      for (const [v, name] of outputs.entries()) {
        const from = (b * outputs.length + v) * cells;
        await write(name, { t, l, member: number }, pred.subarray(from, from + cells));
      }
    }
    count(chunk.length);
  }
}

/** Roll-outs of as many states at once as fit a batch; leads are written when they are reached. */
async function forecastInSteps(
  { job, model, predictor, group, range, write, count }: Run,
  intervals: readonly number[],
): Promise<void> {
  const { steps, leads, outputs, states } = job;
  const { inputs, info } = model;
  const units = steps.flatMap((step, t) =>
    group.members.map(({ number, copy }) => ({ step, t, number, copy })),
  );
  const start = starts(job, model, group.lag);
  const cells = states.grid.lat.length * states.grid.lon.length;
  const predicted = inputs.filter((name) => info.outputs.includes(name) && !isConstant(name, states));
  for (const { first, chunk } of chunks(units, job.batchSize, group.dropped, range)) {
    const reached = rollout(await together(chunk, start), {
      inputs,
      outputs,
      cells,
      intervals,
      leads: leads.map((lead) => lead + group.lag),
      predicted,
      step: async (fields, hours, names, pass) => {
        job.signal.throwIfAborted();
        const leadHours = chunk.map(() => hours);
        const noise = noiseOf(job, group, first, pass);
        const pred = await predictor.predict({ variables: inputs, fields, leadHours, ...noise }, names);
        count(chunk.length);
        return pred;
      },
    });
    let l = 0;
    for await (const { lead, fields } of reached) {
      for (const [b, { step, t, number }] of chunk.entries()) {
        for (const [v, name] of outputs.entries()) {
          const from = (b * outputs.length + v) * cells;
          const field = fields.subarray(from, from + cells);
          if (!field.every(Number.isFinite)) throw blownUp(name, startOf(states, step), lead);
          await write(name, { t, l, member: number }, field);
        }
      }
      l++;
    }
  }
}

/** Which start, in words. */
function startOf({ describe, times }: States, step: number): string {
  return describe?.(step) ?? formatTime(times[step]!);
}

function blownUp(name: string, time: string, lead: number): ClimaxError {
  return new ClimaxError(
    "data",
    `the roll-out from ${time} has no finite ${name} any more at ${formatLead(lead)}: errors grew from step to step`,
    "ask for shorter leads, take longer steps, or forecast directly without --rollout",
  );
}

/** Reads starts, keeping the last state and the last perturbed one: units that share them follow one another. */
function starts(job: Forecasts, { info, inputs }: Model, lag: number) {
  const { states, missing, ensemble = noEnsemble } = job;
  const stds = new Map(info.variables.map(({ name, std }) => [name, std]));
  const history = info.task.kind === "projection" ? info.task.history : 1;
  const kept = new Map<number, Float32Array>(); // states of one step, the latest `history`
  const read = async (step: number): Promise<Float32Array> => {
    let fields = kept.get(step);
    if (!fields) {
      fields = await readState(states, step, { inputs, info, missing });
      if (kept.size >= history) kept.delete(kept.keys().next().value!);
      kept.set(step, fields);
    }
    return fields;
  };
  let perturbed: { key: string; fields: Float32Array } | undefined;
  return async ({ step, copy }: { step: number; copy: number }): Promise<Float32Array> => {
    const last = earlierStep(states, step, lag);
    if (history > 1) {
      const parts: Float32Array[] = [];
      for (let back = history - 1; back >= 0; back--) parts.push(await read(last - back));
      return concatenate(parts); // [T, V, H, W]
    }
    const fields = await read(last);
    if (copy === 0 || ensemble.noise === 0) return fields;
    const key = `${last} ${copy}`;
    if (perturbed?.key !== key) {
      perturbed = { key, fields: fields.slice() };
      const time = states.times[last]!;
      perturb(perturbed.fields, { names: inputs, stds, states, time, copy, ensemble });
    }
    return perturbed.fields;
  };
}

async function together<Unit>(
  chunk: readonly Unit[],
  start: (unit: Unit) => Promise<Float32Array>,
): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (const unit of chunk) parts.push(await start(unit));
  return concatenate(parts);
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.length * parts[0]!.length);
  for (const [i, part] of parts.entries()) out.set(part, i * part.length);
  return out;
}

// Samples with dropout are counted within blocks of so many: their place times the elements of a tensor stays below
// 2^32, as the shader wants it, for tensors of up to 32 million elements a sample.
const block = 128;

/** Where the batches of so many units end; with dropout none of them crosses the border of a block. */
function* chunkEnds(units: number, batchSize: number, dropped: boolean): Generator<number> {
  for (let first = 0; first < units; ) {
    const border = dropped ? block * Math.floor(first / block + 1) : units;
    first = Math.min(first + batchSize, border, units);
    yield first;
  }
}

/** The batches of a range. */
function* chunks<Unit>(
  units: readonly Unit[],
  batchSize: number,
  dropped: boolean,
  { from, to }: Run["range"],
): Generator<{ first: number; chunk: readonly Unit[] }> {
  let [number, first] = [0, 0];
  for (const end of chunkEnds(units.length, batchSize, dropped)) {
    if (number >= from && number < to) yield { first, chunk: units.slice(first, end) };
    number++;
    first = end;
  }
}

/** What a batch draws from: a unit drops the same whatever the batch it is in. */
function noiseOf({ ensemble = noEnsemble }: Forecasts, { dropped, lag }: Group, first: number, pass: number) {
  if (!dropped) return {};
  const step = hash32(Math.floor(first / block), pass, Math.round(lag * 60));
  return { random: new Random(ensemble.seed, step, first % block) };
}
