// How the parameters of a model are laid out in buckets that travel between ranks, and whose share each part of one is.
import { ALIGNMENT } from "../engine/arena.ts";
import type { Span } from "../engine/staging.ts";
import { size, type Tensor } from "../engine/tensor.ts";
import { BLOCK } from "../ops/wire.ts";

/**
 * Bytes of a bucket that is full, in the middle of a model; one parameter may be larger. Below 1 MB the cost of a message
 * itself shows, a few tenths of a millisecond for mapping and waking.
 */
export const BUCKET_BYTES = 8 * 2 ** 20;

/** Parts of a bucket begin at multiples of so many bytes, as shares do: whole blocks of the wire's halves. */
const UNIT = 4 * BLOCK;

/** Bytes side by side in one segment of an arena, whole multiples of ALIGNMENT; gradients lie as the values do. */
interface Piece {
  readonly value: Span;
  readonly grad: Span;
}

/** Parameters that travel together, in f32: `at` of a piece is its place in the bucket, bytes. */
export interface Bucket {
  readonly parameters: readonly Tensor[];
  readonly pieces: readonly Piece[];
  /** Up to the end of the last piece. */
  readonly filled: number;
  /** With what makes the shares equal: a multiple of their number times a block. */
  readonly bytes: number;
}

/**
 * The same on all ranks.
 *
 * @param parameters  of an arena, in the order in which a forward pass uses them: a backward pass completes them, and
 *   with them the buckets, from the last
 * @param shares      how many there are of each bucket
 * @param full        bytes of a full bucket
 */
export function bucketsOf(
  parameters: readonly Tensor[],
  shares: number,
  full: number = BUCKET_BYTES,
): Bucket[] {
  return grouped(parameters.toReversed(), full).map((members) => {
    const pieces = piecesOf(members);
    const { at, bytes } = pieces.at(-1)!.value;
    return { parameters: members, pieces, filled: at + bytes, bytes: upTo(shares * UNIT, at + bytes) };
  });
}

/** What of a bucket is share number `rank`, of `shares` equal ones: nothing, where all of it is behind the last piece. */
export function shareOf({ pieces, bytes }: Bucket, rank: number, shares: number): Piece[] {
  const [from, to] = [(rank * bytes) / shares, ((rank + 1) * bytes) / shares];
  const within = (span: Span): Span => {
    const at = Math.max(from, span.at);
    const end = Math.min(to, span.at + span.bytes);
    return { storage: span.storage, offset: span.offset + at - span.at, bytes: end - at, at };
  };
  return pieces
    .filter(({ value }) => value.at < to && value.at + value.bytes > from)
    .map(({ value, grad }) => ({ value: within(value), grad: within(grad) }));
}

/** How many buckets they make, whether or not they have gradients yet. */
export function bucketCount(parameters: readonly Tensor[]): number {
  return grouped(parameters.toReversed(), BUCKET_BYTES).length;
}

/**
 * Neighbours in groups of at least so many bytes. Less is full at both ends: the first, so that ranks begin to send while
 * nearly all of the backward pass is still to come; towards the last, because behind that one nothing is left to compute.
 */
function grouped(parameters: readonly Tensor[], full: number): Tensor[][] {
  const bytesOf = ({ shape }: Tensor): number => 4 * size(shape);
  const groups: Tensor[][] = [];
  let left = parameters.reduce((sum, parameter) => sum + bytesOf(parameter), 0);
  let room = 0;
  for (const parameter of parameters) {
    if (room <= 0) {
      const enough = groups.length === 0 ? 0 : Math.min(full, left / 4);
      groups.push([]);
      room = Math.max(full / 8, enough);
    }
    groups.at(-1)!.push(parameter);
    room -= bytesOf(parameter);
    left -= bytesOf(parameter);
  }
  return groups;
}

/** Where they lie; those side by side in one piece, so that a copy is few commands. */
function piecesOf(parameters: readonly Tensor[]): Piece[] {
  const pieces: Piece[] = [];
  const sorted = parameters.toSorted((a, b) => a.storage.id - b.storage.id || a.offset - b.offset);
  for (const { storage, offset, shape, grad } of sorted) {
    const bytes = upTo(ALIGNMENT, 4 * size(shape));
    const last = pieces.at(-1)?.value;
    const joins = last?.storage === storage && last.offset + last.bytes === offset;
    const begins = joins ? last : { offset, at: last ? upTo(UNIT, last.at + last.bytes) : 0 };
    const place = { offset: begins.offset, bytes: offset + bytes - begins.offset, at: begins.at };
    if (joins) pieces.pop();
    pieces.push({ value: { storage, ...place }, grad: { storage: grad!.storage, ...place } });
  }
  return pieces;
}

function upTo(unit: number, bytes: number): number {
  return Math.ceil(bytes / unit) * unit;
}
