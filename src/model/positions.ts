// Tables of positions: sine-cosine codes at the start, and bicubic resizing when a grid changes.
// On the CPU in f64: they are made once, and some software adapters are off by 2e-3 in sin.

/**
 * Sine-cosine codes of positions: `[sin(p w_0) .. sin(p w_{D/2-1}), cos(p w_0) ..]`, w_i = 10000^(-2i/D).
 *
 * @param D          width of a code, even
 * @param positions  N positions
 * @returns          [N, D]
 * @see              Vaswani et al. 2017, arXiv:1706.03762, section 3.5; the halves lie as in MAE (arXiv:2111.06377)
 */
export function sineCosine1d(D: number, positions: ArrayLike<number>): Float64Array {
  const half = D / 2;
  const table = new Float64Array(positions.length * D);
  for (let n = 0; n < positions.length; n++) {
    for (let i = 0; i < half; i++) {
      const angle = positions[n]! / 10000 ** (i / half);
      table[n * D + i] = Math.sin(angle);
      table[n * D + half + i] = Math.cos(angle);
    }
  }
  return table;
}

/**
 * Codes of a grid of patches, row by row: the first half of a code says the column, the second the row.
 *
 * @param D        width of a code, a multiple of 4
 * @param rows     patches from south to north
 * @param columns  patches from west to east
 * @returns        [rows * columns, D]
 */
export function sineCosine2d(D: number, rows: number, columns: number): Float64Array {
  const half = D / 2;
  const byColumn = sineCosine1d(
    half,
    Array.from({ length: columns }, (_, i) => i),
  );
  const byRow = sineCosine1d(
    half,
    Array.from({ length: rows }, (_, i) => i),
  );
  const table = new Float64Array(rows * columns * D);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const start = (row * columns + column) * D;
      table.set(byColumn.subarray(column * half, (column + 1) * half), start);
      table.set(byRow.subarray(row * half, (row + 1) * half), start + half);
    }
  }
  return table;
}

/**
 * Resizes a table of positions to another grid of patches, bicubic with PyTorch's conventions:
 * `interpolate(mode="bicubic", align_corners=False)`, kernel parameter A = -0.75, edges repeated, no antialiasing.
 *
 * @param table  [fromRows * fromColumns, D]
 * @param from   [rows, columns] of `table`
 * @param to     [rows, columns] wanted
 * @returns      [toRows * toColumns, D]
 * @see          Keys 1981, "Cubic convolution interpolation for digital image processing"
 */
export function resizePositions(
  table: ArrayLike<number>,
  D: number,
  from: readonly [number, number],
  to: readonly [number, number],
): Float32Array {
  const [fromRows, fromColumns] = from;
  const [toRows, toColumns] = to;
  const down = taps(fromRows, toRows);
  const across = taps(fromColumns, toColumns);
  const resized = new Float32Array(toRows * toColumns * D);
  const sum = new Float64Array(D);
  for (const [row, vertical] of down.entries()) {
    for (const [column, horizontal] of across.entries()) {
      sum.fill(0);
      for (const [i, a] of vertical) {
        for (const [j, b] of horizontal) {
          const start = (i * fromColumns + j) * D;
          for (let d = 0; d < D; d++) sum[d] = sum[d]! + a * b * table[start + d]!;
        }
      }
      resized.set(sum, (row * toColumns + column) * D);
    }
  }
  return resized;
}

/** For each of `to` points, the four of `from` points it is made of, with their weights. */
function taps(from: number, to: number): [index: number, weight: number][][] {
  return Array.from({ length: to }, (_, i) => {
    const centre = ((i + 0.5) * from) / to - 0.5; // align_corners=False: cells, not points, share their edges
    const first = Math.floor(centre) - 1;
    return [0, 1, 2, 3].map((k): [number, number] => {
      const index = Math.min(Math.max(first + k, 0), from - 1);
      return [index, cubic(Math.abs(centre - (first + k)))];
    });
  });
}

function cubic(distance: number): number {
  const A = -0.75;
  if (distance <= 1) return ((A + 2) * distance - (A + 3)) * distance * distance + 1;
  return ((distance - 5) * distance + 8) * distance * A - 4 * A;
}
