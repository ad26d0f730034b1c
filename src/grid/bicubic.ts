/**
 * Bicubic interpolation in latitude and longitude: along each axis a cubic through the two neighbours of the target,
 * with the slope at a neighbour of the parabola through it and the points on either side of it. On even spacing that
 * is the convolution of Keys (1981, doi:10.1109/TASSP.1981.1163711) with A = -1/2, the only A that is exact for
 * parabolas and whose error falls with the third power of the spacing; CDO and SCRIP take the same slopes. (A = -3/4,
 * which PyTorch takes and ClimaX for its position embedding, sharpens pictures; it does not keep even a straight line.)
 *
 * Longitude is periodic where the source goes round the globe. The pole beyond the last row is a point of its own,
 * with the value that the zonal means of the last two rows give it: they are even in the distance from the pole, so
 * a + b distance^2. At the end of an axis, a pole or the edge of a region, the parabola of the last three points is kept.
 * Results may go beyond the range of the four neighbours: of precipitation, say, below zero.
 */
import { bilinearOperator, tolerance } from "./bilinear.ts";
import { type Grid, latitudeEdges, longitudeSeam } from "./grid.ts";
import {
  type Field,
  type PoleWeight,
  product,
  type Row,
  type SeparableOperator,
  separable,
  sparseRows,
} from "./separable.ts";

/** Operators of bicubic interpolation. Targets outside a regional source have empty rows. */
export function bicubicOperator(source: Grid, target: Grid): SeparableOperator {
  const { periodic } = longitudeSeam(source);
  const edges = latitudeEdges(source);
  const h = source.lat.length;
  const hasPole = (edge: number, row: number) =>
    periodic && Math.abs(edge) === 90 && Math.abs(source.lat[row]!) < 90 - tolerance;
  const [south, north] = [hasPole(edges[0]!, 0), hasPole(edges[h]!, h - 1)];
  const nodes = Float64Array.of(...(south ? [-90] : []), ...source.lat, ...(north ? [90] : []));
  const first = south ? 1 : 0; // of the nodes, the source's row 0
  const poles: PoleWeight[] = [];
  const lat = Array.from(target.lat, (y, row) => {
    const weights: Row = [];
    for (const [node, weight] of cubicRow(nodes, y)) {
      const sourceRow = node - first;
      if (sourceRow >= 0 && sourceRow < h) weights.push([sourceRow, weight]);
      else
        poles.push(
          ...poleFromMeans(source.lat, sourceRow < 0).map((mean) => ({
            row,
            sourceRow: mean.sourceRow,
            weight: weight * mean.weight,
          })),
        );
    }
    return weights;
  });
  return { lat: sparseRows(lat), lon: sparseRows(longitudeRows(source, target)), poles };
}

/** Weights of the means of the last two rows in the value at the pole. */
function poleFromMeans(lat: Float64Array, south: boolean): { sourceRow: number; weight: number }[] {
  const [near, far] = south ? [0, 1] : [lat.length - 1, lat.length - 2];
  const [a, b] = [(90 - Math.abs(lat[near]!)) ** 2, (90 - Math.abs(lat[far]!)) ** 2];
  // A source whose rows lie on both sides of the equator, or nearly all at one distance, has no slope to go on.
  if (Math.sign(lat[near]!) !== Math.sign(lat[far]!) || b <= a) return [{ sourceRow: near, weight: 1 }];
  return [
    { sourceRow: near, weight: b / (b - a) },
    { sourceRow: far, weight: -a / (b - a) },
  ];
}

function longitudeRows(source: Grid, target: Grid): Row[] {
  const { start, periodic } = longitudeSeam(source);
  const w = source.lon.length;
  // From the seam eastward; when periodic with two columns more on either side.
  const beyond = periodic ? 2 : 0;
  const nodes = Float64Array.from({ length: w + 2 * beyond }, (_, i) => {
    const column = start + i - beyond;
    return source.lon[(column + w) % w]! + 360 * Math.floor(column / w);
  });
  const west = nodes[beyond]!;
  return Array.from(target.lon, (x): Row => {
    let shifted = x;
    while (shifted < west - tolerance) shifted += 360;
    while (shifted >= west - tolerance + 360) shifted -= 360;
    const row = new Map<number, number>();
    for (const [node, weight] of cubicRow(nodes, shifted)) {
      const column = (start + node - beyond + w) % w;
      row.set(column, (row.get(column) ?? 0) + weight);
    }
    return [...row];
  });
}

/** Weights of the nodes of an increasing axis at x; none when x lies outside. */
function cubicRow(nodes: Float64Array, x: number): Row {
  const last = nodes.length - 1;
  if (x < nodes[0]! - tolerance || x > nodes[last]! + tolerance) return [];
  let k = 0;
  while (k < last - 1 && nodes[k + 1]! <= x) k++;
  const step = nodes[k + 1]! - nodes[k]!;
  const t = Math.min(1, Math.max(0, (x - nodes[k]!) / step));
  const weights = new Map<number, number>([
    [k, (1 + 2 * t) * (1 - t) ** 2],
    [k + 1, t * t * (3 - 2 * t)],
  ]);
  const slopes = [
    [k, t * (1 - t) ** 2 * step],
    [k + 1, -t * t * (1 - t) * step],
  ] as const;
  for (const [node, factor] of slopes)
    for (const [i, weight] of slopeRow(nodes, node)) weights.set(i, (weights.get(i) ?? 0) + factor * weight);
  return [...weights];
}

/** The slope at a node, as weights of nodes: of the parabola through it and its neighbours, or the last three at an end. */
function slopeRow(nodes: Float64Array, node: number): Row {
  const last = nodes.length - 1;
  const middle = Math.min(Math.max(node, 1), last - 1);
  if (last < 2) {
    const step = nodes[1]! - nodes[0]!;
    return [
      [0, -1 / step],
      [1, 1 / step],
    ];
  }
  // Derivatives at x of the three Lagrange polynomials.
  const [a, b, c] = [middle - 1, middle, middle + 1];
  const x = nodes[node]!;
  const derivative = (i: number, j: number, k: number) =>
    (2 * x - nodes[j]! - nodes[k]!) / ((nodes[i]! - nodes[j]!) * (nodes[i]! - nodes[k]!));
  return [
    [a, derivative(a, b, c)],
    [b, derivative(b, a, c)],
    [c, derivative(c, a, b)],
  ];
}

/**
 * Returns a function that interpolates one field, [H_source, W_source] -> [H_target, W_target]. Where one of the
 * points it takes is missing, the value is the bilinear one, of fewer points; `minimumValid` is for that.
 */
export function bicubicRegridding(
  source: Grid,
  target: Grid,
  minimumValid: number,
): (field: Field, out: Field) => void {
  const cubic = bicubicOperator(source, target);
  const interpolate = product(cubic, source.lon.length);
  const shape = [source.lat.length, source.lon.length] as const;
  const bilinear = separable(bilinearOperator(source, target), shape, minimumValid);
  const width = target.lon.length;
  const empty = ({ start }: { start: Int32Array }, r: number) => start[r] === start[r + 1];
  const outside =
    [...target.lat.keys()].some((r) => empty(cubic.lat, r) && !cubic.poles.some(({ row }) => row === r)) ||
    [...target.lon.keys()].some((c) => empty(cubic.lon, c));
  let held: Float64Array | undefined;
  return (field, out) => {
    interpolate(field, out);
    if (!outside && !out.some(Number.isNaN)) return;
    held ??= new Float64Array(target.lat.length * width);
    bilinear(field, held);
    // The bilinear operator is empty where this one is, and gives NaN there.
    for (let i = 0; i < held.length; i++)
      if (Number.isNaN(out[i]!) || Number.isNaN(held[i]!)) out[i] = held[i]!;
  };
}
