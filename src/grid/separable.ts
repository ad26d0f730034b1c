/**
 * Regridding between rectilinear grids as two small operators: out = A_lat . F . A_lon^T, in f64.
 * The idea is that of NeuralGCM's dinosaur and WeatherBench 2: far less memory than one sparse matrix of
 * H_target * W_target rows, and set up at once.
 */

/** A field of numbers; NaN marks a missing one. */
export type Field = Float32Array | Float64Array;

/** A sparse matrix of one axis: row r has the entries `start[r]` .. `start[r + 1]` of `column` and `weight`. */
export interface SparseRows {
  start: Int32Array;
  column: Int32Array;
  weight: Float64Array;
}

/**
 * A pole between the last source row and the target rows poleward of it: its value is the mean over `sourceRow`,
 * and it enters target row `row` with `weight`.
 */
export interface PoleWeight {
  row: number;
  sourceRow: number;
  weight: number;
}

/** The operators of one method for one pair of grids. Rows that sum to less than 1 are covered in part only. */
export interface SeparableOperator {
  /** [H_target, H_source] */
  lat: SparseRows;
  /** [W_target, W_source] */
  lon: SparseRows;
  poles: PoleWeight[];
}

/** One row as [column, weight] pairs. */
export type Row = [column: number, weight: number][];

/** Packs rows. One whose weights sum to 1 within `1e-9` is scaled to do so exactly; others keep their coverage. */
export function sparseRows(rows: readonly Row[]): SparseRows {
  const entries = rows.map((row) => row.filter(([, weight]) => weight !== 0));
  const start = new Int32Array(rows.length + 1);
  entries.forEach((row, r) => {
    const sum = row.reduce((total, [, weight]) => total + weight, 0);
    if (Math.abs(sum - 1) < 1e-9) for (const entry of row) entry[1] /= sum;
    start[r + 1] = start[r]! + row.length;
  });
  const flat = entries.flat();
  return {
    start,
    column: Int32Array.from(flat, ([column]) => column),
    weight: Float64Array.from(flat, ([, weight]) => weight),
  };
}

/** Sum of each row, [rows]: the part of a target row or column that the source covers. */
export function rowSums(rows: SparseRows): Float64Array {
  return Float64Array.from({ length: rows.start.length - 1 }, (_, r) =>
    rows.weight.subarray(rows.start[r]!, rows.start[r + 1]!).reduce((sum, weight) => sum + weight, 0),
  );
}

/**
 * Returns a function that regrids one field as it is, out = A_lat . F . A_lon^T: a NaN spreads to every target that
 * has it in its rows, and a target without any row is 0.
 */
export function product(
  { lat, lon, poles }: SeparableOperator,
  sourceWidth: number,
): (field: Field, out: Field) => void {
  const [height, width] = [lat.start.length - 1, lon.start.length - 1];
  const values = new Float64Array(height * sourceWidth); // A_lat . F

  function alongLatitude(field: Field): void {
    values.fill(0);
    for (let r = 0; r < height; r++) {
      for (let k = lat.start[r]!; k < lat.start[r + 1]!; k++) {
        const [from, to, weight] = [lat.column[k]! * sourceWidth, r * sourceWidth, lat.weight[k]!];
        for (let i = 0; i < sourceWidth; i++) values[to + i]! += weight * field[from + i]!;
      }
    }
    for (const { row, sourceRow, weight } of poles) {
      let sum = 0;
      for (let i = 0; i < sourceWidth; i++) sum += field[sourceRow * sourceWidth + i]!;
      const pole = (weight * sum) / sourceWidth;
      for (let i = 0; i < sourceWidth; i++) values[row * sourceWidth + i]! += pole;
    }
  }

  return (field, out) => {
    alongLatitude(field);
    for (let r = 0; r < height; r++) {
      for (let c = 0; c < width; c++) out[r * width + c] = dot(lon, c, values, r * sourceWidth);
    }
  };
}

/** Row c of the matrix times a row of values that begins at `base`. */
function dot({ start, column, weight }: SparseRows, c: number, values: Float64Array, base: number): number {
  let sum = 0;
  for (let k = start[c]!; k < start[c + 1]!; k++) sum += weight[k]! * values[base + column[k]!]!;
  return sum;
}

/**
 * Returns a function that regrids one field, [H_source, W_source] -> [H_target, W_target].
 *
 * Without missing values, and with every target covered, it is A_lat . F . A_lon^T. Otherwise the field with its
 * gaps as zeros and the field of what is there (1 or 0) go through the same operators, and their quotient is the
 * mean over what is there. A target where less than `minimumValid` of the weight is there is NaN.
 */
export function separable(
  operator: SeparableOperator,
  sourceShape: readonly [height: number, width: number],
  minimumValid: number,
): (field: Field, out: Field) => void {
  const { lat, lon, poles } = operator;
  const [height, width] = [lat.start.length - 1, lon.start.length - 1];
  const [sourceHeight, sourceWidth] = sourceShape;
  const plain = product(operator, sourceWidth);
  let values: Float64Array | undefined; // A_lat . F without its gaps, made at the first field that needs it
  let valid: Float64Array | undefined; // A_lat . (1 where F is there)
  const coverage = rowSums(lat);
  for (const pole of poles) coverage[pole.row]! += pole.weight;
  const whole = [...coverage, ...rowSums(lon)].every((sum) => Math.abs(sum - 1) < 1e-9);

  function alongLatitudeMasked(field: Field, values: Float64Array, valid: Float64Array): void {
    values.fill(0);
    valid.fill(0);
    for (let r = 0; r < height; r++) {
      for (let k = lat.start[r]!; k < lat.start[r + 1]!; k++) {
        const [from, to, weight] = [lat.column[k]! * sourceWidth, r * sourceWidth, lat.weight[k]!];
        for (let i = 0; i < sourceWidth; i++) {
          const value = field[from + i]!;
          if (Number.isNaN(value)) continue;
          values[to + i]! += weight * value;
          valid[to + i]! += weight;
        }
      }
    }
    for (const { row, sourceRow, weight } of poles) {
      let [sum, count] = [0, 0];
      for (let i = 0; i < sourceWidth; i++) {
        const value = field[sourceRow * sourceWidth + i]!;
        if (Number.isNaN(value)) continue;
        sum += value;
        count++;
      }
      if (count === 0) continue;
      for (let i = 0; i < sourceWidth; i++) {
        values[row * sourceWidth + i]! += (weight * sum) / count;
        valid[row * sourceWidth + i]! += weight;
      }
    }
  }

  // Weights are products of two rounded sums: what is short of the threshold by 1e-9 has reached it.
  const least = Math.max(minimumValid - 1e-9, 1e-9);
  return (field, out) => {
    if (whole && !hasGaps(field, sourceHeight * sourceWidth)) {
      plain(field, out);
      return;
    }
    values ??= new Float64Array(height * sourceWidth);
    valid ??= new Float64Array(height * sourceWidth);
    alongLatitudeMasked(field, values, valid);
    for (let r = 0; r < height; r++) {
      for (let c = 0; c < width; c++) {
        const weight = dot(lon, c, valid, r * sourceWidth);
        out[r * width + c] = weight >= least ? dot(lon, c, values, r * sourceWidth) / weight : Number.NaN;
      }
    }
  };
}

function hasGaps(field: Field, length: number): boolean {
  for (let i = 0; i < length; i++) if (Number.isNaN(field[i]!)) return true;
  return false;
}
