/** Regridding of fields between rectilinear grids, one method per file beside this one. */
import { ClimaxError, unknownName } from "../errors.ts";
import { bicubicRegridding } from "./bicubic.ts";
import { bilinearOperator } from "./bilinear.ts";
import { type CellEdges, cellEdges, conservativeOperator } from "./conservative.ts";
import { describeGrid, type Grid } from "./grid.ts";
import { nearestIndices } from "./nearest.ts";
import { type Field, separable } from "./separable.ts";

export type RegridMethod = "bilinear" | "bicubic" | "conservative" | "nearest";
export const regridMethods: readonly RegridMethod[] = ["bilinear", "bicubic", "conservative", "nearest"];

export interface RegridOptions {
  /**
   * The least part of a target's weight, 0 to 1, that must come from valid points; below it the target is NaN.
   * By default what CDO does: 1 for bilinear (every point used must be there), and any for conservative. Bicubic
   * takes it for the bilinear value that it falls back to beside gaps.
   */
  minimumValid?: number;
  /** Cell edges from the files, for conservative; by default midway between the points. */
  sourceEdges?: CellEdges;
  targetEdges?: CellEdges;
}

/** Takes fields from one grid to another. Rows of weights sum to 1, so constants stay constant. */
export interface Regridder {
  readonly source: Grid;
  readonly target: Grid;
  readonly method: RegridMethod;
  /** Least valid part of the weight, see RegridOptions. */
  readonly minimumValid: number;
  /** [H_source * W_source] -> [H_target * W_target], summed in f64; NaN in the field is a gap. */
  apply(field: Field): Float32Array;
  apply<T extends Field>(field: Field, out: T): T;
}

const defaultMinimumValid: Record<RegridMethod, number> = {
  bilinear: 1,
  bicubic: 1,
  conservative: 0,
  nearest: 1,
};

/** Sets up the operators once. Throws a `grid` error for a source of fewer than 2 x 2 points. */
export function makeRegridder(
  source: Grid,
  target: Grid,
  method: RegridMethod,
  options: RegridOptions = {},
): Regridder {
  const sourceShape = [source.lat.length, source.lon.length] as const;
  if (Math.min(...sourceShape) < 2) {
    throw new ClimaxError(
      "grid",
      `a grid of ${sourceShape.join(" x ")} points cannot be regridded; at least 2 latitudes and 2 longitudes are wanted`,
      "give a field with a horizontal extent, not a point or a single line",
    );
  }
  const minimumValid = options.minimumValid ?? defaultMinimumValid[method];
  const regrid = kernel();
  const [sourceSize, targetSize] = [sourceShape[0] * sourceShape[1], target.lat.length * target.lon.length];

  function kernel(): (field: Field, out: Field) => void {
    switch (method) {
      case "bilinear":
        return separable(bilinearOperator(source, target), sourceShape, minimumValid);
      case "bicubic":
        return bicubicRegridding(source, target, minimumValid);
      case "conservative": {
        const [from, to] = [
          options.sourceEdges ?? cellEdges(source),
          options.targetEdges ?? cellEdges(target),
        ];
        return separable(conservativeOperator(from, to), sourceShape, minimumValid);
      }
      case "nearest": {
        const indices = nearestIndices(source, target);
        return (field, out) => {
          for (let i = 0; i < indices.length; i++)
            out[i] = indices[i]! < 0 ? Number.NaN : field[indices[i]!]!;
        };
      }
      default:
        return unknownName("regridding method", method, regridMethods);
    }
  }

  function apply<T extends Field>(field: Field, out?: T): Field {
    const result = out ?? new Float32Array(targetSize);
    if (field.length !== sourceSize || result.length !== targetSize) {
      throw new ClimaxError(
        "shape",
        `a field of ${field.length} values into one of ${result.length}; wanted ${describeGrid(source)} into ${describeGrid(target)}`,
        "give one field at a time, of the grids that the regridder was made for",
      );
    }
    regrid(field, result);
    return result;
  }
  return { source, target, method, minimumValid, apply: apply as Regridder["apply"] };
}
