// Forecasts that need no network: fields that are there already, as files like those of trained models.

import { stretchOf } from "../data/share.ts";
import { addHours, type CfTime } from "../data/time.ts";
import { parseName } from "../data/variables.ts";
import type { Grid } from "../grid/grid.ts";
import { type ClimatologyKind, makeClimatology } from "../sets/climatology.ts";
import type { PreparedSet } from "../sets/prepared.ts";
import { beginOutput } from "./forecast.ts";
import type { ShareOfForecasts } from "./sharefile.ts";
import type { States } from "./states.ts";

export interface UntrainedJob {
  readonly grid: Grid;
  readonly initial: readonly CfTime[];
  /** Hours, ascending. */
  readonly leads: readonly number[];
  readonly outputs: readonly string[];
  /** [H, W] of a variable, for an initial time and the lead counted by their places in the lists. */
  field(name: string, t: number, l: number): Promise<Float32Array>;
  readonly output: string;
  /** Only this share of the initial times. */
  readonly share?: ShareOfForecasts | undefined;
  readonly attributes: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Counts initial times with leads. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Writes fields that are found, not predicted. The file appears whole or not at all. */
export async function writeUntrained(job: UntrainedJob): Promise<void> {
  const { grid, initial, leads, outputs } = job;
  const variables = outputs.map((name) => ({ name, units: parseName(name).info.units }));
  const { attributes } = job;
  const output = await beginOutput(job, { grid, initial, leads, members: 1, variables, attributes });
  const [from, to] = job.share ? stretchOf(initial.length, job.share) : [0, initial.length];
  try {
    for (let t = from; t < to; t++) {
      job.signal.throwIfAborted();
      for (let l = 0; l < leads.length; l++)
        for (const name of outputs)
          await output.write(name, { t, l, member: 0 }, await job.field(name, t, l));
      job.onProgress?.((t + 1 - from) * leads.length, (to - from) * leads.length);
    }
    await output.close();
  } catch (error) {
    await output.abort();
    throw error;
  }
}

/** The field at the initial time, whatever the lead. One state is kept, by variable. */
export function persistenceField(states: States, steps: readonly number[]): UntrainedJob["field"] {
  let held: { t: number; fields: Map<string, Float32Array> } | undefined;
  return async (name, t) => {
    if (held?.t !== t) held = { t, fields: new Map() };
    let field = held.fields.get(name);
    if (!field) held.fields.set(name, (field = await states.read(steps[t]!, name)));
    return field;
  };
}

/** The usual field at the valid time, of the training period of a set. */
export function climatologyField(
  set: PreparedSet,
  kind: ClimatologyKind,
  initial: readonly CfTime[],
  leads: readonly number[],
): UntrainedJob["field"] {
  return async (name, t, l) =>
    (await makeClimatology(set, kind, name)).field(addHours(initial[t]!, leads[l]!));
}
