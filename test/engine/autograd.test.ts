import { describe, expect, test } from "vitest";
import {
  checkpoint,
  gradients,
  isRecording,
  needsGradient,
  noGrad,
  record,
  reshape,
} from "../../src/engine/autograd.ts";
import type { Gpu } from "../../src/engine/device.ts";
import { dryGpu } from "../../src/engine/dry.ts";
import { Random } from "../../src/engine/random.ts";
import { empty, free, read, readAll, scope, type Tensor, tensor, zeros } from "../../src/engine/tensor.ts";
import { dropout } from "../../src/ops/dropout.ts";
import { add, scale } from "../../src/ops/elementwise.ts";
import { linear } from "../../src/ops/matmul.ts";
import { drawNoise } from "../../src/ops/noise.ts";
import { expectClose, gpu } from "../support/gradcheck.ts";

const lent = (): number => gpu.pool.bytes.lent;

test("a scope gives back all it made but what it returns", async () => {
  const before = lent();
  const y = scope(gpu, () => scale(scale(tensor(gpu, [64], new Float32Array(64).fill(1)), 2), 3));
  expect(lent() - before).toBe(y.storage.bytes);
  expect((await read(y))[63]).toBe(6);
  free(y);
  expect(lent()).toBe(before);
});

test("a scope inside a scope hands its result to the outer one", () => {
  const before = lent();
  scope(gpu, () => {
    const inner = scope(gpu, () => tensor(gpu, [4], [1, 2, 3, 4]));
    scale(inner, 2);
    return undefined;
  });
  expect(lent()).toBe(before);
});

test("gradients give back everything but the result and what was asked for", async () => {
  const x = tensor(gpu, [1, 64], new Float32Array(64).fill(1));
  const w = tensor(gpu, [64, 64], new Float32Array(64 * 64).fill(0.01));
  const ones = tensor(gpu, [1, 64], new Float32Array(64).fill(1));
  free(linear(x, w)); // what products borrow once for all
  const before = lent();
  const { y, grads } = gradients(() => scope(gpu, () => linear(linear(x, w), w)), [x], ones);
  expect(lent() - before).toBe(y.storage.bytes + grads[0]!.storage.bytes);
  expect((await read(grads[0]!))[0]).toBeCloseTo(0.64 * 0.64, 5);
  for (const t of [y, grads[0]!]) free(t);
  expect(lent()).toBe(before);
});

test("memory goes back as the tape is played: a step needs its activations and little more", () => {
  const { gpu: own } = dryGpu(gpu); // whose pool has seen nothing else
  const parameter = (n: number) => ({
    ...tensor(own, [n, n], new Float32Array(n * n)),
    grad: tensor(own, [n, n], new Float32Array(n * n)),
  });
  const n = 128;
  const w = parameter(n);
  const x = tensor(own, [512, n], new Float32Array(512 * n));
  const depth = 20;
  const activation = 4 * 512 * n;
  const seed = tensor(own, [512, n], new Float32Array(512 * n));
  const run = (): void => {
    const { y } = gradients(
      () => {
        let h = x;
        for (let i = 0; i < depth; i++) h = linear(h, w);
        return h;
      },
      [],
      seed,
    );
    free(y);
  };
  run();
  const { made, lent } = own.pool.bytes;
  run();
  run();
  expect(own.pool.bytes.made).toBe(made); // the second step borrows what the first one made
  expect(own.pool.bytes.lent).toBe(lent);
  expect(own.pool.bytes.peak).toBeLessThan(lent + (depth + 4) * activation); // activations and two gradients
});

test("nothing is noted outside gradients, nor under noGrad", () => {
  const x = tensor(gpu, [1], [3]);
  expect(isRecording()).toBe(false);
  const seen: boolean[] = [];
  const { grads } = gradients(() => {
    seen.push(isRecording(), noGrad(isRecording));
    return add(
      scale(x, 2),
      noGrad(() => scale(x, 5)),
    );
  }, [x]);
  expect(seen).toEqual([true, false]);
  expect(grads).toHaveLength(1);
});

test("a gradient is needed by parameters, by what is differentiated by, and by what depends on such", () => {
  const [data, x] = [tensor(gpu, [4], [1, 2, 3, 4]), tensor(gpu, [4], [1, 1, 1, 1])];
  const parameter = { ...x, grad: tensor(gpu, [4], [0, 0, 0, 0]) };
  expect(needsGradient(parameter)).toBe(false); // outside gradients nothing is
  const once = () => {
    const [ofData, ofX, ofBoth] = [scale(data, 2), scale(x, 2), add(scale(data, 2), scale(parameter, 3))];
    const inner = noGrad(() => scale(x, 2));
    expect([data, ofData, inner].map(needsGradient)).toEqual([false, false, false]);
    expect([x, parameter, ofX, ofBoth, reshape(ofBoth, [2, 2])].map(needsGradient)).toEqual(
      Array(5).fill(true),
    );
    return add(ofX, ofBoth);
  };
  gradients(once, [x], tensor(gpu, [4], [1, 1, 1, 1]));
});

test("noGrad makes its result a constant", async () => {
  const x = tensor(gpu, [1], [3]);
  const { grads } = gradients(
    () =>
      add(
        scale(x, 2),
        noGrad(() => scale(x, 5)),
      ),
    [x],
  );
  expect([...(await read(grads[0]!))]).toEqual([2]);
});

test("gradients pass through a reshape", async () => {
  const x = tensor(gpu, [2, 3], [1, 2, 3, 4, 5, 6]);
  const seed = tensor(gpu, [6], [1, 2, 3, 4, 5, 6]);
  const { grads } = gradients(() => scale(reshape(x, [6]), 2), [x], seed);
  expect(grads[0]!.shape).toEqual([2, 3]);
  expect([...(await read(grads[0]!))]).toEqual([2, 4, 6, 8, 10, 12]);
  expect(() => reshape(x, [5])).toThrow("cannot reshape [2,3] to [5]");
});

test("an op whose output nobody uses costs no backward", () => {
  const x = tensor(gpu, [1], [3]);
  let called = false;
  gradients(() => {
    record(empty(gpu, [1]), [x], () => {
      called = true;
      return [null];
    });
    return scale(x, 1);
  }, [x]);
  expect(called).toBe(false);
});

test("parameters add up over calls", async () => {
  const w = { ...tensor(gpu, [1], [3]), grad: tensor(gpu, [1], [0]) };
  for (let i = 0; i < 3; i++) gradients(() => scale(w, 2));
  expect([...(await read(w.grad))]).toEqual([6]);
});

describe("checkpoint", () => {
  const n = 64;
  const filled = (count: number, salt: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(salt + i));
  const x = tensor(gpu, [512, n], filled(512 * n, 2));
  const seed = tensor(gpu, [512, n], filled(512 * n, 3));
  /** A residual layer that draws and keeps several tensors for its backward. */
  const layer = (h: Tensor, w: Tensor, random: Random | undefined): Tensor => {
    const noise = drawNoise(random, { rate: 0.2, share: n });
    return add(h, dropout(linear(linear(linear(h, w), w), w, undefined, { gelu: true }), noise));
  };
  type Wrap = (h: Tensor, w: Tensor, random: Random) => Tensor;
  const plain: Wrap = (h, w, random) => layer(h, w, random);
  const wrapped: Wrap = (h, w, random) => checkpoint([h, w], (draws) => layer(h, w, draws), random);
  const twice: Wrap = (h, w, random) => checkpoint([h, w], (draws) => wrapped(h, w, draws!), random);

  /** The result and the gradients by x and by w of a few layers that share w. */
  function layers(device: Gpu, wrap: Wrap, depth: number, parameter: boolean): Tensor[] {
    const [from, top] = [x, seed].map((t) => ({ ...t, gpu: device })) as [Tensor, Tensor];
    const grad = parameter ? { grad: zeros(device, [n, n]) } : {};
    const w = { ...tensor(device, [n, n], filled(n * n, 1)), ...grad };
    const { y, grads } = gradients(
      () => {
        const random = new Random(1, 2);
        let h = scale(from, 1 / 8);
        for (let i = 0; i < depth; i++) h = wrap(h, w, random);
        return h;
      },
      parameter ? [from] : [from, w],
      top,
    );
    return [y, ...grads, ...(w.grad ? [w.grad] : [])];
  }

  const values = async (wrap: Wrap, parameter: boolean): Promise<Float32Array[]> => {
    const before = lent();
    const tensors = layers(gpu, wrap, 3, parameter);
    const found = await readAll(tensors);
    for (const t of tensors) free(t);
    expect(lent()).toBe(before + 4 * n * n); // w
    return found;
  };

  test("changes no bit of results and gradients", async () => {
    const expected = await values(plain, true);
    for (const wrap of [wrapped, twice]) expect(await values(wrap, true)).toEqual(expected);
  });

  test("adds up the gradient of a tensor that is no parameter layer by layer", async () => {
    const [y, dx, dw] = await values(plain, false);
    for (const wrap of [wrapped, twice]) {
      const found = await values(wrap, false);
      expect(found.slice(0, 2)).toEqual([y, dx]);
      expectClose("dw", found[2]!, new Map(dw!.entries()), 1e-5);
    }
  });

  test("keeps one tensor a layer for the backward pass", () => {
    const activation = 4 * 512 * n;
    const peak = (wrap: Wrap): number => {
      const dry = dryGpu(gpu).gpu;
      layers(dry, wrap, 16, true);
      return dry.pool.bytes.peak / activation;
    };
    expect(peak(plain)).toBeGreaterThan(16 * 4);
    expect(peak(wrapped)).toBeLessThan(16 + 12);
  });

  test("is the function itself outside gradients, and inputs that play no part get no gradient", async () => {
    const before = lent();
    const y = scope(gpu, () => checkpoint([x], () => scale(scale(x, 2), 3)));
    expect((await read(y))[0]).toBeCloseTo(6 * Math.sin(2), 5);
    free(y);
    const idle = tensor(gpu, [1], [1]);
    const { grads } = gradients(() => checkpoint([x, idle], () => scale(x, 2)), [x], seed);
    expect((await read(grads[0]!))[0]).toBeCloseTo(2 * Math.sin(3), 5);
    for (const t of [...grads, idle]) free(t);
    expect(lent()).toBeLessThanOrEqual(before + x.storage.bytes); // the result of gradients
  });
});
