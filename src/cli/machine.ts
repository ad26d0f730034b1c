/** What this machine has, and what is wrong with it for this program. */
import { accessSync, constants, existsSync, readFileSync, statfsSync } from "node:fs";
import { createRequire } from "node:module";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { type AdapterEntry, machine as vulkanFacts } from "../engine/adapters.ts";
import { cacheHome, softwareMissing } from "../engine/software.ts";
import { chosenDrivers, gpuDevices } from "../engine/vulkan.ts";

export interface Machine {
  readonly platform: string;
  /** Version of the GNU C library; undefined elsewhere. */
  readonly glibc: string | undefined;
  readonly cpu: string;
  readonly cores: number;
  /** Bytes this process may use: the machine's, or its container's. */
  readonly memory: number;
  /** Bytes it could have now. */
  readonly freeMemory: number;
  readonly cache: string;
  /** Bytes free on the disk of the cache folder. */
  readonly freeCache: number;
}

/** Something wrong, and what to do about it. */
export interface Problem {
  readonly what: string;
  readonly mend: string;
  /** Whether nothing that needs an adapter can run. */
  readonly fatal?: boolean;
}

const GiB = 2 ** 30;
const MiB = 2 ** 20;

export function inspectMachine(): Machine {
  const memory = allMemory();
  const cache = cacheHome();
  const disk = statfsSync(nearest(cache));
  return {
    platform: `${platform()}-${arch()} ${release()}`,
    glibc: glibcVersion(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memory,
    freeMemory: freeMemory(),
    cache,
    freeCache: disk.bavail * disk.bsize,
  };
}

/** A container's limit is what counts; 0 and absurdly large numbers mean there is none. */
function allMemory(): number {
  const limit = process.constrainedMemory?.() ?? 0;
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}

/** Bytes this process could have now. */
export function freeMemory(): number {
  return Math.min(allMemory(), process.availableMemory?.() ?? allMemory());
}

/** The folder itself, or the nearest one above it that exists. */
function nearest(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : nearest(dirname(folder));
}

function glibcVersion(): string | undefined {
  if (process.platform !== "linux") return undefined;
  const { report } = process as { report?: { excludeNetwork?: boolean; getReport(): object } };
  if (!report) return undefined;
  report.excludeNetwork = true; // else it looks up the names of open connections
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime;
}

/** Version of an installed package, e.g. `webgpu`. */
export function packageVersion(name: string): string {
  let folder = dirname(createRequire(import.meta.url).resolve(name));
  while (!existsSync(join(folder, "package.json")) && dirname(folder) !== folder) folder = dirname(folder);
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string };
  return version;
}

/** What is wrong, worst first. */
export function findProblems(
  machine: Machine,
  adapters: readonly Pick<AdapterEntry, "name" | "kind">[],
): Problem[] {
  return [...adapterProblems(machine, adapters), ...roomProblems(machine)];
}

function adapterProblems(
  { glibc }: Machine,
  adapters: readonly Pick<AdapterEntry, "name" | "kind">[],
): Problem[] {
  const problems: Problem[] = [];
  if (glibc !== undefined && isOlder(glibc, "2.34")) {
    problems.push({
      what: `the C library is glibc ${glibc}; WebGPU wants 2.34 or newer`,
      mend: "use a newer system (RHEL 9, Debian 12, Ubuntu 22.04, ...) or a container",
      fatal: true,
    });
  }
  if (adapters.length === 0) {
    const drivers = chosenDrivers();
    problems.push({
      what: `there is no WebGPU adapter (${vulkanFacts()})`,
      mend:
        drivers !== undefined
          ? "unset VK_DRIVER_FILES, or let it name a driver's .json file"
          : "install a Vulkan driver (the GPU's own, or mesa-vulkan-drivers for the CPU), or run npm ci on linux-x64",
      fatal: true,
    });
    return problems;
  }
  if (adapters.some(({ kind }) => kind === "hardware")) return problems;

  const devices = gpuDevices();
  const closed = devices.filter((device) => !mayUse(device));
  if (closed.length > 0) {
    problems.push({
      what: `there is a GPU, but you may not use it (${closed.join(", ")})`,
      mend: "ask to be added to the groups render and video, then log in again",
    });
  } else if (devices.length > 0) {
    problems.push({
      what: `there is a GPU (${devices.join(", ")}), but no Vulkan driver offers it (${vulkanFacts()})`,
      mend: devices.some((device) => device.includes("nvidia"))
        ? "install NVIDIA's Vulkan driver; in a container set NVIDIA_DRIVER_CAPABILITIES=all"
        : "install the GPU's Vulkan driver, e.g. mesa-vulkan-drivers",
    });
  }
  if (process.platform === "linux" && adapters.every(({ name }) => /swiftshader/i.test(name))) {
    problems.push({
      what: "the only adapter is SwiftShader, the slower of the two software drivers",
      mend: "install lavapipe, about 4 times as fast: mesa-vulkan-drivers of Debian 13, Ubuntu 24.04 or newer",
    });
  }
  return problems;
}

function roomProblems({ memory, freeMemory, cache, freeCache }: Machine): Problem[] {
  const problems: Problem[] = [];
  if (memory < 4 * GiB || freeMemory < GiB) {
    problems.push({
      what: `memory is low: ${bytes(freeMemory)} free of ${bytes(memory)}`,
      mend: "close other programs, or train with a smaller batch",
    });
  }
  if (softwareMissing()) return problems;
  // SwiftShader takes 7 MB unpacked, and twice that while one copy replaces another.
  if (freeCache < 20 * MiB) {
    problems.push({
      what: `the disk of ${cache} has ${bytes(freeCache)} free`,
      mend: "free some space, or set XDG_CACHE_HOME to another disk",
    });
  } else if (!mayUse(nearest(cache))) {
    problems.push({
      what: `${cache} cannot be written, so the software adapter is unpacked anew in every run`,
      mend: "set XDG_CACHE_HOME to a folder that you may write",
    });
  }
  return problems;
}

function mayUse(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = than.split(".").map(Number);
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}

/** `1.5 GiB`, `128 MiB`. */
export function bytes(count: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  while (count >= 1024 ** (power + 1) && power < units.length - 1) power++;
  const value = count / 1024 ** power;
  return `${Number.isInteger(value) || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}
