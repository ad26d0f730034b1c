// States out of weather files, as a model wants them.
import type { Model } from "./model.ts";

export interface StateOptions {
  /** Which time, e.g. `2018-01-01T06`, or a day or month with one state. Not needed where the files have one. */
  readonly time?: string | undefined;
}

/** The fields of one moment. */
export interface State {
  /**
   * Of the model's inputs those that are there: [H, W] from south to north in one array, in the model's units; NaN where
   * a value is missing.
   */
  readonly fields: Readonly<Record<string, Float32Array>>;
  /** Of the files, e.g. `2018-01-01T06:00:00`, in their calendar. */
  readonly time: string;
  /** As CF names it: `standard`, `noleap`, `360_day`, ... */
  readonly calendar: string;
  /** What was converted, derived, cut or assumed, a line each. */
  readonly notes: readonly string[];
  /** Made by a simulated planet: no weather. */
  readonly synthetic: boolean;
}

/**
 * Reads a state from weather files: NetCDF, Zarr, GRIB, or a prepared set (its test split). Names, units and directions
 * become the model's, and what can be derived is.
 *
 * @param paths  one or several, of which each has some variables or times
 * @throws       ClimaxError "data" for files that cannot be read or have no time; "grid" when they are not on the
 *               model's grid (the hint says how to bring them there); "config" when it is not clear which time is meant
 * @example
 * const { fields, time, notes } = await readState(model, "state.nc", { time: "2018-01-01T06" });
 * const forecasts = await forecast(model, { state: fields, leadHours: 72 });
 */
export async function readState(
  model: Model,
  paths: string | readonly string[],
  options: StateOptions = {},
): Promise<State> {
  const { readFiles } = await import("./read.ts");
  return await readFiles(model, paths, options);
}
