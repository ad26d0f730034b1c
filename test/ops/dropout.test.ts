import { describe, expect, test } from "vitest";
import { pcg4d, Random } from "../../src/engine/random.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { dropout } from "../../src/ops/dropout.ts";
import { drawNoise } from "../../src/ops/noise.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

const draw = { seed: 7, stream: 3, step: 11, sample: 0 };

/** Whether the kernel keeps element i, by the twin of its generator. */
function keeps(i: number, share: number, rate: number): boolean {
  const words = pcg4d([
    share === 1 ? Math.floor(i / 4) : Math.floor(i / share),
    share === 1 ? draw.stream : draw.stream + 1,
    draw.step,
    draw.seed,
  ]);
  return words[share === 1 ? i % 4 : 0]! >= Math.floor(rate * 2 ** 32);
}

test.for([[1], [5, 13], [300]])("dropout of [%s] agrees with the reference", async (shape) => {
  await checkOp(
    (x) => dropout(x!, { rate: 0.3, pathRate: 0, share: 1, draw }),
    (x) => x!.map((value, i) => (keeps(i, 1, 0.3) ? value / 0.7 : 0)),
    [shape],
  );
});

test("drop path keeps or drops whole samples", async () => {
  await checkOp(
    (x) => dropout(x!, { rate: 0, pathRate: 0.5, share: 15, draw }),
    (x) => x!.map((value, i) => (keeps(i, 15, 0.5) ? 2 * value : 0)),
    [[9, 3, 5]],
  );
});

describe("the draws", () => {
  const N = 100_000;
  const ones = tensor(gpu, [N], new Float32Array(N).fill(1));
  const kept = async (d: typeof draw): Promise<Float32Array> =>
    read(dropout(ones, { rate: 0.1, pathRate: 0, share: 1, draw: d }));

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

test("parts of a batch draw what the whole draws, with dropout and drop path", async () => {
  const [B, share] = [6, 20];
  const whole = Float32Array.from({ length: B * share }, (_, i) => 1 + i);
  const dropped = async (sample: number, count: number) => {
    const x = tensor(gpu, [count, share], whole.slice(sample * share, (sample + count) * share));
    return [...(await read(dropout(x, { rate: 0.3, pathRate: 0.5, share, draw: { ...draw, sample } })))];
  };
  const parts = [await dropped(0, 1), await dropped(1, 3), await dropped(4, 2)];
  expect(parts.flat()).toEqual(await dropped(0, B));
});

describe("drawNoise", () => {
  test("takes two streams, one of dropout and one of drop path", () => {
    const random = new Random(1, 2);
    const first = drawNoise(random, { rate: 0.1, pathRate: 0.2, share: 8 });
    expect(first).toEqual({
      rate: 0.1,
      pathRate: 0.2,
      share: 8,
      draw: { seed: 1, stream: 0, step: 2, sample: 0 },
    });
    expect(drawNoise(random, { rate: 0.1, share: 8 })!.draw.stream).toBe(2);
  });

  test("is nothing where nothing is dropped", () => {
    expect(drawNoise(undefined, { rate: 0.1, share: 8 })).toBeUndefined();
    expect(drawNoise(new Random(1, 2), { rate: 0, share: 8 })).toBeUndefined();
  });

  test("refuses rates that drop everything, or less than nothing", () => {
    expect(() => drawNoise(new Random(1, 2), { rate: 1, share: 8 })).toThrow(
      "a dropout rate of 1 is not in [0, 1)",
    );
    expect(() => drawNoise(new Random(1, 2), { rate: 0.1, pathRate: -1, share: 8 })).toThrow("rate of -1");
  });
});
