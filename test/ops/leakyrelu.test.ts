import { expect, test } from "vitest";
import { tensor } from "../../src/engine/tensor.ts";
import { leakyrelu } from "../../src/ops/leakyrelu.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

// Below, at and above the four elements of a thread and the 256 of a workgroup.
test.for([1, 4, 7, 256, 259, 1000])("leakyrelu of %i agrees with the reference", async (length) => {
  await checkOp(
    (x) => leakyrelu(x!, 0.3),
    (x) => x!.map((value) => (value < 0 ? 0.3 * value : value)),
    [[length]],
  );
});

test("a slope that loses the sign is refused", () => {
  expect(() => leakyrelu(tensor(gpu, [1], [1]), 0)).toThrow("leakyrelu: a slope of 0 is not above 0");
});
