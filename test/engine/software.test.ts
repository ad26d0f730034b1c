import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { cacheHome, softwareDriver, softwareMissing } from "../../src/engine/software.ts";
import type { ClimaxError } from "../../src/errors.ts";

const missing = softwareMissing();

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "climax-cache-"));
});
afterEach(() => {
  rmSync(cache, { recursive: true });
});

const refusal = () => {
  try {
    softwareDriver(cache);
  } catch (error) {
    return error as ClimaxError;
  }
  throw new Error("the folder was used");
};

describe.skipIf(missing)(`SwiftShader out of npm (${missing ? `skipped: ${missing}` : "installed"})`, () => {
  test("is unpacked once, into a folder of the user's own", () => {
    const { folder, icd, library, loader } = softwareDriver(cache);
    expect(folder).toBe(join(cache, "climax", "swiftshader-147.0.0"));
    expect(lstatSync(folder).mode & 0o777).toBe(0o700);
    expect(lstatSync(dirname(folder)).mode & 0o777).toBe(0o700);
    for (const file of [icd, library, loader]) expect(lstatSync(file).mode & 0o777).toBe(0o600);
    const { ino } = lstatSync(library);
    expect(softwareDriver(cache).folder).toBe(folder);
    expect(lstatSync(library).ino).toBe(ino);
    expect(readdirSync(dirname(folder))).toEqual(["swiftshader-147.0.0"]); // and nothing half-made beside it
  });

  test.for<[string, (library: string) => void]>([
    ["longer", (library) => appendFileSync(library, "x")],
    [
      "of the right size, with other content",
      (library) => writeFileSync(library, Buffer.alloc(lstatSync(library).size)),
    ],
    ["gone", (library) => rmSync(library)],
    [
      "a link to the right content",
      (library) => {
        renameSync(library, `${library}.real`);
        symlinkSync(`${library}.real`, library);
      },
    ],
  ])("a file that is %s is not run: the folder is made anew", ([, damage]) => {
    const { folder, library } = softwareDriver(cache);
    damage(library);
    expect(softwareDriver(cache).folder).toBe(folder);
    expect(lstatSync(library).isFile()).toBe(true);
    expect(lstatSync(library).size).toBe(6_026_040);
    expect(readdirSync(dirname(folder))).toEqual(["swiftshader-147.0.0"]);
  });

  test("a folder that others may write to is refused, with the mend", () => {
    const { folder } = softwareDriver(cache);
    chmodSync(folder, 0o770);
    expect(refusal()).toMatchObject({
      name: "ClimaxError",
      kind: "device",
      message: `will not load the software adapter from ${folder}: others may write to it`,
      hint: `remove it (rm -r ${folder}), or set XDG_CACHE_HOME to a folder of your own`,
    });
  });

  test("a symbolic link is refused, at both levels", () => {
    const { folder } = softwareDriver(cache);
    renameSync(folder, `${folder}.real`);
    symlinkSync(`${folder}.real`, folder);
    expect(refusal().message).toBe(
      `will not load the software adapter from ${folder}: it is a symbolic link`,
    );
    const above = dirname(folder);
    renameSync(above, `${above}.real`);
    symlinkSync(`${above}.real`, above);
    expect(refusal().message).toBe(`will not load the software adapter from ${above}: it is a symbolic link`);
  });

  test("a link to nowhere is refused too", () => {
    mkdirSync(join(cache, "climax"), { mode: 0o700 });
    symlinkSync("/nowhere", join(cache, "climax", "swiftshader-147.0.0"));
    expect(refusal().message).toMatch(/it is a symbolic link$/);
  });

  test("where the cache cannot be written, a private folder is used", () => {
    writeFileSync(join(cache, "file"), "");
    const { folder, icd } = softwareDriver(join(cache, "file"));
    expect(folder.startsWith(join(tmpdir(), "climax-swiftshader-"))).toBe(true);
    expect(lstatSync(folder).mode & 0o777).toBe(0o700);
    expect(lstatSync(icd).isFile()).toBe(true);
    expect(softwareDriver(join(cache, "file")).folder).toBe(folder); // one per process
  });
});

test("the cache is XDG_CACHE_HOME when that is absolute, else ~/.cache", () => {
  try {
    vi.stubEnv("HOME", "/home/ada");
    vi.stubEnv("XDG_CACHE_HOME", "/scratch/ada");
    expect(cacheHome()).toBe("/scratch/ada");
    vi.stubEnv("XDG_CACHE_HOME", "relative");
    expect(cacheHome()).toBe("/home/ada/.cache");
    vi.stubEnv("XDG_CACHE_HOME", "");
    expect(cacheHome()).toBe("/home/ada/.cache");
  } finally {
    vi.unstubAllEnvs();
  }
});
