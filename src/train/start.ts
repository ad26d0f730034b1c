// Where finetuning starts: a network from nothing, or a checkpoint fitted to the data and the task at hand.
import { ClimaxError } from "../errors.ts";
import { describeGrid, type Grid, longitudeSeam, makeGrid, sameGrid } from "../grid/grid.ts";
import { adaptParameters } from "../model/adapt.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import { type NetworkConfig, type NetworkType, networkOf } from "../model/network.ts";
import { networkKeys } from "../model/networkfields.ts";
import type { FinetuneConfig } from "./finetune.ts";
import type { ReadParameter } from "./learner.ts";
import { checkedNetwork, type NetworkFacts, newNetwork } from "./makenetwork.ts";
import type { Learning } from "./tasks.ts";

export interface StartingPoint {
  readonly model: NetworkConfig;
  readonly start: ReadParameter;
  /** What was fitted, and what begins anew. */
  readonly notes: readonly string[];
}

/**
 * The network to train and its starting values.
 *
 * @throws ClimaxError for settings that come from the checkpoint, or data that its network cannot be fitted to
 */
export function startingPoint(
  config: FinetuneConfig,
  learning: Learning,
  checkpoint: Checkpoint | undefined,
): StartingPoint {
  const facts = factsOf(learning);
  refuseSeam(checkpoint?.info.model.type ?? config.model.type ?? defaultType(config), learning);
  const { seed } = config.training;
  if (!checkpoint) {
    const model = newNetwork({ ...config.model, type: config.model.type ?? defaultType(config) }, facts);
    const network = networkOf(model);
    return { model, start: (name) => network.initialise(seed, new Set([name])).get(name)!, notes: [] };
  }
  const model = fitted(config, checkpoint, facts);
  const { parameter, report } = adaptParameters(
    { config: checkpoint.info.model, parameter: (name) => checkpoint.parameter(name) },
    model,
    seed,
  );
  const trained = makeGrid(checkpoint.info.grid.lat, checkpoint.info.grid.lon);
  const elsewhere = sameGrid(trained, learning.whole) || sameGrid(trained, learning.grid);
  const notes = elsewhere
    ? []
    : [`the checkpoint is for ${describeGrid(trained)}, the data are on ${describeGrid(learning.whole)}`];
  return { model, start: parameter, notes: [...notes, ...report] };
}

/** Fields across Greenwich have their gap inside, which a convolution would take for neighbours. */
function refuseSeam(type: NetworkType, { grid }: Learning): void {
  const { start, periodic } = longitudeSeam(grid);
  if (periodic || start === 0 || !networkKeys(type).has("periodic")) return;
  throw new ClimaxError(
    "config",
    `a ${type} network goes from one point to the next, and the region (${describeGrid(grid)}) crosses 0 E, where its columns are apart`,
    "choose a region on one side of Greenwich, or a climax or vit network, which know where a patch is",
  );
}

function defaultType({ task }: FinetuneConfig): "projection" | "climax" {
  return task === "projection" ? "projection" : "climax";
}

function factsOf({ inputs, outputs, whole, grid, window, history }: Learning): NetworkFacts {
  return {
    variables: [...new Set([...inputs, ...outputs])],
    inputs,
    outputs,
    gridShape: shapeOf(whole),
    fieldShape: shapeOf(grid),
    circle: longitudeSeam(grid).periodic,
    region: window && { rows: window.rows, columns: window.columns },
    history,
  };
}

const shapeOf = ({ lat, lon }: Grid): [number, number] => [lat.length, lon.length];

/** Rates of noise, which are no part of what was learnt. */
const free = ["dropout", "dropPath"];

/** The network of a checkpoint for other data, or for the projection task. */
function fitted(config: FinetuneConfig, { path, info }: Checkpoint, facts: NetworkFacts): NetworkConfig {
  const { type = info.model.type, ...settings } = config.model;
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  const own: Readonly<Record<string, unknown>> = { ...info.model };
  const against = given.filter(([key, value]) => !free.includes(key) && own[key] !== value);
  if (against.length > 0) {
    throw new ClimaxError(
      "config",
      `${against.map(([key]) => `model.${key}`).join(", ")}: the network comes from ${path}`,
      `leave them out (${against.map(([key]) => `${key} is ${JSON.stringify(own[key]) ?? "not among its settings"}`).join(", ")}), or train from nothing without --checkpoint`,
    );
  }
  const wanted = config.task === "projection" && info.model.type === "climax" ? "projection" : type;
  if (wanted !== info.model.type && wanted !== "projection") {
    throw new ClimaxError(
      "config",
      `${path} is a ${info.model.type} network, not ${type}`,
      "leave --model out, or train from nothing without --checkpoint",
    );
  }
  const keys = networkKeys(wanted);
  const kept = Object.entries(own).filter(([key]) => keys.has(key) && !["type", "region"].includes(key));
  // A network with a token for each variable goes on knowing those that it has learnt.
  const names = [...new Set([...info.model.variables, ...facts.variables])];
  const { region } = facts;
  const fixed = keys.has("inputs")
    ? { inputs: facts.inputs, outputs: facts.outputs, variables: facts.variables }
    : { variables: names };
  return checkedNetwork(wanted, {
    ...Object.fromEntries([...kept, ...given]),
    ...fixed,
    gridShape: keys.has("region") || !region ? facts.gridShape : facts.fieldShape,
    ...(keys.has("region") && region ? { region } : {}),
    ...(keys.has("history") ? { history: facts.history } : {}),
    ...(keys.has("periodic") ? { periodic: facts.circle } : {}),
  });
}
