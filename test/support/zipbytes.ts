// Zip archives byte by byte, sound or hostile: test code alone decides what headers claim (PKWARE's APPNOTE 6.3.10).
import { crc32 } from "node:zlib";
import { u16, u32, u64, utf8 } from "./picklewriter.ts";

/** What the directory says of a member, where that is not the truth; `local` is said where it begins. */
export interface ForgedMember {
  readonly name: string;
  readonly data?: Uint8Array;
  readonly crc?: number;
  readonly size?: number;
  readonly uncompressed?: number;
  readonly method?: number;
  readonly flags?: number;
  /** Of its local header in the file. */
  readonly offset?: number;
  /** Bytes between the local header and the data. */
  readonly padding?: number;
  readonly local?: {
    readonly name?: string;
    readonly method?: number;
    readonly flags?: number;
    readonly size?: number;
  };
  /** Nothing is written for it but its record in the directory. */
  readonly absent?: boolean;
}

/** @param claims what the end of the directory says, where that is not the truth; `zip64` adds that form's records */
export function zipBytes(
  members: readonly ForgedMember[],
  claims: { readonly count?: number; readonly directory?: number; readonly zip64?: boolean } = {},
): Buffer {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const put = (bytes: Uint8Array | readonly number[]) => {
    pieces.push(Uint8Array.from(bytes));
    length += bytes.length;
  };
  const records: number[][] = [];
  for (const member of members) {
    const {
      name,
      data = new Uint8Array(0),
      crc = crc32(data),
      method = 0,
      flags = 0,
      padding = 0,
      local = {},
    } = member;
    const size = member.size ?? data.length;
    const at = member.offset ?? length;
    const uncompressed = member.uncompressed ?? size;
    records.push([
      ...[...u32(0x02014b50), ...u16(20), ...u16(20), ...u16(flags), ...u16(method), ...u32(0), ...u32(crc)],
      ...[
        ...u32(size),
        ...u32(uncompressed),
        ...u16(utf8(name).length),
        ...u16(0),
        ...u16(0),
        ...u16(0),
        ...u16(0),
      ],
      ...[...u32(0), ...u32(at), ...utf8(name)],
    ]);
    if (member.absent) continue;
    const there = utf8(local.name ?? name);
    put([
      ...[
        ...u32(0x04034b50),
        ...u16(20),
        ...u16(local.flags ?? flags),
        ...u16(local.method ?? method),
        ...u32(0),
      ],
      ...[...u32(crc), ...u32(local.size ?? size), ...u32(local.size ?? uncompressed)],
      ...[...u16(there.length), ...u16(padding), ...there],
    ]);
    put(new Uint8Array(padding));
    put(data);
  }
  const directory = claims.directory ?? length;
  const start = length;
  for (const record of records) put(record);
  const size = length - start;
  const count = claims.count ?? records.length;
  if (claims.zip64) {
    const end = length;
    put([...u32(0x06064b50), ...u64(44), ...u16(45), ...u16(45), ...u32(0), ...u32(0)]);
    put([...u64(count), ...u64(count), ...u64(size), ...u64(directory)]);
    put([...u32(0x07064b50), ...u32(0), ...u64(end), ...u32(1)]);
  }
  const some = (value: number, most: number) => (claims.zip64 ? most : Math.min(value, most));
  put([...u32(0x06054b50), ...u16(0), ...u16(0), ...u16(some(count, 0xffff)), ...u16(some(count, 0xffff))]);
  put([...u32(some(size, 0xffff_ffff)), ...u32(some(directory, 0xffff_ffff)), ...u16(0)]);
  return Buffer.concat(pieces);
}
