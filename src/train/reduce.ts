// Gradients added up over the ranks of a run, bucket by bucket, while the backward pass of the rest still runs.
import type { Gpu } from "../engine/device.ts";
import { type Span, Staging } from "../engine/staging.ts";
import { size, type Tensor } from "../engine/tensor.ts";
import type { World } from "../parallel/world.ts";

/**
 * Bytes of a bucket that is full; one parameter may be larger. Below 4 MB the cost of a message itself shows, a few
 * tenths of a millisecond for mapping and waking; beyond 25 MB the last bucket, behind which no computation hides, is a
 * large part of the whole.
 */
const BUCKET_BYTES = 8 * 2 ** 20;

interface Bucket {
  readonly staging: Staging;
  readonly parameters: number;
  /** Gradients that this step has still to complete. */
  left: number;
}

/** The sum over ranks of the gradients of one model, step after step. */
export class GradientSum {
  /** How many messages a step takes. */
  readonly messages: number;
  /** Of all gradients: what a rank sends in a step, and keeps in the host's memory. */
  readonly bytes: number;
  readonly #world: World;
  readonly #buckets: readonly Bucket[];
  readonly #bucketOf = new Map<Tensor, Bucket>();
  /** The next to be sent: they go in one order on all ranks, whatever a rank's batch holds. */
  #next = 0;
  #sums: Promise<void>[] = [];
  /** When the sum before has been begun. */
  #turn: Promise<void> = Promise.resolve();
  #fetchedAt = 0;

  /**
   * @param parameters  in the order in which a forward pass uses them: the backward pass completes them from the last
   * @param bucket      bytes of a full bucket
   */
  constructor(gpu: Gpu, world: World, parameters: readonly Tensor[], bucket = BUCKET_BYTES) {
    this.#world = world;
    this.#buckets = bucketsOf(parameters.toReversed(), bucket).map((members) => {
      const made = { staging: new Staging(gpu, spansOf(members)), parameters: members.length };
      const one: Bucket = { ...made, left: members.length };
      for (const parameter of members) this.#bucketOf.set(parameter, one);
      return one;
    });
    this.messages = this.#buckets.length;
    this.bytes = this.#buckets.reduce((sum, { staging }) => sum + staging.bytes, 0);
  }

  /** For the last backward pass of a step: nothing more will be added to this parameter's gradient on this rank. */
  readonly complete = (parameter: Tensor): void => {
    this.#bucketOf.get(parameter)!.left--;
    while (this.#buckets[this.#next]?.left === 0) this.#send();
  };

  /**
   * Sends what is left, parameters that had no part in the last backward pass included, and waits for all sums: then
   * the gradients on the device are those of all ranks.
   *
   * @returns  seconds that this took once the device had computed its own gradients
   */
  async finish(): Promise<number> {
    while (this.#next < this.#buckets.length) this.#send();
    await Promise.all(this.#sums);
    this.#sums = [];
    this.#next = 0;
    for (const one of this.#buckets) one.left = one.parameters;
    return (performance.now() - this.#fetchedAt) / 1000;
  }

  /** Gives the host's memory back, between steps: during one a library may still write to it. */
  close(): void {
    for (const { staging } of this.#buckets) staging.destroy();
  }

  #send(): void {
    const { staging } = this.#buckets[this.#next++]!;
    const fetched = staging.fetch();
    const begun = this.#turn.then(() => fetched);
    const summed = begun.then(async (values) => {
      this.#fetchedAt = performance.now();
      await this.#world.sum(values);
      staging.putBack();
    });
    this.#turn = begun.then(() => undefined);
    for (const promise of [this.#turn, summed]) promise.catch(() => undefined); // thrown by finish
    this.#sums.push(summed);
  }
}

/** Neighbours in groups of at least so many bytes, but for the last. */
function bucketsOf(parameters: readonly Tensor[], bucket: number): Tensor[][] {
  const buckets: Tensor[][] = [];
  let room = 0;
  for (const parameter of parameters) {
    if (room <= 0) {
      buckets.push([]);
      room = bucket;
    }
    buckets.at(-1)!.push(parameter);
    room -= 4 * size(parameter.shape);
  }
  return buckets;
}

/** WebGPU's largest alignment of a binding: what lies between two gradients of one arena is less, and zero. */
const ALIGNMENT = 256;

/** Where their gradients lie; those side by side in one piece, so that a copy is few commands. */
function spansOf(parameters: readonly Tensor[]): Span[] {
  const parts = parameters
    .map(({ grad, shape }) => ({ storage: grad!.storage, offset: grad!.offset, bytes: 4 * size(shape) }))
    .toSorted((a, b) => a.storage.id - b.storage.id || a.offset - b.offset);
  const spans: Span[] = [];
  for (const { storage, offset, bytes } of parts) {
    const last = spans.at(-1);
    const gap = last ? offset - last.offset - last.bytes : 0;
    if (last?.storage === storage && gap < ALIGNMENT) {
      spans[spans.length - 1] = { ...last, bytes: offset + bytes - last.offset };
    } else spans.push({ storage, offset, bytes });
  }
  return spans;
}
