/**
 * Regridding by one sparse matrix, [N_target, N_source]: what curvilinear and unstructured sources need, and the form
 * in which weights of every method are stored. Rows are held one after another (CSR), in f64.
 */
import { type Regridder, regridderOf } from "./regridder.ts";
import { type Field, type Row, type SeparableOperator, sparseRows } from "./separable.ts";

/** Plain arrays, which structuredClone takes to worker threads. Row r has the entries `start[r]` .. `start[r + 1]`. */
export interface SparseWeights {
  sourceSize: number;
  targetSize: number;
  /** [targetSize + 1] */
  start: Int32Array;
  /** Source index of each entry, from 0. */
  column: Int32Array;
  weight: Float64Array;
}

/** Packs rows; see sparseRows for those whose weights sum to 1 but for rounding. */
export function packWeights(rows: readonly Row[], sourceSize: number): SparseWeights {
  return { sourceSize, targetSize: rows.length, ...sparseRows(rows) };
}

/** One source point for each target, by its index; -1 for none. */
export function selectWeights(indices: Int32Array, sourceSize: number): SparseWeights {
  const start = new Int32Array(indices.length + 1);
  indices.forEach((index, r) => {
    start[r + 1] = start[r]! + (index < 0 ? 0 : 1);
  });
  const column = indices.filter((index) => index >= 0);
  return {
    sourceSize,
    targetSize: indices.length,
    start,
    column,
    weight: new Float64Array(column.length).fill(1),
  };
}

/** A_lat x A_lon with its poles as one matrix. `sourceShape` is [H_source, W_source]. */
export function expandSeparable(
  { lat, lon, poles }: SeparableOperator,
  sourceShape: readonly [height: number, width: number],
): SparseWeights {
  const [h, w] = sourceShape;
  const [height, width] = [lat.start.length - 1, lon.start.length - 1];
  const start = new Int32Array(height * width + 1);
  /** Along a latitude whose value at the pole is a mean over a row: the weights of the rows, and of their means. */
  const polar = Array.from({ length: height }, (_, r) => poles.filter(({ row }) => row === r));
  const sizeOfRow = (r: number, c: number) => {
    const across = lon.start[c + 1]! - lon.start[c]!;
    const rows = lat.column.subarray(lat.start[r], lat.start[r + 1]);
    const means = new Set(polar[r]!.map(({ sourceRow }) => sourceRow));
    // A mean takes in what the row itself has.
    return across === 0 ? 0 : means.size * w + rows.filter((row) => !means.has(row)).length * across;
  };
  for (let r = 0, i = 0; r < height; r++)
    for (let c = 0; c < width; c++, i++) start[i + 1] = start[i]! + sizeOfRow(r, c);
  const column = new Int32Array(start[height * width]!);
  const weight = new Float64Array(column.length);
  for (let r = 0, at = 0; r < height; r++) {
    for (let c = 0; c < width; c++) {
      const first = at;
      if (lon.start[c] === lon.start[c + 1]) continue;
      for (const { sourceRow, weight: part } of polar[r]!) {
        let from = first;
        while (from < at && column[from] !== sourceRow * w) from++;
        for (let i = 0; i < w; i++) {
          column[from + i] = sourceRow * w + i;
          weight[from + i]! += part / w;
        }
        at = Math.max(at, from + w);
      }
      const means = at;
      for (let k = lat.start[r]!; k < lat.start[r + 1]!; k++) {
        const base = lat.column[k]! * w;
        let mean = first;
        while (mean < means && column[mean] !== base) mean += w;
        for (let l = lon.start[c]!; l < lon.start[c + 1]!; l++) {
          const to = mean < means ? mean + lon.column[l]! : at++;
          column[to] = base + lon.column[l]!;
          weight[to]! += lat.weight[k]! * lon.weight[l]!;
        }
      }
    }
  }
  return { sourceSize: h * w, targetSize: height * width, start, column, weight };
}

/** The matrix of a regridder, whatever its method. */
export function weightsOf({ operator, source }: Regridder): SparseWeights {
  return "column" in operator ? operator : expandSeparable(operator, [source.lat.length, source.lon.length]);
}

/**
 * Returns a function that regrids one field, [N_source] -> [N_target]. Gaps (NaN) are left out and the rest of the
 * row's weights scaled up; a target where less than `minimumValid` of the weight is there is NaN. A row with
 * negative weights wants all its points: what is left of it need not be a mean.
 */
export function sparse(
  { start, column, weight }: SparseWeights,
  minimumValid: number,
): (field: Field, out: Field) => void {
  const n = start.length - 1;
  const total = new Float64Array(n);
  const whole = new Uint8Array(n); // rows that want all their points
  for (let r = 0; r < n; r++) {
    for (let k = start[r]!; k < start[r + 1]!; k++) {
      total[r]! += weight[k]!;
      if (weight[k]! < 0) whole[r] = 1;
    }
    if (Math.abs(total[r]! - 1) < 1e-9) total[r] = 1;
  }
  // Weights are sums of rounded numbers: what is short of the threshold by 1e-9 has reached it.
  const least = Math.max(minimumValid - 1e-9, 1e-9);

  /** Row r of a field with gaps in it. */
  function masked(field: Field, r: number): number {
    if (whole[r] === 1) return Number.NaN;
    let [sum, valid] = [0, 0];
    for (let k = start[r]!; k < start[r + 1]!; k++) {
      const value = field[column[k]!]!;
      if (Number.isNaN(value)) continue;
      sum += weight[k]! * value;
      valid += weight[k]!;
    }
    return valid >= least ? sum / valid : Number.NaN;
  }

  return (field, out) => {
    for (let r = 0; r < n; r++) {
      let sum = 0;
      for (let k = start[r]!; k < start[r + 1]!; k++) sum += weight[k]! * field[column[k]!]!;
      if (Number.isNaN(sum)) out[r] = masked(field, r);
      else out[r] = total[r]! >= least ? sum / total[r]! : Number.NaN;
    }
  };
}

/** A regridder of given weights, such as stored ones, between the grids that they were made for. */
export function sparseRegridder(
  weights: SparseWeights,
  grids: Pick<Regridder, "source" | "target" | "method" | "minimumValid">,
): Regridder {
  return regridderOf({ ...grids, operator: weights }, sparse(weights, grids.minimumValid));
}
