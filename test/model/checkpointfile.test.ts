import { spawnSync } from "node:child_process";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeCheckpointFile } from "../../src/model/checkpointfile.ts";
import { canMount, onSmallDisk } from "../support/disk.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "climax-checkpointfile-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const text = (content: string) => new TextEncoder().encode(content);
const write = (path: string, ...pieces: string[]) =>
  writeCheckpointFile(path, async (append) => {
    for (const piece of pieces) await append(text(piece));
  });

test("a file grows beside its target, and takes its place when it is complete", async () => {
  const path = join(folder, "a.ckpt");
  await write(path, "old");
  await writeCheckpointFile(path, async (append) => {
    await append(text("new, "));
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(folder)).toEqual(["a.ckpt", `a.ckpt.partial-${process.pid}`]);
    await append(text("whole"));
  });
  expect(readFileSync(path, "utf8")).toBe("new, whole");
  expect(readdirSync(folder)).toEqual(["a.ckpt"]);
});

test("what goes wrong with the content undoes the file, and comes back as it is", async () => {
  const path = join(folder, "a.ckpt");
  await write(path, "old");
  const failure = Object.assign(new Error("no such file"), { code: "ENOENT" }); // of the file that is read, not of this one
  const failing = writeCheckpointFile(path, async (append) => {
    await append(text("new"));
    throw failure;
  });
  await expect(failing).rejects.toBe(failure);
  expect(readFileSync(path, "utf8")).toBe("old");
  expect(readdirSync(folder)).toEqual(["a.ckpt"]);
});

test("what killed processes left of the same file is removed, once nobody can be writing it", async () => {
  const dead = spawnSync("true").pid;
  const put = (name: string, minutes: number): string => {
    writeFileSync(join(folder, name), "half");
    const then = Date.now() / 1000 - 60 * minutes;
    utimesSync(join(folder, name), then, then);
    return name;
  };
  put(`a.ckpt.partial-${dead}`, 3);
  put("a.ckpt.partial-999999999", 3);
  const stay = [
    put(`a.ckpt.partial-${process.ppid}`, 3), // lives
    put("a.ckpt.partial-999999998", 1), // may live on another host
    put(`b.ckpt.partial-${dead}`, 3), // another file's
    put("a.ckpt.partial-", 3),
    put(`a.ckpt.partial-${dead}.bak`, 3),
    put("a.ckpt.partial-0", 3),
  ];
  mkdirSync(join(folder, "a.ckpt.partial-999999997"));
  await write(join(folder, "a.ckpt"), "whole");
  expect(readdirSync(folder).sort()).toEqual(["a.ckpt", "a.ckpt.partial-999999997", ...stay].sort());
});

test("what a link leads to is written, and the link stays", async () => {
  mkdirSync(join(folder, "there"));
  const [file, link] = [join(folder, "there", "file"), join(folder, "link")];
  writeFileSync(file, "old");
  symlinkSync(file, link);
  await write(link, "new");
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(readFileSync(file, "utf8")).toBe("new");
  expect(readdirSync(join(folder, "there"))).toEqual(["file"]);
});

test("a folder, and a place in none, are refused before anything is written", async () => {
  const refused = (path: string, reason: string, hint: string) =>
    expect(write(path, "x")).rejects.toMatchObject({
      kind: "checkpoint",
      message: `cannot write ${path}: ${reason}`,
      hint,
    });
  await refused(folder, "it is a folder", "name a file in it");
  await refused(join(folder, "absent", "a"), "its folder does not exist", "make the folder first");
  writeFileSync(join(folder, "file"), "");
  const under = join(folder, "file", "a");
  await refused(under, "a part of the path is a file, not a folder", "choose another path");
  expect(readdirSync(folder)).toEqual(["file"]);
});

describe.skipIf(process.platform === "win32")("a device", () => {
  test("is refused, not replaced", async () => {
    const link = join(folder, "device"); // so that nothing but the link could be lost
    symlinkSync("/dev/null", link);
    await expect(write(link, "x")).rejects.toThrow(`cannot write ${link}: it is a device or a pipe`);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readdirSync(folder)).toEqual(["device"]);
  });
});

describe.skipIf(!canMount)("a full disk (needs a disk of its own to mount)", () => {
  test("is named, and nothing is left on it", async () => {
    await onSmallDisk(folder, 64 * 1024, async () => {
      const path = join(folder, "a.ckpt");
      await expect(write(path, "x".repeat(50_000), "x".repeat(50_000))).rejects.toMatchObject({
        kind: "checkpoint",
        message: `cannot write ${path}: no space left on the device`,
      });
      expect(readdirSync(folder)).toEqual([]);
    });
  });
});
