// A file in memory with the face of a Dataset, for tests of what is made of files.
import type { AttributeValue, Dataset, DatasetVariable, Dtype } from "../../src/files/dataset.ts";

export interface FakeVariable {
  /** Name and length of each dimension, slowest first: { time: 2, lat: 3, lon: 4 }. */
  dimensions?: Record<string, number>;
  /** Row-major; a function of the flat index; absent: zeros. NaN is missing. */
  data?: ArrayLike<number> | ((index: number) => number);
  attributes?: Record<string, AttributeValue>;
  dtype?: Dtype;
}

/** Counts what was read, so that a test can say that nothing was. */
export interface FakeDataset extends Dataset {
  /** "name start count" of each read. */
  reads: string[];
  closed: boolean;
}

export function fakeDataset(
  path: string,
  variables: Record<string, FakeVariable>,
  attributes: Record<string, AttributeValue> = {},
): FakeDataset {
  const reads: string[] = [];
  const dimensions = new Map<string, number>();
  const made = new Map<string, DatasetVariable>();
  for (const [name, { dimensions: own = {}, data, attributes = {}, dtype = "float32" }] of Object.entries(
    variables,
  )) {
    for (const [dimension, length] of Object.entries(own)) dimensions.set(dimension, length);
    const shape = Object.values(own);
    const size = shape.reduce((product, n) => product * n, 1);
    const flat = Float64Array.from({ length: size }, (_, i) =>
      typeof data === "function" ? data(i) : (data?.[i] ?? 0),
    );
    const read = async (start = shape.map(() => 0), count = shape.map((n, i) => n - start[i]!)) => {
      reads.push(`${name} ${start.join(",")} ${count.join(",")}`);
      const out: number[] = [];
      const walk = (axis: number, from: number) => {
        if (axis === shape.length) out.push(flat[from]!);
        else for (let i = 0; i < count[axis]!; i++) walk(axis + 1, from * shape[axis]! + start[axis]! + i);
      };
      walk(0, 0);
      return Float64Array.from(out);
    };
    made.set(name, {
      name,
      dimensions: Object.keys(own),
      shape,
      dtype,
      attributes: new Map(Object.entries(attributes)),
      read: (start, count) => read(start && [...start], count && [...count]),
      readUnpacked: (start, count) => read(start && [...start], count && [...count]),
      readText: async () => [],
    });
  }
  const dataset: FakeDataset = {
    path,
    format: "in memory",
    dimensions,
    unlimited: new Set(),
    attributes: new Map(Object.entries(attributes)),
    variables: made,
    reads,
    closed: false,
    close: async () => {
      dataset.closed = true;
    },
  };
  return dataset;
}

/** Latitude and longitude variables for a fake file, with the attributes of CF. */
export function fakeGrid(lat: number[], lon: number[]): Record<string, FakeVariable> {
  return {
    lat: { dimensions: { lat: lat.length }, data: lat, attributes: { units: "degrees_north" } },
    lon: { dimensions: { lon: lon.length }, data: lon, attributes: { units: "degrees_east" } },
  };
}

/** A time variable for a fake file, in hours since 2001-01-01. */
export function fakeTime(hours: number[], calendar = "standard"): Record<string, FakeVariable> {
  const attributes = { units: "hours since 2001-01-01", calendar };
  return { time: { dimensions: { time: hours.length }, data: hours, attributes } };
}
