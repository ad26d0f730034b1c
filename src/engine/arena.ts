// Parameters side by side in a few large buffers, so that an optimiser step is a few dispatches.
import type { Gpu } from "./device.ts";
import { clear, size, type Tensor } from "./tensor.ts";

/** What a parameter is called, how large it is, and which group of settings it belongs to. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** The optimiser treats parameters of one group alike. */
  readonly group: string;
}

/** One buffer of values with the buffer of their gradients, laid out alike. */
export interface Segment {
  readonly group: string;
  /** [floats], whole vec4s; where products are of f16, with room for its halves */
  readonly value: Tensor;
  readonly grad: Tensor;
}

export interface Arena<S = Segment> {
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly segments: readonly S[];
}

/** Below the smallest limit of a storage binding met so far (lavapipe: 128 MiB). Larger ones were no faster on an H100. */
const SEGMENT_BYTES = 64 * 2 ** 20;

/**
 * Where parameters begin in a segment, bytes; what lies between two is zero. WebGPU's largest
 * minStorageBufferOffsetAlignment is 256, and f16 laid out alike lie half as far.
 */
export const ALIGNMENT = 512;

/**
 * Makes room for parameters and their gradients, all zero. A parameter is a view into a segment; one larger than a
 * segment gets one of its own. The padding between them stays zero.
 */
export function makeArena(gpu: Gpu, specs: readonly ParameterSpec[]): Arena {
  const { segments, views } = layOut(gpu, specs);
  const whole = segments.map((segment) => ({ ...segment, grad: keptZeros(gpu, segment.value.shape) }));
  const parameters = views.map(({ name, segment, ...view }): [string, Tensor] => [
    name,
    { ...view, grad: { ...view, storage: whole[segment]!.grad.storage } },
  ]);
  return { parameters: new Map(parameters), segments: whole };
}

/** A parameter whose gradient is borrowed from the pool when it is first asked for. */
export interface LentParameter extends Tensor {
  readonly grad: Tensor;
  /** Gives the gradient back; the next one begins at zero. */
  release(): void;
}

/** Bytes from which on a parameter's gradient is lent: keeping smaller ones costs less than a step for each. */
const LEAST_LENT = 64 * 2 ** 10;

/**
 * Like `makeArena`, with gradients of large parameters that exist from their first use until they are released. Those
 * of small ones stay, in segments of their own.
 */
export function makeLendingArena(
  gpu: Gpu,
  specs: readonly ParameterSpec[],
): Arena<Partial<Segment> & Omit<Segment, "grad">> {
  const isSmall = ({ shape }: ParameterSpec): boolean => bytesOf(shape) < LEAST_LENT;
  const small = makeArena(gpu, specs.filter(isSmall));
  const large = makeLendingOnly(
    gpu,
    specs.filter((spec) => !isSmall(spec)),
  );
  return {
    parameters: new Map([...small.parameters, ...large.parameters]),
    segments: [...small.segments, ...large.segments],
  };
}

export function isLent(parameter: Tensor): parameter is LentParameter {
  return "release" in parameter;
}

function makeLendingOnly(gpu: Gpu, specs: readonly ParameterSpec[]): Arena<Omit<Segment, "grad">> {
  const { segments, views } = layOut(gpu, specs);
  const parameters = views.map(({ name, segment: _, ...view }): [string, LentParameter] => {
    let lent: Tensor | undefined;
    const borrowed = (): Tensor => {
      return { gpu, shape: view.shape, storage: gpu.pool.borrow(bytesOf(view.shape)), offset: 0 };
    };
    return [
      name,
      {
        ...view,
        get grad() {
          if (!lent) {
            lent = borrowed();
            clear({ ...lent, shape: [bytesOf(view.shape) / 4] });
          }
          return lent;
        },
        get freshGrad() {
          // An optimiser reads whole vec4s: what no gradient fills must be zero.
          return lent || size(view.shape) % 4 > 0 ? undefined : (lent = borrowed());
        },
        release() {
          if (lent) gpu.pool.giveBack(lent.storage);
          lent = undefined;
        },
      },
    ];
  });
  return { parameters: new Map(parameters), segments };
}

/** Like `makeArena`, for tensors that no gradient reaches: they are no parameters to the tape. */
export function makeStillArena(gpu: Gpu, specs: readonly ParameterSpec[]): Arena<Omit<Segment, "grad">> {
  const { segments, views } = layOut(gpu, specs);
  return { parameters: new Map(views.map(({ name, segment: _, ...view }) => [name, view])), segments };
}

/** Bytes that a parameter takes in its segment. */
function bytesOf(shape: readonly number[]): number {
  return Math.ceil((4 * size(shape)) / ALIGNMENT) * ALIGNMENT;
}

function layOut(gpu: Gpu, specs: readonly ParameterSpec[]) {
  const segments: Omit<Segment, "grad">[] = [];
  const views: (Tensor & { name: string; segment: number })[] = [];
  for (const group of new Set(specs.map((spec) => spec.group))) {
    let run: { spec: ParameterSpec; offset: number }[] = [];
    let bytes = 0;
    const close = (): void => {
      if (run.length === 0) return;
      const floats = keptZeros(gpu, [bytes / 4]);
      const half = gpu.matrices && gpu.precision === "f16" ? keptHalves(gpu, floats.shape) : undefined;
      const value = half ? { ...floats, half } : floats;
      for (const { spec, offset } of run) {
        const { name, shape } = spec;
        const halves = half ? { half: { ...half, shape, offset: offset / 2 } } : {};
        const view = { gpu, shape, offset, storage: value.storage, ...halves };
        views.push({ name, segment: segments.length, ...view });
      }
      segments.push({ group, value });
      run = [];
      bytes = 0;
    };
    for (const spec of specs.filter((other) => other.group === group)) {
      const needed = bytesOf(spec.shape);
      if (bytes > 0 && bytes + needed > SEGMENT_BYTES) close();
      run.push({ spec, offset: bytes });
      bytes += needed;
    }
    close();
  }
  return { segments, views };
}

/** Sets all gradients to zero. */
export function clearGradients({ segments }: Arena): void {
  for (const { grad } of segments) clear(grad);
}

/** As `keptZeros`, of f16. */
function keptHalves(gpu: Gpu, shape: readonly number[]): Tensor {
  const t = { gpu, shape, storage: gpu.pool.keep(2 * size(shape)), offset: 0, type: "f16" } as const;
  gpu.commands.encoder.clearBuffer(t.storage.buffer, 0, 2 * size(shape));
  return t;
}

/** Zeros that nobody gives back, in no more memory than they take. */
export function keptZeros(gpu: Gpu, shape: readonly number[]): Tensor {
  const t = { gpu, shape, storage: gpu.pool.keep(4 * size(shape)), offset: 0 };
  clear(t);
  return t;
}
