// What regridding does to axes other than the horizontal ones: steps left out or averaged, levels chosen or interpolated.
import { ClimaxError } from "../errors.ts";
import type { DatasetVariable } from "../files/dataset.ts";
import { type Coordinates, timesOf, verticalOf } from "./coordinates.ts";
import { levelPlan } from "./levels.ts";
import type { RegridJob } from "./regridplan.ts";
import { encodeTimes } from "./time.ts";
import { selectSteps } from "./timesteps.ts";

/** An index of the output as a sum of indices of the source. */
export type AxisRow = [index: number, weight: number][];

export interface AxisChange {
  rows: AxisRow[];
  /** The coordinate variable, and its values on the new axis in its own units. */
  coordinate: DatasetVariable;
  values: Float64Array;
  /** [n, 2] new bounds, in the same units, where steps were averaged. */
  bounds?: Float64Array;
  /** Whether each index is a mean over several. */
  mean: boolean;
}

/** By the name of the dimension. */
export type AxisChanges = ReadonlyMap<string, AxisChange>;

export interface AxisOptions {
  /** hPa */
  levels?: readonly number[] | undefined;
  /** hours */
  every?: number | undefined;
  average?: boolean | undefined;
  period?: string | undefined;
}

/** @throws ClimaxError for options that the file's axes cannot follow, and for levels that none of its variables has */
export async function axisChanges(
  coordinates: Coordinates,
  jobs: readonly RegridJob[],
  options: AxisOptions,
): Promise<Map<string, AxisChange>> {
  const changes = new Map<string, AxisChange>();
  const { every, average, period, levels } = options;
  const steps = every !== undefined || period !== undefined || average === true;
  for (const { variable } of jobs) {
    if (steps) await changeSteps(coordinates, variable, { every, average, period }, changes);
    if (levels) await changeLevels(coordinates, variable, levels, changes);
  }
  const { path } = coordinates.dataset;
  if (
    levels &&
    jobs.every(
      ({ variable }) =>
        !variable.dimensions.some((d) => changes.get(d)?.mean === false && isLevel(coordinates, d)),
    )
  ) {
    throw new ClimaxError(
      "data",
      `no variable of ${path} that is regridded lies on pressure levels; found --levels ${levels.join(",")}`,
      "leave out --levels for this file",
    );
  }
  return changes;
}

function isLevel({ axes }: Coordinates, dimension: string): boolean {
  return axes.get(dimension)?.kind === "pressure";
}

async function changeSteps(
  coordinates: Coordinates,
  variable: DatasetVariable,
  options: Pick<AxisOptions, "every" | "average" | "period">,
  changes: Map<string, AxisChange>,
): Promise<void> {
  const found = await timesOf(coordinates, variable);
  if (found?.axis === undefined) return;
  const dimension = variable.dimensions[found.axis]!;
  if (changes.has(dimension)) return;
  const { groups, times, notes } = selectSteps(found.times, options);
  for (const note of notes) coordinates.notes.add(note);
  const coordinate = coordinates.axes.get(dimension)!.variable;
  const raw = await coordinate.readUnpacked();
  const mean = options.average === true;
  const units = String(coordinate.attributes.get("units") ?? "");
  const hours = options.every ?? 0;
  const later = times.map((time) => ({ ...time, seconds: time.seconds + hours * 3600 }));
  const values = mean ? encodeTimes(times, units) : Float64Array.from(groups, ([step]) => raw[step!]!);
  const ends = mean ? encodeTimes(later, units) : undefined;
  changes.set(dimension, {
    rows: groups.map((group) => group.map((step): [number, number] => [step, 1 / group.length])),
    coordinate,
    values,
    mean,
    ...(ends && {
      bounds: Float64Array.from({ length: 2 * ends.length }, (_, k) => (k % 2 ? ends : values)[k >> 1]!),
    }),
  });
}

async function changeLevels(
  coordinates: Coordinates,
  variable: DatasetVariable,
  wanted: readonly number[],
  changes: Map<string, AxisChange>,
): Promise<void> {
  const vertical = await verticalOf(coordinates, variable);
  if (vertical.kind === "refused") {
    throw new ClimaxError(
      "data",
      `${variable.name} in ${coordinates.dataset.path} cannot be brought to levels in hPa: ${vertical.what}`,
      vertical.hint,
    );
  }
  if (vertical.kind !== "pressure" || vertical.axis === undefined) return;
  const dimension = variable.dimensions[vertical.axis]!;
  if (changes.has(dimension)) return;
  const { rows, notes } = levelPlan(vertical.levels, wanted);
  for (const note of notes) coordinates.notes.add(note);
  const coordinate = coordinates.axes.get(dimension)!.variable;
  const raw = await coordinate.readUnpacked();
  // Stored numbers per hPa, such as 100 for Pa.
  const perHectopascal = raw[0]! / vertical.levels[0]!;
  changes.set(dimension, {
    rows: rows.map(({ sources }) => sources),
    coordinate,
    values: Float64Array.from(rows, ({ level, sources }) =>
      sources.length === 1 ? raw[sources[0]![0]]! : level * perHectopascal,
    ),
    mean: false,
  });
}
