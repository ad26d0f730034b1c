// Collective calls of MPI, one after the other, none of which holds up the event loop.
import type { MpiCalls, Name } from "./mpicalls.ts";
import type { Constants, ThreadLevel } from "./mpikinds.ts";
import { LARGEST_SHARED } from "./world.ts";

type Reducible = Float32Array | Float64Array;
type Sendable = Reducible | Uint8Array;

/**
 * Every rank makes the same calls in the same order, with arrays of the same type and length. Calls may
 * overlap in time and are carried out one after the other. An array must not be written, transferred or unmapped
 * before its call has ended. Ranks that wait for others use no core; only while a large array travels is a thread of
 * libuv's inside MPI, and process.exit would wait for it (`leaveNow` does not). A failed call is a ClimaxError
 * "device", and so is every one after it: the ranks are no longer in step.
 */
export interface Collectives {
  /** Element by element over all ranks, in place. */
  allreduce(values: Reducible, op: "sum" | "max"): Promise<void>;
  /** Rank 0's for all, in place. */
  broadcast(values: Sendable): Promise<void>;
  /** The sums over all ranks of this one's share of the array, in place; the other shares are then of no use. */
  reduceScatter(values: Float32Array): Promise<void>;
  /** Every rank's share of the array, for all, in place. */
  allgather(values: Float32Array | Uint8Array): Promise<void>;
  /** Share r of `from` for rank r, into this one's place there; of one length. */
  alltoall(from: Uint8Array, into: Uint8Array): Promise<void>;
  /** The bytes of every rank, by rank, for all; any length each, under 2 GiB together. */
  gather(bytes: Uint8Array): Promise<Uint8Array[]>;
  barrier(): Promise<void>;
  /** Ends the processes of all ranks by way of the launcher, which exits with this code; may not return. */
  abort(code: number): void;
  /**
   * Ends MPI in good order; every rank calls it, after all else has ended. Launchers take a rank that exits without
   * it for lost and end the others.
   */
  finalize(): Promise<void>;
}

/** Elements of one call, under 2^31 bytes: counts are C ints, and inside libraries bytes have been too. */
const most = 2 ** 27;
/** Bytes up to which an array costs less than the wait for the ranks to come together. */
const small = 2 ** 16;

/** The calls of a library that has been started, on the thread that started it. */
export function collectives(
  c: Constants,
  calls: MpiCalls,
  { rank, size, threadLevel }: { rank: number; size: number; threadLevel: ThreadLevel },
): Collectives {
  const mayThread = threadLevel === "serialized" || threadLevel === "multiple";
  let last: Promise<unknown> = Promise.resolve();

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work);
    last = mine;
    mine.catch(() => undefined); // whoever waits for it, or calls next, hears of it
    return mine;
  };
  const typeOf = (values: Sendable): bigint =>
    values instanceof Float32Array ? c.float : values instanceof Float64Array ? c.double : c.byte;

  /** One call for every part of an array: a blocking one, or the non-blocking one that does the same. */
  const inParts = <T extends Sendable>(
    values: T,
    [blocking, begun]: readonly ["Allreduce", "Iallreduce"] | readonly ["Bcast", "Ibcast"],
    argsOf: (part: T) => unknown[],
  ): Promise<void> =>
    inTurn(async () => {
      const away = mayThread && values.byteLength > small;
      // Blocking calls spin: they begin when all ranks have come.
      if (away) await calls.waited("Ibarrier", c.world);
      for (const part of parts(values, most))
        await (away ? calls.offThread(blocking, ...argsOf(part)) : calls.waited(begun, ...argsOf(part)));
    });

  /** The elements of one of `size` equal shares. */
  const shareOf = ({ length, byteLength }: Sendable): number => {
    if (length % size > 0 || byteLength > LARGEST_SHARED)
      throw new RangeError(`${length} elements among ${size} ranks`);
    return length / size;
  };
  /** As `inParts`, of what cannot be taken apart. */
  const atOnce = async (bytes: number, blocking: Name, begun: Name, args: unknown[]): Promise<void> => {
    if (bytes === 0) return;
    if (!mayThread || bytes <= small) return await calls.waited(begun, ...args);
    await calls.waited("Ibarrier", c.world);
    await calls.offThread(blocking, ...args);
  };
  const reduceScatter = async (values: Float32Array): Promise<void> => {
    const n = shareOf(values);
    const share = new Float32Array(n);
    const args = [values, share, n, c.float, c.sum, c.world];
    await atOnce(values.byteLength, "Reduce_scatter_block", "Ireduce_scatter_block", args);
    values.set(share, rank * n);
  };
  const allgather = async (values: Float32Array | Uint8Array): Promise<void> => {
    const n = shareOf(values);
    const args = [c.inPlace, 0, c.byte, values, n, typeOf(values), c.world];
    await atOnce(values.byteLength, "Allgather", "Iallgather", args);
  };
  const alltoall = async (from: Uint8Array, into: Uint8Array): Promise<void> => {
    const n = shareOf(from);
    if (into.length !== from.length) throw new RangeError(`${from.length} bytes into ${into.length}`);
    await atOnce(from.length, "Alltoall", "Ialltoall", [from, n, c.byte, into, n, c.byte, c.world]);
  };

  const gather = async (bytes: Uint8Array): Promise<Uint8Array[]> => {
    const lengths = new Float64Array(size);
    lengths[rank] = bytes.length;
    await calls.waited("Iallreduce", c.inPlace, lengths, size, c.double, c.sum, c.world);
    const counts = Int32Array.from(lengths);
    const starts = new Int32Array(size);
    for (let i = 1; i < size; i++) starts[i] = starts[i - 1]! + counts[i - 1]!;
    const all = new Uint8Array(lengths.reduce((sum, length) => sum + length));
    all.set(bytes, starts[rank]);
    if (all.length > 0)
      await calls.waited("Iallgatherv", c.inPlace, 0, c.byte, all, counts, starts, c.byte, c.world);
    return Array.from(starts, (from, i) => all.slice(from, from + counts[i]!));
  };

  const barrier = () => inTurn(() => calls.waited("Ibarrier", c.world));
  return {
    allreduce: (values: Reducible, op: "sum" | "max") =>
      inParts(values, ["Allreduce", "Iallreduce"], (part) => [
        ...[c.inPlace, part, part.length, typeOf(part), c[op], c.world],
      ]),
    broadcast: (values: Sendable) =>
      inParts(values, ["Bcast", "Ibcast"], (part) => [part, part.length, typeOf(part), 0, c.world]),
    reduceScatter: (values: Float32Array) => inTurn(() => reduceScatter(values)),
    allgather: (values: Float32Array | Uint8Array) => inTurn(() => allgather(values)),
    alltoall: (from: Uint8Array, into: Uint8Array) => inTurn(() => alltoall(from, into)),
    gather: (bytes: Uint8Array) => inTurn(() => gather(bytes)),
    barrier,
    abort: (code: number) => calls.now("Abort", c.world, code),
    finalize: async () => {
      await barrier(); // Finalize waits for all ranks on this thread
      calls.now("Finalize");
    },
  };
}

/** Views of an array, of at most `length` elements each; none of an empty one. */
export function* parts<T extends Sendable>(values: T, length: number): Generator<T> {
  for (let from = 0; from < values.length; from += length) yield values.subarray(from, from + length) as T;
}
