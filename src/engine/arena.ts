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
  /** [floats], whole vec4s */
  readonly value: Tensor;
  readonly grad: Tensor;
}

export interface Arena {
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly segments: readonly Segment[];
}

/** Below the smallest limit of a storage binding met so far (lavapipe: 128 MiB). */
const SEGMENT_BYTES = 64 * 2 ** 20;
/** WebGPU's largest minStorageBufferOffsetAlignment. */
const ALIGNMENT = 256;

/**
 * Makes room for parameters and their gradients, all zero. A parameter is a view into a segment; one larger than a
 * segment gets one of its own. The padding between them stays zero.
 */
export function makeArena(gpu: Gpu, specs: readonly ParameterSpec[]): Arena {
  const segments: Segment[] = [];
  const parameters = new Map<string, Tensor>();
  for (const group of new Set(specs.map((spec) => spec.group))) {
    let run: { spec: ParameterSpec; offset: number }[] = [];
    let bytes = 0;
    const close = (): void => {
      if (run.length === 0) return;
      const [value, grad] = [buffer(gpu, bytes), buffer(gpu, bytes)];
      segments.push({ group, value, grad });
      for (const { spec, offset } of run) {
        const view = { gpu, shape: spec.shape, offset };
        parameters.set(spec.name, {
          ...view,
          storage: value.storage,
          grad: { ...view, storage: grad.storage },
        });
      }
      run = [];
      bytes = 0;
    };
    for (const spec of specs.filter((other) => other.group === group)) {
      const needed = Math.ceil((4 * size(spec.shape)) / ALIGNMENT) * ALIGNMENT;
      if (bytes > 0 && bytes + needed > SEGMENT_BYTES) close();
      run.push({ spec, offset: bytes });
      bytes += needed;
    }
    close();
  }
  return { parameters, segments };
}

/** Sets all gradients to zero. */
export function clearGradients({ segments }: Arena): void {
  for (const { grad } of segments) clear(grad);
}

function buffer(gpu: Gpu, bytes: number): Tensor {
  const t = { gpu, shape: [bytes / 4], storage: gpu.pool.borrow(bytes), offset: 0 };
  clear(t);
  return t;
}
