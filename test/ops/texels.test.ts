import { describe, expect, test } from "vitest";
import type { Gpu } from "../../src/engine/device.ts";
import { kernelsOf } from "../../src/engine/kernel.ts";
import { empty, read, size, tensor } from "../../src/engine/tensor.ts";
import { asPanels, asTiles, fitsPanels, fitsTiles, type StoredMatrix } from "../../src/engine/texels.ts";
import { broadcastLanes, type Product, product } from "../../src/ops/product.ts";
import { expectClose, gpu, uniform } from "../support/gradcheck.ts";

// Products of large matrices that are read from textures: against f64, and to the bits of the kernel that reads buffers.

const texels: Gpu = { ...gpu, texels: true };
const buffers: Gpu = { ...gpu, texels: false };

interface Case {
  readonly what: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Whether A and B are stored transposed. */
  readonly stored: readonly [boolean, boolean];
  /** Elements between the rows of A and B, and before the first one of B. */
  readonly gap?: number;
  readonly base?: number;
  /** Which copies are turned, and whether it is C^T that is computed. */
  readonly turned: readonly ("tiles" | "panels")[];
  readonly flipped?: boolean;
}

// A layer has 512 rows of a panel of 32 columns, or of 16 tiles of 32 x 32. A block is 32 x 64: of its two widths the
// second may be missing.
const cases: readonly Case[] = [
  { what: "rows cut off, no quads of them", M: 161, N: 192, K: 64, stored: [false, false], turned: [] },
  { what: "columns cut off", M: 200, N: 148, K: 64, stored: [false, true], turned: ["panels"] },
  { what: "rows apart", M: 128, N: 192, K: 84, stored: [true, false], gap: 64, base: 64, turned: ["tiles"] },
  {
    what: "rows 16 bytes more apart",
    M: 136,
    N: 164,
    K: 100,
    stored: [true, true],
    gap: 4,
    base: 4,
    turned: ["tiles", "panels"],
  },
  { what: "layers cut off", M: 128, N: 192, K: 700, stored: [true, false], turned: ["tiles"] },
  {
    what: "turned layers cut off",
    M: 132,
    N: 140,
    K: 700,
    stored: [true, true],
    turned: ["tiles", "panels"],
  },
  { what: "whole layers", M: 132, N: 128, K: 1024, stored: [false, false], turned: [] },
  {
    what: "flipped, columns cut off",
    M: 128,
    N: 148,
    K: 64,
    stored: [false, true],
    turned: ["panels"],
    flipped: true,
  },
  {
    what: "flipped, rows cut off",
    M: 192,
    N: 136,
    K: 1056,
    stored: [true, false],
    turned: ["tiles"],
    flipped: true,
  },
  {
    what: "flipped, as both are stored",
    M: 192,
    N: 132,
    K: 128,
    stored: [true, true],
    turned: [],
    flipped: true,
  },
  { what: "many blocks", M: 600, N: 1300, K: 64, stored: [false, true], turned: ["panels"], flipped: true },
];

/** A device's product of random matrices, on top of what C holds, with a bias. */
async function run(device: Gpu, { M, N, K, stored, gap = 0, base = 0 }: Case) {
  const random = uniform(5);
  const [rowsA, columnsA] = stored[0] ? [K, M] : [M, K];
  const [rowsB, columnsB] = stored[1] ? [N, K] : [K, N];
  const fill = (count: number) => Float32Array.from({ length: count }, random);
  const a = fill(rowsA * (columnsA + gap));
  const b = fill(base + rowsB * (columnsB + gap));
  const [c, bias] = [fill(M * N), fill(N)];
  const onDevice = (data: Float32Array) => tensor(device, [data.length], data);
  const target = onDevice(c);
  const p: Product = {
    ...{ M, N, K, alpha: 0.5, accumulate: true, bias: onDevice(bias) },
    a: { tensor: onDevice(a), row: columnsA + gap, transposed: stored[0] },
    b: { tensor: onDevice(b), row: columnsB + gap, transposed: stored[1], base },
    c: { tensor: target, row: N },
  };
  product(p);
  /** Element [i, j] of what is stored in a tensor, perhaps transposed. */
  const at = (data: Float32Array, row: number, transposed: boolean, i: number, j: number) =>
    data[transposed ? j * row + i : i * row + j]!;
  const element = (index: number): number => {
    const [m, n] = [Math.floor(index / N), index % N];
    let sum = 0;
    for (let k = 0; k < K; k++) {
      const left = at(a, columnsA + gap, stored[0], m, k);
      sum += left * at(b.subarray(base), columnsB + gap, stored[1], k, n);
    }
    return 0.5 * sum + bias[n]! + c[index]!;
  };
  // Some of each block, and the last; the kernel that reads buffers has the same bits in all.
  const some = [...Array.from({ length: Math.floor((M * N) / 101) }, (_, i) => 101 * i), M * N - 1];
  const wanted = new Map(some.map((index) => [index, element(index)]));
  return { result: await read(target), wanted };
}

describe.skipIf(broadcastLanes(gpu) === 0)("on adapters with small subgroups (skipped on others)", () => {
  test.for(cases)("$what: M $M, N $N, K $K, stored transposed $stored", async (one) => {
    const device: Gpu = { ...texels }; // with kernels of its own
    const { result, wanted } = await run(device, one);
    expectClose("C", result, wanted, 1e-5);
    expect(result).toEqual((await run(buffers, one)).result);
    const kernels = kernelsOf(device).map(({ file, constants: { TILES, FLIPPED } }) => {
      if (file === "texels.wgsl") return TILES ? "tiles" : "panels";
      return `${file}${FLIPPED ? ", flipped" : ""}`;
    });
    expect(kernels).toEqual([...one.turned, `matmul_texels_subgroup.wgsl${one.flipped ? ", flipped" : ""}`]);
    expect(kernelsOf(buffers).map(({ file }) => file)).not.toContain("matmul_texels_subgroup.wgsl");
  });
});

describe("what is copied", () => {
  const matrix = (shape: readonly [number, number]) => {
    const t = empty(texels, shape);
    return { tensor: t, base: 0, row: shape[1], rows: shape[0], columns: shape[1], turned: false };
  };

  test.for([
    ["panels", fitsPanels],
    ["tiles", fitsTiles],
  ] as const)("has rows of whole %s, 256 bytes apart, in f32", ([, fits]) => {
    const whole = matrix([8, 64]);
    expect(fits(whole)).toBe(true);
    expect(fits({ ...whole, rows: 7 })).toBe(true);
    expect(fits({ ...whole, columns: 32 })).toBe(true);
    expect(fits({ ...whole, columns: 48 })).toBe(false);
    expect(fits({ ...whole, row: 96 })).toBe(false);
    expect(fits({ ...whole, base: 2 })).toBe(false);
    expect(fits({ ...whole, tensor: { ...whole.tensor, type: "f16" } })).toBe(false);
    // 2^20 rows of 64 columns would take 4096 layers of panels; no device at hand has more than 2048.
    expect(fits({ ...whole, rows: 2 ** 20 })).toBe(false);
  });

  test.for([
    ["panels", fitsPanels],
    ["tiles", fitsTiles],
  ] as const)("and is turned to %s by fours of rows and columns, in f32", ([, fitsAs]) => {
    const whole = matrix([8, 64]);
    const fits = (m: StoredMatrix) => fitsAs({ ...m, turned: true });
    expect(fits(whole)).toBe(true);
    expect(fits({ ...whole, columns: 48, row: 100, base: 4 })).toBe(true);
    for (const odd of [{ rows: 6 }, { columns: 46 }, { row: 66 }, { base: 2 }])
      expect(fits({ ...whole, ...odd })).toBe(false);
    expect(fits({ ...whole, tensor: { ...whole.tensor, offset: 8 } })).toBe(false);
    expect(fits({ ...whole, tensor: { ...whole.tensor, type: "f16" } })).toBe(false);
    expect(fits({ ...whole, rows: 2 ** 12, columns: 2 ** 18 })).toBe(false);
  });

  test("beside other panels takes room of its own", () => {
    const [wide, one] = [matrix([8, 32 * 1024]), matrix([8, 64])];
    expect(fitsPanels(wide, wide)).toBe(true);
    expect(fitsPanels(wide, wide, one)).toBe(false);
    expect(fitsPanels(one, { ...one, columns: 48 })).toBe(false);
    expect(asPanels(one, matrix([8, 128])).breadth).toBe(6);
  });

  test("takes one texture of panels, one of tiles, as large as the largest so far, which the pool counts", () => {
    const device: Gpu = { ...texels }; // with textures of its own
    const { pool } = device;
    const [small, large] = [matrix([512, 64]), matrix([512, 128])];
    const lent = () => pool.bytes.lent;
    const before = lent();
    const layer = 16 * 8 * 512;
    const own = (m: StoredMatrix) => ({ ...m, tensor: { ...m.tensor, gpu: device } });
    const first = asPanels(own(small));
    expect(lent() - before).toBe(2 * layer);
    expect(asPanels(own(small)).storage).toBe(first.storage);
    const second = asPanels(own(large));
    expect(lent() - before).toBe(4 * layer);
    expect(asPanels(own(small)).storage).toBe(second.storage);
    expect(size(second.shape)).toBe(512 * 128);
    const tiles = asTiles(own(small)); // 16 rows of tiles in a layer each
    expect(lent() - before).toBe((4 + 16) * layer);
    expect(tiles.storage).not.toBe(second.storage);
  });
});
