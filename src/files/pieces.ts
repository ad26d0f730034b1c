// Where the numbers of a variable lie in its file, in a form that goes to other threads: they read fields by
// position, without the file's library, and only the rows that they need.
import { readSync } from "node:fs";
import { inflateSync } from "node:zlib";
import { ClimaxError } from "../errors.ts";
import { elements, type NumericArray, type PlainDtype, plainArrays } from "./hyperslab.ts";
import type { Packing } from "./packing.ts";

/** Pieces of equal shape that together hold a variable; plain data. */
export interface Pieces {
  /** Absolute. */
  path: string;
  shape: number[];
  /** Lengths of a piece. Compressed ones at the ends are stored whole. */
  piece: number[];
  /** File position of each piece, row-major over the pieces. */
  at: Float64Array;
  /** Bytes of each piece as compressed by deflate; undefined when they lie as they are. */
  packed?: Float64Array;
  /** Whether deflate was given the first bytes of all numbers first, then the second ones, and so on. */
  shuffled: boolean;
  dtype: PlainDtype;
  bigEndian: boolean;
  /** How stored numbers become physical ones. */
  packing: Packing;
}

/** Whether reading one field reads and unpacks no other. */
export function liesApart({ piece, packed }: Pieces): boolean {
  return packed === undefined || piece.slice(0, -2).every((n) => n === 1);
}

/**
 * Reads whole fields of the last two axes, [fields.length, rows.length, W], as they are stored.
 *
 * @param fields  which, counted row-major over the axes before the last two
 * @param rows    which indices of the last axis but one, ascending
 * @param into    memory of the result, if it is just as long; else new memory is taken
 * @throws ClimaxError "data" when a piece cannot be read or unpacked
 */
export function readFields(
  pieces: Pieces,
  descriptor: number,
  fields: ArrayLike<number>,
  rows: ArrayLike<number>,
  into?: Uint8Array<ArrayBuffer>,
): NumericArray {
  const { shape, piece, dtype, bigEndian } = pieces;
  const rank = shape.length;
  const width = shape[rank - 1]!;
  const itemBytes = plainArrays[dtype].BYTES_PER_ELEMENT;
  const bytes = fields.length * rows.length * width * itemBytes;
  const out = into?.length === bytes ? into : new Uint8Array(bytes);
  const counts = shape.map((n, d) => Math.ceil(n / piece[d]!));
  const [rowPieces, columnPieces] = [counts[rank - 2]!, counts[rank - 1]!];
  const perPiece = elements(piece.slice(-2));
  /** Kept rows of each row of pieces: the first in `rows`, and the first that is not. */
  const spans = Array.from({ length: rowPieces }, (_, p) => {
    let from = 0;
    while (from < rows.length && rows[from]! < p * piece[rank - 2]!) from++;
    let to = from;
    while (to < rows.length && rows[to]! < (p + 1) * piece[rank - 2]!) to++;
    return [from, to] as const;
  });
  // Fields by the pieces that hold them: a piece is unpacked once for all of them.
  const groups = new Map<number, [slot: number, inside: number][]>();
  for (let slot = 0; slot < fields.length; slot++) {
    const [lead, inside] = leadOf(fields[slot]!, shape, piece, counts);
    const held = groups.get(lead);
    if (held) held.push([slot, inside]);
    else groups.set(lead, [[slot, inside]]);
  }
  for (const [lead, held] of groups) {
    for (let p = 0; p < rowPieces; p++) {
      const [from, to] = spans[p]!;
      if (from === to) continue;
      for (let q = 0; q < columnPieces; q++) {
        const number = (lead * rowPieces + p) * columnPieces + q;
        const copy = pieces.packed
          ? unpacked(pieces, descriptor, number, elements(piece) * itemBytes, itemBytes)
          : stored(pieces, descriptor, number, itemBytes);
        const first = q * piece[rank - 1]!;
        const columns = Math.min(piece[rank - 1]!, width - first);
        for (const [slot, inside] of held) {
          for (let r = from; r < to; ) {
            const row = rows[r]! - p * piece[rank - 2]!;
            // Rows that follow one another in both places are one run.
            let run = 1;
            if (columns === width && piece[rank - 1] === width)
              while (r + run < to && rows[r + run] === rows[r]! + run) run++;
            const source = inside * perPiece + row * piece[rank - 1]!;
            const target = (slot * rows.length + r) * width + first;
            copy(out, target, source, columns * run);
            r += run;
          }
        }
      }
    }
  }
  if (bigEndian && itemBytes > 1) swap(out, itemBytes);
  return new plainArrays[dtype](out.buffer);
}

/** Which pieces hold a field: their number among the leading axes, and the field's number inside them. */
function leadOf(
  field: number,
  shape: readonly number[],
  piece: readonly number[],
  counts: readonly number[],
): [lead: number, inside: number] {
  let [lead, inside, rest, leadStride, insideStride] = [0, 0, field, 1, 1];
  for (let d = shape.length - 3; d >= 0; d--) {
    const index = rest % shape[d]!;
    rest = Math.floor(rest / shape[d]!);
    lead += Math.floor(index / piece[d]!) * leadStride;
    inside += (index % piece[d]!) * insideStride;
    leadStride *= counts[d]!;
    insideStride *= piece[d]!;
  }
  return [lead, inside];
}

/** Copies `count` numbers from `source` in a piece to `target` in the output. */
type Copy = (out: Uint8Array, target: number, source: number, count: number) => void;

function stored({ path, at }: Pieces, descriptor: number, number: number, itemBytes: number): Copy {
  return (out, target, source, count) => {
    const from = at[number]! + source * itemBytes;
    readWhole(path, descriptor, out, target * itemBytes, count * itemBytes, from);
  };
}

function unpacked(
  { path, at, packed, shuffled }: Pieces,
  descriptor: number,
  number: number,
  bytes: number,
  itemBytes: number,
): Copy {
  const raw = new Uint8Array(packed![number]!);
  readWhole(path, descriptor, raw, 0, raw.length, at[number]!);
  let whole: Uint8Array;
  try {
    // One byte more than is wanted, so that it comes in one buffer and too much is seen.
    whole = inflateSync(raw, { chunkSize: Math.max(64, bytes + 1), maxOutputLength: bytes + 1 });
  } catch (error) {
    throw damaged(path, at[number]!, (error as Error).message, error);
  }
  if (whole.length !== bytes) throw damaged(path, at[number]!, `${whole.length} bytes where ${bytes} belong`);
  if (!shuffled || itemBytes === 1) {
    return (out, target, source, count) =>
      out.set(whole.subarray(source * itemBytes, (source + count) * itemBytes), target * itemBytes);
  }
  const plane = bytes / itemBytes;
  if (itemBytes === 4) {
    return (out, target, source, count) => {
      const words = new Uint32Array(out.buffer, target * 4, count);
      const [a, b, c, d] = [source, source + plane, source + 2 * plane, source + 3 * plane];
      for (let i = 0; i < count; i++)
        words[i] = whole[a + i]! | (whole[b + i]! << 8) | (whole[c + i]! << 16) | (whole[d + i]! << 24);
    };
  }
  return (out, target, source, count) => {
    for (let k = 0; k < itemBytes; k++)
      for (let i = 0, o = target * itemBytes + k; i < count; i++, o += itemBytes)
        out[o] = whole[k * plane + source + i]!;
  };
}

function readWhole(
  path: string,
  descriptor: number,
  out: Uint8Array,
  offset: number,
  bytes: number,
  position: number,
): void {
  for (let done = 0; done < bytes; ) {
    const got = readSync(descriptor, out, offset + done, bytes - done, position + done);
    if (got === 0) throw damaged(path, position + done, "the file ends there");
    done += got;
  }
}

function damaged(path: string, position: number, what: string, cause?: unknown): ClimaxError {
  return new ClimaxError(
    "data",
    `${path} is corrupt: reading its numbers at byte ${position} failed: ${what}`,
    "fetch or write it again",
    { cause },
  );
}

function swap(bytes: Uint8Array, itemBytes: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (itemBytes === 2) buffer.swap16();
  if (itemBytes === 4) buffer.swap32();
  if (itemBytes === 8) buffer.swap64();
}
