import { expect, test } from "vitest";
import { gradients, isRecording, noGrad, record, reshape } from "../../src/engine/autograd.ts";
import { empty, free, read, scope, tensor } from "../../src/engine/tensor.ts";
import { add, scale } from "../../src/ops/elementwise.ts";
import { linear } from "../../src/ops/matmul.ts";
import { gpu } from "../support/gradcheck.ts";

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
  const parameter = (n: number) => ({
    ...tensor(gpu, [n, n], new Float32Array(n * n)),
    grad: tensor(gpu, [n, n], new Float32Array(n * n)),
  });
  const n = 128;
  const w = parameter(n);
  const x = tensor(gpu, [512, n], new Float32Array(512 * n));
  const depth = 20;
  const activation = 4 * 512 * n;
  const before = lent();
  const seed = tensor(gpu, [512, n], new Float32Array(512 * n));
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
  const made = gpu.pool.bytes.made;
  run();
  run();
  expect(gpu.pool.bytes.made).toBe(made); // the second step borrows what the first one made
  expect(lent() - before).toBe(seed.storage.bytes);
  expect(gpu.pool.bytes.peak).toBeLessThan(lent() + (depth + 4) * activation); // activations and two gradients
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
