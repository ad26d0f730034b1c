// Object headers of HDF5 files, read past the library: where a variable's bytes lie (HDF5 File Format Specification
// 3.0, IV.A). Only for files that the library has opened and found sound.

/** Bytes of a file from a position on; fewer at its end. */
export type ReadAt = (position: number, length: number) => Buffer;

/** Header blocks, of which the last four bytes are a checksum over the others (version 2 headers only). */
export interface HeaderBlock {
  at: number;
  bytes: number;
}

export interface HeaderMessage {
  type: number;
  data: Buffer;
  /** Where `data` begins in the file. */
  at: number;
  block: HeaderBlock;
}

/** Types of messages. */
export const DATATYPE = 0x03;
export const LAYOUT = 0x08;
export const FILTERS = 0x0b;
const CONTINUATION = 0x10;

const longestBlock = 2 ** 20;
const mostBlocks = 256;

/** The messages of the object header at `address`; undefined for what this reader does not know. */
export function headerMessages(readAt: ReadAt, address: number): HeaderMessage[] | undefined {
  const head = readAt(address, 64);
  if (head.length < 16) return undefined;
  if (head.toString("latin1", 0, 4) === "OHDR" && head[4] === 2) return messages2(readAt, address, head);
  return head[0] === 1 ? messages1(readAt, address, head) : undefined;
}

function messages2(readAt: ReadAt, address: number, head: Buffer): HeaderMessage[] | undefined {
  const flags = head[5]!;
  const sizeAt = 6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0);
  const sizeBytes = 1 << (flags & 3);
  if (sizeBytes > 4) return undefined;
  const prefix = sizeAt + sizeBytes;
  const ordered = (flags & 0x04) !== 0;
  const found: HeaderMessage[] = [];
  const blocks = [{ at: address, prefix, bytes: prefix + head.readUIntLE(sizeAt, sizeBytes) + 4 }];
  for (let b = 0; b < blocks.length; b++) {
    const { at, prefix: skip, bytes } = blocks[b]!;
    if (bytes > longestBlock || bytes < skip + 4 || b >= mostBlocks) return undefined;
    const block = readAt(at, bytes);
    if (block.length < bytes) return undefined;
    if (b > 0 && block.toString("latin1", 0, 4) !== "OCHK") return undefined;
    const headerBytes = ordered ? 6 : 4;
    for (let i = skip; i + headerBytes <= bytes - 4; ) {
      const [type, size, shared] = [block[i]!, block.readUInt16LE(i + 1), (block[i + 3]! & 2) !== 0];
      i += headerBytes;
      if (i + size > bytes - 4) return undefined;
      const data = block.subarray(i, i + size);
      if (type === CONTINUATION && size >= 16) {
        blocks.push({
          at: Number(data.readBigUInt64LE(0)),
          prefix: 4,
          bytes: Number(data.readBigUInt64LE(8)),
        });
      } else if (!shared) found.push({ type, data, at: at + i, block: { at, bytes } });
      i += size;
    }
  }
  return found;
}

function messages1(readAt: ReadAt, address: number, head: Buffer): HeaderMessage[] | undefined {
  const found: HeaderMessage[] = [];
  const blocks = [{ at: address + 16, bytes: head.readUInt32LE(8) }];
  for (let b = 0; b < blocks.length; b++) {
    const { at, bytes } = blocks[b]!;
    if (bytes > longestBlock || b >= mostBlocks) return undefined;
    const block = readAt(at, bytes);
    if (block.length < bytes) return undefined;
    for (let i = 0; i + 8 <= bytes; ) {
      const [type, size, shared] = [
        block.readUInt16LE(i),
        block.readUInt16LE(i + 2),
        (block[i + 4]! & 2) !== 0,
      ];
      i += 8;
      if (i + size > bytes) return undefined;
      const data = block.subarray(i, i + size);
      if (type === CONTINUATION && size >= 16) {
        blocks.push({ at: Number(data.readBigUInt64LE(0)), bytes: Number(data.readBigUInt64LE(8)) });
      } else if (!shared) found.push({ type, data, at: at + i, block: { at, bytes } });
      i += size;
    }
  }
  return found;
}
