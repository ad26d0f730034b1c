/** What every regridding method comes to: a function from fields on the source to fields on the target. */
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid } from "./grid.ts";
import { describeSource, type Points, sizeOf } from "./points.ts";
import type { Field, SeparableOperator } from "./separable.ts";
import type { SparseWeights } from "./sparse.ts";

export type RegridMethod = "bilinear" | "bicubic" | "conservative" | "nearest" | "distance-weighted";
export const regridMethods: readonly RegridMethod[] = [
  "bilinear",
  "bicubic",
  "conservative",
  "nearest",
  "distance-weighted",
];

/** Takes fields from one grid to another. Rows of weights sum to 1, so constants stay constant. */
export interface Regridder {
  readonly source: Grid | Points;
  readonly target: Grid;
  readonly method: RegridMethod;
  /** Least valid part of the weight, see RegridOptions. */
  readonly minimumValid: number;
  /**
   * The weights, as plain arrays that structuredClone takes to worker threads. Of bicubic regridding they hold where
   * no point is missing; beside gaps it takes bilinear ones.
   */
  readonly operator: SeparableOperator | SparseWeights;
  /** [N_source] -> [H_target * W_target], summed in f64; NaN in the field is a gap. */
  apply(field: Field): Float32Array;
  apply<T extends Field>(field: Field, out: T): T;
}

/** A regridder from what it does to one field of the right size. */
export function regridderOf(
  parts: Omit<Regridder, "apply">,
  regrid: (field: Field, out: Field) => void,
): Regridder {
  const { source, target } = parts;
  const [sourceSize, targetSize] = [sizeOf(source), target.lat.length * target.lon.length];

  function apply<T extends Field>(field: Field, out?: T): Field {
    const result = out ?? new Float32Array(targetSize);
    if (field.length !== sourceSize || result.length !== targetSize) {
      throw new ClimaxError(
        "shape",
        `a field of ${field.length} values into one of ${result.length}; wanted ${describeSource(source)} into ${describeGrid(target)}`,
        "give one field at a time, of the grids that the regridder was made for",
      );
    }
    regrid(field, result);
    return result;
  }
  return { ...parts, apply: apply as Regridder["apply"] };
}
