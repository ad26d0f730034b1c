// A zip of members that are stored, not deflated, written from front to back (PKWARE's APPNOTE 6.3.10).
//
// Each member's bytes begin at a multiple of 64 in the file, so that they can be mapped as numbers; the header before them
// says how many there are and their CRC, so that nothing need follow them; and all are of the same date, so that the same
// members make the same file.
import { crc32 } from "node:zlib";

const ALIGNMENT = 64;
/** 1980-01-01, the first there is. */
const DATE = 0x21;
/** Sizes and offsets from here on are written in the 64-bit form. */
const LARGE = 0xffff_ffff;
/** Bytes that one call hashes. */
const CHUNK = 1 << 30;
/** An extra field that nothing reads: PyTorch pads with it too. */
const PADDING = 0x4246;
const ZIP64 = 0x0001;

export interface StoredZip {
  /** Adds a member whose name is ASCII. The bytes may be reused once it resolves. */
  add(name: string, bytes: Uint8Array): Promise<void>;
  /** Writes the directory, after which nothing can be added. */
  end(): Promise<void>;
}

/** @param append  takes the bytes of the file, in order */
export function storedZip(append: (bytes: Uint8Array) => Promise<void>): StoredZip {
  const directory: Uint8Array[] = [];
  let offset = 0;
  const write = async (bytes: Uint8Array): Promise<void> => {
    await append(bytes);
    offset += bytes.length;
  };
  return {
    async add(name, bytes) {
      const member = { name: ascii(name), crc: checksum(bytes), size: bytes.length, offset };
      await write(localHeader(member));
      await write(bytes);
      directory.push(directoryEntry(member));
    },
    async end() {
      const start = offset;
      await write(Buffer.concat(directory));
      await write(directoryEnd(directory.length, start, offset - start));
    },
  };
}

interface Member {
  readonly name: Uint8Array;
  readonly crc: number;
  readonly size: number;
  /** Of its header in the file. */
  readonly offset: number;
}

function ascii(name: string): Uint8Array {
  if (!/^[ -~]+$/.test(name)) throw new Error(`the zip member ${JSON.stringify(name)} is not named in ASCII`);
  return Buffer.from(name, "latin1");
}

function checksum(bytes: Uint8Array): number {
  let crc = 0;
  for (let done = 0; done < bytes.length; done += CHUNK) crc = crc32(bytes.subarray(done, done + CHUNK), crc);
  return crc;
}

/** Little-endian numbers, one after the other. */
const u16 = (...values: number[]) => numbers(2, values, (at, bytes, value) => bytes.writeUInt16LE(value, at));
const u32 = (...values: number[]) => numbers(4, values, (at, bytes, value) => bytes.writeUInt32LE(value, at));
const u64 = (...values: number[]) =>
  numbers(8, values, (at, bytes, value) => bytes.writeBigUInt64LE(BigInt(value), at));

function numbers(
  size: number,
  values: readonly number[],
  put: (at: number, bytes: Buffer, value: number) => void,
): Buffer {
  const bytes = Buffer.alloc(size * values.length);
  for (const [i, value] of values.entries()) put(size * i, bytes, value);
  return bytes;
}

/** What both headers of a member say of it; the version is that of readers of the 64-bit form, or any. */
function common({ name, crc, size }: Member, zip64: boolean, extra: number): Buffer[] {
  const shown = Math.min(size, LARGE);
  return [
    u16(zip64 ? 45 : 20, 0, 0, 0, DATE), // no flags, stored, midnight
    u32(crc, shown, shown),
    u16(name.length, extra),
  ];
}

function localHeader(member: Member): Uint8Array {
  const { name, size, offset } = member;
  const zip64 = size >= LARGE;
  const sizes = zip64 ? [u16(ZIP64, 16), u64(size, size)] : [];
  const end = offset + 30 + name.length + (zip64 ? 20 : 0) + 4;
  const padding = (ALIGNMENT - (end % ALIGNMENT)) % ALIGNMENT;
  return Buffer.concat([
    u32(0x04034b50),
    ...common(member, zip64, (zip64 ? 20 : 0) + 4 + padding),
    name,
    ...sizes,
    u16(PADDING, padding),
    new Uint8Array(padding),
  ]);
}

function directoryEntry(member: Member): Uint8Array {
  const { name, size, offset } = member;
  const large = [...(size >= LARGE ? [size, size] : []), ...(offset >= LARGE ? [offset] : [])];
  const zip64 = large.length > 0;
  const extra = zip64 ? [u16(ZIP64, 8 * large.length), u64(...large)] : [];
  return Buffer.concat([
    u32(0x02014b50),
    u16(45),
    ...common(member, zip64, zip64 ? 4 + 8 * large.length : 0),
    u16(0, 0, 0), // no comment, the first disk, no attributes
    u32(0, Math.min(offset, LARGE)),
    name,
    ...extra,
  ]);
}

function directoryEnd(members: number, start: number, size: number): Uint8Array {
  const large = members >= 0xffff || start >= LARGE || size >= LARGE;
  const count = Math.min(members, 0xffff);
  const inFull = [
    ...[u32(0x06064b50), u64(44), u16(45, 45), u32(0, 0), u64(members, members, size, start)],
    ...[u32(0x07064b50, 0), u64(start + size), u32(1)], // where that is
  ];
  return Buffer.concat([
    ...(large ? inFull : []),
    u32(0x06054b50),
    u16(0, 0, count, count),
    u32(Math.min(size, LARGE), Math.min(start, LARGE)),
    u16(0),
  ]);
}
