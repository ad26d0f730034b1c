// Parts of the device's memory that go to the host to be changed there, and back.
import { type Gpu, throwFault } from "./device.ts";
import type { Storage } from "./pool.ts";
import { wait } from "./wait.ts";

/** A part of a storage and its place in a buffer of the host, bytes: whole multiples of four. */
export interface Span {
  readonly storage: Storage;
  readonly offset: number;
  readonly bytes: number;
  readonly at: number;
}

/**
 * A buffer of the host's memory that the device writes to, kept for as long as it is used: making it anew each time
 * would cost as much as the copy. What no span covers stays as it was.
 */
export class Staging {
  readonly bytes: number;
  readonly #gpu: Gpu;
  readonly #buffer: GPUBuffer;
  #mapped: Float32Array | undefined;

  constructor(gpu: Gpu, bytes: number) {
    this.#gpu = gpu;
    this.bytes = bytes;
    this.#buffer = gpu.device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }

  /**
   * The spans as they are at this point of the recorded commands, which are submitted: the device goes on with what is
   * recorded next while the host looks at these.
   *
   * @returns  the buffer itself, all of it, to be changed in place; it is gone after `putBack`
   */
  async fetch(spans: readonly Span[]): Promise<Float32Array> {
    const { commands } = this.#gpu;
    for (const { storage, offset, bytes, at } of spans)
      commands.encoder.copyBufferToBuffer(storage.buffer, offset, this.#buffer, at, bytes);
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

  /** Copies from what `fetch` gave, as it is now, to these spans of the device, after all that is recorded. */
  putBack(spans: readonly Span[]): void {
    const values = this.#mapped!;
    for (const { storage, offset, bytes, at } of spans)
      this.#gpu.commands.write(storage.buffer, offset, values.subarray(at / 4, (at + bytes) / 4));
    this.#mapped = undefined;
    this.#buffer.unmap();
  }

  /** Gives the memory back; not while anybody still works on what `fetch` gave. */
  destroy(): void {
    this.#buffer.destroy();
  }
}
