// A device that allocates and computes nothing, to learn what a run would need before it begins.
import { Commands } from "./commands.ts";
import type { Gpu } from "./device.ts";
import { Pool } from "./pool.ts";

/** Whatever is asked of it, it gives itself. */
const nothing: unknown = new Proxy(() => nothing, {
  get: (_, key) => (key === "then" ? undefined : nothing), // not a promise that never settles
  apply: () => nothing,
});

/** Neither computes nor copies. */
class DryCommands extends Commands {
  override write(): void {}
}

/**
 * Like `gpu`, with the same choice of kernels and a pool of its own that counts what it lends: exactly what the same
 * calls would take on `gpu`. Nothing can be read from it.
 */
export function dryGpu(gpu: Gpu): { readonly gpu: Gpu; readonly largestBinding: () => number } {
  let largest = 0;
  const answers: Record<PropertyKey, unknown> = {
    limits: gpu.device.limits,
    features: gpu.device.features,
    createBindGroup: ({ entries }: { entries: { resource: GPUBufferBinding | GPUTextureView }[] }) => {
      for (const { resource } of entries)
        if ("buffer" in resource) largest = Math.max(largest, resource.size!);
      return nothing;
    },
  };
  const device = new Proxy({}, { get: (_, key) => answers[key] ?? nothing }) as GPUDevice;
  const dry = {
    ...gpu,
    device,
    pool: new Pool(device),
    commands: new DryCommands(device, gpu.kind),
    fault: undefined,
  };
  return { gpu: dry, largestBinding: () => largest };
}
