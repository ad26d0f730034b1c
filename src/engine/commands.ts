// The commands recorded but not yet submitted: one compute pass that grows until somebody waits.
import type { Kernel } from "./kernel.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Dispatches per submit. A few dozen keep the device busy while the next ones are recorded; a submit costs
 * as much as recording ten of them.
 */
const BATCH = 64;

/** One dispatch, as a profiler sees it. */
export interface Dispatch {
  readonly kernel: Kernel;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly params: Readonly<Record<string, number>>;
  readonly workgroups: readonly [number, number, number];
}

export class Commands {
  /** When set, gives each dispatch the timestamps of a compute pass of its own. The bench sets it. */
  profiler: ((dispatch: Dispatch) => GPUComputePassTimestampWrites) | undefined;
  readonly #device: GPUDevice;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #count = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The open compute pass; call `recorded` after each dispatch. */
  get pass(): GPUComputePassEncoder {
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    return this.#pass;
  }

  /** An encoder outside any pass, for copies and clears, in order with the dispatches. */
  get encoder(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = undefined;
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  /** A compute pass for one dispatch alone, with its timestamps. */
  timedPass(timestampWrites: GPUComputePassTimestampWrites): GPUComputePassEncoder {
    const { encoder } = this;
    return (this.#pass = encoder.beginComputePass({ timestampWrites }));
  }

  recorded(): void {
    if (++this.#count >= BATCH) this.flush();
  }

  /** Submits what is recorded. Needed before `queue.writeBuffer`, which would otherwise overtake it. */
  flush(): void {
    this.#pass?.end();
    this.#pass = undefined;
    if (this.#encoder) this.#device.queue.submit([this.#encoder.finish()]);
    this.#encoder = undefined;
    this.#count = 0;
  }
}
