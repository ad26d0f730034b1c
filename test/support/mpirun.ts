/**
 * Ranks under a real `mpirun`, on this machine and over loopback alone: what each rank said, and its process, which a
 * test may kill. Each rank begins as a line of shell that leaves its process id and sends its words to files.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtClimax } from "./builtclimax.ts";

export type MpiKind = "openmpi" | "mpich";
export const mpiKinds: readonly MpiKind[] = ["openmpi", "mpich"];

/** Debian's names of the launchers, then what they are called where only one MPI is installed. */
const launchers = {
  openmpi: { names: ["mpirun.openmpi", "mpirun"], says: /Open MPI|OpenRTE/ },
  mpich: { names: ["mpirun.mpich", "mpiexec.hydra", "mpirun"], says: /HYDRA/ },
};
const found = new Map<MpiKind, string | undefined>();

function launcherOf(kind: MpiKind): string | undefined {
  if (!found.has(kind)) {
    const { names, says } = launchers[kind];
    const speaks = (name: string): boolean => says.test(String(spawnSync(name, ["--version"]).stdout));
    found.set(kind, names.find(speaks));
  }
  return found.get(kind);
}

/** Whether ranks can be started: tests that need them are skipped in plain sight where they cannot. */
export const mpiInstalled = (kind: MpiKind): boolean => launcherOf(kind) !== undefined;

/** Loopback and shared memory alone; no remote shell is looked for; a rank that waits lets others have the core. */
const openMpiSettings = {
  OMPI_MCA_btl: "self,vader,tcp",
  OMPI_MCA_btl_tcp_if_include: "lo",
  OMPI_MCA_oob_tcp_if_include: "lo",
  OMPI_MCA_btl_vader_single_copy_mechanism: "none", // process_vm_readv is forbidden in many containers
  OMPI_MCA_plm: "isolated",
  OMPI_MCA_mpi_yield_when_idle: "1",
  OMPI_MCA_orte_base_help_aggregate: "0",
};
const arguments_ = {
  openmpi: ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"],
  mpich: ["-launcher", "fork", "-bind-to", "none", "-iface", "lo"],
};

export interface RankOptions {
  readonly kind: MpiKind;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** After these milliseconds all of it is ended, and `timedOut` is said. 60 000 unless given. */
  readonly timeout?: number;
  /** Further arguments of the launcher. */
  readonly launcher?: readonly string[];
}

export interface RanksSaid {
  /** Of the launcher: the first bad exit code of a rank; 128 + n where it died of signal n. */
  readonly code: number;
  readonly timedOut: boolean;
  /** What each rank wrote, by rank; "" of a rank that did not come so far. */
  readonly out: readonly string[];
  readonly err: readonly string[];
  /** What the launcher itself wrote. */
  readonly launcher: string;
}

export interface Ranks {
  /** The process id of a rank, as soon as it has one. It leads a process group of its own. */
  pid(rank: number): Promise<number>;
  /** What a rank has written so far. */
  said(rank: number): { readonly out: string; readonly err: string };
  /** Of the launcher: what is sent to it goes to every rank. */
  readonly launcher: number;
  readonly done: Promise<RanksSaid>;
}

// "$0" is the folder: the shell becomes the program, so its process id is the program's.
const beginning =
  'r=$(printenv OMPI_COMM_WORLD_RANK || printenv PMI_RANK); echo $$ >"$0/pid.$r"; exec "$@" >"$0/out.$r" 2>"$0/err.$r"';

/** The command that is `climax ...argv`. */
export function climaxCommand(...argv: string[]): string[] {
  return [process.execPath, ...builtClimax(), ...argv];
}

/** Starts a command on `n` ranks. */
export function startRanks(n: number, command: readonly string[], options: RankOptions): Ranks {
  const { kind, env, timeout = 60_000, launcher = [] } = options;
  const program = launcherOf(kind);
  if (program === undefined) throw new Error(`no mpirun of ${kind} is installed`);
  const folder = mkdtempSync(join(tmpdir(), "climax-ranks-"));
  const read = (name: string): string => {
    const path = join(folder, name);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };
  const begin = ["sh", "-c", beginning, folder, ...command];
  const child = spawn(program, [...arguments_[kind], ...launcher, "-n", String(n), ...begin], {
    // Ranks of an mpirun that was itself started by one would otherwise take its rank for theirs.
    env: { ...withoutRanks(process.env), ...(kind === "openmpi" ? openMpiSettings : {}), ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a group of its own
  });
  let words = "";
  const hear = (chunk: Buffer) => (words += chunk.toString());
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  const ranks = Array.from({ length: n }, (_, rank) => rank);
  const pidOf = (rank: number): number => Number(read(`pid.${rank}`).trim());
  const groups = (): number[] => [child.pid!, ...ranks.map(pidOf)].filter((pid) => pid > 0);
  let timedOut = false;
  const late = setTimeout(() => {
    timedOut = true;
    for (const group of groups()) endGroup(group);
  }, timeout);
  let running = true;
  const done = new Promise<RanksSaid>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      resolve({
        code: code ?? 128 + (signal === "SIGKILL" ? 9 : 15),
        timedOut,
        out: ranks.map((rank) => read(`out.${rank}`)),
        err: ranks.map((rank) => read(`err.${rank}`)),
        launcher: words,
      });
    });
  }).finally(() => {
    running = false;
    clearTimeout(late);
    rmSync(folder, { recursive: true, force: true });
  });
  done.catch(() => undefined); // whoever awaits it hears of it
  return {
    async pid(rank) {
      for (;;) {
        const pid = running ? pidOf(rank) : 0;
        if (pid > 0) return pid;
        if (!running) throw new Error(`the run ended before rank ${rank} was there:\n${words}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    said: (rank) => ({ out: read(`out.${rank}`), err: read(`err.${rank}`) }),
    launcher: child.pid!,
    done,
  };
}

/** Runs `climax ...argv` on `n` ranks to its end. */
export async function runRanks(n: number, argv: readonly string[], options: RankOptions): Promise<RanksSaid> {
  return startRanks(n, climaxCommand(...argv), options).done;
}

/** An environment in which no launcher is to be seen. */
export function withoutRanks(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const ofLaunchers = /^(OMPI_|PMI_|PMIX_|PMI2_|HYDRA_|HYDI_|MPI_LOCAL|MPIR_|SLURM_)/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !ofLaunchers.test(name)));
}

function endGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // it has ended
  }
}
