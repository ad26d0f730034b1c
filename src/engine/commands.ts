// The commands recorded but not yet submitted: one compute pass that grows until somebody waits.
import type { Kernel } from "./kernel.ts";
import type { Tensor } from "./tensor.ts";
import type { Texels } from "./texels.ts";
import { Uploads } from "./uploads.ts";

/**
 * Dispatches per submit. A few dozen keep the device busy while the next ones are recorded; a submit costs
 * as much as recording ten of them.
 */
const BATCH = 64;
/** Of the first submit after the device had nothing to do: it shall begin soon. Each one after it is twice as long. */
const FIRST_BATCH = 8;

/** Bytes from which a write goes through a buffer of our own: what is smaller fits a ring of memory that Dawn keeps. */
const LARGE_WRITE = 64 * 1024;

/** Bytes of idle upload buffers: for a GPU a batch or two of many variables on the way, with the next in the making. */
const IDLE_UPLOADS = { hardware: 2 ** 27, software: 2 ** 23 };

/** One dispatch, as a profiler sees it. */
export interface Dispatch {
  readonly kernel: Kernel;
  readonly tensors: Readonly<Record<string, Tensor | Texels>>;
  readonly params: Readonly<Record<string, number>>;
  readonly workgroups: readonly [number, number, number];
}

export class Commands {
  /** When set, gives each dispatch the timestamps of a compute pass of its own. The bench sets it. */
  profiler: ((dispatch: Dispatch) => GPUComputePassTimestampWrites) | undefined;
  readonly #device: GPUDevice;
  readonly #uploads: Uploads;
  /** Buffers that the recorded commands upload from. */
  #sources: GPUBuffer[] = [];
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  /** The last one set in the open pass. */
  #pipeline: GPUComputePipeline | undefined;
  #count = 0;
  #batch = FIRST_BATCH;

  /** @param kind  of the adapter: a software adapter's uploads take memory that it computes in, and little else */
  constructor(device: GPUDevice, kind: "hardware" | "software") {
    this.#device = device;
    this.#uploads = new Uploads(device, IDLE_UPLOADS[kind]);
  }

  /** An encoder outside any pass, for copies and clears, in order with the dispatches. */
  get encoder(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = undefined;
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  /**
   * Records one dispatch of as many workgroups.
   *
   * @param immediates  the kernel's parameters, if it has any
   * @param timestamps  asks for a compute pass for this dispatch alone
   */
  dispatch(
    pipeline: GPUComputePipeline,
    bindGroup: GPUBindGroup,
    immediates: ArrayBuffer | undefined,
    [x, y, z]: readonly [number, number, number],
    timestamps?: GPUComputePassTimestampWrites,
  ): void {
    if (timestamps) {
      const { encoder } = this;
      this.#open(encoder.beginComputePass({ timestampWrites: timestamps }));
    } else if (!this.#pass) {
      this.#encoder ??= this.#device.createCommandEncoder();
      this.#open(this.#encoder.beginComputePass());
    }
    const pass = this.#pass!;
    // Each call crosses into Dawn, which takes longer than to see that it is not needed.
    if (pipeline !== this.#pipeline) pass.setPipeline((this.#pipeline = pipeline));
    pass.setBindGroup(0, bindGroup);
    if (immediates) pass.setImmediates(0, immediates);
    pass.dispatchWorkgroups(x, y, z);
    if (++this.#count < this.#batch) return;
    this.flush();
    this.#batch = Math.min(2 * this.#batch, BATCH);
  }

  /** To be called once the device has done all that was submitted. */
  idle(): void {
    this.#batch = FIRST_BATCH;
  }

  /**
   * Overwrites part of a buffer, after all that is recorded so far. The data may change as soon as this returns.
   *
   * @param offset  where in the buffer, bytes
   */
  write(target: GPUBuffer, offset: number, data: Float32Array | Uint32Array): void {
    if (data.byteLength < LARGE_WRITE) {
      this.flush(); // writeBuffer would overtake what is recorded but not submitted
      const { buffer, byteOffset, byteLength } = data;
      this.#device.queue.writeBuffer(target, offset, buffer, byteOffset, byteLength);
      return;
    }
    const source = this.#uploads.fill(data);
    this.encoder.copyBufferToBuffer(source, 0, target, offset, data.byteLength);
    this.#sources.push(source);
  }

  #open(pass: GPUComputePassEncoder): void {
    this.#pass = pass;
    this.#pipeline = undefined;
  }

  /** Submits what is recorded. */
  flush(): void {
    this.#pass?.end();
    this.#pass = undefined;
    if (this.#encoder) this.#device.queue.submit([this.#encoder.finish()]);
    this.#encoder = undefined;
    this.#count = 0;
    for (const source of this.#sources.splice(0)) void this.#uploads.giveBack(source);
  }
}
