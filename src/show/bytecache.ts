/** Things made once and kept as long as they fit: the least lately asked for go first. */

export interface ByteCache<T> {
  /** What was made for that key, or what `make` gives; asked twice at a time, it is made once. A failure is not kept. */
  get(key: string, make: () => Promise<T>): Promise<T>;
  /** Whether it is there, or being made. */
  has(key: string): boolean;
  /** What is kept now, bytes. Never above the limit. */
  readonly bytes: number;
}

/**
 * @param limit   bytes that are kept at most; what is larger by itself is not kept
 * @param sizeOf  bytes of a thing
 */
export function byteCache<T>(limit: number, sizeOf: (made: T) => number): ByteCache<T> {
  const kept = new Map<string, { readonly made: T; readonly size: number }>(); // the latest asked for last
  const making = new Map<string, Promise<T>>();
  let bytes = 0;

  async function makeAndKeep(key: string, make: () => Promise<T>): Promise<T> {
    try {
      const made = await make();
      const size = sizeOf(made);
      if (size <= limit) {
        kept.set(key, { made, size });
        bytes += size;
      }
      for (const [oldest, { size: freed }] of kept) {
        if (bytes <= limit) break;
        kept.delete(oldest);
        bytes -= freed;
      }
      return made;
    } finally {
      making.delete(key);
    }
  }

  return {
    has: (key) => kept.has(key) || making.has(key),
    get bytes() {
      return bytes;
    },
    async get(key, make) {
      const found = kept.get(key);
      if (found) {
        kept.delete(key);
        kept.set(key, found);
        return found.made;
      }
      const running = making.get(key);
      if (running) return running;
      const promise = makeAndKeep(key, make);
      making.set(key, promise);
      return promise;
    },
  };
}
