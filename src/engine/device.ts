// An open WebGPU device with its buffer pool, its queue of recorded commands and its fault state.
import { ClimaxError } from "../errors.ts";
import { chooseAdapter, listAdapters } from "./adapters.ts";
import { Commands } from "./commands.ts";
import { Pool } from "./pool.ts";

/** An open WebGPU device. Tensors and kernels hold on to the one they were made with. */
export interface Gpu {
  readonly device: GPUDevice;
  /** What the driver calls itself; printed and recorded with every run. */
  readonly name: string;
  readonly kind: "hardware" | "software";
  /**
   * Threads that share a row in the row kernels, and lanes of the subgroup-broadcast products: the size of every
   * subgroup where it is fixed, else 0 (then workgroup memory is used instead of subgroup operations).
   */
  readonly subgroupSize: number;
  /** Whether kernels may compute in f16. */
  readonly half: boolean;
  /** Whether a subgroup multiplies 16 x 16 matrices of f16 by itself, adding up in f32 (tensor cores). */
  readonly matrices: boolean;
  /** Whether large matrix products and attention read from textures (texels.ts): on lavapipe. */
  readonly texels: boolean;
  /** What matrix products take their operands in; they add up in f32. */
  readonly precision: Precision;
  readonly pool: Pool;
  readonly commands: Commands;
  /** The first error WebGPU reported since the last check; thrown at the next read. */
  fault: Error | undefined;
}

export type Precision = "f32" | "f16";

export interface GpuOptions {
  /** Part of an adapter's name; by default the best one at hand. */
  readonly adapter?: string | undefined;
  /** Of several processes on this machine, the how manyth this is: see `AdapterOptions`. */
  readonly turn?: number | undefined;
  /** f32 by default. */
  readonly precision?: Precision | undefined;
  /** Make timestamps of the device available to a profiler, where the adapter has them. */
  readonly timestamps?: boolean;
}

/** Subgroups of lavapipe, as it comes; SwiftShader's have 4 lanes, and there a texel takes longer than a vec4. */
const LAVAPIPE_LANES = 8;

/**
 * Opens an adapter with the limits this program needs.
 *
 * @throws ClimaxError "device" when there is no such adapter, or it lacks the precision: nothing falls back in silence
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const { adapter, name, kind } = await chooseAdapter({ name: options.adapter, turn: options.turn });
  const { precision = "f32" } = options;
  const { maxStorageBufferBindingSize, maxBufferSize, maxStorageBuffersPerShaderStage } = adapter.limits;
  const { maxComputeWorkgroupStorageSize, maxTextureArrayLayers } = adapter.limits;
  const offered = (feature: GPUFeatureName) => adapter.features.has(feature);
  const half = offered("shader-f16");
  if (precision === "f16" && !half) throw await withoutHalf(name);
  const { subgroupMinSize = 0, subgroupMaxSize = 0 } = adapter.info;
  const fixed = offered("subgroups") && subgroupMinSize === subgroupMaxSize && subgroupMaxSize >= 4;
  const subgroupSize = fixed ? subgroupMaxSize : 0;
  const matrices = half && offered(MATRICES) && subgroupSize === 32 && hasMatrices(adapter);
  const features: GPUFeatureName[] = [
    "subgroups",
    "shader-f16",
    ...(matrices ? [MATRICES] : []),
    ...(options.timestamps ? (["timestamp-query"] as const) : []),
  ];
  const device = await adapter.requestDevice({
    label: "climax",
    requiredFeatures: features.filter(offered),
    requiredLimits: {
      maxStorageBufferBindingSize,
      maxBufferSize,
      maxStorageBuffersPerShaderStage,
      maxComputeWorkgroupStorageSize,
      maxTextureArrayLayers,
    },
  });
  const faults = watch(device, name);
  return {
    device,
    name,
    kind,
    subgroupSize,
    half,
    matrices,
    texels: kind === "software" && subgroupSize === LAVAPIPE_LANES,
    precision,
    pool: new Pool(device),
    commands: new Commands(device, kind),
    get fault() {
      return faults.first;
    },
    set fault(error) {
      faults.first = error;
    },
  };
}

/**
 * Notes what goes wrong. dawn.node keeps listeners for good, and with them what they know of: were that the Gpu, no
 * device and nothing compiled for it would ever be collected.
 */
function watch(device: GPUDevice, name: string): { first: Error | undefined } {
  const faults: { first: Error | undefined } = { first: undefined };
  device.addEventListener("uncapturederror", ({ error }) => {
    faults.first ??= deviceFault(error, name);
  });
  device.lost.then(
    ({ reason, message }) => {
      if (reason === "destroyed") return;
      faults.first = new ClimaxError(
        "device",
        `the adapter "${name}" was lost: ${message}`,
        "free memory on it, use a smaller micro-batch, or choose another with --adapter; `climax doctor` lists them",
      );
    },
    () => undefined,
  );
  return faults;
}

/** The feature of Dawn that `Gpu.matrices` needs. */
export const MATRICES = "chromium-experimental-subgroup-matrix" as GPUFeatureName;

/** Workgroup memory of kernels/matmul_matrix.wgsl, bytes. */
const MATRIX_MEMORY = 28 * 1024;

function hasMatrices({ info, limits }: GPUAdapter): boolean {
  const { subgroupMatrixConfigs = [] } = info as GPUAdapterInfo & {
    readonly subgroupMatrixConfigs?: readonly {
      readonly componentType: string;
      readonly resultComponentType: string;
      readonly M: number;
      readonly N: number;
      readonly K: number;
    }[];
  };
  const wanted = subgroupMatrixConfigs.some(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === "f16" && resultComponentType === "f32" && M === 16 && N === 16 && K === 16,
  );
  return wanted && limits.maxComputeWorkgroupStorageSize >= MATRIX_MEMORY;
}

async function withoutHalf(name: string): Promise<ClimaxError> {
  const able = (await listAdapters())
    .filter(({ adapter }) => adapter.features.has("shader-f16"))
    .map((one) => one.name);
  return new ClimaxError(
    "device",
    `the adapter "${name}" has no f16 (shader-f16)`,
    able.length > 0
      ? `use --precision f32, or --adapter for one that has it: ${able.join("; ")}`
      : "use --precision f32; no adapter of this machine has f16",
  );
}

function deviceFault(error: GPUError, name: string): Error {
  if (error.constructor.name === "GPUOutOfMemoryError") {
    return new ClimaxError(
      "device",
      `the adapter "${name}" has no memory left: ${error.message}`,
      "use a smaller batch or model, or another adapter; `climax doctor` lists them",
    );
  }
  return new Error(error.message);
}

/** Throws what the device has reported since the last check, if anything. */
export function throwFault(gpu: Gpu): void {
  const { fault } = gpu;
  gpu.fault = undefined;
  if (fault) throw fault;
}
