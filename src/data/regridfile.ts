// One dataset file onto another grid, as CF NetCDF-4: every variable on latitudes and longitudes is regridded,
// all else that still holds is kept. Reads and writes slab by slab, whatever the file's size.
import { realpath } from "node:fs/promises";
import { basename } from "node:path";
import { setImmediate } from "node:timers/promises";
import { ClimaxError, unknownName } from "../errors.ts";
import type { DatasetVariable } from "../files/dataset.ts";
import { createNetcdf } from "../files/netcdf4writer.ts";
import { type CellEdges, cellEdges } from "../grid/conservative.ts";
import { describeGrid, type Grid } from "../grid/grid.ts";
import { coveredTarget } from "../grid/region.ts";
import { makeRegridder, type Regridder, type RegridMethod } from "../grid/regrid.ts";
import { readCellEdges } from "./celledges.ts";
import { type Coordinates, findCoordinates, horizontalOf, isBounds } from "./coordinates.ts";
import { openDataset } from "./open.ts";
import { globalAttributes } from "./regridattributes.ts";
import { copyVariable, layOut, plainAttributes, type RegridJob, regridVariable } from "./regridoutput.ts";

export interface RegridFileOptions {
  target: Grid;
  targetEdges?: CellEdges | undefined;
  method: RegridMethod;
  /** See RegridOptions. */
  minimumValid?: number | undefined;
  /** Names of the variables wanted; all by default. */
  variables?: readonly string[] | undefined;
  /** Whether to write only the rows and columns that a regional source reaches. */
  cut: boolean;
  /** For `history`: the command as typed, and this program with its version. */
  commandLine: string;
  program: string;
  signal?: AbortSignal;
  /** Fields done of all. */
  onProgress?: (done: number, total: number) => void;
}

export interface RegridReport {
  source: Grid;
  /** As written, which may be a part of the target asked for. */
  target: Grid;
  regridded: string[];
  /** Variables left out, and why. */
  dropped: { name: string; reason: string }[];
  notes: string[];
}

/** What is to be done: the variables, and the grid that all of them go to. */
interface Plan {
  jobs: [RegridJob, ...RegridJob[]];
  target: Grid;
  targetEdges: CellEdges;
  latitude: DatasetVariable;
  longitude: DatasetVariable;
}

/**
 * Regrids the file at `input` into `output`. On any error or abort nothing is left at `output`.
 * @throws ClimaxError "grid" when nothing in the file lies on a latitude-longitude grid, saying what it lies on.
 */
export async function regridFile(
  input: string,
  output: string,
  options: RegridFileOptions,
): Promise<RegridReport> {
  const same = async (path: string) => realpath(path).catch(() => undefined);
  const dataset = await openDataset(input);
  try {
    if ((await same(input)) === (await same(output))) {
      throw new ClimaxError("data", `${output} is the input itself`, "choose another output name");
    }
    const coordinates = findCoordinates(dataset);
    const plan = await makePlan(coordinates, options).catch((error: unknown) => {
      const unnamed = error instanceof ClimaxError && !error.message.includes(input);
      if (!unnamed) throw error;
      throw new ClimaxError(error.kind, `${input}: ${error.message}`, error.hint, { cause: error });
    });
    return await carryOut(plan, coordinates, output, options);
  } finally {
    await dataset.close();
  }
}

/** Finds what lies on a grid; one regridder serves all variables that share one. */
async function makePlan(coordinates: Coordinates, options: RegridFileOptions): Promise<Plan> {
  const { dataset, axes } = coordinates;
  const regridders = new Map<string, Regridder>();
  // Only conservative regridding looks at cells.
  const edgeNotes = options.method === "conservative" ? coordinates.notes : new Set<string>();
  let plan: Plan | undefined;
  for (const variable of await fieldsOf(coordinates, options.variables)) {
    const horizontal = await horizontalOf(coordinates, variable);
    const [latitude, longitude] = [horizontal.latitudeAxis, horizontal.longitudeAxis].map(
      (axis) => axes.get(variable.dimensions[axis]!)!.variable,
    ) as [DatasetVariable, DatasetVariable];
    const key = `${latitude.name} ${longitude.name}`;
    let regridder = regridders.get(key);
    if (!regridder) {
      const sourceEdges = await readCellEdges(dataset, horizontal, latitude, longitude, edgeNotes);
      const onto = (target: Grid, targetEdges: CellEdges) =>
        makeRegridder(horizontal.grid, target, options.method, {
          targetEdges,
          ...(options.minimumValid !== undefined && { minimumValid: options.minimumValid }),
          ...(sourceEdges && { sourceEdges }),
        });
      let target = plan?.target ?? options.target;
      let targetEdges = plan?.targetEdges ?? options.targetEdges ?? cellEdges(target);
      regridder = onto(target, targetEdges);
      if (options.cut && !plan) {
        const part = coveredTarget(regridder);
        if (part !== target) {
          targetEdges = partOfEdges(targetEdges, target, part);
          target = part;
          regridder = onto(target, targetEdges);
        }
      }
      regridders.set(key, regridder);
      const job = { variable, horizontal, regridder };
      if (!plan) {
        plan = { jobs: [job], target, targetEdges, latitude, longitude };
        continue;
      }
    }
    plan!.jobs.push({ variable, horizontal, regridder });
  }
  return plan!;
}

/** The variables to regrid, of which there is at least one. */
async function fieldsOf(
  coordinates: Coordinates,
  wanted: readonly string[] | undefined,
): Promise<DatasetVariable[]> {
  const { dataset, axes } = coordinates;
  const data = [...dataset.variables.values()].filter((variable) => isData(coordinates, variable));
  const fields = data.filter(({ dimensions }) => {
    const kinds = dimensions.map((dimension) => axes.get(dimension)?.kind);
    return kinds.includes("latitude") && kinds.includes("longitude");
  });
  if (fields.length === 0) {
    // The largest variable is the one meant; asking for its grid says what is wrong with it.
    const size = ({ shape }: DatasetVariable) => shape.reduce((product, n) => product * n, 1);
    const [main] = data.toSorted((a, b) => size(b) - size(a));
    if (main && main.shape.length > 0) await horizontalOf(coordinates, main);
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

async function carryOut(
  plan: Plan,
  coordinates: Coordinates,
  output: string,
  options: RegridFileOptions,
): Promise<RegridReport> {
  const { jobs, target } = plan;
  const { dataset } = coordinates;
  const [{ regridder }] = jobs;
  const { contents, copied, dropped, columns } = layOut(coordinates, plan, options.method);
  const attributes = globalAttributes(dataset.attributes, {
    ...options,
    sourceGrid: describeGrid(regridder.source),
    targetGrid: describeGrid(target),
    sourceFile: basename(dataset.path),
    date: new Date(),
  });
  const fields = jobs.map(({ variable: { shape }, horizontal: { latitudeAxis, longitudeAxis } }) =>
    shape.reduce((product, n, d) => (d === latitudeAxis || d === longitudeAxis ? product : product * n), 1),
  );
  const total = fields.reduce((sum, n) => sum + n, 0);
  let done = 0;
  const step = async (count: number) => {
    options.onProgress?.((done += count), total);
    await setImmediate(); // reading and writing block the event loop, where signals arrive and bars are drawn
    options.signal?.throwIfAborted();
  };
  const writer = await createNetcdf(output, { ...contents, attributes: plainAttributes(attributes) });
  try {
    for (const variable of copied) await copyVariable(variable, writer);
    for (const job of jobs) await regridVariable(job, columns, writer, step);
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return {
    source: regridder.source,
    target,
    regridded: jobs.map(({ variable }) => variable.name),
    dropped,
    notes: [...coordinates.notes],
  };
}
