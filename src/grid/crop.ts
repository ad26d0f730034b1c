/** A part of a grid, found by its coordinates: what a regional model or forecast takes of a global field. */
import type { Grid } from "./grid.ts";

/** Degrees; float32 files round their coordinates. */
const tolerance = 1e-3;

/**
 * Cuts fields [H * W] on `from` to those on `to`.
 *
 * @returns  undefined when a point of `to` is not on `from`
 */
export function cropper(from: Grid, to: Grid): ((field: Float32Array) => Float32Array) | undefined {
  const rows = placesOf(to.lat, from.lat);
  const columns = placesOf(to.lon, from.lon);
  if (!rows || !columns) return undefined;
  const W = from.lon.length;
  return (field) => {
    const cut = new Float32Array(rows.length * columns.length);
    let next = 0;
    for (const row of rows) for (const column of columns) cut[next++] = field[row * W + column]!;
    return cut;
  };
}

/** Where each coordinate lies on an axis; undefined when one is not there. */
function placesOf(wanted: Float64Array, axis: Float64Array): number[] | undefined {
  const places = Array.from(wanted, (value) => axis.findIndex((x) => Math.abs(x - value) <= tolerance));
  return places.includes(-1) ? undefined : places;
}
