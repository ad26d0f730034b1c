// SwiftShader, a Vulkan driver that computes on the CPU, out of the npm package that carries one.
import { createHash, randomBytes } from "node:crypto";
import {
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { homedir, tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { ClimaxError } from "../errors.ts";

/** The unpacked driver. */
export interface SoftwareDriver {
  readonly folder: string;
  /** The description to put in VK_DRIVER_FILES. */
  readonly icd: string;
  /** SwiftShader itself. */
  readonly library: string;
  /** A Vulkan loader, for machines that have none. */
  readonly loader: string;
}

const { S_IFMT, S_IFDIR, S_IFLNK } = constants;
const PACKAGE = "@sparticuz/chromium";
const VERSION = "147.0.0";

/**
 * What must come out of the package. The driver is code that we run, out of a folder that outlives us: its hashes
 * are held here and not beside it.
 */
const files: readonly { name: string; bytes: number; sha256: string }[] = [
  {
    name: "libvk_swiftshader.so",
    bytes: 6_026_040,
    sha256: "5b9e8591c7c2d1c9618c3ad485d0cdffb81f5f1ffd6a982fdb6578c2d8d3213e",
  },
  {
    name: "libvulkan.so.1",
    bytes: 787_592,
    sha256: "fe17a77c1f2df38d3b6a935140f746fd80aac564bb44eb3e4f6b75a504295a41",
  },
  {
    name: "vk_swiftshader_icd.json",
    bytes: 107,
    sha256: "c9eef28b6b984fec220ef0abfecc40b502d46946706e47bfe97707027cb818bd",
  },
];

/** Whether SwiftShader can be had here: the reason why not, or undefined. */
export function softwareMissing(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return `it is built for linux-x64, and this is ${process.platform}-${process.arch}`;
  }
  try {
    packageFolder();
    return undefined;
  } catch {
    return `the optional npm package ${PACKAGE} is not installed`;
  }
}

/**
 * Unpacks SwiftShader into a folder of the user's own, once; later starts check the files and use them.
 *
 * The folder is `$XDG_CACHE_HOME/climax/swiftshader-147.0.0` (`~/.cache` by default). Where that cannot be written,
 * a fresh private folder is used and removed at exit.
 *
 * @param cache  the folder that holds `climax/`
 * @throws ClimaxError "device" when the driver cannot be had, or the folder is not safely the user's own
 */
export function softwareDriver(cache = cacheHome()): SoftwareDriver {
  const missing = softwareMissing();
  if (missing) {
    throw new ClimaxError(
      "device",
      `there is no software adapter: ${missing}`,
      "install with npm ci, optional packages included; or install a Vulkan driver, e.g. mesa-vulkan-drivers",
    );
  }
  const home = join(cache, "climax");
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 });
    expectOwn(home);
    const folder = join(home, `swiftshader-${VERSION}`);
    if (existsSync(folder) || isLink(folder)) expectOwn(folder);
    if (!isIntact(folder)) unpackInto(folder);
    return driver(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!["EACCES", "EPERM", "EROFS", "ENOENT", "ENOTDIR", "ENOSPC", "EDQUOT"].includes(code ?? ""))
      throw error;
    return driver(privateCopy());
  }
}

/** Where caches of this user live. A relative XDG_CACHE_HOME counts as unset, as its specification says. */
export function cacheHome(): string {
  const { XDG_CACHE_HOME } = process.env;
  return XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), ".cache");
}

function driver(folder: string): SoftwareDriver {
  return {
    folder,
    icd: join(folder, "vk_swiftshader_icd.json"),
    library: join(folder, "libvk_swiftshader.so"),
    loader: join(folder, "libvulkan.so.1"),
  };
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** A folder that another user could have written, or may change, is not one to run code from. */
function expectOwn(folder: string): void {
  const { uid, mode } = lstatSync(folder);
  const link = (mode & S_IFMT) === S_IFLNK;
  const own = uid === process.getuid?.();
  const shared = (mode & 0o022) !== 0;
  if (!link && own && !shared && (mode & S_IFMT) === S_IFDIR) return;
  const why = link
    ? "it is a symbolic link"
    : !own
      ? `it belongs to user ${uid}, and you are user ${process.getuid?.()}`
      : shared
        ? "others may write to it"
        : "it is not a folder";
  throw new ClimaxError(
    "device",
    `will not load the software adapter from ${folder}: ${why}`,
    `remove it (rm -r ${folder}), or set XDG_CACHE_HOME to a folder of your own`,
  );
}

/** Whether the folder holds exactly the files expected, by size and SHA-256, none of them a link. */
function isIntact(folder: string): boolean {
  return files.every(({ name, bytes, sha256 }) => {
    const path = join(folder, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    return stat?.isFile() && stat.size === bytes && hash(readFileSync(path)) === sha256;
  });
}

/** Unpacks beside the folder and renames: another process sees all of it or nothing. */
function unpackInto(folder: string): void {
  const fresh = mkdtempSync(`${folder}.new-`); // mode 0700
  try {
    unpack(fresh);
    if (existsSync(folder)) {
      // Damaged, or just finished by another process, which then has the same files.
      const old = `${folder}.old-${randomBytes(6).toString("hex")}`;
      if (isIntact(folder)) return;
      renameSync(folder, old);
      rmSync(old, { recursive: true, force: true });
    }
    renameSync(fresh, folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another process was faster between our look and our rename.
    if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOENT") throw error;
    if (!isIntact(folder)) throw error;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

let copy: string | undefined;

function privateCopy(): string {
  if (copy !== undefined && isIntact(copy)) return copy;
  const fresh = mkdtempSync(join(tmpdir(), "climax-swiftshader-")); // mode 0700, a new name
  process.once("exit", () => rmSync(fresh, { recursive: true, force: true }));
  unpack(fresh);
  copy = fresh;
  return fresh;
}

function unpack(folder: string): void {
  const archive = readFileSync(join(packageFolder(), "bin", "swiftshader.tar.br"));
  const members = untar(brotliDecompressSync(archive));
  for (const { name, sha256 } of files) {
    const content = members.get(name);
    if (!content || hash(content) !== sha256) {
      throw new ClimaxError(
        "device",
        `${name} in the npm package ${PACKAGE} is not the one of version ${VERSION}`,
        "reinstall with npm ci",
      );
    }
    writeFileSync(join(folder, name), content, { mode: 0o600, flag: "wx" });
  }
}

/** The plain files of a ustar archive, by base name. */
function untar(tar: Buffer): Map<string, Buffer> {
  const members = new Map<string, Buffer>();
  const text = (start: number, end: number) => tar.toString("latin1", start, end).replace(/\0.*$/s, "");
  for (let at = 0; at + 512 <= tar.length; ) {
    const name = text(at, at + 100);
    if (name === "") break;
    const size = Number.parseInt(text(at + 124, at + 136), 8) || 0;
    members.set(name.split("/").at(-1)!, tar.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return members;
}

function packageFolder(): string {
  const entry = createRequire(import.meta.url).resolve(PACKAGE);
  let folder = dirname(entry);
  while (!existsSync(join(folder, "bin", "swiftshader.tar.br"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`${PACKAGE} has no swiftshader.tar.br`);
    folder = parent;
  }
  return folder;
}

function hash(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
