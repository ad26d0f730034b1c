/** How fields of one grid are had on another: as they are, a part of them, or regridded; and where they reach. */
import { cropper } from "../grid/crop.ts";
import { type Grid, latitudeEdges, longitudeEdges, longitudeSeam, makeGrid, sameGrid } from "../grid/grid.ts";
import { makeRegridder, type RegridMethod } from "../grid/regrid.ts";

/** "auto": conservative from a finer grid, bilinear from a coarser one. "none": grids that differ are refused. */
export const regridChoices = ["auto", "conservative", "bilinear", "nearest", "none"] as const;
export type RegridChoice = (typeof regridChoices)[number];

/** A way from one grid to another, and the rows and columns of the latter that it reaches, ascending. */
export interface Way {
  readonly how: "as it is" | "cut" | RegridMethod;
  readonly rows: readonly number[];
  readonly columns: readonly number[];
}

/** Takes a field [H * W] on one grid to another. */
export type OntoGrid = (field: Float32Array) => Float32Array;

const all = (n: number) => Array.from({ length: n }, (_, i) => i);

/** The way of fields on `from` to `base`; undefined when only regridding would do, and that is not wanted. */
export function findWay(from: Grid, base: Grid, choice: RegridChoice): Way | undefined {
  const [rows, columns] = [all(base.lat.length), all(base.lon.length)];
  if (sameGrid(from, base)) return { how: "as it is", rows, columns };
  const part = sharedPart(from, base) ?? (coveredPart(from) < 1 ? scatteredPart(from, base) : undefined);
  if (part) return { how: "cut", ...part };
  if (choice === "none") return undefined;
  const how = choice === "auto" ? (isFiner(from, base) ? "conservative" : "bilinear") : choice;
  if (coveredPart(from) === 1) return { how, rows, columns };
  // Ones, and gaps where a target is not covered whole: of a cell, all but what the rounding of its edges makes.
  const regridder = makeRegridder(from, base, how, { minimumValid: 1 - 1e-6 });
  const reached = regridder.apply(new Float32Array(from.lat.length * from.lon.length).fill(1));
  const W = base.lon.length;
  return {
    how,
    rows: rows.filter((row) => columns.some((column) => !Number.isNaN(reached[row * W + column]!))),
    columns: columns.filter((column) => rows.some((row) => !Number.isNaN(reached[row * W + column]!))),
  };
}

/** Makes what takes fields along a way, to `to`, which is the given rows and columns of `base`, all of them reached. */
export function ontoGrid(
  from: Grid,
  { how }: Way,
  base: Grid,
  to: Grid,
  { rows, columns }: Pick<Way, "rows" | "columns">,
): OntoGrid {
  if (sameGrid(from, to)) return (field) => field;
  if (how === "as it is" || how === "cut") return cropper(from, to)!;
  // Cells of a part are those of the whole, whose neighbours are beyond the part's border; of rows, all between the first
  // and the last, since they share their edges.
  const [lat, lon] = [latitudeEdges(base), longitudeEdges(base)];
  const [first, last] = [rows[0]!, rows.at(-1)!];
  const between = { rows: all(last - first + 1).map((i) => first + i), columns };
  const target = partOf(base, between);
  const targetEdges = {
    lat: lat.slice(first, last + 2),
    lon: Float64Array.from(columns.flatMap((column) => [lon[2 * column]!, lon[2 * column + 1]!])),
  };
  const regridder = makeRegridder(from, target, how, { targetEdges });
  if (rows.length === between.rows.length) return (field) => regridder.apply(field);
  const cut = cropper(target, to)!;
  return (field) => cut(regridder.apply(field));
}

/** The points of some rows and columns. */
export function partOf(base: Grid, { rows, columns }: Pick<Way, "rows" | "columns">): Grid {
  if (rows.length === base.lat.length && columns.length === base.lon.length) return base;
  return makeGrid(
    rows.map((row) => base.lat[row]!),
    columns.map((column) => base.lon[column]!),
  );
}

/** The part of the sphere that a grid's cells cover, 0 to 1. */
export function coveredPart(grid: Grid): number {
  const sine = (degrees: number) => Math.sin((degrees * Math.PI) / 180);
  const lat = latitudeEdges(grid);
  const lon = longitudeEdges(grid);
  const turn = grid.lon.reduce((sum, _, i) => sum + lon[2 * i + 1]! - lon[2 * i]!, 0) / 360;
  const part = ((sine(lat.at(-1)!) - sine(lat[0]!)) / 2) * turn;
  return part > 1 - 1e-9 && longitudeSeam(grid).periodic ? 1 : Math.min(part, 1 - 1e-9);
}

/** Whether cells of `a` are smaller, by their usual sides. */
function isFiner(a: Grid, b: Grid): boolean {
  const side = (axis: Float64Array) => {
    const steps = axis.slice(1).map((x, i) => x - axis[i]!);
    return steps.toSorted()[steps.length >> 1] ?? 360;
  };
  const cell = ({ lat, lon }: Grid) => side(lat) * side(lon);
  return cell(a) < cell(b) * (1 - 1e-3);
}

/** Degrees; float32 files round their coordinates. */
const tolerance = 1e-3;

/**
 * Rows and columns of `base` that are points of `from` too, where those are one piece of both grids. Undefined where
 * `base` has points between them, or takes only some of the points of `from`: a choice among these is no regridding.
 */
function sharedPart(from: Grid, base: Grid): Pick<Way, "rows" | "columns"> | undefined {
  const [south, north] = [from.lat[0]! - tolerance, from.lat.at(-1)! + tolerance];
  const rows = onePiece(from.lat, base.lat, (lat) => lat >= south && lat <= north, false);
  const { start, periodic } = longitudeSeam(from);
  const west = from.lon[start]!;
  const width = (from.lon.at(start - 1)! - west + 360) % 360;
  const eastOf = (lon: number) => (lon - west + 360 + tolerance) % 360;
  const within = (lon: number) => periodic || eastOf(lon) <= width + 2 * tolerance;
  const columns = onePiece(from.lon, base.lon, within, true);
  return rows && columns && { rows, columns };
}

/** Rows and columns of `base` that are the points of a regional `from`, though `base` has others between them. */
function scatteredPart(from: Grid, base: Grid): Pick<Way, "rows" | "columns"> | undefined {
  const places = (points: Float64Array, axis: Float64Array) =>
    Array.from(points, (x) => axis.findIndex((y) => Math.abs(x - y) <= tolerance));
  const [rows, columns] = [places(from.lat, base.lat), places(from.lon, base.lon)];
  return rows.includes(-1) || columns.includes(-1) ? undefined : { rows, columns };
}

function onePiece(
  from: Float64Array,
  base: Float64Array,
  within: (x: number) => boolean,
  round: boolean,
): number[] | undefined {
  const inside = all(base.length).filter((i) => within(base[i]!));
  const places = inside.map((i) => from.findIndex((x) => Math.abs(x - base[i]!) <= tolerance));
  if (inside.length === 0 || places.includes(-1)) return undefined;
  const taken = new Set(places);
  const ends = places.filter((place) => !taken.has(round ? (place + 1) % from.length : place + 1));
  return ends.length <= 1 ? inside : undefined;
}
