import { expect, test } from "vitest";
import { tensor } from "../../src/engine/tensor.ts";
import { concatChannels } from "../../src/ops/channels.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

// Below, at and above a workgroup of 64; one sample and several.
test.for<[number, number, number, number]>([
  [1, 1, 1, 3],
  [2, 3, 2, 5],
  [2, 2, 2, 16],
  [3, 5, 4, 33],
])("concatChannels of %s agrees with the reference", async ([B, C, D, P]) => {
  await checkOp(
    (a, b) => concatChannels(a!, b!),
    (a, b) =>
      Float64Array.from(
        Array.from({ length: B }, (_, i) => [
          ...a!.subarray(i * C * P, (i + 1) * C * P),
          ...b!.subarray(i * D * P, (i + 1) * D * P),
        ]).flat(),
      ),
    [
      [B, C, 1, P],
      [B, D, 1, P],
    ],
  );
});

test("fields of different sizes are refused with both shapes", () => {
  const a = tensor(gpu, [1, 1, 1, 2], [1, 2]);
  const b = tensor(gpu, [1, 1, 1, 3], [1, 2, 3]);
  expect(() => concatChannels(a, b)).toThrow("concatChannels: b is [1,1,1,3], expected [1,1,1,2]");
});
