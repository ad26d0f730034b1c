/**
 * Areas that polygons of the sphere share with the cells of a latitude-longitude grid, exactly, by line integrals.
 *
 * In the plane of longitude and sine of latitude, areas are areas of the sphere and target cells are rectangles. What
 * of a polygon lies in one is the sum over its edges of the integral of clamp(sin(lat), south, north) - south over the
 * longitudes of the cell, signed by the edge's direction. Edges are great circles, as cdo and ESMF have them; on one
 * between two points, the integral of sin(lat) has a closed form (the area between the arc and the equator; Karney
 * 2013, doi:10.1007/s00190-012-0578-z, section 6).
 */
import type { CellEdges } from "./conservative.ts";
import { crossings, type Edge, edgeOf, latitudeOn, latitudeRange } from "./greatcircle.ts";

const radians = Math.PI / 180;

/** Takes the area in square radians that a polygon shares with each target cell it meets. */
export type Overlap = (target: number, area: number) => void;

/** The cells of a target as rectangles. */
interface Cells {
  /** [H + 1] radians, ascending. */
  lat: Float64Array;
  /** Their sines. */
  sine: Float64Array;
  /** [K + 1] radians eastward, once round the globe from the first column's western edge. */
  lon: Float64Array;
  /** [K] The column of each interval; -1 for the gap of a region. */
  column: Int32Array;
  width: number;
}

/** @returns  a function that finds the overlaps of one polygon, whose corners [n] are in degrees, in order round it */
export function overlapper(
  edges: CellEdges,
): (lat: ArrayLike<number>, lon: ArrayLike<number>, found: Overlap) => void {
  const cells = cellsOf(edges);
  const { sine, column, width, lon: west } = cells;
  const [h, intervals] = [sine.length - 1, column.length];
  const sums = new Float64Array(h * intervals);

  return (lat, lon, found) => {
    const ring = ringOf(lat, lon);
    const turn = ring.reduce((sum, { turn }) => sum + turn, 0);
    const polar = Math.abs(turn) > Math.PI;
    const south = Math.min(...ring.map(({ lowest }) => lowest));
    const north = Math.max(...ring.map(({ highest }) => highest));
    // Below a polygon its edges cancel, so that the rows there need not be visited; round a pole they do not.
    const base = polar ? 0 : Math.max(0, rowOf(cells.lat, south));
    const top = polar ? h : Math.min(h, rowOf(cells.lat, north) + 1);
    const touched = new Set<number>();
    for (const edge of ring) integrate(cells, edge, base, sums, touched);

    const within = [...touched].sort((a, b) => a - b);
    let total = 0;
    for (const k of within) for (let r = base; r < top; r++) total += sums[r * intervals + k]!;
    // South of a ring eastward round the globe lies what the integrals count; the polygon is the lesser side.
    const northern = polar && south + north > 0;
    const sign = polar ? Math.sign(turn) : Math.sign(total);
    for (const k of within) {
      for (let r = base; r < top; r++) {
        const counted = sign * sums[r * intervals + k]!;
        sums[r * intervals + k] = 0;
        const whole = (sine[r + 1]! - sine[r]!) * (west[k + 1]! - west[k]!);
        const area = northern ? whole - counted : counted;
        // Slivers are the rounding of edges that coincide.
        if (column[k]! >= 0 && area > 1e-12 * whole) found(r * width + column[k]!, area);
      }
    }
  };
}

function cellsOf({ lat, lon }: CellEdges): Cells {
  const width = lon.length / 2;
  const order = Array.from({ length: width }, (_, c) => c).sort((a, b) => lon[2 * a]! - lon[2 * b]!);
  const first = lon[2 * order[0]!]!;
  const edges = [first];
  const column: number[] = [];
  for (const c of order) {
    const [west, east] = [lon[2 * c]!, lon[2 * c + 1]!];
    if (west > edges.at(-1)! + 1e-9) {
      edges.push(west);
      column.push(-1);
    }
    edges.push(east);
    column.push(c);
  }
  if (first + 360 > edges.at(-1)! + 1e-9) {
    edges.push(first + 360);
    column.push(-1);
  } else edges[edges.length - 1] = first + 360;
  return {
    lat: lat.map((y) => y * radians),
    sine: lat.map((y) => Math.sin(y * radians)),
    lon: Float64Array.from(edges, (x) => x * radians),
    column: Int32Array.from(column),
    width,
  };
}

/** The edges of a polygon. Corners that repeat the one before are passed over, as are those that are NaN. */
function ringOf(lat: ArrayLike<number>, lon: ArrayLike<number>): Edge[] {
  const corners: [lat: number, lon: number][] = [];
  for (let i = 0; i < lat.length; i++) {
    const [y, x] = [lat[i]! * radians, lon[i]! * radians];
    if (!Number.isNaN(y + x)) corners.push([y, x]);
  }
  const pole = (y: number) => Math.PI / 2 - Math.abs(y) < 1e-9;
  const n = corners.length;
  const ring: Edge[] = [];
  // A corner at a pole has the longitudes of both its neighbours: the edges to it are meridians.
  const placed = corners.flatMap(([y, x], i): [number, number][] => {
    if (!pole(y)) return [[y, x]];
    const [before, after] = [corners[(i + n - 1) % n]!, corners[(i + 1) % n]!];
    const at = Math.sign(y) * (Math.PI / 2);
    return [
      [at, pole(before[0]) ? x : before[1]],
      [at, pole(after[0]) ? x : after[1]],
    ];
  });
  placed.forEach((from, i) => {
    const edge = edgeOf(from, placed[(i + 1) % placed.length]!);
    if (edge) ring.push(edge);
  });
  return ring;
}

/** Adds the integral over one edge to the sums [H, K], rows from `base` up. */
function integrate(
  { lat, sine, lon, column }: Cells,
  edge: Edge,
  base: number,
  sums: Float64Array,
  touched: Set<number>,
): void {
  const [h, intervals] = [sine.length - 1, column.length];
  const direction = Math.sign(edge.turn);
  // Eastward, from within the first turn of the target's longitudes.
  const [begin, span] = [direction > 0 ? edge.from : edge.from + edge.turn, Math.abs(edge.turn)];
  const shift = 2 * Math.PI * Math.floor((begin - lon[0]!) / (2 * Math.PI));
  let [x, k] = [begin - shift, intervalOf(lon, begin - shift)];
  const end = x + span;
  let wrapped = 0;
  while (x < end) {
    const stop = Math.min(end, lon[k + 1]! + wrapped);
    if (stop > x) {
      touched.add(k);
      for (const [a, b] of pieces(edge, x + shift, stop + shift, lat)) {
        const [width, from, to] = [b - a, latitudeOn(edge, a), latitudeOn(edge, b)];
        const row = rowOf(lat, latitudeOn(edge, (a + b) / 2));
        for (let r = base; r < Math.min(row, h); r++)
          sums[r * intervals + k]! += direction * (sine[r + 1]! - sine[r]!) * width;
        if (row >= base && row < h)
          sums[row * intervals + k]! += direction * (areaBelow(from, to, width) - sine[row]! * width);
      }
    }
    x = stop;
    if (++k === intervals) [k, wrapped] = [0, wrapped + 2 * Math.PI];
  }
}

/** The integral of sin(lat) over `width` of longitude, along the great circle from latitude `from` to `to`. */
function areaBelow(from: number, to: number, width: number): number {
  const [a, b] = [Math.tan(from / 2), Math.tan(to / 2)];
  return 2 * Math.atan((Math.tan(width / 2) * (a + b)) / (1 + a * b));
}

/** A stretch of an edge, cut where it crosses from one row of the target to the next. */
function pieces(edge: Edge, from: number, to: number, lat: Float64Array): [number, number][] {
  const [low, high] = latitudeRange(edge, from, to);
  const cuts: number[] = [];
  for (let r = rowOf(lat, low) + 1; r < lat.length && lat[r]! < high; r++)
    if (r >= 0) cuts.push(...crossings(edge, lat[r]!, from, to));
  if (cuts.length === 0) return [[from, to]];
  const ends = [from, ...cuts.sort((x, y) => x - y), to];
  return ends.slice(1).map((end, i) => [ends[i]!, end]);
}

/** The row r with lat[r] <= y < lat[r + 1]; -1 and H beyond the target. */
function rowOf(lat: Float64Array, y: number): number {
  let [low, high] = [-1, lat.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (lat[middle]! <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The interval that holds a longitude of the first turn. */
function intervalOf(lon: Float64Array, x: number): number {
  return Math.max(0, Math.min(rowOf(lon, x), lon.length - 2)); // x may be rounded out of it
}
