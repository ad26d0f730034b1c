/**
 * Regions of the globe: those of the paper, those of WeatherBench 2, or a box written as text; the points and the
 * patches of a grid that lie in one, found by the grid's own coordinates; and grids and fields cut down to them.
 */
import { ClimaxError, unknownName } from "../errors.ts";
import { describeGrid, type Grid, makeGrid } from "./grid.ts";

/** Latitude bands by one stretch of longitude; their edges belong to it. */
export interface Region {
  readonly name: string;
  readonly source: string;
  /** [south, north], degrees north; two of them for the extra-tropics. */
  readonly bands: readonly (readonly [south: number, north: number])[];
  /** Western edge, degrees east in [0, 360). */
  readonly west: number;
  /** Degrees of longitude eastward from `west`; 360 for all. */
  readonly width: number;
  /** Whether a patch belongs to it that has a point in it, or only one that lies in it with all of its points. */
  readonly patches: "touching" | "within";
}

/** Rows and columns of a grid of patches, ascending. A region across Greenwich has its gap inside the columns. */
export interface PatchWindow {
  readonly rows: readonly number[];
  readonly columns: readonly number[];
  /** Points along a side of a patch. */
  readonly patchSize: number;
}

type Box = [south: number, north: number, west: number, east: number];

// The reference's boxes hold a patch only when all of it lies inside (data_utils.get_region_info): North America is
// 8 x 14 points of the 5.625 degree grid, and so it must be to compare with the paper.
const paper: Record<string, Box> = {
  NorthAmerica: [15, 65, 220, 300],
  SouthAmerica: [-55, 20, 270, 330],
  Europe: [30, 65, 0, 40],
  SouthAsia: [-15, 45, 25, 110],
  EastAsia: [5, 65, 70, 150],
  Australia: [-50, 10, 100, 180],
};

// Their names begin with wb2-, for "Europe" and "europe" are different boxes.
const weatherbench: Record<string, Box> = {
  "wb2-tropics": [-20, 20, 0, 360],
  "wb2-northern-hemisphere": [20, 90, 0, 360],
  "wb2-southern-hemisphere": [-90, -20, 0, 360],
  "wb2-europe": [35, 75, 347.5, 42.5],
  "wb2-north-america": [25, 60, 240, 285],
  "wb2-north-atlantic": [25, 65, 290, 350],
  "wb2-north-pacific": [25, 60, 145, 230],
  "wb2-east-asia": [25, 60, 102.5, 150],
  "wb2-ausnz": [-45, -12.5, 120, 175],
  "wb2-arctic": [60, 90, 0, 360],
  "wb2-antarctic": [-90, -60, 0, 360],
};

const paperSource = "ClimaX (arXiv 2301.10343), regions of microsoft/ClimaX, src/climax/utils/data_utils.py";
const weatherbenchSource = "WeatherBench 2 (arXiv 2308.15560), scripts/evaluate.py";

/** Every region that has a name. */
export const regions: readonly Region[] = [
  region("Global", paperSource, [-90, 90, 0, 360], "within"),
  ...Object.entries(paper).map(([name, box]) => region(name, paperSource, box, "within")),
  {
    ...region("wb2-extra-tropics", weatherbenchSource, [-90, 90, 0, 360], "touching"),
    bands: [
      [-90, -20],
      [20, 90],
    ],
  },
  ...Object.entries(weatherbench).map(([name, box]) => region(name, weatherbenchSource, box, "touching")),
];

function region(
  name: string,
  source: string,
  [south, north, west, east]: Box,
  patches: Region["patches"],
): Region {
  const start = ((west % 360) + 360) % 360;
  const width = east - west === 360 ? 360 : (((east - west) % 360) + 360) % 360;
  return { name, source, bands: [[south, north]], west: start, width, patches };
}

const number = String.raw`[+-]?\d+(?:\.\d+)?`;
const boxPattern = new RegExp(
  String.raw`^\s*(${number})\.\.(${number})\s*,\s*(${number})\.\.(${number})\s*$`,
);

/**
 * A region by name, or a box "south..north,west..east" in degrees, eastward from west to east, so that
 * "35..60,350..20" and "35..60,-10..20" go across Greenwich and "-30..10,170..-170" across the date line.
 *
 * @throws ClimaxError "config" for an unknown name (naming the nearest), or a box that is none
 */
export function regionNamed(text: string): Region {
  const named = regions.find(({ name }) => name === text.trim());
  if (named) return named;
  const box = boxPattern.exec(text);
  const form =
    'write a box as south..north,west..east in degrees, such as "15..65,220..300" or "35..60,-10..20"';
  if (!box) {
    // With digits and dots it was meant as a box.
    if (/\d\s*\.\./.test(text)) throw new ClimaxError("config", `"${text}" is no box`, form);
    return unknownName("region", text, [
      ...regions.map(({ name }) => name),
      "south..north,west..east (a box in degrees)",
    ]);
  }
  const [south, north, west, east] = box.slice(1).map(Number) as Box;
  if (south < -90 || north > 90 || south > north)
    throw new ClimaxError(
      "config",
      `the box "${text}" goes from latitude ${south} to ${north}; wanted south to north within -90..90`,
      form,
    );
  if ([west, east].some((x) => x < -180 || x > 360) || east - west > 360)
    throw new ClimaxError(
      "config",
      `the box "${text}" goes from longitude ${west} to ${east}; wanted -180..180 or 0..360, once round at most`,
      form,
    );
  return region(text.trim(), "given as a box", [south, north, west, east], "touching");
}

/** Degrees: float32 coordinates of files are off by 3e-5 near 360. */
const tolerance = 1e-4;

/**
 * The rows and columns of a grid's points that lie in the region, ascending, by its own coordinates: latitudes may
 * run either way, longitudes may be counted from -180 or 0.
 */
export function regionPoints(
  { lat, lon }: { lat: ArrayLike<number>; lon: ArrayLike<number> },
  { bands, west, width }: Region,
): { rows: number[]; columns: number[] } {
  const inBands = (y: number) =>
    bands.some(([south, north]) => y >= south - tolerance && y <= north + tolerance);
  const inStretch = (x: number) => {
    const east = (((x - west) % 360) + 360) % 360;
    return east <= width + tolerance || east >= 360 - tolerance;
  };
  return { rows: indicesWhere(lat, inBands), columns: indicesWhere(lon, inStretch) };
}

const indicesWhere = (axis: ArrayLike<number>, accept: (degrees: number) => boolean) =>
  Array.from(axis, (degrees, index) => (accept(degrees) ? index : -1)).filter((index) => index >= 0);

/**
 * The patches of a grid that belong to the region, by the region's own rule; a product of rows and columns.
 *
 * @param grid  as for `regionPoints`; H and W must be multiples of the patch size
 * @throws ClimaxError "grid" for a grid that patches do not tile, and a region without a patch in it
 */
export function patchWindow(
  grid: { lat: ArrayLike<number>; lon: ArrayLike<number> },
  region: Region,
  patchSize: number,
): PatchWindow {
  for (const [what, { length }] of [["latitudes", grid.lat] as const, ["longitudes", grid.lon] as const]) {
    if (length % patchSize === 0) continue;
    const sizes = Array.from({ length }, (_, i) => i + 1).filter(
      (size) => grid.lat.length % size === 0 && grid.lon.length % size === 0,
    );
    throw new ClimaxError(
      "grid",
      `the grid has ${length} ${what}, which patches of ${patchSize} x ${patchSize} points do not tile`,
      `choose a patch size that divides ${grid.lat.length} and ${grid.lon.length} (${sizes.join(", ")}), or regrid the data`,
    );
  }
  const points = regionPoints(grid, region);
  const wanted = region.patches === "touching" ? 1 : patchSize;
  const window = {
    rows: patchesOf(points.rows, patchSize, wanted),
    columns: patchesOf(points.columns, patchSize, wanted),
    patchSize,
  };
  if (window.rows.length > 0 && window.columns.length > 0) return window;
  const what = wanted === 1 ? "point" : `whole patch of ${patchSize} x ${patchSize} points`;
  const size = `${grid.lat.length} x ${grid.lon.length}`;
  throw new ClimaxError(
    "grid",
    `no ${what} of the grid (${size}, ${span(grid.lat)}N ${span(grid.lon)}E) lies in the region ${region.name} (${describeRegion(region)})`,
    `choose a region within the data, such as "${span(grid.lat)},${span(grid.lon)}" for all of a regional file, a larger one, or a finer grid`,
  );
}

/** Patches that have at least `wanted` of these rows, or columns. */
function patchesOf(points: readonly number[], patchSize: number, wanted: number): number[] {
  const counts = new Map<number, number>();
  for (const point of points) {
    const patch = Math.floor(point / patchSize);
    counts.set(patch, (counts.get(patch) ?? 0) + 1);
  }
  return [...counts].filter(([, count]) => count >= wanted).map(([patch]) => patch);
}

const degrees = (x: number) => String(Number(x.toFixed(4)));
const span = (axis: ArrayLike<number>) =>
  axis.length === 0 ? "nothing" : `${degrees(axis[0]!)}..${degrees(axis[axis.length - 1]!)}`;

/** "15..65N 220..300E" */
export function describeRegion({ bands, west, width }: Region): string {
  const latitudes = bands.map(([south, north]) => `${degrees(south)}..${degrees(north)}N`).join(" and ");
  if (width === 360) return latitudes;
  const east = west + width > 360 ? west + width - 360 : west + width;
  return `${latitudes} ${degrees(west)}..${degrees(east)}E`;
}

/** The points of a window's rows and columns of patches, ascending. */
export function windowPoints({ rows, columns, patchSize }: PatchWindow): {
  rows: number[];
  columns: number[];
} {
  const expand = (patches: readonly number[]) =>
    patches.flatMap((patch) => Array.from({ length: patchSize }, (_, i) => patch * patchSize + i));
  return { rows: expand(rows), columns: expand(columns) };
}

/** The grid of a window's points. */
export function cropGrid(grid: Grid, window: PatchWindow): Grid {
  const { rows, columns } = windowPoints(window);
  return makeGrid(
    rows.map((row) => grid.lat[row]!),
    columns.map((column) => grid.lon[column]!),
  );
}

/**
 * Fields cut down to a window's points, [..., H, W] -> [..., h, w].
 *
 * @param grid  of the whole fields
 * @throws ClimaxError "shape" when the values are no whole number of fields on the grid
 */
export function cropFields(fields: Float32Array, grid: Grid, window: PatchWindow): Float32Array {
  const { rows, columns } = windowPoints(window);
  const [H, W] = [grid.lat.length, grid.lon.length];
  const count = fields.length / (H * W);
  if (!Number.isInteger(count))
    throw new ClimaxError(
      "shape",
      `${fields.length} values are no whole number of fields of ${describeGrid(grid)}`,
      "give fields on the grid that the window was made for",
    );
  const out = new Float32Array(count * rows.length * columns.length);
  let to = 0;
  for (let n = 0; n < count; n++)
    for (const row of rows) for (const column of columns) out[to++] = fields[(n * H + row) * W + column]!;
  return out;
}
