// climax bench allreduce: what it measures, what it prints of it, and what it refuses.
import { describe, expect, test } from "vitest";
import { type Measured, measure, type Ranks } from "../../src/cli/allreducetrials.ts";
import { describe as described, documentOf, perRank } from "../../src/cli/benchallreduce.ts";
import type { MpiFacts } from "../../src/parallel/mpi.ts";
import { kinds } from "../../src/train/scaling.ts";
import { climax } from "../support/climax.ts";
import { fakeWorlds } from "../support/fakeworld.ts";
import { mpiInstalled, mpiKinds, runRanks } from "../support/mpirun.ts";

/** What ranks do together, in one process; `fault` is added to the last number that each call gives. */
const pretend = (n: number, fault = 0) =>
  fakeWorlds(n).map((world) => {
    const faulty = async (call: Promise<void>, values: Float32Array | Float64Array | Uint8Array) => {
      await call;
      if (fault !== 0) values[values.length - 1]! += fault;
    };
    const ranks: Ranks = {
      ...{ rank: world.rank, size: n },
      barrier: async () => void (await world.gather("")),
      allreduce: (values, op) =>
        op === "max" ? world.max(values as Float64Array) : faulty(world.sum(values), values),
      reduceScatter: (values) => faulty(world.reduceScatter(values), values),
      allgather: (values) => faulty(world.allgather(values), values),
      alltoall: (from, into) => faulty(world.alltoall(from, into), into),
    };
    return { world, ranks };
  });

describe("measuring", () => {
  const calls = {
    whole: ["sum of 1536 Float32Array"],
    shares: ["reduceScatter of 1536 Float32Array", "allgather of 1536 Float32Array"],
    halves: ["alltoall of 3084 Uint8Array", "allgather of 3084 Uint8Array"], // 3 blocks of 257 words
  };
  test.for(kinds)("%s: counts its calls and the time they took", async (kind) => {
    const three = pretend(3);
    const all = await Promise.all(three.map(({ ranks }) => measure(ranks, kind, 4 * 1536, 0.02)));
    const [found] = all;
    expect(all).toEqual([found, found, found]);
    expect(found).toMatchObject({ kind, bytes: 4 * 1536 });
    const sums = three[1]!.world.calls.filter((call) => !/^(max|gather)/.test(call));
    // And one to warm up and check.
    expect(sums).toEqual(Array.from({ length: found!.calls + 1 }, () => calls[kind]).flat());
    expect(found!.median).toBeGreaterThan(0);
    expect(found!.most).toBeGreaterThanOrEqual(found!.median);
  });

  test.for([
    ["whole", "sum of 1 Float32Array"],
    ["shares", "allgather of 3 Float32Array"],
    ["halves", "allgather of 3084 Uint8Array"],
  ] as const)("%s: what cannot be shared out is filled up", async ([kind, call]) => {
    const three = pretend(3);
    await Promise.all(three.map(({ ranks }) => measure(ranks, kind, 4, 0.001)));
    expect(three[2]!.world.calls).toContain(call);
  });

  test("takes for a call's time that of the slowest rank", async () => {
    const two = pretend(2).map(({ ranks }) => ({
      ...ranks,
      allreduce: async (values: Float32Array | Float64Array, op: "sum" | "max") => {
        await ranks.allreduce(values, op);
        if (op === "max" && values.length > 1) values.fill(70); // times; one value is whether to go on
      },
    }));
    for (const found of await Promise.all(two.map((ranks) => measure(ranks, "whole", 4, 0.01))))
      expect(found).toMatchObject({ median: 70, most: 70 });
  });

  test("what halves lose is no fault", async () => {
    // 3 (i % 1024) + 3 has up to 12 bits, halves 11.
    const three = pretend(3);
    await Promise.all(three.map(({ ranks }) => measure(ranks, "halves", 8192, 0.001)));
  });

  test.for(kinds)("%s: a wrong sum is an error", async (kind) => {
    const outcomes = await Promise.allSettled(
      pretend(3, 128).map(({ ranks }) => measure(ranks, kind, 8, 0.01)),
    );
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { kind: "device" } });
      expect((outcome as PromiseRejectedResult).reason.message).toMatch(
        `a sum over 3 ranks is wrong (${kind}): element `,
      );
    }
  });

  test("a rank sends 2 (N - 1) / N of an array", () => {
    const one: Measured = { kind: "whole", bytes: 8e6, calls: 3, median: 4, most: 5 }; // 2 GB/s
    expect([2, 4].map((ranks) => perRank(one, ranks))).toEqual([2, 3]);
  });
});

const facts: MpiFacts = {
  ...{ library: "libmpi.so.40", version: "Open MPI v4.1.4", kind: "Open MPI", threadLevel: "multiple" },
  ...{ rank: 0, size: 4, localRank: 0, localSize: 2, hosts: ["a", "a", "b", "b"] },
};
const rows: Measured[] = [
  { kind: "whole", bytes: 4, calls: 900, median: 0.02, most: 0.025 },
  { kind: "shares", bytes: 4, calls: 700, median: 0.04, most: 0.05 },
  { kind: "halves", bytes: 4, calls: 600, median: 0.05, most: 0.06 },
  { kind: "whole", bytes: 4 << 20, calls: 30, median: 2, most: 150 },
  { kind: "shares", bytes: 4 << 20, calls: 20, median: 2.2, most: 3 },
  { kind: "halves", bytes: 4 << 20, calls: 40, median: 1.5, most: 1.6 },
];

test("the table", () => {
  expect(described(facts, rows)).toBe(`Open MPI v4.1.4 (libmpi.so.40), threads multiple: 4 ranks on 2 hosts

float32  calls     median    9 of 10      GB/s  GB/s of a rank  by shares  as halves
-------  -----  ---------  ---------  --------  --------------  ---------  ---------
4 bytes    900  0.0200 ms  0.0250 ms  0.000200        0.000300  0.0400 ms  0.0500 ms
  4 MiB     30    2.00 ms     150 ms      2.10            3.15    2.20 ms    1.50 ms

Each call's time is that of the rank for which it took longest. GB/s is an array's size over the median; of a rank, what each has to send at least, 2 (N - 1) / N of the size.
By shares, the median where a rank gets the sums of its N-th part and then everybody's part, the two exchanges of --shard-optimiser. As halves, with two bytes a number on the way and the host's additions in float32, as --allreduce f16 does; whole blocks of 512 numbers for each rank. Here halves are faster from 4 MiB on.
A call takes 0.0200 ms at least. Gradients of 100 million parameters (400 MB) in pieces of 4 MiB take 0.19 s; training overlaps them with the backward pass.`);
});

test("halves that lose at the largest size are not said to be faster", () => {
  const slow = rows.map((row) => (row.kind === "halves" && row.bytes > 4 ? { ...row, median: 2.5 } : row));
  expect(described(facts, slow)).toContain("Here halves are not faster.");
  const always = rows.map((row) => (row.kind === "halves" ? { ...row, median: 0.01 } : row));
  expect(described(facts, always.toReversed())).toContain("Here halves are faster from 4 bytes on.");
});

test("as JSON, with a row for each kind of sum", () => {
  expect(documentOf(facts, rows.slice(0, 3))).toEqual({
    ...{ what: "allreduce", version: "Open MPI v4.1.4", library: "libmpi.so.40", threads: "multiple" },
    ...{ ranks: 4, hosts: 2 },
    rows: [
      { kind: "whole", bytes: 4, calls: 900, median_ms: 0.02, nine_of_ten_ms: 0.025 },
      { kind: "shares", bytes: 4, calls: 700, median_ms: 0.04, nine_of_ten_ms: 0.05 },
      { kind: "halves", bytes: 4, calls: 600, median_ms: 0.05, nine_of_ten_ms: 0.06 },
    ],
  });
});

describe("refused", () => {
  test.each([
    [["allreduce"], "one process has nobody to exchange arrays with"],
    [["allreduce", "sets/era5"], "bench allreduce takes no sets/era5"],
    [["allreduce", "--workers", "2"], "bench allreduce takes no --workers"],
    [["data", "sets/era5", "--sizes", "4"], "bench data takes no --sizes"],
    [["allreduce", "--sizes", "6"], "--sizes"],
    [["reduce"], 'unknown bench "reduce"'],
  ])("%j", async (argv, message) => {
    const { code, err } = await climax("bench", ...argv);
    expect(err).toContain(message);
    expect(code).toBe(2);
  });
});

describe.each(mpiKinds)("%s (skipped where it is not installed)", (kind) => {
  test.skipIf(!mpiInstalled(kind))("2 ranks measure, one speaks", async () => {
    const argv = ["bench", "allreduce", "--sizes", "4,1048576", "--seconds", "0.1"];
    const { code, out, err } = await runRanks(2, argv, { kind });
    expect(code).toBe(0);
    expect(out[1]! + err[1]!).toBe("");
    expect(out[0]).toMatch(/threads \w+: 2 ranks on 1 host$/m);
    expect(out[0]).toMatch(/^4 bytes +\d+ +[\d.]+ ms/m);
    expect(out[0]).toMatch(/^ +1 MiB +\d+ +[\d.]+ ms/m);
    expect(out[0]).toMatch(/Here halves are (not faster|faster from (1 MiB|4 bytes) on)\./);
  });
});
