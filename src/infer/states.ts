// Initial states: the fields of weather files, or of a split of a prepared set, as a forecast needs them.
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { openArchive } from "../data/archive.ts";
import { formatLead } from "../data/leadtime.ts";
import { type CfTime, formatTime, isWithin, parsePeriod } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { Grid } from "../grid/grid.ts";
import { openSet } from "../sets/prepared.ts";

export interface States {
  /** Where they come from, for messages. */
  readonly name: string;
  readonly grid: Grid;
  /** Strictly increasing, at least one. */
  readonly times: readonly CfTime[];
  /** Steps that are meant, where others are only there as their history; all when left out. */
  readonly own?: readonly number[];
  /** Names of the fields that are there. */
  readonly variables: readonly string[];
  /** Those of them that are the same at all times. */
  readonly constants: readonly string[];
  /** What was converted or assumed. */
  readonly notes: readonly string[];
  readonly synthetic: boolean;
  /** What messages call a step; its time when left out. */
  readonly describe?: (step: number) => string;
  /** [H, W], ClimaX units, NaN where missing. */
  read(step: number, name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * Opens weather files, or the test split of a prepared set (its folder).
 *
 * @param wanted   names of the fields that may be asked for; all that are there when left out
 * @param history  of a set, brings the states of its other splits along, as what came before those of test
 * @throws         ClimaxError when the files cannot be read or hold no state
 */
export async function openStates(
  paths: readonly string[],
  wanted?: readonly string[],
  { history = false }: { history?: boolean } = {},
): Promise<States> {
  const [first] = paths;
  if (paths.length === 1 && first && existsSync(first) && statSync(first).isDirectory()) {
    return await statesOfSet(first, history);
  }
  return await statesOfFiles(paths, wanted);
}

async function statesOfSet(dir: string, history: boolean): Promise<States> {
  if (!existsSync(join(dir, "set.json"))) {
    throw new ClimaxError(
      "data",
      `${dir} is a folder without set.json; weather files or a prepared set are wanted`,
      "name the files in it, or finish it with climax prepare",
    );
  }
  const set = await openSet(dir);
  const name = set.splits.includes("test") ? "test" : "train";
  const all = set.splits.map((each) => set.split(each));
  const used = history ? all : all.filter((split) => split.name === name);
  const steps = used
    .flatMap((split) => split.times.map((time, step) => ({ split, step, time })))
    .sort((a, b) => a.time.seconds - b.time.seconds);
  return {
    name: `${dir} (${name})`,
    grid: set.grid,
    times: steps.map(({ time }) => time),
    own: [...steps.keys()].filter((step) => steps[step]!.split.name === name),
    variables: set.variables.map((variable) => variable.name),
    constants: set.variables.flatMap((variable) => (variable.constant ? [variable.name] : [])),
    notes: name === "test" ? [] : [`${dir} has no test split: states are taken from train`],
    synthetic: set.manifest.synthetic,
    read: (step, variable) => steps[step]!.split.read(steps[step]!.step, [variable]),
    close: () => set.close(),
  };
}

async function statesOfFiles(paths: readonly string[], wanted?: readonly string[]): Promise<States> {
  const archive = await openArchive(paths, { ...(wanted ? { variables: wanted } : {}), missing: "skip" });
  if (archive.times.length === 0) {
    await archive.close();
    throw new ClimaxError(
      "data",
      `${paths.join(", ")}: no time axis, so it cannot be said what the forecast starts from`,
      "give the state a time, e.g. cdo -settaxis,2018-01-01,00:00,1hour in.nc out.nc",
    );
  }
  const { grid, times, notes, synthetic, variables } = archive;
  return {
    name: paths.join(", "),
    grid,
    times,
    variables: [...variables.keys()],
    constants: [...variables].flatMap(([variable, { constant }]) => (constant ? [variable] : [])),
    notes,
    synthetic,
    read: (step, name) => variables.get(name)!.read(step),
    close: () => archive.close(),
  };
}

/**
 * Picks initial times.
 *
 * @param text   dates, each a time, a day, a month or `a..b`, all inclusive; without it every time when there is one
 * @param every  hours between initial times, counted from the first picked
 * @returns      steps of `states.times`, ascending
 * @throws       ClimaxError "config" when none matches, or when it is not clear which is meant
 */
export function pickTimes(
  { name, times, own = [...times.keys()] }: States,
  text: readonly string[] | undefined,
  every?: number,
): number[] {
  const [first, last] = [times[own[0]!]!, times[own.at(-1)!]!];
  const span =
    own.length === 1
      ? `${name} has one state, ${formatTime(first)}`
      : `${name} has ${own.length} states from ${formatTime(first)} to ${formatTime(last)}`;
  if (!text && own.length > 1 && every === undefined) {
    throw new ClimaxError(
      "config",
      `${span}, and it was not said which to start from`,
      `give --time ${formatTime(last).slice(0, 16)}, or a list, a month such as 2018-01, or a..b`,
    );
  }
  const picked = new Set<number>(text ? [] : own);
  for (const part of text ?? []) {
    const period = parsePeriod(part, first.calendar);
    const steps = own.filter((step) => isWithin(times[step]!, period));
    if (steps.length === 0) {
      throw new ClimaxError(
        "config",
        `${span}, ${own.length === 1 ? "not" : "none of them"} in ${part}`,
        "choose an initial time that is there",
      );
    }
    for (const step of steps) picked.add(step);
  }
  const sorted = [...picked].sort((a, b) => a - b);
  if (every === undefined) return sorted;
  const origin = times[sorted[0]!]!.seconds;
  return sorted.filter((step) => (times[step]!.seconds - origin) % (every * 3600) === 0);
}

/**
 * The step so many hours before another.
 *
 * @throws ClimaxError "config" when there is no state at that time
 */
export function earlierStep({ name, times }: States, step: number, hours: number): number {
  if (hours === 0) return step;
  const seconds = times[step]!.seconds - hours * 3600;
  let found = step;
  while (found >= 0 && times[found]!.seconds > seconds + 0.5) found--;
  if (found >= 0 && Math.abs(times[found]!.seconds - seconds) <= 0.5) return found;
  throw new ClimaxError(
    "config",
    `${name} has no state ${formatLead(hours)} before ${formatTime(times[step]!)}, from which a lagged member starts`,
    `choose later initial times, or another --ensemble.lag; it begins at ${formatTime(times[0]!)}`,
  );
}

/** Steps whose `history - 1` steps before are there too, without a gap of more than one and a half usual steps. */
export function stepsWithHistory({ times }: Pick<States, "times">, history: number): number[] {
  const gaps = times.slice(1).map(({ seconds }, i) => seconds - times[i]!.seconds);
  const usual = gaps.toSorted((a, b) => a - b)[gaps.length >> 1] ?? 0;
  const steps: number[] = [];
  let run = 0; // steps in a row, this one counted
  for (const step of times.keys()) {
    run = step > 0 && gaps[step - 1]! > 1.5 * usual ? 1 : run + 1;
    if (run >= history) steps.push(step);
  }
  return steps;
}
