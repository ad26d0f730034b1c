// What a device allows, read once: each look at `device.limits` crosses into Dawn and makes an object of all of it.
import type { Gpu } from "./device.ts";

/** Those that choose kernels, or how they are dispatched. */
export type Limits = Pick<
  GPUSupportedLimits,
  | "maxComputeWorkgroupsPerDimension"
  | "maxComputeWorkgroupStorageSize"
  | "maxStorageBufferBindingSize"
  | "maxTextureArrayLayers"
>;

const known = new WeakMap<Gpu, Limits>();

export function limitsOf(gpu: Gpu): Limits {
  const kept = known.get(gpu);
  if (kept) return kept;
  const {
    maxComputeWorkgroupsPerDimension,
    maxComputeWorkgroupStorageSize,
    maxStorageBufferBindingSize,
    maxTextureArrayLayers,
  } = gpu.device.limits;
  const fresh = {
    maxComputeWorkgroupsPerDimension,
    maxComputeWorkgroupStorageSize,
    maxStorageBufferBindingSize,
    maxTextureArrayLayers,
  };
  known.set(gpu, fresh);
  return fresh;
}
