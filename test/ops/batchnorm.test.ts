import { describe, expect, test } from "vitest";
import type { Gpu } from "../../src/engine/device.ts";
import { read, size, type Tensor, tensor } from "../../src/engine/tensor.ts";
import { batchnorm } from "../../src/ops/batchnorm.ts";
import { checkOp, expectClose, gpu } from "../support/gradcheck.ts";

const eps = 0.1; // large enough to matter: at 1e-5 a kernel that forgot it would still pass

/** Mean and biased variance of each channel of x [B, C, P]. */
function moments(x: Float64Array, [B, C, P]: readonly number[]): { mean: number; variance: number }[] {
  return Array.from({ length: C! }, (_, c) => {
    const values = Array.from({ length: B! }, (_, b) => [
      ...x.subarray((b * C! + c) * P!, (b * C! + c + 1) * P!),
    ]).flat();
    const mean = values.reduce((a, b) => a + b) / values.length;
    return { mean, variance: values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length };
  });
}

function reference(
  [x, weight, bias]: readonly Float64Array[],
  [, C, P]: readonly number[],
  by: readonly { mean: number; variance: number }[],
): Float64Array {
  return x!.map((value, i) => {
    const c = Math.floor(i / P!) % C!;
    const { mean, variance } = by[c]!;
    return ((value - mean) / Math.sqrt(variance + eps)) * weight![c]! + bias![c]!;
  });
}

/** Running moments that are neither the first nor those of a batch. */
function running(device: Gpu, C: number): { mean: Tensor; variance: Tensor } {
  return {
    mean: tensor(
      device,
      [C],
      Float32Array.from({ length: C }, (_, c) => 0.25 * c - 0.5),
    ),
    variance: tensor(
      device,
      [C],
      Float32Array.from({ length: C }, (_, c) => 0.5 + 0.25 * c),
    ),
  };
}

// Planes summed by a subgroup, and by a tree in workgroup memory as on adapters without subgroups of one size.
describe.each<[string, Gpu]>([
  ["the adapter's lanes", gpu],
  ["workgroup memory", { ...gpu, subgroupSize: 0 }],
])("batchnorm by %s", (_, device) => {
  // Planes below, at and above the quads of a workgroup, whole quads and not; more channels than a workgroup.
  const shapes = [
    [2, 1, 1],
    [1, 2, 3],
    [3, 2, 5],
    [2, 3, 32],
    [2, 2, 256],
    [2, 3, 261],
    [2, 65, 2],
  ].map((shape) => ({ shape }));
  test.for(shapes)("of [$shape] in training agrees with the reference", async ({ shape }) => {
    const C = shape[1]!;
    await checkOp(
      (x, weight, bias) => {
        const { mean, variance } = running(device, C);
        return batchnorm(x!, weight!, bias!, mean, variance, { training: true, eps });
      },
      (...inputs) => reference(inputs, shape, moments(inputs[0]!, shape)),
      [shape, [C], [C]],
      { device },
    );
  });

  test.for(shapes)("of [$shape] by the running moments agrees with the reference", async ({ shape }) => {
    const C = shape[1]!;
    const { mean, variance } = running(device, C);
    await checkOp(
      (x, weight, bias) => batchnorm(x!, weight!, bias!, mean, variance, { training: false, eps }),
      (...inputs) => {
        const by = Array.from({ length: C }, (_, c) => ({ mean: 0.25 * c - 0.5, variance: 0.5 + 0.25 * c }));
        return reference(inputs, shape, by);
      },
      [shape, [C], [C]],
      { device },
    );
    expect(await read(mean)).toEqual(await read(running(device, C).mean)); // left as they were
    expect(await read(variance)).toEqual(await read(running(device, C).variance));
  });
});

describe("the running moments", () => {
  const shape = [2, 2, 2];
  const x = [1, 3, 10, 10, 5, 7, 10, 14]; // channel 0: 1 3 5 7, channel 1: 10 10 10 14
  const ones = () => tensor(gpu, [2], [1, 1]);

  test("follow the mean and the unbiased variance of a batch, as torch's do", async () => {
    const mean = tensor(gpu, [2], [0, 1]);
    const variance = tensor(gpu, [2], [1, 2]);
    batchnorm(tensor(gpu, shape, x), ones(), ones(), mean, variance, { training: true });
    // 0.9 of the old and 0.1 of the new: means 4 and 11, squared deviations 20 and 12 over N - 1 = 3.
    expectClose("mean", await read(mean), new Map([0.4, 2].entries()), 1e-6);
    expectClose("var", await read(variance), new Map([0.9 + 2 / 3, 1.8 + 0.4].entries()), 1e-6);
    batchnorm(tensor(gpu, shape, x), ones(), ones(), mean, variance, { training: true, momentum: 0.5 });
    expectClose("mean", await read(mean), new Map([2.2, 6.5].entries()), 1e-6);
  });

  test("stay where they are when told to", async () => {
    const { mean, variance } = running(gpu, 2);
    batchnorm(tensor(gpu, shape, x), ones(), ones(), mean, variance, { training: true, update: false });
    expect([...(await read(mean)), ...(await read(variance))]).toEqual([-0.5, -0.25, 0.5, 0.75]);
  });
});

test("a mean far from zero costs no digits of the variance", async () => {
  const shape = [2, 1, 64];
  const x = Float64Array.from({ length: size(shape) }, (_, i) => Math.fround(1000 + Math.sin(i)));
  const one = tensor(gpu, [1], [1]);
  const zero = tensor(gpu, [1], [0]);
  const { mean, variance } = running(gpu, 1);
  const y = await read(batchnorm(tensor(gpu, shape, x), one, zero, mean, variance, { training: true, eps }));
  const wanted = reference([x, Float64Array.of(1), Float64Array.of(0)], shape, moments(x, shape));
  expectClose("y", y, new Map(wanted.entries()), 1e-4); // x itself has steps of 6e-5
});

test("one value in each channel is refused in training", () => {
  const one = tensor(gpu, [1], [1]);
  const x = tensor(gpu, [1, 1, 1, 1], [1]);
  const { mean, variance } = running(gpu, 1);
  expect(() => batchnorm(x, one, one, mean, variance, { training: true })).toThrow(
    "batchnorm: x is [1,1,1,1], one value in each channel, and one value has no variance",
  );
  expect(() => batchnorm(x, one, one, mean, variance, { training: false })).not.toThrow();
});

test("moments of the wrong length are refused with both shapes", () => {
  const one = tensor(gpu, [1], [1]);
  const x = tensor(gpu, [1, 1, 2], [1, 2]);
  const { mean, variance } = running(gpu, 2);
  expect(() => batchnorm(x, one, one, mean, variance, { training: true })).toThrow(
    "batchnorm: runningMean is [2], expected [1]",
  );
});
