// Ranks in one process: what many machines say to one another, without MPI and without machines.
import type { World } from "../../src/parallel/world.ts";

/** A rank of a fake run, and what it did. */
export interface FakeWorld extends World {
  /** Its calls in order, as "sum of 12 Float32Array". */
  readonly calls: readonly string[];
  /** The checkpoints it told of, in order. */
  readonly kept: readonly string[];
  /** Whether it was closed in good order. */
  readonly closed: boolean;
}

type Numbers = Float32Array | Float64Array | Uint8Array;

/** What one rank brought to a call that the others still have to make. */
interface Arrival {
  readonly what: string;
  /** Of the caller: written when all have come. */
  readonly values?: Numbers;
  /** Where an alltoall is written to, in place of `values`. */
  readonly into?: Numbers;
  /** As they were when the call was made: MPI may read them at any moment, so they must stay. */
  readonly before?: Numbers;
  readonly text?: string;
  readonly resolve: (texts: readonly string[]) => void;
  readonly reject: (error: unknown) => void;
}

type Meeting = (Arrival | undefined)[];

/**
 * `n` ranks of one run in this process. The k-th call of each meets the k-th calls of all others; sums are made as rank
 * 0 + 1 + ..., in the numbers' own precision. Where the calls that meet differ in kind, length or type, all of them and
 * all later ones throw; also where values change while a call has them. After `fail` the calls of the others throw its
 * error.
 */
export function fakeWorlds(n: number): FakeWorld[] {
  const meetings = new Map<number, Meeting>();
  let broken: { readonly error: unknown } | undefined;

  const breakWith = (error: unknown): void => {
    broken ??= { error };
    for (const meeting of meetings.values()) for (const arrival of meeting) arrival?.reject(broken.error);
    meetings.clear();
  };

  const names = Array.from({ length: n }, (_, rank) => `rank ${rank} of ${n} on fakehost`);

  const shared = (values: Numbers): string => {
    if (values.length % n > 0) throw new RangeError(`${kindOf(values)} among ${n} ranks`);
    return kindOf(values);
  };

  /** The first thing that is wrong with a meeting, rank by rank. */
  const wrong = (meeting: Meeting): string | undefined => {
    const first = meeting.findIndex((arrival) => arrival !== undefined);
    for (const [rank, arrival] of meeting.entries()) {
      if (arrival && arrival.what !== meeting[first]!.what)
        return `${names[first]} calls ${meeting[first]!.what}, ${names[rank]} calls ${arrival.what}`;
      if (arrival?.values?.some((value, i) => !Object.is(value, arrival.before![i])))
        return `${names[rank]} changed its values during its ${arrival.what}`;
    }
    return undefined;
  };

  return names.map((name, rank): FakeWorld => {
    const calls: string[] = [];
    const kept: string[] = [];
    let closed = false;

    const call = (
      what: string,
      brought: { values?: Numbers; into?: Numbers; text?: string } = {},
    ): Promise<readonly string[]> =>
      new Promise((resolve, reject) => {
        if (broken) return reject(broken.error);
        if (closed) return reject(new Error(`${name} calls ${what} after close`));
        const k = calls.push(what) - 1;
        const meeting: Meeting = meetings.get(k) ?? Array.from({ length: n }, () => undefined);
        meetings.set(k, meeting);
        const before = brought.values && { before: brought.values.slice() };
        meeting[rank] = { what, ...brought, ...before, resolve, reject };
        const fault = wrong(meeting);
        if (fault !== undefined) return breakWith(new Error(`ranks out of step at call ${k}: ${fault}`));
        const there = meeting.filter((arrival) => arrival !== undefined);
        if (there.length < n) return undefined;
        meetings.delete(k);
        meet(what, there);
        return undefined;
      });

    return {
      ...{ rank, size: n, localRank: rank, localSize: n, name, calls, kept },
      get closed() {
        return closed;
      },
      sum: async (values) => void (await call(`sum of ${kindOf(values)}`, { values })),
      max: async (values) => void (await call(`max of ${kindOf(values)}`, { values })),
      broadcast: async (values) => void (await call(`broadcast of ${kindOf(values)}`, { values })),
      reduceScatter: async (values) => void (await call(`reduceScatter of ${shared(values)}`, { values })),
      allgather: async (values) => void (await call(`allgather of ${shared(values)}`, { values })),
      alltoall: async (from, into) => {
        if (into.length !== from.length) throw new RangeError(`${from.length} bytes into ${into.length}`);
        await call(`alltoall of ${shared(from)}`, { values: from, into });
      },
      gather: (text) => call("gather", { text }),
      keptCheckpoint: (path) => void kept.push(path),
      fail: async (error) => {
        breakWith(error);
        throw error;
      },
      close: async () => {
        await call("close");
        closed = true;
      },
    };
  });
}

const kindOf = (values: Numbers): string => `${values.length} ${values.constructor.name}`;

/** Carries out a call that all have made; `there` is by rank. */
function meet(what: string, there: readonly Arrival[]): void {
  const texts = there.map(({ text }) => text ?? "");
  const all = there.flatMap(({ before }) => before ?? []);
  const length = all[0]?.length ?? 0;
  const share = length / there.length;
  const part = (values: Numbers, rank: number) => values.subarray(rank * share, (rank + 1) * share);
  for (const [rank, { values, into, resolve }] of there.entries()) {
    if (what.startsWith("sum")) values!.set(folded(all, (a, b) => a + b));
    if (what.startsWith("max")) values!.set(folded(all, Math.max));
    if (what.startsWith("broadcast")) values!.set(all[0]!);
    if (what.startsWith("reduceScatter")) {
      const sum = folded(all, (a, b) => a + b);
      values!.fill(Number.NaN); // of no use
      part(values!, rank).set(part(sum, rank));
    }
    if (what.startsWith("allgather"))
      for (const [r, one] of all.entries()) part(values!, r).set(part(one, r));
    if (what.startsWith("alltoall"))
      for (const [r, one] of all.entries()) part(into!, r).set(part(one, rank));
    resolve(texts);
  }
}

/** All ranks' numbers as one, in rank order and in the numbers' own precision. */
function folded(all: readonly Numbers[], join: (a: number, b: number) => number): Numbers {
  const result = all[0]!.slice();
  for (const values of all.slice(1))
    for (const [i, value] of values.entries()) result[i] = join(result[i]!, value);
  return result;
}
