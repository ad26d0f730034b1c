// Parts of the device's memory that go to the host to be changed there, and back.
import { type Gpu, throwFault } from "./device.ts";
import type { Storage } from "./pool.ts";
import { wait } from "./wait.ts";

/** A part of a storage, bytes: whole multiples of four. */
export interface Span {
  readonly storage: Storage;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * A buffer of the host's memory that the device writes to, kept for as long as its spans travel: making it anew each
 * time would cost as much as the copy.
 */
export class Staging {
  readonly bytes: number;
  readonly #gpu: Gpu;
  readonly #spans: readonly Span[];
  readonly #buffer: GPUBuffer;
  #mapped: Float32Array | undefined;

  constructor(gpu: Gpu, spans: readonly Span[]) {
    this.#gpu = gpu;
    this.#spans = spans;
    this.bytes = spans.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#buffer = gpu.device.createBuffer({
      size: this.bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }

  /**
   * The spans one after the other, as they are at this point of the recorded commands, which are submitted: the device
   * goes on with what is recorded next while the host looks at these.
   *
   * @returns  the buffer itself, to be changed in place; it is gone after `putBack`
   */
  async fetch(): Promise<Float32Array> {
    const { commands } = this.#gpu;
    let at = 0;
    for (const { storage, offset, bytes } of this.#spans) {
      commands.encoder.copyBufferToBuffer(storage.buffer, offset, this.#buffer, at, bytes);
      at += bytes;
    }
    commands.flush();
    try {
      await wait(this.#buffer.mapAsync(GPUMapMode.READ));
      throwFault(this.#gpu);
      return (this.#mapped = new Float32Array(this.#buffer.getMappedRange()));
    } catch (error) {
      throwFault(this.#gpu); // the device's own words say more than "mapping failed"
      throw error;
    }
  }

  /** Copies what `fetch` gave, as it is now, to where it came from, after all that is recorded. */
  putBack(): void {
    const { device, commands } = this.#gpu;
    const { buffer } = this.#mapped!;
    commands.flush(); // writeBuffer would overtake what is recorded but not submitted
    let at = 0;
    for (const { storage, offset, bytes } of this.#spans) {
      device.queue.writeBuffer(storage.buffer, offset, buffer, at, bytes);
      at += bytes;
    }
    this.#mapped = undefined;
    this.#buffer.unmap();
  }

  /** Gives the memory back; not while anybody still works on what `fetch` gave. */
  destroy(): void {
    this.#buffer.destroy();
  }
}
