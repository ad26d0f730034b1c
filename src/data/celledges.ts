// Cell edges as a file's bounds variables give them (CF 7.1), in the order of its grid.

import type { Dataset, DatasetVariable } from "../files/dataset.ts";
import type { CellEdges } from "../grid/conservative.ts";
import type { Corners } from "../grid/points.ts";
import type { Horizontal } from "./coordinates.ts";
import { readDegrees } from "./scattered.ts";

/**
 * The edges of a variable's grid, or undefined when the file has none, or has some whose cells do not join up or
 * do not hold their points. `lat` and `lon` are the coordinate variables of that grid; `notes` gets a line
 * in the latter case.
 */
export async function readCellEdges(
  dataset: Dataset,
  horizontal: Horizontal,
  lat: DatasetVariable,
  lon: DatasetVariable,
  notes: Set<string>,
): Promise<CellEdges | undefined> {
  const read = async (axis: DatasetVariable) => {
    const name = axis.attributes.get("bounds");
    const bounds = typeof name === "string" ? dataset.variables.get(name) : undefined;
    const fits = bounds?.shape.length === 2 && bounds.shape[0] === axis.shape[0] && bounds.shape[1] === 2;
    return fits ? bounds.readUnpacked() : undefined;
  };
  const [south, west] = [await read(lat), await read(lon)];
  if (!south || !west) return undefined;
  const edges = { lat: latitudeEdges(south, horizontal), lon: longitudeEdges(west, horizontal) };
  if (edges.lat && edges.lon) return { lat: edges.lat, lon: edges.lon };
  notes.add(`the cell bounds of ${lat.name} and ${lon.name} do not join up; cells taken to meet midway`);
  return undefined;
}

/** [H + 1] ascending, or undefined. */
function latitudeEdges(bounds: ArrayLike<number>, { grid, rows }: Horizontal): Float64Array | undefined {
  const h = rows.length;
  const edges = new Float64Array(h + 1);
  for (let i = 0; i < h; i++) {
    const pair = [bounds[2 * rows[i]!]!, bounds[2 * rows[i]! + 1]!].sort((a, b) => a - b);
    const [south, north] = pair as [number, number];
    const joins = i === 0 || Math.abs(south - edges[i]!) < 1e-2 * (north - south);
    const holds = south <= grid.lat[i]! + 1e-4 && north >= grid.lat[i]! - 1e-4 && north > south;
    if (!joins || !holds || Math.abs(south) > 90.01 || Math.abs(north) > 90.01) return undefined;
    if (i === 0) edges[0] = south;
    edges[i + 1] = north;
  }
  // Rounded bounds end beside the pole, and the rest of the cap would belong to no cell.
  if (edges[0]! + 90 < 1e-3) edges[0] = -90;
  if (90 - edges[h]! < 1e-3) edges[h] = 90;
  return edges;
}

/** [W, 2] west and east around each longitude, or undefined. */
function longitudeEdges(bounds: ArrayLike<number>, { grid, columns }: Horizontal): Float64Array | undefined {
  const w = columns.length;
  const edges = new Float64Array(2 * w);
  for (let i = 0; i < w; i++) {
    const x = grid.lon[i]!;
    const stored = [bounds[2 * columns[i]!]!, bounds[2 * columns[i]! + 1]!];
    // Each edge where it lies around the point, within half a circle.
    const around = stored.map((edge) => x + ((((edge - x) % 360) + 540) % 360) - 180).sort((a, b) => a - b);
    const [west, east] = around as [number, number];
    if (!(west <= x + 1e-4 && east >= x - 1e-4 && east > west)) return undefined;
    edges.set([west, east], 2 * i);
  }
  // Neighbours share an edge; a region has one gap, at its seam.
  let gaps = 0;
  for (let i = 0; i < w; i++) {
    const next = (i + 1) % w;
    const west = edges[2 * next]! + (next === 0 ? 360 : 0);
    const gap = west - edges[2 * i + 1]!;
    if (Math.abs(gap) < 1e-2 * (edges[2 * i + 1]! - edges[2 * i]!)) edges[2 * i + 1] = west;
    else if (gap < 0 || ++gaps > 1) return undefined;
  }
  return edges;
}

/** The corners of the cells of a curvilinear or unstructured grid, in the file's order; undefined when it has none. */
export async function readCorners(
  dataset: Dataset,
  lat: DatasetVariable,
  lon: DatasetVariable,
): Promise<Corners | undefined> {
  const read = async (axis: DatasetVariable) => {
    const name = axis.attributes.get("bounds");
    const bounds = typeof name === "string" ? dataset.variables.get(name) : undefined;
    const rank = axis.shape.length;
    const fits = bounds?.shape.length === rank + 1 && axis.shape.every((n, d) => n === bounds.shape[d]);
    if (!fits || bounds.shape[rank]! < 3) return undefined;
    // Bounds have the units of their coordinate unless they say otherwise (CF 7.1).
    const units = bounds.attributes.has("units") ? bounds : axis;
    return { perCell: bounds.shape[rank]!, values: await readDegrees(bounds, units) };
  };
  const [north, east] = [await read(lat), await read(lon)];
  if (!north || north.perCell !== east?.perCell) return undefined;
  return { perCell: north.perCell, lat: north.values, lon: east.values };
}
