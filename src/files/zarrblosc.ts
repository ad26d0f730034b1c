// Blosc 1 chunks: a header, blocks that stand for themselves, bytes or bits of the elements shuffled. We take them
// apart ourselves, because numcodecs' blosc passes over the errors of the codec inside and returns what happened to
// lie in its memory. Format: c-blosc, README_CHUNK_FORMAT.rst and blosc.c (1.21).

/** Decompresses exactly `size` bytes. @throws Error when the data are damaged. */
export type InnerDecoder = (data: Uint8Array, size: number) => Promise<Uint8Array> | Uint8Array;

const headerBytes = 16;
/** Flags of the header's third byte. */
const SHUFFLED = 1;
const STORED = 2;
const BIT_SHUFFLED = 4;
const NOT_SPLIT = 16;
/** Codecs by the top three bits of the flags. */
const codecNames = ["blosclz", "lz4", "snappy", "zlib", "zstd"];
/** Blocks are split by the bytes of their elements only up to so many, and into no shorter pieces. */
const mostSplits = 16;
const shortestSplit = 128;

/**
 * Decompresses one chunk.
 * @param limit bytes it may have at most.
 * @throws Error that says what is wrong with it.
 */
export async function decodeBlosc(
  chunk: Uint8Array,
  limit: number,
  inner: Partial<Record<string, InnerDecoder>>,
): Promise<Uint8Array<ArrayBuffer>> {
  if (chunk.length < headerBytes) throw new Error(`it has ${chunk.length} bytes, less than a blosc header`);
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  const [version, , flags, typeBytes] = chunk as unknown as [number, number, number, number];
  const size = view.getUint32(4, true);
  const blockBytes = view.getUint32(8, true);
  const stored = view.getUint32(12, true);
  if (version < 1 || version > 2) throw new Error(`its blosc format ${version} is not known; wanted 1 or 2`);
  if (size > limit) throw new Error(`it claims ${size} bytes; at most ${limit} were expected`);
  if (stored !== chunk.length)
    throw new Error(`it has ${chunk.length} bytes, its blosc header says ${stored}`);
  const out = new Uint8Array(size);
  if (flags & STORED) {
    if (headerBytes + size !== chunk.length)
      throw new Error(`it has ${chunk.length} bytes for ${size} stored ones`);
    out.set(chunk.subarray(headerBytes));
    return out;
  }
  if (size === 0) return out;
  if (blockBytes === 0 || typeBytes === 0) throw new Error("its blosc header is damaged");
  const name = codecNames[flags >> 5] ?? `number ${flags >> 5}`;
  const decode = inner[name];
  if (!decode) {
    throw new Error(
      `it is compressed by blosc's ${name}, which is not read (${Object.keys(inner).join(", ")} are)`,
    );
  }
  const blocks = Math.ceil(size / blockBytes);
  if (headerBytes + 4 * blocks > chunk.length) throw new Error(`it is too short for its ${blocks} blocks`);
  // Of elements of one byte only the bits can be shuffled.
  const shuffled = flags & BIT_SHUFFLED || (flags & SHUFFLED && typeBytes > 1);
  const scratch = new Uint8Array(shuffled ? Math.min(size, blockBytes) : 0);
  for (let block = 0; block < blocks; block++) {
    const target = out.subarray(block * blockBytes, (block + 1) * blockBytes);
    const whole = target.length === blockBytes;
    const split =
      !(flags & NOT_SPLIT) &&
      whole &&
      typeBytes <= mostSplits &&
      Math.floor(blockBytes / typeBytes) >= shortestSplit;
    const pieces = split ? typeBytes : 1;
    const pieceBytes = Math.floor(target.length / pieces);
    const plain = shuffled ? scratch.subarray(0, target.length) : target;
    let at = view.getUint32(headerBytes + 4 * block, true);
    for (let piece = 0; piece < pieces; piece++) {
      if (at + 4 > chunk.length) throw new Error(`its block ${block} begins beyond its end`);
      const length = view.getUint32(at, true);
      at += 4;
      if (length > chunk.length - at) throw new Error(`its block ${block} ends beyond its end`);
      const data = chunk.subarray(at, at + length);
      at += length;
      plain.set(length === pieceBytes ? data : await decode(data, pieceBytes), piece * pieceBytes);
    }
    if (plain === target) continue;
    if (flags & SHUFFLED) unshuffle(plain, target, typeBytes);
    else unshuffleBits(plain, target, typeBytes);
  }
  return out;
}

/** From all first bytes, all second bytes... to the elements. */
function unshuffle(source: Uint8Array, target: Uint8Array, typeBytes: number): void {
  const count = Math.floor(source.length / typeBytes);
  if (typeBytes === 4 && count % 4 === 0 && target.byteOffset % 4 === 0 && source.byteOffset % 4 === 0) {
    // Most weather is float32: four elements at a time, a transposition of 4 x 4 bytes.
    const from = new Uint32Array(source.buffer, source.byteOffset, count);
    const to = new Uint32Array(target.buffer, target.byteOffset, count);
    const quarter = count / 4;
    for (let i = 0, o = 0; i < quarter; i++, o += 4) {
      const a = from[i]!;
      const b = from[quarter + i]!;
      const c = from[2 * quarter + i]!;
      const d = from[3 * quarter + i]!;
      to[o] = (a & 255) | ((b & 255) << 8) | ((c & 255) << 16) | (d << 24);
      to[o + 1] = ((a >>> 8) & 255) | (b & 0xff00) | ((c & 0xff00) << 8) | ((d & 0xff00) << 16);
      to[o + 2] = ((a >>> 16) & 255) | ((b >>> 8) & 0xff00) | (c & 0xff0000) | ((d & 0xff0000) << 8);
      to[o + 3] = (a >>> 24) | ((b >>> 16) & 0xff00) | ((c >>> 8) & 0xff0000) | (d & 0xff000000);
    }
  } else {
    for (let byte = 0; byte < typeBytes; byte++) {
      for (let i = 0, to = byte, from = byte * count; i < count; i++, to += typeBytes)
        target[to] = source[from + i]!;
    }
  }
  target.set(source.subarray(count * typeBytes), count * typeBytes);
}

/** From all first bits, all second bits... to the elements; whole bytes of bits only, else nothing was shuffled. */
function unshuffleBits(source: Uint8Array, target: Uint8Array, typeBytes: number): void {
  const count = Math.floor(source.length / typeBytes);
  if (count % 8 !== 0) {
    target.set(source);
    return;
  }
  const row = count / 8;
  for (let byte = 0; byte < typeBytes; byte++) {
    for (let group = 0; group < row; group++) {
      // Eight elements' bits of this byte: an 8 x 8 transposition in two words (Hacker's Delight, 7-3).
      const at = byte * 8 * row + group;
      let low = 0;
      let high = 0;
      for (let bit = 3; bit >= 0; bit--) {
        low = (low << 8) | source[at + bit * row]!;
        high = (high << 8) | source[at + (bit + 4) * row]!;
      }
      let swap = (low ^ (low >>> 7)) & 0x00aa00aa;
      low ^= swap ^ (swap << 7);
      swap = (high ^ (high >>> 7)) & 0x00aa00aa;
      high ^= swap ^ (swap << 7);
      swap = (low ^ (low >>> 14)) & 0x0000cccc;
      low ^= swap ^ (swap << 14);
      swap = (high ^ (high >>> 14)) & 0x0000cccc;
      high ^= swap ^ (swap << 14);
      const mixed = (low & 0x0f0f0f0f) | ((high & 0x0f0f0f0f) << 4);
      high = ((low >>> 4) & 0x0f0f0f0f) | (high & 0xf0f0f0f0);
      low = mixed;
      for (let i = 0, to = group * 8 * typeBytes + byte; i < 4; i++, to += typeBytes) {
        target[to] = low >>> (8 * i);
        target[to + 4 * typeBytes] = high >>> (8 * i);
      }
    }
  }
  target.set(source.subarray(count * typeBytes), count * typeBytes);
}
