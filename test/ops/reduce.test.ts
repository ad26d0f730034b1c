import { test } from "vitest";
import { sumAxis } from "../../src/ops/reduce.ts";
import { checkOp } from "../support/gradcheck.ts";

test.for([
  [1, 1, 1],
  [3, 5, 7],
  [2, 130, 66],
  [70, 4, 3],
])("the sum over the middle of [%s, %s, %s]", async ([O, N, I]) => {
  await checkOp(
    (x) => sumAxis(x!, 1),
    (x) => {
      const y = new Float64Array(O! * I!);
      x!.forEach((value, i) => {
        y[Math.floor(i / (N! * I!)) * I! + (i % I!)]! += value;
      });
      return y;
    },
    [[O!, N!, I!]],
  );
});
