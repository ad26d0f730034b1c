/** A field as pixels: for each pixel the place beneath it, there the cell or what lies between the points. */
import { type Grid, latitudeEdges, longitudeEdges, longitudeSeam } from "../grid/grid.ts";
import type { Colours } from "./colours.ts";
import type { MapView } from "./mapview.ts";
import type { Raster } from "./scene.ts";

/** The value at a place: NaN where it is missing; undefined where the grid does not reach. */
export type Sampler = (longitude: number, latitude: number) => number | undefined;

const turn = (degrees: number) => ((degrees % 360) + 360) % 360;

/**
 * Reads a field at any place of the globe, by the grid's own coordinates.
 *
 * @param values  [H * W]
 * @param smooth  bilinear between points, else the value of the cell; where one of four points is missing, the cell's
 */
export function sampler(grid: Grid, values: ArrayLike<number>, smooth: boolean): Sampler {
  const { lat, lon } = grid;
  const [H, W] = [lat.length, lon.length];
  const { start, periodic } = longitudeSeam(grid);
  const edges = longitudeEdges(grid);
  const rows = latitudeEdges(grid);
  // Columns eastward from the seam, counted from its western edge: ascending, without a jump.
  const west = edges[2 * start]!;
  const columns = Int32Array.from({ length: W }, (_, i) => (start + i) % W);
  const centres = Float64Array.from(columns, (column) => turn(lon[column]! - west));
  const ends = Float64Array.from(columns, (_, i) =>
    i + 1 < W
      ? (centres[i]! + centres[i + 1]!) / 2
      : periodic
        ? 360
        : turn(edges[2 * columns[i]! + 1]! - west) || 360,
  );

  const cell = (longitude: number, latitude: number): number | undefined => {
    const east = turn(longitude - west);
    if (east > ends[W - 1]! || latitude < rows[0]! || latitude > rows[H]!) return undefined;
    const row = Math.min(H - 1, Math.max(0, firstAbove(rows, latitude) - 1));
    const column = columns[Math.min(W - 1, firstAbove(ends, east))]!;
    return values[row * W + column]!;
  };
  if (!smooth) return cell;

  return (longitude, latitude) => {
    const nearest = cell(longitude, latitude);
    if (nearest === undefined || Number.isNaN(nearest)) return nearest;
    const above = firstAbove(lat, latitude);
    const [north, south] = [Math.min(above, H - 1), Math.max(above - 1, 0)];
    const up = north === south ? 0 : (latitude - lat[south]!) / (lat[north]! - lat[south]!);
    const east = turn(longitude - west);
    const right = firstAbove(centres, east);
    let [i, j, along] = [right - 1, right, 0];
    if (i >= 0 && j < W) along = (east - centres[i]!) / (centres[j]! - centres[i]!);
    else if (periodic) {
      const gap = centres[0]! + 360 - centres[W - 1]!;
      along = turn(east - centres[W - 1]!) / gap;
      [i, j] = [W - 1, 0];
    } else [i, j] = i < 0 ? [0, 0] : [W - 1, W - 1];
    const [a, b] = [columns[i]!, columns[j]!];
    const low = values[south * W + a]! * (1 - along) + values[south * W + b]! * along;
    const high = values[north * W + a]! * (1 - along) + values[north * W + b]! * along;
    const value = low * (1 - up) + high * up;
    return Number.isNaN(value) ? nearest : value;
  };
}

/** Index of the first element above a value in an ascending array; its length where none is. */
function firstAbove(ascending: Float64Array, value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Grey with darker stripes: no colour of any ramp, in print as well. */
export function gapColour(x: number, y: number): number {
  return (x + y) % 6 < 1.5 ? 150 : 226;
}

/**
 * The field on a map; without colour outside of the map and where the grid does not reach.
 *
 * @param scale  pixels of the raster in one of the map
 */
export function fieldRaster(view: MapView, sample: Sampler, colours: Colours, scale: number): Raster {
  const [width, height] = [view.width * scale, view.height * scale];
  const data = new Uint8ClampedArray(4 * width * height);
  const place = new Float64Array(2);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 4) {
      if (!view.placeAt((x + 0.5) / scale, (y + 0.5) / scale, place)) continue;
      const value = sample(place[0]!, place[1]!);
      if (value === undefined) continue;
      if (Number.isNaN(value)) {
        const grey = gapColour(x / scale, y / scale);
        data[to] = grey;
        data[to + 1] = grey;
        data[to + 2] = grey;
      } else {
        const [red, green, blue] = colours.at(value);
        data[to] = red;
        data[to + 1] = green;
        data[to + 2] = blue;
      }
      data[to + 3] = 255;
    }
  }
  return { width, height, data };
}
