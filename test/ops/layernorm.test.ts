import { describe, expect, test } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { empty, emptyHalf, read, readAll, type Tensor, tensor } from "../../src/engine/tensor.ts";
import { cast, widen } from "../../src/ops/cast.ts";
import { add } from "../../src/ops/elementwise.ts";
import { layernorm, normalise, normaliseBackward } from "../../src/ops/layernorm.ts";
import { checkOp, expectClose, gpu, uniform } from "../support/gradcheck.ts";

const eps = 0.1; // large enough to matter: at 1e-5 a kernel that forgot it would still pass

function reference(x: Float64Array, weight: Float64Array, bias: Float64Array): Float64Array {
  const C = weight.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += C) {
    const row = x.subarray(start, start + C);
    const mean = row.reduce((a, b) => a + b) / C;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / C;
    row.forEach((value, c) => {
      y[start + c] = ((value - mean) / Math.sqrt(variance + eps)) * weight[c]! + bias[c]!;
    });
  }
  return y;
}

// Rows summed by a subgroup, and by a tree in workgroup memory as on adapters without subgroups of one size.
describe.each<[string, Gpu]>([
  ["the adapter's lanes", gpu],
  ["workgroup memory", { ...gpu, subgroupSize: 0 }],
])("layernorm by %s", (_, device) => {
  // Last axis below, at and above one workgroup of 64; one row and many.
  test.for([
    [1, 3],
    [3, 4],
    [2, 64],
    [5, 100],
    [2, 3, 200],
    [2, 258],
    [65, 8], // rows that two threads of a column share
    [129, 3],
  ])("of [%s] agrees with the reference", async (shape) => {
    const C = shape.at(-1)!;
    await checkOp(
      (x, weight, bias) => layernorm(x!, weight!, bias!, eps),
      (x, weight, bias) => reference(x!, weight!, bias!),
      [shape, [C], [C]],
      { device },
    );
  });

  test("whose gradient comes as f16 reads it as if it were f32", async () => {
    const [R, C] = [35, 12];
    const random = uniform(9);
    const values = (length: number) => Float32Array.from({ length }, random);
    const [x, weight, bias] = [values(R * C), values(C), values(C)].map((data, i) =>
      tensor(device, i === 0 ? [R, C] : [C], data),
    ) as [Tensor, Tensor, Tensor];
    const halves = cast(tensor(device, [R, C], values(R * C)));
    const { mean, rstd } = normalise(x, { weight, bias });
    const [fromHalves, fromFloats] = [halves, widen(halves)].map((dy) =>
      normaliseBackward(dy, x, { weight, bias }, { mean, rstd }),
    );
    const read = async (grads: typeof fromHalves) => await readAll(grads!.map((grad) => grad!));
    expect(await read(fromHalves)).toEqual(await read(fromFloats));
  });

  test.for([false, true])("y is made again with the gradients, as f16: %s", async (half) => {
    const [R, C] = [35, 12];
    const random = uniform(10);
    const values = (length: number) => Float32Array.from({ length }, random);
    const norm = { weight: tensor(device, [C], values(C)), bias: tensor(device, [C], values(C)) };
    const x = tensor(device, [R, C], values(R * C));
    const { y, ...statistics } = normalise(x, norm);
    const again = half ? emptyHalf(device, [R, C]) : empty(device, [R, C]);
    normaliseBackward(tensor(device, [R, C], values(R * C)), x, norm, statistics, { again });
    const made = await read(half ? widen(again) : again);
    // Rounded once more to 11 bits; or the same arithmetic, of which a compiler may join other pairs.
    expectClose("y", made, new Map((await read(y)).entries()), half ? 2 ** -11 : 1e-6);
  });

  test("the backward of a norm that is kept as f16 needs no x", async () => {
    const [R, C] = [35, 12];
    const random = uniform(11);
    const values = (length: number) => Float32Array.from({ length }, random);
    const norm = { weight: tensor(device, [C], values(C)), bias: tensor(device, [C], values(C)) };
    const x = tensor(device, [R, C], values(R * C));
    const dy = tensor(device, [R, C], values(R * C));
    const past = tensor(device, [R, C], values(R * C));
    const { y, ...kept } = normalise(x, norm, undefined, emptyHalf(device, [R, C]), true);
    const { mean, rstd } = kept;
    const again = emptyHalf(device, [R, C]);
    const lost = tensor(device, [R, C], new Float32Array(R * C).fill(Number.NaN));
    const found = normaliseBackward(dy, lost, norm, kept, { past, again });
    const wanted = normaliseBackward(dy, x, norm, { mean, rstd }, { past });
    // n has 11 bits; of the sums of R terms, and of what is left after the averages are taken away, some units.
    for (const [i, name] of ["dx", "dweight", "dbias"].entries()) {
      const [a, b] = await readAll([found[i]!, wanted[i]!]);
      expectClose(name, a!, new Map(b!.entries()), 2 ** -9);
    }
    const [made, first] = await readAll([widen(again), widen(y)]);
    expectClose("y", made!, new Map(first!.entries()), 2 ** -10); // from an n of 11 bits, rounded once more
  });

  // Its gradient comes from both uses; the second is there when the normalisation's turn comes.
  test.for([
    [17, 8], // a block of rows and one more
    [5, 6],
  ])("of [%s] beside a residual agrees with the reference", async (shape) => {
    const C = shape.at(-1)!;
    await checkOp(
      (x, weight, bias) => add(layernorm(x!, weight!, bias!, eps), x!),
      (x, weight, bias) => reference(x!, weight!, bias!).map((y, i) => y + x![i]!),
      [shape, [C], [C]],
      { device },
    );
  });
});

test("a mean far from zero, and an outlier in front, cost no digits of the variance", async () => {
  const C = 64;
  const rows = [
    Float64Array.from({ length: C }, (_, c) => Math.fround(1000 + Math.sin(c))),
    Float64Array.from({ length: C }, (_, c) => (c === 0 ? 1000 : Math.fround(Math.sin(c)))),
  ];
  const one = tensor(gpu, [C], new Float32Array(C).fill(1));
  const zero = tensor(gpu, [C], new Float32Array(C));
  for (const row of rows) {
    const wanted = reference(row, new Float64Array(C).fill(1), new Float64Array(C));
    const y = await read(layernorm(tensor(gpu, [1, C], row), one, zero, eps));
    expectClose("y", y, new Map(wanted.entries()), 1e-4); // x itself has steps of 6e-5
  }
});

test("a tensor used twice receives both gradients", async () => {
  const x = tensor(gpu, [1, 2], [-1, 1]);
  const w = tensor(gpu, [2], [1, 1]);
  const seed = tensor(gpu, [1, 2], [1, 1]);
  const { grads } = gradients(() => layernorm(x, w, w, 0), [w], seed);
  expect([...(await read(grads[0]!))]).toEqual([-1 + 1, 1 + 1]); // as weight, n; as bias, 1
});

test("a weight of the wrong length is refused with both shapes", () => {
  const x = tensor(gpu, [1, 4], [1, 2, 3, 5]);
  const short = tensor(gpu, [3], [1, 1, 1]);
  expect(() => layernorm(x, short, short)).toThrow("layernorm: weight is [3], expected [4]");
});
