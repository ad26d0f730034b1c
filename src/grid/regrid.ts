/** Regridding onto latitude-longitude grids, one method per file beside this one. */
import { ClimaxError, unknownName } from "../errors.ts";
import { bicubicOperator, bicubicRegridding } from "./bicubic.ts";
import { bilinearOperator } from "./bilinear.ts";
import { type CellEdges, cellEdges, conservativeOperator } from "./conservative.ts";
import { conservativePointWeights } from "./conservativepoints.ts";
import { distanceWeights } from "./distance.ts";
import type { Grid } from "./grid.ts";
import { nearestIndices, nearestPoints } from "./nearest.ts";
import { describeSource, isPoints, type Points } from "./points.ts";
import { type Regridder, type RegridMethod, regridderOf, regridMethods } from "./regridder.ts";
import { separable } from "./separable.ts";
import { selectWeights, sparseRegridder } from "./sparse.ts";

export { type Regridder, type RegridMethod, regridMethods } from "./regridder.ts";

export interface RegridOptions {
  /**
   * The least part of a target's weight, 0 to 1, that must come from valid points; below it the target is NaN.
   * By default what CDO does: 1 for bilinear (every point used must be there), and any for conservative and
   * distance-weighted. Bicubic takes it for the bilinear value that it falls back to beside gaps.
   */
  minimumValid?: number;
  /** Cell edges from the files, for conservative; by default midway between the points. */
  sourceEdges?: CellEdges;
  targetEdges?: CellEdges;
}

export const defaultMinimumValid: Record<RegridMethod, number> = {
  bilinear: 1,
  bicubic: 1,
  conservative: 0,
  nearest: 1,
  "distance-weighted": 0,
};

/** The methods that take a source without rows and columns. */
const forPoints: readonly RegridMethod[] = ["distance-weighted", "nearest", "conservative"];

/**
 * Sets up the weights once.
 * @throws ClimaxError "grid" for a source of fewer than 2 x 2 points, and for a method that its kind of source lacks
 */
export function makeRegridder(
  source: Grid | Points,
  target: Grid,
  method: RegridMethod,
  options: RegridOptions = {},
): Regridder {
  if (!regridMethods.includes(method)) unknownName("regridding method", method, regridMethods);
  const minimumValid = options.minimumValid ?? defaultMinimumValid[method];
  return isPoints(source)
    ? fromPoints(source, target, method, minimumValid, options)
    : fromGrid(source, target, method, minimumValid, options);
}

function fromPoints(
  source: Points,
  target: Grid,
  method: RegridMethod,
  minimumValid: number,
  options: RegridOptions,
): Regridder {
  const common = { source, target, method, minimumValid };
  switch (method) {
    case "nearest":
      return sparseRegridder(selectWeights(nearestPoints(source, target), source.lat.length), common);
    case "distance-weighted":
      return sparseRegridder(distanceWeights(source, target), common);
    case "conservative": {
      const cells = options.targetEdges ?? cellEdges(target);
      return sparseRegridder(conservativePointWeights(source, cells), common);
    }
    default:
      throw new ClimaxError(
        "grid",
        `${method} regridding wants a source of latitudes by longitudes; found ${describeSource(source)}`,
        `choose --method ${forPoints.join(", ")}`,
      );
  }
}

function fromGrid(
  source: Grid,
  target: Grid,
  method: RegridMethod,
  minimumValid: number,
  options: RegridOptions,
): Regridder {
  const shape = [source.lat.length, source.lon.length] as const;
  if (Math.min(...shape) < 2) {
    throw new ClimaxError(
      "grid",
      `a grid of ${shape.join(" x ")} points cannot be regridded; at least 2 latitudes and 2 longitudes are wanted`,
      "give a field with a horizontal extent, not a point or a single line",
    );
  }
  const common = { source, target, method, minimumValid };
  switch (method) {
    case "bilinear": {
      const operator = bilinearOperator(source, target);
      return regridderOf({ ...common, operator }, separable(operator, shape, minimumValid));
    }
    case "bicubic": {
      const operator = bicubicOperator(source, target);
      return regridderOf({ ...common, operator }, bicubicRegridding(source, target, minimumValid));
    }
    case "conservative": {
      const operator = conservativeOperator(
        options.sourceEdges ?? cellEdges(source),
        options.targetEdges ?? cellEdges(target),
      );
      return regridderOf({ ...common, operator }, separable(operator, shape, minimumValid));
    }
    case "nearest":
      return sparseRegridder(selectWeights(nearestIndices(source, target), shape[0] * shape[1]), common);
    case "distance-weighted":
      return sparseRegridder(distanceWeights(source, target), common);
  }
}
