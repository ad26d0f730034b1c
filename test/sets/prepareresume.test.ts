/** An unfinished set: what is kept, what goes on from it, and what is refused. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CfTime, formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { type PrepareOptions, prepare } from "../../src/sets/prepare.ts";
import { appendToSet } from "../../src/sets/prepareappend.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { verifySet } from "../../src/sets/verifyset.ts";
import { type FakeArchiveOptions, fakeArchive, fakeValue, provenance } from "../support/fakearchive.ts";
import { wholeShards } from "../support/wholeshards.ts";

let root: string;
let count = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-resume-"));
});
afterAll(() => rmSync(root, { recursive: true }));

const options: PrepareOptions = {
  train: "2015-12-25..2016-01-01",
  val: "2016-01-02",
  test: "2016-01-03",
  provenance,
};

/** A set that was interrupted after so many of its 40 states. */
async function stopped(states = 33, given: FakeArchiveOptions = {}, how: Partial<PrepareOptions> = {}) {
  const dir = join(root, `set${count++}`);
  const controller = new AbortController();
  const kept: unknown[] = [];
  const work = prepare(fakeArchive(given), dir, {
    ...options,
    ...how,
    signal: controller.signal,
    onStep: (done) => done === states && controller.abort(new Error("stop")),
    onKept: (what) => void kept.push(what),
  });
  await expect(work).rejects.toThrow("stop");
  return { dir, kept };
}

async function refusal(work: Promise<unknown>): Promise<ClimaxError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ClimaxError);
  return error as ClimaxError;
}

describe("an interrupted set", () => {
  test("keeps its whole shards, says so, and is gone on with", async () => {
    const { dir, kept } = await stopped();
    expect(kept).toEqual([{ folder: `${dir}.partial`, done: 2, files: 4 }]);
    await expect(openSet(dir)).rejects.toThrow(`${dir}.partial: unfinished or not a prepared set`);
    const told: unknown[] = [];
    const steps: number[] = [];
    const archive = fakeArchive();
    const read: number[] = [];
    const variable = archive.variables.get("2m_temperature")!;
    const { read: original } = variable;
    variable.read = async (step) => {
      read.push(step);
      return original(step);
    };
    await prepare(archive, dir, {
      ...options,
      onResume: (what) => void told.push(what),
      onStep: (done, total) => void steps.push(done, total),
    });
    expect(told).toEqual([{ folder: `${dir}.partial`, done: 2, files: 4 }]);
    expect(read).toEqual([32, 33, 34, 35, 36, 37, 38, 39]);
    expect(steps.slice(0, 2)).toEqual([33, 40]);
    await verifySet(dir);
    expect(existsSync(`${dir}.partial`)).toBe(false);
    expect(readdirSync(dir)).not.toContain("journal.json");
  });

  test("leaves nothing when no shard was whole", async () => {
    const { dir, kept } = await stopped(20);
    expect(kept).toEqual([]);
    expect(readdirSync(root).filter((name) => dir.endsWith(name.split(".")[0]!))).toEqual([]);
  });

  test("has a journal whose size does not grow with the number of states", async () => {
    const sizes = [];
    for (const stepHours of [6, 1]) {
      const { dir } = await stopped(33 * (6 / stepHours), { stepHours, steps: (40 * 6) / stepHours });
      const files = ["journal.json", "journal.parts/train_2015.json"];
      sizes.push(files.reduce((sum, file) => sum + readFileSync(join(`${dir}.partial`, file)).length, 0));
    }
    expect(sizes[1]! - sizes[0]!).toBeLessThan(50); // digits of the counts
  });

  test("after an error of the input goes on too, when that is mended", async () => {
    const dir = join(root, "broken");
    const broken = fakeArchive();
    broken.variables.get("temperature_850")!.read = async (step) => {
      if (step === 37) throw new ClimaxError("data", "the file ends early", "fetch it again");
      return Float32Array.from({ length: 12 }, (_, cell) =>
        fakeValue("temperature_850", broken.times[step]!, cell),
      );
    };
    await expect(prepare(broken, dir, options)).rejects.toThrow("the file ends early");
    let done = 0;
    const { manifest } = await prepare(fakeArchive(), dir, {
      ...options,
      onResume: (what) => (done = what.done),
    });
    expect(done).toBe(3);
    const { manifest: wanted } = await prepare(fakeArchive(), join(root, "unbroken"), options);
    expect(manifest.checksums).toEqual(wanted.checksums);
    expect(manifest.mean).toEqual(wanted.mean);
  });
});

describe("another recipe", () => {
  test.each<[string, FakeArchiveOptions, Partial<PrepareOptions>, string]>([
    [
      "other periods",
      {},
      { val: "2016-01-02T00..2016-01-02T12" },
      "val: 2016-01-02 then, 2016-01-02T00..2016-01-02T12 now",
    ],
    ["a split less", {}, { test: undefined }, "test: 2016-01-03 then, not given now"],
    [
      "other variables",
      {},
      { variables: ["t2m"] },
      "variables: 2m_temperature, temperature_850 then, 2m_temperature now",
    ],
    ["other times", { without: [3] }, {}, "states: 40 from 2015-12-25T00:00:00"],
    ["another type", {}, { dtype: "float16" }, "dtype: float32 then, float16 now"],
    ["other statistics", {}, { statistics: "climax" }, "stats: train then, climax now"],
    ["more climatologies", {}, { climatology: ["weekly"] }, "climatology: not given then, weekly now"],
  ])("is refused with what differs, and begun anew with --force: %s", async (_, archive, how, message) => {
    const { dir } = await stopped();
    const error = await refusal(prepare(fakeArchive(archive), dir, { ...options, ...how }));
    expect(error.message).toContain(`${dir}.partial holds 2 of 4 files of a set that was begun otherwise: `);
    expect(error.message).toContain(message);
    expect(error.hint).toBe(
      "run the command that it was begun with, which goes on, or start anew with --force",
    );
    // Nothing was touched.
    expect(wholeShards(`${dir}.partial`)).toBe(2);
    let resumed = false;
    await prepare(fakeArchive(archive), dir, {
      ...options,
      ...how,
      force: true,
      onResume: () => (resumed = true),
    });
    expect(resumed).toBe(false);
    await verifySet(dir);
  });

  test("with --force the same recipe goes on all the same, so that the same command does", async () => {
    const { dir } = await stopped(33, {}, { force: true });
    let resumed = false;
    await prepare(fakeArchive(), dir, { ...options, force: true, onResume: () => (resumed = true) });
    expect(resumed).toBe(true);
  });

  test("a filling may be named when the first gap is met, and not be changed after", async () => {
    const hole = (from: string) => (name: string, time: CfTime, cell: number) =>
      cell === 3 && formatTime(time) >= from ? Number.NaN : fakeValue(name, time, cell);
    const late = { value: hole("2016-01-03") };
    const dir = join(root, "holes");
    expect((await refusal(prepare(fakeArchive(late), dir, options))).hint).toContain("--nan-fill mean");
    let done = 0;
    await prepare(fakeArchive(late), dir, {
      ...options,
      nanFill: 250,
      onResume: (what) => (done = what.done),
    });
    expect(done).toBe(3);
    const early = { value: hole("2015-12-26") };
    const other = await stopped(33, early, { nanFill: "mean" });
    const error = await refusal(prepare(fakeArchive(early), other.dir, { ...options, nanFill: 250 }));
    expect(error.message).toContain("nan-fill: mean then, 250 now");
  });
});

describe("what is not as it was", () => {
  test("an input that changed is noted; with --force the set is begun anew", async () => {
    const file = join(root, "input.nc");
    writeFileSync(file, "one");
    const archive = (): ReturnType<typeof fakeArchive> => ({ ...fakeArchive(), paths: [file] });
    for (const force of [false, true]) {
      const dir = join(root, `changed-${force}`);
      const controller = new AbortController();
      const onStep = (done: number) => done === 33 && controller.abort(new Error("stop"));
      const first = prepare(archive(), dir, { ...options, signal: controller.signal, onStep });
      await expect(first).rejects.toThrow("stop");
      utimesSync(file, 1e9, force ? 1e9 : 2e9);
      let resumed = false;
      const { manifest } = await prepare(archive(), dir, {
        ...options,
        force,
        onResume: () => (resumed = true),
      });
      expect(resumed).toBe(!force);
      const note = `${file} changed while the set was made: what had been read of it before stayed as it was`;
      expect(manifest.notes.includes(note)).toBe(!force);
    }
  });

  test("a shard that lost bytes, and a journal that is none", async () => {
    const { dir } = await stopped();
    const shard = join(`${dir}.partial`, "train/2015.npy");
    const bytes = readFileSync(shard);
    writeFileSync(shard, bytes.subarray(0, 500));
    const error = await refusal(prepare(fakeArchive(), dir, options));
    expect(error.message).toContain(
      `train/2015.npy has 500 bytes, the journal of the unfinished set beside it says ${bytes.length}`,
    );
    writeFileSync(join(`${dir}.partial`, "journal.json"), "{");
    const unread = await refusal(prepare(fakeArchive(), dir, options));
    expect(unread.message).toContain("journal.json is damaged or of another version of climax");
    await prepare(fakeArchive(), dir, { ...options, force: true });
    await verifySet(dir);
  });

  test("a folder of that name that is something else is not touched, not even with --force", async () => {
    const dir = join(root, "taken");
    mkdirSync(`${dir}.partial`);
    writeFileSync(join(`${dir}.partial`, "thesis.tex"), "all my work");
    const error = await refusal(prepare(fakeArchive(), dir, { ...options, force: true }));
    expect(error.message).toContain(
      "taken.partial, where the set would grow, exists and is no unfinished set: it has thesis.tex",
    );
    expect(readFileSync(join(`${dir}.partial`, "thesis.tex"), "utf8")).toBe("all my work");
  });

  test("a set that another process is writing is left to it; what a dead one locked is not", async () => {
    const dir = join(root, "locked");
    // The process that runs this one is alive.
    writeFileSync(`${dir}.lock`, `${process.ppid} ${hostname()}`);
    const error = await refusal(prepare(fakeArchive(), dir, options));
    expect(error.message).toBe(`${dir} is being written by process ${process.ppid}`);
    expect(existsSync(`${dir}.lock`)).toBe(true);
    writeFileSync(`${dir}.lock`, `${2 ** 30} ${hostname()}`); // beyond the largest process id of Linux
    await prepare(fakeArchive(), dir, options);
    expect(existsSync(`${dir}.lock`)).toBe(false);
    writeFileSync(`${dir}.lock`, `${process.ppid} ${hostname()}`);
    const more = { test: "2016-01-04", provenance };
    const appending = appendToSet(fakeArchive({ steps: 44 }), dir, more);
    expect((await refusal(appending)).message).toContain("is being written by process");
    rmSync(`${dir}.lock`);
  });
});
