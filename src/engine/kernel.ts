// Finds, expands, compiles and dispatches the kernels of kernels/*.wgsl.
import { ClimaxError } from "../errors.ts";
import { BindGroups, type Bound, boundBytes } from "./bindgroups.ts";
import { type Gpu, MATRICES } from "./device.ts";
import { limitsOf } from "./limits.ts";
import { loadShader, type Shader } from "./shader.ts";
import type { Shape } from "./tensor.ts";
import { wait } from "./wait.ts";

/** One entry point of one file in kernels/, e.g. `layernorm.wgsl` `forward_rows`. */
export interface Kernel {
  readonly file: string;
  readonly entry: string;
  /** Values of the file's `override`s. */
  readonly constants: Readonly<Record<string, number>>;
  /** Names for which the file's `//@if` holds. */
  readonly choices: readonly string[];
}

/** Threads of a workgroup in the kernels that own one element, or four, per thread. */
export const WORKGROUP = 64;

interface Compiled {
  readonly shader: Shader;
  readonly pipeline: GPUComputePipeline;
  /** In the order in which they were compiled. */
  readonly number: number;
  readonly bindGroup: (tensors: Bound) => GPUBindGroup;
  /** The parameters of the dispatch at hand, as floats and as whole numbers. */
  readonly floats: Float32Array<ArrayBuffer>;
  readonly words: Uint32Array<ArrayBuffer>;
}

/** What there is of one device. */
interface Compiler {
  readonly kernels: Map<Kernel, Compiled>;
  readonly modules: Map<string, Module>;
  readonly bindGroups: BindGroups;
}

const compilers = new WeakMap<Gpu, Compiler>();

/** Names a kernel; it is compiled on first use. `constants` set the file's `override`s, `choices` its `//@if`s. */
export function kernel(
  file: string,
  entry: string,
  constants: Record<string, number> = {},
  choices: readonly string[] = [],
): Kernel {
  return { file, entry, constants, choices };
}

/** One kernel for each set of choices, made when it is first asked for. */
export function variants(
  make: (choices: readonly string[]) => Kernel,
): (choices: readonly string[]) => Kernel {
  const known = new Map<string, Kernel>();
  return (choices) => {
    const key = choices.join();
    const variant = known.get(key) ?? make(choices);
    known.set(key, variant);
    return variant;
  };
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
  tensors: Bound,
  params: Readonly<Record<string, number>>,
  workgroups: number | readonly [number, number, number],
): void {
  const gpu = gpuOf(tensors);
  const compiler = compilers.get(gpu) ?? makeCompiler(gpu);
  const compiled = compiler.kernels.get(kernel) ?? compile(gpu, compiler, kernel);
  const { shader, floats, words } = compiled;
  for (let i = 0; i < shader.params.length; i++) {
    const { name, type } = shader.params[i]!;
    const value = params[name];
    if (value === undefined) throw new Error(`${kernel.file} wants params.${name}`);
    if (type === "f32") floats[i] = value;
    else words[i] = value;
  }
  const grid = typeof workgroups === "number" ? fold(gpu, workgroups) : workgroups;
  if (grid[0] === 0 || grid[1] === 0 || grid[2] === 0) return;
  const { commands } = gpu;
  commands.dispatch(
    compiled.pipeline,
    compiler.bindGroups.of(compiled.number, tensors, compiled.bindGroup),
    words.length > 0 ? words.buffer : undefined,
    grid,
    commands.profiler?.({ kernel, tensors, params, workgroups: grid }),
  );
}

function gpuOf(tensors: Bound): Gpu {
  for (const name in tensors) return tensors[name]!.gpu;
  throw new Error("a kernel needs a tensor");
}

/** A long row of workgroups as a rectangle no wider than the device allows; kernels count y * groups.x + x. */
function fold(gpu: Gpu, workgroups: number): readonly [number, number, number] {
  const rows = Math.max(1, Math.ceil(workgroups / limitsOf(gpu).maxComputeWorkgroupsPerDimension));
  return [Math.ceil(workgroups / rows), rows, 1];
}

function makeCompiler(gpu: Gpu): Compiler {
  const fresh = { kernels: new Map(), modules: new Map(), bindGroups: new BindGroups() };
  compilers.set(gpu, fresh);
  return fresh;
}

/** The kernels that were dispatched on a device so far. */
export function kernelsOf(gpu: Gpu): Kernel[] {
  return [...(compilers.get(gpu)?.kernels.keys() ?? [])];
}

/**
 * Compiles kernels side by side, on as many threads as the driver takes, so that what then dispatches them does not
 * compile one after the other.
 *
 * @throws GPUPipelineError for one that the device refuses
 */
export async function precompile(gpu: Gpu, kernels: readonly Kernel[]): Promise<void> {
  const compiler = compilers.get(gpu) ?? makeCompiler(gpu);
  const missing = kernels.filter((one) => !compiler.kernels.has(one));
  const made = missing.map(async (one) => {
    const pipeline = await gpu.device.createComputePipelineAsync(descriptorOf(gpu, compiler, one));
    // It may have been needed, and compiled, in the meantime.
    if (!compiler.kernels.has(one)) finish(gpu, compiler, one, pipeline);
  });
  await wait(Promise.all(made));
}

function compile(gpu: Gpu, compiler: Compiler, kernel: Kernel): Compiled {
  return finish(gpu, compiler, kernel, gpu.device.createComputePipeline(descriptorOf(gpu, compiler, kernel)));
}

function descriptorOf(gpu: Gpu, { modules }: Compiler, kernel: Kernel): GPUComputePipelineDescriptor {
  const { file, entry, constants } = kernel;
  return {
    label: `${file}:${entry}`,
    layout: "auto", // keeps only the bindings this entry point uses
    compute: {
      module: moduleOf(gpu, modules, kernel).module,
      entryPoint: entry,
      constants: { ...constants },
    },
  };
}

function finish(
  gpu: Gpu,
  { kernels, modules }: Compiler,
  kernel: Kernel,
  pipeline: GPUComputePipeline,
): Compiled {
  const { file, entry } = kernel;
  const { shader } = moduleOf(gpu, modules, kernel);
  const label = `${file}:${entry}`;
  const layout = pipeline.getBindGroupLayout(0);
  const bindGroup = (tensors: Bound) => {
    const entries = Object.entries(tensors).map(([name, { storage, offset, shape, type }]) => {
      const binding = shader.bindings.get(name);
      if (binding === undefined) {
        throw new Error(`${file} declares no "${name}"; it has ${[...shader.bindings.keys()]}`);
      }
      if ("view" in storage) return { binding, resource: storage.view };
      return { binding, resource: { buffer: storage.buffer, offset, size: boundBytes(shape, type) } };
    });
    return gpu.device.createBindGroup({ label, layout, entries });
  };
  const words = new Uint32Array(shader.params.length);
  const number = kernels.size;
  const fresh = { shader, pipeline, number, bindGroup, words, floats: new Float32Array(words.buffer) };
  kernels.set(kernel, fresh);
  return fresh;
}

interface Module {
  readonly shader: Shader;
  readonly module: GPUShaderModule;
}

function moduleOf(gpu: Gpu, modules: Compiler["modules"], { file, choices }: Kernel): Module {
  const key = [file, ...choices].join(" ");
  const known = modules.get(key);
  if (known) return known;
  const { device, subgroupSize, precision } = gpu;
  const shader = loadShader(file, subgroupSize, precision, device.features.has(MATRICES), choices);
  const fresh = { shader, module: device.createShaderModule({ label: file, code: shader.code }) };
  modules.set(key, fresh);
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
