// Lists the WebGPU adapters of the machine and chooses one.
import { ClimaxError } from "../errors.ts";
import { softwareDriver, softwareMissing } from "./software.ts";
import { chosenDrivers, driverFiles, gpuDevices, loadLibrary, systemLoaderMissing } from "./vulkan.ts";

export interface AdapterEntry {
  /** What the device calls itself (`NVIDIA H200`), or a software driver; `--adapter` takes any part of it. */
  readonly name: string;
  /** Who calls it so: `vulkan`, `metal`, `d3d12`. */
  readonly backend: string;
  readonly kind: "hardware" | "software";
  /** The driver's own words. */
  readonly driver: string;
  /** The system's, or the one that came with npm. */
  readonly origin: "system" | "npm";
  readonly adapter: GPUAdapter;
}

export interface ChosenAdapter {
  /** Dawn lives as long as this object; losing it ends the process, so it is also kept in a global. */
  readonly instance: GPU;
  readonly adapter: GPUAdapter;
  readonly name: string;
  readonly kind: "hardware" | "software";
}

export interface AdapterOptions {
  /** Part of an adapter's name, in any case; or `software`, `hardware`, `swiftshader`. CLIMAX_ADAPTER by default. */
  readonly name?: string | undefined;
  /**
   * Of several processes on this machine, the how manyth this is, from 0: where `name` is that of GPUs with several
   * names, each process takes the next. Those of one name cannot be told apart.
   */
  readonly turn?: number | undefined;
}

/**
 * Off: Dawn's guards that cost most (SwiftShader: 1.6 times), clamping every index and zeroing workgroup memory. Our
 * kernels keep within their buffers by their own guards and write workgroup memory before they read it, on GPUs as on
 * software adapters, and only our kernels run. Validation stays on: it is what turns a wrong binding into an error.
 * On: what Dawn holds back on GPUs unless asked, subgroup matrices, and f16 on NVIDIA.
 */
const TOGGLES =
  "enable-dawn-features=disable_robustness,disable_workgroup_init,allow_unsafe_apis,vulkan_enable_f16_on_nvidia";

/** Exact timestamps: browsers coarsen them for the sake of pages that should not spy; a profiler wants them. */
const EXACT = "disable-dawn-features=timestamp_quantization";

const FIXES =
  "install a Vulkan driver (the GPU's own, or mesa-vulkan-drivers for the CPU), or run npm ci with optional packages " +
  "on linux-x64, which brings a software adapter; climax doctor says more";

/**
 * Chooses an adapter: the one named, else the system's hardware, else its software driver (lavapipe), else the
 * SwiftShader that comes with npm. VK_DRIVER_FILES, when set, is the whole of the system.
 *
 * @throws ClimaxError "device" when there is none, or none of that name
 */
export async function chooseAdapter({ name, turn = 0 }: AdapterOptions = {}): Promise<ChosenAdapter> {
  const wanted = (name ?? process.env.CLIMAX_ADAPTER ?? "").trim().toLowerCase();
  if (wanted !== "") return named(wanted, turn);
  const system = await bestOfSystem();
  if (system) return system;
  if (chosenDrivers() === undefined && !softwareMissing()) {
    const npm = await openSwiftShader();
    if (npm) return npm;
  }
  const hint =
    chosenDrivers() === undefined
      ? FIXES
      : `unset VK_DRIVER_FILES, or let it name a driver's .json; or ${FIXES}`;
  throw new ClimaxError("device", `no WebGPU adapter found (${machine()})`, hint);
}

/** Every adapter of the machine, the system's first. */
export async function listAdapters(): Promise<AdapterEntry[]> {
  const entries: AdapterEntry[] = [];
  const names = await systemNames();
  for (const { backend, name } of names) {
    const which = names.length > 1 ? [`backend=${backend}`, `adapter=${name}`] : [];
    const opened = await open(which, name);
    if (opened) entries.push(entry(opened, backend, "system"));
  }
  const listed = entries.some(({ name }) => /swiftshader/i.test(name));
  const npm = listed || softwareMissing() ? undefined : await openSwiftShader();
  return npm ? [...entries, entry(npm, "vulkan", "npm")] : entries;
}

/** How many of the system's adapters have this name. */
export async function adaptersNamed(name: string): Promise<number> {
  return (await systemNames()).filter((one) => one.name === name).length;
}

function entry(
  { adapter, name, kind }: ChosenAdapter,
  backend: string,
  origin: "system" | "npm",
): AdapterEntry {
  return { name, backend, kind, driver: adapter.info.description, origin, adapter };
}

/** What is known of this machine when no adapter was found, in one line. */
export function machine(): string {
  const facts = [`${process.platform}-${process.arch}`];
  if (process.platform === "linux") {
    const set = chosenDrivers();
    const found = driverFiles();
    facts.push(
      set === undefined ? "" : `VK_DRIVER_FILES=${set}`,
      found.length > 0 ? `driver files: ${found.join(", ")}` : "no Vulkan driver files",
      systemLoaderMissing() ? "libvulkan.so.1 is missing" : "libvulkan.so.1 loads",
      gpuDevices().length > 0 ? `devices: ${gpuDevices().join(", ")}` : "no GPU device files",
    );
  }
  const missing = softwareMissing();
  facts.push(missing ? `no SwiftShader: ${missing}` : "");
  return facts.filter((fact) => fact !== "").join("; ");
}

async function named(wanted: string, turn: number): Promise<ChosenAdapter> {
  const kind = wanted === "hardware" || wanted === "software" ? wanted : undefined;
  // Asking the system first costs lavapipe's chatter on stderr; SwiftShader by its name needs no asking.
  if ("swiftshader".includes(wanted) && wanted.length > 4 && !softwareMissing()) {
    const npm = await openSwiftShader();
    if (npm) return npm;
  }
  const entries = await listAdapters();
  const matching = entries.filter((one) =>
    kind ? one.kind === kind : words(one).some((text) => text.toLowerCase().includes(wanted)),
  );
  const [first] = matching;
  if (first) {
    const gpus = [...new Map(matching.map((one) => [one.name, one])).values()].filter(
      (one) => one.kind === "hardware",
    );
    const { adapter, name, kind: found } = first.kind === "hardware" ? gpus[turn % gpus.length]! : first;
    return { instance: instanceOf.get(adapter)!, adapter, name, kind: found };
  }
  const list = entries.map(({ name, kind: k }) => `${name} (${k})`).join("; ");
  throw new ClimaxError(
    "device",
    `no adapter matches "${wanted}"; ${list === "" ? `there is none (${machine()})` : `there are: ${list}`}`,
    list === "" ? FIXES : "give --adapter (or CLIMAX_ADAPTER) a part of one of these names",
  );
}

function words({ name, driver, adapter }: AdapterEntry): string[] {
  return [name, driver, adapter.info.vendor, adapter.info.device.replaceAll("-", " "), adapter.info.device];
}

/** The system's best adapter, hardware first; undefined when it has none. */
async function bestOfSystem(): Promise<ChosenAdapter | undefined> {
  if (!systemMayHaveAdapters()) return undefined;
  const hardware = process.platform !== "linux" || gpuDevices().length > 0;
  // With no GPU in sight, one look is enough: each look makes lavapipe print two warnings on stderr.
  if (!hardware) return open();

  const names = await systemNames();
  const best = await open();
  if (best?.kind === "hardware") {
    const full = names.find(({ name }) => identifier(name) === identifier(best.adapter.info.device));
    return { ...best, name: full?.name ?? (names.length === 1 ? names[0]!.name : best.name) };
  }
  for (const { backend, name } of names.filter((one) => !isSoftwareName(one.name))) {
    const opened = await open([`backend=${backend}`, `adapter=${name}`], name);
    if (opened?.kind === "hardware") return opened;
  }
  return best;
}

/** On Linux Dawn complains on stderr when there is nothing to find: look first. */
function systemMayHaveAdapters(): boolean {
  return process.platform !== "linux" || (driverFiles().length > 0 && !systemLoaderMissing());
}

/** Backend and name of each of the system's adapters, in Dawn's order. */
async function systemNames(): Promise<{ backend: string; name: string }[]> {
  if (!systemMayHaveAdapters()) return [];
  try {
    await (await dawn(["adapter=__list__"])).requestAdapter();
    return [];
  } catch (error) {
    // dawn.node has no other way to list: it rejects an unknown name with all the names it knows.
    const lines = (error as Error).message.matchAll(/^ \* backend: '([^']+)', name: '(.*)'$/gm);
    const found = [...lines].map(([, backend, name]) => ({ backend: backend!, name: name! }));
    return found.filter(({ backend }) => backend !== "null");
  }
}

/** The SwiftShader of npm, whatever drivers the system has. */
async function openSwiftShader(): Promise<ChosenAdapter | undefined> {
  const { folder, icd, loader, library } = softwareDriver();
  const refusal = (systemLoaderMissing() && loadLibrary(loader)) ?? loadLibrary(library);
  if (refusal) {
    throw new ClimaxError(
      "device",
      `the software adapter in ${folder} cannot be loaded: ${refusal}`,
      "set XDG_CACHE_HOME to a folder on a disk that programs may be run from (not mounted noexec)",
    );
  }
  const { VK_DRIVER_FILES } = process.env;
  process.env.VK_DRIVER_FILES = icd; // read by the loader while Dawn makes its Vulkan instance
  try {
    return await open(["backend=vulkan"]);
  } finally {
    if (VK_DRIVER_FILES === undefined) delete process.env.VK_DRIVER_FILES;
    else process.env.VK_DRIVER_FILES = VK_DRIVER_FILES;
  }
}

const instanceOf = new WeakMap<GPUAdapter, GPU>();

async function open(which: string[] = [], name?: string): Promise<ChosenAdapter | undefined> {
  const instance = await dawn([...which, TOGGLES, EXACT]);
  const adapter = await instance.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return undefined;
  instanceOf.set(adapter, instance);
  const { info } = adapter;
  const software = info.isFallbackAdapter || info.architecture === "software" || isSoftwareName(info.device);
  // A driver's description of a GPU is its own version; of a software adapter, all there is to know.
  return software
    ? { instance, adapter, name: info.description, kind: "software" }
    : { instance, adapter, name: name ?? info.description, kind: "hardware" };
}

function isSoftwareName(name: string): boolean {
  return /llvmpipe|swiftshader|basic render|softpipe/i.test(name);
}

/** Names as Dawn writes them in `info.device`: `NVIDIA H200` is `nvidia-h200`. */
function identifier(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

/**
 * Dawn with these options; one for each set of options and drivers. Collecting the object `create` returned crashes
 * the process, even at its exit, so a global holds all of them for good.
 */
async function dawn(options: string[]): Promise<GPU> {
  const { create } = await loadWebgpu();
  const key = [...options, chosenDrivers()].join(" ");
  const store = globalThis as { [name: symbol]: Map<string, GPU> | undefined };
  const instances = (store[Symbol.for("climax.gpu")] ??= new Map());
  const known = instances.get(key) ?? create(options);
  instances.set(key, known);
  return known;
}

/** Loads dawn.node, and puts WebGPU's constants (GPUBufferUsage, ...) on the global object. */
export async function loadWebgpu(): Promise<typeof import("webgpu")> {
  process.env.NODEVICE_SELECT ??= "1"; // or Mesa's device-select layer complains where no desktop runs
  try {
    const webgpu = await import("webgpu");
    if (!("GPUBufferUsage" in globalThis)) Object.assign(globalThis, webgpu.globals);
    return webgpu;
  } catch (error) {
    const { message } = error as Error;
    const old = message.match(/version `([^']+)' not found/)?.[1];
    throw new ClimaxError(
      "device",
      old
        ? `WebGPU cannot be loaded: this system's C or C++ library is too old, ${old} is wanted`
        : `WebGPU cannot be loaded on ${process.platform}-${process.arch}: ${message.split("\n")[0]}`,
      old
        ? "use a newer system or container (glibc 2.34, libstdc++ of gcc 12), or load a newer libstdc++ (module load gcc/12, or conda)"
        : "install again with npm ci on this machine; there are builds for linux, macOS and Windows on x64 and arm64",
      { cause: error },
    );
  }
}
