// One dataset file onto another grid, as CF NetCDF-4: every variable on a grid of the sphere is regridded, all else
// that still holds is kept. Reads and writes slab by slab, whatever the file's size.
import { realpath } from "node:fs/promises";
import { basename } from "node:path";
import { setImmediate } from "node:timers/promises";
import { ClimaxError } from "../errors.ts";
import { createNetcdf } from "../files/netcdf4writer.ts";
import { describeGrid, type Grid } from "../grid/grid.ts";
import { describeSource, type Points } from "../grid/points.ts";
import type { RegridMethod } from "../grid/regrid.ts";
import { type Coordinates, findCoordinates } from "./coordinates.ts";
import { openDataset } from "./open.ts";
import { globalAttributes } from "./regridattributes.ts";
import { type AxisOptions, axisChanges } from "./regridaxes.ts";
import { outerShape, regridVariable } from "./regridfields.ts";
import { copyVariable, layOut, plainAttributes } from "./regridoutput.ts";
import { makePlan, type Plan, type PlanOptions } from "./regridplan.ts";
import { type RegridPool, regridPool } from "./regridpool.ts";

export interface RegridFileOptions extends PlanOptions, AxisOptions {
  /** gzip level of the output, 0 to 9; 1 by default. */
  compress?: number | undefined;
  /** The threads that do the work; without, this one does. */
  pool?: RegridPool | undefined;
  /** What tells this output from one of other settings or another input; see fingerprintOf. */
  fingerprint?: string | undefined;
  signal?: AbortSignal;
  /** Fields done of all. */
  onProgress?: (done: number, total: number) => void;
}

export interface RegridReport {
  source: Grid | Points;
  /** As written, which may be a part of the target asked for. */
  target: Grid;
  method: RegridMethod;
  regridded: string[];
  /** Variables left out, and why. */
  dropped: { name: string; reason: string }[];
  notes: string[];
}

/**
 * Regrids the file at `input` into `output`. On any error or abort nothing is left at `output`.
 * @throws ClimaxError "grid" when nothing in the file lies on a grid, saying what it lies on.
 */
export async function regridFile(
  input: string,
  output: string,
  options: RegridFileOptions,
): Promise<RegridReport> {
  const same = async (path: string) => realpath(path).catch(() => undefined);
  const dataset = await openDataset(input);
  try {
    const there = await same(output);
    if (there !== undefined && (await same(input)) === there) {
      throw new ClimaxError("data", `${output} is the input itself`, "choose another output name");
    }
    const coordinates = findCoordinates(dataset);
    const plan = await makePlan(coordinates, options).catch((error: unknown) => {
      const unnamed = error instanceof ClimaxError && !error.message.includes(input);
      if (!unnamed) throw error;
      throw new ClimaxError(error.kind, `${input}: ${error.message}`, error.hint, { cause: error });
    });
    return await carryOut(plan, coordinates, input, output, options);
  } finally {
    await dataset.close();
  }
}

async function carryOut(
  plan: Plan,
  coordinates: Coordinates,
  input: string,
  output: string,
  options: RegridFileOptions,
): Promise<RegridReport> {
  const { jobs, target } = plan;
  const { dataset } = coordinates;
  // What is said of the file is said of its fields; flags among them have a way of their own.
  const { regridder } = jobs.find(({ regridder: { method } }) => method !== "nearest") ?? jobs[0];
  const { compress: level = 1, pool = regridPool(0) } = options;
  const changes = await axisChanges(coordinates, jobs, options);
  const { contents, copied, dropped, columns } = layOut(coordinates, plan, changes, level);
  const { method } = regridder;
  const attributes = globalAttributes(dataset.attributes, {
    ...options,
    method,
    sourceGrid: describeSource(regridder.source),
    targetGrid: describeGrid(target),
    sourceFile: basename(dataset.path),
    date: new Date(),
  });
  if (options.fingerprint) attributes.set("regrid_fingerprint", options.fingerprint);
  const total = jobs
    .map((job) => outerShape(job, changes).reduce((product, n) => product * n, 1))
    .reduce((sum, n) => sum + n, 0);
  let done = 0;
  const onFields = async (count: number) => {
    options.onProgress?.((done += count), total);
    await setImmediate(); // reading and writing block the event loop, where signals arrive and bars are drawn
    options.signal?.throwIfAborted();
  };
  const writer = await createNetcdf(output, { ...contents, attributes: plainAttributes(attributes) });
  try {
    for (const variable of copied) await copyVariable(variable, writer, changes);
    const common = { pool, changes, columns, path: input, level, onFields };
    for (const job of jobs) await regridVariable(job, writer, common);
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return {
    source: regridder.source,
    target,
    method,
    regridded: jobs.map(({ variable }) => variable.name),
    dropped,
    notes: [...coordinates.notes],
  };
}
