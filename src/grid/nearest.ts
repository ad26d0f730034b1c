/**
 * The nearest source point by great-circle distance. Not separable: towards the poles a point of the next row
 * poleward can be nearer than the one in the row nearest in latitude.
 */
import { type Grid, latitudeEdges, longitudeEdges, longitudeSeam } from "./grid.ts";
import type { Points } from "./points.ts";
import { reach } from "./reach.ts";

/** The same for a source of points: indices [H_target * W_target], -1 beyond the source's reach. */
export function nearestPoints(source: Points, target: Grid): Int32Array {
  const { tree, within } = reach(source);
  const w = target.lon.length;
  return Int32Array.from({ length: target.lat.length * w }, (_, i) => {
    const [lat, lon] = [target.lat[Math.floor(i / w)]!, target.lon[i % w]!];
    const { index, squared } = tree.nearest(lat, lon, 1);
    const [found, d] = [index[0]!, squared[0]!];
    return within(lat, lon, found, d) ? found : -1;
  });
}

/**
 * For each target point the index of its nearest source point, [H_target * W_target], -1 outside the cells of a
 * regional source. Of points equally near the first in the grid's order is taken, the southern and that of
 * lower longitude; CDO takes the first in the file's order, which is the same for most files.
 */
export function nearestIndices(source: Grid, target: Grid): Int32Array {
  const [h, w] = [source.lat.length, source.lon.length];
  const edges = latitudeEdges(source);
  const columns = Array.from(target.lon, (x) => nearestColumn(source, x));
  const indices = new Int32Array(target.lat.length * target.lon.length).fill(-1);
  target.lat.forEach((y, r) => {
    if (y < edges[0]! - 1e-4 || y > edges[h]! + 1e-4) return;
    columns.forEach(({ column, distance }, c) => {
      if (column >= 0) indices[r * columns.length + c] = nearestRow(source.lat, y, distance) * w + column;
    });
  });
  return indices;
}

/** The row whose point, `distance` degrees of longitude away, is nearest to latitude y. */
function nearestRow(lat: Float64Array, y: number, distance: number): number {
  const radians = Math.PI / 180;
  const half = (degrees: number) => Math.sin((degrees * radians) / 2) ** 2;
  const [cosine, dx] = [Math.cos(y * radians), half(distance)];
  // Haversine of the distance: exact for near points, and increasing with it.
  const haversine = (r: number) => half(lat[r]! - y) + cosine * Math.cos(lat[r]! * radians) * dx;
  let north = lat.findIndex((x) => x >= y);
  if (north < 0) north = lat.length;
  let [best, row] = [Number.POSITIVE_INFINITY, 0];
  // Southward, then northward, while the latitude alone does not put a row farther away than the best.
  for (let r = north - 1; r >= 0 && half(lat[r]! - y) <= best; r--) {
    const here = haversine(r);
    if (here <= best * (1 + 1e-12)) [best, row] = [here, r];
  }
  for (let r = north; r < lat.length && half(lat[r]! - y) <= best; r++) {
    const here = haversine(r);
    if (here < best * (1 - 1e-12)) [best, row] = [here, r];
  }
  return row;
}

function nearestColumn(source: Grid, x: number): { column: number; distance: number } {
  const { periodic } = longitudeSeam(source);
  const edges = longitudeEdges(source);
  let [column, distance] = [-1, Number.POSITIVE_INFINITY];
  source.lon.forEach((lon, i) => {
    const difference = ((((x - lon) % 360) + 540) % 360) - 180; // east of the column: positive
    const inside =
      periodic || (difference >= edges[2 * i]! - lon - 1e-4 && difference <= edges[2 * i + 1]! - lon + 1e-4);
    if (!inside) return;
    // 1e-9 degrees: columns equally near but for rounding; the first of them stays.
    if (Math.abs(difference) < distance - 1e-9) [column, distance] = [i, Math.abs(difference)];
  });
  return { column, distance };
}
