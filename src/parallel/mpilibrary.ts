// Finds the MPI library of this machine or cluster and loads it, through koffi.
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { ClimaxError } from "../errors.ts";
import type { Launched } from "./launcher.ts";
import { type Constants, constantsOf, type MpiKind } from "./mpikinds.ts";

/** A C function: called on this thread, or with `.async` on one of libuv's. */
export interface Native {
  (...args: unknown[]): number;
  async(...args: [...unknown[], (error: Error | null, result: number) => void]): void;
}

/** A loaded library that MPI_Init has not been called in. */
export interface MpiLibrary {
  /** The name or path it was loaded by. */
  readonly path: string;
  /** First line of what it says of itself: "Open MPI v4.1.4, package: ...". */
  readonly version: string;
  readonly kind: MpiKind;
  readonly constants: Constants;
  /** A function returning int. */
  func(name: string, parameters: readonly string[]): Native;
}

interface Loaded {
  func(name: string, result: string, parameters: readonly string[]): Native;
  symbol(name: string): unknown;
}

interface Koffi {
  config(): { async_stack_size: number };
  config(settings: object): void;
  load(path: string | null, options: object): Loaded;
  address(value: unknown): bigint;
}

/**
 * Loads `library`, or else CLIMAX_MPI_LIB, or else the first that the system knows of those that fit the launcher.
 *
 * @throws ClimaxError "config" without koffi, without a library, and for one of no known kind
 */
export function loadLibrary(
  library: string | undefined,
  launched: Launched | undefined,
  env: NodeJS.ProcessEnv = process.env,
): MpiLibrary {
  const koffi = loadKoffi();
  tameUcx();
  const chosen = library ?? env.CLIMAX_MPI_LIB;
  const names = chosen ? [chosen] : libraryNames(launched?.family, env, process.platform);
  const reasons: string[] = [];
  for (const path of names) {
    try {
      // Open MPI's plug-ins look for its symbols among the global ones.
      const loaded = koffi.load(path, { global: true });
      holdLibrary(koffi, path);
      return describeLibrary(koffi, path, loaded);
    } catch (error) {
      if (error instanceof ClimaxError) throw error;
      reasons.push(firstLine(error));
    }
  }
  throw chosen
    ? new ClimaxError("config", `cannot load the MPI library ${chosen}: ${reasons[0]}`, mend)
    : new ClimaxError("config", `no MPI library was found; tried ${names.join(", ")}`, mend);
}

const mend =
  "load the cluster's MPI module, or name its library with --mpi LIB or CLIMAX_MPI_LIB, e.g. --mpi /opt/mpi/lib/libmpi.so " +
  "(ldd of any MPI program shows which one it uses)";

/** Names to try, in this order: those of the launcher's family first. */
export function libraryNames(
  family: Launched["family"],
  env: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
): string[] {
  const mac = platform === "darwin";
  const name = (stem: string, number: string) =>
    mac ? `lib${stem}${number && `.${number}`}.dylib` : `lib${stem}.so${number && `.${number}`}`;
  const openMpi = [name("mpi", "40")];
  const mpich = [name("mpi", "12"), name("mpich", "12")];
  const own = [
    ...(family === "MPICH" ? [...mpich, ...openMpi] : [...openMpi, ...mpich]),
    ...[name("mpi_abi", mac ? "1" : "1"), name("mpi", "")],
  ];
  // What module files, conda and Homebrew set or use, where the system's own search would not look.
  const roots = ["MPI_HOME", "MPI_ROOT", "I_MPI_ROOT", "CONDA_PREFIX"].map((key) => env[key]);
  if (mac) roots.push("/opt/homebrew", "/usr/local", "/opt/local");
  const folders = roots.filter((root) => root !== undefined && root !== "").map((root) => join(root!, "lib"));
  return [...folders.flatMap((folder) => own.map((file) => join(folder, file))), ...own];
}

function describeLibrary(koffi: Koffi, path: string, loaded: Loaded): MpiLibrary {
  const func = (name: string, parameters: readonly string[]) => loaded.func(name, "int", parameters);
  const [text, length] = [Buffer.alloc(8192), new Int32Array(1)];
  let version: string;
  try {
    func("MPI_Get_library_version", ["void *", "void *"])(text, length);
    const [line = ""] = text.toString("utf8", 0, length[0]).split(/[\n\0]/);
    version = line.trim().replace(/\s+/g, " ");
  } catch (error) {
    throw new ClimaxError("config", `${path} is no MPI library: ${firstLine(error)}`, mend);
  }
  const kind = kindOf(path, version, (name) => {
    try {
      return loaded.symbol(name) !== null;
    } catch {
      return false;
    }
  });
  if (kind === undefined)
    throw new ClimaxError(
      "config",
      `${path} is an MPI library of no known kind: ${version}`,
      "wanted Open MPI, one of the family of MPICH (Intel MPI, MVAPICH, Cray MPICH), or a libmpi_abi of MPI 5; name one with --mpi LIB or CLIMAX_MPI_LIB",
    );
  const constants = constantsOf(kind, (name) => koffi.address(loaded.symbol(name)));
  return { path, version, kind, constants, func };
}

/** The kind of a library; undefined for one whose handles nobody here knows. */
export function kindOf(
  path: string,
  version: string,
  exports: (symbol: string) => boolean,
): MpiKind | undefined {
  if (/mpi_abi/.test(basename(path))) return "MPI-5 ABI";
  if (exports("ompi_mpi_comm_world")) return "Open MPI";
  return /MPICH|Intel\(R\) MPI|MVAPICH/i.test(version) ? "MPICH" : undefined;
}

/**
 * Opens a library a second time, so that it stays when koffi lets go of it at the end of the process: threads of libuv's
 * that were inside Open MPI's TCP end later, and each then calls a function of the library (a destructor of its data).
 */
function holdLibrary(koffi: Koffi, path: string): void {
  if (process.platform === "win32") return;
  koffi.load(null, {}).func("dlopen", "void *", ["str", "int"])(path, 1); // RTLD_LAZY
}

/**
 * UCX, which carries the data under many MPI libraries, reads the process's environment when it is loaded. To watch
 * memory it puts itself in the place of malloc and mmap while other threads of Node use them: with MPICH 4.0.2 and UCX
 * 1.13, 4 of 120 runs crashed or hung, and none of 110 without. WebAssembly needs SIGSEGV for itself. What the user has
 * set stays.
 */
function tameUcx(): void {
  process.env.UCX_MEM_EVENTS ??= "no";
  process.env.UCX_ERROR_SIGNALS ??= "SIGILL,SIGBUS,SIGFPE";
}

function loadKoffi(): Koffi {
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)("koffi") as Koffi;
  } catch (error) {
    throw new ClimaxError(
      "config",
      `MPI is reached through the npm package koffi, which is not installed (${firstLine(error)})`,
      "npm install koffi; it is optional, and npm leaves it out with --omit=optional or where it has no binary",
    );
  }
  // MPICH's collectives overrun the 128 KiB that koffi gives calls on other threads.
  const stack = 8 * 2 ** 20;
  if (koffi.config().async_stack_size < stack)
    koffi.config({ async_stack_size: stack, sync_stack_size: stack });
  return koffi;
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
