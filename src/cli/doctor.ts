/** climax doctor: the adapters, limits, features and versions of this machine, and what is wrong with it. */
import { z } from "zod";
import { type AdapterEntry, listAdapters } from "../engine/adapters.ts";
import { openGpu } from "../engine/device.ts";
import { read, tensor } from "../engine/tensor.ts";
import { ClimaxError } from "../errors.ts";
import { EccodesMissing, loadEccodes } from "../files/eccodes.ts";
import { matmul } from "../ops/matmul.ts";
import { launchedBy } from "../parallel/launcher.ts";
import { version } from "../version.ts";
import { command } from "./command.ts";
import {
  bytes,
  findProblems,
  inspectMachine,
  type Machine,
  type Problem,
  packageVersion,
} from "./machine.ts";
import { mpiField } from "./ranks.ts";
import { table } from "./table.ts";

interface AdapterReport {
  readonly name: string;
  readonly backend: string;
  readonly kind: "hardware" | "software";
  readonly driver: string;
  readonly origin: "system" | "npm";
  readonly limits: Readonly<Record<string, number>>;
  readonly shaderF16: boolean;
  /** Sizes a subgroup may have, undefined without subgroups. */
  readonly subgroups: { readonly min: number; readonly max: number } | undefined;
  readonly timestampQuery: boolean;
  /** Subgroup matrices (tensor cores), e.g. `16x16x16 f16`. */
  readonly subgroupMatrices: readonly string[];
}

export interface Trial {
  /** The adapter that a run would use. */
  readonly adapter: string;
  readonly kind: "hardware" | "software";
  /** Norm of the difference from float64 over the norm. */
  readonly relativeError: number;
  readonly milliseconds: number;
}

export interface Report {
  /** eccodes: null where it is not installed. */
  readonly versions: { climax: string; node: string; webgpu: string; eccodes: string | null };
  readonly machine: Machine;
  readonly adapters: readonly AdapterReport[];
  readonly trial: Trial | undefined;
  readonly problems: readonly Problem[];
}

/** A product of 96 terms of float32: 1e-6 is what rounding does, 1e-5 what this program allows everywhere. */
const TOLERANCE = 1e-5;

const limitNames = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
] as const;

export const doctorCommand = command({
  name: "doctor",
  summary: "show adapters, limits and versions, and what is wrong with this machine",
  description:
    "Shows what this machine offers (adapters, limits, features, versions), which adapter a run would use, whether " +
    "a matrix product on it is right, and what is wrong with the machine and how to mend it. " +
    "Ends with exit code 1 when an answer is wrong or nothing can run.",
  examples: [
    "climax doctor",
    "climax doctor --adapter swiftshader",
    "climax doctor --json > machine.json",
    "mpirun -n 4 climax doctor   # MPI, and every rank with its host and adapter",
    "climax doctor --reference reference/   # every case of the reference implementation on this adapter",
    "srun climax doctor --reference reference/   # on the adapter of every rank",
  ],
  allowConfigFile: false,
  config: z.strictObject({
    adapter: z
      .string()
      .optional()
      .describe(
        "part of the name of the adapter to try, or `hardware`, `software` (default: what a run would use)",
      ),
    reference: z
      .string()
      .optional()
      .describe("folder of reference cases to compute on the adapter and compare, instead of the report")
      .meta({ value: "DIR" }),
    mpi: mpiField,
    json: z.boolean().default(false).describe("print JSON"),
  }),

  async run({ adapter, reference, mpi, json }, context) {
    if (reference !== undefined) {
      const { runReference } = await import("./doctorreference.ts");
      return runReference(reference, context, { adapter, mpi, json });
    }
    if (mpi !== undefined || launchedBy()) {
      const { inspectRanks } = await import("./doctorranks.ts");
      return inspectRanks(mpi, (turn) => examine(adapter, turn), context, json);
    }
    const report = await examine(adapter);
    context.print(json ? JSON.stringify(report, null, 2) : describe(report));
    return isWell(report) ? 0 : 1;
  },
});

/** Whether something can run here, and computes what it should. */
export function isWell({ trial, problems }: Pick<Report, "trial" | "problems">): boolean {
  return isRight(trial) && !problems.some(({ fatal }) => fatal);
}

export function isRight(trial: Trial | undefined): boolean {
  return trial !== undefined && trial.relativeError <= TOLERANCE;
}

async function examine(wanted: string | undefined, turn?: number): Promise<Report> {
  const machine = inspectMachine();
  const problems: Problem[] = [];
  const refused = (error: unknown) => {
    if (!(error instanceof ClimaxError)) throw error;
    if (!problems.some(({ what }) => what === error.message))
      problems.push({ what: error.message, mend: error.hint, fatal: true });
    return undefined;
  };
  const adapters = await listAdapters().catch(refused);
  if (adapters) problems.push(...findProblems(machine, adapters));
  let trial: Trial | undefined;
  // An adapter that was asked for and is not there is the user's to mend, not the machine's.
  if (adapters && adapters.length > 0) {
    trial = await (wanted === undefined
      ? tryAdapter(undefined, turn).catch(refused)
      : tryAdapter(wanted, turn));
  }
  if (trial && trial.relativeError > TOLERANCE) {
    problems.unshift({
      what: `${trial.adapter} computes wrongly: a matrix product is off by ${trial.relativeError.toExponential(1)}`,
      mend: "update the driver, or choose another adapter with --adapter",
      fatal: true,
    });
  }
  return {
    versions: {
      climax: version(),
      node: process.version,
      webgpu: packageVersion("webgpu"),
      eccodes: eccodesVersion(),
    },
    machine,
    adapters: (adapters ?? []).map(reportOf),
    trial,
    problems,
  };
}

/** GRIB files alone need the library, so its absence is no problem of the machine. */
function eccodesVersion(): string | null {
  try {
    return loadEccodes().version;
  } catch (error) {
    if (error instanceof EccodesMissing) return null;
    throw error;
  }
}

/** Multiplies [65, 96] by [96, 70] on the adapter that a run would use, and by hand in float64. */
async function tryAdapter(adapter?: string, turn?: number): Promise<Trial> {
  const gpu = await openGpu({ adapter, turn });
  const [M, K, N] = [65, 96, 70]; // sizes on neither side of a tile's edge
  const a = Float32Array.from({ length: M * K }, (_, i) => Math.sin(i));
  const b = Float32Array.from({ length: K * N }, (_, i) => Math.cos(3 * i));
  const started = performance.now();
  const found = await read(matmul(tensor(gpu, [M, K], a), tensor(gpu, [K, N], b)));
  const milliseconds = performance.now() - started;
  let difference = 0;
  let norm = 0;
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += a[m * K + k]! * b[k * N + n]!;
      difference += (found[m * N + n]! - sum) ** 2;
      norm += sum ** 2;
    }
  }
  gpu.device.destroy();
  const error = Math.sqrt(difference / norm);
  const relativeError = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  return { adapter: gpu.name, kind: gpu.kind, relativeError, milliseconds };
}

function reportOf({ name, backend, kind, driver, origin, adapter }: AdapterEntry): AdapterReport {
  const { features, limits, info } = adapter;
  const { subgroupMatrixConfigs = [] } = info as {
    subgroupMatrixConfigs?: readonly { M: number; N: number; K: number; componentType: string }[];
  };
  return {
    name,
    backend,
    kind,
    driver,
    origin,
    limits: Object.fromEntries(limitNames.map((limit) => [limit, limits[limit]])),
    shaderF16: features.has("shader-f16"),
    subgroups: features.has("subgroups")
      ? { min: info.subgroupMinSize ?? 4, max: info.subgroupMaxSize ?? 128 }
      : undefined,
    timestampQuery: features.has("timestamp-query"),
    subgroupMatrices: subgroupMatrixConfigs.map(
      ({ M, N, K, componentType }) => `${M}x${N}x${K} ${componentType}`,
    ),
  };
}

export function describe({ versions, machine, adapters, trial, problems }: Report): string {
  const parts = [
    table(
      [
        ["climax", versions.climax],
        ["Node", versions.node],
        ["webgpu (Dawn)", versions.webgpu],
        ["ecCodes", versions.eccodes ?? "not installed; only GRIB files need it (apt install libeccodes0)"],
        ["platform", machine.platform],
        ...(machine.glibc === undefined ? [] : [["glibc", machine.glibc]]),
        ["CPU", `${machine.cpu}, ${machine.cores} cores`],
        ["memory", `${bytes(machine.freeMemory)} free of ${bytes(machine.memory)}`],
        ["cache", `${machine.cache}, ${bytes(machine.freeCache)} free`],
      ],
      { header: false },
    ),
  ];
  if (adapters.length > 0) parts.push(adapterTable(adapters), limitTable(adapters));
  if (trial) {
    const { adapter, kind, relativeError, milliseconds } = trial;
    const verdict = relativeError <= TOLERANCE ? "right" : "WRONG";
    parts.push(
      `A run would use: ${adapter} (${kind})\n` +
        `A matrix product on it is ${verdict}: relative error ${relativeError.toExponential(1)}, ` +
        `${TOLERANCE.toExponential(0)} allowed; ${milliseconds.toFixed(0)} ms with compiling`,
    );
  }
  const list = (title: string, some: readonly Problem[]) => {
    if (some.length === 0) return;
    parts.push(`${title}:\n${some.map(({ what, mend }) => `- ${what}\n  mend: ${mend}`).join("\n")}`);
  };
  list(
    "Wrong with this machine",
    problems.filter(({ fatal }) => fatal),
  );
  list(
    "Could be better",
    problems.filter(({ fatal }) => !fatal),
  );
  if (problems.length === 0) parts.push("Nothing is wrong with this machine.");
  if (adapters.some(({ name }) => name.includes("llvmpipe"))) {
    parts.push("Warnings about maxDynamic...PerPipelineLayout come with llvmpipe and are harmless.");
  }
  return parts.join("\n\n");
}

function adapterTable(adapters: readonly AdapterReport[]): string {
  const origins = { system: "the system's", npm: "came with npm" };
  // A software adapter's name is its driver's description; a GPU has both.
  const both = adapters.some(({ name, driver }) => driver !== name);
  return table([
    ["adapter", "name", "kind", "backend", "origin", ...(both ? ["driver"] : [])],
    ...adapters.map(({ name, kind, backend, origin, driver }, i) => [
      ...[`${i + 1}`, name, kind, backend, origins[origin]],
      ...(both ? [driver] : []),
    ]),
  ]);
}

function limitTable(adapters: readonly AdapterReport[]): string {
  const row = (name: string, value: (adapter: AdapterReport) => string) => [name, ...adapters.map(value)];
  const yes = (has: boolean) => (has ? "yes" : "no");
  const limits = limitNames.map((name) =>
    row(name, ({ limits: of }) => (name.endsWith("Size") ? bytes(of[name]!) : String(of[name]))),
  );
  return table(
    [
      ["limits and features", ...adapters.map((_, i) => `${i + 1}`)],
      ...limits,
      row("shader-f16", ({ shaderF16 }) => yes(shaderF16)),
      row("subgroups, threads", ({ subgroups }) =>
        subgroups === undefined
          ? "no"
          : subgroups.min === subgroups.max
            ? `${subgroups.min}`
            : `${subgroups.min}..${subgroups.max}`,
      ),
      row("timestamp-query", ({ timestampQuery }) => yes(timestampQuery)),
      row("subgroup matrices", ({ subgroupMatrices }) => subgroupMatrices.join(", ") || "no"),
    ],
    { align: ["left", ...adapters.map(() => "right" as const)] },
  );
}
