/** The part of a target grid that a regional source reaches. */
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid, makeGrid } from "./grid.ts";
import { describeSource, isPoints, sizeOf } from "./points.ts";
import type { Regridder } from "./regridder.ts";

/**
 * The rows and columns of the regridder's target that get a value from a source without gaps; the target itself
 * when that is all of them, or when points without rows and columns go round the globe: an ocean's grid is no region for
 * leaving out Antarctica. Throws a `grid` error when the two grids do not meet.
 */
export function coveredTarget(regridder: Regridder): Grid {
  const { source, target } = regridder;
  const w = target.lon.length;
  const reached = regridder.apply(new Float32Array(sizeOf(source)).fill(1));
  const row = target.lat.map((_, r) => Number(reached.subarray(r * w, (r + 1) * w).some((x) => x === 1)));
  const column = target.lon.map((_, c) => Number(row.some((_, r) => reached[r * w + c] === 1)));
  if (!row.includes(1)) {
    throw new ClimaxError(
      "grid",
      `no point of the target grid (${describeGrid(target)}) lies within the source (${describeSource(source)})`,
      "choose a finer target grid, or one that covers the source's region",
    );
  }
  const round = !column.includes(0);
  if (round && (isPoints(source) || !row.includes(0))) return target;
  return makeGrid(
    target.lat.filter((_, r) => row[r] === 1),
    target.lon.filter((_, c) => column[c] === 1),
  );
}
