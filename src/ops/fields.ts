// Fields of a batch put together anew, by variable.
import { needsGradient, record } from "../engine/autograd.ts";
import { expectShape, kernel, run, threads } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";
import { indices } from "./layout.ts";

const selects = [0, 1].map((OTHERWISE) => kernel("fields.wgsl", "select_fields", { OTHERWISE }));

/**
 * Fields chosen from x, and where x has none from another tensor.
 *
 * @param x          [B, V, H, W]
 * @param ids        for each of the I fields wanted its place among the V, none twice, or undefined
 * @param otherwise  [B, I, H, W], for the undefined ones; 0 when left out
 * @returns          [B, I, H, W]
 */
export function selectFields(x: Tensor, ids: readonly (number | undefined)[], otherwise?: Tensor): Tensor {
  const [B, V, H, W] = x.shape as [number, number, number, number];
  const chosen = ids.filter((id) => id !== undefined);
  if (new Set(chosen).size < chosen.length) throw new Error(`selectFields: a field is wanted twice: ${ids}`);
  if (chosen.some((id) => id < 0 || id >= V)) throw new Error(`selectFields: fields ${ids} of ${V}`);
  if (otherwise) expectShape("selectFields", "otherwise", otherwise, [B, ids.length, H, W]);
  const inputs = otherwise ? [x, otherwise] : [x];
  const wanted = inputs.map(needsGradient);
  return record(select(x, ids, otherwise), inputs, (dy) => [
    wanted[0] ? select(dy, inverse(ids, V)) : null,
    wanted[1]
      ? select(
          dy,
          ids.map((id, i) => (id === undefined ? i : undefined)),
        )
      : null,
  ]);
}

/** For each of V fields the place it was taken to, if any. */
export function inverse(ids: readonly (number | undefined)[], V: number): (number | undefined)[] {
  return Array.from({ length: V }, (_, v) => {
    const place = ids.indexOf(v);
    return place < 0 ? undefined : place;
  });
}

function select(x: Tensor, ids: readonly (number | undefined)[], otherwise?: Tensor): Tensor {
  const { gpu } = x;
  const [B, V, H, W] = x.shape as [number, number, number, number];
  const y = empty(gpu, [B, ids.length, H, W]);
  const picked = indices(
    gpu,
    ids.map((id) => id ?? 0xffffffff),
  );
  const params = { length: size(y.shape), outputs: ids.length, variables: V, cells: H * W };
  const tensors = { x, otherwise: otherwise ?? x, ids: picked, y };
  run(selects[otherwise ? 1 : 0]!, tensors, params, threads(params.length));
  return y;
}
