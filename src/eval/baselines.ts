/** What costs nothing and must be beaten: the state at the start, and the state that is usual. */
import { openArchive } from "../data/archive.ts";
import { formatTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid } from "../grid/grid.ts";
import { type ClimatologyKind, makeClimatology } from "../sets/climatology.ts";
import { openSet } from "../sets/prepared.ts";
import type { Definition } from "./definitions.ts";
import type { Samples } from "./samples.ts";
import { type FieldAt, isPreparedSet, type Truth, timeMean } from "./truth.ts";
import { type BenchUnits, makeView, type View, viewField } from "./view.ts";

export const baselineNames = [
  "persistence",
  "climatology",
  "climatology-weekly",
  "climatology-dayofyear",
] as const;
export type BaselineName = (typeof baselineNames)[number];

/** The climatology that a baseline forecasts. */
const kinds: Partial<Record<BaselineName, ClimatologyKind>> = {
  climatology: "mean",
  "climatology-weekly": "weekly",
  "climatology-dayofyear": "dayofyear",
};

/** What `--climatology` takes besides paths. */
const climatologyWords = ["evaluation", "train", "weekly", "dayofyear"] as const;

/** A usual state for each valid time. */
export interface Climatology {
  /** Whose it is, in words for the reader of a score. */
  readonly label: string;
  /** [H * W] for each valid time, in the units that are scored; undefined for a variable it does not have. */
  field(name: string): Promise<FieldAt | undefined>;
}

/** Persistence: the forecast for any valid time is the truth at the initial time. */
export function persistence(truth: Truth, name: string, initialStep: number): Promise<Float32Array> {
  return truth.read(name, initialStep);
}

/** A source of climatologies by kind. */
interface Training {
  readonly path: string;
  readonly make: (kind: ClimatologyKind, name: string) => Promise<FieldAt | undefined>;
}

const kindWords: Record<ClimatologyKind, string> = {
  mean: "the mean",
  weekly: "the weekly means",
  dayofyear: "the smoothed means by day of the year and hour (61-day triangular window)",
};

const fromTraining = ({ path, make }: Training, kind: ClimatologyKind): Climatology => ({
  label: `${kindWords[kind]} of the training period of ${path}`,
  field: (name) => make(kind, name),
});

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

/**
 * A climatology of its own: those of a prepared set's training period, or the time mean of a file (of one state: that
 * state).
 *
 * @throws ClimaxError "grid" when it does not have the truth's points
 */
async function openClimatology(
  path: string,
  grid: Grid,
  units: ReadonlyMap<string, BenchUnits>,
): Promise<{ mean: Climatology; training: Training | undefined; close(): Promise<void> }> {
  if (isPreparedSet(path)) {
    const set = await openSet(path);
    const names = new Set(set.variables.map(({ name }) => name));
    const view = viewOnto(path, set.grid, grid, units);
    const training: Training = {
      path,
      make: async (kind, name) => {
        if (!names.has(name)) return undefined;
        return viewField((await makeClimatology(set, kind, name)).field, view, name);
      },
    };
    return { mean: fromTraining(training, "mean"), training, close: () => set.close() };
  }
  const archive = await openArchive([path]);
  const view = viewOnto(path, archive.grid, grid, units);
  const steps = Array.from({ length: Math.max(1, archive.times.length) }, (_, step) => step);
  const mean: Climatology = {
    label: `the mean of ${path} (${steps.length} ${steps.length === 1 ? "state" : "states"})`,
    field: async (name) => {
      const variable = archive.variables.get(name);
      if (!variable) return undefined;
      const read = async (_: string, step: number) => view.apply(name, await variable.read(step));
      const field = await timeMean({ grid, read }, name, variable.constant ? [0] : steps);
      return () => field;
    },
  };
  return { mean, training: undefined, close: () => archive.close() };
}

function viewOnto(path: string, found: Grid, wanted: Grid, units: ReadonlyMap<string, BenchUnits>): View {
  const view = makeView(found, wanted, units);
  if (view) return view;
  throw new ClimaxError(
    "grid",
    `the climatology ${path} is on ${describeGrid(found)}, the truth on ${describeGrid(wanted)}`,
    `put it on the truth's grid first: climax regrid ${path} --res ... -o ...`,
  );
}

/** What the climatology baselines forecast, and what anomalies are taken from. */
export interface Climatologies {
  /** Of the baselines that were asked for and can be had. */
  readonly baselines: ReadonlyMap<BaselineName, Climatology>;
  readonly anomalies: Climatology;
  close(): Promise<void>;
}

export interface ClimatologyOptions {
  /** A path, one of these words, or undefined: as the definition says. */
  readonly asked: string | undefined;
  readonly definition: Definition;
  /** As it is scored: cut, and in the units of the bench. */
  readonly truth: Truth;
  readonly samples: Samples;
  readonly baselines: readonly BaselineName[];
  /** Of the bench. */
  readonly units: ReadonlyMap<string, BenchUnits>;
}

/**
 * Chooses both. A path gives both. "train", "weekly" and "dayofyear" take anomalies from that climatology of the
 * truth's training period; "evaluation" from the mean of the truth over the test period, as does a definition that
 * says so. Baselines are of the training period, whatever anomalies are from.
 *
 * @throws ClimaxError "config" for what needs a training period where the truth is no prepared set
 */
export async function chooseClimatology(options: ClimatologyOptions): Promise<Climatologies> {
  const { asked, definition, truth, samples } = options;
  const training = trainingOf(truth);
  const close = async () => undefined;
  const word = climatologyWords.find((known) => known === asked);
  if (asked !== undefined && word === undefined) {
    const own = await openClimatology(asked, truth.grid, options.units);
    const baselines = chooseBaselines(options, own.training, own.mean);
    return { baselines, anomalies: own.mean, close: own.close };
  }
  const baselines = chooseBaselines(options, training, undefined);
  if (word === "evaluation" || (word === undefined && (definition.anomalies === "evaluation" || !training))) {
    const { steps, what } = evaluationSteps(truth, samples);
    return { baselines, anomalies: evaluationClimatology(truth, steps, what), close };
  }
  if (!training) {
    throw new ClimaxError(
      "config",
      `--climatology ${word} wants a prepared set as the truth; ${truth.path} is none`,
      "give the set's folder as --climatology, or --climatology evaluation",
    );
  }
  const kind = word === undefined || word === "train" ? "mean" : word === "weekly" ? "weekly" : "dayofyear";
  return { baselines, anomalies: fromTraining(training, kind), close };
}

/** The mean is left out where it cannot be had, for it is a default; the others are refused. */
function chooseBaselines(
  { asked, baselines, truth }: ClimatologyOptions,
  training: Training | undefined,
  mean: Climatology | undefined,
): Map<BaselineName, Climatology> {
  const chosen = new Map<BaselineName, Climatology>();
  for (const name of baselines) {
    const kind = kinds[name];
    if (kind === undefined) continue;
    if (training) chosen.set(name, fromTraining(training, kind));
    else if (kind === "mean" && mean) chosen.set(name, mean);
    else if (kind !== "mean") {
      throw new ClimaxError(
        "config",
        `the baseline ${name} wants the training period of a prepared set; ${mean ? asked : truth.path} is none`,
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
