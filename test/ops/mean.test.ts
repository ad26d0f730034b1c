import { test } from "vitest";
import { meanRows } from "../../src/ops/mean.ts";
import { checkOp } from "../support/gradcheck.ts";

test.for<[number, number, number]>([
  [1, 1, 4], // B, L, D
  [3, 5, 6],
  [2, 130, 68], // more rows than a block of a product, more columns than a workgroup
])("meanRows of [%i, %i, %i] agrees with the reference", async ([B, L, D]) => {
  await checkOp(
    (x) => meanRows(x!),
    (x) => {
      const y = new Float64Array(B * D);
      for (const [i, value] of x!.entries()) {
        const at = Math.floor(i / (L * D)) * D + (i % D);
        y[at] = y[at]! + value / L;
      }
      return y;
    },
    [[B, L, D]],
  );
});
