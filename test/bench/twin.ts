// The PyTorch twin of the model (twin.py) as a peer: which Python has torch, and with which BLAS it runs.
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { child } from "./child.ts";

const PROGRAM = fileURLToPath(new URL("twin.py", import.meta.url));

export interface ModelSpec {
  readonly variables: number;
  readonly height: number;
  readonly width: number;
  readonly patch: number;
  readonly dim: number;
  readonly depth: number;
  readonly heads: number;
  readonly batch: number;
}

export interface TwinAnswer {
  /** `CPU`, or the GPU's name. */
  readonly device: string;
  readonly torch: string;
  readonly threads: number;
  /** The library of its products, with the core it was built or chosen for; empty on a GPU. */
  readonly blas: string;
  readonly cuda: boolean;
  /** Of its own f32 product of 512 x 1024 x 1024, in this run. */
  readonly gflops: number;
  readonly ms: readonly number[];
  readonly peak_bytes: number;
}

export interface TwinTask {
  readonly task: "probe" | "forward" | "step" | "products";
  readonly device?: "cpu" | "cuda";
  readonly precision?: "f32" | "f16";
  readonly compile?: boolean;
  /** Attention by PyTorch's fused kernel, which the original does not call. */
  readonly fused?: boolean;
  readonly rounds?: number;
  /** M, N, K and the order of storage, e.g. `NT`. */
  readonly shapes?: readonly (readonly [number, number, number, string])[];
}

/** One way to run the twin on this machine. */
export interface Twin {
  readonly python: string;
  readonly cuda: boolean;
  /** What the row says of it. */
  name(answer: TwinAnswer): string;
  run(task: TwinTask & Partial<ModelSpec>): Promise<TwinAnswer>;
}

/**
 * The twin as installed, and where OpenBLAS did not see that the CPU has AVX-512 (Debian 12's on newer Xeons), once
 * more with its kernels for it: which of the two a user has is a matter of one environment variable.
 *
 * @param python  the interpreter; by default the first that has torch
 * @returns       the ways to run it, or why there is none
 */
export async function findTwins(python: string | undefined): Promise<Twin[] | string> {
  const candidates = python === undefined ? ["python3", "/usr/bin/python3", "python"] : [python];
  const refusals: string[] = [];
  for (const candidate of candidates) {
    try {
      const probe = await ask(candidate, {}, { task: "probe" });
      const wide = /openblas/i.test(probe.blas) && !/skylakex|cooperlake|sapphire|zen4/i.test(probe.blas);
      const fast =
        wide && hasAvx512() ? [twin(candidate, probe.cuda, { OPENBLAS_CORETYPE: "SkylakeX" })] : [];
      return [twin(candidate, probe.cuda, {}), ...fast];
    } catch (error) {
      refusals.push(`${candidate}: ${(error as Error).message}`);
    }
  }
  return (
    `no PyTorch (${refusals.join("; ")}). Install it (Debian: apt-get install python3-torch libopenblas0; ` +
    "else pip install torch), or name a Python that has it with --python"
  );
}

function twin(python: string, cuda: boolean, env: Record<string, string>): Twin {
  const set = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return {
    python,
    cuda,
    name: ({ torch, device, threads, blas, gflops }) => {
      const speed = `${Math.round(gflops)} GFLOP/s`;
      const how =
        device === "CPU" ? ["CPU", `${threads} threads`, ...(set.length > 0 ? set : [blas])] : [device];
      return [`PyTorch ${torch}`, ...how, speed].join(", ");
    },
    run: (task) => ask(python, env, task),
  };
}

async function ask(
  python: string,
  env: Record<string, string>,
  task: TwinTask & Partial<ModelSpec>,
): Promise<TwinAnswer> {
  const input = { device: "cpu", precision: "f32", threads: availableParallelism(), rounds: 1, ...task };
  return await child<TwinAnswer>(python, [PROGRAM], { env, input });
}

function hasAvx512(): boolean {
  const path = "/proc/cpuinfo";
  return existsSync(path) && /\bavx512f\b/.test(readFileSync(path, "utf8"));
}
