/** Files of shares of a run: they give back what was written, merge in any order, and damaged ones are refused. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { readPart, writePart } from "../../src/eval/partfile.ts";
import { mergeRuns, type Run, type RunFacts } from "../../src/eval/run.ts";
import { makeGrid } from "../../src/grid/grid.ts";
import type { LeadStatistics } from "../../src/scores/statistics.ts";
import { tinyFolder } from "./tinyfiles.ts";

const facts: RunFacts = {
  version: "0.1.0",
  bench: "weatherbench",
  definition: "climax",
  anomalies: null,
  climatology: "the mean of clim.nc",
  averageHours: null,
  initialTimes: ["2018-01-01T00:00:00", "2018-01-04T00:00:00"],
  validTimes: ["2018-01-02T00:00:00", "2018-01-05T00:00:00"],
  systems: [{ name: "ours", files: ["a.nc"], members: 1, made: ["climax"] }],
  truth: ["truth.nc"],
  synthetic: true,
  units: { "2m_temperature": "K" },
  regions: ["global"],
  whole: "global",
  land: [0, 0.25, 0.5, 1],
  files: [{ path: "a.nc", bytes: 12, sha256: "ab" }],
};
const day = 86400;
const time = (days: number) => ({ calendar: "noleap" as const, seconds: days * day });

/** One lead of the forecasts from these days, whose error is the day. */
const lead = (days: readonly number[]): LeadStatistics => ({
  variable: "2m_temperature",
  leadHours: 24,
  initial: days.map(time),
  valid: days.map((d) => time(d + 1)),
  series: [
    {
      system: "ours",
      metric: "rmse",
      region: "global",
      size: 2,
      values: Float64Array.from(days.flatMap((d) => (d === 3 ? [Number.NaN, Number.NaN] : [d + 0.1, 1]))),
    },
  ],
  cells: [
    {
      system: "ours",
      metric: "maps",
      size: 1,
      forecasts: days.length,
      sums: new Float64Array(4).fill(days.reduce((a, b) => a + b, 0)),
      rest: new Float64Array(4),
    },
  ],
  profiles: [],
});

const runOf = (days: readonly number[], index = 1, count = 1): Run => ({
  facts,
  notes: [`share ${index}`],
  share: { index, count },
  statistics: {
    grid: makeGrid([-60, 0], [0, 180]),
    systems: ["ours", "persistence"],
    metrics: ["rmse"],
    regions: ["global"],
    leads: [lead(days)],
  },
});

let folder: string;
beforeAll(async () => {
  folder = await tinyFolder();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function written(name: string, run: Run): Promise<string> {
  const path = join(folder, name);
  await writePart(path, run);
  return path;
}

async function failure(work: Promise<unknown> | (() => unknown)): Promise<ClimaxError> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    expect(error).toBeInstanceOf(ClimaxError);
    return error as ClimaxError;
  }
  throw new Error("nothing was refused");
}

test("a share comes back as it was written, to the bit", async () => {
  const run = runOf([0, 3, 5]);
  const back = await readPart(await written("whole.part", run));
  expect(back).toEqual(run);
});

describe("merging", () => {
  test("shares in any order give the run that one process has", async () => {
    const parts = [runOf([0, 3], 1, 3), runOf([1, 4], 2, 3), runOf([2], 3, 3)].map((run, i) => ({
      path: `${i}.part`,
      run,
    }));
    const whole = runOf([0, 1, 2, 3, 4]);
    for (const order of [
      [0, 1, 2],
      [2, 0, 1],
      [1, 2, 0],
    ]) {
      const merged = mergeRuns(order.map((i) => parts[i]!));
      expect(merged.statistics).toEqual(whole.statistics);
      expect(merged.notes).toEqual(["share 1", "share 2", "share 3"]);
      expect(merged.share).toBeUndefined();
    }
  });

  const part = (path: string, index: number, count: number, other: Partial<RunFacts> = {}) => ({
    path,
    run: { ...runOf([index], index, count), facts: { ...facts, ...other } },
  });

  test("a share that is lacking, there twice, of another number, of another run", async () => {
    expect(await failure(() => mergeRuns([part("b", 2, 4), part("a", 1, 4)]))).toMatchObject({
      message: "of 4 shares 2 were given; 3/4, 4/4 are lacking",
      hint: "make them with --shard 3/4 --part FILE, or give all the files",
    });
    expect(await failure(() => mergeRuns([part("a", 1, 2), part("b", 1, 2)]))).toMatchObject({
      message: "a and b are both share 1/2",
    });
    expect(await failure(() => mergeRuns([part("a", 1, 2), part("b", 2, 3)]))).toMatchObject({
      message: "b is share 2/3, a share 1/2",
    });
    const other = part("b", 2, 2, { definition: "weatherbench2" });
    expect(await failure(() => mergeRuns([part("a", 1, 2), other]))).toMatchObject({
      message: "b and a are shares of two runs: they differ in the definition",
      hint: "make all shares with the same command line but for --shard and --part, and the same files",
    });
  });
});

describe("files that are none", () => {
  test("another file, an empty one, one that ends early", async () => {
    const json = join(folder, "scores.json");
    writeFileSync(json, '{"format":"climax-scores"}\n');
    expect((await failure(readPart(json))).message).toBe(
      `${json} is no share of an evaluation: format: Invalid input: expected "climax-evaluation-part"`,
    );
    const empty = join(folder, "empty.part");
    writeFileSync(empty, "");
    expect((await failure(readPart(empty))).message).toContain("its first line is no JSON");
    const path = await written("cut.part", runOf([0, 1]));
    writeFileSync(path, readFileSync(path).subarray(0, -8));
    expect(await failure(readPart(path))).toMatchObject({
      kind: "data",
      message: expect.stringMatching(
        /cut\.part is not as it was written: the checksum at its end is not that/,
      ),
      hint: "copy it again, or make this share again",
    });
  });

  test("any damage is refused, of the numbers and of what says where they lie", async () => {
    const path = await written("damaged.part", runOf([0, 1, 2]));
    const good = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(7), async (at, bit) => {
        const bytes = Buffer.from(good);
        bytes[at]! ^= 1 << bit;
        writeFileSync(path, bytes);
        expect(await failure(readPart(path))).toMatchObject({ kind: "data" });
      }),
      { numRuns: 300 },
    );
  });
});
