// The checkpoints beside a reference case: imported as climax convert does, they must predict what the case says.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Gpu } from "../engine/device.ts";
import { free, read, scope, type Tensor, tensor } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";
import type { ForwardOptions, ModelInput } from "../model/climax.ts";
import { type NetworkConfig, networkOf } from "../model/network.ts";
import { canonicalNames } from "../weights/names.ts";
import { compareShapes, networkFrom } from "../weights/networkfrom.ts";
import { openWeights } from "../weights/openweights.ts";

/** A checkpoint of a case. */
export interface CheckpointResult {
  readonly file: string;
  /** Whose names it uses: those of the code, or the channel_... of the released files. */
  readonly names: "reference" | "older";
  /** Predictions with its weights: norm of the difference over norm. */
  readonly error: number;
}

/** What a case says that a checkpoint does not. */
export interface CheckpointCase {
  readonly folder: string;
  readonly name: string;
  readonly config: NetworkConfig;
  readonly input: ModelInput;
  readonly errorOf: (predictions: Float32Array) => number;
}

/**
 * Imports every `<case>.ckpt`, `<case>.<words>.ckpt` of the folder and predicts with it.
 *
 * @throws ClimaxError "checkpoint" for one that cannot be read, or is of another network
 */
export async function checkCheckpoints(
  gpu: Gpu,
  work: CheckpointCase,
  options: ForwardOptions,
): Promise<CheckpointResult[]> {
  const { folder, name } = work;
  const own = (file: string) =>
    file.startsWith(`${name}.`) && /^\.([^.]+\.)?(ckpt|pth?|safetensors)$/.test(file.slice(name.length));
  const results: CheckpointResult[] = [];
  for (const file of (await readdir(folder)).filter(own).sort()) {
    results.push({ file, ...(await checkCheckpoint(gpu, join(folder, file), work, options)) });
  }
  return results;
}

async function checkCheckpoint(
  gpu: Gpu,
  path: string,
  { config, input, errorOf }: CheckpointCase,
  options: ForwardOptions,
): Promise<Omit<CheckpointResult, "file">> {
  const source = await openWeights(path);
  try {
    const names = canonicalNames(source.tensors.keys(), path);
    const shapes = new Map(
      [...names.inFile].map(([name, stored]) => [name, source.tensors.get(stored)!.shape]),
    );
    const { config: seen } = networkFrom(shapes, toldBy(config), path);
    const { missing, extra, misshapen } = compareShapes(config, shapes);
    const wrong = [...missing, ...extra, ...misshapen.map(({ name }) => name)];
    if (seen.type !== config.type || wrong.length > 0) {
      throw new ClimaxError(
        "checkpoint",
        `${path} is a ${seen.type} network that differs from its case in ${wrong.join(", ") || "type"}`,
        "make the case again, or take the checkpoint out of the folder",
      );
    }
    const parameters = new Map<string, Tensor>();
    for (const [name, stored] of names.inFile) {
      parameters.set(name, tensor(gpu, shapes.get(name)!, await source.read(stored)));
    }
    const pred = scope(gpu, () => networkOf(config).forward(parameters, input, options));
    const error = errorOf(await read(pred));
    for (const t of [pred, ...parameters.values()]) free(t);
    return { names: names.older ? "older" : "reference", error };
  } finally {
    await source.close();
  }
}

/** The part of a config that shapes do not show. */
function toldBy(config: NetworkConfig) {
  const { variables, gridShape } = config;
  return {
    ...{ variables, gridShape },
    ...("heads" in config ? { heads: config.heads } : {}),
    ...("inputs" in config ? { inputs: config.inputs, outputs: config.outputs } : {}),
    ...("region" in config && config.region ? { region: config.region } : {}),
  };
}
