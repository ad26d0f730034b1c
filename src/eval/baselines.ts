/** What costs nothing and must be beaten: the state at the start, and the state that is usual. */
import { formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { BaselineName } from "../scores/baselinenames.ts";
import type { Definition } from "../scores/definitions.ts";
import type { ClimatologyKind } from "../sets/climatology.ts";
import type { Aligned } from "./align.ts";
import {
  type Climatology,
  climatologyWords,
  fromTraining,
  type OwnClimatology,
  openClimatology,
  type Training,
} from "./climatologysource.ts";
import type { Samples } from "./samples.ts";
import { type Truth, timeMean } from "./truth.ts";

/** The climatology that a baseline forecasts. */
const kinds: Partial<Record<BaselineName, ClimatologyKind>> = {
  climatology: "mean",
  "climatology-weekly": "weekly",
  "climatology-dayofyear": "dayofyear",
};

/** Persistence: the forecast for any valid time is the truth at the initial time. */
export function persistence(truth: Truth, name: string, initialStep: number): Promise<Float32Array> {
  return truth.read(name, initialStep);
}

/** That of a prepared set that is the truth. */
function trainingOf({ path, training, units }: Truth): Training | undefined {
  return (
    training && { path, make: async (kind, name) => (units.has(name) ? training(kind, name) : undefined) }
  );
}

/** The time mean of the truth over the given states, made once for each variable that is asked for. */
function evaluationClimatology(truth: Truth, steps: readonly number[], what: string): Climatology {
  const made = new Map<string, Promise<Float64Array>>();
  return {
    label: `the mean of the truth over ${what}`,
    field: async (name) => {
      if (!truth.units.has(name)) return undefined;
      let mean = made.get(name);
      if (!mean) made.set(name, (mean = timeMean(truth, name, steps)));
      const field = await mean;
      return () => field;
    },
  };
}

/** What the climatology baselines forecast, and what anomalies are taken from. */
export interface Climatologies {
  /** Of the baselines that were asked for and can be had. */
  readonly baselines: ReadonlyMap<BaselineName, Climatology>;
  readonly anomalies: Climatology;
  /** What was converted, assumed or regridded. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

export interface ClimatologyOptions {
  /** A path, one of the words, or undefined: as the definition says. */
  readonly asked: string | undefined;
  readonly definition: Definition;
  /** As it is scored: on the common grid, and in the units of the bench. */
  readonly truth: Truth;
  readonly samples: Samples;
  readonly baselines: readonly BaselineName[];
  /** Whether the user named them: then one that cannot be had is refused, else left out. Refused unless given. */
  readonly baselinesAsked?: boolean;
  readonly alignmentOf: Aligned["alignmentOf"];
}

/**
 * Chooses both. A path gives both: a prepared set, a climatology by day of the year and hour as WeatherBench 2 stores
 * it or by month, or states, whose mean is taken. "train", "weekly" and "dayofyear" take anomalies from that
 * climatology of the truth's training period; "evaluation" from the mean of the truth over the test period, as does a
 * definition that says so. A definition that wants a climatology takes that by day of the year of a training period,
 * where the truth or the path has one. Baselines are of the training period, whatever anomalies are from.
 *
 * @throws ClimaxError "config" for what needs a training period where the truth is no prepared set
 */
export async function chooseClimatology(options: ClimatologyOptions): Promise<Climatologies> {
  const { asked, definition, truth, samples } = options;
  const training = trainingOf(truth);
  const close = async () => undefined;
  const word = climatologyWords.find((known) => known === asked);
  if (asked !== undefined && word === undefined) {
    const own = await openClimatology(asked, options.alignmentOf);
    try {
      const baselines = chooseBaselines(options, own.training, own);
      const seasonal = definition.anomalies === "climatology" && own.training;
      const anomalies = seasonal ? fromTraining(seasonal, "dayofyear") : own.climatology;
      return { baselines, anomalies, notes: own.notes, close: own.close };
    } catch (error) {
      await own.close();
      throw error;
    }
  }
  const baselines = chooseBaselines(options, training, undefined);
  if (word === "evaluation" || (word === undefined && (definition.anomalies === "evaluation" || !training))) {
    const { steps, what } = evaluationSteps(truth, samples);
    return { baselines, anomalies: evaluationClimatology(truth, steps, what), notes: [], close };
  }
  if (!training) {
    throw new ClimaxError(
      "config",
      `--climatology ${word} wants a prepared set as the truth; ${truth.path} is none`,
      "give the set's folder as --climatology, or --climatology evaluation",
    );
  }
  const kind = word === "train" ? "mean" : word === "weekly" ? "weekly" : "dayofyear";
  return { baselines, anomalies: fromTraining(training, kind), notes: [], close };
}

/** The mean is left out where it cannot be had; the others are refused when they were asked for. */
function chooseBaselines(
  { asked, baselines, baselinesAsked = true, truth }: ClimatologyOptions,
  training: Training | undefined,
  own: OwnClimatology | undefined,
): Map<BaselineName, Climatology> {
  const chosen = new Map<BaselineName, Climatology>();
  for (const name of baselines) {
    const kind = kinds[name];
    if (kind === undefined) continue;
    if (training) chosen.set(name, fromTraining(training, kind));
    else if (own && (kind === "mean" || kind === own.kind)) chosen.set(name, own.climatology);
    else if (kind !== "mean" && baselinesAsked) {
      throw new ClimaxError(
        "config",
        `the baseline ${name} wants the training period of a prepared set; ${own ? asked : truth.path} is none`,
        "give the folder of a prepared set as --truth or --climatology, or leave the baseline out",
      );
    }
  }
  return chosen;
}

/** The whole splits that are scored on; of archive files, all that the user gave as the truth. */
function evaluationSteps(truth: Truth, { validSteps }: Samples) {
  const splits = new Set(validSteps.map((step) => truth.splitOf(step)));
  const steps = truth.times.flatMap((_, step) => (splits.has(truth.splitOf(step)) ? [step] : []));
  const span = [steps[0]!, steps.at(-1)!].map((step) => formatTime(truth.times[step]!));
  const part = splits.has(undefined) ? "" : `the ${[...splits].join(" and ")} split, `;
  return { steps, what: `${part}${span.join(" to ")} (${steps.length} states)` };
}
