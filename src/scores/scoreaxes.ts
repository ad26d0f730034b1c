/** The axes that scores are laid out along in a file, and tables along them. */
import type { WrittenVariable } from "../files/netcdf4writer.ts";
import type { Profile, ReportRow, ScoreDocument, ScoreMap } from "./scoredocument.ts";

/** A dimension of the file with its coordinates. */
export interface Axis {
  readonly name: string;
  readonly values: readonly (string | number)[];
  at(value: string | number): number;
}

/** By name; those that nothing lies along are not there. */
export type Axes = ReadonlyMap<string, Axis>;

/** The axes of all that a document holds, each value once: leads and the axes of curves ascending, names as they come. */
export function axesOf(document: ScoreDocument, rows: readonly ReportRow[], maps: readonly ScoreMap[]): Axes {
  const { differences, profiles } = document;
  const all = [...rows, ...profiles, ...maps];
  const names: [name: string, values: readonly (string | number)[]][] = [
    ["system", all.map(({ system }) => system)],
    ["versus", differences.map(({ versus }) => versus)],
    ["metric", rows.map(({ metric }) => metric)],
    ["variable", all.map(({ variable }) => variable)],
    ["lead_time", all.map(({ lead_hours }) => lead_hours).toSorted((a, b) => a - b)],
    ["region", [...rows, ...profiles].map(({ region }) => region)],
    ["season", rows.map(({ season }) => season)],
    ["latitude", [...(maps[0]?.grid.lat ?? [])]],
    ["longitude", [...(maps[0]?.grid.lon ?? [])]],
  ];
  for (const name of unique(profiles.map(axisOf))) {
    const own = profiles.filter((profile) => axisOf(profile) === name);
    names.push([name, own.flatMap(({ axis }) => axis.values).toSorted((a, b) => a - b)]);
  }
  return new Map(
    names.flatMap(([name, given]): [string, Axis][] => {
      const values = unique(given);
      const places = new Map(values.map((value, i) => [value, i]));
      return values.length === 0 ? [] : [[name, { name, values, at: (value) => places.get(value)! }]];
    }),
  );
}

/** The name of the axis of a curve as a name of NetCDF. */
export const axisOf = ({ axis }: Profile) => axis.name.trim().replace(/\W+/g, "_");

/** A table of numbers over axes, filled row by row. */
export class Table {
  readonly #axes: readonly Axis[];
  readonly #data: Float64Array;

  constructor(axes: Axes, names: readonly string[], empty: number) {
    this.#axes = names.map((name) => axes.get(name)!);
    this.#data = new Float64Array(this.#axes.reduce((n, { values }) => n * values.length, 1)).fill(empty);
  }

  set(place: readonly (string | number)[], value: number): void {
    this.#data[this.#axes.reduce((at, axis, i) => at * axis.values.length + axis.at(place[i]!), 0)] = value;
  }

  /** In chunks of one system and metric, or of one system. */
  variable(
    name: string,
    dtype: WrittenVariable["dtype"],
    attributes: NonNullable<WrittenVariable["attributes"]>,
  ): WrittenVariable {
    const alone = ["system", "versus", "metric"];
    return {
      name,
      dimensions: this.#axes.map((axis) => axis.name),
      dtype,
      attributes,
      chunk: this.#axes.map((axis) => (alone.includes(axis.name) ? 1 : axis.values.length)),
      deflate: 1,
      data: this.#data,
    };
  }
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
