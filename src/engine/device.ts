// An open WebGPU device with its buffer pool, its queue of recorded commands and its fault state.
import { ClimaxError } from "../errors.ts";
import { chooseAdapter } from "./adapters.ts";
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
  readonly pool: Pool;
  readonly commands: Commands;
  /** The first error WebGPU reported since the last check; thrown at the next read. */
  fault: Error | undefined;
}

export interface GpuOptions {
  /** Part of an adapter's name; by default the best one at hand. */
  readonly adapter?: string | undefined;
}

/**
 * Opens an adapter with the limits this program needs.
 *
 * @throws ClimaxError "device" when there is no such adapter: nothing falls back in silence
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const { adapter, name, kind } = await chooseAdapter({ name: options.adapter });
  const { maxStorageBufferBindingSize, maxBufferSize, maxStorageBuffersPerShaderStage } = adapter.limits;
  const subgroups = adapter.features.has("subgroups");
  const device = await adapter.requestDevice({
    label: "climax",
    requiredFeatures: subgroups ? ["subgroups"] : [],
    requiredLimits: { maxStorageBufferBindingSize, maxBufferSize, maxStorageBuffersPerShaderStage },
  });
  const { subgroupMinSize = 0, subgroupMaxSize = 0 } = adapter.info;
  const fixed = subgroups && subgroupMinSize === subgroupMaxSize && subgroupMaxSize >= 4;
  const gpu: Gpu = {
    device,
    name,
    kind,
    subgroupSize: fixed ? subgroupMaxSize : 0,
    pool: new Pool(device),
    commands: new Commands(device),
    fault: undefined,
  };
  device.addEventListener("uncapturederror", ({ error }) => {
    gpu.fault ??= deviceFault(error, name);
  });
  device.lost.then(
    ({ reason, message }) => {
      if (reason === "destroyed") return;
      gpu.fault = new ClimaxError(
        "device",
        `the adapter "${name}" was lost: ${message}`,
        "free memory on it, use a smaller micro-batch, or choose another with --adapter; `climax doctor` lists them",
      );
    },
    () => undefined,
  );
  return gpu;
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
