import { describe, expect, test } from "vitest";
import { pcg4d } from "../../src/engine/random.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { dropout, dropPath } from "../../src/ops/dropout.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

const draw = { seed: 7, stream: 3, step: 11 };

/** Whether the kernel keeps element i, by the twin of its generator. */
function keeps(i: number, share: number, rate: number): boolean {
  const words = pcg4d([
    share === 1 ? Math.floor(i / 4) : Math.floor(i / share),
    draw.stream,
    draw.step,
    draw.seed,
  ]);
  return words[share === 1 ? i % 4 : 0]! >= Math.floor(rate * 2 ** 32);
}

test.for([[1], [5, 13], [300]])("dropout of [%s] agrees with the reference", async (shape) => {
  await checkOp(
    (x) => dropout(x!, 0.3, draw),
    (x) => x!.map((value, i) => (keeps(i, 1, 0.3) ? value / 0.7 : 0)),
    [shape],
  );
});

test("drop path keeps or drops whole samples", async () => {
  await checkOp(
    (x) => dropPath(x!, 0.5, draw),
    (x) => x!.map((value, i) => (keeps(i, 15, 0.5) ? 2 * value : 0)),
    [[9, 3, 5]],
  );
});

describe("the draws", () => {
  const N = 100_000;
  const ones = tensor(gpu, [N], new Float32Array(N).fill(1));
  const kept = async (d: typeof draw): Promise<Float32Array> => read(dropout(ones, 0.1, d));

  test("drop a tenth, within four standard errors", async () => {
    const dropped = (await kept(draw)).filter((value) => value === 0).length;
    expect(Math.abs(dropped / N - 0.1)).toBeLessThan(4 * Math.sqrt((0.1 * 0.9) / N));
  });

  test.for([
    { ...draw, seed: 8 },
    { ...draw, stream: 4 },
    { ...draw, step: 12 },
  ])("of %o are independent of the first ones", async (other) => {
    const [a, b] = [await kept(draw), await kept(other)];
    const both = a.filter((value, i) => value === 0 && b[i] === 0).length;
    expect(Math.abs(both / N - 0.01)).toBeLessThan(4 * Math.sqrt((0.01 * 0.99) / N));
  });
});
