// A model with its optimiser on a device: one micro-batch forward and backward, one step, one checkpoint.
import type { Batch } from "../data/samples.ts";
import { type Arena, clearGradients, makeArena } from "../engine/arena.ts";
import { gradients } from "../engine/autograd.ts";
import type { Gpu } from "../engine/device.ts";
import type { Random } from "../engine/random.ts";
import { free, read, scope, type Tensor, tensor, write, zeros } from "../engine/tensor.ts";
import { type Grid, latitudeWeights } from "../grid/grid.ts";
import type { Moments } from "../model/checkpoint.ts";
import { forward, type ModelInput, variableIds } from "../model/climax.ts";
import type { ModelConfig } from "../model/config.ts";
import { decays, parameterShapes, usedParameters } from "../model/parameters.ts";
import { type AdamwGroup, adamw } from "../ops/adamw.ts";
import { scale } from "../ops/elementwise.ts";
import { weightedMse } from "../ops/loss.ts";
import type { OptimiserSettings } from "./config.ts";

/** Reads one parameter, or one of its moments, by name. */
export type ReadParameter = (name: string) => Float32Array | Promise<Float32Array>;

export class Learner {
  readonly gpu: Gpu;
  readonly config: ModelConfig;
  readonly #arena: Arena;
  readonly #groups: readonly (AdamwGroup & { readonly group: string })[];
  readonly #expAvg: ReadonlyMap<string, Tensor>;
  readonly #expAvgSq: ReadonlyMap<string, Tensor>;
  readonly #weights: Tensor;
  readonly #optimiser: OptimiserSettings;

  /**
   * Makes room on the device; `load` fills it.
   *
   * @param grid       of the samples; its latitudes weigh the loss
   * @param variables  those that any sample will have; what embeds the others is left alone, decay included
   */
  constructor(
    gpu: Gpu,
    config: ModelConfig,
    grid: Grid,
    optimiser: OptimiserSettings,
    variables: readonly string[] = config.variables,
  ) {
    this.gpu = gpu;
    this.config = config;
    this.#optimiser = optimiser;
    const used = usedParameters(config, variableIds(config, variables));
    const specs = [...parameterShapes(config)].map(([name, shape]) => ({
      name,
      shape,
      group: !used.has(name) ? "unused" : decays(name) ? "decayed" : "plain",
    }));
    this.#arena = makeArena(gpu, specs);
    this.#groups = this.#arena.segments.map(({ group, value, grad }) => ({
      group,
      value,
      grad,
      m: zeros(gpu, value.shape),
      v: zeros(gpu, value.shape),
      decay: group === "decayed" ? optimiser.weightDecay : 0,
    }));
    this.#expAvg = this.#views(({ m }) => m);
    this.#expAvgSq = this.#views(({ v }) => v);
    this.#weights = tensor(gpu, [grid.lat.length], latitudeWeights(grid));
  }

  /** Every parameter's name. */
  get names(): Iterable<string> {
    return this.#arena.parameters.keys();
  }

  /** Sets parameters, and the optimiser's moments when a run goes on. */
  async load(parameter: ReadParameter, moments?: Moments): Promise<void> {
    for (const [name, t] of this.#arena.parameters) {
      write(t, await parameter(name));
      if (!moments) continue;
      write(this.#expAvg.get(name)!, await moments.expAvg(name));
      write(this.#expAvgSq.get(name)!, await moments.expAvgSq(name));
    }
  }

  /** Copies one parameter from the device. */
  async parameter(name: string): Promise<Float32Array> {
    return await read(this.#arena.parameters.get(name)!);
  }

  /** Reads the optimiser's moments from the device. */
  get moments(): Moments {
    return {
      expAvg: (name) => read(this.#expAvg.get(name)!),
      expAvgSq: (name) => read(this.#expAvgSq.get(name)!),
    };
  }

  /**
   * Adds the gradient of one micro-batch's loss to what is there.
   *
   * @param share   of the micro-batch in its optimiser step: 1 / number of micro-batches
   * @param random  names the draws of dropout and drop path
   * @returns       the loss times `share`, [1]; the caller frees it
   */
  accumulate(batch: Batch, share: number, random: Random): Tensor {
    return scope(this.gpu, () => {
      const { input, y } = this.#upload(batch);
      return gradients(() => {
        const pred = forward(this.#arena.parameters, this.config, input, { random });
        const { loss } = weightedMse(pred, y, this.#weights);
        return share === 1 ? loss : scale(loss, share);
      }).y;
    });
  }

  /**
   * One AdamW step with the gradients added up since the last, which are cleared.
   *
   * @param lr  the learning rate
   * @param t   number of this step, from 1
   * @returns   [2]: gradient norm, and the factor it was clipped by (0: skipped as not finite); the caller frees it
   */
  step(lr: number, t: number): Tensor {
    const { beta1, beta2, eps, clip } = this.#optimiser;
    return scope(this.gpu, () => {
      const groups = this.#groups.filter(({ group }) => group !== "unused");
      const state = adamw(this.gpu, groups, { rate: lr, beta1, beta2, eps, clip, t });
      clearGradients(this.#arena);
      return state;
    });
  }

  /** The loss of one batch and of each of its variables, without dropout. */
  async evaluate(batch: Batch): Promise<{ loss: number; losses: Float32Array }> {
    const kept = scope(this.gpu, () => {
      const { input, y } = this.#upload(batch);
      const pred = forward(this.#arena.parameters, this.config, input);
      return weightedMse(pred, y, this.#weights);
    });
    const [loss, losses] = await Promise.all([read(kept.loss), read(kept.losses)]);
    free(kept.loss);
    free(kept.losses);
    return { loss: loss[0]!, losses };
  }

  #upload(batch: Batch): { input: ModelInput; y: Tensor } {
    const { gpu, config } = this;
    const [H, W] = config.gridShape;
    const input = {
      x: tensor(gpu, [batch.size, batch.variables.length, H, W], batch.x),
      variables: variableIds(config, batch.variables),
      leadHours: batch.leadHours,
      outputs: variableIds(config, batch.outputs),
    };
    return { input, y: tensor(gpu, [batch.size, batch.outputs.length, H, W], batch.y) };
  }

  /** The optimiser's state of each parameter, by the parameter's name. */
  #views(part: (group: AdamwGroup) => Tensor): Map<string, Tensor> {
    const { parameters, segments } = this.#arena;
    const byStorage = new Map(segments.map(({ value }, i) => [value.storage, part(this.#groups[i]!)]));
    return new Map(
      [...parameters].map(([name, { gpu, shape, storage, offset }]) => [
        name,
        { gpu, shape, offset, storage: byStorage.get(storage)!.storage },
      ]),
    );
  }
}
