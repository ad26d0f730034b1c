import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { OutputFile } from "../../src/files/outputfile.ts";
import { checkOutput, writeWhole } from "../../src/files/wholefile.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "wholefile-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("a file is written in place of another, and nothing is left beside it", async () => {
  const path = join(folder, "scores.json");
  for (const content of ["one", "two"]) {
    await checkOutput(path);
    await writeWhole(path, content);
    expect(readFileSync(path, "utf8")).toBe(content);
  }
  expect(readdirSync(folder)).toEqual(["scores.json"]);
});

test("what a link leads to is written, and the link stays", async () => {
  const [file, link] = [join(folder, "file.json"), join(folder, "link.json")];
  writeFileSync(file, "old");
  symlinkSync(file, link);
  await checkOutput(link);
  await writeWhole(link, "new");
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(readFileSync(file, "utf8")).toBe("new");
});

// By a link, so that nothing but the link could be lost.
describe.skipIf(process.platform === "win32")("a device", () => {
  let link: string;
  beforeEach(() => {
    link = join(folder, "device");
    symlinkSync("/dev/null", link);
  });
  afterEach(() => expect(lstatSync(link).isSymbolicLink()).toBe(true));

  test("is written into, not replaced", async () => {
    await checkOutput(link);
    await writeWhole(link, "scores");
    expect(readdirSync(folder)).toEqual(["device"]);
  });

  test("is refused for what is written piece by piece", () => {
    expect(() => new OutputFile(link).claim()).toThrow(`cannot write ${link}: it is a device or a pipe`);
  });
});
