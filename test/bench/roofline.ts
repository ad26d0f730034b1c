// What an adapter can do at most, as WGSL reaches it: multiply-adds in registers, and copying a large buffer.
import type { Gpu } from "../../src/engine/device.ts";
import { wait } from "../../src/engine/wait.ts";
import { clock } from "./clock.ts";
import { best } from "./rows.ts";

export interface Roofline {
  /** f32 multiplications and additions per second. */
  readonly flops: number;
  /** Bytes read and written per second. */
  readonly bandwidth: number;
}

const WORKGROUP = 64;
/** Multiply-adds in one turn of the loop, in each of the chains. */
const UNROLLED = 16;

/** The best of several numbers of independent chains: few leave the pipeline idle, many spill. */
export async function measureRoofline(gpu: Gpu, rounds: number): Promise<Roofline> {
  const speeds: number[] = [];
  for (const chains of [8, 12, 16]) speeds.push(await multiplyAdds(gpu, chains, rounds));
  return { flops: Math.max(...speeds), bandwidth: await copying(gpu, rounds) };
}

async function multiplyAdds(gpu: Gpu, chains: number, rounds: number): Promise<number> {
  const [threads, turns] = gpu.kind === "hardware" ? [1 << 20, 64] : [1 << 15, 64];
  const names = Array.from({ length: chains }, (_, i) => `c${i}`);
  const code = `
    @group(0) @binding(0) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(${WORKGROUP})
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let a = y[id.x] + 0.999;
      let b = y[id.x] + 0.001;
      ${names.map((name, i) => `var ${name} = a + ${i};`).join(" ")}
      for (var turn = 0u; turn < ${turns}u; turn++) {
        ${names
          .map((name) => `${name} = fma(${name}, a, b);\n`)
          .join("")
          .repeat(UNROLLED)}
      }
      y[id.x] = (${names.join(" + ")}) * 1e-30;
    }`;
  const y = buffer(gpu, 4 * threads);
  const ms = await time(gpu, code, [y], threads, rounds);
  y.destroy();
  return (1000 * 2 * UNROLLED * chains * turns * threads) / ms;
}

async function copying(gpu: Gpu, rounds: number): Promise<number> {
  const bytes = gpu.kind === "hardware" ? 2 ** 28 : 2 ** 26; // beyond any cache
  const code = `
    @group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
    @group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
    @compute @workgroup_size(${WORKGROUP})
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      let i = id.y * groups.x * ${WORKGROUP}u + id.x;
      y[i] = x[i];
    }`;
  const [x, y] = [buffer(gpu, bytes), buffer(gpu, bytes)];
  const ms = await time(gpu, code, [x, y], bytes / 16, rounds);
  for (const one of [x, y]) one.destroy();
  return (1000 * 2 * bytes) / ms;
}

function buffer({ device }: Gpu, size: number): GPUBuffer {
  return device.createBuffer({ size, usage: GPUBufferUsage.STORAGE });
}

async function time(
  { device }: Gpu,
  code: string,
  buffers: readonly GPUBuffer[],
  threads: number,
  rounds: number,
): Promise<number> {
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module } });
  const entries = buffers.map((one, binding) => ({ binding, resource: { buffer: one } }));
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const groups = threads / WORKGROUP;
  const across = Math.min(groups, 2 ** 15); // a device takes 65535 in one dimension
  const call = () => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(across, groups / across);
    pass.end();
    device.queue.submit([encoder.finish()]);
  };
  return best(await clock(call, () => wait(device.queue.onSubmittedWorkDone()), rounds));
}
