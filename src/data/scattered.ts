// The place of a variable on a curvilinear or an unstructured grid: which latitudes and longitudes go with it.
import type { DatasetVariable } from "../files/dataset.ts";
import { makePoints, type Points } from "../grid/points.ts";
import { readCorners } from "./celledges.ts";
import type { Coordinate, Coordinates } from "./coordinates.ts";
import { text } from "./recognise.ts";

/** A variable's place on the sphere when it has no rows and columns of latitude and longitude. */
export interface Scattered {
  /** In the order of the variable's numbers. */
  points: Points;
  /** Positions of the horizontal dimensions among the variable's, slowest first. */
  axes: number[];
  /** The coordinate variables. */
  latitude: DatasetVariable;
  longitude: DatasetVariable;
}

/** Latitude and longitude variables that share dimensions, all of them the variable's. */
export interface ScatteredPair {
  latitude: DatasetVariable;
  longitude: DatasetVariable;
}

/**
 * The latitudes and longitudes of two dimensions, or of the one of the cells, that go with a variable: those its
 * `coordinates` name, else the first that fit. None for places along time, which are a ship's and no grid.
 */
export function scatteredPair(
  { all, dataset }: Coordinates,
  variable: DatasetVariable,
): ScatteredPair | undefined {
  const named = text(variable.attributes, "coordinates").split(/\s+/);
  const near = [...all.values()].filter(({ variable: { dimensions } }) => {
    const own = dimensions.length > 0 && dimensions.every((name) => variable.dimensions.includes(name));
    return own && !dimensions.some((name) => isTime(dataset.variables.get(name), all));
  });
  const rank = ({ variable: { name } }: Coordinate) => (named.includes(name) ? 0 : 1);
  const sorted = near.toSorted((a, b) => rank(a) - rank(b));
  const of = (kind: string) => sorted.filter((coordinate) => coordinate.kind === kind);
  for (const { variable: latitude } of of("latitude")) {
    const partner = of("longitude").find(
      ({ variable: { dimensions } }) => dimensions.join() === latitude.dimensions.join(),
    );
    if (partner) return { latitude, longitude: partner.variable };
  }
  return undefined;
}

function isTime(variable: DatasetVariable | undefined, all: Coordinates["all"]): boolean {
  return variable !== undefined && all.get(variable.name)?.kind === "time";
}

/**
 * Reads the points of such a pair, and the corners of their cells when they are asked for and the file has them.
 * @throws ClimaxError "grid" for coordinates that are not on the sphere
 */
export async function readScattered(
  { dataset, notes }: Coordinates,
  variable: DatasetVariable,
  { latitude, longitude }: ScatteredPair,
  corners: boolean,
): Promise<Scattered> {
  const axes = latitude.dimensions.map((name) => variable.dimensions.indexOf(name));
  // A file may hold lat(y, x) for a field (x, y): its points then go in the field's order.
  const turned = axes.length === 2 && axes[0]! > axes[1]!;
  const inOrder = (values: Float64Array): Float64Array => {
    if (!turned) return values;
    const [rows, columns] = latitude.shape as [number, number];
    const perCell = values.length / (rows * columns);
    const out = new Float64Array(values.length);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        const from = (r * columns + c) * perCell;
        out.set(values.subarray(from, from + perCell), (c * rows + r) * perCell);
      }
    }
    return out;
  };
  const [lat, lon] = [inOrder(await readDegrees(latitude)), inOrder(await readDegrees(longitude))];
  dropOrigin(lat, lon, notes);
  const cells = corners ? await readCorners(dataset, latitude, longitude) : undefined;
  const shape = turned ? latitude.shape.toReversed() : [...latitude.shape];
  const points = makePoints(
    lat,
    lon,
    shape,
    cells && { perCell: cells.perCell, lat: inOrder(cells.lat), lon: inOrder(cells.lon) },
  );
  return { points, axes: axes.toSorted((a, b) => a - b), latitude, longitude };
}

/** Values of a coordinate in degrees; ICON and MPAS keep theirs in radians. */
export async function readDegrees(variable: DatasetVariable, units = variable): Promise<Float64Array> {
  const values = Float64Array.from(await variable.readUnpacked());
  const radians = /^rad(ians?)?$/i.test(text(units.attributes, "units"));
  return radians ? values.map((value) => (value * 180) / Math.PI) : values;
}

/** Cells of no place, which some ocean models put at 0 N 0 E: no grid has more than a few there. */
function dropOrigin(lat: Float64Array, lon: Float64Array, notes: Set<string>): void {
  const origin = [...lat.keys()].filter((i) => lat[i] === 0 && lon[i] === 0);
  if (origin.length <= 4) return;
  for (const i of origin) lat[i] = Number.NaN;
  notes.add(`${origin.length} cells lie at 0 N 0 E; taken for cells without a place, and left out`);
}
