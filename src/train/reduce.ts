// Gradients added up over the ranks of a run, bucket by bucket, while the backward pass of the rest still runs; and where
// each rank makes the step of its share alone, the new values handed out the same way.
import type { Gpu } from "../engine/device.ts";
import { type Span, Staging } from "../engine/staging.ts";
import type { Tensor } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";
import { BLOCK, decode, encode, wireWords } from "../ops/wire.ts";
import { LARGEST_SHARED, type World } from "../parallel/world.ts";
import { type Bucket, bucketsOf, shareOf } from "./buckets.ts";
import { allreduceHalves, sumHalves } from "./halfsum.ts";
import type { Learner } from "./learner.ts";
import { sumOfSquares } from "./squares.ts";

/** How the gradients of all ranks become one. */
export interface Exchange {
  /** Each rank gets the sums of its share of every bucket alone, and hands out the values that it makes of them. */
  readonly shares: boolean;
  /** Gradients on the wire. */
  readonly wire: "f32" | "f16";
}

interface Lane {
  readonly staging: Staging;
  /** How many gradients there are, and how many of them this step has still to complete. */
  readonly parameters: number;
  left: number;
  /** All, and this rank's. */
  readonly gradients: readonly Span[];
  readonly values: readonly Span[];
  readonly ownGradients: readonly Span[];
  readonly ownValues: readonly Span[];
  /** Numbers up to the end of the last span, and with what makes shares equal. */
  readonly filled: number;
  readonly numbers: number;
}

/** The sum over ranks of the gradients of one model, step after step. */
export class GradientSum {
  /** How many exchanges a step takes for its gradients. */
  readonly messages: number;
  /** In the host's memory. */
  readonly bytes: number;
  readonly #gpu: Gpu;
  readonly #world: World;
  readonly #shares: boolean;
  /** One bucket at a time in the form of the wire: on the device, and as other ranks sent it. f16 only. */
  readonly #words: { readonly own: Tensor; readonly others: Uint32Array } | undefined;
  readonly #lanes: readonly Lane[];
  readonly #laneOf = new Map<Tensor, Lane>();
  /** The next to be sent: they go in one order on all ranks, whatever a rank's batch holds. */
  #next = 0;
  #sums: Promise<void>[] = [];
  /** When the next exchange may begin. */
  #turn: Promise<void> = Promise.resolve();
  #fetchedAt = 0;
  /** Of this rank's sums. */
  #squares = 0;

  /**
   * @param buckets  of all parameters, laid out for as many shares as there are ranks
   * @throws ClimaxError "config" for a parameter whose shares are too large to be exchanged
   */
  constructor(gpu: Gpu, world: World, buckets: readonly Bucket[], { shares, wire }: Exchange) {
    this.#gpu = gpu;
    this.#world = world;
    this.#shares = shares;
    const half = wire === "f16";
    if (shares || half) refuseLargest(buckets, { shares, wire });
    this.#lanes = buckets.map((bucket) => {
      const { parameters, pieces, filled, bytes } = bucket;
      const own = shares ? shareOf(bucket, world.rank, world.size) : pieces;
      const whole = half ? 4 * wireWords(bytes / 4) : filled;
      const lane: Lane = {
        staging: new Staging(gpu, shares ? bytes : whole),
        ...{ parameters: parameters.length, left: parameters.length },
        ...{ gradients: pieces.map(({ grad }) => grad), ownGradients: own.map(({ grad }) => grad) },
        ...{ values: pieces.map(({ value }) => value), ownValues: own.map(({ value }) => value) },
        ...{ filled: filled / 4, numbers: bytes / 4 },
      };
      for (const parameter of parameters) this.#laneOf.set(parameter, lane);
      return lane;
    });
    const most = wireWords(Math.max(0, ...this.#lanes.map(({ numbers }) => numbers)));
    this.#words = half ? wordsOn(gpu, most) : undefined;
    this.messages = this.#lanes.length;
    this.bytes = this.#lanes.reduce((sum, { staging }) => sum + staging.bytes, half ? 4 * most : 0);
  }

  /** For the last backward pass of a step: nothing more will be added to this parameter's gradient on this rank. */
  readonly complete = (parameter: Tensor): void => {
    this.#laneOf.get(parameter)!.left--;
    while (this.#lanes[this.#next]?.left === 0) this.#send(this.#lanes[this.#next++]!);
  };

  /**
   * Sends what is left, parameters that had no part in the last backward pass included, and waits for all sums: then
   * the gradients on the device are those of all ranks, or this rank's share of them is.
   *
   * @returns  the seconds that this took once the device had computed its own gradients; where shares are made, the sum
   *   of the squares of all gradients
   */
  async finish(): Promise<{ seconds: number; squares: number | undefined }> {
    while (this.#next < this.#lanes.length) this.#send(this.#lanes[this.#next++]!);
    await this.#all();
    this.#next = 0;
    for (const lane of this.#lanes) lane.left = lane.parameters;
    if (!this.#shares) return { seconds: this.#seconds(), squares: undefined };
    const squares = Float64Array.of(this.#squares);
    this.#squares = 0;
    await this.#world.sum(squares);
    return { seconds: this.#seconds(), squares: squares[0]! };
  }

  /**
   * Hands out the values of this rank's share as they are at this point of the recorded commands, and takes those of
   * the others: then the parameters are whole again, the same in every bit on all ranks.
   *
   * @returns  the seconds that this took once the device had made its share
   */
  async handOut(): Promise<number> {
    for (const { staging, ownValues, values } of this.#lanes) {
      this.#carry(staging.fetch(ownValues), async (fetched) => {
        await this.#world.allgather(fetched);
        staging.putBack(values);
      });
    }
    await this.#all();
    return this.#seconds();
  }

  /** Gives the host's memory back, between steps: during one a library may still write to it. */
  close(): void {
    for (const { staging } of this.#lanes) staging.destroy();
  }

  #send(lane: Lane): void {
    if (this.#words) this.#sendHalves(lane, this.#words.own, this.#words.others);
    else this.#sendFloats(lane);
  }

  #sendFloats({ staging, gradients, ownGradients, filled }: Lane): void {
    this.#carry(staging.fetch(gradients), async (values) => {
      if (this.#shares) {
        await this.#world.reduceScatter(values);
        this.#square(values, ownGradients);
      } else await this.#world.sum(values.subarray(0, filled));
      staging.putBack(ownGradients);
    });
  }

  #sendHalves({ staging, gradients, ownGradients, numbers }: Lane, words: Tensor, others: Uint32Array): void {
    const count = wireWords(numbers);
    const span: Span = { storage: words.storage, offset: 0, bytes: 4 * count, at: 0 };
    // What makes shares equal travels as another bucket left it: nothing reads its sums.
    for (const [x, block] of this.#blocks(gradients)) encode(x, words, block);
    const exchange = async (values: Float32Array): Promise<void> => {
      const own = new Uint32Array(values.buffer, 0, count);
      const room = others.subarray(0, count);
      if (this.#shares) {
        const sums = await sumHalves(this.#world, own, room);
        values.set(sums, this.#world.rank * sums.length);
        this.#square(values, ownGradients);
        staging.putBack(ownGradients);
        return;
      }
      await allreduceHalves(this.#world, own, room);
      staging.putBack([span]);
      for (const [x, block] of this.#blocks(gradients)) decode(words, x, block);
    };
    this.#carry(staging.fetch([span]), exchange, true);
  }

  /** Gradients with the block of the wire that each begins with. */
  #blocks(spans: readonly Span[]): [Tensor, number][] {
    return spans.map(({ storage, offset, bytes, at }) => [
      { gpu: this.#gpu, shape: [bytes / 4], storage, offset },
      at / (4 * BLOCK),
    ]);
  }

  #square(values: Float32Array, spans: readonly Span[]): void {
    for (const { at, bytes } of spans)
      this.#squares += sumOfSquares(values.subarray(at / 4, (at + bytes) / 4));
  }

  /**
   * Exchanges what is fetched, after what was to be fetched before.
   *
   * @param several  it takes several messages: must be over, lest on another rank those of the next come in between
   */
  #carry(
    fetched: Promise<Float32Array>,
    exchange: (values: Float32Array) => Promise<void>,
    several = false,
  ): void {
    const there = fetched.then((values) => {
      this.#fetchedAt = performance.now();
      return values;
    });
    const begun = this.#turn.then(() => there);
    const over = begun.then(exchange);
    this.#turn = several ? over : begun.then(() => undefined);
    for (const promise of [there, this.#turn, over]) promise.catch(() => undefined); // thrown by `#all`
    this.#sums.push(over);
  }

  async #all(): Promise<void> {
    await Promise.all(this.#sums);
    this.#sums = [];
  }

  #seconds(): number {
    return (performance.now() - this.#fetchedAt) / 1000;
  }
}

function refuseLargest(buckets: readonly Bucket[], { shares, wire }: Exchange): void {
  const sent = (bytes: number): number => (wire === "f16" && !shares ? 4 * wireWords(bytes / 4) : bytes);
  const most = Math.max(0, ...buckets.map(({ bytes }) => sent(bytes)));
  if (most <= LARGEST_SHARED) return;
  const flags = [...(shares ? ["--shard-optimiser"] : []), ...(wire === "f16" ? ["--allreduce f16"] : [])];
  throw new ClimaxError(
    "config",
    `a parameter takes ${Math.ceil(most / 2 ** 20)} MiB on its way between ranks, and of arrays whose shares they exchange ${LARGEST_SHARED / 2 ** 20} MiB is the most`,
    `leave out ${flags.join(" and ")}, or take larger patches (--model.patch-size) or a narrower model (--model.embed-dim)`,
  );
}

/** Room for one bucket. */
function wordsOn(gpu: Gpu, count: number) {
  const storage = gpu.pool.keep(16 * Math.ceil(count / 4));
  return { own: { gpu, shape: [count], storage, offset: 0 }, others: new Uint32Array(count) };
}

/** What adds up the gradients of a learner, in the layout of its share where it has one. */
export function gradientSumOf(
  { gpu, share, trained }: Learner,
  world: World,
  exchange: Exchange,
): GradientSum {
  return new GradientSum(gpu, world, share?.buckets ?? bucketsOf(trained, world.size), exchange);
}
