/**
 * What is scored at one initial time and lead: the truth, the baselines and the systems, all over the same cells. An
 * ensemble enters as its mean and, for scores about members, with them; where fields are means over time, the truth
 * is the mean of its states inside, persistence the one state at the initial time, a climatology its mean over the same
 * times.
 */
import type { BaselineName } from "../scores/baselinenames.ts";
import { ensembleMean } from "../scores/ensemble.ts";
import type { Field } from "../scores/metric.ts";
import { persistence } from "./baselines.ts";
import type { Climatology } from "./climatologysource.ts";
import { type DoubtPolicy, Watch } from "./doubts.ts";
import {
  type Gap,
  type GapLedger,
  type GapPolicy,
  maskGaps,
  type Overview,
  overview,
  refuseGap,
} from "./gaps.ts";
import type { Sample } from "./samples.ts";
import { controlName, type ForecastSystem } from "./systems.ts";
import { type FieldAt, type Truth, timeMean } from "./truth.ts";

/** A forecast as it is scored: one field, of an ensemble its mean, and then its members too. */
export interface Forecast {
  readonly forecast: Field;
  readonly members?: readonly Field[];
}

export interface States {
  /** By the name of the system or baseline. */
  readonly forecasts: ReadonlyMap<string, Forecast>;
  /** NaN where nothing is scored. */
  readonly truth: Field;
  readonly climatology: Field | undefined;
}

/** The states that are usual, of one variable. */
export interface UsualFields {
  readonly climatologies: ReadonlyMap<BaselineName, FieldAt>;
  readonly anomalies: FieldAt | undefined;
}

export interface StatesOptions {
  readonly systems: readonly ForecastSystem[];
  readonly truth: Truth;
  readonly baselines: readonly BaselineName[];
  readonly climatologies: ReadonlyMap<BaselineName, Climatology>;
  readonly anomalies: Climatology | undefined;
  readonly control?: boolean;
  readonly gaps: GapPolicy;
  readonly doubts: DoubtPolicy;
  readonly warn: (text: string) => void;
}

/** Reads the states of one variable. */
export class StateReader {
  readonly #options: StatesOptions;
  readonly #variable: string;
  readonly #usual: UsualFields;
  readonly #ledger: GapLedger | undefined;
  readonly #watches: ReadonlyMap<string, Watch>;
  readonly #buffers = new Map<string, Float64Array>();

  /**
   * @param samples all that will be read, in order
   * @param ledger  where gaps are counted; undefined: neither counted nor are forecasts doubted, for another reader
   *                of the same variable does
   */
  constructor(
    options: StatesOptions,
    variable: string,
    usual: UsualFields,
    samples: readonly Sample[],
    ledger: GapLedger | undefined,
  ) {
    this.#options = options;
    this.#variable = variable;
    this.#usual = usual;
    this.#ledger = ledger;
    const { truth, doubts: policy, warn } = options;
    const watched = ledger ? options.systems : [];
    this.#watches = new Map(
      watched.map(({ name, averageHours }) => [
        name,
        new Watch({
          ...{ variable, system: name, truth, samples, policy, warn },
          means: averageHours !== undefined,
        }),
      ]),
    );
  }

  /**
   * A cell is scored where the truth and every baseline are known, so that all systems have the same cells. The fields
   * last until the next sample is read.
   *
   * @returns undefined for a forecast that is left out because of its gaps
   * @throws ClimaxError "data" for gaps and doubtful forecasts, where they are to be refused
   */
  async read(sample: Sample): Promise<States | undefined> {
    const { systems, truth, baselines, control } = this.#options;
    const forecasts = new Map<string, Forecast>();
    const climatology = this.#usual.anomalies && (await meanAt(this.#usual.anomalies, truth, sample));
    const trusted: (Field | undefined)[] = [climatology];
    const usual = new Map<string, Forecast>();
    if (baselines.includes("persistence")) {
      const forecast = await persistence(truth, this.#variable, sample.initialStep!);
      usual.set("persistence", { forecast });
      trusted.push(forecast);
    }
    for (const [name, at] of this.#usual.climatologies) {
      const forecast = await meanAt(at, truth, sample);
      usual.set(name, { forecast });
      trusted.push(forecast);
    }
    let happened = onlyWhere(await readTruth(truth, this.#variable, sample), trusted);
    for (const system of systems) {
      const members: Float32Array[] = [];
      for (let member = 0; member < system.members; member++) {
        members.push(await system.read(this.#variable, sample.initial, sample.leadHours, member));
      }
      const single = members.length === 1;
      const forecast = single ? members[0]! : ensembleMean(members);
      forecasts.set(system.name, single ? { forecast } : { forecast, members });
      if (control && !single) forecasts.set(controlName(system), { forecast: members[0]! });
    }
    const seen = new Map(
      systems.map(({ name }) => [name, overview(forecasts.get(name)!.forecast, happened)]),
    );
    if ([...seen.values()].some(({ gaps }) => gaps > 0)) {
      const masked = this.#withoutGaps(sample, forecasts, happened, seen);
      if (masked === undefined) return undefined;
      happened = masked;
      for (const { name } of systems) seen.set(name, overview(forecasts.get(name)!.forecast, happened));
    }
    for (const [name, watch] of this.#watches) {
      await watch.observe(sample, forecasts.get(name)!.forecast, happened, seen.get(name)!);
    }
    for (const baseline of baselines) {
      const forecast = usual.get(baseline);
      if (forecast) forecasts.set(baseline, forecast);
    }
    return {
      forecasts: new Map(
        [...forecasts].map(([name, { forecast, ...rest }]) => [
          name,
          { ...rest, forecast: this.#widen(`forecast ${name}`, forecast) },
        ]),
      ),
      truth: this.#widen("truth", happened),
      climatology: climatology && this.#widen("climatology", climatology),
    };
  }

  /** As f64 in a buffer of that role: loops over cells that meet now f32, now f64 take several times as long. */
  #widen(role: string, field: Field): Float64Array {
    let buffer = this.#buffers.get(role);
    if (!buffer) this.#buffers.set(role, (buffer = new Float64Array(field.length)));
    buffer.set(field);
    return buffer;
  }

  /** Judges what few forecasts could not. Throws as `read`. */
  finish(): void {
    for (const watch of this.#watches.values()) watch.finish();
  }

  /** The truth without the cells where a system has a gap; undefined where the forecast is left out. */
  #withoutGaps(
    sample: Sample,
    forecasts: ReadonlyMap<string, Forecast>,
    happened: Field,
    seen: ReadonlyMap<string, Overview>,
  ): Field | undefined {
    const { gaps: policy } = this.#options;
    let masked = happened;
    for (const [system, { gaps, known }] of seen) {
      if (gaps === 0) continue;
      const gap: Gap = { system, variable: this.#variable, sample, gaps, known };
      if (policy === "error") refuseGap(gap);
      this.#ledger?.add(gap);
      masked = maskGaps(masked, forecasts.get(system)!.forecast);
    }
    return policy === "skip" ? undefined : masked;
  }
}

/** The truth at the valid time; of a mean over time, the mean of its states inside, NaN where one of them is missing. */
async function readTruth(truth: Truth, variable: string, { validSteps }: Sample): Promise<Field> {
  const [only] = validSteps;
  return validSteps.length === 1 ? truth.read(variable, only!) : timeMean(truth, variable, validSteps);
}

/** The mean of a climatology over the valid times of a sample. */
async function meanAt(at: FieldAt, truth: Truth, { validSteps }: Sample): Promise<Field> {
  const states: Field[] = [];
  for (const step of validSteps) states.push(await at(truth.times[step]!));
  return states.every((state) => state === states[0]) ? states[0]! : ensembleMean(states);
}

/** Whether a field has a gap; fields come again and again. */
const incomplete = new WeakMap<Field, boolean>();

function hasGap(field: Field): boolean {
  let known = incomplete.get(field);
  if (known === undefined) {
    known = false;
    for (let i = 0; i < field.length && !known; i++) known = Number.isNaN(field[i]!);
    incomplete.set(field, known);
  }
  return known;
}

/** The field with NaN wherever one of the others has it. */
function onlyWhere(field: Field, others: readonly (Field | undefined)[]): Field {
  let masked = field;
  for (const other of others) {
    if (!other || !hasGap(other)) continue;
    if (masked === field) masked = field.slice();
    for (let i = 0; i < masked.length; i++) if (Number.isNaN(other[i]!)) masked[i] = Number.NaN;
  }
  return masked;
}
