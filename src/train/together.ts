// What the ranks of a run agree on: a small message a step, when to stop, and whose failure is everybody's.
import { ClimaxError, type ErrorKind } from "../errors.ts";
import type { World } from "../parallel/world.ts";

/** A run ended because the ranks agreed to: the process of one was told to. */
export class StoppedByAnother extends Error {
  override readonly name = "StoppedByAnother";
  /** Of the reason that the other has. */
  readonly exitCode: number;

  constructor(exitCode: number) {
    super("another rank was told to stop");
    this.exitCode = exitCode;
  }
}

const everybodys = new WeakSet<object>();

/** Marks an error that every rank throws at this point: nobody waits for this one in vain. */
export function ofAllRanks<E extends Error>(error: E): E {
  everybodys.add(error);
  return error;
}

/** Whether every rank throws this error, so that the run can end in good order. */
export function isOfAllRanks(error: unknown): boolean {
  return typeof error === "object" && error !== null && everybodys.has(error);
}

interface Failure {
  readonly kind?: ErrorKind;
  readonly message: string;
  readonly hint?: string;
  readonly stack?: string | undefined;
  /** What the operating system said of a call that it refused. */
  readonly system?: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * Does `work` on every rank, within which no rank waits for another; when it fails on one, all throw what the first of
 * those threw, with the rank's name where only some failed.
 */
export async function byAll<T>(world: World, work: () => Promise<T> | T): Promise<T> {
  if (world.size === 1) return await work();
  const outcome = await Promise.resolve()
    .then(work)
    .then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
  const told = await world.gather("error" in outcome ? JSON.stringify(failureOf(outcome.error)) : "");
  const failed = told.flatMap((text, rank) => (text === "" ? [] : [{ rank, text }]));
  const [first] = failed;
  if (!first) return (outcome as { value: T }).value;
  const { kind, message, hint, stack, system }: Failure = JSON.parse(first.text);
  const same =
    failed.length === world.size && failed.every(({ text }) => textOf(text) === textOf(first.text));
  const what = same || first.rank === 0 ? message : `rank ${first.rank}: ${message}`;
  if (kind && hint !== undefined) throw ofAllRanks(new ClimaxError(kind, what, hint));
  const error = Object.assign(new Error(what), system);
  if (stack !== undefined) error.stack = stack;
  throw ofAllRanks(error);
}

/**
 * Does `work` on rank 0 while the others wait, and gives what it found to all, as JSON; its failure is everybody's.
 */
export async function byFirst<T>(world: World, work: () => Promise<T> | T): Promise<T> {
  if (world.size === 1) return await work();
  const found = await byAll(world, async () => (world.rank === 0 ? ((await work()) ?? null) : null));
  const [text] = await world.gather(JSON.stringify(found));
  return (JSON.parse(text!) ?? undefined) as T;
}

function failureOf(error: unknown): Failure {
  if (error instanceof ClimaxError) {
    const { kind, message, hint } = error;
    return { kind, message, hint };
  }
  if (!(error instanceof Error)) return { message: String(error) };
  const { code, path, dest, syscall } = error as Error & NonNullable<Failure["system"]>;
  const system = syscall === undefined ? undefined : { code, path, dest, syscall };
  return { message: error.message, stack: error.stack, system };
}

const textOf = (failure: string): string => (JSON.parse(failure) as Failure).message;

/** One rank's view of what all agree on. Every rank calls the same methods in the same order. */
export class Together {
  readonly #world: World;
  readonly #signal: AbortSignal;
  #agreed = 0;

  /** @param signal  tells this rank to stop */
  constructor(world: World, signal: AbortSignal) {
    this.#world = world;
    this.#signal = signal;
  }

  /** Whether all stop here. Of several ranks it changes only in `step` and `ask`. */
  get stopping(): boolean {
    return this.#world.size === 1 ? this.#signal.aborted : this.#agreed > 0;
  }

  /** Asks whether one of the ranks is to stop: then all do. */
  async ask(): Promise<boolean> {
    if (this.#world.size > 1) {
      const wish = Float64Array.of(this.#wish());
      await this.#world.max(wish);
      this.#agreed = Math.max(this.#agreed, wish[0]!);
    }
    return this.stopping;
  }

  /**
   * The message of a step, and like `ask` besides.
   *
   * @param loss  of this rank's batches, times their share in the step
   * @param norm  of the gradient that this rank made its step with
   * @returns     the loss of all
   * @throws      ClimaxError "data" when the ranks made different steps
   */
  async step(step: number, loss: number, norm: number): Promise<number> {
    const { rank, size } = this.#world;
    if (size === 1) return loss;
    // Each rank has places of its own, so that all see all numbers, and add up the losses in one order.
    const message = new Float64Array(3 * size);
    message.set([loss, norm, this.#wish()], 3 * rank);
    await this.#world.sum(message);
    const column = (place: number) => Array.from({ length: size }, (_, r) => message[3 * r + place]!);
    this.#agreed = Math.max(this.#agreed, ...column(2));
    const norms = column(1);
    if (norms.some((other) => !Object.is(other, norms[0]))) {
      throw drifted(`at step ${step} they have gradients of other norms`, norms.map(String));
    }
    return column(0).reduce((a, b) => a + b, 0);
  }

  /** @throws ClimaxError "data" when a text that all ranks must have is not the same everywhere */
  async same(what: string, text: string): Promise<void> {
    if (this.#world.size === 1) return;
    const texts = await this.#world.gather(text);
    if (texts.some((other) => other !== texts[0])) throw drifted(what, texts);
  }

  /** Throws why the run is stopped, if it is: this rank's own reason where it is the one that all go by. */
  throwIfStopping(): void {
    if (!this.stopping) return;
    const { reason } = this.#signal as { reason: unknown };
    if (this.#world.size === 1 || (this.#signal.aborted && exitCodeOf(reason) === this.#agreed)) {
      if (reason instanceof Error) ofAllRanks(reason);
      throw reason;
    }
    throw ofAllRanks(new StoppedByAnother(this.#agreed));
  }

  #wish(): number {
    return this.#signal.aborted ? exitCodeOf(this.#signal.reason) : 0;
  }
}

/** How the process is to end for this reason; the greatest of all ranks is the one that all go by. */
function exitCodeOf(reason: unknown): number {
  const { exitCode } = (reason ?? {}) as { exitCode?: unknown };
  return typeof exitCode === "number" && exitCode > 0 ? exitCode : 1;
}

/** Ranks that are not alike, and which of them says what. */
function drifted(what: string, texts: readonly string[]): ClimaxError {
  const each = [...new Set(texts)].map((text) => {
    const those = [...texts.keys()].filter((rank) => texts[rank] === text);
    return `${text.slice(0, 80)} on rank${those.length > 1 ? "s" : ""} ${those.join(", ")}`;
  });
  return ofAllRanks(
    new ClimaxError(
      "data",
      `the ranks have drifted apart: ${what}: ${each.join("; ")}`,
      "ranks must compute alike: give them adapters and drivers of one kind (climax doctor); then go on with --resume",
    ),
  );
}
