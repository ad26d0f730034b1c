import { describe, expect, test } from "vitest";
import type { Gpu } from "../../src/engine/device.ts";
import { emptyOperand, read, size, tensor } from "../../src/engine/tensor.ts";
import { cast, keepHalves, widen } from "../../src/ops/cast.ts";
import { linear } from "../../src/ops/matmul.ts";
import { mlp } from "../../src/ops/mlp.ts";
import { geluOf } from "../support/gelu.ts";
import { checkOp, expectClose, gpu, uniform } from "../support/gradcheck.ts";
import { half } from "../support/half.ts";
import { normalised, product } from "../support/layers.ts";

// Layers whose activations are stored as f16 between their products, against f64.

const inHalf: Gpu = { ...gpu, precision: "f16", matrices: false };

/** Each number on its way is rounded to 11 bits, half a unit at most; sums of some dozen of them err by some units. */
const TOLERANCE = 2 ** -8;

describe.skipIf(!gpu.half)("activations of f16 (skipped without shader-f16)", () => {
  test("are stored so where rows are whole vec4s", () => {
    expect(emptyOperand(inHalf, [3, 8])).toMatchObject({ type: "f16", storage: { bytes: 256 } });
    expect(emptyOperand(inHalf, [3, 7]).type).toBeUndefined();
    expect(emptyOperand(gpu, [3, 8]).type).toBeUndefined();
  });

  test("between two linear layers, the first with a norm", () =>
    checkOp(
      (x, gain, shift, w1, b1, w2, b2) => {
        const norm = { weight: gain!, bias: shift! };
        const inner = linear(x!, w1!, b1!, { norm, operand: true });
        expect(inner.type).toBe("f16");
        return linear(inner, w2!, b2!);
      },
      (x, gain, shift, w1, b1, w2, b2) => product(product(normalised(x!, gain!, shift!), w1!, b1!), w2!, b2!),
      [[2, 5, 8], [8], [8], [12, 8], [12], [4, 12], [4]],
      { device: inHalf, tolerance: TOLERANCE },
    ));

  test("between a linear layer with gelu and the next", () =>
    checkOp(
      (x, w1, b1, w2, b2) => {
        const inner = linear(x!, w1!, b1!, { gelu: true, operand: true });
        expect(inner.type).toBe("f16");
        return linear(inner, w2!, b2!);
      },
      (x, w1, b1, w2, b2) => product(product(x!, w1!, b1!).map(geluOf), w2!, b2!),
      [[2, 5, 8], [12, 8], [12], [4, 12], [4]],
      { device: inHalf, tolerance: TOLERANCE },
    ));

  test.for([false, true])("within an mlp with a norm, its hidden layer made again: %s", (hiddenAgain) =>
    checkOp(
      (x, residual, gain, shift, weight1, bias1, weight2, bias2) =>
        mlp(
          x!,
          residual!,
          { weight1: weight1!, bias1: bias1!, weight2: weight2!, bias2: bias2! },
          { norm: { weight: gain!, bias: shift! }, hiddenAgain },
        ),
      (x, residual, gain, shift, w1, b1, w2, b2) => {
        const hidden = product(normalised(x!, gain!, shift!), w1!, b1!).map(geluOf);
        return product(hidden, w2!, b2!).map((value, i) => value + residual![i]!);
      },
      [[1, 6, 8], [1, 6, 8], [8], [8], [16, 8], [16], [8, 16], [8]],
      { device: inHalf, tolerance: TOLERANCE },
    ),
  );

  test("a weight's halves are what products read, as they were last kept", async () => {
    const random = uniform(4);
    const values = Array.from({ length: 16 }, random);
    const weight = {
      ...tensor(inHalf, [4, 4], values),
      half: cast(tensor(inHalf, [4, 4], new Float32Array(16))),
    };
    weight.half = { ...weight.half, shape: weight.shape };
    const x = tensor(inHalf, [1, 4], [1, 0, 0, 0]);
    const bias = tensor(inHalf, [4], new Float32Array(4));
    expect([...(await read(linear(x, weight, bias)))]).toEqual([0, 0, 0, 0]);
    keepHalves(weight);
    const rows = [0, 4, 8, 12].map((i) => half(values[i]!));
    expectClose("y", await read(linear(x, weight, bias)), new Map(rows.entries()), 1e-7);
    expect(size(weight.half.shape)).toBe(16);
    expect([...(await read(widen(weight.half)))]).toEqual(values.map(half));
  });
});
