/** What costs nothing and must be beaten: the state at the start, and the average state. */
import { openArchive } from "../data/archive.ts";
import { openSet } from "../data/prepared.ts";
import { formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid, sameGrid } from "../grid/grid.ts";
import type { Definition } from "./definitions.ts";
import type { Field } from "./metrics.ts";
import type { Samples } from "./samples.ts";
import { isPreparedSet, type Truth, timeMean } from "./truth.ts";

export const baselineNames = ["persistence", "climatology"] as const;
export type BaselineName = (typeof baselineNames)[number];

/** An average state, the same at every valid time. */
export interface Climatology {
  /** Whose average it is, in words for the reader of a score. */
  readonly label: string;
  /** [H * W] in the variable's ClimaX units; undefined for a variable it does not have. */
  field(name: string): Promise<Field | undefined>;
}

/** Persistence: the forecast for any valid time is the truth at the initial time. */
export function persistence(truth: Truth, name: string, initialStep: number): Promise<Float32Array> {
  return truth.read(name, initialStep);
}

/** The time mean over the training period of a prepared set. */
function trainingClimatology(truth: Truth): Climatology | undefined {
  const { trainingMean, units } = truth;
  return (
    trainingMean && {
      label: `the mean of the training period of ${truth.path}`,
      field: async (name) => (units.has(name) ? trainingMean(name) : undefined),
    }
  );
}

/** The time mean of the truth over the given states, made once for each variable that is asked for. */
function evaluationClimatology(truth: Truth, steps: readonly number[], what: string): Climatology {
  const made = new Map<string, Promise<Field>>();
  return {
    label: `the mean of the truth over ${what}`,
    field: async (name) => {
      if (!truth.units.has(name)) return undefined;
      let mean = made.get(name);
      if (!mean) made.set(name, (mean = timeMean(truth, name, steps)));
      return mean;
    },
  };
}

/**
 * A climatology of its own: the training mean of a prepared set, or the time mean of a file (of one state: that state).
 *
 * @throws ClimaxError "grid" when it is not on the truth's grid
 */
async function openClimatology(path: string, grid: Grid): Promise<Climatology & { close(): Promise<void> }> {
  if (isPreparedSet(path)) {
    const set = await openSet(path);
    const names = new Set(set.variables.map(({ name }) => name));
    checkGrid(path, set.grid, grid);
    return {
      label: `the mean of the training period of ${path}`,
      field: async (name) => (names.has(name) ? set.climatology(name) : undefined),
      close: () => set.close(),
    };
  }
  const archive = await openArchive([path]);
  checkGrid(path, archive.grid, grid);
  const steps = Array.from({ length: Math.max(1, archive.times.length) }, (_, step) => step);
  return {
    label: `the mean of ${path} (${steps.length} ${steps.length === 1 ? "state" : "states"})`,
    field: async (name) => {
      const variable = archive.variables.get(name);
      if (!variable) return undefined;
      const source = { grid, read: (_: string, step: number) => variable.read(step) };
      return timeMean(source, name, variable.constant ? [0] : steps);
    },
    close: () => archive.close(),
  };
}

function checkGrid(path: string, found: Grid, wanted: Grid): void {
  if (sameGrid(found, wanted)) return;
  throw new ClimaxError(
    "grid",
    `the climatology ${path} is on ${describeGrid(found)}, the truth on ${describeGrid(wanted)}`,
    `put it on the truth's grid first: climax regrid ${path} --res ... -o ...`,
  );
}

/** What the climatology baseline forecasts, and what anomalies are taken from. */
export interface Climatologies {
  readonly baseline: Climatology | undefined;
  readonly anomalies: Climatology;
  close(): Promise<void>;
}

/**
 * Chooses both: a path gives both; "train" is the training mean of the truth's set for both; "evaluation" takes
 * anomalies from the mean of the truth over the test period, as does a definition that says so; the baseline is
 * then the training mean still.
 *
 * @throws ClimaxError "config" for "train" without a prepared set
 */
export async function chooseClimatology(
  asked: string | undefined,
  definition: Definition,
  truth: Truth,
  samples: Samples,
): Promise<Climatologies> {
  const training = trainingClimatology(truth);
  const close = async () => undefined;
  if (asked === "train") {
    if (training) return { baseline: training, anomalies: training, close };
    throw new ClimaxError(
      "config",
      `--climatology train wants a prepared set as the truth; ${truth.path} is none`,
      "give the set's folder as --climatology, or --climatology evaluation",
    );
  }
  if (asked !== undefined && asked !== "evaluation") {
    const own = await openClimatology(asked, truth.grid);
    return { baseline: own, anomalies: own, close: own.close };
  }
  const useTraining = asked === undefined && definition.anomalies === "climatology";
  if (useTraining && training) return { baseline: training, anomalies: training, close };
  const { steps, what } = evaluationSteps(truth, samples);
  return { baseline: training, anomalies: evaluationClimatology(truth, steps, what), close };
}

/** The whole splits that are scored on; of archive files, all that the user gave as the truth. */
function evaluationSteps(truth: Truth, { validSteps }: Samples) {
  const splits = new Set(validSteps.map((step) => truth.splitOf(step)));
  const steps = truth.times.flatMap((_, step) => (splits.has(truth.splitOf(step)) ? [step] : []));
  const span = [steps[0]!, steps.at(-1)!].map((step) => formatTime(truth.times[step]!));
  const part = splits.has(undefined) ? "" : `the ${[...splits].join(" and ")} split, `;
  return { steps, what: `${part}${span.join(" to ")} (${steps.length} states)` };
}
