// Batches in order, made ahead of the one in use.
import type { Batch } from "./samples.ts";

export interface Reading {
  /**
   * The next batch; of nothing left, undefined.
   *
   * @param spent  the batch before it, when nobody looks at its arrays any more: another will be made in their memory
   * @throws what making the batch threw
   */
  next(spent?: Batch): Promise<Batch | undefined>;
  /** Waits for what is still being made: the caller may close the files next. */
  end(): Promise<void>;
}

/**
 * Hands out batches `first` to `end` in order. So many as `ahead` says are being made, or wait to be taken; the next is
 * begun when one is taken.
 */
export function readAhead(
  make: (n: number, spare: Batch | undefined) => Promise<Batch>,
  { first = 0, end, ahead = 1 }: { first?: number; end: number; ahead?: number | undefined },
): Reading {
  const begun: Promise<Batch>[] = [];
  const spares: Batch[] = [];
  let next = first;
  const fill = (): void => {
    while (begun.length < ahead && next < end) {
      const batch = make(next++, spares.pop());
      batch.catch(() => undefined); // thrown where it is awaited
      begun.push(batch);
    }
  };
  fill();
  return {
    next: async (spent) => {
      if (spent) spares.push(spent);
      const batch = await begun[0];
      void begun.shift();
      fill();
      return batch;
    },
    end: async () => {
      next = end;
      await Promise.allSettled(begun);
    },
  };
}
