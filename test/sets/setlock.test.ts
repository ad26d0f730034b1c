/** Locks that several processes want, and whose holders die. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { isHold, locks } from "../../src/sets/setlock.ts";
import { builtScript } from "../support/builtclimax.ts";

const root = mkdtempSync(join(tmpdir(), "climax-setlock-"));
afterAll(() => rmSync(root, { recursive: true }));
let count = 0;
const fresh = () => join(root, `set${count++}.lock`);
const named = (path: string) => readdirSync(root).filter((name) => join(root, name).startsWith(path));

/** The id of a process that is no more. */
const dead = () => spawnSync(process.execPath, ["--version"]).pid;

const deadLock = (path: string) => writeFileSync(path, `${dead()} ${hostname()} 0123abcd\n`);

test("of processes that find a dead one's lock one has it, again and again", async () => {
  const path = fresh();
  deadLock(path);
  const script = builtScript("lockjob");
  const said = await Promise.all([1, 2, 3, 4].map(() => output([script, path, "2000", `${dead()}`])));
  const counts = said.map((text) => JSON.parse(text) as { takes: number; twice: number });
  expect(counts.reduce((sum, { twice }) => sum + twice, 0)).toBe(0);
  expect(counts.reduce((sum, { takes }) => sum + takes, 0)).toBeGreaterThan(20); // some 200 on two cores
});

test("one that died while it took over a dead one's lock holds nobody up", async () => {
  const path = fresh();
  deadLock(path);
  deadLock(`${path}.turn`);
  const got = await locks().take(path);
  expect(isHold(got)).toBe(true);
  if (isHold(got)) await got.release();
  expect(named(path)).toEqual([]);
});

test("one that is taking over a dead one's lock is named", async () => {
  const path = fresh();
  deadLock(path);
  writeFileSync(`${path}.turn`, `${process.ppid} ${hostname()} 0123abcd\n`);
  expect(await locks().take(path)).toEqual({ who: `process ${process.ppid}`, alive: true });
});

test("one whose empty file was taken for a dead one's, as its disk stood still, has no lock until it makes another", async () => {
  const path = fresh();
  const { open } = files;
  files.open = async (...how) => {
    const handle = await open(...how);
    if (how[0] === path) {
      rmSync(path); // and makes its own
      writeFileSync(path, `${process.ppid} ${hostname()} 0123abcd\n`);
    }
    return handle;
  };
  syncBuiltinESMExports();
  onTestFinished(() => {
    files.open = open;
    syncBuiltinESMExports();
  });
  expect(await locks().take(path)).toEqual({ who: `process ${process.ppid}`, alive: true });
  expect(readFileSync(path, "utf8")).toContain("0123abcd");
});

test("a lock in a folder that is gone", async () => {
  await expect(locks().take(join(root, "gone", "set.lock"))).rejects.toMatchObject({ code: "ENOENT" });
});

function output(args: readonly string[]): Promise<string> {
  const made = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  made.stdout.on("data", (text: Buffer) => (said += text.toString()));
  return new Promise((resolve, reject) => {
    made.on("error", reject);
    made.on("close", (code) => (code === 0 ? resolve(said) : reject(new Error(`ended with ${code}`))));
  });
}
