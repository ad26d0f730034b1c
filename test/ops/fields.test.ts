import { expect, test } from "vitest";
import { tensor } from "../../src/engine/tensor.ts";
import { selectFields } from "../../src/ops/fields.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

type Ids = readonly (number | undefined)[];

const reference = (ids: Ids, [B, V, H, W]: readonly number[]) => {
  const C = H! * W!;
  return (x: Float64Array, otherwise?: Float64Array) =>
    Float64Array.from({ length: B! * ids.length * C }, (_, at) => {
      const [b, i, c] = [Math.floor(at / C / ids.length), Math.floor(at / C) % ids.length, at % C];
      const id = ids[i];
      return id === undefined ? (otherwise?.[at] ?? 0) : x[(b * V! + id) * C + c]!;
    });
};

test.for<[string, Ids, number[]]>([
  ["one field of one", [0], [1, 1, 1, 1]],
  ["some in another order", [3, undefined, 0], [2, 4, 3, 5]],
  ["more fields than there were, over a workgroup", [undefined, 1, undefined, 0], [3, 2, 4, 17]],
])("%s agree with the reference, with and without another tensor", async ([, ids, shape]) => {
  const other = [shape[0]!, ids.length, shape[2]!, shape[3]!];
  const plain = reference(ids, shape);
  await checkOp(
    (x, o) => selectFields(x!, ids, o),
    (x, o) => plain(x!, o),
    [shape, other],
  );
  await checkOp(
    (x) => selectFields(x!, ids),
    (x) => plain(x!),
    [shape],
  );
});

test("a field wanted twice, or beyond those there are, is refused", () => {
  const x = tensor(gpu, [1, 2, 1, 1], [1, 2]);
  expect(() => selectFields(x, [0, 0])).toThrow("twice");
  expect(() => selectFields(x, [2])).toThrow("of 2");
});
