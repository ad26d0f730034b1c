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
 * The source rows that an operator takes from, ascending, and the operator for fields of those rows only. `rows` and
 * `columns` say which row and column of such a field in its own order each row and column of the grid is; `target` is
 * the grid's column of each column of the output.
 */
export function compacted(
  { lat, lon, poles }: SeparableOperator,
  rows: ArrayLike<number>,
  columns: ArrayLike<number>,
  target: Int32Array,
): { operator: SeparableOperator; rows: Int32Array } {
  const used = new Set([...lat.column, ...poles.map(({ sourceRow }) => sourceRow)]);
  const kept = Int32Array.from(used, (row) => rows[row]!).sort();
  const place = new Map(Array.from(kept, (row, i) => [row, i]));
  const at = (row: number) => place.get(rows[row]!)!;
  const entries: [from: number, to: number][] = Array.from(target, (c) => [lon.start[c]!, lon.start[c + 1]!]);
  const start = new Int32Array(target.length + 1);
  entries.forEach(([from, to], c) => {
    start[c + 1] = start[c]! + to - from;
  });
  const order = Int32Array.from(
    entries.flatMap(([from, to]) => Array.from({ length: to - from }, (_, k) => from + k)),
  );
  return {
    operator: {
      lat: { ...lat, column: lat.column.map(at) },
      lon: {
        start,
        column: order.map((k) => columns[lon.column[k]!]!),
        weight: Float64Array.from(order, (k) => lon.weight[k]!),
      },
      poles: poles.map((pole) => ({ ...pole, sourceRow: at(pole.sourceRow) })),
    },
    rows: kept,
  };
}

/**
 * Returns a function that regrids one field as it is, out = A_lat . F . A_lon^T: a NaN spreads to every target that
 * has it in its rows, and a target without any row is 0. The axis that shrinks the field more is done first.
 */
export function product(
  operator: SeparableOperator,
  sourceWidth: number,
): (field: Field, out: Field) => void {
  const { lat, lon } = operator;
  const [height, width] = [lat.start.length - 1, lon.start.length - 1];
  const sourceHeight = lat.column.reduce((most, row) => Math.max(most, row + 1), 0);
  const latitudeFirst = lat.weight.length * sourceWidth + height * lon.weight.length;
  const longitudeFirst = sourceHeight * lon.weight.length + lat.weight.length * width;
  return latitudeFirst < longitudeFirst
    ? byLatitude(operator, sourceWidth)
    : byLongitude(operator, sourceWidth);
}

function byLatitude(
  { lat, lon, poles }: SeparableOperator,
  sourceWidth: number,
): (field: Field, out: Field) => void {
  const [height, width] = [lat.start.length - 1, lon.start.length - 1];
  const row = new Float64Array(sourceWidth); // of A_lat . F
  return (field, out) => {
    for (let r = 0; r < height; r++) {
      row.fill(0);
      addRows(lat, r, field, sourceWidth, row);
      for (const pole of poles) if (pole.row === r) addPole(pole, field, sourceWidth, row);
      dots(lon, row, 0, out, r * width);
    }
  };
}

function byLongitude(
  { lat, lon, poles }: SeparableOperator,
  sourceWidth: number,
): (field: Field, out: Field) => void {
  const [height, width] = [lat.start.length - 1, lon.start.length - 1];
  const used = Int32Array.from(new Set(lat.column)).sort();
  const sourceHeight = (used.at(-1) ?? -1) + 1;
  const narrow = new Float64Array(sourceHeight * width); // F . A_lon^T
  const row = new Float64Array(width);
  const [across, along] = [pairsOf(lon), pairsOf(lat)];
  const poleRows = new Set(poles.map((pole) => pole.row));
  const sums = new Float64Array(width); // of the columns' weights, which a pole is multiplied by
  dots(lon, new Float64Array(sourceWidth).fill(1), 0, sums, 0);
  return (field, out) => {
    for (const r of used) {
      if (across) pairDots(across, field, r * sourceWidth, narrow, r * width);
      else dots(lon, field, r * sourceWidth, narrow, r * width);
    }
    for (let r = 0; r < height; r++) {
      if (along && !poleRows.has(r)) {
        const { first, second, a, b } = along;
        mix(narrow, first[r]! * width, a[r]!, second[r]! * width, b[r]!, out, r * width, width);
        continue;
      }
      row.fill(0);
      addRows(lat, r, narrow, width, row);
      for (const pole of poles) {
        if (pole.row !== r) continue;
        const value = poleValue(pole, field, sourceWidth);
        for (let c = 0; c < width; c++) row[c]! += value * sums[c]!;
      }
      for (let c = 0; c < width; c++) out[r * width + c] = row[c]!;
    }
  };
}

/** Adds row r of A . F to `row`. */
function addRows(
  { start, column, weight }: SparseRows,
  r: number,
  field: Field,
  width: number,
  row: Float64Array,
) {
  for (let k = start[r]!; k < start[r + 1]!; k++) {
    const [from, w] = [column[k]! * width, weight[k]!];
    for (let i = 0; i < width; i++) row[i]! += w * field[from + i]!;
  }
}

function poleValue({ sourceRow, weight }: PoleWeight, field: Field, sourceWidth: number): number {
  let sum = 0;
  for (let i = 0; i < sourceWidth; i++) sum += field[sourceRow * sourceWidth + i]!;
  return (weight * sum) / sourceWidth;
}

function addPole(pole: PoleWeight, field: Field, sourceWidth: number, row: Float64Array): void {
  const value = poleValue(pole, field, sourceWidth);
  for (let i = 0; i < sourceWidth; i++) row[i]! += value;
}

/** A row of values that begins at `base`, times the matrix transposed, to where `to` begins in `out`. */
function dots(
  { start, column, weight }: SparseRows,
  values: Field,
  base: number,
  out: Field,
  to: number,
): void {
  const n = start.length - 1;
  for (let c = 0, k = 0; c < n; c++) {
    const end = start[c + 1]!;
    let sum = 0;
    for (; k < end; k++) sum += weight[k]! * values[base + column[k]!]!;
    out[to + c] = sum;
  }
}

/** A matrix whose rows have one or two entries, as two lists; a second one that is not there weighs 0. */
interface Pairs {
  first: Int32Array;
  second: Int32Array;
  a: Float64Array;
  b: Float64Array;
}

function pairsOf({ start, column, weight }: SparseRows): Pairs | undefined {
  const n = start.length - 1;
  const [first, second] = [new Int32Array(n), new Int32Array(n)];
  const [a, b] = [new Float64Array(n), new Float64Array(n)];
  for (let r = 0; r < n; r++) {
    const [from, count] = [start[r]!, start[r + 1]! - start[r]!];
    if (count < 1 || count > 2) return undefined;
    first[r] = column[from]!;
    a[r] = weight[from]!;
    second[r] = column[from + count - 1]!;
    b[r] = count === 2 ? weight[from + 1]! : 0;
  }
  return { first, second, a, b };
}

/** As dots, for pairs. */
function pairDots(
  { first, second, a, b }: Pairs,
  values: Field,
  base: number,
  out: Float64Array,
  to: number,
): void {
  for (let c = 0; c < first.length; c++)
    out[to + c] = a[c]! * values[base + first[c]!]! + b[c]! * values[base + second[c]!]!;
}

/** a times one row of values plus b times another, to where `to` begins in `out`. */
function mix(
  values: Float64Array,
  one: number,
  a: number,
  other: number,
  b: number,
  out: Field,
  to: number,
  width: number,
): void {
  for (let c = 0; c < width; c++) out[to + c] = a * values[one + c]! + b * values[other + c]!;
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
  const sourceWidth = sourceShape[1];
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
    if (whole) {
      plain(field, out);
      // A gap that is taken from leaves its mark, so the field itself need not be looked through.
      if (!hasGaps(out)) return;
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

function hasGaps(field: Field): boolean {
  for (let i = 0; i < field.length; i++) if (Number.isNaN(field[i]!)) return true;
  return false;
}
