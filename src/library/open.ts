// Puts a checkpoint on a device, as the model that the library hands out.
import { ClimaxError } from "../errors.ts";
import { inputsOf } from "../infer/inputs.ts";
import { Predictor } from "../infer/predictor.ts";
import { taskWords } from "../infer/rollout.ts";
import { type Checkpoint, openCheckpoint } from "../model/checkpoint.ts";
import { type Lease, leaseDevice } from "./devices.ts";
import { hold, letGo } from "./held.ts";
import type { Model, ModelOptions } from "./model.ts";
import { checkChoice, checkOptions } from "./options.ts";

/** See `loadModel`. */
export async function openModel(path: string, options: ModelOptions): Promise<Model> {
  checkOptions("loadModel", options, ["adapter", "precision"]);
  const { adapter, precision = "f32" } = options;
  checkChoice("precision", precision, ["f32", "f16"]);
  const checkpoint = await openCheckpoint(path);
  try {
    mustForecast(checkpoint);
    const device = await leaseDevice(adapter, precision);
    try {
      const predictor = await device.alone(() => Predictor.load(device.gpu, checkpoint));
      return modelOf(checkpoint, predictor, device);
    } catch (error) {
      await device.end(() => undefined);
      throw error;
    }
  } finally {
    await checkpoint.close();
  }
}

/** @throws ClimaxError "config" for a checkpoint whose answers are no forecasts */
function mustForecast({ path, info }: Checkpoint): void {
  const { kind } = info.task;
  if (kind === "forecast" || kind === "mean") return;
  throw new ClimaxError(
    "config",
    `${path} was trained for ${taskWords(info)}; wanted one that forecasts`,
    kind === "downscaling"
      ? `climax downscale --checkpoint ${path} --input COARSE -o FINE runs it`
      : `climax forecast --checkpoint ${path} --input FORCINGS -o OUT runs it`,
  );
}

function modelOf({ path, info }: Checkpoint, predictor: Predictor, device: Lease): Model {
  const { variables, outputs, grid, leads, task, region, synthetic } = structuredClone(info);
  const close = async (): Promise<void> => {
    if (letGo(model)) await (closing = device.end(() => predictor.free()));
    await closing;
  };
  let closing: Promise<void> | undefined;
  const model: Model = Object.freeze({
    path,
    variables,
    inputs: [...inputsOf(info)],
    outputs,
    grid,
    region,
    leads,
    averageHours: task.kind === "mean" ? task.hours : undefined,
    synthetic,
    adapter: device.gpu.name,
    precision: device.gpu.precision,
    close,
    [Symbol.asyncDispose]: close,
  });
  hold(model, { info, predictor, device });
  return model;
}
