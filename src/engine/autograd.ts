// Reverse-mode differentiation on a tape. Ops note what they did; `gradients` plays it backwards.
import type { Gpu } from "./device.ts";
import { kernel, quads, run } from "./kernel.ts";
import type { Storage } from "./pool.ts";
import type { Random } from "./random.ts";
import { adopt, empty, noting, owning, size, type Tensor, tensor } from "./tensor.ts";

/** Given dL/dy, returns dL/dx for each input x, in order; `null` where none flows. */
export type Backward = (dy: Tensor) => readonly (Tensor | null)[];

interface Step {
  readonly y: Tensor;
  readonly inputs: readonly Tensor[];
  readonly backward: Backward;
  /** How many storages the forward pass had made when this step was noted: y and what its backward saved are below. */
  readonly made: number;
}

/** The storages that a forward pass has made and not freed since, each with how many it had made before. */
class Made extends Set<Storage> {
  readonly #before = new Map<Storage, number>();
  count = 0;

  override add(storage: Storage): this {
    this.#before.set(storage, this.count++);
    return super.add(storage);
  }

  /** In the order they were made: one that was freed may have been made again. */
  inOrder(): { storage: Storage; before: number }[] {
    const all = [...this].map((storage) => ({ storage, before: this.#before.get(storage)! }));
    return all.sort((a, b) => a.before - b.before);
  }
}

const add = kernel("elementwise.wgsl", "add");
const accumulate = kernel("elementwise.wgsl", "accumulate");

interface Tape {
  readonly steps: Step[];
  readonly made: Made;
  /** What is differentiated by, and all that was made from it. */
  readonly needed: Set<Tensor>;
}

let tape: Tape | undefined;

/** In a step's backward: takes the parameters whose gradients get nothing more after it. */
let completing: ((parameter: Tensor) => void) | undefined;

/** In a step's backward: what its gradients are added to. */
let gathering: GradientMap | undefined;

/**
 * In a backward: the gradient that an input `x` of it has so far, from its later uses, if any. The tape forgets it, so
 * what the backward returns for `x` must contain it. That saves the pass that would add the two.
 */
export function takeGradient(x: Tensor): Tensor | undefined {
  const dx = gathering?.get(x);
  gathering?.drop(x);
  return dx;
}

/**
 * In a backward that has more to do: it adds nothing more to a parameter's gradient, and does not read its value again,
 * so that it may be updated before the others of the op.
 */
export function doneWith(parameter: Tensor): void {
  completing?.(parameter);
}

/**
 * Notes on the tape how `y` was made, if a gradient flows through it. Outside `gradients` this costs nothing. A forward
 * pass may free what neither it nor any backward reads again.
 */
export function record(y: Tensor, inputs: readonly Tensor[], backward: Backward): Tensor {
  if (!tape || !inputs.some(needsGradient)) return y;
  tape.steps.push({ y, inputs, backward, made: tape.made.count });
  tape.needed.add(y);
  return y;
}

/** Whether a gradient flows to `x`: a parameter, or made from one. A backward may leave out all other inputs. */
export function needsGradient(x: Tensor): boolean {
  return tape !== undefined && (isParameter(x) || tape.needed.has(x));
}

/** Whether ops are being noted; what only the backward pass needs can be skipped when not. */
export function isRecording(): boolean {
  return tape !== undefined;
}

/** Runs `fn` without noting anything: its result is a constant to the tape. */
export function noGrad<T>(fn: () => T): T {
  const outer = tape;
  tape = undefined;
  try {
    return fn();
  } finally {
    tape = outer;
  }
}

/** Another view of a tensor's memory, with other axes; gradients pass through. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  if (size(shape) !== size(x.shape)) throw new Error(`cannot reshape [${x.shape}] to [${shape}]`);
  const { gpu, storage, offset, type } = x;
  const view = { gpu, storage, offset, shape, ...(type ? { type } : {}) };
  return record(view, [x], (dy) => [{ ...dy, shape: x.shape }]);
}

/**
 * Runs `forward` and differentiates what it returns. Gradients of parameters (tensors with `grad`) are added to their
 * `grad`, so that several calls accumulate. Memory is given back while the tape is played: once a step's backward is
 * done, nothing needs what its forward made. Only y survives of the forward pass.
 *
 * @param forward  builds y from ops; must not await
 * @param wrt      other tensors to differentiate by
 * @param seed     dL/dy, of y's shape; by default 1 for a y of one element
 * @param complete is told each parameter that took part, once nothing more will be added to its gradient
 * @returns        y, and dL/dw for each w of `wrt`, in order
 */
export function gradients(
  forward: () => Tensor,
  wrt: readonly Tensor[] = [],
  seed?: Tensor,
  complete?: (parameter: Tensor) => void,
): { y: Tensor; grads: Tensor[] } {
  const { y, grads } = differentiate(forward, wrt, seed, complete);
  return {
    y,
    grads: grads.map((dw, i) => {
      if (!dw) throw new Error(`wrt[${i}] plays no part in the result`);
      return dw;
    }),
  };
}

/**
 * Runs `forward` keeping nothing of what it makes but its result; the backward pass runs it again to differentiate
 * it (Chen et al. 2016, arXiv:1604.06174). Results and gradients are those without it, bit for bit. Outside `gradients`
 * it is `forward` itself. One may hold another, whose `forward` then runs three times.
 *
 * @param inputs   every tensor that `forward` reads and gradients shall flow to, parameters included
 * @param forward  builds y from ops, the same ones each time; takes its random numbers from what it is given
 * @param random   advances as if `forward` had been run once
 */
export function checkpoint(
  inputs: readonly Tensor[],
  forward: (random: Random | undefined) => Tensor,
  random?: Random,
): Tensor {
  if (!tape) return forward(random);
  const again = random?.copy();
  const made = new Set<Storage>();
  const y = noGrad(() => noting(made, () => forward(random)));
  for (const storage of made) if (storage !== y.storage) y.gpu.pool.giveBack(storage);
  if (made.has(y.storage)) adopt([y.storage]);
  const wrt = inputs.filter((x) => !isParameter(x));
  return record(y, inputs, (dy) => {
    const { grads } = differentiate(() => forward(again?.copy()), wrt, dy, completing);
    return inputs.map((x) => grads[wrt.indexOf(x)] ?? null);
  });
}

/** As `gradients`, for tensors `wrt` that may play no part. */
function differentiate(
  forward: () => Tensor,
  wrt: readonly Tensor[],
  seed: Tensor | undefined,
  complete?: (parameter: Tensor) => void,
): { y: Tensor; grads: (Tensor | undefined)[] } {
  if (tape) throw new Error("gradients cannot be nested");
  const steps: Step[] = [];
  const made = new Made();
  tape = { steps, made, needed: new Set(wrt) };
  let y: Tensor;
  try {
    y = owning(made, forward);
  } finally {
    tape = undefined;
  }
  const { gpu } = y;
  const saved = made.inOrder();
  const grads = new GradientMap(gpu);
  // A gradient may lie in what the forward pass made; it is given back when nobody holds it any more.
  const release = (from: number): void => {
    while ((saved.at(-1)?.before ?? -1) >= from) {
      const { storage } = saved.pop()!;
      if (storage !== y.storage && !grads.holds(storage)) gpu.pool.giveBack(storage);
    }
  };

  grads.add(y, seed ?? one(gpu, y));
  release(steps.at(-1)?.made ?? 0);
  const firstUse = new Map<Tensor, Step>();
  for (const step of complete ? steps : [])
    for (const x of step.inputs) if (isParameter(x) && !firstUse.has(x)) firstUse.set(x, step);
  // The tape is in the order of execution, so its reverse visits every y after all its uses.
  for (let i = steps.length - 1; i >= 0; i--) {
    const step = steps[i]!;
    const dy = grads.get(step.y);
    const completed =
      complete &&
      ((x: Tensor): void => {
        if (firstUse.get(x) === step && firstUse.delete(x)) complete(x);
      });
    if (dy) {
      const fresh = new Set<Storage>();
      const outer = { completing, gathering };
      completing = completed;
      gathering = grads;
      try {
        noting(fresh, () => {
          for (const [k, dx] of step.backward(dy).entries()) if (dx) grads.add(step.inputs[k]!, dx);
        });
      } finally {
        ({ completing, gathering } = outer);
      }
      grads.drop(step.y);
      for (const storage of fresh) if (!grads.holds(storage)) gpu.pool.giveBack(storage);
      grads.sweep();
    }
    release(steps[i - 1]?.made ?? 0);
    if (completed) for (const x of step.inputs) completed(x);
  }

  const result = wrt.map((w) => grads.get(w));
  for (const x of [...grads.tensors()]) if (!wrt.includes(x)) grads.drop(x); // other leaves
  grads.sweep();
  const kept = [y, ...result].flatMap((t) => (t ? [t.storage] : []));
  adopt(kept.filter((storage) => storage !== y.storage || made.has(storage)));
  return { y, grads: result };
}

/** Asked so, a gradient that exists only once it is asked for stays away. */
function isParameter(x: Tensor): boolean {
  return "grad" in x;
}

/** dL/dx for the tensors on the way, with a count of who still holds each storage. */
class GradientMap {
  readonly #gpu: Gpu;
  readonly #grads = new Map<Tensor, Tensor>();
  readonly #holders = new Map<Storage, number>();
  readonly #unheld = new Set<Storage>();
  /** Seeds belong to the caller. */
  #seed: Storage | undefined;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  get(x: Tensor): Tensor | undefined {
    return this.#grads.get(x);
  }

  /** Every tensor with a gradient. */
  tensors(): Iterable<Tensor> {
    return this.#grads.keys();
  }

  holds(storage: Storage): boolean {
    return (this.#holders.get(storage) ?? 0) > 0 || this.#unheld.has(storage);
  }

  add(x: Tensor, dx: Tensor): void {
    this.#seed ??= dx.storage;
    if (isParameter(x)) {
      const length = size(x.shape);
      run(accumulate, { y: x.grad!, a: dx }, { length, factor: 1 }, quads(length));
      return;
    }
    const sum = this.#grads.get(x);
    if (sum) this.#release(sum.storage);
    const total = sum ? plus(sum, dx) : dx;
    this.#grads.set(x, total);
    this.#holders.set(total.storage, (this.#holders.get(total.storage) ?? 0) + 1);
    this.#unheld.delete(total.storage);
  }

  /** Forgets the gradient of a tensor whose backward is done. */
  drop(x: Tensor): void {
    const dx = this.#grads.get(x);
    if (!dx) return;
    this.#grads.delete(x);
    this.#release(dx.storage);
  }

  #release(storage: Storage): void {
    const left = (this.#holders.get(storage) ?? 0) - 1;
    this.#holders.set(storage, left);
    if (left === 0) this.#unheld.add(storage);
  }

  /** Gives back what nobody holds any more. */
  sweep(): void {
    for (const storage of this.#unheld) {
      this.#holders.delete(storage);
      if (storage !== this.#seed) this.#gpu.pool.giveBack(storage);
    }
    this.#unheld.clear();
  }
}

/** A new tensor, never in place: an op may hand one and the same dy to two inputs. */
function plus(a: Tensor, b: Tensor): Tensor {
  const y = empty(a.gpu, a.shape);
  const length = size(a.shape);
  run(add, { a, b, y }, { length, factor: 1 }, quads(length));
  return y;
}

const ones = new WeakMap<Gpu, Tensor>();

/** dL/dL, made once for each device. */
function one(gpu: Gpu, y: Tensor): Tensor {
  if (size(y.shape) !== 1) throw new Error(`gradients of [${y.shape}] need a seed`);
  const known = ones.get(gpu) ?? noting(new Set(), () => tensor(gpu, [1], [1]));
  ones.set(gpu, known);
  return { ...known, shape: y.shape };
}
