// What a machine offers to Vulkan, looked up without asking Dawn, which prints complaints that cannot be caught.
import { existsSync, readdirSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";

/** glibc's RTLD_NODELETE: the library stays loaded although Node refuses it as an addon. */
const RTLD_NODELETE = 0x1000;

/** The driver descriptions (ICD files) that the Vulkan loader would read. */
export function driverFiles(): string[] {
  const named = chosenDrivers();
  if (named !== undefined) return named.split(delimiter).flatMap(jsonFiles);
  const {
    XDG_CONFIG_DIRS = "/etc/xdg",
    XDG_DATA_DIRS = "/usr/local/share:/usr/share",
    HOME = "",
  } = process.env;
  const { XDG_CONFIG_HOME = join(HOME, ".config"), XDG_DATA_HOME = join(HOME, ".local/share") } = process.env;
  const folders = [
    XDG_CONFIG_HOME,
    ...XDG_CONFIG_DIRS.split(delimiter),
    "/etc",
    XDG_DATA_HOME,
    ...XDG_DATA_DIRS.split(delimiter),
  ];
  const added = process.env.VK_ADD_DRIVER_FILES?.split(delimiter) ?? [];
  return [
    ...new Set([...added, ...folders.map((folder) => join(folder, "vulkan/icd.d"))].flatMap(jsonFiles)),
  ];
}

/** The user's own choice of Vulkan drivers, if there is one. */
export function chosenDrivers(): string | undefined {
  return process.env.VK_DRIVER_FILES ?? process.env.VK_ICD_FILENAMES;
}

function jsonFiles(path: string): string[] {
  if (path.endsWith(".json")) return existsSync(path) ? [path] : [];
  try {
    return readdirSync(path)
      .filter((name) => name.endsWith(".json"))
      .map((name) => join(path, name));
  } catch {
    return [];
  }
}

/**
 * Loads a shared library into the process, for good. Node refuses it as an addon ("did not self-register"), but by
 * then it is loaded, and the next `dlopen` of its name finds it.
 *
 * @returns undefined, or why it cannot be loaded
 */
export function loadLibrary(path: string): string | undefined {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
    return undefined;
  } catch (error) {
    const { message } = error as Error;
    return /did not self-register/.test(message) ? undefined : message;
  }
}

/** Why the system's Vulkan loader cannot be loaded; undefined when it can. */
export function systemLoaderMissing(): string | undefined {
  return loadLibrary("libvulkan.so.1");
}

/** Device files that a GPU driver makes; without one, only software adapters can be there. */
export function gpuDevices(): string[] {
  const listed = (folder: string, form: RegExp) => {
    try {
      return readdirSync(folder)
        .filter((name) => form.test(name))
        .map((name) => join(folder, name));
    } catch {
      return [];
    }
  };
  return [...listed("/dev/dri", /^renderD/), ...listed("/dev", /^(nvidia\d+|dxg|kfd|mali\d+|kgsl-3d0)$/)];
}
