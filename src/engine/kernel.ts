// Finds, expands, compiles and dispatches the kernels of kernels/*.wgsl.
import { ClimaxError } from "../errors.ts";
import { type Gpu, MATRICES } from "./device.ts";
import { loadShader, type Shader } from "./shader.ts";
import { type Shape, size, type Tensor } from "./tensor.ts";

/** One entry point of one file in kernels/, e.g. `layernorm.wgsl` `forward_rows`. */
export interface Kernel {
  readonly file: string;
  readonly entry: string;
  /** Values of the file's `override`s. */
  readonly constants: Readonly<Record<string, number>>;
}

/** Threads of a workgroup in the kernels that own one element, or four, per thread. */
export const WORKGROUP = 64;

interface Compiled {
  readonly shader: Shader;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly words: DataView<ArrayBuffer>;
  readonly bindGroups: Map<string, GPUBindGroup>;
}

const cache = new WeakMap<Gpu, Map<Kernel, Compiled>>();
/** Bind groups kept of one kernel: a step of a deep model uses some hundreds of the busiest. */
const MOST_BIND_GROUPS = 4096;

/** Names a kernel; it is compiled on first use. `constants` set the file's `override`s. */
export function kernel(file: string, entry: string, constants: Record<string, number> = {}): Kernel {
  return { file, entry, constants };
}

/** Workgroups for one thread to each of `count` elements. */
export function threads(count: number): number {
  return Math.ceil(count / WORKGROUP);
}

/** Workgroups for one thread to every four of `count` elements. */
export function quads(count: number): number {
  return Math.ceil(count / (4 * WORKGROUP));
}

/**
 * Records one dispatch. Nothing waits for it until a tensor is read.
 *
 * @param tensors     one tensor per binding the entry point uses, under its WGSL name
 * @param params      one number per field of the file's `Params`
 * @param workgroups  how many: one number is folded into a second dimension beyond the device's limit, three are
 *                    taken as they are
 */
export function run(
  kernel: Kernel,
  tensors: Readonly<Record<string, Tensor>>,
  params: Readonly<Record<string, number>>,
  workgroups: number | readonly [number, number, number],
): void {
  const { gpu } = Object.values(tensors)[0]!;
  const compiled = compile(gpu, kernel);
  const { shader, words, pipeline } = compiled;
  for (const [i, { name, type }] of shader.params.entries()) {
    const value = params[name];
    if (value === undefined) throw new Error(`${kernel.file} wants params.${name}`);
    if (type === "f32") words.setFloat32(4 * i, value, true);
    else words.setUint32(4 * i, value, true);
  }
  const [x, y, z] = typeof workgroups === "number" ? fold(gpu, workgroups) : workgroups;
  if (x === 0 || y === 0 || z === 0) return;
  const { commands } = gpu;
  const timestamps = commands.profiler?.({ kernel, tensors, params, workgroups: [x, y, z] });
  const pass = timestamps ? commands.timedPass(timestamps) : commands.pass;
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup(gpu, kernel, compiled, tensors));
  if (shader.params.length > 0) pass.setImmediates(0, words.buffer);
  pass.dispatchWorkgroups(x, y, z);
  commands.recorded();
}

/** A long row of workgroups as a rectangle no wider than the device allows; kernels count y * groups.x + x. */
function fold({ device }: Gpu, workgroups: number): [number, number, number] {
  const limit = device.limits.maxComputeWorkgroupsPerDimension;
  const rows = Math.max(1, Math.ceil(workgroups / limit));
  return [Math.ceil(workgroups / rows), rows, 1];
}

/** Bind groups are cached: the pool hands a step the same buffers as the step before. */
function bindGroup(
  gpu: Gpu,
  { file, entry }: Kernel,
  { layout, shader, bindGroups }: Compiled,
  tensors: Readonly<Record<string, Tensor>>,
): GPUBindGroup {
  let key = "";
  const names = Object.keys(tensors);
  for (const name of names) {
    const { storage, offset } = tensors[name]!;
    key += `${storage.id}.${offset}.${bytesOf(tensors[name]!)} `;
  }
  const known = bindGroups.get(key);
  if (known) return known;
  const entries = names.map((name) => {
    const binding = shader.bindings.get(name);
    if (binding === undefined) {
      throw new Error(`${file} declares no "${name}"; it has ${[...shader.bindings.keys()]}`);
    }
    const { storage, offset } = tensors[name]!;
    return { binding, resource: { buffer: storage.buffer, offset, size: bytesOf(tensors[name]!) } };
  });
  const group = gpu.device.createBindGroup({ label: `${file}:${entry}`, layout, entries });
  // Shapes that keep changing would fill memory for ever; those still in use are soon there again.
  if (bindGroups.size >= MOST_BIND_GROUPS) bindGroups.clear();
  bindGroups.set(key, group);
  return group;
}

/** Whole vec4s, in which kernels read. */
function bytesOf({ shape, type }: Tensor): number {
  return 16 * Math.ceil(((type === "f16" ? 2 : 4) * size(shape)) / 16);
}

function compile(gpu: Gpu, kernel: Kernel): Compiled {
  let kernels = cache.get(gpu);
  if (!kernels) cache.set(gpu, (kernels = new Map()));
  const known = kernels.get(kernel);
  if (known) return known;

  const { file, entry, constants } = kernel;
  const { shader, module } = shaderModule(gpu, file);
  const pipeline = gpu.device.createComputePipeline({
    label: `${file}:${entry}`,
    layout: "auto", // keeps only the bindings this entry point uses
    compute: { module, entryPoint: entry, constants: { ...constants } },
  });
  const fresh: Compiled = {
    shader,
    pipeline,
    layout: pipeline.getBindGroupLayout(0),
    words: new DataView(new ArrayBuffer(4 * Math.max(1, shader.params.length))),
    bindGroups: new Map(),
  };
  kernels.set(kernel, fresh);
  return fresh;
}

interface Module {
  readonly shader: Shader;
  readonly module: GPUShaderModule;
}

const modules = new WeakMap<Gpu, Map<string, Module>>();

function shaderModule(gpu: Gpu, file: string): Module {
  let kept = modules.get(gpu);
  if (!kept) modules.set(gpu, (kept = new Map()));
  const known = kept.get(file);
  if (known) return known;
  const { device, subgroupSize, precision } = gpu;
  const shader = loadShader(file, subgroupSize, precision, device.features.has(MATRICES));
  const fresh = { shader, module: device.createShaderModule({ label: file, code: shader.code }) };
  kept.set(file, fresh);
  return fresh;
}

/** Throws a `shape` error unless the tensor has exactly this shape. */
export function expectShape(op: string, name: string, { shape }: { shape: Shape }, wanted: Shape): void {
  if (shape.length === wanted.length && shape.every((n, i) => n === wanted[i])) return;
  throw new ClimaxError(
    "shape",
    `${op}: ${name} is [${shape}], expected [${wanted}]`,
    `reshape ${name}, or check which axis it was made from`,
  );
}
