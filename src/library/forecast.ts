// Forecasts from fields in memory.
import type { Model, ModelGrid } from "./model.ts";

/**
 * Fields of one moment by variable: ClimaX's names, each [H, W] of the model's grid in one array (row after row, from
 * south to north, from the first longitude on), in the units of the model's variables. Other numbers than f32 are
 * rounded to it. Nothing of it is changed; leave it alone until the forecast is there.
 */
export type Fields =
  | Readonly<Record<string, Float32Array | Float64Array | readonly number[]>>
  | ReadonlyMap<string, Float32Array | Float64Array | readonly number[]>;

export interface ForecastOptions {
  /** What to start from, or several of it. They all have the same variables. */
  readonly state: Fields | readonly Fields[];
  /** How far ahead, hours; one or several. */
  readonly leadHours: number | readonly number[];
  /** Names of the outputs that are wanted. All by default. */
  readonly outputs?: readonly string[] | undefined;
  /**
   * What to do about an input that the states lack, or a value that is not finite: refuse (`"error"`, the default), leave
   * the variable out (`"drop"`; values must be there), or put the variable's mean of the training period (`"mean"`). The
   * last two make a forecast possible, not good.
   */
  readonly missing?: "error" | "drop" | "mean" | undefined;
  /**
   * Reaches the leads in steps of so many hours, each from the forecast before: the leads are multiples of it, and the
   * model forecasts all of its inputs that change. Of several, a lead is the mean over those that reach it. By default
   * every lead is forecast directly, in one pass of the network.
   */
  readonly rollout?: number | readonly number[] | undefined;
  /** Passes of the network at once: more take more memory of the device, not other values. 8 by default. */
  readonly batchSize?: number | undefined;
  /** Asked between batches, whose error it throws: an AbortSignal. */
  readonly signal?: { throwIfAborted(): void } | undefined;
}

/** The fields of one lead time, from one state. */
export interface Forecast {
  /** Which of the states, from 0. */
  readonly state: number;
  readonly leadHours: number;
  /** By variable: [H, W] as in a state, in arrays of their own. */
  readonly fields: Readonly<Record<string, Float32Array>>;
  /** By variable. */
  readonly units: Readonly<Record<string, string>>;
  readonly grid: ModelGrid;
}

/**
 * Forecasts every lead from every state: the very numbers that `climax forecast` writes on the same adapter, whatever
 * the batches. Calls for models on one device wait for one another.
 *
 * @returns  for each state in their order, each lead in the order asked for
 * @throws   ClimaxError "config" for unknown names and options, leads that the model was not trained for, a closed model;
 *           "shape" for fields of another length; "data" for what is missing, and roll-outs that grow beyond all
 *           bounds; "device" when the device has no memory left
 * @example
 * const [day, week] = await forecast(model, { state: { "2m_temperature": field, ... }, leadHours: [24, 168] });
 * console.log(week.fields["2m_temperature"], week.units["2m_temperature"]);
 */
export async function forecast(model: Model, options: ForecastOptions): Promise<Forecast[]> {
  const { runForecast } = await import("./run.ts");
  return await runForecast(model, options);
}
