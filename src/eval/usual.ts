/** What is usual at a place and time of the year, as some metrics want it beside the truth: read when asked for. */
import type { CfTime } from "../data/time.ts";
import type { Field } from "../scores/metric.ts";

/** What SEEPS asks of the climate of precipitation. */
export interface SeepsClimate {
  /** For each valid time; undefined for a variable it does not have. */
  field(variable: string): Promise<SeepsAt | undefined>;
}

export type SeepsAt = (valid: CfTime) => SeepsFields | Promise<SeepsFields>;

export interface SeepsFields {
  /** Fraction of times without precipitation, [H * W]. */
  readonly dryFraction: Field;
  /** Border of light and heavy precipitation, [H * W], in the units that are scored. */
  readonly heavy: Field;
}

/** The lower and upper terciles of what is usual. */
export interface Terciles {
  /** Whose they are, in words for the reader of a score. */
  readonly label: string;
  /** [H * W] each, for the forecasts of one lead; undefined for a variable and lead it does not have. */
  field(variable: string, leadHours: number): Promise<TercilesAt | undefined>;
}

export type TercilesAt = (initial: CfTime, valid: CfTime) => TercileFields | Promise<TercileFields>;

/** NaN where a cell is not to be scored. */
export type TercileFields = readonly [lower: Field, upper: Field];
