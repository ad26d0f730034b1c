/** The part of a target grid that a regional source reaches. */
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid, makeGrid } from "./grid.ts";
import type { Regridder } from "./regrid.ts";

/**
 * The rows and columns of the regridder's target that get a value from a source without gaps; the target itself
 * when that is all of them. Throws a `grid` error when the two grids do not meet.
 */
export function coveredTarget(regridder: Regridder): Grid {
  const { source, target } = regridder;
  const w = target.lon.length;
  const reached = regridder.apply(new Float32Array(source.lat.length * source.lon.length).fill(1));
  const row = target.lat.map((_, r) => Number(reached.subarray(r * w, (r + 1) * w).some((x) => x === 1)));
  const column = target.lon.map((_, c) => Number(row.some((_, r) => reached[r * w + c] === 1)));
  if (!row.includes(1)) {
    throw new ClimaxError(
      "grid",
      `no point of the target grid (${describeGrid(target)}) lies within the source (${describeGrid(source)})`,
      "choose a finer target grid, or one that covers the source's region",
    );
  }
  if (!row.includes(0) && !column.includes(0)) return target;
  return makeGrid(
    target.lat.filter((_, r) => row[r] === 1),
    target.lon.filter((_, c) => column[c] === 1),
  );
}
