/** Work that waits its turn, so that many who ask at once cost no more than a few. */

/** There is more waiting than is worth it. */
export class TooBusy extends Error {
  override readonly name = "TooBusy";
}

export interface Turns {
  /** Runs the work when its turn comes, in the order of asking. */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Nothing runs and nothing waits. */
  readonly idle: boolean;
  /** Resolves when that is so. */
  ended(): Promise<void>;
}

/**
 * @param atOnce   how much runs at a time
 * @param waiting  how much may wait; what comes then is refused
 * @throws TooBusy from `run`
 */
export function turns(atOnce: number, waiting = Infinity): Turns {
  const queue: (() => void)[] = [];
  const ends: (() => void)[] = [];
  let running = 0;
  return {
    ended: async () => {
      if (running > 0) await new Promise<void>((resolve) => ends.push(resolve));
    },
    get idle() {
      return running === 0;
    },
    async run(work) {
      if (running >= atOnce) {
        if (queue.length >= waiting) throw new TooBusy(`${waiting} requests are waiting`);
        await new Promise<void>((resolve) => queue.push(resolve)); // whoever ends hands on its place
      } else running++;
      try {
        return await work();
      } finally {
        const next = queue.shift();
        if (next) next();
        else if (--running === 0) for (const end of ends.splice(0)) end();
      }
    },
  };
}
