// climax bench allreduce: what it measures, what it prints of it, and what it refuses.
import { describe, expect, test, vi } from "vitest";
import { describe as described, measure, perRank } from "../../src/cli/benchallreduce.ts";
import type { MpiFacts } from "../../src/parallel/mpi.ts";
import { climax } from "../support/climax.ts";
import { mpiInstalled, mpiKinds, runRanks } from "../support/mpirun.ts";

/** Calls of rank 1 of 3, of which the others send the same as it does but for what the rank adds. */
const pretend = (fault = 0) => ({
  barrier: async () => undefined,
  allreduce: vi.fn(async (values: Float32Array | Float64Array, op: "sum" | "max") => {
    if (op === "sum") for (let i = 0; i < values.length; i++) values[i] = 3 * values[i]! + fault;
  }),
});

describe("measuring", () => {
  test("counts its calls and the time they took", async () => {
    const calls = pretend();
    const found = await measure({ rank: 1, size: 3 }, calls, 40, 0.02);
    expect(found.bytes).toBe(40);
    const sums = calls.allreduce.mock.calls.filter(([, op]) => op === "sum");
    expect(sums.length).toBe(found.calls + 1); // and one to warm up and check
    expect(sums.every(([values]) => values instanceof Float32Array && values.length === 10)).toBe(true);
    expect(found.median).toBeGreaterThan(0);
    expect(found.most).toBeGreaterThanOrEqual(found.median);
  });

  test("takes for a call's time that of the slowest rank", async () => {
    const calls = pretend();
    const slower = vi.fn(async (values: Float32Array | Float64Array, op: "sum" | "max") => {
      await calls.allreduce(values, op);
      if (op === "max" && values.length > 1) values.fill(70); // times; one value is whether to go on
    });
    const found = await measure({ rank: 1, size: 3 }, { ...calls, allreduce: slower }, 4, 0.01);
    expect(found).toMatchObject({ median: 70, most: 70 });
  });

  test("a wrong sum is an error", async () => {
    await expect(measure({ rank: 1, size: 3 }, pretend(1), 8, 0.01)).rejects.toMatchObject({
      kind: "device",
      message: "a sum over 3 ranks is wrong: element 0 of 2 is 4, wanted 3",
    });
  });

  test("a rank sends 2 (N - 1) / N of an array", () => {
    const one = { bytes: 8e6, calls: 3, median: 4, most: 5 }; // 2 GB/s
    expect([2, 4].map((ranks) => perRank(one, ranks))).toEqual([2, 3]);
  });
});

test("the table", () => {
  const facts: MpiFacts = {
    ...{ library: "libmpi.so.40", version: "Open MPI v4.1.4", kind: "Open MPI", threadLevel: "multiple" },
    ...{ rank: 0, size: 4, localRank: 0, localSize: 2, hosts: ["a", "a", "b", "b"] },
  };
  const text = described(facts, [
    { bytes: 4, calls: 900, median: 0.02, most: 0.025 },
    { bytes: 4 << 20, calls: 30, median: 2, most: 150 },
  ]);
  expect(text).toBe(`Open MPI v4.1.4 (libmpi.so.40), threads multiple: 4 ranks on 2 hosts

float32  calls     median    9 of 10      GB/s  GB/s of a rank
-------  -----  ---------  ---------  --------  --------------
4 bytes    900  0.0200 ms  0.0250 ms  0.000200        0.000300
  4 MiB     30    2.00 ms     150 ms      2.10            3.15

Each call's time is that of the rank for which it took longest. GB/s is an array's size over the median; of a rank, what each has to send at least, 2 (N - 1) / N of the size.
A call takes 0.0200 ms at least. Gradients of 100 million parameters (400 MB) in pieces of 4 MiB take 0.19 s; training overlaps them with the backward pass.`);
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
  });
});
