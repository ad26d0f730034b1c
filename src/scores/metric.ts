/**
 * What a score is made of. A metric turns each forecast into a few numbers that add up over forecasts, its statistics;
 * the score follows from their sums. So scores are streamed, shared out among processes, resampled for their
 * confidence and split by season, and come out the same whatever the order. All sums are f64.
 */
import type { Grid } from "../grid/grid.ts";
import type { Definition } from "./definitions.ts";

/** One field [H * W], in the variable's own units (never normalised). */
export type Field = Float32Array | Float64Array;

/** One forecast and what happened, at the same valid time. A cell whose truth is NaN is not scored. */
export interface FieldPair {
  /** Of an ensemble, the mean of its members. */
  readonly forecast: Field;
  readonly truth: Field;
  /** The state that anomalies are taken from, at that valid time. */
  readonly climatology?: Field;
  /** The members of an ensemble. */
  readonly members?: readonly Field[];
  /** The other component of a wind: of a pair that is u, its v. */
  readonly other?: { readonly forecast: Field; readonly truth: Field };
  /** Of precipitation at that valid time: fraction of dry times, and the border of light and heavy rain. */
  readonly seeps?: { readonly dryFraction: Field; readonly heavy: Field };
  /** Lower and upper tercile of what is usual at that valid time. */
  readonly terciles?: readonly [lower: Field, upper: Field];
}

/** What of a pair a metric reads beside forecast and truth. */
export type Need = "climatology" | "members" | "other" | "seeps" | "terciles";

/** The cells that are scored together: the globe, or a region. */
export interface Cells {
  readonly grid: Grid;
  /** [H * W], as of `cellWeights`, zero outside. */
  readonly weights: Float64Array;
  /** Indices of the cells inside, ascending. */
  readonly inside: Int32Array;
}

/** A score from a few numbers for each forecast. It has a confidence interval. */
export interface SeriesMetric {
  readonly kind: "series";
  /** Numbers kept of each forecast. */
  readonly size: number;
  /** [size]; undefined where no cell's truth is known: such a forecast does not count. */
  measure(pair: FieldPair, cells: Cells): ArrayLike<number> | undefined;
  /** The score, from the sums [size] over forecasts; NaN where it has none (a correlation without variance). */
  score(sums: ArrayLike<number>): number;
}

/** A score from sums over forecasts that are kept for each cell: of time means, or of a skill in each place. */
export interface CellMetric {
  readonly kind: "cells";
  /** Sums kept for each cell. */
  readonly size: number;
  /** Writes what one forecast adds, [size] times [H * W]; whatever the region. */
  measure(pair: FieldPair, into: readonly Float64Array[]): void;
  /** The score of a region, from the sums [size] times [H * W] over so many forecasts. */
  score(sums: readonly Float64Array[], cells: Cells, forecasts: number): number;
}

/** A curve from sums over forecasts: a spectrum, a rank histogram. No row of the scores, but a line of a figure. */
export interface ProfileMetric {
  readonly kind: "profile";
  readonly size: number;
  measure(pair: FieldPair, cells: Cells): ArrayLike<number> | undefined;
  /** What the curves stand over, in its own units (zonal wavenumber, rank), and the curves. */
  curves(sums: ArrayLike<number>): Curves;
}

export interface Curves {
  readonly axis: { readonly name: string; readonly values: readonly number[] };
  /** Of the forecast. */
  readonly values: readonly number[];
  /** Of the truth, on the same axis; of a rank histogram, the flat one. */
  readonly truth: readonly number[];
}

/** A score that follows from other scores of the same system, variable, lead and region. */
export interface DerivedMetric {
  readonly kind: "derived";
  readonly from: readonly string[];
  score(values: readonly number[]): number;
}

export type Metric = SeriesMetric | CellMetric | ProfileMetric | DerivedMetric;

/** What a metric may depend on beside the definition. */
export interface MetricContext {
  readonly definition: Definition;
  readonly grid: Grid;
  /** Of the system that is scored. */
  readonly members: number;
  /** ClimaX name of the variable. */
  readonly variable: string;
}

/** A row of the table of metrics. */
export interface MetricInfo {
  /** As the heading of a table, "RMSE". */
  readonly title: string;
  /** Its unit: that of the variable, its square, metres times its square (energy along a circle), or none. */
  readonly unit: "variable" | "squared" | "energy" | "none";
  /** Which of two scores is the better one; "zero": the nearer to zero; undefined: neither, as of a spread. */
  readonly better: "low" | "high" | "zero" | undefined;
  readonly needs: readonly Need[];
  /** Whether it scores a variable, if not every one: rain, or the u of a wind. */
  readonly applies?: (variable: string) => boolean;
  /** The name that its rows give the variable: that of the wind whose u it is. */
  readonly rowVariable?: (variable: string) => string;
  make(context: MetricContext): Metric;
}
