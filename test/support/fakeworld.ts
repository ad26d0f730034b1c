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
      brought: { values?: Numbers; text?: string } = {},
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

/** Carries out a call that all have made. */
function meet(what: string, there: readonly Arrival[]): void {
  const result = there[0]!.values?.slice();
  for (const { values } of result ? there.slice(1) : []) {
    if (what.startsWith("sum")) for (const [i, value] of values!.entries()) result![i]! += value;
    if (what.startsWith("max"))
      for (const [i, value] of values!.entries()) result![i] = Math.max(result![i]!, value);
  }
  const texts = there.map(({ text }) => text ?? "");
  for (const { values, resolve } of there) {
    if (result) values!.set(result);
    resolve(texts);
  }
}
