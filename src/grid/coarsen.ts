/** Means over blocks of points: a coarse view of a fine field, by area on the sphere. */
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid, latitudeEdges, longitudeEdges, longitudeSeam, makeGrid } from "./grid.ts";
import { makeRegridder, type Regridder } from "./regrid.ts";

/**
 * Takes fields to a grid of `factor` times fewer rows and columns, each value the mean of factor x factor cells by
 * their area. Its points lie in the middle of the blocks.
 *
 * @throws ClimaxError "grid" when blocks do not tile the grid, or make fewer than 2 x 2 points
 */
export function coarsener(grid: Grid, factor: number): Regridder {
  const [h, w] = [grid.lat.length, grid.lon.length];
  if (
    !Number.isInteger(factor) ||
    factor < 2 ||
    h % factor !== 0 ||
    w % factor !== 0 ||
    h < 2 * factor ||
    w < 2 * factor
  )
    throw new ClimaxError(
      "grid",
      `means over blocks of ${factor} x ${factor} points do not tile the grid (${describeGrid(grid)}), or leave fewer than 2 x 2`,
      `choose a whole factor from 2 that divides ${h} rows and ${w} columns, or regrid the data first`,
    );
  const latEdges = latitudeEdges(grid);
  const lonEdges = longitudeEdges(grid);
  const middle = (a: number, b: number) => (a + b) / 2;
  const rows = Array.from({ length: h / factor + 1 }, (_, r) => latEdges[r * factor]!);
  const lat = rows.slice(1).map((north, r) => middle(rows[r]!, north));
  // Blocks begin at the seam, so that those of a region across Greenwich do not go the wrong way round.
  const { start } = longitudeSeam(grid);
  const columns = Array.from({ length: w / factor }, (_, c) => {
    const [first, last] = [(start + c * factor) % w, (start + c * factor + factor - 1) % w];
    const west = lonEdges[2 * first]!;
    const east = lonEdges[2 * last + 1]! + (last < first ? 360 : 0);
    const centre = middle(west, east);
    const turn = 360 * Math.floor(centre / 360);
    return { centre: centre - turn, west: west - turn, east: east - turn };
  }).sort((a, b) => a.centre - b.centre);
  const coarse = makeGrid(
    lat,
    columns.map(({ centre }) => centre),
  );
  return makeRegridder(grid, coarse, "conservative", {
    sourceEdges: { lat: latEdges, lon: lonEdges },
    targetEdges: {
      lat: Float64Array.from(rows),
      lon: Float64Array.from(columns.flatMap(({ west, east }) => [west, east])),
    },
  });
}
