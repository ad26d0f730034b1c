// The pieces of a variable of an HDF5 file, where they can be read past the library: in one run, or in chunks listed
// by a B-tree of version 1 (NetCDF-4 files) with no filters but shuffle and deflate. For all else the library reads.
import { readSync } from "node:fs";
import { DATATYPE, FILTERS, headerMessages, LAYOUT, type ReadAt } from "./hdf5objects.ts";
import type { Node } from "./hdf5slab.ts";
import { elements, isPlain } from "./hyperslab.ts";
import type { Packing } from "./packing.ts";
import type { Pieces } from "./pieces.ts";

const DEFLATE = 1;
const SHUFFLE = 2;
/** Floats of 4 and 8 bytes as IEEE 754 has them: bit 0 on, precision, exponent, mantissa, bias. */
const ieee: Partial<Record<string, string>> = {
  float32: "00002000170800177f000000",
  float64: "00004000340b0034ff030000",
};

/** Undefined where only the library can read it. `descriptor` is the same file, open for reading. */
export function hdf5Pieces(
  node: Node,
  shape: readonly number[],
  packing: Packing,
  descriptor: number,
): Pieces | undefined {
  const { dtype, stored, itemBytes, file } = node;
  const rank = stored.length;
  if (!isPlain(dtype) || rank === 0 || stored.includes(0)) return undefined;
  if (stored.some((n, axis) => n !== shape[axis])) return undefined; // the rest of it is fill
  const readAt: ReadAt = (position, length) => {
    const buffer = Buffer.alloc(length);
    const inside = position >= 0 && Number.isSafeInteger(position);
    return buffer.subarray(0, inside ? readSync(descriptor, buffer, 0, length, position) : 0);
  };
  const start = readAt(0, 48);
  const version = start[8]!;
  const eight = version >= 2 ? start[9] === 8 && start[10] === 8 : start[13] === 8 && start[14] === 8;
  const base = version >= 2 ? start.readBigUInt64LE(12) : start.readBigUInt64LE(version === 1 ? 28 : 24);
  if (start.toString("latin1", 1, 4) !== "HDF" || !eight || base !== 0n) return undefined;

  const reference = file.library.call(
    (h5) => h5.create_object_reference(file.id, `/${node.link}`) as ArrayLike<number>,
  );
  const address = Number(Buffer.from(Uint8Array.from(reference)).readBigUInt64LE(0));
  const messages = headerMessages(readAt, address);
  const one = (type: number) => messages?.filter((message) => message.type === type).at(-1)?.data;
  const [type, layout, filters] = [one(DATATYPE), one(LAYOUT), one(FILTERS)];
  if (!type || !layout || type.length < 12 || layout.length < 3) return undefined;
  const bigEndian = (type[1]! & 1) !== 0;
  if (type.readUInt32LE(4) !== itemBytes || (type[1]! & 0x40) !== 0) return undefined;
  const properties = type.toString("hex", 8, 20);
  const expected = ieee[dtype] ?? Buffer.from([0, 0, itemBytes * 8, 0]).toString("hex");
  if (!properties.startsWith(expected)) return undefined;
  const common = { path: file.absolute, shape: [...stored], dtype, bigEndian, packing };

  const [layoutVersion, kind] = [layout[0]!, layout[1]!];
  const undefinedAddress = 2n ** 64n - 1n;
  if ((layoutVersion === 3 || layoutVersion === 4) && kind === 1 && layout.length >= 18) {
    const at = layout.readBigUInt64LE(2);
    const bytes = elements(stored) * itemBytes;
    if (at === undefinedAddress || Number(at) + bytes > file.size || filters) return undefined;
    return { ...common, piece: [...stored], at: Float64Array.of(Number(at)), shuffled: false };
  }
  if (layoutVersion !== 3 || kind !== 2 || layout[2] !== rank + 1) return undefined;
  if (layout.length < 11 + 4 * (rank + 1)) return undefined;
  const root = layout.readBigUInt64LE(3);
  const piece = stored.map((_, axis) => layout.readUInt32LE(11 + 4 * axis));
  const steps = filters ? filterIds(filters) : [];
  if (root === undefinedAddress || piece.includes(0) || !steps) return undefined;
  if (!["", "1", "2,1"].includes(steps.join())) return undefined;
  const counts = stored.map((n, axis) => Math.ceil(n / piece[axis]!));
  const most = elements(counts);
  if (most * 16 > file.size) return undefined; // more chunks than could have been listed
  const [at, packed] = [new Float64Array(most), new Float64Array(most)];
  const limits = { rank, piece, counts, size: file.size };
  const found = chunksBelow(readAt, Number(root), limits, Number.POSITIVE_INFINITY, at, packed);
  if (found !== most || at.includes(0)) return undefined; // chunks never written hold fill
  const deflated = steps.includes(DEFLATE);
  const whole = elements(piece) * itemBytes;
  if (!deflated && packed.some((bytes) => bytes !== whole)) return undefined;
  // What is unpacked must fit into memory, whatever the header says.
  if (deflated && whole > 2 ** 30) return undefined;
  return { ...common, piece, at, ...(deflated && { packed }), shuffled: steps.includes(SHUFFLE) };
}

/** The filters of a pipeline message, in the order in which they were applied. */
function filterIds(data: Buffer): number[] | undefined {
  const [version, count] = [data[0]!, data[1]!];
  const ids: number[] = [];
  let i = version === 1 ? 8 : 2;
  for (let n = 0; n < count; n++) {
    if (i + 8 > data.length) return undefined;
    const id = data.readUInt16LE(i);
    i += 2;
    let name = 0;
    if (version === 1 || id >= 256) {
      name = data.readUInt16LE(i);
      i += 2;
    }
    const values = data.readUInt16LE(i + 2);
    i += 4 + (version === 1 ? Math.ceil(name / 8) * 8 : name) + 4 * values;
    if (version === 1 && values % 2 === 1) i += 4;
    ids.push(id);
  }
  return ids;
}

interface Limits {
  rank: number;
  piece: readonly number[];
  counts: readonly number[];
  size: number;
}

/** Enters the chunks of a B-tree node and of those below it; how many, or NaN when the tree is not sound. */
function chunksBelow(
  readAt: ReadAt,
  address: number,
  limits: Limits,
  above: number,
  at: Float64Array,
  packed: Float64Array,
): number {
  const { rank, piece, counts, size } = limits;
  const head = readAt(address, 24);
  if (head.length < 24 || head.toString("latin1", 0, 4) !== "TREE" || head[4] !== 1) return Number.NaN;
  const [level, used] = [head[5]!, head.readUInt16LE(6)];
  if (level >= above) return Number.NaN;
  const keyBytes = 8 + 8 * (rank + 1);
  const body = readAt(address + 24, used * (keyBytes + 8));
  if (body.length < used * (keyBytes + 8)) return Number.NaN;
  let found = 0;
  for (let i = 0; i < used; i++) {
    const key = i * (keyBytes + 8);
    const child = Number(body.readBigUInt64LE(key + keyBytes));
    if (level > 0) {
      found += chunksBelow(readAt, child, limits, level, at, packed);
      if (Number.isNaN(found)) return found;
      continue;
    }
    const bytes = body.readUInt32LE(key);
    let number = 0;
    for (let axis = 0; axis < rank; axis++) {
      const index = Number(body.readBigUInt64LE(key + 8 + 8 * axis)) / piece[axis]!;
      if (!Number.isInteger(index) || index >= counts[axis]!) return Number.NaN;
      number = number * counts[axis]! + index;
    }
    // A mask marks filters that were left out for this chunk.
    if (body.readUInt32LE(key + 4) !== 0 || child + bytes > size || at[number] !== 0) return Number.NaN;
    [at[number], packed[number]] = [child, bytes];
    found++;
  }
  return found;
}
