// Channels of two tensors side by side: the skips of a UNet.
import { record } from "../engine/autograd.ts";
import { expectShape, kernel, run, threads } from "../engine/kernel.ts";
import { empty, size, type Tensor } from "../engine/tensor.ts";

const copies = kernel("channels.wgsl", "copy_rows");

/**
 * The channels of `a`, then those of `b`.
 *
 * @param a  [B, C, ...]
 * @param b  [B, D, ...], the same but for the number of channels
 * @returns  [B, C + D, ...]
 * @throws   ClimaxError "shape"
 */
export function concatChannels(a: Tensor, b: Tensor): Tensor {
  const { gpu } = a;
  const [B, C, ...field] = a.shape as [number, number, ...number[]];
  const D = b.shape[1]!;
  expectShape("concatChannels", "b", b, [B, D, ...field]);
  const y = empty(gpu, [B, C + D, ...field]);
  const row = size(y.shape) / B;
  const parts = [
    { part: a, columns: size(a.shape) / B, first: 0 },
    { part: b, columns: size(b.shape) / B, first: size(a.shape) / B },
  ];
  for (const { part: x, columns, first } of parts) {
    const params = { rows: B, columns, x_row: columns, x_first: 0, y_row: row, y_first: first };
    run(copies, { x, y }, params, threads(B * columns));
  }
  return record(y, [a, b], (dy) =>
    parts.map(({ part, columns, first }) => {
      const dx = empty(gpu, part.shape);
      const params = { rows: B, columns, x_row: row, x_first: first, y_row: columns, y_first: 0 };
      run(copies, { x: dy, y: dx }, params, threads(B * columns));
      return dx;
    }),
  );
}
