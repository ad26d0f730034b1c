/** What happened: the states that forecasts are scored against, from a prepared set or from archive files. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Archive, openArchive } from "../data/archive.ts";
import { expandFolders, holdsData } from "../data/folderfiles.ts";
import type { Calendar, CfTime } from "../data/time.ts";
import { ClimaxError } from "../errors.ts";
import type { Grid } from "../grid/grid.ts";
import type { Field } from "../scores/metric.ts";
import type { ClimatologyKind } from "../sets/climatology.ts";
import { openSet, type PreparedSet, type SplitName } from "../sets/prepared.ts";
import { seasonalFields } from "./seasonalfields.ts";

/** A field [H * W] for each valid time, read when asked for; the same array may come again. */
export type FieldAt = (validTime: CfTime) => Field | Promise<Field>;

export interface Truth {
  /** The path it was opened by, for messages and provenance. */
  readonly path: string;
  readonly grid: Grid;
  readonly synthetic: boolean;
  /** The calendar; undefined when there are no times at all. */
  readonly calendar: Calendar | undefined;
  /** All states, in order of time. */
  readonly times: readonly CfTime[];
  /** ClimaX names of the fields that vary in time, with their units. */
  readonly units: ReadonlyMap<string, string>;
  /** What was converted or assumed while reading. */
  readonly notes: readonly string[];
  /** The split of a prepared set that a state belongs to. */
  splitOf(step: number): SplitName | undefined;
  /** One field [H * W], ClimaX units, south to north; NaN where missing. */
  read(name: string, step: number): Promise<Float32Array>;
  /** Climatologies of the training period; undefined without a prepared set. */
  readonly training: ((kind: ClimatologyKind, name: string) => Promise<FieldAt>) | undefined;
  /** Its fraction of land, on the grid that its files have, whatever grid the states are viewed on. */
  readonly land?: LandMask | undefined;
  close(): Promise<void>;
}

export interface LandMask {
  readonly grid: Grid;
  /** [H * W], 0 to 1. */
  read(): Promise<Float32Array>;
}

const maskName = "land_sea_mask";

/** Whether a path is the folder of a prepared set: not a store such as Zarr, nor a folder of files. */
export function isPreparedSet(path: string): boolean {
  if (!existsSync(path) || !statSync(path).isDirectory()) return false;
  return existsSync(manifestOf(path)) || !holdsData(path);
}

/**
 * Opens a prepared set's folder, or archive files, stores and folders of them joined along time and by variable.
 *
 * @throws ClimaxError "config" when a set and other paths are given together; "data" for what cannot be read
 */
export async function openTruth(paths: readonly string[]): Promise<Truth> {
  const folder = paths.find(isPreparedSet);
  if (folder === undefined) return fromArchive(paths);
  if (paths.length === 1) return fromSet(folder, await openSet(folder));
  throw new ClimaxError(
    "config",
    `the truth is ${paths.length} paths, one of them the folder ${folder}; wanted one prepared set, or files and stores`,
    `give --truth ${folder} alone, or only files`,
  );
}

function fromSet(path: string, set: PreparedSet): Truth {
  const states = set.splits
    .map((name) => set.split(name))
    .flatMap((split) => split.times.map((time, step) => ({ split, step, time })))
    .toSorted((a, b) => a.time.seconds - b.time.seconds);
  const seasonal = seasonalFields(set);
  return {
    path,
    grid: set.grid,
    synthetic: set.manifest.synthetic,
    calendar: set.manifest.calendar,
    times: states.map(({ time }) => time),
    units: new Map(set.variables.filter(({ constant }) => !constant).map(({ name, units }) => [name, units])),
    notes: [],
    splitOf: (step) => states[step]?.split.name,
    read: (name, at) => states[at]!.split.read(states[at]!.step, [name]),
    training: async (kind, name) => seasonal(kind, name),
    land: landOfSet(set),
    close: () => set.close(),
  };
}

/** undefined for a set without the mask. */
export function landOfSet(set: PreparedSet): LandMask | undefined {
  if (!set.variables.some(({ name, constant }) => constant && name === maskName)) return undefined;
  // A constant, whichever state it is asked of.
  return { grid: set.grid, read: () => set.split(set.splits[0]!).read(0, [maskName]) };
}

async function fromArchive(paths: readonly string[]): Promise<Truth> {
  const archive = await openArchive(await expandFolders(paths));
  const fields = [...archive.variables.values()].filter(({ constant }) => !constant);
  if (archive.times.length === 0 || fields.length === 0) {
    await archive.close();
    throw new ClimaxError(
      "data",
      `${paths.join(", ")}: ${fields.length} variables that vary in time were found; wanted the states to score against`,
      "give files of analyses with a time axis, or a prepared set",
    );
  }
  return {
    path: paths.join(", "),
    grid: archive.grid,
    synthetic: archive.synthetic,
    calendar: archive.times[0]?.calendar,
    times: archive.times,
    units: new Map(fields.map(({ name, units }) => [name, units])),
    notes: archive.notes,
    splitOf: () => undefined,
    read: (name, step) => archive.variables.get(name)!.read(step),
    training: undefined,
    land: landOfArchive(archive),
    close: () => archive.close(),
  };
}

/** undefined for files without the mask. */
export function landOfArchive({ grid, variables }: Archive): LandMask | undefined {
  const mask = variables.get(maskName);
  return mask && { grid, read: () => mask.read(0) };
}

/** The mean of a variable over some states [H * W], f64; NaN where one of them is missing. Holds one state at a time. */
export async function timeMean(
  truth: Pick<Truth, "read" | "grid">,
  name: string,
  steps: readonly number[],
): Promise<Float64Array> {
  const mean = new Float64Array(truth.grid.lat.length * truth.grid.lon.length);
  for (const step of steps) {
    const field = await truth.read(name, step);
    for (let i = 0; i < mean.length; i++) mean[i]! += field[i]! / steps.length;
  }
  return mean;
}

/** Where the sets' own file stands, whose checksum names the whole set. */
export const manifestOf = (path: string): string => join(path, "set.json");
