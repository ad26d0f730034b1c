// What regridding does to one field as it lies in its file, as plain data that goes to threads: which rows are read,
// and the weights with the file's order of rows and columns worked into them.
import type { Grid } from "../grid/grid.ts";
import { makeRegridder } from "../grid/regrid.ts";
import type { Regridder } from "../grid/regridder.ts";
import { compacted, type Field, type SeparableOperator, separable } from "../grid/separable.ts";
import { type SparseWeights, sparse, weightsOf } from "../grid/sparse.ts";
import type { Place } from "./coordinates.ts";

export type FieldPlan = {
  /** Rows of the file that are read, ascending; [0] for points along one axis. */
  rows: Int32Array;
  /** Numbers in a row. */
  width: number;
  minimumValid: number;
} & (
  | { kind: "separable"; operator: SeparableOperator }
  | { kind: "sparse"; weights: SparseWeights }
  // Beside gaps it takes bilinear values, so it needs both grids; `order` is where each source point lies in the field.
  | { kind: "bicubic"; source: Grid; target: Grid; order: Int32Array; columns: Int32Array }
);

/**
 * `columns` is the target's column of each column of the output; `width` the length of a row in the file, which may
 * hold a column that the grid has not, such as 360 after 0.
 */
export function planField(place: Place, regridder: Regridder, columns: Int32Array, width: number): FieldPlan {
  const { operator, minimumValid, target, method } = regridder;
  if ("points" in place) {
    const { shape } = place.points;
    const height = shape.length > 1 ? shape[0]! : 1;
    const rows = Int32Array.from({ length: height }, (_, r) => r);
    const weights = withColumns(operator as SparseWeights, columns, target.lon.length);
    return { kind: "sparse", rows, width: shape.at(-1)!, minimumValid, weights };
  }
  const w = place.columns.length;
  if (method === "bicubic") {
    const rows = Int32Array.from({ length: place.rows.length }, (_, r) => r);
    const order = Int32Array.from({ length: rows.length * w }, (_, k) => {
      return place.rows[Math.floor(k / w)]! * width + place.columns[k % w]!;
    });
    return { kind: "bicubic", rows, width, minimumValid, source: place.grid, target, order, columns };
  }
  // A mean over a row, as at a pole, is one over all that lies in the file's row.
  if (!("column" in operator) && width === w) {
    const { rows, operator: own } = compacted(operator, place.rows, place.columns, columns);
    return { kind: "separable", rows, width, minimumValid, operator: own };
  }
  const weights = withColumns(weightsOf(regridder), columns, target.lon.length);
  const rowOf = (index: number) => place.rows[Math.floor(index / w)]!;
  const rows = Int32Array.from(new Set(weights.column.map(rowOf))).sort();
  const at = new Map(Array.from(rows, (row, i) => [row, i]));
  const column = weights.column.map((index) => at.get(rowOf(index))! * width + place.columns[index % w]!);
  return { kind: "sparse", rows, width, minimumValid, weights: { ...weights, column } };
}

/** The rows of a matrix in the order of the output's columns. */
function withColumns(weights: SparseWeights, columns: Int32Array, width: number): SparseWeights {
  if (columns.every((column, c) => column === c)) return weights;
  const order = Int32Array.from({ length: weights.targetSize }, (_, r) => {
    return Math.floor(r / width) * width + columns[r % width]!;
  });
  const start = new Int32Array(weights.targetSize + 1);
  order.forEach((row, r) => {
    start[r + 1] = start[r]! + weights.start[row + 1]! - weights.start[row]!;
  });
  const column = new Int32Array(weights.column.length);
  const weight = new Float64Array(weights.weight.length);
  order.forEach((row, r) => {
    const [from, to] = [weights.start[row]!, weights.start[row + 1]!];
    column.set(weights.column.subarray(from, to), start[r]!);
    weight.set(weights.weight.subarray(from, to), start[r]!);
  });
  return { ...weights, start, column, weight };
}

/** The function from a field, [rows.length, width], to the output, [H, W]. */
export function fieldKernel(plan: FieldPlan): (field: Field, out: Field) => void {
  if (plan.kind === "separable")
    return separable(plan.operator, [plan.rows.length, plan.width], plan.minimumValid);
  if (plan.kind === "sparse") return sparse(plan.weights, plan.minimumValid);
  const { source, target, order, columns, minimumValid } = plan;
  const regridder = makeRegridder(source, target, "bicubic", { minimumValid });
  const gathered = new Float64Array(order.length);
  const made = new Float64Array(target.lat.length * target.lon.length);
  const width = columns.length;
  return (field, out) => {
    for (let k = 0; k < order.length; k++) gathered[k] = field[order[k]!]!;
    regridder.apply(gathered, made);
    for (let k = 0; k < made.length; k++) out[k] = made[k - (k % width) + columns[k % width]!]!;
  };
}
