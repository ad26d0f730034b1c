// A model with its optimiser on a device: one micro-batch forward and backward, one step, one checkpoint.

import { isLent, keptZeros, type LentParameter } from "../engine/arena.ts";
import { gradients } from "../engine/autograd.ts";
import type { Gpu } from "../engine/device.ts";
import type { Random } from "../engine/random.ts";
import {
  clear,
  free,
  read,
  readAll,
  scope,
  size,
  type Tensor,
  tensor,
  write,
  writer,
} from "../engine/tensor.ts";
import { type Grid, latitudeWeights } from "../grid/grid.ts";
import type { Moments } from "../model/checkpoint.ts";
import type { Recompute } from "../model/climax.ts";
import { type BoundNetwork, isState, type NetworkConfig, networkOf } from "../model/network.ts";
import { type AdamwGroup, adamw, adamwInTurn, makeScaler } from "../ops/adamw.ts";
import { keepHalves } from "../ops/cast.ts";
import { add, approach, scale } from "../ops/elementwise.ts";
import type { Batch } from "../sets/samples.ts";
import { lossOfBatch, upload } from "./batchloss.ts";
import { bucketsOf } from "./buckets.ts";
import type { OptimiserSettings } from "./config.ts";
import { makeParameters, type ParameterRoom } from "./makeparameters.ts";
import { microBatches } from "./microbatches.ts";
import {
  groupOf,
  momentsOf,
  momentsOfShare,
  partsOf,
  readMoment,
  type Share,
  type StateGroup,
} from "./moments.ts";

/** Reads one parameter, or one of its moments, by name. */
export type ReadParameter = (name: string) => Float32Array | Promise<Float32Array>;

export interface LearnerOptions {
  /** Those that any sample will have; what embeds the others is left alone, decay included. All by default. */
  readonly variables?: readonly string[];
  /** Samples that go through the model at once; a batch of more is split. All of a batch by default. */
  readonly microBatch?: number | undefined;
  /** What of the blocks is not kept for their gradients. */
  readonly recompute?: Recompute;
  /** Names of parameters that keep their starting values. */
  readonly frozen?: ReadonlySet<string>;
  /** Decay of a running mean of the weights, which is what is validated and saved; none by default. */
  readonly average?: number | undefined;
  /** How much each output counts in the loss, relative to the others; 1 where nothing is said. */
  readonly shares?: Readonly<Record<string, number>> | undefined;
  /** Weigh the loss by cos(latitude), as ClimaX does but for climate projection; yes unless false. */
  readonly byLatitude?: boolean;
  /** Update each parameter as soon as its gradient is complete: `stepEarly` in place of `accumulate` and `step`. */
  readonly early?: boolean;
  /**
   * Which of so many ranks this one is: it keeps the moments of its share of the parameters alone, and `step` changes
   * only those.
   *
   * bucket: bytes of a full bucket, of each of which it has a share
   */
  readonly share?: { readonly rank: number; readonly size: number; readonly bucket?: number } | undefined;
}

export class Learner {
  readonly gpu: Gpu;
  readonly network: BoundNetwork;
  readonly microBatch: number;
  readonly early: boolean;
  /** What of the optimiser's state it keeps; undefined for all of it. */
  readonly share: Share | undefined;
  readonly #recompute: Recompute;
  /** The state of loss scaling, in f16. */
  readonly #scaler: Tensor | undefined;
  /** Those that are trained. */
  readonly #arena: ParameterRoom["arena"];
  /** Those that are not. */
  readonly #still: ReadonlyMap<string, Tensor>;
  /** All of them. */
  readonly #parameters: ReadonlyMap<string, Tensor>;
  /** All of them as they are validated and saved. */
  readonly #averages: ReadonlyMap<string, Tensor>;
  readonly #groups: readonly StateGroup[];
  /** Of whole segments, where they are kept. */
  readonly #gradients: readonly Tensor[];
  /** Values, and the running means of them. */
  readonly #means: readonly { readonly value: Tensor; readonly average: Tensor }[];
  readonly #weights: Tensor;
  readonly #shares: Readonly<Record<string, number>> | undefined;
  readonly #optimiser: OptimiserSettings;
  readonly #average: number | undefined;

  /**
   * Makes room on the device; `load` fills it.
   *
   * @param grid  of the samples; its latitudes weigh the loss
   */
  constructor(
    gpu: Gpu,
    config: NetworkConfig,
    grid: Grid,
    optimiser: OptimiserSettings,
    options: LearnerOptions = {},
  ) {
    const { variables = config.variables, frozen, byLatitude = true } = options;
    this.gpu = gpu;
    this.network = networkOf(config);
    this.microBatch = options.microBatch ?? Number.POSITIVE_INFINITY;
    this.#recompute = options.recompute ?? false;
    this.#scaler = gpu.precision === "f16" ? makeScaler(gpu) : undefined;
    this.#optimiser = optimiser;
    this.#average = options.average;
    this.#shares = options.shares;
    this.early = options.early ?? false;
    const { arena, still } = makeParameters(gpu, config, { variables, frozen, early: this.early });
    this.#arena = arena;
    this.#still = still;
    this.#parameters = new Map(
      [...this.network.shapes.keys()].map((name) => [name, arena.parameters.get(name) ?? still.get(name)!]),
    );
    const { segments } = this.#arena;
    const decaying = segments.map(({ group, ...segment }) => ({
      ...segment,
      decay: group === "decayed" ? optimiser.weightDecay : 0,
    }));
    this.#gradients = segments.flatMap((segment) => ("grad" in segment ? segment.grad : []));
    const { share } = options;
    this.share = share && { ...share, buckets: bucketsOf(this.trained, share.size, share.bucket) };
    this.#groups = this.share ? momentsOfShare(gpu, decaying, this.share) : momentsOf(gpu, decaying);
    this.#means = segments.flatMap(({ value }) =>
      this.#average === undefined ? [] : [{ value, average: keptZeros(gpu, value.shape) }],
    );
    const meanOf = new Map(this.#means.map(({ value, average }) => [value.storage, average.storage]));
    this.#averages = new Map(
      [...this.#parameters].map(([name, { shape, storage, offset }]) => [
        name,
        { gpu, shape, offset, storage: meanOf.get(storage) ?? storage },
      ]),
    );
    const weights = byLatitude ? latitudeWeights(grid) : new Float64Array(grid.lat.length).fill(1);
    this.#weights = tensor(gpu, [grid.lat.length], weights);
  }

  /** What is particular to how this learns, for a run that goes on: it must be the same. */
  get kind(): { frozen: number; shares: Readonly<Record<string, number>> | null } {
    return { frozen: this.#still.size, shares: this.#shares ?? null };
  }

  /** Bytes of the optimiser's moments: those kept here, and of all that is trained. */
  get optimiserBytes(): { readonly own: number; readonly all: number } {
    const twice = (groups: readonly { readonly value: Tensor }[]): number =>
      groups.reduce((sum, { value }) => sum + 2 * 4 * size(value.shape), 0);
    return { own: twice(this.#groups), all: twice(this.#arena.segments) };
  }

  /** Whether this parameter is trained. */
  trains(name: string): boolean {
    return this.#arena.parameters.has(name);
  }

  /** Every parameter's name. */
  get names(): Iterable<string> {
    return this.#parameters.keys();
  }

  /** What is trained, with gradients, in the order in which a forward pass comes to it. */
  get trained(): Tensor[] {
    return [...this.network.shapes.keys()].flatMap((name) => this.#arena.parameters.get(name) ?? []);
  }

  /** What the forward pass itself keeps up: the running moments of batch normalisations. */
  get states(): Tensor[] {
    return [...this.#still].flatMap(([name, t]) => (isState(name) ? [t] : []));
  }

  /**
   * Sets parameters, and what else a run needs to go on.
   *
   * @param average  the running means of the weights; those start at the parameters without
   */
  async load(
    parameter: ReadParameter,
    moments?: Moments,
    { scaler, average = parameter }: { scaler?: readonly number[] | undefined; average?: ReadParameter } = {},
  ): Promise<void> {
    if (this.#scaler && scaler) write(this.#scaler, scaler);
    const put = writer(this.gpu);
    for (const [name, t] of this.#parameters) await put(t, await parameter(name));
    for (const t of this.#parameters.values()) keepHalves(t);
    for (const [name, t] of this.#arena.parameters) {
      if (this.#average !== undefined) await put(this.#averages.get(name)!, await average(name));
      if (!moments) continue;
      const parts = partsOf(this.#groups, t);
      const of = (values: Float32Array, from: number, part: Tensor) =>
        values.subarray(from, from + size(part.shape));
      const expAvg = await moments.expAvg(name);
      for (const { from, m } of parts) await put(m, of(expAvg, from, m));
      const expAvgSq = await moments.expAvgSq(name);
      for (const { from, v } of parts) await put(v, of(expAvgSq, from, v));
    }
  }

  /** Copies one parameter from the device, as it is trained. */
  async parameter(name: string): Promise<Float32Array> {
    return await read(this.#parameters.get(name)!);
  }

  /** The running mean of one parameter, which is what is saved to be used; the parameter itself where there is none. */
  async averaged(name: string): Promise<Float32Array> {
    return await read(this.#averages.get(name)!);
  }

  /** Whether running means of the weights are kept. */
  get averages(): boolean {
    return this.#average !== undefined;
  }

  /** Reads the optimiser's moments from the device; zeros of what is not trained, or in the share of another rank. */
  get moments(): Moments {
    const readOf = (which: "m" | "v") => (name: string) => {
      const parameter = this.#arena.parameters.get(name);
      if (parameter) return readMoment(this.#groups, parameter, which);
      return new Float32Array(size(this.network.shapes.get(name)!));
    };
    return { expAvg: readOf("m"), expAvgSq: readOf("v") };
  }

  /** The state of loss scaling, to be saved; undefined in f32, which has none. */
  async scaler(): Promise<number[] | undefined> {
    return this.#scaler && [...(await read(this.#scaler))];
  }

  /**
   * Adds the gradient of one batch's loss to what is there, micro-batch by micro-batch.
   *
   * @param share     of the batch in its optimiser step: 1 / number of batches
   * @param random    names the draws of dropout and drop path; they do not depend on how the batch is split
   * @param complete  is told each parameter that took part, once this batch adds nothing more to its gradient
   * @returns         the loss times `share`, [1]; the caller frees it
   */
  accumulate(batch: Batch, share: number, random: Random, complete?: (parameter: Tensor) => void): Tensor {
    return scope(this.gpu, () => {
      let total: Tensor | undefined;
      for (const { part, first } of microBatches(batch, this.microBatch)) {
        const last = first + part.size === batch.size;
        const weight = (share * part.size) / batch.size;
        const loss = this.#accumulatePart(part, weight, random.copy(first), last ? complete : undefined);
        total = total ? add(total, loss) : loss;
      }
      return total!;
    });
  }

  #accumulatePart(
    batch: Batch,
    share: number,
    random: Random,
    complete?: (parameter: Tensor) => void,
  ): Tensor {
    return scope(this.gpu, () => {
      const uploaded = upload(this.gpu, this.network, batch, this.#shares);
      const options = { random, recompute: this.#recompute };
      const lossOf = (): Tensor => {
        const { loss } = lossOfBatch(this.network, this.#parameters, uploaded, this.#weights, options);
        return share === 1 ? loss : scale(loss, share);
      };
      // dL/dL is the scale: it reaches every gradient, and the loss stays what it is.
      return gradients(lossOf, [], this.#scaler && { ...this.#scaler, shape: [1] }, complete).y;
    });
  }

  /**
   * One batch, as one micro-batch, and the AdamW step of its gradient, of which only a part exists at any time.
   *
   * @param lr  the learning rate
   * @param t   number of this step, from 1
   * @returns   the loss, [1], and what `step` returns; the caller frees both
   */
  stepEarly(batch: Batch, random: Random, lr: number, t: number): { loss: Tensor; state: Tensor } {
    const { beta1, beta2, eps } = this.#optimiser;
    const waiting = new Map<LentParameter, AdamwGroup>(
      [...this.#arena.parameters.values()].flatMap((parameter) =>
        isLent(parameter) ? [[parameter, groupOf(this.#groups, parameter)]] : [],
      ),
    );
    return scope(this.gpu, () => {
      const scaler = this.#scaler ? { scaler: this.#scaler } : {};
      const settings = { rate: lr, beta1, beta2, eps, t, ...scaler, clear: true };
      const turn = adamwInTurn(this.gpu, waiting.size, kept(this.#groups), settings);
      const update = (parameter: Tensor): void => {
        const group = isLent(parameter) && waiting.get(parameter);
        if (!group) return;
        waiting.delete(parameter);
        turn.update(group);
        parameter.release();
      };
      const loss = this.#accumulatePart(batch, 1, random, update);
      for (const parameter of [...waiting.keys()]) update(parameter); // no part of this batch: decay, and a zero gradient
      this.follow(t);
      return { loss, state: turn.finish() };
    });
  }

  /**
   * One AdamW step with the gradients added up since the last, which are cleared. Of a rank's share it changes those
   * parameters alone: once those of all ranks are together again, `follow` ends the step.
   *
   * @param lr       the learning rate
   * @param t        number of this step, from 1
   * @param squares  of a rank's share: the sum of the squares of all gradients
   * @returns        as `adamw` does; the caller frees it
   */
  step(lr: number, t: number, squares?: number): Tensor {
    const { beta1, beta2, eps, clip } = this.#optimiser;
    const whole = this.share === undefined;
    return scope(this.gpu, () => {
      const scaler = this.#scaler ? { scaler: this.#scaler } : {};
      const settings = { rate: lr, beta1, beta2, eps, clip, t, ...scaler, clear: whole, squares };
      const state = adamw(this.gpu, kept(this.#groups), settings);
      if (whole) this.follow(t);
      else for (const grad of this.#gradients) clear(grad);
      return state;
    });
  }

  /** Lets running means follow the weights; in the first steps faster, so that they forget where those began. */
  follow(t: number): void {
    // AdamW keeps up the halves of what it changes; the rest of the parameters came from other ranks.
    if (this.share) for (const { value } of this.#arena.segments) keepHalves(value);
    if (this.#average === undefined) return;
    const decay = Math.min(this.#average, (1 + t) / (10 + t));
    for (const { average, value } of this.#means) approach(average, value, 1 - decay);
  }

  /** The loss of one batch and of each of its variables, without dropout. */
  async evaluate(batch: Batch): Promise<{ loss: number; losses: Float32Array }> {
    const scores = this.score(batch);
    const pending = readAll(scores.flatMap(({ loss, losses }) => [loss, losses]));
    for (const { loss, losses } of scores) for (const t of [loss, losses]) free(t);
    const values = await pending;
    const mean = { loss: 0, losses: new Float32Array(batch.outputs.length) };
    for (const [i, { size }] of scores.entries()) {
      mean.loss += (values[2 * i]![0]! * size) / batch.size;
      for (const [v, loss] of values[2 * i + 1]!.entries()) mean.losses[v]! += (loss * size) / batch.size;
    }
    return mean;
  }

  /** The losses of each micro-batch and how many samples it has; the caller frees them. */
  score(batch: Batch): { loss: Tensor; losses: Tensor; size: number }[] {
    return [...microBatches(batch, this.microBatch)].map(({ part }) => {
      const kept = scope(this.gpu, () => {
        const uploaded = upload(this.gpu, this.network, part, this.#shares);
        return lossOfBatch(this.network, this.#averages, uploaded, this.#weights);
      });
      return { ...kept, size: part.size };
    });
  }
}

/** Those groups whose gradients are kept. */
function kept(groups: readonly StateGroup[]): AdamwGroup[] {
  return groups.flatMap(({ grad, ...rest }) => (grad ? [{ ...rest, grad }] : []));
}
