/**
 * The statistics of a run: what every metric kept of every forecast, before any score is made of them. Shares of one
 * run merge into the same statistics that a single process would have, and so into the same scores.
 */
import type { CfTime } from "../data/time.ts";
import type { Grid } from "../grid/grid.ts";

/** Statistics of one variable and lead. */
export interface LeadStatistics {
  /** ClimaX name, or that of a wind vector. */
  readonly variable: string;
  readonly leadHours: number;
  /** Of the forecasts scored, in order of time. */
  readonly initial: readonly CfTime[];
  readonly valid: readonly CfTime[];
  readonly series: readonly Series[];
  readonly cells: readonly CellSums[];
  readonly profiles: readonly ProfileSums[];
}

/** Of a series metric: [forecasts, size], row by row; a row of NaN is a forecast that does not count. */
export interface Series {
  readonly system: string;
  readonly metric: string;
  readonly region: string;
  readonly size: number;
  readonly values: Float64Array;
}

/** Of a cell metric, or of the maps: sums over forecasts for each cell, [size, H * W] with what rounding left over. */
export interface CellSums {
  readonly system: string;
  readonly metric: string;
  readonly size: number;
  readonly forecasts: number;
  readonly sums: Float64Array;
  /** Low-order parts of `sums`, so that shares add up to the same whatever their order. */
  readonly rest: Float64Array;
}

/** Of a profile metric: sums over forecasts, [size], with what rounding left over. */
export interface ProfileSums {
  readonly system: string;
  readonly metric: string;
  readonly region: string;
  readonly size: number;
  readonly forecasts: number;
  readonly sums: Float64Array;
  readonly rest: Float64Array;
}

/** The mean over forecasts of error and of squared error in each cell, kept as the cell metric of this name. */
export const mapSums = "maps"; // sums: error, squared error, count of forecasts with a truth there

export interface Statistics {
  readonly grid: Grid;
  /** Systems and baselines in the order of the tables. */
  readonly systems: readonly string[];
  /** In the order of the tables. */
  readonly metrics: readonly string[];
  readonly regions: readonly string[];
  readonly leads: readonly LeadStatistics[];
}
