import { describe, expect, test } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { kernelsOf } from "../../src/engine/kernel.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { attention } from "../../src/ops/attention.ts";
import { broadcastLanes } from "../../src/ops/product.ts";
import { checkOp, expectClose, gpu, uniform } from "../support/gradcheck.ts";

/** Multi-head self-attention in f64, loop by loop. */
function reference(qkv: Float64Array, [B, L, heads, d]: number[]): Float64Array {
  const D = heads! * d!;
  const at = (b: number, l: number, which: number, h: number, i: number): number =>
    qkv[(b * L! + l) * 3 * D + which * D + h * d! + i]!;
  const y = new Float64Array(B! * L! * D);
  for (let b = 0; b < B!; b++) {
    for (let h = 0; h < heads!; h++) {
      for (let l = 0; l < L!; l++) {
        const weights = Array.from({ length: L! }, (_, m) => {
          let score = 0;
          for (let i = 0; i < d!; i++) score += at(b, l, 0, h, i) * at(b, m, 1, h, i);
          return Math.exp(score / Math.sqrt(d!));
        });
        const total = weights.reduce((a, e) => a + e);
        for (let i = 0; i < d!; i++) {
          y[(b * L! + l) * D + h * d! + i] = weights.reduce(
            (s, e, m) => s + (e / total) * at(b, m, 2, h, i),
            0,
          );
        }
      }
    }
  }
  return y;
}

/** An adapter that attends by products, one that does in workgroup memory, and one that reads textures. */
const products: Gpu = { ...gpu, texels: false };
const tiles: Gpu = { ...products, subgroupSize: 0 };
const texels: Gpu = { ...gpu, texels: true };

const check = (device: Gpu, [B, L, heads, d]: readonly number[]): Promise<void> =>
  checkOp(
    (qkv) => attention(qkv!, heads!),
    (qkv) => reference(qkv!, [B!, L!, heads!, d!]),
    [[B!, L!, 3 * heads! * d!]],
    { device },
  );

// Lengths and head sizes that are multiples of four, and not; below, at and above 32 queries and 32 columns of a head.
test.for([
  [1, 1, 1, 1],
  [2, 7, 3, 5],
  [2, 16, 2, 8],
  [1, 33, 2, 4],
  [2, 68, 2, 20],
  [1, 36, 1, 64],
  [1, 32, 1, 68],
])("attention by products, B, L, heads, d = %s, %s, %s, %s", (sizes) => check(products, sizes));

// Below, at and above 32 queries; heads of one quad, of a whole panel of 32 columns, of parts of one and of two, and of
// so many places of a lane; more layers of the texture than one.
describe.skipIf(broadcastLanes(gpu) === 0)("attention in rows (adapters with small subgroups)", () => {
  test.for([
    [1, 4, 16, 4],
    [2, 28, 1, 64],
    [1, 32, 2, 32],
    [2, 36, 4, 16],
    [1, 68, 8, 8],
    [1, 36, 16, 12],
    [1, 36, 16, 20],
  ])("B, L, heads, d = %s, %s, %s, %s", async (sizes) => {
    await check(texels, sizes);
    const files = kernelsOf(texels).map(({ file }) => file);
    expect(new Set(files)).toEqual(new Set(["flash_subgroup.wgsl", "flash.wgsl", "elementwise.wgsl"]));
  });

  test("scores that differ by more than exp can hold leave no NaN behind, also beyond the last query", async () => {
    const [B, L, heads, d] = [1, 36, 1, 64];
    // Query 35 meets every key with a score of 8 x 64 / 8 = 64 more than the one before it.
    const qkv = Float32Array.from({ length: B * L * 3 * d }, (_, i) =>
      i % (3 * d) < d ? 8 * Math.floor(i / (3 * d)) : 1,
    );
    const x = tensor(texels, [B, L, 3 * d], qkv);
    const dy = tensor(texels, [B, L, d], new Float32Array(L * d).fill(1));
    const { y, grads } = gradients(() => attention(x, heads), [x], dy);
    for (const values of [await read(y), await read(grads[0]!)])
      expect(values.every(Number.isFinite)).toBe(true);
  });

  test.for([
    ["rows of qkv that a texture cannot take", [1, 8, 2, 16]],
    ["heads that are no whole quads", [1, 8, 32, 2]],
    ["more columns of a head than lanes hold", [1, 8, 1, 128]],
    ["tokens that are no whole quads", [1, 7, 1, 64]],
  ] as const)("%s go by products", async ([, sizes]) => {
    const device: Gpu = { ...texels };
    await check(device, sizes);
    expect(kernelsOf(device).map(({ file }) => file)).not.toContain("flash_subgroup.wgsl");
  });
});

// Lengths below, at and above a tile of 64; heads of one quad, of a part of a staged depth, and of more than 64.
test.for([
  [1, 1, 1, 20],
  [2, 64, 2, 20],
  [2, 65, 3, 20],
  [1, 67, 1, 128],
])(
  "attention in tiles, B, L, heads, d = %s, %s, %s, %s",
  { timeout: 180_000 }, // lavapipe takes seconds to compile a kernel with many barriers
  (sizes) => check(tiles, sizes),
);

test("attention in tiles is for heads of whole quads; others go by products", () =>
  check(tiles, [2, 5, 2, 3]));

/** An adapter that can bind so little that the weights are made in blocks of 64 query rows, the least there is. */
const narrow: Gpu = {
  ...products,
  device: overriding(gpu.device, {
    limits: overriding(gpu.device.limits, { maxStorageBufferBindingSize: 1024 }),
  }),
};

function overriding<T extends object>(target: T, changes: Partial<T>): T {
  return new Proxy(target, {
    get: (_, key) => {
      if (key in changes) return changes[key as keyof T];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

test.for([
  [1, 132, 1, 4],
  [2, 130, 1, 8],
  [2, 65, 3, 5],
  [2, 64, 2, 8],
])("attention in blocks of query rows, B, L, heads, d = %s, %s, %s, %s", (sizes) => check(narrow, sizes));

test("attention in tiles, in blocks, by whole products and as the adapter does it agree", {
  timeout: 180_000,
}, async () => {
  const [B, L, heads, d] = [2, 200, 4, 16];
  const random = uniform(1);
  const qkv = Float64Array.from({ length: 3 * B * L * heads * d }, random);
  const seed = Float64Array.from({ length: B * L * heads * d }, random);
  const results = [products, gpu, narrow, tiles].map((device) => {
    const x = tensor(device, [B, L, 3 * heads * d], qkv);
    const dy = tensor(device, [B, L, heads * d], seed);
    return { ...gradients(() => attention(x, heads), [x], dy), plain: attention(x, heads) };
  });
  const [whole, ...others] = await Promise.all(
    results.map(async ({ y, grads, plain }) => ({
      y: await read(y),
      plain: await read(plain),
      dqkv: await read(grads[0]!),
    })),
  );
  expectClose("y of the adapter's forward alone", whole!.plain, new Map(whole!.y.entries()), 1e-5);
  for (const { y, plain, dqkv } of others) {
    expectClose("y", y, new Map(whole!.y.entries()), 1e-5);
    expectClose("y of the forward alone", plain, new Map(whole!.y.entries()), 1e-5);
    expectClose("dqkv", dqkv, new Map(whole!.dqkv.entries()), 1e-5);
  }
});

test("of weights made in blocks none waits for the backward", () => {
  const [B, L, heads, d] = [1, 256, 2, 4];
  const x = tensor(narrow, [B, L, 3 * heads * d], new Float32Array(3 * L * heads * d));
  const dy = tensor(narrow, [B, L, heads * d], new Float32Array(L * heads * d));
  const { pool } = gpu;
  const before = pool.bytes.lent;
  let held = 0;
  gradients(
    () => {
      const y = attention(x, heads);
      held = pool.bytes.lent - before;
      return y;
    },
    [x],
    dy,
  );
  expect(held).toBeLessThan(4 * B * L * heads * (d + 2)); // y, and one number a row; weights would be 64 a row
});

test("heads that cannot share the width are refused", () => {
  expect(() => attention(tensor(gpu, [1, 2, 12], new Float32Array(24)), 3)).toThrow("3 heads cannot share");
});
