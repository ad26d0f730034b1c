// The ranks that work together on one run, and what they tell one another.

/**
 * The processes of one run, as one of them sees them. Every rank calls the same functions in the same order; each call
 * ends when all have made it. Calls may overlap in time: they are carried out one after the other.
 */
export interface World {
  /** 0 .. size - 1. */
  readonly rank: number;
  readonly size: number;
  /** Among the ranks on this host, 0 .. localSize - 1: which adapter it takes. */
  readonly localRank: number;
  readonly localSize: number;
  /** For people: "rank 2 of 4 on node7"; "" where there is one process. */
  readonly name: string;
  /** Adds up over all ranks, in place. Every rank gets the same numbers. */
  sum(values: Float32Array | Float64Array): Promise<void>;
  /** The largest of all ranks, in place, element by element. */
  max(values: Float64Array): Promise<void>;
  /** Rank 0's numbers for all, in place. */
  broadcast(values: Float32Array | Float64Array | Uint8Array): Promise<void>;
  /** A text of every rank, by rank, for all. */
  gather(text: string): Promise<readonly string[]>;
  /** Tells the others, for their last words, where the run can be taken up from. */
  keptCheckpoint(path: string): void;
  /**
   * Ends the run on all ranks because this one cannot go on: they say which rank it was, what happened to it and the
   * last good checkpoint, and exit with `code`.
   */
  fail(error: unknown, code: number): Promise<never>;
  /** Ends it in good order; every rank calls it. */
  close(): Promise<void>;
}

const nothing = async (): Promise<void> => undefined;

/** One process that works by itself. No library is touched. */
export const alone: World = {
  ...{ rank: 0, size: 1, localRank: 0, localSize: 1, name: "" },
  ...{ sum: nothing, max: nothing, broadcast: nothing, close: nothing },
  gather: async (text) => [text],
  keptCheckpoint: () => undefined,
  fail: async (error) => {
    throw error;
  },
};
