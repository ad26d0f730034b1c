import { expect, test } from "vitest";
import { gradients } from "../../src/engine/autograd.ts";
import { read, tensor } from "../../src/engine/tensor.ts";
import { weightedMse } from "../../src/ops/loss.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

const shapes = [
  [1, 1, 1, 1],
  [2, 3, 4, 5],
  [3, 2, 5, 70],
  [2, 2, 3, 5], // fields that are no whole vec4s
  [1, 2, 32, 64], // one block of a field
  [2, 1, 33, 67], // and a few elements more
];

test.for(shapes)("the loss of [%s, %s, %s, %s] agrees with the reference", async ([B, V, H, W]) => {
  const weights = Float64Array.from({ length: H! }, (_, h) => 0.5 + h);
  const truth = Float64Array.from({ length: B! * V! * H! * W! }, (_, i) => Math.fround(Math.sin(i)));
  const weight = tensor(gpu, [H!], weights);
  const y = tensor(gpu, [B!, V!, H!, W!], truth);
  await checkOp(
    (pred) => weightedMse(pred!, y, weight).loss,
    (pred) => {
      const sum = pred!.reduce(
        (s, value, i) => s + weights[Math.floor(i / W!) % H!]! * (value - truth[i]!) ** 2,
        0,
      );
      return Float64Array.of(sum / pred!.length);
    },
    [[B!, V!, H!, W!]],
  );
});

test("variables count by their share, with and without a mask; their own losses do not", async () => {
  const [B, V, H, W] = [2, 3, 2, 5];
  const truth = Float64Array.from({ length: B * V * H * W }, (_, i) => Math.fround(Math.sin(i)));
  const shares = [0.25, 2, 0.75];
  const [weight, y] = [tensor(gpu, [H], [1, 1]), tensor(gpu, [B, V, H, W], truth)];
  const share = tensor(gpu, [V], shares);
  for (const mask of [undefined, tensor(gpu, [B, H, W], new Float32Array(B * H * W).fill(1))]) {
    await checkOp(
      (pred) => weightedMse(pred!, y, weight, { share, ...(mask ? { mask } : {}) }).loss,
      (pred) => {
        const of = (i: number) => shares[Math.floor(i / (H * W)) % V]! * (pred![i]! - truth[i]!) ** 2;
        return Float64Array.of(pred!.reduce((s, _, i) => s + of(i), 0) / pred!.length);
      },
      [[B, V, H, W]],
    );
  }
  const { losses } = weightedMse(
    tensor(
      gpu,
      [B, V, H, W],
      truth.map((x) => x + 1),
    ),
    y,
    weight,
    { share },
  );
  expect([...(await read(losses))].map((x) => x.toFixed(4))).toEqual(["1.0000", "1.0000", "1.0000"]);
});

test("with a mask of any weights it agrees with the reference, also where vec4s span fields", async () => {
  const [B, V, H, W] = [2, 2, 3, 5];
  const weights = Float64Array.from({ length: H }, (_, h) => 0.5 + h);
  const truth = Float64Array.from({ length: B * V * H * W }, (_, i) => Math.fround(Math.sin(i)));
  const masks = Float64Array.from({ length: B * H * W }, (_, i) => (i * 5) % 4);
  const count = masks.reduce((a, b) => a + b);
  const [weight, y] = [tensor(gpu, [H], weights), tensor(gpu, [B, V, H, W], truth)];
  const mask = tensor(gpu, [B, H, W], masks);
  await checkOp(
    (pred) => weightedMse(pred!, y, weight, { mask }).loss,
    (pred) => {
      const sum = pred!.reduce((s, value, i) => {
        const m = masks[Math.floor(i / (V * H * W)) * H * W + (i % (H * W))]!;
        return s + m * weights[Math.floor(i / W) % H]! * (value - truth[i]!) ** 2;
      }, 0);
      return Float64Array.of(sum / (V * count));
    },
    [[B, V, H, W]],
  );
});

test("a mask takes cells out of the sum and of the count, whatever they hold", async () => {
  const pred = tensor(gpu, [1, 2, 1, 2], [1, 5, 3, 7]);
  const y = tensor(gpu, [1, 2, 1, 2], [0, Number.NaN, 1, Number.NaN]);
  const weight = tensor(gpu, [1], [1]);
  const mask = tensor(gpu, [1, 1, 2], [1, 0]);
  const { y: loss, grads } = gradients(() => weightedMse(pred, y, weight, { mask }).loss, [pred]);
  expect([...(await read(loss))]).toEqual([(1 + 4) / 2]);
  expect([...(await read(grads[0]!))]).toEqual([1, 0, 2, 0]);
});

test("the losses of the variables average to the loss", async () => {
  const pred = tensor(gpu, [2, 2, 1, 1], [1, 2, 3, 4]);
  const y = tensor(gpu, [2, 2, 1, 1], [0, 0, 0, 0]);
  const { loss, losses } = weightedMse(pred, y, tensor(gpu, [1], [1]));
  expect([...(await read(losses))]).toEqual([(1 + 9) / 2, (4 + 16) / 2]);
  expect([...(await read(loss))]).toEqual([7.5]);
});
