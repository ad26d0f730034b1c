// Buffers of the host's memory from which the device copies what is uploaded, kept between uses, and mapped.
import { sizeClass } from "./pool.ts";
import { wait } from "./wait.ts";

/**
 * Dawn's `queue.writeBuffer` allocates memory for every large write and frees it afterwards: on an H100 12.6 MB took
 * the host 10 ms and the device 4 ms more, and take 1.5 ms in all through a buffer that is there already.
 */
export class Uploads {
  readonly #device: GPUDevice;
  readonly #mostIdle: number;
  /** Mapped, those used longest ago first. */
  #idle: GPUBuffer[] = [];
  #idleBytes = 0;

  /** @param mostIdle  bytes of idle buffers that are kept */
  constructor(device: GPUDevice, mostIdle: number) {
    this.#device = device;
    this.#mostIdle = mostIdle;
  }

  /** A buffer that holds these bytes at its beginning, unmapped, to be copied from. Whole multiples of four. */
  fill({ buffer, byteOffset, byteLength }: Float32Array | Uint32Array): GPUBuffer {
    const source = this.#take(sizeClass(byteLength));
    new Uint8Array(source.getMappedRange(0, byteLength)).set(new Uint8Array(buffer, byteOffset, byteLength));
    source.unmap();
    return source;
  }

  /** Takes a buffer of `fill` back, once all that copies from it is submitted: it is mapped when the device has done it. */
  async giveBack(buffer: GPUBuffer): Promise<void> {
    try {
      await wait(buffer.mapAsync(GPUMapMode.WRITE));
    } catch {
      return; // the device is gone, and its memory with it; who waits for the device is told
    }
    this.#idle.push(buffer);
    this.#idleBytes += buffer.size;
    while (this.#idleBytes > this.#mostIdle) {
      const oldest = this.#idle.shift()!;
      this.#idleBytes -= oldest.size;
      oldest.destroy();
    }
  }

  #take(size: number): GPUBuffer {
    const at = this.#idle.findLastIndex((buffer) => buffer.size === size);
    if (at >= 0) {
      this.#idleBytes -= size;
      return this.#idle.splice(at, 1)[0]!;
    }
    const usage = GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC;
    return this.#device.createBuffer({ size, usage, mappedAtCreation: true });
  }
}
