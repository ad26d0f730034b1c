// A checkpoint on a device, ready to predict: physical fields in, physical fields out.
import type { Gpu } from "../engine/device.ts";
import type { Random } from "../engine/random.ts";
import { done, free, read, scope, type Tensor, tensor } from "../engine/tensor.ts";
import type { Checkpoint, CheckpointInfo } from "../model/checkpoint.ts";
import { type Parameters, variableIds } from "../model/climax.ts";
import { type BoundNetwork, type NetworkConfig, networkOf } from "../model/network.ts";
import { cast } from "../ops/cast.ts";

/** B states to look ahead from. */
export interface StateBatch {
  /** Names of the fields, in order; a subset of the checkpoint's inputs. */
  readonly variables: readonly string[];
  /** [B, V, H, W], of a projection [B, T, V, H, W]; units of the checkpoint's variables, from south to north. */
  readonly fields: Float32Array;
  /** [B], hours. */
  readonly leadHours: readonly number[];
  /** Drops activations, as in training; without it nothing is dropped. */
  readonly random?: Random;
}

interface Scale {
  readonly mean: number;
  readonly std: number;
}

/** By variable. */
type Scales = ReadonlyMap<string, Scale>;

export class Predictor {
  readonly gpu: Gpu;
  readonly info: CheckpointInfo;
  readonly #network: BoundNetwork;
  readonly #parameters: Parameters;
  readonly #scales: Scales;
  readonly #targets: Scales;

  private constructor(gpu: Gpu, info: CheckpointInfo, parameters: Parameters) {
    this.gpu = gpu;
    this.info = info;
    this.#network = networkOf(info.model);
    this.#parameters = parameters;
    this.#scales = new Map(info.variables.map((variable) => [variable.name, variable]));
    this.#targets = new Map([...info.variables, ...(info.targets ?? [])].map((scale) => [scale.name, scale]));
  }

  /**
   * Copies a checkpoint's parameters to the device. Where products take f16 operands, the weights of linear layers are
   * kept in f16: half the memory, and the same numbers, which would be rounded at each use.
   */
  static async load(gpu: Gpu, checkpoint: Checkpoint): Promise<Predictor> {
    const { model } = checkpoint.info;
    const parameters = new Map<string, Tensor>();
    try {
      for (const [name, shape] of networkOf(model).shapes) {
        const values = await checkpoint.parameter(name);
        const half = gpu.precision === "f16" && isLinearWeight(model, name);
        const make = (): Tensor => (half ? cast(tensor(gpu, shape, values)) : tensor(gpu, shape, values));
        parameters.set(name, scope(gpu, make));
        await done(gpu); // else copies of the whole model wait on the host
      }
    } catch (error) {
      for (const parameter of parameters.values()) free(parameter);
      throw error;
    }
    return new Predictor(gpu, checkpoint.info, parameters);
  }

  /**
   * Forecasts directly, one pass of the network for each state and lead.
   *
   * @param outputs  names among the checkpoint's outputs
   * @returns        [B, outputs, H, W], in the units of the checkpoint's variables
   */
  async predict(
    { variables, fields, leadHours, random }: StateBatch,
    outputs: readonly string[],
  ): Promise<Float32Array> {
    const { gpu, info } = this;
    const { model } = info;
    const [H, W] = this.#network.fieldShape;
    const B = leadHours.length;
    const T = info.task.kind === "projection" ? [info.task.history] : [];
    const normalised = this.#scaled(
      fields,
      variables,
      this.#scales,
      ({ mean, std }, value) => (value - mean) / std,
    );
    const pred = scope(gpu, () =>
      this.#network.forward(
        this.#parameters,
        {
          x: tensor(gpu, [B, ...T, variables.length, H, W], normalised),
          variables: variableIds(model, variables),
          leadHours,
          outputs: variableIds(model, outputs),
        },
        random ? { random } : {},
      ),
    );
    const values = await read(pred);
    free(pred);
    return this.#scaled(values, outputs, this.#targets, ({ mean, std }, value) => mean + std * value);
  }

  /** Gives the parameters' memory back; nothing is predicted afterwards. */
  free(): void {
    for (const parameter of this.#parameters.values()) free(parameter);
  }

  /** Applies `change` to each field of [B, V, H, W], with the statistics of its variable. */
  #scaled(
    fields: Float32Array,
    names: readonly string[],
    scales: Scales,
    change: (scale: Scale, value: number) => number,
  ): Float32Array {
    const [H, W] = this.#network.fieldShape;
    const out = new Float32Array(fields.length);
    for (let start = 0, v = 0; start < fields.length; start += H * W, v = (v + 1) % names.length) {
      const scale = scales.get(names[v]!)!;
      for (let i = start; i < start + H * W; i++) out[i] = change(scale, fields[i]!);
    }
    return out;
  }
}

/** Whether only products read this parameter: the weights of blocks and head, but for the last, of which rows are picked. */
function isLinearWeight(model: NetworkConfig, name: string): boolean {
  if (model.type !== "climax" && model.type !== "vit" && model.type !== "projection") return false;
  if (/^blocks\.\d+\.(attn|mlp)\.\w+\.weight$/.test(name)) return true;
  return (
    "decoderDepth" in model &&
    /^head\.\d+\.weight$/.test(name) &&
    name !== `head.${2 * model.decoderDepth}.weight`
  );
}
