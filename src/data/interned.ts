// What thousands of files of one archive have in common, kept once: time axes, grids and attributes.
import type { AttributeValue } from "../files/dataset.ts";
import type { Horizontal } from "./coordinates.ts";
import type { CfTime } from "./time.ts";

export interface Interned {
  /** The same times as an earlier file's are that very array, so that axes can be compared by identity. */
  times(times: CfTime[]): CfTime[];
  /** The same grid, rows and columns are those very arrays. */
  place(place: Horizontal): Horizontal;
  attributes(attributes: ReadonlyMap<string, AttributeValue>): ReadonlyMap<string, AttributeValue>;
}

export function interned(): Interned {
  const axes = new Map<string, CfTime[][]>();
  const places: Horizontal[] = [];
  const attributeSets = new Map<string, ReadonlyMap<string, AttributeValue>>();
  return {
    times(times) {
      const [first, last] = [times[0], times.at(-1)];
      const key = `${first?.calendar} ${times.length} ${first?.seconds} ${last?.seconds}`;
      const alike = axes.get(key) ?? [];
      const known = alike.find((other) => other.every(({ seconds }, i) => seconds === times[i]!.seconds));
      if (known) return known;
      axes.set(key, [...alike, times]);
      return times;
    },
    place(place) {
      const { grid, rows, columns } = place;
      const known = places.find(
        (other) =>
          same(other.grid.lat, grid.lat) &&
          same(other.grid.lon, grid.lon) &&
          same(other.rows, rows) &&
          same(other.columns, columns),
      );
      if (known) return { ...place, grid: known.grid, rows: known.rows, columns: known.columns };
      places.push(place);
      return place;
    },
    attributes(attributes) {
      const key = JSON.stringify([...attributes]);
      const known = attributeSets.get(key);
      if (known) return known;
      attributeSets.set(key, attributes);
      return attributes;
    },
  };
}

const same = (a: Float64Array | Int32Array, b: Float64Array | Int32Array) =>
  a.length === b.length && a.every((value, i) => value === b[i]);
