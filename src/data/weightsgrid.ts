// Whether a weight file is for these grids, and where each of its points is in ours, whatever the order of its rows.
import { ClimaxError } from "../errors.ts";
import type { Dataset } from "../files/dataset.ts";
import type { Grid } from "../grid/grid.ts";
import { describeSource, isPoints, type Points, sizeOf } from "../grid/points.ts";
import { readDegrees } from "./scattered.ts";

/** Degrees; float32 files round their coordinates. */
const tolerance = 1e-3;

/** Centres of the points of a weight file, degrees, in its order. */
export interface Centres {
  lat: Float64Array;
  lon: Float64Array;
}

/** @throws ClimaxError "data" when the file has no such variables */
export async function readCentres(dataset: Dataset, names: readonly [string, string]): Promise<Centres> {
  const [lat, lon] = await Promise.all(
    names.map((name) => {
      const variable = dataset.variables.get(name);
      if (variable) return readDegrees(variable);
      throw new ClimaxError(
        "data",
        `${dataset.path} has no ${name}; wanted the centres of both grids, to know what the weights are for`,
        "make the weights again",
      );
    }),
  );
  return { lat: lat!, lon: lon! };
}

/**
 * The index in `grid` of each point of the file.
 * @throws ClimaxError "grid" when these are not the points of `grid`, saying which is not
 */
export function placesInFile(
  { lat, lon }: Centres,
  grid: Grid | Points,
  { path, which }: { path: string; which: "source" | "target" },
): Int32Array {
  const size = sizeOf(grid);
  const refuse = (found: string): never => {
    throw new ClimaxError(
      "grid",
      `${path} holds weights for another ${which}: ${found}; the ${which} here is ${describeSource(grid)}`,
      "leave the file out, and the weights are made anew; or name the one made for these grids",
    );
  };
  const place = (i: number) => `${Number(lat[i]!.toFixed(4))} N ${Number(lon[i]!.toFixed(4))} E`;
  // A file may give the first column again after a whole turn, once in each row.
  const again = isPoints(grid) || which === "target" ? 0 : grid.lat.length;
  if (lat.length !== size && lat.length !== size + again) refuse(`it has ${lat.length} points, not ${size}`);
  if (isPoints(grid)) {
    lat.forEach((_, i) => {
      const dead = Number.isNaN(grid.lat[i]! + grid.lon[i]!);
      if (!dead && !near(lat[i]!, lon[i]!, grid.lat[i]!, grid.lon[i]!))
        refuse(`its point ${i + 1} lies at ${place(i)}`);
    });
    return Int32Array.from({ length: size }, (_, i) => i);
  }
  const w = grid.lon.length;
  const seen = new Uint8Array(size);
  const [rows, columns] = [finder(grid.lat), finder(grid.lon)];
  const places = Int32Array.from({ length: lat.length }, (_, i) => {
    const east = lon[i]! - 360 * Math.floor((lon[i]! + tolerance) / 360);
    const [row, column] = [rows(lat[i]!), columns(east)];
    if (row < 0 || column < 0) return refuse(`its point ${i + 1} lies at ${place(i)}`);
    seen[row * w + column] = 1;
    return row * w + column;
  });
  const unseen = seen.indexOf(0);
  if (unseen >= 0) {
    const missing = `${grid.lat[Math.floor(unseen / w)]} N ${grid.lon[unseen % w]} E`;
    refuse(`it has no point at ${missing}`);
  }
  return places;
}

/** Within tolerance, as far as longitude means anything there. */
function near(lat: number, lon: number, y: number, x: number): boolean {
  const east = Math.abs(((((lon - x) % 360) + 540) % 360) - 180);
  return Math.abs(lat - y) <= tolerance && east * Math.cos((y * Math.PI) / 180) <= tolerance;
}

/** Finds a coordinate on an ascending axis; -1 when it is not there. */
function finder(axis: Float64Array): (value: number) => number {
  let last = 0; // neighbours in the file are mostly neighbours on the axis
  return (value) => {
    const here = (i: number) => i >= 0 && i < axis.length && Math.abs(axis[i]! - value) <= tolerance;
    for (const i of [last, last + 1, last - 1]) if (here(i)) return (last = i);
    const found = axis.findIndex((x) => Math.abs(x - value) <= tolerance);
    if (found >= 0) last = found;
    return found;
  };
}
