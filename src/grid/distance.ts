/**
 * Distance-weighted means: the four nearest source points, weighted by the inverse of their distance (Shepard 1968,
 * doi:10.1145/800186.810616, with power 1), as CDO's remapdis takes them; of points equally near the first in the
 * source's order. The distance is the chord, which is shorter than the arc by a part of arc^2 / 24: 1e-5 for one of a
 * degree. A target that coincides with a point takes it alone. Points that are missing in a field are among the four.
 */
import type { Grid } from "./grid.ts";
import type { Points } from "./points.ts";
import { reach } from "./reach.ts";
import type { Row } from "./separable.ts";
import { packWeights, type SparseWeights } from "./sparse.ts";

/** How many points are taken. */
export const neighbourCount = 4;

/** Weights for every target within reach of the source; the others have none. */
export function distanceWeights(source: Grid | Points, target: Grid): SparseWeights {
  const { tree, size, within } = reach(source);
  const rows: Row[] = [];
  for (const lat of target.lat) {
    for (const lon of target.lon) {
      const { count, index, squared } = tree.nearest(lat, lon, neighbourCount);
      const row = weighted(count, index, squared);
      rows.push(within(lat, lon, index[0]!, squared[0]!) ? row : []);
    }
  }
  return packWeights(rows, size);
}

/** 1e-15 rad is 6 nm: the two are one point, but for rounding of their unit vectors. */
const coincident = 1e-15 ** 2;

function weighted(count: number, index: Int32Array, squared: Float64Array): Row {
  if (squared[0]! <= coincident) return [[index[0]!, 1]];
  const inverse = Array.from({ length: count }, (_, k) => 1 / Math.sqrt(squared[k]!));
  const sum = inverse.reduce((total, value) => total + value, 0);
  return inverse.map((value, k) => [index[k]!, value / sum]);
}
