/**
 * First-order conservative regridding (Jones 1999, doi:10.1175/1520-0493(1999)127<2204:FASOCR>2.0.CO;2): each
 * target cell is the mean of the source cells it overlaps, by area on the sphere. Between rectilinear grids the
 * overlap is a product: a difference of sines of latitude by a difference of longitudes.
 */
import { type Grid, latitudeEdges, longitudeEdges } from "./grid.ts";
import { type Row, type SeparableOperator, sparseRows } from "./separable.ts";

/** Cell edges of a grid, where its file gives them; otherwise they lie midway between the points. */
export interface CellEdges {
  /** [H + 1] degrees, ascending. */
  lat: Float64Array;
  /** [W, 2] west and east edge of each column, degrees, east > west. */
  lon: Float64Array;
}

/** The edges of a grid that has none of its own. */
export function cellEdges(grid: Grid): CellEdges {
  return { lat: latitudeEdges(grid), lon: longitudeEdges(grid) };
}

/** Operators of area-weighted means. A target cell that a regional source covers in part has rows summing to less than 1. */
export function conservativeOperator(source: CellEdges, target: CellEdges): SeparableOperator {
  const sine = (degrees: number) => Math.sin((degrees * Math.PI) / 180);
  const lat = overlaps(pairs(source.lat.map(sine)), pairs(target.lat.map(sine)), [0]);
  const lon = overlaps(source.lon, target.lon, [-720, -360, 0, 360, 720]);
  return { lat: sparseRows(lat), lon: sparseRows(lon), poles: [] };
}

/** [n + 1] shared edges as [n, 2] lower and upper. */
function pairs(edges: Float64Array): Float64Array {
  return Float64Array.from({ length: 2 * (edges.length - 1) }, (_, k) => edges[(k + 1) >> 1]!);
}

/** For each target interval, the part of it in each source interval, also when that is moved by `shifts`. */
function overlaps(source: Float64Array, target: Float64Array, shifts: readonly number[]): Row[] {
  return Array.from({ length: target.length / 2 }, (_, r) => {
    const [low, high] = [target[2 * r]!, target[2 * r + 1]!];
    const row: Row = [];
    for (let c = 0; c < source.length / 2; c++) {
      let shared = 0;
      for (const shift of shifts) {
        const part = Math.min(high, source[2 * c + 1]! + shift) - Math.max(low, source[2 * c]! + shift);
        shared += Math.max(0, part);
      }
      const weight = shared / (high - low);
      // Slivers are the rounding of edges that coincide.
      if (weight > 1e-12) row.push([c, weight]);
    }
    return row;
  });
}
