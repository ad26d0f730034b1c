// Whether this process is one of several that a launcher (mpirun, mpiexec, srun) started together. Reads the
// environment only.
import { ClimaxError } from "../errors.ts";

/** What the launcher says of this process. */
export interface Launched {
  /** "mpirun of Open MPI", "srun", ...: for messages. */
  readonly launcher: string;
  /** Whose MPI library the launcher speaks to; undefined where it may be any. */
  readonly family: "Open MPI" | "MPICH" | undefined;
  readonly rank: number;
  readonly size: number;
  /** Among the ranks of this host; undefined where the launcher does not say. */
  readonly localRank: number | undefined;
  readonly localSize: number | undefined;
}

type Family = Launched["family"];

/**
 * The variables of each launcher, the more special first: under srun there are SLURM's beside those of PMI.
 * SLURM_NTASKS is the job's, in an sbatch script and an salloc shell too, which are one process each;
 * SLURM_STEP_NUM_TASKS is what srun started.
 */
const sources: readonly { launcher: string; family: Family; names: Names }[] = [
  {
    launcher: "mpirun of Open MPI",
    family: "Open MPI",
    names: named(
      "OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE OMPI_COMM_WORLD_LOCAL_RANK OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
  },
  {
    launcher: "mpirun of MVAPICH",
    family: "MPICH",
    names: named(
      "MV2_COMM_WORLD_RANK MV2_COMM_WORLD_SIZE MV2_COMM_WORLD_LOCAL_RANK MV2_COMM_WORLD_LOCAL_SIZE",
    ),
  },
  {
    launcher: "mpiexec",
    family: "MPICH",
    names: named("PMI_RANK PMI_SIZE MPI_LOCALRANKID MPI_LOCALNRANKS"),
  },
  { launcher: "srun", family: undefined, names: named("SLURM_PROCID SLURM_STEP_NUM_TASKS SLURM_LOCALID -") },
];

type Names = Record<"rank" | "size" | "localRank" | "localSize", string>;

function named(text: string): Names {
  const [rank, size, localRank, localSize] = text.split(" ") as [string, string, string, string];
  return { rank, size, localRank, localSize };
}

/**
 * The launcher that started this process; undefined where there is none. One task of srun counts as none: it is how
 * people open a shell on a node.
 *
 * @throws ClimaxError "config" under a launcher that names the rank and not how many there are: each rank would take
 *   itself for the only one, and write over what the others write
 */
export function launchedBy(env: NodeJS.ProcessEnv = process.env): Launched | undefined {
  for (const { launcher, family, names } of sources) {
    const [rank, size] = [count(env[names.rank]), count(env[names.size])];
    if (rank === undefined || size === undefined || rank >= size) continue;
    if (launcher === "srun" && size === 1) continue;
    return {
      launcher: launcher === "mpiexec" && env.SLURM_STEP_ID !== undefined ? "srun (PMI)" : launcher,
      family,
      rank,
      size,
      localRank: count(env[names.localRank]) ?? count(env.SLURM_LOCALID),
      localSize: count(env[names.localSize]),
    };
  }
  if (sources.every(({ names }) => env[names.size] === undefined)) refusePmixAlone(env);
  return undefined;
}

/** Open MPI sets it itself, in a process without a launcher, when it starts. */
const { PMIX_RANK: rankAtStart } = process.env;

/**
 * prterun and prun of PRRTE, without Open MPI's personality, give PMIX_RANK, PMIX_NAMESPACE and PMIX_SERVER_URI*: the
 * number of ranks is to be asked of that server.
 */
function refusePmixAlone(env: NodeJS.ProcessEnv): void {
  const { PMIX_RANK: rank, PMIX_NAMESPACE: job } = env;
  if (count(rank) === undefined || job === undefined) return;
  if (env === process.env && rankAtStart === undefined) return;
  throw new ClimaxError(
    "config",
    `found PMIX_RANK=${rank} of PMIX_NAMESPACE=${job}, so this is one of several ranks, and no variable that says of how many`,
    "start ranks with mpirun of Open MPI, mpiexec of MPICH and its kin, or srun, which say it; for one process by itself, unset PMIX_RANK",
  );
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
