// What is regridded of a file, and by which weights: one regridder serves all variables that share a grid.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { ClimaxError, unknownName } from "../errors.ts";
import type { DatasetVariable } from "../files/dataset.ts";
import { type CellEdges, cellEdges } from "../grid/conservative.ts";
import type { Grid } from "../grid/grid.ts";
import { isPoints, type Points } from "../grid/points.ts";
import { coveredTarget } from "../grid/region.ts";
import {
  defaultMinimumValid,
  makeRegridder,
  type Regridder,
  type RegridMethod,
  type RegridOptions,
} from "../grid/regrid.ts";
import { type SparseWeights, sparseRegridder } from "../grid/sparse.ts";
import { readCellEdges } from "./celledges.ts";
import { type Coordinates, isBounds, type Place, placeOf } from "./coordinates.ts";
import { scatteredPair } from "./scattered.ts";
import { type FileAxes, readWeights, writeWeights } from "./weightsfile.ts";

/** A variable to be regridded. */
export interface RegridJob {
  variable: DatasetVariable;
  place: Place;
  regridder: Regridder;
}

/** What is to be done: the variables, and the grid that all of them go to. */
export interface Plan {
  jobs: [RegridJob, ...RegridJob[]];
  target: Grid;
  targetEdges: CellEdges;
  /** Coordinates of the source of the first job. */
  latitude: DatasetVariable;
  longitude: DatasetVariable;
}

/** Regridders of scattered sources and stored weights, which take long to make, by what they are made of. */
export type RegridderCache = Map<string, Promise<Regridder>>;

export interface PlanOptions {
  target: Grid;
  targetEdges?: CellEdges | undefined;
  /** Bilinear from latitudes by longitudes and distance-weighted from other points by default. */
  method?: RegridMethod | undefined;
  minimumValid?: number | undefined;
  variables?: readonly string[] | undefined;
  cut: boolean;
  /** Weights are read from this file; when it does not exist they are written there. */
  weights?: string | undefined;
  cache?: RegridderCache | undefined;
  commandLine: string;
  program: string;
}

export async function makePlan(coordinates: Coordinates, options: PlanOptions): Promise<Plan> {
  const regridders = new Map<string, Regridder>();
  let plan: Plan | undefined;
  for (const variable of await fieldsOf(coordinates, options.variables)) {
    const place = await placeOf(coordinates, variable, options.method === "conservative");
    const [latitude, longitude] = coordinatesOf(coordinates, variable, place);
    const flags = isFlags(variable) && options.method !== "nearest";
    if (flags) coordinates.notes.add(`${variable.name}: nearest neighbour, as a mean of flags is no flag`);
    const key = `${latitude.name} ${longitude.name}${flags ? " flags" : ""}`;
    let regridder = regridders.get(key);
    if (!regridder) {
      const own = flags
        ? { ...options, method: "nearest" as const, minimumValid: undefined, weights: undefined }
        : options;
      const make = await regridderMaker(coordinates, place, latitude, longitude, own);
      let target = plan?.target ?? options.target;
      let targetEdges = plan?.targetEdges ?? options.targetEdges ?? cellEdges(target);
      regridder = await make(target, targetEdges);
      if (options.cut && !plan) {
        const part = coveredTarget(regridder);
        if (part !== target) {
          targetEdges = partOfEdges(targetEdges, target, part);
          regridder = own.weights ? restricted(regridder, part) : await make(part, targetEdges);
          target = part;
        }
      }
      regridders.set(key, regridder);
      if (!plan) {
        plan = { jobs: [{ variable, place, regridder }], target, targetEdges, latitude, longitude };
        continue;
      }
    }
    plan!.jobs.push({ variable, place, regridder });
  }
  return plan!;
}

/** Whether its numbers stand for words: CF conventions 1.11, section 3.5. */
function isFlags({ attributes }: DatasetVariable): boolean {
  return ["flag_values", "flag_masks", "flag_meanings"].some((name) => attributes.has(name));
}

function coordinatesOf(
  { axes }: Coordinates,
  variable: DatasetVariable,
  place: Place,
): [latitude: DatasetVariable, longitude: DatasetVariable] {
  if ("points" in place) return [place.latitude, place.longitude];
  const at = (axis: number) => axes.get(variable.dimensions[axis]!)!.variable;
  return [at(place.latitudeAxis), at(place.longitudeAxis)];
}

/** Positions of a place's dimensions among the variable's. */
export function placeAxes(place: Place): number[] {
  return "points" in place ? place.axes : [place.latitudeAxis, place.longitudeAxis];
}

async function regridderMaker(
  coordinates: Coordinates,
  place: Place,
  latitude: DatasetVariable,
  longitude: DatasetVariable,
  options: PlanOptions,
): Promise<(target: Grid, targetEdges: CellEdges) => Promise<Regridder>> {
  const source = "points" in place ? place.points : place.grid;
  const method = options.method ?? (isPoints(source) ? "distance-weighted" : "bilinear");
  // Only conservative regridding looks at cells.
  const notes = method === "conservative" ? coordinates.notes : new Set<string>();
  const sourceEdges =
    "points" in place
      ? undefined
      : await readCellEdges(coordinates.dataset, place, latitude, longitude, notes);
  if (isPoints(source) && !options.method && !options.weights)
    coordinates.notes.add(`${method}, as its grid has no rows of latitude and columns of longitude`);
  const { minimumValid, weights } = options;
  return async (target, targetEdges) => {
    const settings: RegridOptions = {
      targetEdges,
      ...(minimumValid !== undefined && { minimumValid }),
      ...(sourceEdges && { sourceEdges }),
    };
    const make = () => makeRegridder(source, target, method, settings);
    if (!weights && !isPoints(source)) return make();
    const key = digest([source, target, sourceEdges, targetEdges, method, minimumValid, weights]);
    const cache = options.cache ?? new Map();
    const found = cache.get(key) as Promise<Regridder> | undefined;
    if (found) return found;
    const stored = weights
      ? fromFile(weights, source, target, make, options, "points" in place ? undefined : await axesOf())
      : Promise.resolve().then(make);
    cache.set(key, stored);
    return stored;
  };

  async function axesOf(): Promise<FileAxes> {
    const { rows, columns } = place as Exclude<Place, { points: Points }>;
    return { lat: await latitude.readUnpacked(), lon: await longitude.readUnpacked(), rows, columns };
  }
}

async function fromFile(
  path: string,
  source: Grid | Points,
  target: Grid,
  make: () => Regridder,
  options: PlanOptions,
  axes: FileAxes | undefined,
): Promise<Regridder> {
  if (!existsSync(path)) {
    const regridder = make();
    await writeWeights(path, regridder, options, axes);
    return regridder;
  }
  const { weights, method: stored } = await readWeights(path, source, target);
  if (stored && options.method && stored !== options.method) {
    throw new ClimaxError(
      "config",
      `${path} holds ${stored} weights; found --method ${options.method}`,
      "leave out --method, or name another file to write the weights to",
    );
  }
  const method = stored ?? options.method ?? "distance-weighted";
  const minimumValid = options.minimumValid ?? defaultMinimumValid[method];
  return sparseRegridder(weights, { source, target, method, minimumValid });
}

/** A regridder of stored weights onto a part of its target. */
function restricted(regridder: Regridder, part: Grid): Regridder {
  const { operator, target } = regridder;
  if (!("column" in operator)) {
    // Made just now, to be written for the whole: the rows of its axes.
    const rows = (axis: typeof operator.lat, whole: Float64Array, kept: Float64Array) =>
      pickRows(
        axis,
        Int32Array.from(kept, (x) => whole.indexOf(x)),
      );
    const of = (row: number) => part.lat.indexOf(target.lat[row]!);
    const cut = {
      lat: rows(operator.lat, target.lat, part.lat),
      lon: rows(operator.lon, target.lon, part.lon),
      poles: operator.poles.map((pole) => ({ ...pole, row: of(pole.row) })).filter(({ row }) => row >= 0),
    };
    return { ...regridder, target: part, operator: cut };
  }
  const picked = Int32Array.from({ length: part.lat.length * part.lon.length }, (_, k) => {
    const [lat, lon] = [part.lat[Math.floor(k / part.lon.length)]!, part.lon[k % part.lon.length]!];
    return target.lat.indexOf(lat) * target.lon.length + target.lon.indexOf(lon);
  });
  const weights: SparseWeights = {
    sourceSize: operator.sourceSize,
    targetSize: picked.length,
    ...pickRows(operator, picked),
  };
  return sparseRegridder(weights, { ...regridder, target: part });
}

function pickRows(
  { start, column, weight }: Pick<SparseWeights, "start" | "column" | "weight">,
  rows: Int32Array,
) {
  const from = new Int32Array(rows.length + 1);
  const order: number[] = [];
  rows.forEach((row, r) => {
    for (let k = start[row]!; k < start[row + 1]!; k++) order.push(k);
    from[r + 1] = order.length;
  });
  return {
    start: from,
    column: Int32Array.from(order, (k) => column[k]!),
    weight: Float64Array.from(order, (k) => weight[k]!),
  };
}

/** Of plain values and typed arrays, whatever their depth. */
export function digest(parts: unknown): string {
  const hash = createHash("sha1");
  const add = (part: unknown): void => {
    if (ArrayBuffer.isView(part)) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    else if (typeof part === "object" && part !== null)
      for (const [key, value] of Object.entries(part)) {
        hash.update(`${key}:`);
        add(value);
      }
    else hash.update(`${String(part)};`);
  };
  add(parts);
  return hash.digest("hex");
}

/** The variables to regrid, of which there is at least one. */
async function fieldsOf(
  coordinates: Coordinates,
  wanted: readonly string[] | undefined,
): Promise<DatasetVariable[]> {
  const { dataset, axes } = coordinates;
  const data = [...dataset.variables.values()].filter((variable) => isData(coordinates, variable));
  const fields: DatasetVariable[] = [];
  for (const variable of data) {
    const kinds = variable.dimensions.map((dimension) => axes.get(dimension)?.kind);
    const rectilinear = kinds.includes("latitude") && kinds.includes("longitude");
    if (rectilinear || scatteredPair(coordinates, variable)) fields.push(variable);
  }
  if (fields.length === 0) {
    // The largest variable is the one meant; asking for its grid says what is wrong with it.
    const size = ({ shape }: DatasetVariable) => shape.reduce((product, n) => product * n, 1);
    const [main] = data.toSorted((a, b) => size(b) - size(a));
    if (main && main.shape.length > 0) await placeOf(coordinates, main);
    throw new ClimaxError(
      "data",
      `${dataset.path} holds no fields to regrid`,
      "check that it is the file you mean",
    );
  }
  const names = fields.map(({ name }) => name);
  for (const name of wanted ?? []) {
    if (!names.includes(name)) unknownName(`variable of ${dataset.path}`, name, names);
  }
  return fields.filter(({ name }) => wanted?.includes(name) ?? true);
}

/** The edges of the rows and columns of `part` among those of `whole`: a part keeps the cells it had. */
function partOfEdges(edges: CellEdges, whole: Grid, part: Grid): CellEdges {
  const first = whole.lat.indexOf(part.lat[0]!);
  return {
    lat: edges.lat.slice(first, first + part.lat.length + 1),
    lon: Float64Array.from(part.lon, (x) => whole.lon.indexOf(x)).reduce(
      (list, c, i) =>
        list.fill(edges.lon[2 * c]!, 2 * i, 2 * i + 1).fill(edges.lon[2 * c + 1]!, 2 * i + 1, 2 * i + 2),
      new Float64Array(2 * part.lon.length),
    ),
  };
}

/** Numbers that are neither coordinates nor bounds nor areas of the old cells. */
function isData({ dataset, all }: Coordinates, { name, dtype, attributes }: DatasetVariable): boolean {
  if (["char", "string", "other"].includes(dtype) || all.has(name) || isBounds(dataset, name)) return false;
  return attributes.get("standard_name") !== "cell_area";
}
