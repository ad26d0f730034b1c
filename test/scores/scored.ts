/** Scores of fields that a test writes out, made as a run makes them: statistics of each forecast, their sums, a score. */
import type { Grid } from "../../src/grid/grid.ts";
import { cellWeights, type Definition, definition } from "../../src/scores/definitions.ts";
import { ensembleMean } from "../../src/scores/ensemble.ts";
import type {
  CellMetric,
  Cells,
  Curves,
  Field,
  FieldPair,
  Metric,
  MetricInfo,
  ProfileMetric,
  SeriesMetric,
} from "../../src/scores/metric.ts";

export interface Circumstances {
  readonly grid: Grid;
  /** `climax` unless given. */
  readonly by?: Definition;
  /** All cells of the grid unless given. */
  readonly cells?: Cells;
  /** `2m_temperature` unless given. */
  readonly variable?: string;
}

export function allCells(grid: Grid, by: Definition): Cells {
  const weights = cellWeights(grid, by);
  return { grid, weights, inside: Int32Array.from(weights.keys()) };
}

/** The cells at these places alone. */
export function someCells(cells: Cells, inside: readonly number[]): Cells {
  const weights = new Float64Array(cells.weights.length);
  for (const i of inside) weights[i] = cells.weights[i]!;
  return { grid: cells.grid, weights, inside: Int32Array.from(inside) };
}

/** A pair of an ensemble, or of its only member. */
export function ensemblePair(members: readonly Field[], truth: Field): FieldPair {
  const [only] = members as [Field];
  return members.length === 1
    ? { forecast: only, truth }
    : { forecast: ensembleMean(members), truth, members };
}

export function make(
  info: MetricInfo,
  pairs: readonly FieldPair[],
  { grid, by = definition("climax"), variable = "2m_temperature" }: Circumstances,
): Metric {
  return info.make({ definition: by, grid, members: pairs[0]?.members?.length ?? 1, variable });
}

/** Sums over forecasts of what a metric keeps of each, forecasts that do not count left out. */
export function sumsOf(
  metric: SeriesMetric | ProfileMetric,
  pairs: readonly FieldPair[],
  cells: Cells,
): Float64Array {
  const sums = new Float64Array(metric.size);
  for (const pair of pairs) {
    const statistics = metric.measure(pair, cells);
    if (statistics === undefined) continue;
    if (statistics.length !== metric.size)
      throw new RangeError(`${statistics.length} of ${metric.size} numbers`);
    for (let i = 0; i < sums.length; i++) sums[i]! += statistics[i]!;
  }
  return sums;
}

export function score(info: MetricInfo, pairs: readonly FieldPair[], given: Circumstances): number {
  const metric = make(info, pairs, given);
  const cells = given.cells ?? allCells(given.grid, given.by ?? definition("climax"));
  if (metric.kind === "series") return metric.score(sumsOf(metric, pairs, cells));
  if (metric.kind === "cells") return cellScore(metric, pairs, cells);
  throw new TypeError(`a ${metric.kind} metric has no score of its own`);
}

function cellScore(metric: CellMetric, pairs: readonly FieldPair[], cells: Cells): number {
  const sums = Array.from({ length: metric.size }, () => new Float64Array(cells.weights.length));
  for (const pair of pairs) metric.measure(pair, sums);
  return metric.score(sums, cells, pairs.length);
}

export function curves(
  info: MetricInfo,
  pairs: readonly FieldPair[],
  given: Circumstances,
): Curves | undefined {
  const metric = make(info, pairs, given);
  if (metric.kind !== "profile") throw new TypeError(`a ${metric.kind} metric has no curves`);
  const cells = given.cells ?? allCells(given.grid, given.by ?? definition("climax"));
  const sums = sumsOf(metric, pairs, cells);
  return sums.every((sum) => sum === 0) ? undefined : metric.curves(sums);
}
