/** climax bench data: what it prints of a small set, what it holds against it, and what it refuses. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { climax } from "../support/climax.ts";
import { writeToySet } from "../support/toyset.ts";

let root: string;
let set: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-bench-"));
  set = await writeToySet(join(root, "set"), { names: ["2m_temperature", "temperature_850", "orography"] });
});
afterAll(() => rmSync(root, { recursive: true }));

const quick = ["--seconds", "0.05", "--batch-size", "4"];

test("a table of every way to read, and what it means for training", async () => {
  const { code, out, err } = await climax(
    "bench",
    "data",
    set,
    ...quick,
    "--workers",
    "0,1",
    "--step-seconds",
    "8",
  );
  expect(code).toBe(0);
  const [first, , heading, , ...lines] = out.split("\n");
  // 100 states of 2 variables of 8 x 16, and a file's head of 128 bytes.
  expect(first).toBe(
    `${set}: 3 variables, 8 x 16, 22.5 degrees, float32; 100 KiB to train on, 1 KiB a state, 10 KiB a batch of 4`,
  );
  expect(heading).toMatch(/samples\/s +MB\/s +first batch +file cache$/);
  const rows = lines.slice(0, 5).map((line) => line.split(/ {2,}/));
  expect(rows.map(([what]) => what)).toEqual([
    "files, end to end, the first time",
    "files, end to end, again",
    "single states, random order",
    "batches, main thread",
    "batches, 1 thread",
  ]);
  expect(rows.map((row) => row.at(-1))).toEqual(["unknown", "warm", "warm", "warm", "warm"]);
  for (const [, samples, megabytes] of rows) {
    // A sample is two states of 1 KiB; both numbers are rounded.
    const [rate, bytes] = [Number(samples), Number(megabytes)];
    expect(rate).toBeGreaterThan(0);
    expect(Math.abs(rate * 2048e-6 - bytes)).toBeLessThan(0.51 + rate * 1e-6);
  }
  expect(out).toContain("warm: the set fits in");
  expect(out).toMatch(
    /training asks for 0\.5 samples\/s \(4 in a step of 8 s\): --data\.workers 0 makes \d+\.\d times as many, which is enough/,
  );
  expect(err).toMatch(/^files, end to end, the first time: \d+ samples\/s$/m);
});

test("a set that cannot keep up is said to, with what to do", async () => {
  const { out } = await climax(
    "bench",
    "data",
    set,
    ...quick,
    "--workers",
    "0",
    "--step-seconds",
    "1e-7",
    "-q",
  );
  expect(out).toMatch(
    /training asks for 40000000 samples\/s .*the most is 0\.0 times as many.*training will wait for its data\. Store float16/,
  );
});

test("without a speed to keep up with one is assumed, and named as that", async () => {
  const { out } = await climax("bench", "data", set, ...quick, "--workers", "0", "-q");
  // 344 at 2048 points, 16 times as many at 128.
  expect(out).toContain(
    "training asks for 5504 samples/s (assumed: the paper's model in f16 on an H100, 344 at 32 x 64",
  );
});

test("the speed of a run stands in its log", async () => {
  const log = join(root, "log.jsonl");
  writeFileSync(
    log,
    [
      '{"event":"start","step":0}',
      '{"event":"step","samples_per_second":12.5}',
      '{"event":"step","samples_per_second":11,"x":1}',
      '{"event":"st',
    ].join("\n"),
  );
  const checkpoint = join(root, "last.safetensors");
  const { out } = await climax(
    "bench",
    "data",
    set,
    ...quick,
    "--workers",
    "0",
    "--checkpoint",
    checkpoint,
    "-q",
  );
  expect(out).toContain(`training asks for 13 samples/s (the most in ${log})`);
});

test.each([
  [["data"], "0 sets were given; wanted one"],
  [["data", "a", "b"], "2 sets were given; wanted one"],
  [["date", "a"], 'unknown bench "date"'],
  [["data", "nowhere"], "nowhere"],
])("refused: %j", async (words, message) => {
  const { code, err } = await climax("bench", ...words);
  expect(code).toBe(2);
  expect(err).toContain(message);
});

test("refused: two speeds at once, a log that is not there, leads that the set has not", async () => {
  const of = async (...flags: string[]) => (await climax("bench", "data", set, ...flags)).err;
  expect(await of("--step-seconds", "1", "--checkpoint", "x")).toContain(
    "found both --step-seconds and --checkpoint",
  );
  expect(await of("--checkpoint", join(root, "none", "best.safetensors"))).toContain("log.jsonl: ENOENT");
  expect(await of("--leads", "7")).toContain("no two states 7 h apart");
});
