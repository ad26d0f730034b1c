// The one check that every op passes: its kernel against f64, its backward against central differences of that f64.
import { expect } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { read, type Shape, size, type Tensor, tensor } from "../../src/engine/tensor.ts";
import { gpu } from "./gpu.ts";

export { gpu };

/** An op written plainly in f64: flat arrays in, one flat array out. */
export type Reference = (...inputs: readonly Float64Array[]) => Float64Array;

export interface CheckOptions {
  /** Largest error allowed, relative to the largest entry: f32 rounding of sums of a few hundred terms by default. */
  readonly tolerance?: number;
  readonly seed?: number;
  /** Another view of the adapter: one that claims to have no subgroups, for the kernels of such adapters. */
  readonly device?: Gpu;
}

/**
 * Checks an op against its reference: values directly, gradients against central differences *of the reference*.
 * Differencing in f64 leaves the kernel's f32 rounding as the only error, so the tolerance can be tight; differencing
 * the kernel itself would drown in rounding.
 *
 * @param shapes  of the op's inputs, which are filled with fixed random numbers in [-2, 2)
 */
export async function checkOp(
  op: (...inputs: readonly Tensor[]) => Tensor,
  reference: Reference,
  shapes: readonly Shape[],
  { tolerance = 1e-5, seed = 1, device = gpu }: CheckOptions = {},
): Promise<void> {
  const random = uniform(seed);
  const inputs = shapes.map((s) => Float64Array.from({ length: size(s) }, random));
  const tensors = inputs.map((data, i) => tensor(device, shapes[i]!, data));

  const plain = op(...tensors);
  const wanted = reference(...inputs);
  expectClose("y", await read(plain), new Map(wanted.entries()), tolerance);

  // L = sum of r * y for a fixed random r, so that dL/dy = r.
  const r = Float64Array.from(wanted, random);
  const loss = (): number => reference(...inputs).reduce((sum, value, i) => sum + r[i]! * value, 0);
  const { y, grads } = gradients(() => op(...tensors), tensors, tensor(device, plain.shape, r));
  expectClose("y while recording", await read(y), new Map(wanted.entries()), tolerance);
  for (const [i, x] of inputs.entries()) {
    expectClose(`gradient of input ${i}`, await read(grads[i]!), centralDifferences(loss, x), tolerance);
  }

  // The same inputs as parameters: gradients add to what is there already.
  const before = 0.5;
  const parameters = tensors.map((x) => ({
    ...x,
    grad: tensor(device, x.shape, new Float32Array(size(x.shape)).fill(before)),
  }));
  gradients(() => op(...parameters), [], tensor(device, plain.shape, r));
  for (const [i, { grad }] of parameters.entries()) {
    const alone = await read(grads[i]!);
    const sum = new Map([...alone.entries()].map(([k, value]) => [k, value + before]));
    expectClose(`accumulated gradient of parameter ${i}`, await read(grad), sum, tolerance);
  }
}

/** dL/dx at up to 64 entries spread over x, each to about 1e-10. */
function centralDifferences(loss: () => number, x: Float64Array, h = 1e-5): Map<number, number> {
  const picks = Math.min(64, x.length);
  return new Map(
    Array.from({ length: picks }, (_, k) => {
      const i = Math.floor((k * x.length) / picks);
      const value = x[i]!;
      x[i] = value + h;
      const above = loss();
      x[i] = value - h;
      const below = loss();
      x[i] = value;
      return [i, (above - below) / (2 * h)];
    }),
  );
}

/** Fails unless the wanted entries agree, relative to the largest of them. */
export function expectClose(
  what: string,
  actual: Float32Array,
  wanted: Map<number, number>,
  tolerance: number,
): void {
  let scale = 0;
  for (const value of wanted.values()) scale = Math.max(scale, Math.abs(value));
  let worst = 0;
  let where = 0;
  for (const [i, value] of wanted) {
    const error = Math.abs(actual[i]! - value) / (scale || 1);
    if (!(error <= worst)) [worst, where] = [error, i]; // NaN counts as worst
  }
  expect(
    worst,
    `${what}[${where}] is ${actual[where]}, the reference says ${wanted.get(where)}`,
  ).toBeLessThan(tolerance);
}

/** Numbers in [-2, 2) exact in f32, the same on every machine (mulberry32). */
export function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.fround(((t ^ (t >>> 14)) >>> 0) / 2 ** 30 - 2);
  };
}
