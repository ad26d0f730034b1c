/**
 * First-order conservative regridding from cells of any shape: each target cell is the mean of the source cells it
 * overlaps, by area on the sphere. The edges of source cells are great circles, those of target cells meridians and
 * parallels, as CDO has them.
 */
import { ClimaxError } from "../errors.ts";
import type { CellEdges } from "./conservative.ts";
import { overlapper } from "./overlap.ts";
import { describeSource, type Points } from "./points.ts";
import type { SparseWeights } from "./sparse.ts";

/**
 * The part of each target cell in each source cell. Targets that the source covers in part have rows that sum to less
 * than 1; where source cells overlap one another, as the seams of ocean grids do, to more.
 *
 * @throws ClimaxError "grid" when the source has no corners
 */
export function conservativePointWeights(source: Points, target: CellEdges): SparseWeights {
  const { corners } = source;
  if (!corners) {
    throw new ClimaxError(
      "grid",
      `conservative regridding wants the corners of the source's cells; its file gives none (${describeSource(source)})`,
      "choose --method distance-weighted or nearest; or give the coordinates a bounds variable (CF 7.1)",
    );
  }
  const { perCell, lat, lon } = corners;
  const [height, width] = [target.lat.length - 1, target.lon.length / 2];
  const overlaps = overlapper(target);
  const start = new Int32Array(height * width + 1);
  const [rows, columns, areas]: [number[], number[], number[]] = [[], [], []];
  for (let i = 0; i < source.lat.length; i++) {
    if (Number.isNaN(source.lat[i]! + source.lon[i]!)) continue;
    const cell = (values: Float64Array) => values.subarray(i * perCell, (i + 1) * perCell);
    overlaps(cell(lat), cell(lon), (row, area) => {
      rows.push(row);
      columns.push(i);
      areas.push(area);
      start[row + 1]!++;
    });
  }
  for (let r = 0; r < height * width; r++) start[r + 1]! += start[r]!;
  const next = start.slice();
  const weights: SparseWeights = {
    sourceSize: source.lat.length,
    targetSize: height * width,
    start,
    column: new Int32Array(rows.length),
    weight: new Float64Array(rows.length),
  };
  const sine = target.lat.map((y) => Math.sin((y * Math.PI) / 180));
  rows.forEach((row, k) => {
    const [r, c] = [Math.floor(row / width), row % width];
    const turn = ((target.lon[2 * c + 1]! - target.lon[2 * c]!) * Math.PI) / 180;
    const at = next[row]!++;
    weights.column[at] = columns[k]!;
    weights.weight[at] = areas[k]! / (turn * (sine[r + 1]! - sine[r]!));
  });
  return weights;
}
