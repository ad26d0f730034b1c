/** Preparing, filling, verifying and reading a set takes the same memory whatever its number of states. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { builtScript } from "../support/builtclimax.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-memory-"));
});
afterAll(() => rmSync(root, { recursive: true }));

/** Peak memory of the process, MB. */
function peak(states: number): number {
  const dir = join(root, String(states));
  const { stdout, stderr } = spawnSync(process.execPath, [builtScript("preparelarge"), dir, String(states)]);
  if (!stdout.length) throw new Error(stderr.toString());
  // 45 variables of 32 x 64.
  expect(statSync(join(dir, "train/2001.npy")).size).toBe(128 + states * 45 * 2048 * 4);
  rmSync(dir, { recursive: true });
  return Number(stdout.toString()) / 1e6;
}

test("a shard of 184 MB takes no more memory than one of 18 MB, and the process less than 300 MB", () => {
  const [few, many] = [peak(50), peak(500)];
  // What the garbage collector leaves lying between two of its runs; a shard held whole would be 166 MB more.
  expect(many - few).toBeLessThan(80);
  expect(many).toBeLessThan(300);
});
