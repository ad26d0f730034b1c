// A checkpoint on a device, ready to forecast.
/// <reference lib="esnext.disposable" preserve="true" />

/** A variable as the network was trained with it. */
export interface Variable {
  /** ClimaX's name, e.g. `2m_temperature`, `geopotential_500`. */
  readonly name: string;
  /** Of its fields, in and out, and of `mean` and `std`: `K`, `m**2 s**-2`, `m s**-1`. */
  readonly units: string;
  /** Over the training period and the globe (or region). */
  readonly mean: number;
  readonly std: number;
}

/** H x W points. Fields on it are [H, W] in one array: row after row, from south to north. */
export interface ModelGrid {
  /** [H], degrees north, increasing. */
  readonly lat: readonly number[];
  /** [W], degrees east in [0, 360), increasing. */
  readonly lon: readonly number[];
}

export interface ModelOptions {
  /**
   * Part of the name of the adapter to use, as `climax doctor` lists them, or `hardware`, `software`; CLIMAX_ADAPTER,
   * else the best one at hand, by default. Nothing falls back in silence.
   */
  readonly adapter?: string | undefined;
  /** Operands of matrix products, and the weights on the device. `"f32"` by default. */
  readonly precision?: "f32" | "f16" | undefined;
}

/** A checkpoint on a device. Several may be open; those of one adapter and precision share a device. */
export interface Model {
  /** Of the checkpoint. */
  readonly path: string;
  /** All that it was trained with. */
  readonly variables: readonly Variable[];
  /** Names of the variables that a state should have. */
  readonly inputs: readonly string[];
  /** Names of the variables that it forecasts. */
  readonly outputs: readonly string[];
  /** Of the fields that enter and leave. */
  readonly grid: ModelGrid;
  /** Which part of the globe that is; undefined for all of it. */
  readonly region: string | undefined;
  /** Lead times it can forecast, hours: these, or any between `min` and `max` (it was trained every `step`). */
  readonly leads: readonly number[] | { readonly min: number; readonly max: number; readonly step: number };
  /** Its forecasts are means over so many hours, beginning at the lead; undefined where they are of one moment. */
  readonly averageHours: number | undefined;
  /** Trained on a simulated planet: what it forecasts is no weather. */
  readonly synthetic: boolean;
  /** Name of the adapter that it is on. */
  readonly adapter: string;
  readonly precision: "f32" | "f16";
  /** Waits for forecasts that are under way, then gives the memory of the device back. Again does nothing. */
  close(): Promise<void>;
  /** The same, for `await using model = await loadModel(path)`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens a checkpoint of climax (what `pretrain`, `finetune` and `convert` write), and puts it on a device. It stays
 * there until `close`. A model that was not closed does not keep the process from ending.
 *
 * @param path  a .safetensors file
 * @throws      ClimaxError "checkpoint" for a file that is none (for one of PyTorch, the hint says how to convert it);
 *              "config" for one that does not forecast (downscaling, projections); "device" when there is no such
 *              adapter, or it has no memory left
 * @example
 * const model = await loadModel("best.safetensors", { adapter: "hardware" });
 * console.log(model.inputs, model.outputs, model.leads, model.grid.lat.length, model.grid.lon.length);
 * await model.close();
 */
export async function loadModel(path: string, options: ModelOptions = {}): Promise<Model> {
  const { openModel } = await import("./open.ts");
  return await openModel(path, options);
}
