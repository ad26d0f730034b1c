import { expect, test } from "vitest";
import { tensor } from "../../src/engine/tensor.ts";
import { addEmbeddings, addPicked, gather, stack } from "../../src/ops/layout.ts";
import { checkOp, gpu } from "../support/gradcheck.ts";

test.for([
  [1, 1],
  [5, 3],
  [4, 70],
])("gather from a table of [%s, %s], a row twice", async ([R, C]) => {
  const ids = [R! - 1, 0, R! - 1];
  await checkOp(
    (table) => gather(table!, ids),
    (table) =>
      Float64Array.from({ length: 3 * C! }, (_, i) => table![ids[Math.floor(i / C!)]! * C! + (i % C!)]!),
    [[R!, C!]],
  );
});

test("gather refuses a row that is not there", () => {
  expect(() => gather(tensor(gpu, [2, 1], [1, 2]), [2])).toThrow("row 2 of a table of 2");
});

test("stack puts tensors one after the other", async () => {
  await checkOp(
    (a, b, c) => stack([a!, b!, c!]),
    (a, b, c) => Float64Array.of(...a!, ...b!, ...c!),
    [
      [3, 5],
      [3, 5],
      [3, 5],
    ],
  );
});

test("embeddings are shared along their axes", async () => {
  const [B, L, D] = [3, 4, 5];
  await checkOp(
    (x, position, lead) => addEmbeddings(x!, position!, lead!),
    (x, position, lead) =>
      x!.map((value, i) => value + position![i % (L * D)]! + lead![Math.floor(i / (L * D)) * D + (i % D)]!),
    [
      [B, L, D],
      [L, D],
      [B, D],
    ],
  );
});

test("a change is added to the field it is a change of", async () => {
  const [B, V, cells] = [2, 3, 6];
  const x = Float32Array.from({ length: B * V * cells }, (_, i) => 100 + i);
  const ids = [2, undefined, 0];
  await checkOp(
    (change) => addPicked(change!, tensor(gpu, [B, V, 2, 3], x), ids),
    (change) =>
      change!.map((value, i) => {
        const [b, o] = [Math.floor(i / (3 * cells)), Math.floor(i / cells) % 3];
        const id = ids[o];
        return id === undefined ? value : value + x[(b * V + id) * cells + (i % cells)]!;
      }),
    [[B, 3, 2, 3]],
  );
});
