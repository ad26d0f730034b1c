// What a regridded file consists of, and how its variables get there slab by slab.

import type { DatasetVariable, Dtype } from "../files/dataset.ts";
import type {
  NetcdfContents,
  NetcdfWriter,
  WrittenAttributes,
  WrittenDtype,
} from "../files/netcdf4writer.ts";
import { slabs } from "../files/slabs.ts";
import { longitudeSeam } from "../grid/grid.ts";
import { type Coordinates, isBounds } from "./coordinates.ts";
import { type Attributes, axisAttributes, fieldAttributes } from "./regridattributes.ts";
import type { AxisChanges, AxisRow } from "./regridaxes.ts";
import { comesPacked, outerShape } from "./regridfields.ts";
import { type Plan, placeAxes, type RegridJob } from "./regridplan.ts";

/** Elements of a slab that is copied, 8 MB as float32. */
const slabElements = 2e6;

/** What a stored type is written as; numbers keep their values. Text has no place in the writer. */
const writtenAs: Partial<Record<Dtype, WrittenDtype>> = {
  int8: "int8",
  uint8: "int16",
  int16: "int16",
  uint16: "int32",
  int32: "int32",
  uint32: "float64",
  int64: "float64",
  uint64: "float64",
  float16: "float32",
  float32: "float32",
  float64: "float64",
};

export interface Layout {
  contents: NetcdfContents;
  /** Variables that go over as they are. */
  copied: DatasetVariable[];
  dropped: { name: string; reason: string }[];
  /** Which column of the target grid each column of the file is. */
  columns: Int32Array;
}

/** The output's dimensions and variables: the new axes and their bounds, what is copied, what is regridded. */
export function layOut(
  coordinates: Coordinates,
  { jobs, target, targetEdges, latitude, longitude }: Plan,
  changes: AxisChanges,
  level: number,
): Layout {
  const { dataset } = coordinates;
  const { copied, dropped } = others(coordinates, jobs, changes);
  const kept = new Set([...copied, ...jobs.map(({ variable }) => variable)].map(({ name }) => name));
  const dimensions: Record<string, number | null> = {};
  for (const name of [
    ...jobs.flatMap(otherDimensions),
    ...copied.flatMap((variable) => variable.dimensions),
  ]) {
    const length = changes.get(name)?.rows.length ?? dataset.dimensions.get(name)!;
    dimensions[name] = dataset.unlimited.has(name) ? null : length;
  }
  const free = (name: string, taken: (name: string) => boolean) => {
    let found = name;
    for (let i = 2; taken(found); i++) found = `${name}${i}`;
    return found;
  };
  const sides = free("bnds", (name) => (dimensions[name] ?? 2) !== 2 || dimensions[name] === null);
  // Coordinates of two dimensions, or of cells, name no axis.
  const axisName = ({ name, dimensions: of }: DatasetVariable, plain: string) =>
    of.length === 1 && of[0] === name && !(name in dimensions)
      ? name
      : free(plain, (other) => other in dimensions || kept.has(other));
  const names = new Map([
    [latitude, axisName(latitude, "lat")],
    [longitude, axisName(longitude, "lon")],
  ]);
  const nameOf = (axis: DatasetVariable) => names.get(axis) ?? axis.name;
  const bounds = (axis: DatasetVariable) => free(`${nameOf(axis)}_bnds`, (name) => kept.has(name));
  const [h, w] = [target.lat.length, target.lon.length];
  Object.assign(dimensions, { [nameOf(latitude)]: h, [nameOf(longitude)]: w, [sides]: 2 });

  // A region across Greenwich is written eastward from its western end, -20 .. 40 rather than 0 .. 40, 340 .. 359.
  const { start, periodic } = longitudeSeam(target);
  const from = periodic ? 0 : start;
  const columns = Int32Array.from({ length: w }, (_, i) => (from + i) % w);
  const shift = (column: number) => (from > 0 && column >= from ? -360 : 0);
  const axis = (variable: DatasetVariable, which: "latitude" | "longitude", data: ArrayLike<number>) => ({
    name: nameOf(variable),
    dimensions: [nameOf(variable)],
    dtype: "float64" as const,
    attributes: plainAttributes(axisAttributes(variable.attributes, which, bounds(variable))),
    data,
  });
  const cells = (variable: DatasetVariable, data: ArrayLike<number>) => ({
    name: bounds(variable),
    dimensions: [nameOf(variable), sides],
    dtype: "float64" as const,
    data,
  });
  const pairs = (size: number, side: (i: number, s: 0 | 1) => number) =>
    Float64Array.from({ length: 2 * size }, (_, k) => side(k >> 1, (k & 1) as 0 | 1));
  const variables = [
    axis(latitude, "latitude", target.lat),
    axis(
      longitude,
      "longitude",
      Float64Array.from(columns, (c) => target.lon[c]! + shift(c)),
    ),
    cells(
      latitude,
      pairs(h, (i, s) => targetEdges.lat[i + s]!),
    ),
    cells(
      longitude,
      pairs(w, (i, s) => targetEdges.lon[2 * columns[i]! + s]! + shift(columns[i]!)),
    ),
    ...copied.map((variable) => copiedAs(variable, changes)),
    ...[...changes.values()].flatMap(({ coordinate, bounds: data }) =>
      data && !boundsOf(coordinate)
        ? [
            {
              name: newBounds(coordinate),
              dimensions: [coordinate.dimensions[0]!, sides],
              dtype: "float64" as const,
              data,
            },
          ]
        : [],
    ),
    ...jobs.map((job) => {
      const outer = outerShape(job, changes);
      const attributes = fieldAttributes(job.variable.attributes, job.regridder.method, kept);
      const averaged = job.variable.dimensions.find((name) => changes.get(name)?.mean);
      if (averaged) {
        const methods = attributes.get("cell_methods");
        const mean = `${averaged}: mean`;
        attributes.set("cell_methods", typeof methods === "string" ? `${methods} ${mean}` : mean);
      }
      return {
        name: job.variable.name,
        dimensions: [...otherDimensions(job), nameOf(latitude), nameOf(longitude)],
        dtype: "float32" as const,
        attributes: plainAttributes(attributes),
        deflate: level,
        ...(comesPacked(h * w) && { chunk: [...outer.map(() => 1), h, w], packed: [...outer, h, w] }),
      };
    }),
  ];
  return { contents: { dimensions, variables }, copied, dropped, columns };
}

/** The name of a coordinate's bounds. */
function boundsOf({ attributes }: DatasetVariable): string | undefined {
  const name = attributes.get("bounds");
  return typeof name === "string" ? name : undefined;
}

function copiedAs(variable: DatasetVariable, changes: AxisChanges) {
  const { name, dimensions, dtype, attributes } = variable;
  const own = [...changes.values()].find(({ coordinate }) => coordinate === variable);
  // New values of an axis, and means, need not be whole numbers.
  const fractional =
    own?.values.some((value) => !Number.isInteger(value)) ||
    dimensions.some((axis) => changes.get(axis)?.rows.some((row) => row.length > 1));
  const whole = writtenAs[dtype]!;
  return {
    name,
    dimensions,
    dtype: fractional && whole.startsWith("int") ? ("float64" as const) : whole,
    attributes: {
      ...plainAttributes(attributes),
      ...(own?.bounds && !boundsOf(variable) && { bounds: newBounds(variable) }),
    },
  };
}

/** Of a time that is averaged over and has no bounds of its own. */
const newBounds = ({ name }: DatasetVariable): string => `${name}_bnds`;

/** Sorts the variables that are not regridded into those that still hold on another grid and those that do not. */
function others(
  { dataset, all }: Coordinates,
  jobs: readonly RegridJob[],
  changes: AxisChanges,
): Pick<Layout, "copied" | "dropped"> {
  const done = new Set(jobs.map(({ variable }) => variable.name));
  const horizontal = new Set(
    [...all.values()]
      .filter(({ kind }) => ["latitude", "longitude", "rotated"].includes(kind))
      .flatMap(({ variable }) => variable.dimensions),
  );
  for (const { variable, place } of jobs)
    for (const axis of placeAxes(place)) horizontal.add(variable.dimensions[axis]!);
  const interpolated = (name: string) =>
    changes.get(name)?.rows.some((row) => row.length > 1) === true && !changes.get(name)!.mean;
  const [copied, dropped]: [DatasetVariable[], { name: string; reason: string }[]] = [[], []];
  for (const variable of dataset.variables.values()) {
    const { name, dimensions, dtype } = variable;
    const coordinate = all.get(name)?.kind;
    if (done.has(name) || coordinate === "latitude" || coordinate === "longitude") continue;
    if (dimensions.some((dimension) => horizontal.has(dimension))) {
      // The bounds of the old axes have successors; other variables are missed.
      if (!isBounds(dataset, name))
        dropped.push({ name, reason: `belongs to the old grid or was not asked for` });
    } else if (isBounds(dataset, name) && dimensions.some(interpolated)) {
      dropped.push({ name, reason: "holds bounds of levels between which was interpolated" });
    } else if (!writtenAs[dtype]) dropped.push({ name, reason: `holds ${dtype}, not numbers` });
    else copied.push(variable);
  }
  return { copied, dropped };
}

function otherDimensions({ variable, place }: RegridJob): string[] {
  const own = placeAxes(place);
  return variable.dimensions.filter((_, d) => !own.includes(d));
}

export function plainAttributes(attributes: Attributes): WrittenAttributes {
  return Object.fromEntries(attributes);
}

/** Copies the stored numbers of a variable, or of those steps and levels that are kept. */
export async function copyVariable(
  variable: DatasetVariable,
  writer: NetcdfWriter,
  changes: AxisChanges,
): Promise<void> {
  const own = [...changes.values()].find(({ coordinate }) => coordinate === variable);
  const changed = variable.dimensions.map((name) => changes.get(name));
  if (own) return writer.write(variable.name, [0], own.values);
  const averaged = [...changes.values()].find(
    ({ coordinate }) => boundsOf(coordinate) === variable.name,
  )?.bounds;
  if (averaged) return writer.write(variable.name, [0, 0], averaged);
  if (changed.every((change) => change === undefined)) {
    for (const { start, count } of slabs(variable.shape, new Set(), slabElements))
      await writer.write(variable.name, start, await variable.read(start, count), count);
    return;
  }
  let values: ArrayLike<number> = await variable.read();
  const shape = [...variable.shape];
  for (const [d, change] of changed.entries()) {
    if (!change) continue;
    values = alongAxis(values, shape, d, change.rows);
    shape[d] = change.rows.length;
  }
  await writer.write(
    variable.name,
    shape.map(() => 0),
    values,
    shape,
  );
}

function alongAxis(
  values: ArrayLike<number>,
  shape: readonly number[],
  axis: number,
  rows: readonly AxisRow[],
): Float64Array {
  const inner = shape.slice(axis + 1).reduce((product, n) => product * n, 1);
  const outer = shape.slice(0, axis).reduce((product, n) => product * n, 1);
  const out = new Float64Array(outer * rows.length * inner);
  for (let o = 0; o < outer; o++)
    for (const [r, row] of rows.entries())
      for (const [index, weight] of row)
        for (let i = 0; i < inner; i++)
          out[(o * rows.length + r) * inner + i]! += weight * values[(o * shape[axis]! + index) * inner + i]!;
  return out;
}
