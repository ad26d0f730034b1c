/** Fields cut to the part of the globe that is looked at. */
import { type Grid, makeGrid } from "../grid/grid.ts";
import { type Region, regionPoints } from "../grid/regions.ts";
import type { Field } from "../scores/metric.ts";

export interface Cut {
  readonly grid: Grid;
  /** [H * W] -> [h * w]; the same array where nothing is cut. */
  cut<F extends Field>(field: F): F;
}

/** The cut of a grid's fields to a region; to all of it without one. */
export function cutTo(grid: Grid, region: Region | undefined): Cut {
  if (!region) return { grid, cut: (field) => field };
  const { rows, columns } = regionPoints(grid, region);
  const W = grid.lon.length;
  return {
    grid: makeGrid(
      rows.map((row) => grid.lat[row]!),
      columns.map((column) => grid.lon[column]!),
    ),
    cut<F extends Field>(field: F): F {
      const out = field.slice(0, rows.length * columns.length) as F; // of its own kind
      let to = 0;
      for (const row of rows) for (const column of columns) out[to++] = field[row * W + column]!;
      return out;
    },
  };
}
