/** Sources without rows and columns of their own: the points of a curvilinear or an unstructured grid. */
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid } from "./grid.ts";

/** N points of the sphere in the file's order. Fields on them are [N], shaped as `shape`. */
export interface Points {
  /** [N] degrees north. NaN here or in `lon` marks a dead cell, which no target takes from. */
  readonly lat: Float64Array;
  /** [N] degrees east in [0, 360). */
  readonly lon: Float64Array;
  /** [rows, columns] of a curvilinear grid, [N] of an unstructured one. */
  readonly shape: readonly number[];
  /** The corners of their cells, where the file has them. */
  readonly corners?: Corners;
}

/** Corners of cells in order round each, [N, perCell] degrees; cells of fewer repeat one of theirs, or end in NaN. */
export interface Corners {
  readonly perCell: number;
  readonly lat: Float64Array;
  readonly lon: Float64Array;
}

/**
 * Points from their coordinates, checked. Cells whose coordinates are fill (NaN, or beyond 1000 degrees) are dead.
 * @throws ClimaxError "grid" for a latitude beyond a pole, and when fewer than two points are left
 */
export function makePoints(
  lat: ArrayLike<number>,
  lon: ArrayLike<number>,
  shape: readonly number[],
  corners?: Corners,
): Points {
  const n = lat.length;
  const [north, east] = [new Float64Array(n).fill(Number.NaN), new Float64Array(n).fill(Number.NaN)];
  let alive = 0;
  for (let i = 0; i < n; i++) {
    const [y, x] = [lat[i]!, lon[i]!];
    if (!(Math.abs(y) < 1000 && Math.abs(x) < 1000)) continue;
    // float32 poles may read 90.00000001.
    if (Math.abs(y) > 90.001) {
      throw new ClimaxError(
        "grid",
        `latitude ${i} of the grid is ${y}; wanted a number in [-90, 90]`,
        "latitudes are degrees north; check the units of the coordinates",
      );
    }
    north[i] = Math.min(90, Math.max(-90, y));
    const wrapped = x - 360 * Math.floor(x / 360);
    east[i] = wrapped < 360 ? wrapped : 0;
    alive++;
  }
  if (alive < 2) {
    throw new ClimaxError(
      "grid",
      `a grid of ${n} cells has ${alive} with coordinates; at least 2 are wanted`,
      "check that the coordinates of the file are not all missing",
    );
  }
  return { lat: north, lon: east, shape, ...(corners && { corners }) };
}

export function isPoints(source: Grid | Points): source is Points {
  return "shape" in source;
}

/** Elements of a field on it. */
export function sizeOf(source: Grid | Points): number {
  return isPoints(source) ? source.lat.length : source.lat.length * source.lon.length;
}

/** One line for messages: "20480 cells, unstructured", "220 x 256, curvilinear", or as describeGrid says. */
export function describeSource(source: Grid | Points): string {
  if (!isPoints(source)) return describeGrid(source);
  const unstructured = source.shape.length === 1;
  return unstructured
    ? `${source.lat.length} cells, unstructured`
    : `${source.shape.join(" x ")}, curvilinear`;
}
