// What a model of the library stands for: kept apart, so that its type says nothing of GPUs.
import { ClimaxError } from "../errors.ts";
import type { Predictor } from "../infer/predictor.ts";
import type { CheckpointInfo } from "../model/checkpoint.ts";
import type { Lease } from "./devices.ts";
import type { Model } from "./model.ts";

export interface Held {
  readonly info: CheckpointInfo;
  readonly predictor: Predictor;
  readonly device: Lease;
}

const held = new WeakMap<Model, Held>();

export function hold(model: Model, what: Held): void {
  held.set(model, what);
}

/** @returns  what it stood for; undefined when it was closed already */
export function letGo(model: Model): Held | undefined {
  const what = held.get(model);
  held.delete(model);
  return what;
}

/** @throws ClimaxError "config" for a model that is closed, or is none */
export function heldBy(model: Model): Held {
  const what = held.get(model);
  if (what) return what;
  const path = (model as Partial<Model> | undefined)?.path;
  throw new ClimaxError(
    "config",
    typeof path === "string" ? `the model of ${path} is closed` : "this is no model of loadModel",
    typeof path === "string"
      ? "close a model when its last forecast is done, or load it again"
      : "pass what `await loadModel(path)` gives, not the promise",
  );
}
