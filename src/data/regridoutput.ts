// What a regridded file consists of, and how its variables get there slab by slab.

import type { DatasetVariable, Dtype } from "../files/dataset.ts";
import type {
  NetcdfContents,
  NetcdfWriter,
  WrittenAttributes,
  WrittenDtype,
} from "../files/netcdf4writer.ts";
import { slabs } from "../files/slabs.ts";
import type { CellEdges } from "../grid/conservative.ts";
import { type Grid, longitudeSeam } from "../grid/grid.ts";
import type { Regridder, RegridMethod } from "../grid/regrid.ts";
import { type Coordinates, type Horizontal, isBounds } from "./coordinates.ts";
import { type Attributes, axisAttributes, fieldAttributes } from "./regridattributes.ts";

/** A variable to be regridded. */
export interface RegridJob {
  variable: DatasetVariable;
  horizontal: Horizontal;
  regridder: Regridder;
}

/** Elements of a slab: 8 MB as float32, held several times between the file and the regridder. */
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
  plan: {
    jobs: readonly RegridJob[];
    target: Grid;
    targetEdges: CellEdges;
    latitude: DatasetVariable;
    longitude: DatasetVariable;
  },
  method: RegridMethod,
): Layout {
  const { jobs, target, targetEdges, latitude, longitude } = plan;
  const { dataset } = coordinates;
  const { copied, dropped } = others(coordinates, jobs);
  const kept = new Set([...copied, ...jobs.map(({ variable }) => variable)].map(({ name }) => name));
  const dimensions: Record<string, number | null> = {};
  for (const name of [
    ...jobs.flatMap(otherDimensions),
    ...copied.flatMap((variable) => variable.dimensions),
  ]) {
    dimensions[name] = dataset.unlimited.has(name) ? null : dataset.dimensions.get(name)!;
  }
  const free = (name: string, taken: (name: string) => boolean) => {
    let found = name;
    for (let i = 2; taken(found); i++) found = `${name}${i}`;
    return found;
  };
  const sides = free("bnds", (name) => (dimensions[name] ?? 2) !== 2 || dimensions[name] === null);
  const bounds = (axis: DatasetVariable) => free(`${axis.name}_bnds`, (name) => kept.has(name));
  const [h, w] = [target.lat.length, target.lon.length];
  Object.assign(dimensions, { [latitude.name]: h, [longitude.name]: w, [sides]: 2 });

  // A region across Greenwich is written eastward from its western end, -20 .. 40 rather than 0 .. 40, 340 .. 359.
  const { start, periodic } = longitudeSeam(target);
  const from = periodic ? 0 : start;
  const columns = Int32Array.from({ length: w }, (_, i) => (from + i) % w);
  const shift = (column: number) => (from > 0 && column >= from ? -360 : 0);
  const axis = (variable: DatasetVariable, which: "latitude" | "longitude", data: ArrayLike<number>) => ({
    name: variable.name,
    dimensions: [variable.name],
    dtype: "float64" as const,
    attributes: plainAttributes(axisAttributes(variable.attributes, which, bounds(variable))),
    data,
  });
  const cells = (variable: DatasetVariable, data: ArrayLike<number>) => ({
    name: bounds(variable),
    dimensions: [variable.name, sides],
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
    ...copied.map((variable) => ({
      name: variable.name,
      dimensions: variable.dimensions,
      dtype: writtenAs[variable.dtype]!,
      attributes: plainAttributes(variable.attributes),
    })),
    ...jobs.map((job) => ({
      name: job.variable.name,
      dimensions: [...otherDimensions(job), latitude.name, longitude.name],
      dtype: "float32" as const,
      attributes: plainAttributes(fieldAttributes(job.variable.attributes, method, kept)),
    })),
  ];
  return { contents: { dimensions, variables }, copied, dropped, columns };
}

/** Sorts the variables that are not regridded into those that still hold on another grid and those that do not. */
function others(
  { dataset, all }: Coordinates,
  jobs: readonly RegridJob[],
): Pick<Layout, "copied" | "dropped"> {
  const done = new Set(jobs.map(({ variable }) => variable.name));
  const horizontal = new Set(
    [...all.values()]
      .filter(({ kind }) => ["latitude", "longitude", "rotated"].includes(kind))
      .flatMap(({ variable }) => variable.dimensions),
  );
  const [copied, dropped]: [DatasetVariable[], { name: string; reason: string }[]] = [[], []];
  for (const variable of dataset.variables.values()) {
    const { name, dimensions, dtype } = variable;
    const coordinate = all.get(name)?.kind;
    if (done.has(name) || coordinate === "latitude" || coordinate === "longitude") continue;
    if (dimensions.some((dimension) => horizontal.has(dimension))) {
      // The bounds of the old axes have successors; other variables are missed.
      if (!isBounds(dataset, name))
        dropped.push({ name, reason: `belongs to the old grid or was not asked for` });
    } else if (!writtenAs[dtype]) dropped.push({ name, reason: `holds ${dtype}, not numbers` });
    else copied.push(variable);
  }
  return { copied, dropped };
}

function otherDimensions({ variable, horizontal: { latitudeAxis, longitudeAxis } }: RegridJob): string[] {
  return variable.dimensions.filter((_, d) => d !== latitudeAxis && d !== longitudeAxis);
}

export function plainAttributes(attributes: Attributes): WrittenAttributes {
  return Object.fromEntries(attributes);
}

/** Copies the stored numbers of a variable. */
export async function copyVariable(variable: DatasetVariable, writer: NetcdfWriter): Promise<void> {
  for (const { start, count } of slabs(variable.shape, new Set(), slabElements)) {
    await writer.write(variable.name, start, await variable.read(start, count), count);
  }
}

/**
 * Regrids a variable, [..., lat, ..., lon, ...] -> [..., H, W]. `columns` is the target's column of each of the
 * file's. Awaits `onFields` with the number of fields after each slab.
 */
export async function regridVariable(
  { variable, horizontal, regridder }: RegridJob,
  columns: Int32Array,
  writer: NetcdfWriter,
  onFields: (count: number) => Promise<void>,
): Promise<void> {
  const { latitudeAxis, longitudeAxis } = horizontal;
  const isOther = (_: number, d: number) => d !== latitudeAxis && d !== longitudeAxis;
  const { source, target } = regridder;
  const [h, w] = [target.lat.length, target.lon.length];
  const gathered = new Float64Array(source.lat.length * source.lon.length);
  const regridded = new Float32Array(h * w);
  for (const { start, count } of slabs(
    variable.shape,
    new Set([latitudeAxis, longitudeAxis]),
    slabElements,
  )) {
    const values = await variable.readUnpacked(start, count);
    const strides = count.map((_, d) => count.slice(d + 1).reduce((product, n) => product * n, 1));
    const [others, otherStrides] = [count.filter(isOther), strides.filter(isOther)];
    const fields = others.reduce((product, n) => product * n, 1);
    const out = new Float32Array(fields * h * w);
    for (let f = 0; f < fields; f++) {
      let [base, rest] = [0, f];
      for (let d = others.length - 1; d >= 0; d--) {
        base += (rest % others[d]!) * otherStrides[d]!;
        rest = Math.floor(rest / others[d]!);
      }
      gather(values, base, strides[latitudeAxis]!, strides[longitudeAxis]!, horizontal, gathered);
      regridder.apply(gathered, regridded);
      for (let r = 0; r < h; r++) {
        for (let c = 0; c < w; c++) out[(f * h + r) * w + c] = regridded[r * w + columns[c]!]!;
      }
    }
    await writer.write(variable.name, [...start.filter(isOther), 0, 0], out, [...others, h, w]);
    await onFields(fields);
  }
}

/** One field from a slab, in the order of the grid. */
function gather(
  values: Float32Array | Float64Array,
  base: number,
  latitudeStride: number,
  longitudeStride: number,
  { rows, columns }: Horizontal,
  field: Float64Array,
): void {
  const straight = longitudeStride === 1 && columns.every((column, c) => column === c);
  const width = columns.length;
  for (let r = 0; r < rows.length; r++) {
    const from = base + rows[r]! * latitudeStride;
    if (straight) field.set(values.subarray(from, from + width), r * width);
    else for (let c = 0; c < width; c++) field[r * width + c] = values[from + columns[c]! * longitudeStride]!;
  }
}
