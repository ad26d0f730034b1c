// A model with its optimiser on a device: one micro-batch forward and backward, one step, one checkpoint.

import {
  type Arena,
  keptZeros,
  type LentParameter,
  makeArena,
  makeLendingArena,
  makeStillArena,
} from "../engine/arena.ts";
import { gradients } from "../engine/autograd.ts";
import type { Gpu } from "../engine/device.ts";
import type { Random } from "../engine/random.ts";
import { free, read, readAll, scope, size, type Tensor, tensor, write, writeAll } from "../engine/tensor.ts";
import { type Grid, latitudeWeights } from "../grid/grid.ts";
import type { Moments } from "../model/checkpoint.ts";
import { variableIds } from "../model/climax.ts";
import { type BoundNetwork, isState, type NetworkConfig, networkOf } from "../model/network.ts";
import { decays } from "../model/parameters.ts";
import { type AdamwGroup, adamw, adamwInTurn, makeScaler } from "../ops/adamw.ts";
import { add, approach, scale } from "../ops/elementwise.ts";
import type { Batch } from "../sets/samples.ts";
import { lossOfBatch, upload } from "./batchloss.ts";
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
}

/** A segment of parameters with the optimiser's moments, laid out alike; gradients and running means where kept. */
interface SegmentState extends Omit<AdamwGroup, "grad"> {
  readonly grad?: Tensor;
  readonly average?: Tensor;
}

export class Learner {
  readonly gpu: Gpu;
  readonly network: BoundNetwork;
  readonly microBatch: number;
  readonly early: boolean;
  readonly #recompute: boolean;
  /** The state of loss scaling, in f16. */
  readonly #scaler: Tensor | undefined;
  /** Those that are trained. */
  readonly #arena: Arena | ReturnType<typeof makeLendingArena>;
  /** Those that are not: frozen, of variables that never enter, or kept up by the forward pass itself. */
  readonly #still: ReadonlyMap<string, Tensor>;
  /** All of them. */
  readonly #parameters: ReadonlyMap<string, Tensor>;
  /** All of them as they are validated and saved. */
  readonly #averages: ReadonlyMap<string, Tensor>;
  readonly #groups: readonly SegmentState[];
  readonly #expAvg: ReadonlyMap<string, Tensor>;
  readonly #expAvgSq: ReadonlyMap<string, Tensor>;
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
    const used = this.network.usedParameters(variableIds(config, variables));
    const trained = (name: string): boolean => used.has(name) && !isState(name) && !frozen?.has(name);
    const specs = [...this.network.shapes].map(([name, shape]) => ({
      name,
      shape,
      group: !trained(name) ? "still" : decays(name) ? "decayed" : "plain",
    }));
    const moving = specs.filter(({ group }) => group !== "still");
    this.early = options.early ?? false;
    this.#arena = this.early ? makeLendingArena(gpu, moving) : makeArena(gpu, moving);
    this.#still = makeStillArena(
      gpu,
      specs.filter(({ group }) => group === "still"),
    ).parameters;
    this.#parameters = new Map(
      specs.map(({ name }) => [name, this.#arena.parameters.get(name) ?? this.#still.get(name)!]),
    );
    this.#groups = this.#arena.segments.map(({ group, ...segment }) => ({
      ...segment,
      m: keptZeros(gpu, segment.value.shape),
      v: keptZeros(gpu, segment.value.shape),
      decay: group === "decayed" ? optimiser.weightDecay : 0,
      ...(this.#average === undefined ? {} : { average: keptZeros(gpu, segment.value.shape) }),
    }));
    this.#expAvg = this.#views(({ m }) => m);
    this.#expAvgSq = this.#views(({ v }) => v);
    this.#averages = new Map([...this.#parameters, ...this.#views(({ value, average }) => average ?? value)]);
    const weights = byLatitude ? latitudeWeights(grid) : new Float64Array(grid.lat.length).fill(1);
    this.#weights = tensor(gpu, [grid.lat.length], weights);
  }

  /** What is particular to how this learns, for a run that goes on: it must be the same. */
  get kind(): { frozen: number; shares: Readonly<Record<string, number>> | null } {
    return { frozen: this.#still.size, shares: this.#shares ?? null };
  }

  /** Bytes of the optimiser's moments. */
  get optimiserBytes(): number {
    return this.#groups.reduce((sum, { m, v }) => sum + 4 * (size(m.shape) + size(v.shape)), 0);
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
    const moving = [...this.#arena.parameters.keys()];
    await writeAll([
      ...[...this.#parameters].map(([name, t]) => [t, () => parameter(name)] as const),
      ...moving.flatMap((name) => [
        ...(this.#average === undefined ? [] : [[this.#averages.get(name)!, () => average(name)] as const]),
        ...(moments ? [[this.#expAvg.get(name)!, () => moments.expAvg(name)] as const] : []),
        ...(moments ? [[this.#expAvgSq.get(name)!, () => moments.expAvgSq(name)] as const] : []),
      ]),
    ]);
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

  /** Reads the optimiser's moments from the device; zeros of what is not trained. */
  get moments(): Moments {
    const readMoment = (views: ReadonlyMap<string, Tensor>, name: string) => {
      const view = views.get(name);
      return view ? read(view) : new Float32Array(size(this.network.shapes.get(name)!));
    };
    return {
      expAvg: (name) => readMoment(this.#expAvg, name),
      expAvgSq: (name) => readMoment(this.#expAvgSq, name),
    };
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
      for (const { part, first } of this.#parts(batch)) {
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
      this.#follow(t);
      return { loss, state: turn.finish() };
    });
  }

  /** Each parameter that is trained, with its moments, as whole vec4s. */
  *#parameterGroups(): Generator<[Tensor, AdamwGroup]> {
    const byStorage = new Map(this.#groups.map((segment) => [segment.value.storage, segment]));
    for (const parameter of this.#arena.parameters.values()) {
      const { storage, offset } = parameter;
      const { m, v, decay } = byStorage.get(storage)!;
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
      const groups = this.#groups.map(({ grad, ...rest }) => ({ ...rest, grad: grad! }));
      const scaler = this.#scaler ? { scaler: this.#scaler } : {};
      const settings = { rate: lr, beta1, beta2, eps, clip, t, ...scaler, clear: true };
      const state = adamw(this.gpu, groups, settings);
      this.#follow(t);
      return state;
    });
  }

  /** Lets the running means follow the weights; in the first steps faster, so that they forget where those began. */
  #follow(t: number): void {
    if (this.#average === undefined) return;
    const decay = Math.min(this.#average, (1 + t) / (10 + t));
    for (const { average, value } of this.#groups) approach(average!, value, 1 - decay);
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
        const uploaded = upload(this.gpu, this.network, part, this.#shares);
        return lossOfBatch(this.network, this.#averages, uploaded, this.#weights);
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
      const later = batch.later ? { later: batch.later.map(of) } : {};
      yield { part: { ...part, ...later, size: end - first }, first };
    }
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
