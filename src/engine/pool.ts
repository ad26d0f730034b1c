// GPU buffers by size class, used again instead of made again.

const MIN_BYTES = 256;

/** A buffer on loan from the pool. Views of one tensor share it. */
export interface Storage {
  /** Unlike that of any other storage; in the order they were made. */
  readonly id: number;
  readonly buffer: GPUBuffer;
  /** The size class, >= what was asked for. */
  readonly bytes: number;
}

/** A texture of rgba32float in layers, in place of a buffer. */
export interface TextureStorage {
  /** As of a buffer: no other storage has it. */
  readonly id: number;
  readonly texture: GPUTexture;
  readonly view: GPUTextureView;
  readonly layers: number;
  readonly bytes: number;
}

let lastId = 0;

/**
 * Of several free buffers it lends the oldest, so that which one depends only on which are free: steps that do the
 * same get the same buffers, and with them the bind groups of the step before.
 *
 * The queue runs in order, so a buffer may be lent again as soon as the last command that uses it is recorded:
 * whoever borrows it next records later commands.
 */
export class Pool {
  readonly #device: GPUDevice;
  readonly #free = new Map<number, Storage[]>();
  #lent = 0;
  #peak = 0;
  #made = 0;
  #largest = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Bytes on loan now, the most there ever were, all that the pool holds, and the largest buffer of it. */
  get bytes(): { lent: number; peak: number; made: number; largest: number } {
    return { lent: this.#lent, peak: this.#peak, made: this.#made, largest: this.#largest };
  }

  borrow(bytes: number): Storage {
    const size = sizeClass(bytes);
    const storage = this.#free.get(size)?.pop() ?? this.#make(size);
    this.#lent += size;
    this.#peak = Math.max(this.#peak, this.#lent);
    return storage;
  }

  /** A buffer of just this size, for what lives as long as the device. */
  keep(bytes: number): Storage {
    this.#lent += bytes;
    this.#peak = Math.max(this.#peak, this.#lent);
    return this.#make(bytes);
  }

  /** A texture of so many layers of rows of texels. */
  keepTexture([texels, rows, layers]: readonly [number, number, number]): TextureStorage {
    const { TEXTURE_BINDING, STORAGE_BINDING, COPY_DST } = GPUTextureUsage;
    const texture = this.#device.createTexture({
      size: [texels, rows, layers],
      format: "rgba32float",
      usage: TEXTURE_BINDING | STORAGE_BINDING | COPY_DST,
    });
    const bytes = 16 * texels * rows * layers;
    this.#lent += bytes;
    this.#peak = Math.max(this.#peak, this.#lent);
    this.#made += bytes;
    const view = texture.createView({ dimension: "2d-array" });
    return { id: ++lastId, texture, view, layers, bytes };
  }

  /** Gives a texture's memory back to the device; all that uses it must have been submitted. */
  dropTexture({ texture, bytes }: TextureStorage): void {
    texture.destroy();
    this.#lent -= bytes;
    this.#made -= bytes;
  }

  giveBack(storage: Storage): void {
    this.#lent -= storage.bytes;
    const list = this.#free.get(storage.bytes);
    if (!list) {
      this.#free.set(storage.bytes, [storage]);
      return;
    }
    let at = list.length; // the oldest last
    while (at > 0 && list[at - 1]!.id < storage.id) at--;
    list.splice(at, 0, storage);
  }

  /** Gives the memory of all that is not on loan back to the device; nothing that uses it may be recorded any more. */
  trim(): void {
    for (const { buffer, bytes } of [...this.#free.values()].flat()) {
      buffer.destroy();
      this.#made -= bytes;
    }
    this.#free.clear();
  }

  #make(bytes: number): Storage {
    this.#made += bytes;
    this.#largest = Math.max(this.#largest, bytes);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return { id: ++lastId, buffer: this.#device.createBuffer({ size: bytes, usage }), bytes };
  }
}

/** The next of 1, 1.25, 1.5 or 1.75 times a power of two: at most a fifth is wasted. */
export function sizeClass(bytes: number): number {
  if (bytes <= MIN_BYTES) return MIN_BYTES;
  const step = 2 ** Math.max(2, Math.ceil(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}
