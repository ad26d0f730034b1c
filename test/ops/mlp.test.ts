import { describe, expect, test } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { pcg4d } from "../../src/engine/random.ts";
import { readAll, size, tensor } from "../../src/engine/tensor.ts";
import { linear } from "../../src/ops/matmul.ts";
import { mlp } from "../../src/ops/mlp.ts";
import type { Noise } from "../../src/ops/noise.ts";
import { geluOf } from "../support/gelu.ts";
import { checkOp, gpu, uniform } from "../support/gradcheck.ts";
import { normalised, product } from "../support/layers.ts";

/** The factor of element i, by the twin of the kernels' generator. */
function factor({ rate, pathRate, share, draw }: Noise, i: number): number {
  const { seed, stream, step } = draw;
  const word = pcg4d([Math.floor(i / 4), stream, step, seed])[i % 4]!;
  const path = pcg4d([Math.floor(i / share), stream + 1, step, seed])[0]!;
  const kept = (draw: number, p: number) => (draw >= Math.floor(p * 2 ** 32) ? 1 / (1 - p) : 0);
  return kept(word, rate) * kept(path, pathRate);
}

const noise = (rate: number, pathRate: number, share: number, stream: number): Noise => ({
  ...{ rate, pathRate, share },
  draw: { seed: 5, stream, step: 9, sample: 0 },
});

const devices: [string, Gpu][] = [
  ["the adapter's kernels", gpu],
  ["register tiles", { ...gpu, subgroupSize: 0 }],
];

describe.each(devices)("on %s", (_, device) => {
  // [B, L, D], F: below and above a block of a product, with rows of whole vec4s and without.
  test.for([
    [2, 3, 4, 16],
    [1, 5, 3, 7],
    [2, 20, 36, 44],
  ] as const)("mlp of [%s, %s, %s] with %s hidden, dropout and drop path", async ([B, L, D, F]) => {
    const [inner, outer] = [noise(0.2, 0, 1, 3), noise(0.1, 0.4, L * D, 5)];
    await checkOp(
      (x, residual, weight1, bias1, weight2, bias2) =>
        mlp(
          x!,
          residual!,
          { weight1: weight1!, bias1: bias1!, weight2: weight2!, bias2: bias2! },
          { hiddenNoise: inner, noise: outer },
        ),
      (x, residual, weight1, bias1, weight2, bias2) => {
        const hidden = product(x!, weight1!, bias1!).map((v, i) => geluOf(v) * factor(inner, i));
        return product(hidden, weight2!, bias2!).map((v, i) => residual![i]! + v * factor(outer, i));
      },
      [[B, L, D], [B, L, D], [F, D], [F], [D, F], [D]],
      { device },
    );
  });

  test("mlp of a tensor that is the residual too", async () => {
    await checkOp(
      (x, weight1, bias1, weight2, bias2, weight, bias) =>
        mlp(
          x!,
          x!,
          { weight1: weight1!, bias1: bias1!, weight2: weight2!, bias2: bias2! },
          { norm: { weight: weight!, bias: bias! } },
        ),
      (x, weight1, bias1, weight2, bias2, weight, bias) =>
        product(product(normalised(x!, weight!, bias!), weight1!, bias1!).map(geluOf), weight2!, bias2!).map(
          (v, i) => x![i]! + v,
        ),
      [[6, 8], [12, 8], [12], [8, 12], [8], [8], [8]],
      { device },
    );
  });

  test("mlp and linear with layer normalisation", async () => {
    await checkOp(
      (x, residual, weight1, bias1, weight2, bias2, weight, bias) =>
        mlp(
          x!,
          residual!,
          { weight1: weight1!, bias1: bias1!, weight2: weight2!, bias2: bias2! },
          { norm: { weight: weight!, bias: bias! } },
        ),
      (x, residual, weight1, bias1, weight2, bias2, weight, bias) =>
        product(product(normalised(x!, weight!, bias!), weight1!, bias1!).map(geluOf), weight2!, bias2!).map(
          (v, i) => residual![i]! + v,
        ),
      [[6, 8], [6, 8], [12, 8], [12], [8, 12], [8], [8], [8]],
      { device },
    );
    await checkOp(
      (x, weight, bias, gain, shift) =>
        linear(x!, weight!, bias!, { norm: { weight: gain!, bias: shift! }, gelu: true }),
      (x, weight, bias, gain, shift) => product(normalised(x!, gain!, shift!), weight!, bias!).map(geluOf),
      [[5, 8], [12, 8], [12], [8], [8]],
      { device },
    );
  });

  test("mlp without noise", async () => {
    await checkOp(
      (x, residual, weight1, bias1, weight2, bias2) =>
        mlp(x!, residual!, { weight1: weight1!, bias1: bias1!, weight2: weight2!, bias2: bias2! }),
      (x, residual, weight1, bias1, weight2, bias2) =>
        product(product(x!, weight1!, bias1!).map(geluOf), weight2!, bias2!).map((v, i) => residual![i]! + v),
      [[6, 8], [6, 8], [12, 8], [12], [8, 12], [8]],
      { device },
    );
  });

  test.for([true, false])("linear with noise and residual, gelu %s", async (gelu) => {
    const drops = noise(0.3, 0.5, 12, 7);
    await checkOp(
      (x, weight, bias, residual) => linear(x!, weight!, bias!, { gelu, noise: drops, residual: residual! }),
      (x, weight, bias, residual) =>
        product(x!, weight!, bias!).map((v, i) => (gelu ? geluOf(v) : v) * factor(drops, i) + residual![i]!),
      [[9, 8], [4, 8], [4], [9, 4]],
      { device },
    );
  });
});

test.for([false, true])(
  "a hidden layer that is made again changes no bit, with a norm: %s",
  async (normed) => {
    const random = uniform(12);
    const values = (...shape: number[]) =>
      tensor(gpu, shape, Float32Array.from({ length: size(shape) }, random));
    const [M, D, F] = [35, 8, 12];
    const x = values(M, D);
    const weights = {
      ...{ weight1: values(F, D), bias1: values(F) },
      ...{ weight2: values(D, F), bias2: values(D) },
    };
    const norm = normed ? { weight: values(D), bias: values(D) } : undefined;
    const hiddenNoise = noise(0.3, 0, F, 3);
    const wrt = [x, ...Object.values(weights), ...(norm ? Object.values(norm) : [])];
    const seed = values(M, D);
    const by = async (hiddenAgain: boolean) => {
      const { y, grads } = gradients(() => mlp(x, x, weights, { norm, hiddenNoise, hiddenAgain }), wrt, seed);
      return await readAll([y, ...grads]);
    };
    expect(await by(true)).toEqual(await by(false));
  },
);

test.for([
  [false, 4 * 64 * (512 + 16)],
  [true, 4 * 64 * 16],
] as const)(
  "the hidden layer is not kept for the backward pass, nor, %s, what gelu was applied to",
  ([hiddenAgain, bytes]) => {
    const [M, D, F] = [64, 16, 512];
    const zeros = (shape: number[]) => tensor(gpu, shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));
    const weights = {
      ...{ weight1: zeros([F, D]), bias1: zeros([F]) },
      ...{ weight2: zeros([D, F]), bias2: zeros([D]) },
    };
    const x = zeros([M, D]);
    let kept = 0;
    gradients(
      () => {
        const before = gpu.pool.bytes.lent;
        const y = mlp(x, x, weights, { hiddenAgain });
        kept = gpu.pool.bytes.lent - before;
        return y;
      },
      [x],
      x,
    );
    expect(kept).toBe(bytes);
  },
);
