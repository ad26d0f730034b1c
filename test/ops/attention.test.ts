import { expect, test } from "vitest";
import { tensor } from "../../src/engine/tensor.ts";
import { attention } from "../../src/ops/attention.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

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

// Lengths and head sizes that are multiples of four, and not.
test.for([
  [1, 1, 1, 1],
  [2, 7, 3, 5],
  [2, 16, 2, 8],
  [1, 33, 2, 4],
])("attention, B, L, heads, d = %s, %s, %s, %s", async ([B, L, heads, d]) => {
  await checkOp(
    (qkv) => attention(qkv!, heads!),
    (qkv) => reference(qkv!, [B!, L!, heads!, d!]),
    [[B!, L!, 3 * heads! * d!]],
  );
});

test("heads that cannot share the width are refused", () => {
  expect(() => attention(tensor(gpu, [1, 2, 12], new Float32Array(24)), 3)).toThrow("3 heads cannot share");
});
