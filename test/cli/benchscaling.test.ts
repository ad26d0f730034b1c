/** climax bench scaling: what it reads from logs, what it makes of it, and what it refuses. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readAllreduce } from "../../src/cli/allreducefile.ts";
import { documentOf } from "../../src/cli/benchallreduce.ts";
import { parseBytes, parseRate, parseSeconds } from "../../src/cli/quantity.ts";
import { readRun } from "../../src/cli/scalingruns.ts";
import type { Tensor } from "../../src/engine/tensor.ts";
import { bucketCount } from "../../src/train/buckets.ts";
import { kinds } from "../../src/train/scaling.ts";
import { climax } from "../support/climax.ts";
import { trainToy } from "../support/toyrun.ts";
import { writeToySet } from "../support/toyset.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-bench-scaling-"));
});
afterAll(() => rmSync(root, { recursive: true }));

const training = { batchSize: 8, microBatch: 8, accumulate: 1, seed: 1 };
const settings = { precision: "f32", model: { depth: 2 }, training };
const noon = Date.UTC(2026, 0, 1, 12);

/** A log whose lines are so many seconds after noon. */
function writeRun(name: string, lines: readonly (readonly [seconds: number, entry: object])[]): string {
  const dir = join(root, name);
  mkdirSync(dir, { recursive: true });
  const text = lines.map(([seconds, entry]) =>
    JSON.stringify({ ...entry, time: new Date(noon + 1000 * seconds).toISOString() }),
  );
  writeFileSync(join(dir, "log.jsonl"), `${text.join("\n")}\n`);
  return dir;
}

/** Every step takes `seconds`, but for the first ones, which take thrice as long. */
function steadyRun(
  name: string,
  ranks: number,
  seconds: number,
  waited: number,
  change: object = {},
): string {
  const start = {
    ...{ event: "start", step: 0, adapter: "llvmpipe", gradient_bytes: 80e6, gradient_buckets: 8 },
    ...(ranks > 1 ? { ranks, hosts: Array.from({ length: ranks }, (_, r) => `node${r}`) } : {}),
    settings: { ...settings, training: { ...training, accumulate: ranks }, ...change },
  };
  const steps = Array.from({ length: 13 }, (_, i): [number, object] => {
    const at = 3 * Math.min(i, 4) + Math.max(0, i - 4);
    const waiting = ranks > 1 ? { seconds_waiting_for_ranks: i < 5 ? 10 : waited } : {};
    return [at * seconds, { event: "step", step: i + 1, ...waiting }];
  });
  return writeRun(name, [[0, start], ...steps]);
}

/** Measured between two hosts: 10 ms and 80 MB/s, or slower. */
function writeMeasured(name: string, change: object = {}): string {
  const facts = {
    ...({
      library: "libmpi.so.40",
      version: "Open MPI v4.1.4",
      kind: "Open MPI",
      threadLevel: "multiple",
    } as const),
    ...{ rank: 0, size: 2, localRank: 0, localSize: 1, hosts: ["node0", "node1"] },
  };
  const rows = kinds.flatMap((kind, i) =>
    [4, 1e5, 8e6, 80e6].map((bytes) => {
      const median = bytes === 4 ? 1e-3 : (i + 1) * (10 + bytes / 80e3); // by shares takes twice as long, as halves thrice
      return { kind, bytes, calls: 3, median, most: median };
    }),
  );
  const path = join(root, name);
  writeFileSync(path, JSON.stringify({ ...documentOf(facts, rows), ...change }));
  return path;
}

const of = async (...argv: string[]): Promise<string> => {
  const { code, out, err } = await climax("bench", "scaling", ...argv);
  expect(err).toBe("");
  expect(code).toBe(0);
  return out;
};

test("amounts, as people write them", () => {
  expect(["432MB", "432 mb", "412MiB", "4.32e8", "12B", "1.5GB"].map(parseBytes)).toEqual([
    ...[432e6, 432e6, 412 * 2 ** 20, 432e6, 12, 1.5e9],
  ]);
  expect(["200gbit", "200 Gbit/s", "25GB/s", "100Mbps", "1GiB"].map(parseRate)).toEqual([
    ...[25e9, 25e9, 25e9, 12.5e6, 2 ** 30],
  ]);
  expect(["5us", "5 µs", "0.3ms", "2s", "40ns"].map(parseSeconds)).toEqual([5e-6, 5e-6, 3e-4, 2, 4e-8]);
  for (const none of ["", "MB", "3 apples", "-4MB", "1.2.3MB", "4Mbit"])
    expect(parseBytes(none) ?? Number.NaN).toBeNaN();
  for (const none of ["200", "25Gb", "25gb/s", "fast", "1..2GB"])
    expect(parseRate(none) ?? Number.NaN).toBeNaN();
  for (const none of ["5", "5m", "5 sec", "1.2.3s"]) expect(parseSeconds(none) ?? Number.NaN).toBeNaN();
});

describe("a run's log", () => {
  test("the median step, after the first third of them", async () => {
    expect(await readRun(steadyRun("two", 2, 0.5, 0.125))).toMatchObject({
      ...{
        ranks: 2,
        hosts: 2,
        samples: 8,
        microBatches: 1,
        bytes: 80e6,
        buckets: 8,
        step: 0.5,
        times: 8,
        waited: 0.125,
      },
    });
  });

  test("micro-batches and samples are a rank's own", async () => {
    const change = { training: { ...training, microBatch: 3, accumulate: 8 } };
    expect(await readRun(steadyRun("split", 4, 1, 0, change))).toMatchObject({
      samples: 16,
      microBatches: 6,
    });
  });

  test("how its gradients travelled", async () => {
    const start = { event: "start", settings, ranks: 2 };
    const steps = [1, 2, 3, 4, 5, 6].map((n): [number, object] => [n, { event: "step", step: n }]);
    const wayOf = async (how: object) =>
      (await readRun(writeRun("way", [[0, { ...start, ...how }], ...steps]))).way;
    expect(await wayOf({})).toBe("f32");
    expect(await wayOf({ shard_optimiser: false, allreduce: "f16" })).toBe("f16");
    expect(await wayOf({ shard_optimiser: true, allreduce: "f32" })).toBe("zero");
    expect(await wayOf({ shard_optimiser: true, allreduce: "f16" })).toBe("zero-f16");
  });

  test("lines every other step, validations, a resumption and a line cut short", async () => {
    const step = (n: number): object => ({ event: "step", step: n });
    const start = { event: "start", settings };
    const dir = writeRun("broken", [
      ...([
        [0, start],
        [1, step(2)],
        [2, step(4)],
        [3, step(6)],
        [4, step(8)],
        [5, step(10)],
      ] as const),
      [6, { ...start, event: "resume" }],
      ...([
        [7, step(8)],
        [9, step(10)],
        [13, step(12)],
      ] as const),
      [15, { event: "validation", step: 12 }],
      ...([
        [99, step(14)],
        [104, step(16)],
        [111, step(18)],
        [117, step(20)],
      ] as const),
    ]);
    writeFileSync(join(dir, "log.jsonl"), `${readFileSync(join(dir, "log.jsonl"), "utf8")}{"event":"st`);
    // Two steps took 2, 4, 5, 7 and 6 s, of which the first two are left out.
    expect(await readRun(dir)).toMatchObject({
      step: 3,
      times: 3,
      waited: 0,
      bytes: undefined,
      ranks: 1,
      hosts: 1,
    });
  });

  test.each([
    ["none", undefined, "log.jsonl: ENOENT", "climax pretrain"],
    ["old", [[0, { event: "start", step: 0 }]], "does not tell with what settings", "again"],
    [
      "short",
      [[0, { event: "start", settings }], ...[1, 2, 3, 4].map((n) => [n, { event: "step", step: n }])],
      "has 3 times of steps, of which the first third is left out; wanted 3 after that",
      "--training.log-every 1",
    ],
  ] as const)("%s: refused", async (name, lines, message, hint) => {
    if (lines) writeRun(name, lines as unknown as [number, object][]);
    await expect(readRun(join(root, name))).rejects.toMatchObject({
      ...{ kind: "data", message: expect.stringContaining(message), hint: expect.stringContaining(hint) },
    });
  });
});

test("everything that is printed can be worked from what is printed", async () => {
  // Buckets of 8 MB every 60 ms, the last at 1.2 s; 0.8 ms a copy; 8 MB / 1.25 GB/s = 6.4 ms, so 4 ranks take 2 (0.75 x
  // 6.4 + 2 x 2) = 17.6 ms, and 6 by the ring 10 (6.4 / 6 + 2) = 30.7. 90 %: 0.9 (1.6 + 10 x 17.6) / (1 - 0.9 x 0.55).
  const flags = ["--step-seconds", "1.2", "--bytes", "80MB", "--buckets", "10", "--backward", "0.5"];
  const net = ["--bandwidth", "10gbit", "--latency", "2ms", "--copy", "10GB/s", "--ranks", "1,4,6"];
  const out = await of(...flags, ...net, "--batch-size", "4", "--efficiency", "0.9");
  expect(out).toBe(`PROJECTION: what follows is computed from these figures, not measured

c  1.20 s       a step of one rank by itself (given)
b  0.500        part of it during which gradients become complete, evenly (given)
S  80.0 MB      gradients in f32 (given)
k  10           buckets (given), each of s = S / k = 8.00 MB
C  10.0 GB/s    copies between device and host, each way
B  10.0 Gbit/s  network, each way (stated)
L  2.00 ms      of a message
R  1            ranks that share a host and its card, neighbours in rank

t(1) = c
f32:  t(N) = (1 - b) c + T(b c / k, e, a, e)
T(x, y, ...) = x + y + ... + (k - 1) max(x, y, ...): k buckets go through stages that each take one at a time
e = s / C
a = the lesser of ring = 2 (N - 1) (s / N / B + L) and halving = 2 ((1 - 1 / P) s / B + log2(P) L), with 2 (s / B + L) more where N > P,
    P the largest power of two up to N: MPI libraries choose among the two by size (Thakur, Rabenseifner and Gropp 2005)

PROJECTION  ranks  hosts      network  a bucket's sum             step  efficiency  samples/s  speed-up
----------  -----  -----  -----------  --------------  -------  ------  ----------  ---------  --------
f32             1      1  10.0 Gbit/s                           1.20 s       100 %       3.33      1.00
f32             4      4  10.0 Gbit/s         17.6 ms  halving  1.22 s      98.4 %       13.1      3.94
f32             6      6  10.0 Gbit/s         30.7 ms  ring     1.23 s      97.4 %       19.5      5.84

PROJECTION: seconds that a step of one rank must take, at least, for an efficiency of 90.0 %: c = 0.9 t(N)

PROJECTION        1 rank  4 ranks  6 ranks
----------------  ------  -------  -------
10.0 Gbit/s, f32  0.00 s   317 ms   549 ms

Efficiency is c / t, samples of a rank being as many however many ranks there are. Not counted: slower ranks that others wait for, input, validation, checkpoints, other traffic; with zero, that each rank updates its share alone.
`);
});

test("a run that trained tells all of it", async () => {
  const set = await writeToySet(join(root, "set"));
  const output = join(root, "trained");
  const { parameters } = await trainToy({ output, sources: [set], training: { maxSteps: 6, batchSize: 2 } });
  const count = [...parameters.values()].reduce((sum, { length }) => sum + length, 0);
  expect(await readRun(output)).toMatchObject({
    ...{ ranks: 1, hosts: 1, way: "f32", samples: 2, microBatches: 1, times: 3, buckets: 1 },
    ...{ bytes: 4 * count, step: expect.any(Number) },
  });
});

test("buckets are counted as they are filled, from the last parameter on", () => {
  const tensors = [4, 16, 4, 4, 1].map((megabytes) => ({
    shape: [2 ** 18, megabytes],
  })) as unknown as Tensor[];
  expect(bucketCount(tensors)).toBe(4); // 1, 4 + 4, 16, 4 MiB
});

test("runs beside one another, and beside what the formula makes of the network between them", async () => {
  const [one, two] = [steadyRun("r1", 1, 1.2, 0), steadyRun("r2", 2, 1.5, 0.25)];
  const json = join(root, "scaling.json");
  const measured = writeMeasured("allreduce.json");
  const out = await of(two, one, "--measured", measured, "--ranks", "8", "--json", json);
  const rows = out
    .split("\n")
    .slice(2, 6)
    .map((line) => line.split(/ {2,}/));
  expect(rows[0]).toEqual([
    ...["run", "ranks", "hosts", "way", "samples of a rank", "step", "samples/s", "efficiency", "waited"],
    "PROJECTION of it",
  ]);
  expect(rows[2]!.slice(1).filter(Boolean)).toEqual(["1", "1", "8", "1.20 s", "6.67", "100 %"]);
  // Eight buckets of 10 MB every 100 ms, the first at 0.5 s; 135 ms a sum and 0.83 ms a copy.
  expect(rows[3]!.slice(1)).toEqual(["2", "2", "f32", "8", "1.50 s", "10.7", "80.0 %", "250 ms", "1.58 s"]);
  expect(out).toContain(
    `B  640 Mbit/s  network, each way (measured, ${measured}: 2 ranks on 2 hosts, each size within a factor of 1.0)`,
  );
  expect(out).toContain("\nL  5.00 ms     ");
  expect(out).toContain(`c  1.20 s      a step of one rank by itself (measured, ${one}: median of 8)`);

  const document = JSON.parse(readFileSync(json, "utf8"));
  expect(document.measured).toMatchObject([
    { ranks: 1, step: 1.2, efficiency: 1 },
    { ranks: 2, step: 1.5, efficiency: 1.2 / 1.5, waited: 0.25 },
  ]);
  expect(document.measured[1].projection).toBeCloseTo(1.2 / 3 + 0.1 + 8 * 0.135 + 2 * (10e6 / 12e9), 6);
  expect(document.projection.note).toMatch(/^PROJECTION/);
  expect(document.projection.inputs).toMatchObject({
    ...{
      compute: { value: 1.2 },
      bytes: { value: 80e6, from: one },
      buckets: { value: 8, from: one },
    },
    networks: [{ perHost: 1, paces: { whole: { rate: null, call: 0 } } }],
  });
  expect(document.projection.steps).toMatchObject([{ ranks: 8, way: "f32", projection: true }]);
});

test("beside a stated network what was measured is what hosts can do", async () => {
  const run = steadyRun("r1", 1, 1.2, 0);
  const out = await of(
    run,
    "--measured",
    writeMeasured("allreduce.json"),
    "--bandwidth",
    "200gbit",
    "--ranks",
    "2",
  );
  expect(out).toMatch(/^B {2}200 Gbit\/s +network, each way \(stated; of hosts measured, .*\)$/m);
  expect(out).toMatch(/^H {2}80\.0 MB\/s \(whole\) +what a rank adds up/m);
  expect(out).toMatch(/^o {2}10\.0 ms \(whole\) +a sum of nothing/m);
  expect(out).toMatch(/^a = o \+ the lesser of ring = 2 \(N - 1\) \(s \/ N \/ V \+ L\)/m);
  expect(out).toMatch(/^f32 +2 +2 +200 Gbit\/s +135 ms/m); // 10 ms + 10 MB / 80 MB/s + 2 x 5 µs
});

test("halves and shares as they were measured, slower than the network", async () => {
  const flags = ["--step-seconds", "1.2", "--bytes", "80MB", "--measured", writeMeasured("allreduce.json")];
  const out = await of(...flags, "--ways", "f32,f16,zero", "--ranks", "2");
  // Halves: thrice the time for 257/512 of the bytes.
  expect(out).toMatch(/^H {2}no limit \(whole\), 13\.4 MB\/s \(halves\), 40\.0 MB\/s \(shares\) /m);
  expect(out).toMatch(/^o {2}0\.00 s \(whole\), 0\.00 s \(halves\), 0\.00 s \(shares\) /m);
  const sums = out
    .split("\n")
    .flatMap((line) => /^(f32|f16|zero) .* ([\d.]+ ms) {2}[a-z]/.exec(line)?.slice(1) ?? []);
  // 8 MB / 80 MB/s + 10 ms; 3 x 8 MB / 80 MB/s + 2 messages of 5 ms; half of 2 x 8 MB / 80 MB/s + one message.
  expect(sums).toEqual(["f32", "110 ms", "f16", "310 ms", "zero", "105 ms"]);
});

test("without a one-rank run a step is one of ranks, but for the time they waited", async () => {
  const out = await of(steadyRun("r4", 4, 2, 0.5), "--bandwidth", "1gbit");
  expect(out).toMatch(/^c {2}1\.50 s +.* of 4 ranks, without the time they waited/m);
  expect(out).toMatch(/r4 +4 +4 +f32 +8 +2\.00 s +16\.0 +500 ms$/m); // no efficiency
});

test("every way has its line, its rows and its formula", async () => {
  const flags = ["--step-seconds", "0.85", "--parameters", "108e6", "--ranks-per-host", "8"];
  const out = await of(
    ...flags,
    "--ways",
    "f32,f16,zero,zero-f16",
    "--bandwidth",
    "100gbit,25gbit",
    "--ranks",
    "80",
  );
  const rows = out.split("\n").filter((line) => /^\S+ +80 +10 /.test(line));
  expect(rows.map((line) => line.split(/ {2,}/)[0])).toEqual([
    ...["f32", "f16", "zero", "zero-f16", "f32", "f16", "zero", "zero-f16"],
  ]);
  for (const name of ["a", "g", "x"]) expect(out).toMatch(new RegExp(`^${name} = `, "m"));
  expect(out).toContain("R (N - R) s' / N / B");
  expect(out).toContain("as fast among themselves as between hosts");
  expect(out).toContain("(108 million parameters)");
});

test("how long a step must take is told without one", async () => {
  const out = await of("--parameters", "108e6", "--efficiency", "0.9");
  expect(out).not.toContain("speed-up");
  expect(out).toMatch(/^PROJECTION +8 ranks +80 ranks +1024 ranks$/m);
  expect(out.split("\n").filter((line) => line.includes("Gbit/s, f32")).length).toBe(3);
});

describe("refused", () => {
  const step = ["--step-seconds", "1"];
  const all = [...step, "--bytes", "1MB"];
  test.each<[string[], string]>([
    [[], "nothing says how long a step of one rank takes"],
    [step, "nothing says how large the gradients are"],
    [[...all, "--parameters", "1e6"], "found both --bytes and --parameters"],
    [
      [...all, "--bandwidth", "25Gb"],
      '--bandwidth[0] is "25Gb": wanted bits or bytes a second, like 200gbit or 25GB/s',
    ],
    [[...all, "--bandwidth", "0gbit"], "wanted bits or bytes"],
    [[...all, "--latency", "5"], '--latency is "5": wanted a time, like 5us'],
    [[...step, "--bytes", "many"], '--bytes is "many": wanted bytes, like 432MB'],
    [[...all, "--ranks", "0"], "--ranks"],
    [[...all, "--ranks-per-host", "0"], "--ranks-per-host"],
    [[...all, "--backward", "1"], "--backward"],
    [[...all, "--efficiency", "1"], "--efficiency"],
    [[...all, "--ways", "f8"], "--ways"],
    [[...all, "--mpi", "libmpi.so"], "bench scaling takes no --mpi"],
    [[...all, "--leads", "24"], "bench scaling takes no --leads"],
    [[...all, "--measured", "/nowhere/allreduce.json"], "cannot read /nowhere/allreduce.json"],
  ])("%j", async (argv, message) => {
    const { code, err } = await climax("bench", "scaling", ...argv);
    expect(err).toContain(message);
    expect(code).toBe(2);
  });

  test("what only scaling takes", async () => {
    const { code, err } = await climax("bench", "data", "sets/era5", "--bandwidth", "1gbit");
    expect([code, err]).toEqual([2, expect.stringContaining("bench data takes no --bandwidth")]);
  });

  test("runs beside --step-seconds, of two models, without the size of their gradients", async () => {
    const one = steadyRun("r1", 1, 1.2, 0);
    const refusal = async (...argv: string[]) => (await climax("bench", "scaling", ...argv)).err;
    expect(await refusal(one, ...step)).toContain("found both --step-seconds and runs");
    const other = steadyRun("deep", 2, 1, 0, { model: { depth: 3 } });
    expect(await refusal(one, other)).toContain(`${one} and ${other} trained other models`);
    const dir = writeRun("silent", [
      [0, { event: "start", settings }],
      ...[1, 2, 3, 4, 5, 6].map((n): [number, object] => [n, { event: "step", step: n }]),
    ]);
    expect(await refusal(dir)).toContain("do not say how large the gradients are");
  });

  test("files that are none of climax bench allreduce, or say too little", async () => {
    const path = join(root, "other.json");
    for (const [text, message] of [
      ["{", "it is not as wanted"],
      ['{"what":"scaling"}', "what is not as wanted"],
    ] as const) {
      writeFileSync(path, text);
      await expect(readAllreduce(path)).rejects.toMatchObject({
        ...{ kind: "data", message: expect.stringContaining(message) },
      });
    }
    const row = { kind: "whole", bytes: 1e6, calls: 1, median_ms: 1, nine_of_ten_ms: 1 };
    await expect(
      readAllreduce(writeMeasured("single.json", { rows: [row, row, { ...row, bytes: 2 ** 16 }] })),
    ).rejects.toThrow('has 1 size for sums of the kind "whole" beyond 64 KiB; wanted two or more');
    const flat = writeMeasured("flat.json", { rows: [row, { ...row, bytes: 8e6, median_ms: 0.5 }] });
    const { err } = await climax("bench", "scaling", ...all, "--measured", flat);
    expect(err).toContain('larger sums of the kind "whole" take no longer than small ones');
    const latency = [...all, "--measured", writeMeasured("allreduce.json"), "--latency", "5us"];
    expect((await climax("bench", "scaling", ...latency)).err).toContain("found --latency and --measured");
  });
});
