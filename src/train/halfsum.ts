// Sums over ranks of what travels as halves with a unit to every block (src/ops/wire.ts): half the bytes of float32. The
// host adds up in float32.
import { BLOCK_WORDS } from "../ops/wire.ts";
import type { World } from "../parallel/world.ts";
import { encodeBlocks, sumBlocks } from "./halfblocks.ts";

/** What of a world is needed. */
type Exchanges = Pick<World, "rank" | "size" | "alltoall" | "allgather">;

/**
 * The sums over all ranks of this rank's share, added up from rank 0 to the last. A rank sends and receives (N - 1) / N of
 * the words, in one call of `world`.
 *
 * @param words  this rank's numbers in the form of the wire: N equal shares of whole blocks of BLOCK_WORDS words. They
 *   stay as they are, and must until this ends; they may be memory that a GPU buffer is mapped to
 * @param room   memory of the same length for what the others send; of its own unless given
 * @returns      [BLOCK * blocks of a share]; all NaN in a block of which some rank's holds what is not finite
 */
export async function sumHalves(
  world: Exchanges,
  words: Uint32Array,
  room: Uint32Array = new Uint32Array(words.length),
): Promise<Float32Array> {
  const share = shareOf(world, words);
  await world.alltoall(bytesOf(words), bytesOf(room));
  return sumBlocks(
    Array.from({ length: world.size }, (_, rank) => room.subarray(rank * share, (rank + 1) * share)),
  );
}

/**
 * The sums over all ranks, in place and in the form of the wire: the same bits on every rank. They are added up as
 * `sumHalves` does and then rounded to halves once. A rank sends and receives 2 (N - 1) / N of the words, in two calls of
 * `world`: ranks stay in step if no other call is made before this ends.
 *
 * @param words, room  as `sumHalves` has them; the words are overwritten
 */
export async function allreduceHalves(
  world: Exchanges,
  words: Uint32Array,
  room?: Uint32Array,
): Promise<void> {
  const share = shareOf(world, words);
  const sums = await sumHalves(world, words, room);
  encodeBlocks(sums, words.subarray(world.rank * share, (world.rank + 1) * share));
  await world.allgather(bytesOf(words));
}

/** Words of a share. */
function shareOf({ size }: Exchanges, { length }: Uint32Array): number {
  if (length % (size * BLOCK_WORDS) > 0) throw new RangeError(`${length} words, shared by ${size} ranks`);
  return length / size;
}

const bytesOf = (words: Uint32Array): Uint8Array =>
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
