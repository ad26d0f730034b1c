/** What `climax plot` draws: forecasts by initial time and lead, or states by time, read one field at a time. */
import { openArchive } from "../data/archive.ts";
import { expandFolders } from "../data/folderfiles.ts";
import type { CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import { openForecastFile } from "../eval/forecastfile.ts";
import { isPreparedSet } from "../eval/truth.ts";
import type { Grid } from "../grid/grid.ts";
import type { Field } from "../scores/metric.ts";
import { openSet, type PreparedSet } from "../sets/prepared.ts";
import { openViewSource } from "./viewsource.ts";

/** What a field is of. */
export interface Instant {
  /** Index into `times`. */
  readonly time: number;
  /** Hours; 0 of a state. */
  readonly leadHours: number;
}

export interface PlotSource {
  readonly kind: "forecast" | "states";
  /** The system, or nothing for states. */
  readonly system: string | undefined;
  readonly paths: readonly string[];
  readonly grid: Grid;
  /** By ClimaX name, in the order of the files. */
  readonly units: ReadonlyMap<string, string>;
  readonly synthetic: boolean;
  readonly notes: readonly string[];
  /** Initial times, or the times of the states; none where nothing varies in time. */
  readonly times: readonly CfTime[];
  /** Hours; [0] of states. */
  readonly leads: readonly number[];
  readonly members: number;
  /** Each field is the mean over so many hours from its valid time on; undefined: a state. */
  readonly averageHours: number | undefined;
  /** Whether a variable is the same at all times. */
  isConstant(variable: string): boolean;
  /** [H * W], in `units`. @throws ClimaxError "data" for a forecast that is not there */
  read(variable: string, at: Instant, member: number | "mean"): Promise<Field>;
  /** What happened; words: why that is not known; undefined: no truth was given. */
  readonly truth: ((variable: string, at: Instant) => Promise<Field | string>) | undefined;
  /** Where that is from. */
  readonly truthPath: string | undefined;
  close(): Promise<void>;
}

export interface PlotSourceOptions {
  readonly truth?: readonly string[] | undefined;
  readonly name?: string | undefined;
}

/**
 * Opens forecast files of one system, or archive files that are joined, or a prepared set; only coordinates are read.
 * Files without a lead are states, or, beside a truth, forecasts of lead 0.
 *
 * @throws ClimaxError what the readers throw
 */
export async function openPlotSource(
  paths: readonly string[],
  options: PlotSourceOptions = {},
): Promise<PlotSource> {
  const [first] = paths as [string];
  if (paths.length === 1 && isPreparedSet(first)) return noTruth(options) ?? fromSet(first);
  const files = await expandFolders(paths);
  const why = options.truth ? undefined : await whyNoForecast(files[0]!);
  if (!why) return fromForecasts(files, options);
  try {
    return await fromArchive(files);
  } catch (error) {
    // Of a file that says from when and how far ahead, what is wrong with it as a forecast counts.
    throw error instanceof ClimaxError && !/ has no (lead|initial time)/.test(why.message) ? why : error;
  }
}

function noTruth({ truth }: PlotSourceOptions): undefined {
  if (!truth) return undefined;
  throw new ClimaxError(
    "config",
    "found --truth beside a prepared set: its states are no forecasts",
    "give a forecast file, or leave --truth out",
  );
}

/** What keeps a file from being one of forecasts; nothing if it is. */
async function whyNoForecast(path: string): Promise<ClimaxError | undefined> {
  try {
    await (await openForecastFile(path)).close();
    return undefined;
  } catch (error) {
    if (error instanceof ClimaxError) return error;
    throw error;
  }
}

async function fromForecasts(paths: readonly string[], options: PlotSourceOptions): Promise<PlotSource> {
  const source = await openViewSource(paths, options);
  const { system, truth } = source;
  const choiceOf = (variable: string, { time, leadHours }: Instant, member: number | "mean") => {
    return { variable, initial: time, leadHours, member };
  };
  const mean = system.members > 1 ? "mean" : 0;
  return {
    kind: "forecast",
    system: system.name,
    ...{ paths, grid: system.grid, units: system.units, synthetic: source.synthetic, notes: source.notes },
    times: system.initialTimes,
    ...{ leads: system.leads, members: system.members, averageHours: system.averageHours },
    isConstant: () => false,
    read: async (variable, at, member) => (await source.frame(choiceOf(variable, at, member))).forecast,
    truth:
      truth &&
      (async (variable, at) => {
        const frame = await source.frame(choiceOf(variable, at, mean));
        return frame.truth ?? frame.lacking ?? "nothing is known";
      }),
    truthPath: truth?.path,
    close: () => source.close(),
  };
}

async function fromArchive(paths: readonly string[]): Promise<PlotSource> {
  const archive = await openArchive(paths);
  const { grid, times, variables, synthetic, notes } = archive;
  return {
    ...{ kind: "states", system: undefined, paths, grid, times, synthetic, notes },
    units: new Map([...variables.values()].map(({ name, units }) => [name, units])),
    ...{ leads: [0], members: 1, averageHours: undefined, truth: undefined, truthPath: undefined },
    isConstant: (variable) => variables.get(variable)!.constant,
    read: (variable, { time }) => variables.get(variable)!.read(time),
    close: () => archive.close(),
  };
}

async function fromSet(path: string): Promise<PlotSource> {
  const set: PreparedSet = await openSet(path);
  const states = set.splits
    .map((name) => set.split(name))
    .flatMap((split) => split.times.map((time, step) => ({ split, step, time })))
    .toSorted((a, b) => a.time.seconds - b.time.seconds);
  const constants = new Set(set.variables.filter(({ constant }) => constant).map(({ name }) => name));
  return {
    ...{ kind: "states", system: undefined, paths: [path], grid: set.grid, notes: [] },
    synthetic: set.manifest.synthetic,
    times: states.map(({ time }) => time),
    units: new Map(set.variables.map(({ name, units }) => [name, units])),
    ...{ leads: [0], members: 1, averageHours: undefined, truth: undefined, truthPath: undefined },
    isConstant: (variable) => constants.has(variable),
    read: async (variable, { time }) => {
      if (constants.has(variable)) return set.climatology(variable);
      const { split, step } = states[time]!;
      return split.read(step, [variable]);
    },
    close: () => set.close(),
  };
}
