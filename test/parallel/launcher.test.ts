import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { launchedBy } from "../../src/parallel/launcher.ts";
import { climaxCommand, withoutRanks } from "../support/mpirun.ts";

const openMpi = {
  OMPI_COMM_WORLD_RANK: "3",
  OMPI_COMM_WORLD_SIZE: "8",
  OMPI_COMM_WORLD_LOCAL_RANK: "1",
  OMPI_COMM_WORLD_LOCAL_SIZE: "2",
};
const step = { SLURM_PROCID: "5", SLURM_STEP_NUM_TASKS: "6", SLURM_LOCALID: "2", SLURM_STEP_ID: "0" };

describe("who started this process", () => {
  test("Open MPI's mpirun", () => {
    const ranks = { rank: 3, size: 8, localRank: 1, localSize: 2 };
    expect(launchedBy(openMpi)).toEqual({ launcher: "mpirun of Open MPI", family: "Open MPI", ...ranks });
  });

  test("mpiexec of MPICH and Intel MPI, with and without a local rank", () => {
    const env = { PMI_RANK: "0", PMI_SIZE: "2", MPI_LOCALRANKID: "0", MPI_LOCALNRANKS: "2" };
    const ranks = { rank: 0, size: 2, localRank: 0, localSize: 2 };
    expect(launchedBy(env)).toEqual({ launcher: "mpiexec", family: "MPICH", ...ranks });
    expect(launchedBy({ PMI_RANK: "1", PMI_SIZE: "2" })).toMatchObject({ localRank: undefined });
  });

  test("MVAPICH's mpirun_rsh", () => {
    const env = { MV2_COMM_WORLD_RANK: "1", MV2_COMM_WORLD_SIZE: "4", MV2_COMM_WORLD_LOCAL_RANK: "1" };
    expect(launchedBy(env)).toMatchObject({ family: "MPICH", rank: 1, size: 4, localRank: 1 });
  });

  test("srun, with whatever MPI", () => {
    const ranks = { rank: 5, size: 6, localRank: 2, localSize: undefined };
    expect(launchedBy(step)).toEqual({ launcher: "srun", family: undefined, ...ranks });
    const pmi2 = launchedBy({ ...step, PMI_RANK: "5", PMI_SIZE: "6" });
    expect(pmi2).toEqual({ launcher: "srun (PMI)", family: "MPICH", ...ranks });
  });

  test("mpirun inside a job: its ranks count, not those of the step that its daemon runs in", () => {
    expect(launchedBy({ ...step, ...openMpi })).toMatchObject({ launcher: "mpirun of Open MPI", rank: 3 });
  });
});

describe("PMIx, which names a rank and not how many there are", () => {
  // What prterun of PRRTE 3 gives its ranks, unless it was started as mpirun of Open MPI.
  const prterun = {
    PMIX_RANK: "1",
    PMIX_NAMESPACE: "prterun-node7-4242@1",
    PMIX_SERVER_URI41: "prterun-node7-4242@0.0;tcp4://10.0.0.7:45678",
    PMIX_HOSTNAME: "node7",
    PRTE_LAUNCHED: "1",
  };

  test("is refused: each would write over what the others write", () => {
    expect(() => launchedBy(prterun)).toThrow(
      expect.objectContaining({
        kind: "config",
        message:
          "found PMIX_RANK=1 of PMIX_NAMESPACE=prterun-node7-4242@1, so this is one of several ranks, and no variable that says of how many",
        hint: expect.stringMatching(/^start ranks with mpirun of Open MPI, .* unset PMIX_RANK$/),
      }),
    );
  });

  test("is refused by commands before they write anything", () => {
    const [node, ...argv] = climaxCommand("pretrain", "--data.sources", "no-set", "-o", "no-run");
    const env = { ...withoutRanks(process.env), ...prterun };
    const { status, stdout, stderr } = spawnSync(node!, argv, { env, encoding: "utf8" });
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(/^error: found PMIX_RANK=1 of .*\nhint: {2}start ranks with mpirun/);
    expect(existsSync("no-run")).toBe(false);
  });

  test("beside what says how many, as under mpirun of Open MPI and srun --mpi=pmix", () => {
    expect(launchedBy({ ...prterun, ...openMpi })).toMatchObject({ launcher: "mpirun of Open MPI", size: 8 });
    expect(launchedBy({ ...prterun, ...step })).toMatchObject({ launcher: "srun", rank: 5, size: 6 });
  });

  test.each([
    ["a shell that srun --mpi=pmix opened", { ...step, SLURM_PROCID: "0", SLURM_STEP_NUM_TASKS: "1" }],
    ["no job", { PMIX_NAMESPACE: undefined }],
    ["no number", { PMIX_RANK: "" }],
  ])("is none: %s", (_, env) => {
    expect(launchedBy({ ...prterun, ...env })).toBeUndefined();
  });

  test("is none where a library has set it in this process", () => {
    for (const [name, value] of Object.entries(prterun)) vi.stubEnv(name, value);
    expect(launchedBy()).toBeUndefined();
    vi.unstubAllEnvs();
  });
});

describe("a process by itself", () => {
  test.each([
    ["nothing set", {}],
    ["an sbatch script of 4 tasks", { SLURM_PROCID: "0", SLURM_NTASKS: "4", SLURM_LOCALID: "0" }],
    ["a shell of salloc", { SLURM_NTASKS: "4", SLURM_JOB_ID: "7" }],
    ["a shell that srun opened on a node", { ...step, SLURM_PROCID: "0", SLURM_STEP_NUM_TASKS: "1" }],
    ["a rank without a size", { OMPI_COMM_WORLD_RANK: "0" }],
    ["a size without a rank", { PMI_SIZE: "2" }],
    ["a rank beyond the size", { PMI_RANK: "2", PMI_SIZE: "2" }],
    ["what is no number", { PMI_RANK: "x", PMI_SIZE: "2" }],
    ["empty variables", { OMPI_COMM_WORLD_RANK: "", OMPI_COMM_WORLD_SIZE: "" }],
  ])("%s", (_, env) => {
    expect(launchedBy(env)).toBeUndefined();
  });
});
