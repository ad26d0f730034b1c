// Stored regridding weights: written by the conventions of SCRIP as CDO has them, so that `cdo remap` takes them;
// read from those, CDO's own and ESMF's.
import { ClimaxError } from "../errors.ts";
import type { Dataset } from "../files/dataset.ts";
import { createNetcdf } from "../files/netcdf4writer.ts";
import type { Grid } from "../grid/grid.ts";
import { isPoints, type Points } from "../grid/points.ts";
import type { Regridder, RegridMethod } from "../grid/regrid.ts";
import { type SparseWeights, weightsOf } from "../grid/sparse.ts";
import { openDataset } from "./open.ts";
import { placesInFile, readCentres } from "./weightsgrid.ts";
import { conventionOf, type Links, readCoverage, readLinks } from "./weightslinks.ts";

/** How the file of the source lays out a latitude-longitude grid, for weights that CDO shall use with that file. */
export interface FileAxes {
  /** As stored, degrees. */
  lat: ArrayLike<number>;
  lon: ArrayLike<number>;
  /** Row of the file of each row of the grid, and so for columns; see Horizontal. */
  rows: Int32Array;
  columns: Int32Array;
}

/** What SCRIP and CDO call the methods; `cdo remap` goes by these words. */
const scripNames: Record<RegridMethod, string> = {
  bilinear: "Bilinear remapping",
  // CDO's bicubic weights are of values and slopes. These are of values only, which it applies under this name.
  bicubic: "Distance weighted avg of nearest neighbors",
  conservative: "Conservative remapping using clipping on sphere",
  nearest: "Nearest neighbor",
  "distance-weighted": "Distance weighted avg of nearest neighbors",
};

/**
 * Writes the weights of a regridder. Those of bicubic regridding hold where no point is missing.
 *
 * @param provenance  the command as typed, and this program with its version
 * @param axes  the source file's axes; by default the file is taken to lie south to north and eastward from 0
 */
export async function writeWeights(
  path: string,
  regridder: Regridder,
  provenance: { commandLine: string; program: string },
  axes?: FileAxes,
): Promise<void> {
  const { source, target, method } = regridder;
  const weights = weightsOf(regridder);
  const from = isPoints(source) ? layOutPoints(source) : layOutGrid(source, axes);
  const to = layOutGrid(target);
  const rows = normalised(weights);
  const used = new Float64Array(from.lat.length);
  for (const column of weights.column) used[from.index[column]!] = 1;
  const links = weights.column.length;
  const destination = new Int32Array(links);
  for (let r = 0; r < weights.targetSize; r++)
    destination.fill(r + 1, weights.start[r], weights.start[r + 1]);
  const centres = (which: "src" | "dst", { lat, lon, dims, mask }: Layout, frac: Float64Array) => {
    const size = `${which}_grid_size`;
    const angle = (axis: "lat" | "lon", values: Float64Array) => ({
      name: `${which}_grid_center_${axis}`,
      dimensions: [size],
      dtype: "float64" as const,
      attributes: { units: "radians" },
      data: values.map((degrees) => (degrees * Math.PI) / 180),
    });
    const unitless = { dimensions: [size], attributes: { units: "unitless" } };
    return [
      { name: `${which}_grid_dims`, dimensions: [`${which}_grid_rank`], dtype: "int32" as const, data: dims },
      angle("lat", lat),
      angle("lon", lon),
      { ...unitless, name: `${which}_grid_imask`, dtype: "int32" as const, data: mask },
      { ...unitless, name: `${which}_grid_frac`, dtype: "float64" as const, data: frac },
    ];
  };
  const writer = await createNetcdf(path, {
    dimensions: {
      src_grid_size: from.lat.length,
      dst_grid_size: to.lat.length,
      src_grid_rank: from.dims.length,
      dst_grid_rank: 2,
      num_links: links,
      num_wgts: 1,
    },
    attributes: {
      title: "climax regridding weights",
      normalization: method === "conservative" ? "fracarea" : "none",
      map_method: scripNames[method],
      conventions: "SCRIP",
      source_grid: isPoints(source) ? (source.shape.length === 2 ? "curvilinear" : "unstructured") : "lonlat",
      dest_grid: "lonlat",
      climax_method: method,
      history: `${provenance.commandLine} (${provenance.program})`,
    },
    variables: [
      ...centres("src", from, used),
      ...centres("dst", to, rows.coverage),
      {
        name: "src_address",
        dimensions: ["num_links"],
        dtype: "int32",
        data: weights.column.map((column) => from.index[column]! + 1),
      },
      { name: "dst_address", dimensions: ["num_links"], dtype: "int32", data: destination },
      { name: "remap_matrix", dimensions: ["num_links", "num_wgts"], dtype: "float64", data: rows.weight },
    ],
  });
  await writer.close();
}

/** A grid point by point, as a file has it. */
interface Layout {
  /** [N] degrees. */
  lat: Float64Array;
  lon: Float64Array;
  /** Fastest first, as SCRIP has it. */
  dims: number[];
  mask: Int32Array;
  /** Where in the file each point of the grid is. */
  index: Int32Array;
}

function layOutPoints({ lat, lon, shape }: Points): Layout {
  const mask = Int32Array.from(lat, (y, i) => (Number.isNaN(y + lon[i]!) ? 0 : 1));
  // No reader wants NaN for a place.
  const alive = (values: Float64Array) => values.map((value, i) => (mask[i] === 1 ? value : 0));
  return {
    lat: alive(lat),
    lon: alive(lon),
    dims: shape.toReversed(),
    mask,
    index: Int32Array.from(lat, (_, i) => i),
  };
}

function layOutGrid(grid: Grid, axes?: FileAxes): Layout {
  const [lat, lon] = [axes?.lat ?? grid.lat, axes?.lon ?? grid.lon];
  const [h, w] = [lat.length, lon.length];
  const width = grid.lon.length;
  const at = (i: number) => [Math.floor(i / width), i % width] as const;
  return {
    lat: Float64Array.from({ length: h * w }, (_, i) => lat[Math.floor(i / w)]!),
    lon: Float64Array.from({ length: h * w }, (_, i) => lon[i % w]!),
    dims: [w, h],
    mask: new Int32Array(h * w).fill(1),
    index: Int32Array.from({ length: grid.lat.length * width }, (_, i) => {
      const [row, column] = at(i);
      return axes ? axes.rows[row]! * w + axes.columns[column]! : i;
    }),
  };
}

/** Rows scaled to sum to 1, and what they summed to: the part of each target that the source covers. */
function normalised({ start, weight, targetSize }: SparseWeights) {
  const scaled = Float64Array.from(weight);
  const coverage = new Float64Array(targetSize);
  for (let r = 0; r < targetSize; r++) {
    const row = scaled.subarray(start[r], start[r + 1]);
    const sum = row.reduce((total, w) => total + w, 0);
    coverage[r] = Math.abs(sum - 1) < 1e-9 ? 1 : sum;
    if (coverage[r] !== 1) for (let k = 0; k < row.length; k++) row[k]! /= sum;
  }
  return { weight: scaled, coverage };
}

export interface StoredWeights {
  weights: SparseWeights;
  /** undefined when the file names one that this program has not, such as ESMF's patch recovery. */
  method: RegridMethod | undefined;
}

/**
 * Reads weights for fields from `source` to `target`, in the order of these.
 * @throws ClimaxError "data" for what is no weight file or a damaged one, "grid" for weights between other grids
 */
export async function readWeights(path: string, source: Grid | Points, target: Grid): Promise<StoredWeights> {
  const dataset = await openDataset(path);
  try {
    const convention = conventionOf(dataset);
    const { method, links } = await readLinks(dataset, convention);
    const places = async (which: "source" | "target", grid: Grid | Points) =>
      placesInFile(await readCentres(dataset, convention.centres[which]), grid, { path, which });
    const [from, to] = [await places("source", source), await places("target", target)];
    const coverage = await readCoverage(dataset, convention);
    return { method, weights: sorted(dataset, links, { from, to, coverage }, source, target) };
  } finally {
    await dataset.close();
  }
}

/** Links in the order of targets, by the indices of our grids. */
function sorted(
  { path }: Dataset,
  { from, to, weight }: Links,
  places: { from: Int32Array; to: Int32Array; coverage: Float64Array | undefined },
  source: Grid | Points,
  target: Grid,
): SparseWeights {
  const targetSize = target.lat.length * target.lon.length;
  const start = new Int32Array(targetSize + 1);
  const [rows, columns] = [new Int32Array(to.length), new Int32Array(to.length)];
  for (let k = 0; k < to.length; k++) {
    const [row, column] = [places.to[to[k]! - 1], places.from[from[k]! - 1]];
    if (row === undefined || column === undefined || !Number.isFinite(weight[k]!)) {
      throw new ClimaxError(
        "data",
        `link ${k + 1} of ${path} goes from ${from[k]} to ${to[k]} with the weight ${weight[k]}; wanted addresses in 1..${places.from.length} and 1..${places.to.length}, and a number`,
        "the file is damaged; make the weights again",
      );
    }
    [rows[k], columns[k]] = [row, column];
    start[row + 1]!++;
  }
  for (let r = 0; r < targetSize; r++) start[r + 1]! += start[r]!;
  const next = start.slice();
  const packed: SparseWeights = {
    sourceSize: isPoints(source) ? source.lat.length : source.lat.length * source.lon.length,
    targetSize,
    start,
    column: new Int32Array(to.length),
    weight: new Float64Array(to.length),
  };
  for (let k = 0; k < to.length; k++) {
    const at = next[rows[k]!]!++;
    const part = places.coverage?.[to[k]! - 1] ?? 1;
    packed.column[at] = columns[k]!;
    packed.weight[at] = weight[k]! * (part > 0 ? part : 1);
  }
  return packed;
}
