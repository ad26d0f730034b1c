// A model with its optimiser on a device: one micro-batch forward and backward, one step, one checkpoint.
import type { Batch } from "../data/samples.ts";
import { type Arena, keptZeros, type LentParameter, makeArena, makeLendingArena } from "../engine/arena.ts";
import { gradients } from "../engine/autograd.ts";
import type { Gpu } from "../engine/device.ts";
import type { Random } from "../engine/random.ts";
import { free, read, readAll, scope, size, type Tensor, tensor, write, writeAll } from "../engine/tensor.ts";
import { type Grid, latitudeWeights } from "../grid/grid.ts";
import type { Moments } from "../model/checkpoint.ts";
import { type ModelInput, variableIds } from "../model/climax.ts";
import { type BoundNetwork, isState, type NetworkConfig, networkOf } from "../model/network.ts";
import { decays } from "../model/parameters.ts";
import { type AdamwGroup, adamw, adamwInTurn, makeScaler } from "../ops/adamw.ts";
import { add, scale } from "../ops/elementwise.ts";
import { weightedMse } from "../ops/loss.ts";
import type { OptimiserSettings } from "./config.ts";

/** Reads one parameter, or one of its moments, by name. */
export type ReadParameter = (name: string) => Float32Array | Promise<Float32Array>;

export interface LearnerOptions {
  /** Those that any sample will have; what embeds the others is left alone, decay included. All by default. */
  readonly variables?: readonly string[];
  /** Samples that go through the model at once; a batch of more is split. All of a batch by default. */
  readonly microBatch?: number | undefined;
  /** Keep no activations of the blocks for their gradients. */
  readonly recompute?: boolean;
  /** Update each parameter as soon as its gradient is complete: `stepEarly` in place of `accumulate` and `step`. */
  readonly early?: boolean;
}

/** A segment of parameters with the optimiser's moments, laid out alike; gradients where they are kept. */
interface SegmentState extends Omit<AdamwGroup, "grad"> {
  readonly group: string;
  readonly grad?: Tensor;
}

export class Learner {
  readonly gpu: Gpu;
  readonly network: BoundNetwork;
  readonly microBatch: number;
  readonly early: boolean;
  readonly #recompute: boolean;
  /** The state of loss scaling, in f16. */
  readonly #scaler: Tensor | undefined;
  readonly #arena: Arena | ReturnType<typeof makeLendingArena>;
  readonly #groups: readonly SegmentState[];
  readonly #expAvg: ReadonlyMap<string, Tensor>;
  readonly #expAvgSq: ReadonlyMap<string, Tensor>;
  readonly #weights: Tensor;
  readonly #optimiser: OptimiserSettings;

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
    { variables = config.variables, microBatch, recompute = false, early = false }: LearnerOptions = {},
  ) {
    this.gpu = gpu;
    this.network = networkOf(config);
    this.microBatch = microBatch ?? Number.POSITIVE_INFINITY;
    this.#recompute = recompute;
    this.#scaler = gpu.precision === "f16" ? makeScaler(gpu) : undefined;
    this.#optimiser = optimiser;
    const used = this.network.usedParameters(variableIds(config, variables));
    const specs = [...this.network.shapes].map(([name, shape]) => ({
      name,
      shape,
      group: !used.has(name) || isState(name) ? "unused" : decays(name) ? "decayed" : "plain",
    }));
    this.early = early;
    this.#arena = early ? makeLendingArena(gpu, specs) : makeArena(gpu, specs);
    this.#groups = this.#arena.segments.map((segment) => ({
      ...segment,
      m: keptZeros(gpu, segment.value.shape),
      v: keptZeros(gpu, segment.value.shape),
      decay: segment.group === "decayed" ? optimiser.weightDecay : 0,
    }));
    this.#expAvg = this.#views(({ m }) => m);
    this.#expAvgSq = this.#views(({ v }) => v);
    this.#weights = tensor(gpu, [grid.lat.length], latitudeWeights(grid));
  }

  /** Every parameter's name. */
  get names(): Iterable<string> {
    return this.#arena.parameters.keys();
  }

  /** Sets parameters, and the optimiser's moments and the state of loss scaling when a run goes on. */
  async load(parameter: ReadParameter, moments?: Moments, scaler?: readonly number[]): Promise<void> {
    if (this.#scaler && scaler) write(this.#scaler, scaler);
    await writeAll(
      [...this.#arena.parameters].flatMap(([name, t]) => [
        [t, () => parameter(name)] as const,
        ...(moments ? [[this.#expAvg.get(name)!, () => moments.expAvg(name)] as const] : []),
        ...(moments ? [[this.#expAvgSq.get(name)!, () => moments.expAvgSq(name)] as const] : []),
      ]),
    );
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

  /** The state of loss scaling, to be saved; undefined in f32, which has none. */
  async scaler(): Promise<number[] | undefined> {
    return this.#scaler && [...(await read(this.#scaler))];
  }

  /**
   * Adds the gradient of one batch's loss to what is there, micro-batch by micro-batch.
   *
   * @param share   of the batch in its optimiser step: 1 / number of batches
   * @param random  names the draws of dropout and drop path; they do not depend on how the batch is split
   * @returns       the loss times `share`, [1]; the caller frees it
   */
  accumulate(batch: Batch, share: number, random: Random): Tensor {
    return scope(this.gpu, () => {
      let total: Tensor | undefined;
      for (const { part, first } of this.#parts(batch)) {
        const loss = this.#accumulatePart(part, (share * part.size) / batch.size, random.copy(first));
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
    const { gpu, network } = this;
    const recompute = this.#recompute;
    return scope(gpu, () => {
      const { input, y } = this.#upload(batch);
      const lossOf = (): Tensor => {
        const pred = network.forward(this.#arena.parameters, input, { random, recompute });
        const { loss } = weightedMse(pred, y, this.#weights);
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
    const waiting = new Map<Tensor, AdamwGroup>(this.#parameterGroups());
    return scope(this.gpu, () => {
      const turn = adamwInTurn(this.gpu, waiting.size, { rate: lr, beta1, beta2, eps, t });
      const update = (parameter: Tensor): void => {
        const group = waiting.get(parameter);
        if (group) turn.update(group);
        waiting.delete(parameter);
        (parameter as LentParameter).release();
      };
      const loss = this.#accumulatePart(batch, 1, random, update);
      for (const parameter of [...waiting.keys()]) update(parameter); // no part of this batch: decay, and a zero gradient
      return { loss, state: turn.finish() };
    });
  }

  /** Each parameter that is trained, with its moments, as whole vec4s. */
  *#parameterGroups(): Generator<[Tensor, AdamwGroup]> {
    const byStorage = new Map(this.#groups.map((segment) => [segment.value.storage, segment]));
    for (const parameter of this.#arena.parameters.values()) {
      const { storage, offset } = parameter;
      const { group, m, v, decay } = byStorage.get(storage)!;
      if (group === "unused") continue;
      const shape = [4 * Math.ceil(size(parameter.shape) / 4)];
      const part = (t: Tensor): Tensor => ({ gpu: this.gpu, shape, offset, storage: t.storage });
      yield [
        parameter,
        {
          ...{ value: part(parameter), m: part(m), v: part(v), decay },
          get grad() {
            return { ...parameter.grad!, shape };
          },
        },
      ];
    }
  }

  /**
   * One AdamW step with the gradients added up since the last, which are cleared.
   *
   * @param lr  the learning rate
   * @param t   number of this step, from 1
   * @returns   as `adamw` does; the caller frees it
   */
  step(lr: number, t: number): Tensor {
    const { beta1, beta2, eps, clip } = this.#optimiser;
    return scope(this.gpu, () => {
      const groups = this.#groups.flatMap(({ group, grad, ...rest }) =>
        group === "unused" ? [] : [{ ...rest, grad: grad! }],
      );
      const scaler = this.#scaler ? { scaler: this.#scaler } : {};
      return adamw(this.gpu, groups, { rate: lr, beta1, beta2, eps, clip, t, ...scaler, clear: true });
    });
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
    return [...this.#parts(batch)].map(({ part }) => {
      const kept = scope(this.gpu, () => {
        const { input, y } = this.#upload(part);
        const pred = this.network.forward(this.#arena.parameters, input);
        return weightedMse(pred, y, this.#weights);
      });
      return { ...kept, size: part.size };
    });
  }

  /** A batch in micro-batches, each with the number of its first sample. */
  *#parts(batch: Batch): Generator<{ part: Batch; first: number }> {
    const { size, x, y, leadHours, times } = batch;
    const most = Math.min(size, this.microBatch);
    for (let first = 0; first < size; first += most) {
      const end = Math.min(size, first + most);
      const of = (fields: Float32Array) =>
        fields.subarray((first * fields.length) / size, (end * fields.length) / size);
      const part = { ...batch, x: of(x), y: of(y), leadHours: of(leadHours), times: times.slice(first, end) };
      yield { part: { ...part, size: end - first }, first };
    }
  }

  #upload(batch: Batch): { input: ModelInput; y: Tensor } {
    const { gpu } = this;
    const { config } = this.network;
    const [H, W] = this.network.fieldShape;
    const input = {
      x: tensor(gpu, [batch.size, batch.variables.length, H, W], batch.x),
      variables: variableIds(config, batch.variables),
      leadHours: batch.leadHours,
      outputs: variableIds(config, batch.outputs),
    };
    return { input, y: tensor(gpu, [batch.size, batch.outputs.length, H, W], batch.y) };
  }

  /** The optimiser's state of each parameter, by the parameter's name. */
  #views(part: (group: SegmentState) => Tensor): Map<string, Tensor> {
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
