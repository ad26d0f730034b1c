// Dense row-major f32 arrays in GPU memory, and the scopes that give their memory back.
import { ClimaxError } from "../errors.ts";
import { type Gpu, throwFault } from "./device.ts";
import type { Storage } from "./pool.ts";
import { wait } from "./wait.ts";

export type Shape = readonly number[];

/** A dense, row-major array in GPU memory, of f32 unless its type says otherwise. */
export interface Tensor {
  readonly gpu: Gpu;
  readonly shape: Shape;
  readonly storage: Storage;
  /** Where it begins in the storage, bytes. */
  readonly offset: number;
  /** Half the memory; read by products, attention, and the ops whose docs say so. */
  readonly type?: "f16";
  /** The same numbers rounded to f16, for products; kept up by who changes them. */
  readonly half?: Tensor;
  /** Where the gradients of a parameter add up, of the same shape; only parameters have it. */
  readonly grad?: Tensor;
  /** Of a parameter whose gradient nothing was added to yet: `grad`, of any content. Whoever asks writes all of it. */
  readonly freshGrad?: Tensor | undefined;
}

export function size(shape: Shape): number {
  let product = 1;
  for (const n of shape) product *= n;
  return product;
}

/** Where new storages are noted, so that someone gives them back; innermost last. */
const scopes: Set<Storage>[] = [];

/** An uninitialised tensor. */
export function empty(gpu: Gpu, shape: Shape): Tensor {
  const storage = gpu.pool.borrow(4 * size(shape));
  scopes.at(-1)?.add(storage);
  return { gpu, shape, storage, offset: 0 };
}

/** An uninitialised tensor of f16. */
export function emptyHalf(gpu: Gpu, shape: Shape): Tensor {
  const storage = gpu.pool.borrow(2 * size(shape));
  scopes.at(-1)?.add(storage);
  return { gpu, shape, storage, offset: 0, type: "f16" };
}

/** Where a backward puts the gradient of x, of which it writes every element. */
export interface GradientRoom {
  readonly into: Tensor;
  /** Add to what is there, which is the gradient of a parameter so far. */
  readonly accumulate: boolean;
  /** What the backward returns for x. */
  readonly result: Tensor | null;
}

/** To be asked for when it is written, once for each backward. */
export function gradientRoom(x: Tensor): GradientRoom {
  const fresh = x.freshGrad;
  if (fresh) return { into: fresh, accumulate: false, result: null };
  const { grad } = x;
  if (grad) return { into: grad, accumulate: true, result: null };
  const into = empty(x.gpu, x.shape);
  return { into, accumulate: false, result: into };
}

/** An uninitialised tensor of x's type, and of its shape unless told otherwise. */
export function emptyLike(x: Tensor, shape: Shape = x.shape): Tensor {
  return x.type === "f16" ? emptyHalf(x.gpu, shape) : empty(x.gpu, shape);
}

/**
 * An uninitialised tensor for what only products and attention will read: where those take f16 anyway it is stored so,
 * in half the memory, if its rows are whole vec4s.
 */
export function emptyOperand(gpu: Gpu, shape: Shape): Tensor {
  const half = gpu.precision === "f16" && shape.at(-1)! % 4 === 0;
  return half ? emptyHalf(gpu, shape) : empty(gpu, shape);
}

/** A tensor of zeros. */
export function zeros(gpu: Gpu, shape: Shape): Tensor {
  const t = empty(gpu, shape);
  clear(t);
  return t;
}

/** Sets every element to zero. */
export function clear(t: Tensor): void {
  t.gpu.commands.encoder.clearBuffer(t.storage.buffer, t.offset, 4 * size(t.shape));
}

/** Copies `data` to the GPU as a tensor of the given shape. */
export function tensor(gpu: Gpu, shape: Shape, data: ArrayLike<number>): Tensor {
  const t = empty(gpu, shape);
  write(t, data);
  return t;
}

/** Overwrites a tensor with `data`, in row-major order. */
export function write(t: Tensor, data: ArrayLike<number>): void {
  if (data.length !== size(t.shape)) {
    throw new ClimaxError(
      "shape",
      `shape [${t.shape}] holds ${size(t.shape)} values, but ${data.length} were given`,
      "pass one value per element, in row-major order",
    );
  }
  const values = data instanceof Float32Array ? data : Float32Array.from(data);
  t.gpu.commands.write(t.storage.buffer, t.offset, values);
}

/** Bytes on their way to the device at once: there is a copy of what is written until the device has taken it. */
const MOST_ON_THE_WAY = 16 * 2 ** 20;

/** What overwrites one tensor after the other, in bounded memory of the host. */
export function writer(gpu: Gpu): (t: Tensor, data: ArrayLike<number>) => Promise<void> {
  let bytes = 0;
  return async (t, data) => {
    write(t, data);
    bytes += 4 * size(t.shape);
    if (bytes < MOST_ON_THE_WAY) return;
    gpu.device.queue.submit([]); // else what is written waits for the next commands
    await done(gpu);
    bytes = 0;
  };
}

/** Copies a tensor to the CPU as it is at this point of the recorded commands. */
export async function read(t: Tensor): Promise<Float32Array> {
  const [values] = await readAll([t]);
  return values!;
}

/** Copies tensors of one device to the CPU, as they are at this point of the recorded commands, in one go. */
export async function readAll(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  const { gpu } = tensors[0]!;
  const { device, commands } = gpu;
  const bytes = tensors.map(({ shape }) => 4 * size(shape));
  const starts = bytes.map((_, i) => bytes.slice(0, i).reduce((a, b) => a + b, 0));
  const staging = device.createBuffer({
    size: Math.max(4, starts.at(-1)! + bytes.at(-1)!),
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  for (const [i, { storage, offset }] of tensors.entries()) {
    commands.encoder.copyBufferToBuffer(storage.buffer, offset, staging, starts[i]!, bytes[i]!);
  }
  commands.flush();
  try {
    await wait(staging.mapAsync(GPUMapMode.READ));
    commands.idle();
    throwFault(gpu);
    const mapped = staging.getMappedRange();
    return starts.map((start, i) => new Float32Array(mapped.slice(start, start + bytes[i]!)));
  } catch (error) {
    throwFault(gpu); // the device's own words say more than "mapping failed"
    throw error;
  } finally {
    staging.destroy();
  }
}

/** Resolves when the device has done all that is recorded so far. */
export async function done({ device, commands }: Gpu): Promise<void> {
  commands.flush();
  await wait(device.queue.onSubmittedWorkDone());
  commands.idle();
}

/** Copies `source` into `target` on the device; same number of elements. */
export function copy(source: Tensor, target: Tensor): void {
  source.gpu.commands.encoder.copyBufferToBuffer(
    source.storage.buffer,
    source.offset,
    target.storage.buffer,
    target.offset,
    4 * size(target.shape),
  );
}

/** Gives a tensor's memory back to the pool. Views of it are dead too. */
export function free(t: Tensor): void {
  for (const scope of scopes) scope.delete(t.storage);
  t.gpu.pool.giveBack(t.storage);
}

type Kept = Tensor | readonly Tensor[] | Readonly<Record<string, Tensor>> | undefined;

/**
 * Runs `fn` and gives back the memory of every tensor made in it, except of those it returns.
 * `fn` must not await: scopes are a stack. Under `gradients` it frees nothing: there the tape owns what is made.
 */
export function scope<T extends Kept>(gpu: Gpu, fn: () => T): T {
  if (owned && scopes.at(-1) === owned) return fn();
  const made = new Set<Storage>();
  const value = noting(made, fn);
  const kept = storagesOf(value);
  for (const storage of made) {
    if (kept.has(storage)) scopes.at(-1)?.add(storage);
    else gpu.pool.giveBack(storage);
  }
  return value;
}

/** Runs `fn` and notes in `made` every storage it borrows and does not free. Only the engine calls it. */
export function noting<T>(made: Set<Storage>, fn: () => T): T {
  scopes.push(made);
  try {
    return fn();
  } finally {
    scopes.pop();
  }
}

/** The set of the tape that is being recorded, if any. */
let owned: Set<Storage> | undefined;

/** Like `noting`, for a forward pass whose memory the tape looks after: scopes inside it free nothing. */
export function owning<T>(made: Set<Storage>, fn: () => T): T {
  owned = made;
  try {
    return noting(made, fn);
  } finally {
    owned = undefined;
  }
}

/** Hands storages to the scope around the caller. Only the engine calls it. */
export function adopt(storages: Iterable<Storage>): void {
  for (const storage of storages) scopes.at(-1)?.add(storage);
}

function storagesOf(value: Kept): Set<Storage> {
  if (value === undefined) return new Set();
  const list = Array.isArray(value) ? value : "storage" in value ? [value] : Object.values(value);
  return new Set((list as Tensor[]).map(({ storage }) => storage));
}
