// Reads a tensor of a PyTorch file in C order, whatever its strides, in little more memory than it takes itself.
import { bytesOf } from "../model/dtypes.ts";
import type { TorchStorage, TorchTensor } from "./torchvalue.ts";
import { elementsOf } from "./torchview.ts";

/** Reads bytes `start` to `end` of a storage; throws if the file has not that many. */
export type ReadStorage = (storage: TorchStorage, start: number, end: number) => Promise<Uint8Array>;

/** Bytes of one read of a strided tensor, at most. */
const CHUNK = 4 * 2 ** 20;
/** Bytes between two rows that are read along with them: a call to the system takes about as long. */
const GAP = 16 * 1024;

/** One dimension: how many steps, how far each goes in the storage and in the result, in units of the copying. */
interface Axis {
  readonly count: number;
  readonly from: number;
  readonly to: number;
}

/** A part of the tensor that one read covers. */
interface Block {
  readonly from: number;
  readonly to: number;
  readonly axes: readonly Axis[];
}

/**
 * The elements of a tensor in C order, little-endian. A contiguous one takes one read of just its bytes. A strided one
 * (transposed, sliced, expanded, overlapping) is gathered in blocks: memory is its own size and 4 MB, and of gaps
 * wider than 16 kB nothing is read.
 *
 * @throws ClimaxError "checkpoint" as `readStorage` does
 */
export async function readTensor(tensor: TorchTensor, readStorage: ReadStorage): Promise<Uint8Array> {
  const { storage, offset } = tensor;
  const size = bytesOf[tensor.dtype];
  const elements = elementsOf(tensor);
  if (elements === 0) return new Uint8Array(0);
  const axes = axesOf(tensor);
  // Two axes of stride 1 are no run: they overlap.
  if (axes.length === 0 || (axes.length === 1 && axes[0]!.from === 1)) {
    return readStorage(storage, offset * size, (offset + elements) * size);
  }
  // The last element first: nothing is allocated for a storage that the file does not have.
  const last = offset + extentOf(axes) - 1;
  await readStorage(storage, last * size, (last + 1) * size);

  const result = new Uint8Array(elements * size);
  const unit = Math.min(size, 4); // elements of 8 bytes are copied as two of 4: no number type keeps their bits
  const target = unitsOf(result, unit);
  for (const block of blocksOf(inUnits(axes, size / unit), unit)) {
    const start = offset * size + block.from * unit;
    const source = await readStorage(storage, start, start + extentOf(block.axes) * unit);
    copy(unitsOf(source, unit), target, block.axes, 0, block.to);
  }
  return result;
}

/** Dimensions of more than one step, neighbours joined where they run on; from the widest stride to the narrowest. */
function axesOf({ shape, strides }: TorchTensor): Axis[] {
  const axes: Axis[] = [];
  let to = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    const [count, from] = [shape[d]!, strides[d]!];
    const inner = axes.at(-1);
    if (count > 1 && inner && from === inner.from * inner.count) {
      axes[axes.length - 1] = { ...inner, count: inner.count * count };
    } else if (count > 1) {
      axes.push({ count, from, to });
    }
    to *= count;
  }
  return axes.sort((a, b) => b.from - a.from);
}

/** Units from the first to the last that the axes reach, both included. */
function extentOf(axes: readonly Axis[]): number {
  return axes.reduce((extent, { count, from }) => extent + (count - 1) * from, 1);
}

function inUnits(axes: readonly Axis[], units: number): Axis[] {
  const scaled = axes.map(({ count, from, to }) => ({ count, from: from * units, to: to * units }));
  return units === 1 ? scaled : [...scaled, { count: units, from: 1, to: 1 }];
}

/** The narrow axes make a block as long as it stays within CHUNK and its gaps within GAP; the wide ones count blocks. */
function* blocksOf(axes: readonly Axis[], unit: number): Generator<Block> {
  let split = axes.length;
  let extent = 1;
  /** Steps of axis `split - 1` that a block takes. */
  let steps = 1;
  while (split > 0) {
    const { count, from } = axes[split - 1]!;
    const room =
      (from - extent) * unit > GAP ? 1 : from === 0 ? count : 1 + Math.floor((CHUNK / unit - extent) / from);
    steps = Math.max(1, Math.min(count, room));
    if (steps < count) break;
    extent += (count - 1) * from;
    split--;
  }
  const inner = axes.slice(split);
  const wide = axes.slice(0, split);
  const counts = wide.map(({ count }, d) => (d === split - 1 ? Math.ceil(count / steps) : count));
  const blocks = counts.reduce((product, n) => product * n, 1);
  for (let block = 0; block < blocks; block++) {
    let [rest, from, to] = [block, 0, 0];
    let part: Axis[] = [];
    for (let d = split - 1; d >= 0; d--) {
      const axis = wide[d]!;
      const index = (rest % counts[d]!) * (d === split - 1 ? steps : 1);
      rest = Math.floor(rest / counts[d]!);
      from += index * axis.from;
      to += index * axis.to;
      if (d === split - 1) part = [{ ...axis, count: Math.min(steps, axis.count - index) }];
    }
    yield { from, to, axes: [...part, ...inner] };
  }
}

type Units = Uint8Array | Uint16Array | Uint32Array;

function unitsOf(bytes: Uint8Array, unit: number): Units {
  if (unit === 1) return bytes;
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % unit ? new Uint8Array(bytes) : bytes;
  return unit === 2
    ? new Uint16Array(buffer, byteOffset, byteLength / 2)
    : new Uint32Array(buffer, byteOffset, byteLength / 4);
}

/** As deep as the axes are many: at most 65. */
function copy(
  source: Units,
  target: Units,
  axes: readonly Axis[],
  from: number,
  to: number,
  depth = 0,
): void {
  const axis = axes[depth];
  if (!axis) {
    target[to] = source[from]!;
    return;
  }
  const last = depth === axes.length - 1;
  for (let i = 0; i < axis.count; i++) {
    if (last) target[to + i * axis.to] = source[from + i * axis.from]!;
    else copy(source, target, axes, from + i * axis.from, to + i * axis.to, depth + 1);
  }
}
