/** The scoring itself: every system and baseline on exactly the same initial and valid times, one field at a time. */
import { formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { type BaselineName, type Climatology, persistence } from "./baselines.ts";
import { cellWeights, type Definition } from "./definitions.ts";
import { type Accumulator, type Field, type MetricName, metrics } from "./metrics.ts";
import type { Sample, Samples } from "./samples.ts";
import type { ForecastSystem } from "./systems.ts";
import type { Truth } from "./truth.ts";

export interface ScoreRow {
  readonly system: string;
  readonly definition: string;
  readonly metric: MetricName;
  /** ClimaX name. */
  readonly variable: string;
  readonly lead_hours: number;
  readonly region: "global";
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
  /** The forecast of the climatology baseline; without it there is none. */
  readonly climatology: Climatology | undefined;
  /** What anomalies are taken from; wanted by `acc`. */
  readonly anomalies: Climatology | undefined;
  readonly onProgress?: (done: number, total: number) => void;
  readonly warn?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Scores the systems and baselines. Memory holds a few fields, whatever the number of forecasts.
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
      ...options.systems.map(({ name }) => name),
      ...options.baselines.filter((name) => name !== "climatology" || fields.climatology),
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
            region: "global",
            ...board.score(system, metric),
          });
        }
      }
    }
  }
  return rows;
}

interface BaselineFields {
  readonly climatology: Field | undefined;
  readonly anomalies: Field | undefined;
}

async function baselineFields(options: EvaluateOptions, variable: string): Promise<BaselineFields> {
  const wanted = options.baselines.includes("climatology");
  const climatology = wanted ? await options.climatology?.field(variable) : undefined;
  if (wanted && options.climatology && !climatology) {
    options.warn?.(`${options.climatology.label} has no ${variable}: no climatology baseline for it`);
  }
  if (!options.metrics.includes("acc")) return { climatology, anomalies: undefined };
  const anomalies = await options.anomalies?.field(variable);
  if (!anomalies) {
    throw new ClimaxError(
      "data",
      `acc of ${variable} needs the climatology that anomalies are taken from; ${options.anomalies?.label ?? "none was given"}`,
      "give one with --climatology, or leave acc out: --metrics rmse,mae,bias",
    );
  }
  return { climatology, anomalies };
}

/** All that is scored at one initial time and lead: the forecasts by system name, the truth, NaN where nothing is scored. */
interface States {
  readonly forecasts: ReadonlyMap<string, Field>;
  readonly truth: Field;
  readonly climatology: Field | undefined;
}

async function readStates(
  { systems, truth, baselines, warn }: EvaluateOptions,
  variable: string,
  sample: Sample,
  { climatology, anomalies }: BaselineFields,
  plausible: Set<string>,
): Promise<States> {
  const forecasts = new Map<string, Field>();
  const trusted: (Field | undefined)[] = [climatology, anomalies];
  if (baselines.includes("persistence")) {
    const field = await persistence(truth, variable, sample.initialStep!);
    forecasts.set("persistence", field);
    trusted.push(field);
  }
  if (climatology) forecasts.set("climatology", climatology);
  // A cell is scored where the truth and every baseline are known, so that all systems have the same cells.
  const happened = onlyWhere(await truth.read(variable, sample.validStep), trusted);
  for (const system of systems) {
    const forecast = await system.read(variable, sample.initial, sample.leadHours);
    checkFinite(system.name, variable, sample, forecast, happened);
    if (!plausible.has(system.name)) {
      plausible.add(system.name);
      const doubt = implausible(forecast, happened);
      if (doubt) warn?.(`${variable} of ${system.name} ${doubt}`);
    }
    forecasts.set(system.name, forecast);
  }
  return { forecasts, truth: happened, climatology: anomalies };
}

/** The field with NaN wherever one of the others has it. */
function onlyWhere(field: Float32Array, others: readonly (Field | undefined)[]): Float32Array {
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
        score.add({ forecast, truth, ...(climatology && { climatology }) });
      }
    }
  }

  score(system: string, metric: MetricName) {
    const value = this.#scores.get(system)!.get(metric)!.value();
    return { value: Number.isFinite(value) ? value : null, low: null, high: null, samples: this.#samples };
  }
}
