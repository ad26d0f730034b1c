/** Folders made on the way to a file. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { makeFolder } from "../../src/data/folder.ts";

const root = mkdtempSync(join(tmpdir(), "climax-folder-"));
afterAll(() => rmSync(root, { recursive: true }));

test("makes what is not there, and says where that begins", async () => {
  expect(await makeFolder(join(root, "a", "b", "c"))).toBe(join(root, "a"));
  expect(await makeFolder(join(root, "a", "d"))).toBe(join(root, "a", "d"));
  expect(await makeFolder(join(root, "a", "d"))).toBeUndefined();
  expect(existsSync(join(root, "a", "b", "c"))).toBe(true);
});

test("two at once do not trip over each other", async () => {
  await Promise.all([1, 2, 3].map(() => makeFolder(join(root, "e", "f"))));
  expect(existsSync(join(root, "e", "f"))).toBe(true);
});

test("a file in the way is named", async () => {
  writeFileSync(join(root, "file"), "");
  await expect(makeFolder(join(root, "file", "g"))).rejects.toThrow(
    `${join(root, "file")} is a file, not a folder`,
  );
});

test.skipIf(process.platform !== "linux")(
  "/proc refuses, and does not keep us waiting (Linux only)",
  async () => {
    await expect(makeFolder("/proc/climax/run")).rejects.toMatchObject({ code: "ENOENT" });
  },
);
