/** The scoring itself: every system and baseline on exactly the same initial and valid times, one field at a time. */
import { formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { Accumulator, Field } from "./accumulator.ts";
import { type BaselineName, type Climatology, persistence } from "./baselines.ts";
import { cellWeights, type Definition } from "./definitions.ts";
import { ensembleMean } from "./ensemble.ts";
import { type MetricName, metrics } from "./metrics.ts";
import type { Sample, Samples } from "./samples.ts";
import { controlName, type ForecastSystem } from "./systems.ts";
import { type FieldAt, type Truth, timeMean } from "./truth.ts";

export interface ScoreRow {
  readonly system: string;
  readonly definition: string;
  readonly metric: MetricName;
  /** ClimaX name. */
  readonly variable: string;
  readonly lead_hours: number;
  /** "global", or the region that forecasts and truth are of. */
  readonly region: string;
  /** null where the score has no value: a correlation without variance. */
  readonly value: number | null;
  /** Confidence limits; null: not computed. */
  readonly low: number | null;
  readonly high: number | null;
  /** Forecasts that entered. */
  readonly samples: number;
}

export interface EvaluateOptions {
  readonly systems: readonly ForecastSystem[];
  readonly truth: Truth;
  readonly samples: Samples;
  readonly definition: Definition;
  readonly metrics: readonly MetricName[];
  readonly baselines: readonly BaselineName[];
  /** Of the climatology baselines; one that is not here is not scored. */
  readonly climatologies: ReadonlyMap<BaselineName, Climatology>;
  /** What anomalies are taken from; wanted by `acc`. */
  readonly anomalies: Climatology | undefined;
  /** Whether the first member of each ensemble is scored as a system of its own, "NAME control". */
  readonly control?: boolean;
  /** "global" unless given. */
  readonly region?: string;
  readonly onProgress?: (done: number, total: number) => void;
  readonly warn?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Scores the systems and baselines. Memory holds a few fields, whatever the number of forecasts. An ensemble enters
 * as its mean, but in the scores that are about members; a forecast that is a mean over time is scored against the
 * mean of the truth's states inside, persistence with the one state at the initial time, a climatology with its mean
 * over the same times.
 *
 * @throws ClimaxError "data" for a forecast that is not finite where the truth is known: it names system,
 *         variable, initial time and lead
 */
export async function evaluate(options: EvaluateOptions): Promise<ScoreRow[]> {
  const { samples, onProgress, signal } = options;
  const weights = cellWeights(options.truth.grid, options.definition);
  const total = samples.byVariable.reduce((sum, { samples }) => sum + samples.length, 0);
  let done = 0;
  const rows: ScoreRow[] = [];
  for (const { variable, leads, samples: list } of samples.byVariable) {
    const fields = await baselineFields(options, variable);
    const names = [
      ...options.systems.flatMap((system) => [
        system.name,
        ...(options.control && system.members > 1 ? [controlName(system)] : []),
      ]),
      ...options.baselines.filter((name) => name === "persistence" || fields.climatologies.has(name)),
    ];
    const boards = new Map(leads.map((lead) => [lead, new Board(names, weights, options)]));
    const plausible = new Set<string>();
    for (const sample of list) {
      signal?.throwIfAborted();
      const states = await readStates(options, variable, sample, fields, plausible);
      boards.get(sample.leadHours)!.add(states);
      onProgress?.(++done, total);
    }
    for (const metric of options.metrics) {
      for (const system of names) {
        for (const [lead_hours, board] of boards) {
          rows.push({
            system,
            definition: options.definition.name,
            metric,
            variable,
            lead_hours,
            region: options.region ?? "global",
            ...board.score(system, metric),
          });
        }
      }
    }
  }
  return rows;
}

interface BaselineFields {
  readonly climatologies: ReadonlyMap<BaselineName, FieldAt>;
  readonly anomalies: FieldAt | undefined;
}

async function baselineFields(options: EvaluateOptions, variable: string): Promise<BaselineFields> {
  const climatologies = new Map<BaselineName, FieldAt>();
  for (const [name, climatology] of options.climatologies) {
    const field = await climatology.field(variable);
    if (field) climatologies.set(name, field);
    else options.warn?.(`${climatology.label} has no ${variable}: no ${name} baseline for it`);
  }
  if (!options.metrics.includes("acc")) return { climatologies, anomalies: undefined };
  const anomalies = await options.anomalies?.field(variable);
  if (!anomalies) {
    throw new ClimaxError(
      "data",
      `acc of ${variable} needs the climatology that anomalies are taken from; ${options.anomalies?.label ?? "none was given"}`,
      "give one with --climatology, or leave acc out: --metrics rmse,mae,bias",
    );
  }
  return { climatologies, anomalies };
}

/** A forecast as it is scored: one field, of an ensemble its mean, and then its members too. */
interface Forecast {
  readonly forecast: Field;
  readonly members?: readonly Field[];
}

/** All that is scored at one initial time and lead: the forecasts by system name, the truth, NaN where nothing is scored. */
interface States {
  readonly forecasts: ReadonlyMap<string, Forecast>;
  readonly truth: Field;
  readonly climatology: Field | undefined;
}

async function readStates(
  options: EvaluateOptions,
  variable: string,
  sample: Sample,
  fields: BaselineFields,
  plausible: Set<string>,
): Promise<States> {
  const { systems, truth, baselines, warn } = options;
  const forecasts = new Map<string, Forecast>();
  const anomalies = fields.anomalies && meanAt(fields.anomalies, truth, sample);
  const trusted: (Field | undefined)[] = [anomalies];
  const addBaseline = (name: BaselineName, forecast: Field) => {
    forecasts.set(name, { forecast });
    trusted.push(forecast);
  };
  if (baselines.includes("persistence")) {
    addBaseline("persistence", await persistence(truth, variable, sample.initialStep!));
  }
  for (const [name, field] of fields.climatologies) addBaseline(name, meanAt(field, truth, sample));
  // A cell is scored where the truth and every baseline are known, so that all systems have the same cells.
  const happened = onlyWhere(await readTruth(truth, variable, sample), trusted);
  for (const system of systems) {
    const members: Float32Array[] = [];
    for (let member = 0; member < system.members; member++) {
      members.push(await system.read(variable, sample.initial, sample.leadHours, member));
    }
    const single = members.length === 1;
    const forecast = single ? members[0]! : ensembleMean(members);
    checkFinite(system.name, variable, sample, forecast, happened);
    if (!plausible.has(system.name)) {
      plausible.add(system.name);
      const doubt = implausible(forecast, happened);
      if (doubt) warn?.(`${variable} of ${system.name} ${doubt}`);
    }
    forecasts.set(system.name, single ? { forecast } : { forecast, members });
    if (options.control && !single) forecasts.set(controlName(system), { forecast: members[0]! });
  }
  return { forecasts, truth: happened, climatology: anomalies };
}

/** The truth at the valid time; of a mean over time, the mean of its states inside, NaN where one of them is missing. */
async function readTruth(truth: Truth, variable: string, { validSteps }: Sample): Promise<Field> {
  const [only] = validSteps;
  return validSteps.length === 1 ? truth.read(variable, only!) : timeMean(truth, variable, validSteps);
}

/** The mean of a climatology over the valid times of a sample. */
function meanAt(field: FieldAt, truth: Truth, { validSteps }: Sample): Field {
  const states = validSteps.map((step) => field(truth.times[step]!));
  return states.every((state) => state === states[0]) ? states[0]! : ensembleMean(states);
}

/** The field with NaN wherever one of the others has it. */
function onlyWhere(field: Field, others: readonly (Field | undefined)[]): Field {
  let masked = field;
  for (const other of others) {
    for (let i = 0; other && i < field.length; i++) {
      if (!Number.isNaN(other[i]!) || Number.isNaN(masked[i]!)) continue;
      if (masked === field) masked = field.slice();
      masked[i] = Number.NaN;
    }
  }
  return masked;
}

function checkFinite(system: string, variable: string, sample: Sample, forecast: Field, truth: Field): void {
  let bad = 0;
  for (let i = 0; i < truth.length; i++) {
    if (!Number.isNaN(truth[i]!) && !Number.isFinite(forecast[i]!)) bad++;
  }
  if (bad === 0) return;
  throw new ClimaxError(
    "data",
    `${variable} of ${system} is missing or not finite in ${bad} of ${truth.length} cells where the truth is known ` +
      `(initial time ${formatTime(sample.initial)}, lead ${sample.leadHours} h)`,
    "a forecast must be whole wherever it is scored: repair the file, or leave this variable or lead out with --variables or --leads",
  );
}

/** Says so when a forecast is so far from the truth that its units must be doubted. */
function implausible(forecast: Field, truth: Field): string | undefined {
  let [n, f, y, yy] = [0, 0, 0, 0];
  for (let i = 0; i < truth.length; i++) {
    if (Number.isNaN(truth[i]!)) continue;
    n++;
    f += forecast[i]!;
    y += truth[i]!;
    yy += truth[i]! ** 2;
  }
  const spread = Math.sqrt(Math.max(0, yy / n - (y / n) ** 2));
  // Kelvin beside Celsius, or metres beside m2 s-2, differ by well over ten times the variation over the globe.
  if (!(Math.abs(f - y) / n > 8 * spread) || spread === 0) return undefined;
  const [mean, wanted] = [f / n, y / n].map((value) => value.toPrecision(5));
  return `averages ${mean} where the truth averages ${wanted}: is it in the same units?`;
}

/** The accumulators of one variable and lead. */
class Board {
  readonly #scores: Map<string, Map<MetricName, Accumulator>>;
  #samples = 0;

  constructor(systems: readonly string[], weights: Float64Array, options: EvaluateOptions) {
    this.#scores = new Map(
      systems.map((system) => [
        system,
        new Map(options.metrics.map((name) => [name, metrics[name](weights, options.definition)])),
      ]),
    );
  }

  add({ forecasts, truth, climatology }: States): void {
    this.#samples++;
    for (const [system, scores] of this.#scores) {
      const forecast = forecasts.get(system)!;
      for (const score of scores.values()) {
        score.add({ ...forecast, truth, ...(climatology && { climatology }) });
      }
    }
  }

  score(system: string, metric: MetricName) {
    const value = this.#scores.get(system)!.get(metric)!.value();
    return { value: Number.isFinite(value) ? value : null, low: null, high: null, samples: this.#samples };
  }
}
