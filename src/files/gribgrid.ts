// The grids of a GRIB file as dimensions and coordinates: rows and columns for latitude-longitude and Gaussian grids,
// two-dimensional coordinates for rotated and projected ones, a list of cells for reduced ones and HEALPix.
import { ClimaxError } from "../errors.ts";
import type { GribKeys } from "./eccodes.ts";
import type { GribField } from "./gribfield.ts";
import { healpixCentres } from "./gribhealpix.ts";
import { GribFailure, gribCoordinates } from "./gribprocess.ts";

export interface GribGrid {
  /** ecCodes' name: regular_ll, regular_gg, reduced_gg, lambert, healpix... */
  type: string;
  /** How its points are laid out. "none": their coordinates are not in the file. */
  layout: "rectilinear" | "curvilinear" | "cells" | "none";
  /** [rows, columns], or [columns, rows] where those of a column follow one another; [cells]. */
  shape: number[];
  /** Whether the slower of two dimensions is that of the columns. */
  columnwise: boolean;
  /** Degrees: of the rows and columns of a rectilinear grid, of each point otherwise. Asked for once. */
  coordinates(): Promise<{ latitude: Float64Array<ArrayBuffer>; longitude: Float64Array<ArrayBuffer> }>;
}

export const harmonics = "spherical harmonics";

/** Grid types whose rows and columns are circles of latitude and meridians. */
const rectilinear = new Set(["regular_ll", "regular_gg", "mercator", "lambert_cylindrical"]);

/** Points whose latitude differs by less lie on one row; a millionth of a degree is GRIB 2's resolution, 0.001 GRIB 1's. */
const sameDegree = 1e-4;

export function makeGrid(path: string, field: GribField, keys: GribKeys): GribGrid {
  const { points } = field;
  const { rows = 0, columns = 0, columnwise } = keys;
  const known = field.grid;
  const cells = { columnwise: false, shape: [points] };
  if (known === "spectral") return { ...cells, type: harmonics, layout: "none", coordinates: noCoordinates };
  if (typeof known === "object" && "unknown" in known) {
    return { ...cells, type: known.unknown, layout: "none", coordinates: noCoordinates };
  }
  if (typeof known === "object") {
    const centres = once(async () => healpixCentres(known.healpix, known.nested));
    return { ...cells, type: "healpix", layout: "cells", coordinates: centres };
  }
  const type = keys.gridType;
  const regular = rows * columns === points;
  const shape = columnwise ? [columns, rows] : [rows, columns];
  const load = once(() => coordinatesOf(path, field));
  if (!regular && field.alternating) {
    const unknown = `${type} with rows that run backwards`;
    return { ...cells, type: unknown, layout: "none", coordinates: noCoordinates };
  }
  if (!regular) return { ...cells, type, layout: "cells", coordinates: load };
  if (!rectilinear.has(type)) return { type, layout: "curvilinear", shape, columnwise, coordinates: load };
  return {
    type,
    layout: "rectilinear",
    shape,
    columnwise,
    coordinates: once(async () => axesOf(path, field, await load(), shape, columnwise)),
  };
}

function noCoordinates(): never {
  throw new RangeError("a grid without coordinates has no variables for them");
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

async function coordinatesOf(path: string, field: GribField) {
  const fail = (what: string, cause?: unknown) =>
    new ClimaxError(
      "data",
      `${path}: the grid of GRIB message ${field.message} at byte ${field.at} cannot be worked out: ${what}`,
      "if the file is sound, a newer ecCodes may know the grid; cdo -f nc4 copy may as well",
      { cause },
    );
  let found: Awaited<ReturnType<typeof gribCoordinates>>;
  try {
    found = await gribCoordinates(path, field.bare, field.points);
  } catch (error) {
    if (!(error instanceof GribFailure)) throw error;
    throw fail(error.message, error);
  }
  for (let i = 0; i < field.points; i++) {
    const [lat, lon] = [found.latitude[i]!, found.longitude[i]!];
    if (Math.abs(lat) < 90.001 && Math.abs(lon) <= 720) continue;
    throw fail(`point ${i + 1} lies at ${lat} degrees north, ${lon} east`);
  }
  return found;
}

/** Latitudes of the rows and longitudes of the columns, in the order of the file. */
function axesOf(
  path: string,
  field: GribField,
  { latitude, longitude }: { latitude: Float64Array; longitude: Float64Array },
  shape: number[],
  columnwise: boolean,
) {
  const [slow, fast] = shape as [number, number];
  const [outer, inner] = columnwise ? [longitude, latitude] : [latitude, longitude];
  const along = Float64Array.from({ length: slow }, (_, i) => outer[i * fast]!);
  const across = Float64Array.from({ length: fast }, (_, i) => inner[i]!);
  for (let i = 0; i < outer.length; i++) {
    const turn = Math.abs(inner[i]! - across[i % fast]!) % 360; // a longitude may be given as 0 or 360
    const off = Math.max(Math.abs(outer[i]! - along[Math.floor(i / fast)]!), Math.min(turn, 360 - turn));
    if (off < sameDegree) continue;
    throw new ClimaxError(
      "data",
      `${path}: the points of GRIB message ${field.message} at byte ${field.at} do not lie in rows and columns, as they should on such a grid`,
      "convert it where cdo understands it: cdo -f nc4 copy IN OUT",
    );
  }
  return columnwise ? { latitude: across, longitude: along } : { latitude: along, longitude: across };
}
