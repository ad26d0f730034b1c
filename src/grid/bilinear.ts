/**
 * Bilinear interpolation in latitude and longitude. Longitude is periodic where the source goes round the globe.
 *
 * Poleward of the last source row lies a pole whose value is the mean of that row (the "all average" pole of ESMF,
 * section 24.2.7 of its reference manual), and the target is interpolated between the two. This is continuous,
 * keeps constants, and is exact at the pole for every field linear in space. CDO takes the mean of the nearest
 * four points by inverse distance there, which jumps as the row is crossed; so the two differ in those rows only.
 */
import { type Grid, latitudeEdges, longitudeSeam } from "./grid.ts";
import { type PoleWeight, type Row, type SeparableOperator, sparseRows } from "./separable.ts";

/** Degrees by which a target may lie outside the source's outermost points: float32 files round by 3e-5. */
export const tolerance = 1e-4;

/** Operators of bilinear interpolation. Targets outside a regional source have empty rows. */
export function bilinearOperator(source: Grid, target: Grid): SeparableOperator {
  const { periodic } = longitudeSeam(source);
  const edges = latitudeEdges(source);
  const last = source.lat.length - 1;
  const poles: PoleWeight[] = [];
  const lat = Array.from(target.lat, (y, row): Row => {
    const between = bracket(source.lat, y);
    if (between || !periodic) return between ?? [];
    const north = y > 0;
    const [sourceRow, pole] = north ? [last, 90] : [0, -90];
    if (edges[north ? last + 1 : 0] !== pole) return [];
    const weight = (y - source.lat[sourceRow]!) / (pole - source.lat[sourceRow]!);
    poles.push({ row, sourceRow, weight });
    return [[sourceRow, 1 - weight]];
  });
  return { lat: sparseRows(lat), lon: sparseRows(longitudeRows(source, target)), poles };
}

function longitudeRows(source: Grid, target: Grid): Row[] {
  const { start, periodic } = longitudeSeam(source);
  const w = source.lon.length;
  // From the seam eastward, and round to the first column again when periodic.
  const east = Float64Array.from({ length: periodic ? w + 1 : w }, (_, i) => {
    const column = start + i;
    return source.lon[column % w]! + 360 * Math.floor(column / w);
  });
  return Array.from(target.lon, (x): Row => {
    let shifted = x;
    while (shifted < east[0]! - tolerance) shifted += 360;
    while (shifted >= east[0]! - tolerance + 360) shifted -= 360;
    return (bracket(east, shifted) ?? []).map(([i, weight]) => [(start + i) % w, weight]);
  });
}

/** The two neighbours of x on an increasing axis with their weights, or nothing when x lies outside. */
function bracket(axis: Float64Array, x: number): Row | undefined {
  const last = axis.length - 1;
  if (x < axis[0]! - tolerance || x > axis[last]! + tolerance) return undefined;
  let k = 0;
  while (k < last - 1 && axis[k + 1]! <= x) k++;
  const a = Math.min(1, Math.max(0, (x - axis[k]!) / (axis[k + 1]! - axis[k]!)));
  return [
    [k, 1 - a],
    [k + 1, a],
  ];
}
