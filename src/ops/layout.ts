// Picking rows, putting tensors side by side, and adding what is shared along an axis.
import { needsGradient, record } from "../engine/autograd.ts";
import type { Gpu } from "../engine/device.ts";
import { expectShape, kernel, run, threads } from "../engine/kernel.ts";
import { empty, gradientRoom, size, type Tensor } from "../engine/tensor.ts";
import { inverse, selectFields } from "./fields.ts";
import { sumInto } from "./reduce.ts";

const gathers = kernel("layout.wgsl", "gather");
const scatters = [0, 1].map((ACCUMULATE) => kernel("layout.wgsl", "scatter", { ACCUMULATE }));
const copies = [0, 1].map((ACCUMULATE) => kernel("layout.wgsl", "copy_run", { ACCUMULATE }));
const embeds = kernel("layout.wgsl", "embed");
const addsPicked = kernel("layout.wgsl", "add_picked");

/** Row numbers on the device: u32, whatever the tensor's other uses. */
export function indices(gpu: Gpu, ids: readonly number[]): Tensor {
  const t = empty(gpu, [ids.length]);
  gpu.commands.flush(); // writeBuffer would overtake what is recorded but not submitted
  gpu.device.queue.writeBuffer(t.storage.buffer, 0, Uint32Array.from(ids));
  return t;
}

/**
 * Rows of a table.
 *
 * @param table  [R, ...]
 * @param ids    which rows, each in 0 .. R - 1; a row may occur twice
 * @returns      [ids, ...]
 */
export function gather(table: Tensor, ids: readonly number[]): Tensor {
  const { gpu } = table;
  const R = table.shape[0]!;
  const wrong = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < R));
  if (wrong !== undefined) throw new Error(`gather: row ${wrong} of a table of ${R}`);
  const columns = size(table.shape.slice(1));
  const rows = ids.length;
  const picked = indices(gpu, ids);
  const y = empty(gpu, [rows, ...table.shape.slice(1)]);
  const params = { length: rows * columns, rows, columns, x_first: 0, y_first: 0, variables: 0 };
  run(gathers, { x: table, ids: picked, y }, params, threads(params.length));
  return record(y, [table], (dy) => {
    const { into, accumulate, result } = gradientRoom(table);
    const length = R * columns;
    const tensors = { x: dy, ids: picked, y: into };
    run(scatters[accumulate ? 1 : 0]!, tensors, { ...params, length }, threads(length));
    return [result];
  });
}

/**
 * Tensors of one shape, one after the other along a new first axis.
 *
 * @param parts  n tensors [...]
 * @returns      [n, ...]
 */
export function stack(parts: readonly Tensor[]): Tensor {
  const { gpu, shape } = parts[0]!;
  const length = size(shape);
  const y = empty(gpu, [parts.length, ...shape]);
  for (const [i, x] of parts.entries()) {
    expectShape("stack", `part ${i}`, x, shape);
    run(
      copies[0]!,
      { x, y },
      { length, rows: 0, columns: 0, x_first: 0, y_first: i * length, variables: 0 },
      threads(length),
    );
  }
  return record(y, parts, (dy) =>
    parts.map((x, i) => {
      const dx = x.grad ?? empty(gpu, shape);
      const params = { length, rows: 0, columns: 0, x_first: i * length, y_first: 0, variables: 0 };
      run(copies[x.grad ? 1 : 0]!, { x: dy, y: dx }, params, threads(length));
      return x.grad ? null : dx;
    }),
  );
}

/**
 * Adds to every token where it is and how far ahead the forecast looks.
 *
 * @param x         [B, L, D]
 * @param position  [L, D], or [1, L, D]
 * @param lead      [B, D]
 * @returns         [B, L, D]
 */
export function addEmbeddings(x: Tensor, position: Tensor, lead: Tensor): Tensor {
  const [B, L, D] = x.shape as [number, number, number];
  if (size(position.shape) !== L * D) expectShape("addEmbeddings", "position", position, [L, D]);
  expectShape("addEmbeddings", "lead", lead, [B, D]);
  const y = empty(x.gpu, x.shape);
  const params = { length: B * L * D, rows: L, columns: D, x_first: 0, y_first: 0, variables: 0 };
  run(embeds, { x, position, lead, y }, params, threads(params.length));
  return record(y, [x, position, lead], (dy) => [
    dy,
    sumInto(dy, position, [1, B, L * D]),
    sumInto(dy, lead, [B, L, D]),
  ]);
}

/**
 * Adds to each predicted change the field it is a change of.
 *
 * @param change  [B, I, H, W]
 * @param x       [B, V, H, W]
 * @param ids     for each of the I changes its place among the V, or undefined where x has no such field
 * @returns       [B, I, H, W]
 */
export function addPicked(change: Tensor, x: Tensor, ids: readonly (number | undefined)[]): Tensor {
  const { gpu } = change;
  const [B, I, H, W] = change.shape as [number, number, number, number];
  const V = x.shape[1]!;
  expectShape("addPicked", "x", x, [B, V, H, W]);
  expectShape("addPicked", "change", change, [B, ids.length, H, W]);
  const picked = indices(
    gpu,
    ids.map((id) => id ?? 0xffffffff),
  );
  const y = empty(gpu, change.shape);
  const params = { length: size(y.shape), rows: I, columns: H * W, x_first: 0, y_first: 0, variables: V };
  run(addsPicked, { change, x, ids: picked, y }, params, threads(params.length));
  const wanted = needsGradient(x);
  return record(y, [change, x], (dy) => [dy, wanted ? selectFields(dy, inverse(ids, V)) : null]);
}
