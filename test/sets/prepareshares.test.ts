/** A set that several processes make: one process's, byte for byte, in whatever order and however often they are stopped. */
import { spawn } from "node:child_process";
import {
  cpSync,
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
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addState, noSums } from "../../src/sets/fieldsums.ts";
import type { Outcome } from "../../src/sets/growset.ts";
import { makeWithin } from "../../src/sets/journal.ts";
import { readManifest } from "../../src/sets/manifest.ts";
import { type PrepareOptions, prepare, prepareTogether } from "../../src/sets/prepare.ts";
import { type AppendOptions, appendTogether, appendToSet } from "../../src/sets/prepareappend.ts";
import { isHold, locks } from "../../src/sets/setlock.ts";
import { verifySet } from "../../src/sets/verifyset.ts";
import { builtScript } from "../support/builtclimax.ts";
import { fakeArchive, provenance } from "../support/fakearchive.ts";
import { fakeWorlds } from "../support/fakeworld.ts";
import { gappyValue, roughArchive, roughPeriods, roughValue } from "../support/rougharchive.ts";
import { setContents } from "../support/setcontents.ts";
import { wholeShards } from "../support/wholeshards.ts";

let root: string;
let count = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-prepare-shares-"));
});
afterAll(() => rmSync(root, { recursive: true }));
const fresh = () => join(root, `set${count++}`);

type Work = (crew: Parameters<typeof prepareTogether>[3]) => Promise<Outcome>;

/** `n` ranks, which wait for one another. */
async function onRanks(n: number, work: Work): Promise<Outcome[]> {
  const meeting = fakeWorlds(n).map((world, i) => {
    const meet = async (files: readonly string[]): Promise<void> => {
      await world.gather("");
      for (const file of files) if (!existsSync(file)) throw new Error(`${file} is not there`);
    };
    return work({ share: { index: i + 1, count: n }, meet });
  });
  return await Promise.all(meeting);
}

/** Jobs of an array, one after the other. */
async function asJobs(shards: readonly string[], work: Work): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const shard of shards) {
    const [index = 0, of = 0] = shard.split("/").map(Number);
    outcomes.push(await work({ share: { index, count: of } }));
  }
  return outcomes;
}

const missing = (outcome: Outcome | undefined) =>
  typeof outcome === "object" && "unfinished" in outcome ? outcome.unfinished.missing : undefined;

test("sums of these states depend on their order", () => {
  const { times } = roughArchive();
  const states = times.map((time) => Float32Array.of(roughValue("2m_temperature", time, 3)));
  const [there, back] = [noSums([1, 1, 1]), noSums([1, 1, 1])];
  for (const state of states) addState(there, state);
  for (const state of states.toReversed()) addState(back, state);
  expect(there.sums[0]).not.toBe(back.sums[0]);
});

const kinds: [string, Partial<PrepareOptions>, typeof roughValue][] = [
  ["float32, all climatologies", { climatology: ["weekly", "dayofyear"] }, roughValue],
  [
    "float16, gaps filled with the mean",
    { dtype: "float16", nanFill: "mean", climatology: ["weekly"] },
    gappyValue,
  ],
  ["gaps filled with a number, statistics of climax", { nanFill: 0.5, statistics: "climax" }, gappyValue],
];

describe.each(kinds)("%s:", (_, how, value) => {
  const options = { ...roughPeriods, ...how };
  let wanted: Record<string, string>;
  beforeAll(async () => {
    const dir = fresh();
    await prepare(roughArchive(value), dir, options);
    await verifySet(dir);
    wanted = setContents(dir);
  });

  test.for([3, 9])("on %i ranks", async (n) => {
    const dir = fresh();
    const outcomes = await onRanks(n, (crew) => prepareTogether(roughArchive(value), dir, options, crew));
    expect(outcomes[0]).toHaveProperty("result");
    expect(outcomes.slice(1)).toEqual(Array.from({ length: n - 1 }, () => "by another rank"));
    expect(setContents(dir)).toEqual(wanted);
  });

  test.for([
    ["1/3", "2/3", "3/3"],
    ["3/3", "3/3", "1/3", "2/3"],
    ["2/2", "1/4", "3/4"],
  ])("as jobs %j", async (shards) => {
    const dir = fresh();
    const outcomes = await asJobs(shards, (crew) => prepareTogether(roughArchive(value), dir, options, crew));
    expect(outcomes.map((outcome) => missing(outcome)?.length ?? 0).at(-2)).toBe(
      shards.length === 3 && shards[1] === "1/4" ? 1 : 2,
    );
    expect(outcomes.at(-1)).toHaveProperty("result");
    expect(setContents(dir)).toEqual(wanted);
    expect(readdirSync(root).filter((name) => dir.endsWith(name.split(".")[0]!))).toHaveLength(1);
  });

  test("stopped in the middle, and gone on with by another number of jobs, then by one process", async () => {
    const dir = fresh();
    const controller = new AbortController();
    const stopping = {
      ...options,
      signal: controller.signal,
      onStep: (done: number) => done === 50 && controller.abort(new Error("stop")),
    };
    const work = asJobs(["2/3"], (crew) => prepareTogether(roughArchive(value), dir, stopping, crew));
    await expect(work).rejects.toThrow("stop");
    expect(wholeShards(`${dir}.partial`)).toBe(1);
    await asJobs(["1/2"], (crew) => prepareTogether(roughArchive(value), dir, options, crew));
    expect(wholeShards(`${dir}.partial`)).toBe(4);
    let done = 0;
    await prepare(roughArchive(value), dir, { ...options, onResume: (what) => (done = what.done) });
    expect(done).toBe(4);
    expect(setContents(dir)).toEqual(wanted);
  });
});

describe("a set that grows within a year and beyond it", () => {
  const options: PrepareOptions = { ...roughPeriods, train: "2001..2003-06", climatology: ["weekly"] };
  const more: AppendOptions = { train: "2003-07..2004", provenance };
  let small: string;
  let wanted: Record<string, string>;
  beforeAll(async () => {
    small = fresh();
    await prepare(roughArchive(), small, options);
    const grown = fresh();
    cpSync(small, grown, { recursive: true });
    await appendToSet(roughArchive(), grown, more);
    wanted = setContents(grown);
    const once = fresh();
    await prepare(roughArchive(), once, { ...options, train: "2001..2004" });
    const [a, b] = [await readManifest(grown), await readManifest(once)];
    expect([a.mean, a.std, a.statistics]).toEqual([b.mean, b.std, b.statistics]);
    const whole = setContents(once);
    for (const [own, other] of [
      ["climatology_2.npy", "climatology.npy"],
      ["climatology_2/weekly/2m_temperature.npy", "climatology/weekly/2m_temperature.npy"],
      ["train/2003_2.sums.npy", "train/2003.sums.npy"],
      ["train/2004.sums.npy", "train/2004.sums.npy"],
    ])
      expect(wanted[own!], own).toBe(whole[other!]);
    await verifySet(grown);
  });
  const copy = () => {
    const dir = fresh();
    cpSync(small, dir, { recursive: true });
    return dir;
  };

  test("by ranks", async () => {
    const dir = copy();
    await onRanks(3, (crew) => appendTogether(roughArchive(), dir, more, crew));
    expect(setContents(dir)).toEqual(wanted);
  });

  test("by jobs, until the last of which it is the old one", async () => {
    const dir = copy();
    const [first] = await asJobs(["2/2"], (crew) => appendTogether(roughArchive(), dir, more, crew));
    expect(missing(first)).toEqual(["train/2003_2.npy"]);
    expect(setContents(dir)["set.json"]).toBe(setContents(small)["set.json"]);
    await asJobs(["1/2"], (crew) => appendTogether(roughArchive(), dir, more, crew));
    expect(setContents(dir)).toEqual(wanted);
  });

  test("and one that kept sums of the whole alone goes on from these", async () => {
    // As sets were before: a year of train, sums and counts in two files, moments of the whole.
    const make = async (train: string) => {
      const dir = fresh();
      await prepare(roughArchive(), dir, { ...options, climatology: [], train });
      return dir;
    };
    const dir = await make("2001-01..2001-06");
    await asOnce(dir);
    await appendToSet(roughArchive(), dir, { train: "2001-07..2001-12", provenance });
    await appendToSet(roughArchive(), dir, { train: "2002", provenance });
    const [a, b] = [await readManifest(dir), await readManifest(await make("2001..2002"))];
    expect([a.mean, a.std, a.statistics]).toEqual([b.mean, b.std, b.statistics]);
    expect(Object.keys(a.checksums).filter((file) => /sum|count/.test(file))).toEqual([
      "train/2001_2.sums.npy",
      "train/2002.sums.npy",
    ]);
    await verifySet(dir);

    // Beyond its year: the sums of the whole become those of its last shard.
    const other = await make("2001");
    await asOnce(other);
    await appendToSet(roughArchive(), other, { train: "2002", provenance });
    const c = await readManifest(other);
    expect(c.statistics).toEqual(b.statistics);
    expect(c.checksums["climatology_2.npy"]).toBe(b.checksums["climatology.npy"]);
    expect(c.checksums["train/2001.sums.npy"]).toBe(b.checksums["train/2001.sums.npy"]);
    await verifySet(other);
  });
});

describe("jobs", () => {
  const work = (dir: string, how: Partial<PrepareOptions> = {}) =>
    prepareTogether(roughArchive(), dir, { ...roughPeriods, ...how }, { share: { index: 2, count: 3 } });

  test("of other settings are refused, and so is another filling", async () => {
    const dir = fresh();
    await asJobs(["1/3"], (crew) => prepareTogether(roughArchive(), dir, roughPeriods, crew));
    await expect(work(dir, { dtype: "float16" })).rejects.toThrow(
      `${dir}.partial holds 2 of 6 files of a set that was begun otherwise: dtype: float32 then, float16 now`,
    );
    expect(wholeShards(`${dir}.partial`)).toBe(2);
    const gaps = fresh();
    const filled = (nanFill: "mean" | number, index: number) =>
      prepareTogether(
        roughArchive(gappyValue),
        gaps,
        { ...roughPeriods, nanFill },
        { share: { index, count: 3 } },
      );
    await filled("mean", 1);
    await expect(filled(3, 2)).rejects.toThrow("nan-fill: mean then, 3 now");
  });

  test("that begin before any gap is met, each with another filling, make no set", async () => {
    const dir = fresh();
    const filled = (nanFill: "mean" | number, index: number, archive = roughArchive(gappyValue)) =>
      prepareTogether(archive, dir, { ...roughPeriods, nanFill }, { share: { index, count: 2 } });
    const archive = roughArchive(gappyValue);
    const variable = archive.variables.get("2m_temperature")!;
    const { read } = variable;
    let other: Promise<Outcome> | undefined;
    variable.read = async (step) => {
      if (!other) {
        // As if this one were another process, that lives.
        const claim = join(`${dir}.partial`, "journal.parts", "train_2001.claim");
        writeFileSync(claim, readFileSync(claim, "utf8").replace(`${process.pid}`, `${process.ppid}`));
        other = filled(3, 2);
      }
      await other;
      return await read(step);
    };
    await expect(filled("mean", 1, archive)).rejects.toThrow(
      `${dir}.partial was made with two fillings: nan-fill: 3 then, mean now`,
    );
    expect(existsSync(dir)).toBe(false);
  });

  test("leave a shard to a process that lives, and take it from a dead one", async () => {
    const dir = fresh();
    const claim = join(`${dir}.partial`, "journal.parts", "train_2002.claim");
    await asJobs(["1/3"], (crew) => prepareTogether(roughArchive(), dir, roughPeriods, crew));
    writeFileSync(claim, `12 elsewhere 0123abcd\n`);
    writeFileSync(join(`${dir}.partial`, "train/2002.npy.0123abcd"), "half of it");
    // Signs of life, until it dies.
    let lives = true;
    const beats = (async () => {
      for (let beat = 1; lives; beat++) {
        utimesSync(claim, beat, beat);
        await sleep(50);
      }
    })();
    const told: string[] = [];
    let ended = false;
    const waiting = work(dir, { patience: 0.4, onWait: (text) => void told.push(text) });
    void waiting.finally(() => (ended = true));
    await sleep(1000);
    expect(told).toEqual(["train/2002.npy is being made by process 12 on elsewhere; waiting for it"]);
    expect(ended).toBe(false);
    expect(wholeShards(`${dir}.partial`)).toBe(3); // the other shard of its share is made meanwhile
    const force = prepare(roughArchive(), dir, {
      ...roughPeriods,
      dtype: "float16",
      force: true,
      patience: 0.4,
    });
    await expect(force).rejects.toThrow(`cannot be begun anew: process 12 on elsewhere is at work in it`);
    lives = false;
    await beats;
    await waiting;
    expect(wholeShards(`${dir}.partial`)).toBe(4);
    expect(readdirSync(join(`${dir}.partial`, "train"))).not.toContain("2002.npy.0123abcd");
  });

  test("what a process left of a shard that nobody claims is no part of the set", async () => {
    const [dir, alone] = [fresh(), fresh()];
    await asJobs(["1/3", "2/3"], (crew) => prepareTogether(roughArchive(), dir, roughPeriods, crew));
    writeFileSync(join(`${dir}.partial`, "train/2002.npy.0123abcd"), "half of it");
    await asJobs(["3/3"], (crew) => prepareTogether(roughArchive(), dir, roughPeriods, crew));
    await prepare(roughArchive(), alone, roughPeriods);
    expect(setContents(dir)).toEqual(setContents(alone));
  });

  test("that come late find it done", async () => {
    const dir = fresh();
    await prepare(roughArchive(), dir, { ...roughPeriods, test: undefined });
    const late = (how: Partial<PrepareOptions>) => work(dir, { test: undefined, ...how });
    expect(await late({})).toBe("finished by another job");
    await expect(late({ val: undefined })).rejects.toThrow("is a prepared set already");
    const more = { test: "2006", provenance };
    await appendToSet(roughArchive(), dir, more);
    const again = (share: { index: number; count: number } | undefined) =>
      appendTogether(roughArchive(), dir, more, { share });
    expect(await again({ index: 1, count: 3 })).toBe("finished by another job");
    await expect(again(undefined)).rejects.toThrow("has states within test");
  });

  test("do not finish what another process is finishing", async () => {
    const dir = fresh();
    await asJobs(["1/3", "2/3"], (crew) => prepareTogether(roughArchive(), dir, roughPeriods, crew));
    let locked = false;
    const [last] = await asJobs(["3/3"], (crew) =>
      prepareTogether(
        roughArchive(),
        dir,
        {
          ...roughPeriods,
          onStep: () => {
            // When it has begun: the process that runs this one is alive.
            if (!locked) writeFileSync(`${dir}.lock`, `${process.ppid} ${hostname()} 0123abcd\n`);
            locked = true;
          },
        },
        crew,
      ),
    );
    expect(last).toMatchObject({ unfinished: { missing: [], finisher: `process ${process.ppid}` } });
    expect(existsSync(`${dir}.lock`)).toBe(true);
    rmSync(`${dir}.lock`);
    await asJobs(["3/3"], (crew) => prepareTogether(roughArchive(), dir, roughPeriods, crew));
    await verifySet(dir);
  });
});

test("years of one state each go on from year to year in one sum", async () => {
  const archive = () =>
    fakeArchive({ start: "1850-01-01", steps: 60, stepHours: 8760, calendar: "noleap", value: roughValue });
  const [dir, once] = [fresh(), fresh()];
  await prepare(archive(), dir, { train: "1850..1880", val: "1900..1909", provenance });
  await appendToSet(archive(), dir, { train: "1881..1890", provenance });
  await prepare(archive(), once, { train: "1850..1890", val: "1900..1909", provenance });
  const [a, b] = [await readManifest(dir), await readManifest(once)];
  expect([a.mean, a.std, a.statistics]).toEqual([b.mean, b.std, b.statistics]);
  expect(a.checksums["climatology_2.npy"]).toBe(b.checksums["climatology.npy"]);
  expect(a.checksums["train/1881.sums.npy"]).toBe(b.checksums["train/1850.sums.npy"]);
});

test("a lock that another has taken over is not removed with one's own", async () => {
  const path = `${fresh()}.lock`;
  const take = async () => {
    const got = await locks().take(path); // what names this process was left by one of that id
    if (!isHold(got)) throw new Error(`${got.who} has it`);
    return got;
  };
  const [first, second] = [await take(), await take()];
  await first.release();
  expect(existsSync(path)).toBe(true);
  await second.release();
  expect(existsSync(path)).toBe(false);
});

// The second has a name that begins this one's, as node1 and node10 do.
test.for(["elsewhere", hostname().slice(0, -1)])(
  "the lock of another machine, %s, holds while it gives signs of life",
  async (host) => {
    const dir = fresh();
    const lock = `${dir}.lock`;
    writeFileSync(lock, `${2 ** 30} ${host} 0123abcd\n`);
    const told: string[] = [];
    const options = { ...roughPeriods, patience: 0.5, onWait: (text: string) => void told.push(text) };
    const refused = prepare(roughArchive(), dir, options);
    const beat = setTimeout(() => utimesSync(lock, 1, 1), 100);
    await expect(refused).rejects.toThrow(`${dir} is being written by process ${2 ** 30} on ${host}`);
    clearTimeout(beat);
    await prepare(roughArchive(), dir, options); // it gives none now
    const waiting = `${dir} may be being written by process ${2 ** 30} on ${host}; waiting to see whether it is`;
    expect(told).toEqual([waiting, waiting]);
    expect(existsSync(lock)).toBe(false);
  },
);

test("processes that begin at once make one set: three shares, one of them twice", async () => {
  const alone = fresh();
  await prepare(roughArchive(), alone, roughPeriods);
  const dir = fresh();
  const said = await Promise.all(["1/3", "2/3", "3/3", "2/3"].map((shard) => child(dir, shard)));
  expect(
    said.filter((text) => text.includes('"result"')),
    said.join("\n"),
  ).toHaveLength(1);
  expect(setContents(dir)).toEqual(setContents(alone));
  expect(readdirSync(root).filter((name) => dir.endsWith(name.split(".")[0]!))).toHaveLength(1);
});

test("a job refuses a folder that is no set, and a set of another recipe, and leaves them as they are", async () => {
  const [foreign, other] = [fresh(), fresh()];
  mkdirSync(foreign);
  writeFileSync(join(foreign, "notes.txt"), "mine");
  await prepare(roughArchive(), other, { ...roughPeriods, train: "2001..2003" });
  const before = setContents(other);
  const refusal = (dir: string) =>
    prepareTogether(roughArchive(), dir, roughPeriods, { share: { index: 1, count: 2 } });
  await expect(refusal(foreign)).rejects.toThrow("exists and is not a prepared set");
  await expect(refusal(other)).rejects.toThrow("is a prepared set already");
  expect(readdirSync(foreign)).toEqual(["notes.txt"]);
  expect(setContents(other)).toEqual(before);
  for (const dir of [foreign, other]) expect(existsSync(`${dir}.lock`)).toBe(false);
});

test("a job that comes when another has finished the set makes no folder in the place where it was made", async () => {
  const dir = fresh();
  await expect(makeWithin(dir, "train")).rejects.toMatchObject({ code: "ENOENT" });
  expect(existsSync(dir)).toBe(false);
  mkdirSync(dir);
  await makeWithin(dir, "train");
  await makeWithin(dir, "train");
  expect(readdirSync(dir)).toEqual(["train"]);
});

function child(dir: string, shard: string): Promise<string> {
  const made = spawn(process.execPath, [builtScript("preparejob"), dir, shard], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  made.stdout.on("data", (text: Buffer) => (said += text.toString()));
  return new Promise((resolve, reject) => {
    made.on("error", reject);
    made.on("close", (code) =>
      code === 0 ? resolve(said) : reject(new Error(`${shard} ended with ${code}`)),
    );
  });
}

/** Makes a set into one of those that kept sums of all of train alone. */
async function asOnce(dir: string): Promise<void> {
  const { readNpy, writeNpy } = await import("../../src/files/npy.ts");
  const { createHash } = await import("node:crypto");
  const { mkdirSync, readFileSync } = await import("node:fs");
  const manifest = await readManifest(dir);
  const [shard] = manifest.splits.train.shards;
  const { shape, data } = await readNpy(join(dir, shard!.sums!.file));
  mkdirSync(join(dir, "climatology"));
  const half = data.length / 2;
  const files = {
    "climatology/sum.npy": Float64Array.from(data.subarray(0, half)),
    "climatology/count.npy": Uint32Array.from(data.subarray(half)),
  };
  for (const [file, numbers] of Object.entries(files)) {
    await writeNpy(join(dir, file), shape.slice(1), numbers);
    manifest.checksums[file] = createHash("sha256")
      .update(readFileSync(join(dir, file)))
      .digest("hex");
  }
  rmSync(join(dir, shard!.sums!.file));
  delete manifest.checksums[shard!.sums!.file];
  delete shard!.sums;
  manifest.climatology.sums = true;
  writeFileSync(join(dir, "set.json"), JSON.stringify(manifest));
}
