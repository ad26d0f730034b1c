/**
 * Rectilinear latitude-longitude grids: making and checking them, their cell edges, and the latitude
 * weights of the scores. Latitudes are degrees north, longitudes degrees east in [0, 360). f64, on the CPU.
 */
import { ClimaxError } from "../errors.ts";

/** H x W points: every latitude with every longitude. Fields on it are [H, W], row-major, south to north. */
export interface Grid {
  /** [H] degrees north, strictly increasing. */
  readonly lat: Float64Array;
  /** [W] degrees east, strictly increasing, in [0, 360). A region across Greenwich has its gap inside. */
  readonly lon: Float64Array;
  /** Never there: it tells a grid from the Points of points.ts. */
  readonly shape?: never;
}

const radians = Math.PI / 180;

/**
 * A grid from its axes, checked: finite, strictly increasing, latitudes in [-90, 90], longitudes in [0, 360).
 * Throws a `grid` error that names the first value at fault.
 */
export function makeGrid(lat: ArrayLike<number>, lon: ArrayLike<number>): Grid {
  return { lat: checkAxis("latitude", lat, -90, 90), lon: checkAxis("longitude", lon, 0, 360) };
}

function checkAxis(name: "latitude" | "longitude", values: ArrayLike<number>, low: number, high: number) {
  if (values.length === 0) {
    throw new ClimaxError("grid", `the grid has no ${name}s; at least one is wanted`, `give the ${name}s`);
  }
  const axis = Float64Array.from(values);
  axis.forEach((value, i) => {
    const inside = value >= low && (name === "longitude" ? value < high : value <= high);
    if (!inside) {
      throw new ClimaxError(
        "grid",
        `${name} ${i} of the grid is ${value}; wanted a number in [${low}, ${high}${name === "longitude" ? ")" : "]"}`,
        name === "longitude"
          ? "wrap longitudes into [0, 360) and sort the columns with them"
          : "latitudes are degrees north, from -90 to 90",
      );
    }
    if (i > 0 && value <= axis[i - 1]!) {
      throw new ClimaxError(
        "grid",
        `${name}s of the grid must increase, but ${name} ${i} is ${value} after ${axis[i - 1]}`,
        `sort the ${name}s, and the field with them, and drop any that are doubled`,
      );
    }
  });
  return axis;
}

/**
 * The global grid of ClimaX and WeatherBench: cells of `resolution` degrees, latitude centres half a cell off
 * the poles, longitudes from 0. `regularGrid(5.625)` is 32 x 64, -87.1875 .. 87.1875 by 0 .. 354.375.
 */
export function regularGrid(resolution: number): Grid {
  const rows = Math.round(180 / resolution);
  if (!(resolution > 0) || rows < 2 || Math.abs(rows * resolution - 180) > 1e-6) {
    throw new ClimaxError(
      "grid",
      `a regular global grid of ${resolution} degrees does not exist: the resolution must divide 180`,
      "choose one that does, such as 5.625 (32 x 64), 2.8125 (64 x 128), 1.40625 (128 x 256) or 1",
    );
  }
  const step = 180 / rows;
  return makeGrid(
    Float64Array.from({ length: rows }, (_, i) => -90 + (i + 0.5) * step),
    Float64Array.from({ length: 2 * rows }, (_, i) => i * step),
  );
}

/** The n Gaussian latitudes (roots of the Legendre polynomial P_n as sines), degrees north, ascending. */
export function gaussianLatitudes(n: number): Float64Array {
  const lat = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    let x = Math.cos((Math.PI * (n - k - 0.25)) / (n + 0.5)); // Tricomi's first guess, south to north
    for (let iteration = 0; iteration < 20; iteration++) {
      let [previous, p] = [1, x];
      for (let j = 2; j <= n; j++) [previous, p] = [p, ((2 * j - 1) * x * p - (j - 1) * previous) / j];
      const step = (p * (x * x - 1)) / (n * (x * p - previous)); // Newton, with P_n' from P_n and P_(n-1)
      x -= step;
      if (Math.abs(step) < 1e-15) break;
    }
    lat[k] = Math.asin(x) / radians;
  }
  return lat;
}

/** Latitude weights of ClimaX and ClimateBench: cos(lat) / mean cos(lat), [H]. */
export function latitudeWeights(grid: Grid): Float64Array {
  return meanOne(grid.lat.map((lat) => Math.cos(lat * radians)));
}

/** Latitude weights of WeatherBench 2: sin(upper edge) - sin(lower edge), scaled to mean 1, [H]. */
export function cellAreaWeights(grid: Grid): Float64Array {
  const edges = latitudeEdges(grid);
  return meanOne(grid.lat.map((_, i) => Math.sin(edges[i + 1]! * radians) - Math.sin(edges[i]! * radians)));
}

function meanOne(weights: Float64Array): Float64Array {
  const mean = weights.reduce((sum, w) => sum + w, 0) / weights.length;
  return weights.map((w) => w / mean);
}

/**
 * Cell edges in latitude, [H + 1], degrees, ascending: midway between neighbours. The outermost lie at the pole
 * when that is nearer than 0.9 of the last spacing (a Gaussian grid ends 0.77 of it away, a regular one 0.5 or
 * 0), else half a spacing outward, as for a region. A single latitude has no spacing: its edges are itself.
 */
export function latitudeEdges(grid: Grid): Float64Array {
  const { lat } = grid;
  const n = lat.length;
  const edges = new Float64Array(n + 1).fill(lat[0]!);
  if (n === 1) return edges;
  for (let i = 1; i < n; i++) edges[i] = (lat[i - 1]! + lat[i]!) / 2;
  const outer = (last: number, step: number) => (90 - last < 0.9 * step ? 90 : last + step / 2);
  edges[0] = -outer(-lat[0]!, lat[1]! - lat[0]!);
  edges[n] = outer(lat[n - 1]!, lat[n - 1]! - lat[n - 2]!);
  return edges;
}

/**
 * Where a grid's columns begin and end on the circle. `start` is the column east of the widest gap; `periodic`
 * says that this gap is no wider than 1.5 times the median spacing, so that the columns go round the globe.
 */
export function longitudeSeam(grid: Grid): { start: number; periodic: boolean } {
  const { lon } = grid;
  const n = lon.length;
  const gaps = Float64Array.from(lon, (x, i) => (i === 0 ? x + 360 - lon[n - 1]! : x - lon[i - 1]!));
  let start = 0;
  for (let i = 1; i < n; i++) if (gaps[i]! > gaps[start]! * (1 + 1e-9)) start = i;
  const median = gaps.toSorted()[n >> 1]!;
  const periodic = n > 2 && gaps[start]! <= 1.5 * median;
  return { start: periodic ? 0 : start, periodic };
}

/**
 * West and east edge of each column, [W, 2], degrees, with west <= longitude <= east (so beyond [0, 360) at the
 * ends): midway between neighbours, and half a spacing outward at the ends of a region.
 */
export function longitudeEdges(grid: Grid): Float64Array {
  const { lon } = grid;
  const n = lon.length;
  const { start, periodic } = longitudeSeam(grid);
  const edges = new Float64Array(2 * n);
  // Half the way to the neighbour on each side; at a region's end, as much as on the other side.
  const half = (i: number) => (i === n - 1 ? lon[0]! + 360 - lon[n - 1]! : lon[i + 1]! - lon[i]!) / 2;
  lon.forEach((x, i) => {
    const before = (i + n - 1) % n;
    const [atStart, atEnd] = [!periodic && i === start, !periodic && (i + 1) % n === start];
    const west = atStart ? (atEnd ? 0 : half(i)) : half(before);
    const east = atEnd ? (atStart ? 0 : half(before)) : half(i);
    edges[2 * i] = x - west;
    edges[2 * i + 1] = x + east;
  });
  return edges;
}

/** Whether two grids have the same points to within `tolerance` degrees (float32 files round theirs). */
export function sameGrid(a: Grid, b: Grid, tolerance = 1e-3): boolean {
  const close = (x: Float64Array, y: Float64Array) =>
    x.length === y.length && x.every((value, i) => Math.abs(value - y[i]!) <= tolerance);
  return close(a.lat, b.lat) && close(a.lon, b.lon);
}

/** One line for messages: "32 x 64, 5.625 degrees", "96 x 192, Gaussian", "41 x 41, 0.25 degrees, 35..45N 0..10E". */
export function describeGrid(grid: Grid): string {
  const { lat, lon } = grid;
  const [h, w] = [lat.length, lon.length];
  const edges = latitudeEdges(grid);
  const { start, periodic } = longitudeSeam(grid);
  const global = periodic && edges[0] === -90 && edges[h] === 90;
  // No Gaussian row lies at a pole; making those of 721 rows takes 40 ms.
  const gaussian = h > 2 && global && lat[h - 1]! < 90 && sameGrid({ lat: gaussianLatitudes(h), lon }, grid);
  const east = Float64Array.from({ length: w }, (_, i) => lon[(start + i) % w]! + (start + i < w ? 0 : 360));
  const [dy, dx] = [spacing(lat), spacing(east)];
  const parts = [`${h} x ${w}`];
  if (gaussian) parts.push("Gaussian");
  else if (dy !== undefined && dx !== undefined) {
    const same = Math.abs(dy - dx) < 1e-3 * dx;
    parts.push(same ? `${round(dx)} degrees` : `${round(dy)} x ${round(dx)} degrees`);
  } else parts.push("irregular");
  if (!global) {
    const north = `${round(lat[0]!)}..${round(lat[h - 1]!)}N`;
    parts.push(`${north} ${round(east[0]!)}..${round(east[w - 1]! % 360)}E`);
  }
  return parts.join(", ");
}

/** The common spacing of an axis, or undefined where there is none. */
function spacing(axis: Float64Array): number | undefined {
  if (axis.length < 2) return undefined;
  const mean = (axis[axis.length - 1]! - axis[0]!) / (axis.length - 1);
  // 0.5 % lets grids pass whose pole rows or float32 coordinates are slightly off.
  return axis.every((x, i) => i === 0 || Math.abs(x - axis[i - 1]! - mean) < 5e-3 * mean) ? mean : undefined;
}

/** Degrees to at most 5 decimals, without float32 noise in sight. */
const round = (degrees: number) => String(Number(degrees.toFixed(5)));
