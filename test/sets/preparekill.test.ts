/**
 * climax prepare stopped at every other file operation, and by SIGKILL in a process of its own: the next run goes on
 * to the same bytes, and a set that grows is whole at every moment.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type PrepareOptions, prepare } from "../../src/sets/prepare.ts";
import { type AppendOptions, appendToSet } from "../../src/sets/prepareappend.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { verifySet } from "../../src/sets/verifyset.ts";
import { builtScript } from "../support/builtclimax.ts";
import { fakeArchive, fakeValue, provenance } from "../support/fakearchive.ts";
import { setContents as contents } from "../support/setcontents.ts";
import { stopsAt } from "../support/stops.ts";
import { wholeShards } from "../support/wholeshards.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-kill-"));
});
afterAll(() => rmSync(root, { recursive: true }));

/** Gaps in each split, so that shards are filled in the end. */
const gappy = (name: string, ...[time, cell]: [Parameters<typeof fakeValue>[1], number]) =>
  name === "temperature_850" && cell === 7 && (time.seconds / 43200) % 3 === 0
    ? Number.NaN
    : fakeValue(name, time, cell);

// Small: each file operation costs a run and a half.
const archive = () =>
  fakeArchive({
    start: "2015-12-31",
    steps: 8,
    stepHours: 12,
    names: ["temperature_850"],
    constants: ["orography"],
    value: gappy,
  });
const recipe: PrepareOptions = {
  train: "2015-12-31..2016-01-01",
  val: "2016-01-02",
  test: "2016-01-03",
  nanFill: "mean",
  dtype: "float16",
  climatology: ["weekly", "dayofyear"],
  provenance,
};

describe("stopped at a file operation", () => {
  test("a set is finished by the next run, to the same bytes", async () => {
    const whole = join(root, "whole");
    await prepare(archive(), whole, recipe);
    const wanted = contents(whole);
    expect(Object.keys(wanted)).toHaveLength(15);
    let stopped = 0;
    let resumed = 0;
    for (let at = 1; ; at += 5) {
      const dir = join(root, `set-${at}`);
      if (!(await stopsAt(at, () => prepare(archive(), dir, recipe)))) break;
      stopped++;
      if (existsSync(join(dir, "set.json")))
        // It had its name already; what was left to do is to tidy up.
        expect(await verifySet(dir)).toMatchObject({ files: 14 });
      else {
        await prepare(archive(), dir, { ...recipe, onResume: () => void resumed++ });
        expect(contents(dir), `stopped at operation ${at}`).toEqual(wanted);
      }
      expect(existsSync(`${dir}.partial`)).toBe(false);
      rmSync(dir, { recursive: true });
    }
    // Otherwise the operations were not seen, or every run began anew.
    expect(stopped).toBeGreaterThan(25);
    expect(resumed).toBeGreaterThan(15);
  });

  test("a set that replaces another leaves one of them whole", async () => {
    const old = join(root, "old");
    const other = { ...recipe, climatology: [], dtype: "float32" as const };
    await prepare(archive(), old, other);
    const wanted = contents(join(root, "whole"));
    for (let at = 1; ; at += 19) {
      const dir = join(root, `replaced-${at}`);
      cpSync(old, dir, { recursive: true });
      if (!(await stopsAt(at, () => prepare(archive(), dir, { ...recipe, force: true })))) break;
      const there = [dir, `${dir}.partial`, `${dir}.replaced`].filter((d) => existsSync(join(d, "set.json")));
      for (const one of there) await verifySet(one);
      expect(there.length).toBeGreaterThan(0);
      await prepare(archive(), dir, { ...recipe, force: true });
      expect(contents(dir)).toEqual(wanted);
      expect(readdirSync(root).filter((name) => name.startsWith(`replaced-${at}.`))).toEqual([]);
      rmSync(dir, { recursive: true });
    }
  });

  test("a set that grows is the old one or the new one, and grows at last", async () => {
    const old = join(root, "small");
    const { test: _, ...early } = recipe;
    await prepare(archive(), old, { ...early, train: "2015-12-31", val: "2016-01-03" });
    const more: AppendOptions = { train: "2016-01-01..2016-01-02", provenance };
    const grown = join(root, "grown");
    cpSync(old, grown, { recursive: true });
    await appendToSet(archive(), grown, more);
    const [before, after] = [contents(old), contents(grown)];
    expect(after["set.json"]).not.toBe(before["set.json"]);
    let [olds, news] = [0, 0];
    for (let at = 2; ; at += 5) {
      const dir = join(root, `grows-${at}`);
      cpSync(old, dir, { recursive: true });
      if (!(await stopsAt(at, () => appendToSet(archive(), dir, more)))) break;
      await verifySet(dir);
      await (await openSet(dir)).close();
      const now = contents(dir)["set.json"];
      if (now === before["set.json"]) {
        olds++;
        await appendToSet(archive(), dir, more);
      } else {
        news++;
        expect(now).toBe(after["set.json"]);
        // The same again is refused, and what the stopped run left is gone.
        await expect(appendToSet(archive(), dir, more)).rejects.toThrow("has states within train");
      }
      expect(contents(dir), `stopped at operation ${at}`).toEqual(after);
      rmSync(dir, { recursive: true });
    }
    expect(olds).toBeGreaterThan(8);
    expect(news).toBeGreaterThan(0);
  });
});

test("killed by SIGKILL while it reads, writes and finishes, a process is gone on from by the next", async () => {
  const whole = join(root, "by-itself");
  const { val, test } = recipe;
  await prepare(fakeArchive(), whole, {
    train: "2015-12-25..2016-01-01",
    val,
    test,
    climatology: ["dayofyear"],
    provenance,
  });
  const wanted = contents(whole);
  const dir = join(root, "killed");
  const done: number[] = [];
  // In the first shard, in the last, and while the climatologies are made.
  for (const reads of [20, 75, 90]) {
    expect(await child(dir, reads)).toBe("SIGKILL");
    expect(existsSync(dir)).toBe(false);
    done.push(wholeShards(`${dir}.partial`));
    await expect(openSet(dir)).rejects.toThrow("killed.partial: unfinished");
  }
  expect(done).toEqual([0, 3, 4]);
  expect(await child(dir, 0)).toBe(null);
  expect(contents(dir)).toEqual(wanted);
});

/** Prepares in another process, which kills itself after so many reads. @returns the signal that ended it */
function child(dir: string, killAfter: number): Promise<NodeJS.Signals | null> {
  const made = spawn(process.execPath, [builtScript("preparechild"), dir, String(killAfter)], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  return new Promise((resolve, reject) => {
    made.on("error", reject);
    made.on("exit", (code, signal) => {
      if (code !== 0 && signal === null) reject(new Error(`the child ended with ${code}`));
      else resolve(signal);
    });
  });
}
