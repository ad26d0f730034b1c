// The ranks that work together on one run, and what they tell one another.

/**
 * Bytes of an array whose shares ranks exchange, at most: unlike a sum, such a call cannot be taken apart, and inside MPI
 * libraries numbers of bytes have been C ints.
 */
export const LARGEST_SHARED = 2 ** 29;

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
  /**
   * Adds up over all ranks, and leaves each rank its share alone: share r is the r-th of `size` equal parts of the array.
   * In place; the other shares are then of no use. The length is a multiple of `size`, at most LARGEST_SHARED bytes, here
   * and below.
   */
  reduceScatter(values: Float32Array): Promise<void>;
  /** Every rank's share, for all, in place: share r becomes rank r's. The length is a multiple of `size`. */
  allgather(values: Float32Array | Uint8Array): Promise<void>;
  /**
   * Share r of `from` for rank r: share r of `into` is then what rank r had for this one. Neither overlaps the other; of
   * one length, a multiple of `size`.
   */
  alltoall(from: Uint8Array, into: Uint8Array): Promise<void>;
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
  ...{
    sum: nothing,
    max: nothing,
    broadcast: nothing,
    reduceScatter: nothing,
    allgather: nothing,
    close: nothing,
  },
  alltoall: async (from, into) => into.set(from),
  gather: async (text) => [text],
  keptCheckpoint: () => undefined,
  fail: async (error) => {
    throw error;
  },
};
