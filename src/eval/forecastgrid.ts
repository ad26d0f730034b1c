/**
 * Where the fields of a forecast lie: on latitudes by longitudes, brought to the order of this program; or on the cells of
 * a mesh (a reduced Gaussian grid, ICON's, HEALPix), regridded to latitudes by longitudes about as fine.
 */
import { type Coordinates, type horizontalOf, placeOf } from "../data/coordinates.ts";
import { refusePlace } from "../data/refuseplace.ts";
import type { DatasetVariable } from "../files/dataset.ts";
import { describeGrid, type Grid, regularGrid } from "../grid/grid.ts";
import { describeSource, type Points } from "../grid/points.ts";
import { makeRegridder, type Regridder } from "../grid/regrid.ts";

export interface ForecastGrid {
  readonly grid: Grid;
  /** Positions of the horizontal dimensions among the variable's. */
  readonly axes: readonly number[];
  /** From the numbers of those dimensions, in the order of the file, to [H * W]. */
  arrange(stored: Float32Array | Float64Array): Float32Array;
  /** What was regridded, if anything was. */
  readonly note: string | undefined;
}

/** @throws ClimaxError "grid" for what lies on no grid, and for a mesh that does not go round the globe */
export async function forecastGrid(
  coordinates: Coordinates,
  variable: DatasetVariable,
): Promise<ForecastGrid> {
  const place = await placeOf(coordinates, variable);
  if (!("points" in place)) return rowsAndColumns(variable, place);
  const regridder = meshRegridder(place.points);
  if (!regridder) return refusePlace(coordinates, variable);
  const { target } = regridder;
  return {
    grid: target,
    axes: place.axes,
    arrange: (stored) => regridder.apply(stored),
    note: `regridded from ${describeSource(place.points)} to ${describeGrid(target)}, ${regridder.method}`,
  };
}

function rowsAndColumns(
  { shape }: DatasetVariable,
  { grid, rows, columns, latitudeAxis, longitudeAxis }: Awaited<ReturnType<typeof horizontalOf>>,
): ForecastGrid {
  const W = columns.length;
  const [height, width] = [shape[latitudeAxis]!, shape[longitudeAxis]!];
  const source = Int32Array.from({ length: rows.length * W }, (_, i) => {
    const [row, column] = [rows[Math.floor(i / W)]!, columns[i % W]!];
    return latitudeAxis < longitudeAxis ? row * width + column : column * height + row;
  });
  const inOrder = source.length === height * width && source.every((from, i) => from === i);
  return {
    grid,
    axes: [latitudeAxis, longitudeAxis],
    arrange(stored) {
      if (inOrder) return stored instanceof Float32Array ? stored : Float32Array.from(stored);
      const field = new Float32Array(source.length);
      for (let i = 0; i < source.length; i++) field[i] = stored[source[i]!]!;
      return field;
    },
    note: undefined,
  };
}

/** Of the meshes used last: the files of a system share theirs, and its weights take seconds to make. */
const known: { points: Points; regridder: Regridder | undefined }[] = [];
const mostKnown = 4;

/** Undefined for a mesh that leaves parts of the globe out. */
function meshRegridder(points: Points): Regridder | undefined {
  const before = known.find((one) => same(one.points.lat, points.lat) && same(one.points.lon, points.lon));
  if (before) return before.regridder;
  // Cells of the same area as the mesh's would have at the equator.
  const degrees = Math.sqrt((4 * Math.PI) / points.lat.length) * (180 / Math.PI);
  const target = regularGrid(180 / Math.max(2, 2 * Math.round(90 / degrees)));
  const regridder = makeRegridder(points, target, "distance-weighted");
  const reached = regridder.apply(new Float32Array(points.lat.length).fill(1));
  const whole = reached.some(Number.isNaN) ? undefined : regridder;
  known.unshift({ points, regridder: whole });
  known.length = Math.min(known.length, mostKnown);
  return whole;
}

const same = (a: Float64Array, b: Float64Array) =>
  a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
