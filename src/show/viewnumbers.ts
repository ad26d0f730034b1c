/** The numbers that stand beside a picture: of a field alone, and of a forecast against the truth. */
import type { Field } from "../scores/metric.ts";

export interface FieldNumbers {
  /** Weighted mean over the cells that are known; NaN where none is. */
  readonly mean: number;
  readonly least: number;
  readonly most: number;
  /** Cells without a value. */
  readonly missing: number;
}

export interface ErrorNumbers {
  /** Root of the weighted mean of the squared error. */
  readonly rmse: number;
  /** Weighted mean of forecast less truth. */
  readonly bias: number;
  /** Cells where both are known; the others are left out. */
  readonly cells: number;
}

/** @param weights [H * W], as of `cellWeights` */
export function fieldNumbers(field: Field, weights: Float64Array): FieldNumbers {
  let [sum, total, least, most, missing] = [0, 0, Infinity, -Infinity, 0];
  for (let i = 0; i < field.length; i++) {
    const value = field[i]!;
    if (Number.isNaN(value)) {
      missing++;
      continue;
    }
    sum += weights[i]! * value;
    total += weights[i]!;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  if (missing === field.length) [least, most] = [Number.NaN, Number.NaN];
  return { mean: sum / total, least, most, missing };
}

/** @param difference forecast less truth, [H * W]; NaN where one of them is missing */
export function errorNumbers(difference: Field, weights: Float64Array): ErrorNumbers {
  let [sum, squares, total, cells] = [0, 0, 0, 0];
  for (let i = 0; i < difference.length; i++) {
    const error = difference[i]!;
    if (Number.isNaN(error)) continue;
    sum += weights[i]! * error;
    squares += weights[i]! * error * error;
    total += weights[i]!;
    cells++;
  }
  return { rmse: Math.sqrt(squares / total), bias: sum / total, cells };
}
