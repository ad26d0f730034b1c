// The projection to many ranks: cases worked by hand, limits, and simulations that know nothing of its formulas.
import { describe, expect, test } from "vitest";
import { BLOCK, BLOCK_WORDS } from "../../src/ops/wire.ts";
import {
  allToAll,
  fitSums,
  HALF,
  halving,
  leastCompute,
  messagesOf,
  type Network,
  pass,
  pipeline,
  stagesOf,
  stepOf,
  type Way,
  type Work,
  ways,
} from "../../src/train/scaling.ts";

const work: Work = { compute: 1.2, backward: 0.5, bytes: 80e6, buckets: 10 };
/** Hosts that add up `rate` bytes/s, each call after so many seconds, of all kinds. */
const pacesOf = (rate: number, call = 0): Pick<Network, "paces"> => {
  const pace = { rate, call };
  return { paces: { whole: pace, shares: pace, halves: pace } };
};
const none: Network = { bandwidth: Infinity, latency: 0, perHost: 1, copy: Infinity, ...pacesOf(Infinity) };
const net: Network = { ...none, bandwidth: 1e9, latency: 1e-3, copy: 10e9 };
const counts = [2, 3, 4, 5, 7, 8, 16, 80, 1024];

/** Every rank's array added up as the algorithms do it, messages between clocks; what the last rank's clock says. */
function simulated(algorithm: "ring" | "halving", n: number, values: number, rate: number, latency: number) {
  const data = Array.from({ length: n }, (_, r) => Array.from({ length: values }, (_, i) => i + 10 * r));
  const clocks = Array.from({ length: n }, () => 0);
  /** One round: all messages leave at once; both ends of each are busy until it is there. */
  const round = (messages: { from: number; to: number; at: number; count: number; add: boolean }[]) => {
    const sent = messages.map(({ from, at, count }) => data[from]!.slice(at, at + count));
    const before = [...clocks];
    for (const [m, { from, to, at, count, add }] of messages.entries()) {
      const there = Math.max(before[from]!, before[to]!) + (4 * count) / rate + latency;
      clocks[to] = Math.max(clocks[to]!, there);
      clocks[from] = Math.max(clocks[from]!, there);
      for (const [i, value] of sent[m]!.entries()) data[to]![at + i] = (add ? data[to]![at + i]! : 0) + value;
    }
  };
  const ranks = Array.from({ length: n }, (_, r) => r);
  if (algorithm === "ring") {
    const count = values / n;
    const piece = (r: number): number => (((r % n) + n) % n) * count;
    for (let t = 0; t < n - 1; t++)
      round(ranks.map((r) => ({ from: r, to: (r + 1) % n, at: piece(r - t), count, add: true })));
    for (let t = 0; t < n - 1; t++)
      round(ranks.map((r) => ({ from: r, to: (r + 1) % n, at: piece(r + 1 - t), count, add: false })));
  } else {
    let power = 1;
    while (2 * power <= n) power *= 2;
    const extra = ranks.filter((r) => r >= power);
    const fold = (add: boolean) => (r: number) => {
      const [from, to] = add ? [r, r - power] : [r - power, r];
      return { from, to, at: 0, count: values, add };
    };
    if (extra.length > 0) round(extra.map(fold(true)));
    const own = ranks.slice(0, power).map(() => ({ at: 0, count: values }));
    for (let mask = 1; mask < power; mask *= 2) {
      const halves = own.map(({ at, count }, r) => {
        const upper = (r & mask) > 0;
        const half = count / 2;
        return {
          keep: { at: upper ? at + half : at, count: half },
          give: { at: upper ? at : at + half, count: half },
        };
      });
      round(halves.map(({ give }, r) => ({ from: r, to: r ^ mask, ...give, add: true })));
      for (const [r, { keep }] of halves.entries()) own[r] = keep;
    }
    for (let mask = power / 2; mask >= 1; mask /= 2) {
      round(own.map((mine, r) => ({ from: r, to: r ^ mask, ...mine, add: false })));
      for (const [r, { at, count }] of [...own].entries())
        own[r] = { at: Math.min(at, own[r ^ mask]!.at), count: 2 * count };
    }
    if (extra.length > 0) round(extra.map(fold(false)));
  }
  return { data, seconds: Math.max(...clocks) };
}

/** When the last of `k` pieces leaves the last of the stages; each serves whoever came first, one at a time. */
function served(stages: readonly number[], k: number): number {
  const queues = stages.map((_, s) => (s === 0 ? Array.from({ length: k }, (_, i) => i) : []));
  const busy = stages.map(() => undefined as { piece: number; until: number } | undefined);
  let now = 0;
  for (;;) {
    for (const [s, seconds] of stages.entries())
      if (!busy[s] && queues[s]!.length > 0) busy[s] = { piece: queues[s]!.shift()!, until: now + seconds };
    const next = Math.min(...busy.map((one) => one?.until ?? Infinity));
    if (next === Infinity) return now;
    now = next;
    for (const [s, one] of busy.entries()) {
      if (one === undefined || one.until > now) continue;
      busy[s] = undefined;
      queues[s + 1]?.push(one.piece);
    }
  }
}

describe("a sum", () => {
  test("worked by hand: 8 MB over 4 ranks at 1 GB/s, 1 ms a message", () => {
    expect(pass(8e6, 4, 1e9, net)).toBeCloseTo(3 * (2e-3 + 1e-3), 12);
    // Halves of 4 and 2 MB there and back.
    expect(halving(8e6, 4, 1e9, net)).toBeCloseTo(2 * (4e-3 + 2e-3 + 2 * 1e-3), 12);
    // The fifth gives its 8 MB to another first, and gets the sums last.
    expect(halving(8e6, 5, 1e9, net)).toBeCloseTo(16e-3 + 2 * (8e-3 + 1e-3), 12);
  });

  test.each([2, 3, 4, 5, 6, 8, 13, 16])(
    "%i ranks that pass numbers on take as long, and have the sums",
    (n) => {
      const values = 16 * n;
      const sum = Array.from({ length: values }, (_, i) => n * i + 5 * n * (n - 1));
      const of = (algorithm: "ring" | "halving") => simulated(algorithm, n, values, 1e6, 1e-4);
      for (const algorithm of ["ring", "halving"] as const)
        for (const found of of(algorithm).data) expect(found).toEqual(sum);
      const slow = { ...net, latency: 1e-4 };
      expect(of("ring").seconds).toBeCloseTo(2 * pass(4 * values, n, 1e6, slow), 12);
      expect(of("halving").seconds).toBeCloseTo(halving(4 * values, n, 1e6, slow), 12);
      expect(messagesOf(n)).toBe(Math.round(halving(0, n, 1, { ...net, latency: 1 })));
    },
  );

  test("from each to each, a card carries what its ranks have for other hosts", () => {
    const shared = { ...net, perHost: 4 };
    // 16 ranks: 15 pieces of 1 MB at 4 GB/s, but 4 x 12 of them through a card of 1 GB/s.
    expect(allToAll(16e6, 16, 4e9, shared)).toBeCloseTo(48e-3 + 15e-3, 12);
    expect(allToAll(16e6, 16, 1e8, shared)).toBeCloseTo(150e-3 + 15e-3, 12); // the ranks themselves are slower
    for (const n of counts) expect(allToAll(16e6, n, 1e9, net)).toBeCloseTo(pass(16e6, n, 1e9, net), 12);
    expect(allToAll(16e6, 4, 4e9, shared)).toBeCloseTo(3 * (1e-3 + 1e-3), 12); // one host
  });

  test("halves are as large as on the wire", () => {
    expect(HALF).toBe(BLOCK_WORDS / BLOCK);
  });

  test("the better algorithm is taken: few bytes in few messages, many by the ring where ranks are no power of two", () => {
    const algorithm = (ranks: number, latency: number) =>
      stagesOf("f32", work, ranks, { ...net, latency }).algorithm;
    expect([algorithm(1024, 1e-3), algorithm(80, 1e-7)]).toEqual(["halving", "ring"]);
  });

  test("hosts set the pace where they are slower than their network, and alone where they share none", () => {
    const sum = (ranks: number, host: number, bandwidth: number) =>
      stagesOf("f32", work, ranks, { ...none, perHost: 8, bandwidth, ...pacesOf(host) }).during[1];
    expect(sum(16, 1e9, 25e9)).toBe(sum(16, 1e9, 1e9));
    expect(sum(16, 1e9, 1e8)).toBe(sum(16, Infinity, 1e8));
    expect(sum(8, 1e9, 1e8)).toBe(sum(8, 1e9, Infinity));
    expect(sum(8, Infinity, 1e8)).toBeCloseTo((2 * (7 / 8) * 8e6) / 1e8, 12); // what a host can do is not known
  });
});

describe("a step", () => {
  test("worked by hand: all hide but the last bucket's", () => {
    // Buckets of 8 MB every 60 ms; 0.8 ms a copy, 4 ranks by halving: 16 ms. The last goes down, is added up, goes up.
    expect(stagesOf("f32", work, 4, net)).toMatchObject({ algorithm: "halving", after: [] });
    expect(stepOf("f32", work, 4, net)).toBeCloseTo(1.2 + 0.0008 + 0.016 + 0.0008, 12);
  });

  test("worked by hand: the network is behind", () => {
    // At 100 MB/s 124 ms: the first is ready after 0.6 + 0.06 s, then ten sums follow one another.
    const slow = { ...net, bandwidth: 1e8 };
    expect(stepOf("f32", work, 4, slow)).toBeCloseTo(0.66 + 0.0008 + 10 * 0.124 + 0.0008, 12);
  });

  test("worked by hand: shared out, and halves", () => {
    // Shares of 2 MB: 3 x (2 + 1) ms for a bucket, hidden; then 0.2 ms down, ten times 9 ms, the last 0.8 ms up.
    const zero = 1.2 + 0.0008 + 0.009 + 0.0002 + (0.0002 + 10 * 0.009 + 0.0008);
    expect(stepOf("zero", work, 4, net)).toBeCloseTo(zero, 12);
    // 257/512 of 8 MB is 4.015625 MB: there and back 6 x (1.00390625 + 1) ms, and copies of 0.4015625 ms.
    expect(stepOf("f16", work, 4, net)).toBeCloseTo(1.2 + 2 * 0.0004015625 + 6 * 0.00200390625, 12);
    const both = 1.2 + 0.0004015625 + 3 * 0.00200390625 + 0.0002 + (0.0002 + 10 * 0.009 + 0.0008);
    expect(stepOf("zero-f16", work, 4, net)).toBeCloseTo(both, 12);
  });

  test("each way has the pace of its own kind of sum", () => {
    const [whole, shares, halves] = [3, 5, 7].map((call) => ({ rate: Infinity, call }));
    const paces = { whole: whole!, shares: shares!, halves: halves! };
    const of = (way: Way) => stagesOf(way, work, 4, { ...none, paces });
    expect([of("f32").during[1], of("f16").during[1]]).toEqual([3, 7]);
    expect([of("zero").during[1], of("zero").after[1]]).toEqual([2.5, 2.5]); // of one call, two
    expect([of("zero-f16").during[1], of("zero-f16").after[1]]).toEqual([3.5, 2.5]);

    const rates = {
      whole: { rate: 4e9, call: 0 },
      shares: { rate: 2e9, call: 0 },
      halves: { rate: 1e9, call: 0 },
    };
    const sum = (way: Way) => stagesOf(way, work, 4, { ...none, paces: rates }).during[1];
    expect(sum("f32")).toBeCloseTo(12e6 / 4e9, 12);
    expect(sum("zero")).toBeCloseTo(6e6 / 2e9, 12);
    expect(sum("f16")).toBeCloseTo((HALF * 12e6) / 1e9, 12);
  });

  test.each(ways)("%s: nothing to wait for by itself, or where sums take no time", (way) => {
    expect(stepOf(way, work, 1, { ...net, bandwidth: 1 })).toBe(work.compute);
    for (const n of counts) expect(stepOf(way, work, n, none)).toBeCloseTo(work.compute, 12);
  });

  test("without latency the ring's sums have a limit, 2 s / B, that no number of ranks exceeds", () => {
    const sums = counts.map((n) => stagesOf("f32", work, n, { ...none, bandwidth: 1e9 }).during[1]);
    expect(Math.max(...sums)).toBeLessThan(16e-3);
    expect(sums.at(-1)).toBeCloseTo(16e-3, 4);
  });

  test.each(ways)(
    "%s: more compute, bytes or latency never makes it shorter, nor a faster network longer",
    (way) => {
      const of = (change: Partial<Work & Network>, n: number) =>
        stepOf(way, { ...work, ...change }, n, { ...net, perHost: 8, ...change });
      for (const n of counts) {
        const changed = (key: string, value: number): Partial<Work & Network> => {
          if (key === "host") return pacesOf(value);
          return key === "call" ? pacesOf(1e9, value) : { [key]: value };
        };
        const grow = (key: string, values: readonly number[], sign: 1 | -1) => {
          const steps = values.map((value) => sign * of(changed(key, value), n));
          for (const [i, step] of steps.entries())
            if (i > 0) expect(step).toBeGreaterThanOrEqual(steps[i - 1]! - 1e-12);
        };
        grow("compute", [0.1, 0.5, 1, 5, 50], 1);
        grow("bytes", [1e6, 1e7, 1e8, 1e9], 1);
        grow("latency", [0, 1e-6, 1e-4, 1e-2], 1);
        grow("call", [0, 1e-4, 1e-2], 1);
        grow("bandwidth", [1e8, 1e9, 1e10], -1);
        grow("host", [1e8, 1e9, 1e10], -1);
        grow("copy", [1e8, 1e9, 1e10], -1);
        grow("backward", [0.1, 0.5, 0.9], -1);
      }
    },
  );

  test("a queue of buckets before stages that take one at a time ends when the formula says", () => {
    for (const k of [1, 2, 3, 10])
      for (const stages of [
        [3, 1, 2, 1],
        [1, 1, 5, 2],
        [2, 7, 3, 1],
        [1, 2, 3, 8],
        [4, 4, 4, 4],
      ])
        expect(pipeline(stages, k)).toBe(served(stages, k));
    for (const bandwidth of [5e7, 2e8, 1e9, 1e11]) {
      const slow = { ...net, bandwidth };
      for (const n of [2, 5, 80]) {
        const { during } = stagesOf("f32", work, n, slow);
        expect(stepOf("f32", work, n, slow)).toBeCloseTo(0.6 + served([0.06, ...during], 10), 10);
        const zero = stagesOf("zero", work, n, slow);
        const whole = 0.6 + served([0.06, ...zero.during], 10) + served(zero.after, 10);
        expect(stepOf("zero", work, n, slow)).toBeCloseTo(whole, 10);
      }
    }
  });
});

describe("the least compute for an efficiency", () => {
  test.each(ways)("%s: has that efficiency, and less has less", (way) => {
    for (const bandwidth of [1e8, 1e9, 25e9])
      for (const n of counts)
        for (const wanted of [0.5, 0.9, 0.99]) {
          const network = { ...net, bandwidth, latency: 1e-5 };
          const least = leastCompute(way, work, n, network, wanted);
          const efficiency = (compute: number) => compute / stepOf(way, { ...work, compute }, n, network);
          expect(efficiency(least)).toBeCloseTo(wanted, 10);
          expect(efficiency(0.99 * least)).toBeLessThan(wanted);
        }
    expect(leastCompute(way, work, 1, net, 0.9)).toBe(0);
  });
});

describe("fitting measured sums", () => {
  const rows = (call: number, rate: number, n: number, noise = [1, 1, 1, 1]) =>
    [4, 1e4, 1e6, 64e6].map((bytes, i) => ({
      bytes,
      seconds: noise[i]! * (call + (2 * (n - 1) * bytes) / n / rate),
    }));

  test("finds what they were made of", () => {
    for (const n of [2, 3, 8]) {
      const found = fitSums(rows(2e-4, 3e9, n), n)!;
      expect(found.call).toBeCloseTo(2e-4, 10);
      expect(found.rate / 3e9).toBeCloseTo(1, 6);
      expect(found.factor).toBeCloseTo(1, 6);
    }
  });

  test("too fast is as wrong as too slow, for small sizes and large ones", () => {
    const [low, high] = [1, 64].map((bytes) => bytes * 1e6);
    for (const bytes of [low!, high!]) {
      // Of two times of one size, of which one is four times the other, the fit lies at their geometric mean.
      const far = bytes === low ? high! : low!;
      const found = fitSums(
        [
          { bytes, seconds: bytes / 2e9 },
          { bytes, seconds: bytes / 5e8 },
          { bytes: far, seconds: far / 1e9 },
        ],
        2,
      )!;
      expect(found.factor).toBeCloseTo(2, 6);
      expect(found.rate / 1e9).toBeCloseTo(1, 6);
    }
  });

  test("a call never takes less than nothing", () => {
    const found = fitSums(
      [
        { bytes: 1e6, seconds: 1e-3 },
        { bytes: 4e6, seconds: 8e-3 },
      ],
      2,
    )!;
    expect(found.call).toBe(0);
    expect(found.rate).toBeGreaterThan(0);
  });

  test("none where larger arrays take no longer", () => {
    expect(
      fitSums(
        rows(1, 1e300, 2).map((row, i) => ({ ...row, seconds: 1 - i / 10 })),
        2,
      ),
    ).toBeUndefined();
  });
});
