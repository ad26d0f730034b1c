// Starts MPI with the library that belongs to the launcher.
import { fstatSync } from "node:fs";
import { hostname } from "node:os";
import { ClimaxError } from "../errors.ts";
import { type Collectives, collectives } from "./collectives.ts";
import { type Launched, launchedBy } from "./launcher.ts";
import { callsOf, type MpiCalls } from "./mpicalls.ts";
import { type Constants, type MpiKind, type ThreadLevel, threadLevels } from "./mpikinds.ts";
import { loadLibrary, type MpiLibrary } from "./mpilibrary.ts";

/** MPI as this rank has it. */
export interface MpiFacts {
  /** The name or path the library was loaded by. */
  readonly library: string;
  readonly version: string;
  readonly kind: MpiKind;
  readonly threadLevel: ThreadLevel;
  readonly rank: number;
  readonly size: number;
  /** Among the ranks on this host: 0 .. localSize - 1. */
  readonly localRank: number;
  readonly localSize: number;
  /** Host names, by rank. */
  readonly hosts: readonly string[];
}

/** MPI, started. */
export interface Mpi extends MpiFacts, Collectives {}

/**
 * Loads the MPI library and starts it; once a process, on the main thread. Ends when every rank has called it. Where
 * MPI cannot start it ends the process itself, with its own words.
 *
 * @param library  name or path; else CLIMAX_MPI_LIB, else the first that is found
 * @throws ClimaxError "config" where there is no library, it does not belong to the launcher, or cannot reach it
 */
export function loadMpi(library?: string, env: NodeJS.ProcessEnv = process.env): Mpi {
  const launched = launchedBy(env);
  const loaded = loadLibrary(library, launched, env);
  if (loaded.kind !== "Open MPI") checkConnection(env);
  const calls = callsOf(loaded);
  const facts = start(loaded, calls, launched);
  process.once("exit", () => {
    // The launcher ends the other ranks of one that leaves so: MPICH's with its exit code, and all would look well.
    if (calls.int("Finalized") === 0) process.exitCode ||= 1;
  });
  return { ...facts, ...collectives(loaded.constants, calls, facts) };
}

function start(loaded: MpiLibrary, calls: MpiCalls, launched: Launched | undefined): MpiFacts {
  const { path, version, kind, constants: c } = loaded;
  if (calls.int("Initialized") !== 0) throw new Error("MPI has been started in this process before");
  const provided = new Int32Array(1);
  calls.now("Init_thread", null, null, c.levels[3], provided);
  calls.now("Comm_set_errhandler", c.world, c.errorsReturn);
  const threadLevel = threadLevels[c.levels.findLastIndex((level) => level <= provided[0]!)]!;
  const [rank, size] = [calls.int("Comm_rank", c.world), calls.int("Comm_size", c.world)];
  if (launched && launched.size !== size) {
    calls.now("Finalize");
    throw wrongLibrary(loaded, launched, size);
  }
  const hosts = hostNames(c, calls, rank, size);
  const here = hosts.flatMap((host, other) => (host === hosts[rank] ? [other] : []));
  const { localRank = here.indexOf(rank), localSize = here.length } = launched ?? {};
  return { library: path, version, kind, threadLevel, rank, size, localRank, localSize, hosts };
}

/** The names of all hosts, by rank. */
function hostNames(c: Constants, calls: MpiCalls, rank: number, size: number): string[] {
  const length = 256; // names of hosts have at most 253 bytes
  const all = Buffer.alloc(size * length);
  all.write(hostname(), rank * length, length);
  calls.now("Allgather", c.inPlace, 0, c.byte, all, length, c.byte, c.world);
  return Array.from({ length: size }, (_, i) => all.toString("utf8", i * length, all.indexOf(0, i * length)));
}

/**
 * The launchers of MPICH's family speak to a rank through a socket it inherits. Node hands none on to its children;
 * without it the library ends the process.
 */
function checkConnection({ PMI_FD }: NodeJS.ProcessEnv): void {
  if (PMI_FD === undefined) return;
  if (isSocket(Number(PMI_FD))) return;
  throw new ClimaxError(
    "config",
    `the launcher's connection to this rank (PMI_FD, file descriptor ${PMI_FD}) is closed`,
    "a program between them, such as npx, npm or tsx, does not hand it on: start climax or node itself, e.g. " +
      "mpiexec -n 4 node_modules/.bin/climax",
  );
}

function isSocket(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket();
  } catch {
    return false; // it is closed
  }
}

function wrongLibrary({ path, version }: MpiLibrary, launched: Launched, size: number): ClimaxError {
  return new ClimaxError(
    "config",
    `${launched.launcher} started ${launched.size} processes, but the MPI library ${path} (${version}) sees ${size}`,
    "the library is not the launcher's: name that one with --mpi LIB or CLIMAX_MPI_LIB, or start with the library's own " +
      "mpirun; with srun try --mpi=pmix for Open MPI and --mpi=pmi2 for MPICH (srun --mpi=list shows what there is)",
  );
}
