// Initial states: the fields of weather files, or of a split of a prepared set, as a forecast needs them.
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { openArchive } from "../data/archive.ts";
import { openSet } from "../data/prepared.ts";
import { type CfTime, formatTime, isWithin, parsePeriod } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { Grid } from "../grid/grid.ts";

export interface States {
  /** Where they come from, for messages. */
  readonly name: string;
  readonly grid: Grid;
  /** Strictly increasing, at least one. */
  readonly times: readonly CfTime[];
  /** Names of the fields that are there. */
  readonly variables: readonly string[];
  /** What was converted or assumed. */
  readonly notes: readonly string[];
  readonly synthetic: boolean;
  /** [H, W], ClimaX units, NaN where missing. */
  read(step: number, name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * Opens weather files, or the test split of a prepared set (its folder).
 *
 * @param wanted  names of the fields that may be asked for
 * @throws        ClimaxError when the files cannot be read or hold no state
 */
export async function openStates(paths: readonly string[], wanted: readonly string[]): Promise<States> {
  const [first] = paths;
  if (paths.length === 1 && first && existsSync(first) && statSync(first).isDirectory()) {
    return await statesOfSet(first);
  }
  return await statesOfFiles(paths, wanted);
}

async function statesOfSet(dir: string): Promise<States> {
  if (!existsSync(join(dir, "set.json"))) {
    throw new ClimaxError(
      "data",
      `${dir} is a folder without set.json; weather files or a prepared set are wanted`,
      "name the files in it, or finish it with climax prepare",
    );
  }
  const set = await openSet(dir);
  const name = set.splits.includes("test") ? "test" : "train";
  const split = set.split(name);
  return {
    name: `${dir} (${name})`,
    grid: set.grid,
    times: split.times,
    variables: set.variables.map((variable) => variable.name),
    notes: name === "test" ? [] : [`${dir} has no test split: states are taken from train`],
    synthetic: set.manifest.synthetic,
    read: (step, variable) => split.read(step, [variable]),
    close: () => set.close(),
  };
}

async function statesOfFiles(paths: readonly string[], wanted: readonly string[]): Promise<States> {
  const archive = await openArchive(paths, { variables: wanted, missing: "skip" });
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
  { name, times }: States,
  text: readonly string[] | undefined,
  every?: number,
): number[] {
  const span = `${name} has ${times.length} states from ${formatTime(times[0]!)} to ${formatTime(times.at(-1)!)}`;
  if (!text && times.length > 1 && every === undefined) {
    throw new ClimaxError(
      "config",
      `${span}, and it was not said which to start from`,
      `give --time ${formatTime(times.at(-1)!).slice(0, 16)}, or a list, a month such as 2018-01, or a..b`,
    );
  }
  const picked = new Set<number>(text ? [] : times.keys());
  for (const part of text ?? []) {
    const period = parsePeriod(part, times[0]!.calendar);
    const steps = times.flatMap((time, step) => (isWithin(time, period) ? [step] : []));
    if (steps.length === 0) {
      throw new ClimaxError(
        "config",
        `${span}, none of them in ${part}`,
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
