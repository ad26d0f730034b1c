// Small networks with random parameters, described as a checkpoint describes them, for tests of their export.
import { read, tensor } from "../../src/engine/tensor.ts";
import { CheckpointInfo } from "../../src/model/checkpoint.ts";
import { variableIds } from "../../src/model/climax.ts";
import { NetworkConfig, networkOf } from "../../src/model/network.ts";
import type { ModelSource } from "../../src/weights/source.ts";
import { gpu } from "./gpu.ts";
import { uniform } from "./gradcheck.ts";

export type TinyModel = Pick<ModelSource, "info" | "parameter">;

const names = [
  "land_sea_mask",
  "2m_temperature",
  "geopotential_500",
  "specific_humidity_850",
  "temperature_850",
];

/** The config of a small network; `type` climax unless given. */
export function tinyConfig(changes: Record<string, unknown> = {}): NetworkConfig {
  const sizes = { gridShape: [8, 12], patchSize: 2, embedDim: 24, heads: 3, depth: 2, variables: names };
  return NetworkConfig.parse({ ...sizes, ...changes });
}

/** Climate projection of three years of two forcings, likewise. */
export function tinyProjection(changes: Record<string, unknown> = {}): NetworkConfig {
  const lists = { variables: ["CO2", "SO2", "tas", "pr"], inputs: ["CO2", "SO2"], outputs: ["tas", "pr"] };
  return tinyConfig({ type: "projection", history: 3, ...lists, ...changes });
}

/**
 * A model whose every parameter is random, of the size that keeps activations near 1: fresh networks have queries of 0, to
 * which all variables are alike.
 */
export function tinyModel(config: NetworkConfig, changes: Partial<CheckpointInfo> = {}, seed = 1): TinyModel {
  const { shapes, fieldShape } = networkOf(config);
  const random = uniform(seed);
  const values = new Map(
    [...shapes].map(([name, shape]) => {
      const inputs = shape.length > 1 ? shape.slice(1).reduce((a, b) => a * b, 1) : 4;
      const scale = /^(var|time)_query$|embed$/.test(name) ? 0.5 : 1 / Math.sqrt(inputs);
      const about = /norm\d?\.weight$/.test(name) ? 1 : 0;
      return [
        name,
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => about + scale * random()),
      ];
    }),
  );
  const axis = (n: number, step: number) => Array.from({ length: n }, (_, i) => step * i);
  const fixed = "inputs" in config ? { inputs: config.inputs, outputs: config.outputs } : undefined;
  const info = CheckpointInfo.parse({
    format: "climax-checkpoint",
    version: 1,
    model: config,
    task:
      config.type === "projection" ? { kind: "projection", history: config.history } : { kind: "forecast" },
    variables: config.variables.map((name, i) => ({ name, units: "K", mean: 270 + 7 * i, std: 3 + i })),
    outputs: config.variables,
    grid: { lat: axis(fieldShape[0], 2), lon: axis(fieldShape[1], 3) },
    leads: { min: 6, max: 168, step: 6 },
    synthetic: true,
    provenance: { seed },
    ...fixed,
    ...changes,
  });
  return { info, parameter: async (name) => values.get(name)!.slice() };
}

/** Shape of the fields that a model reads: [B, V, h, w], of projection [B, T, V, h, w]. */
export function inputShape({ info }: TinyModel, B: number): number[] {
  const years = info.model.type === "projection" ? [info.model.history] : [];
  const V = (info.inputs ?? info.variables).length;
  return [B, ...years, V, ...networkOf(info.model).fieldShape];
}

/** Our own forward pass on the adapter of the tests, of normalised fields. [B, outputs, h, w] */
export async function ownForward(
  { info, parameter }: TinyModel,
  x: Float32Array,
  leadHours: readonly number[],
): Promise<Float32Array> {
  const network = networkOf(info.model);
  const parameters = new Map(
    await Promise.all(
      [...network.shapes].map(
        async ([name, shape]) => [name, tensor(gpu, shape, await parameter(name))] as const,
      ),
    ),
  );
  const inputs = info.inputs ?? info.variables.map(({ name }) => name);
  return await read(
    network.forward(parameters, {
      x: tensor(gpu, inputShape({ info, parameter }, leadHours.length), x),
      variables: variableIds(info.model, inputs),
      leadHours,
      outputs: variableIds(info.model, info.outputs),
    }),
  );
}

/** Norm of the difference over norm. */
export function relativeError(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (found.length !== wanted.length) return Number.POSITIVE_INFINITY;
  let [difference, norm] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    difference += (found[i]! - wanted[i]!) ** 2;
    norm += wanted[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}
