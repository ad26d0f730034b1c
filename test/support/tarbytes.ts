// Tar archives block by block (POSIX ustar), sound or hostile: test code alone decides what headers claim.
import { utf8 } from "./picklewriter.ts";

export interface ForgedTarMember {
  readonly name: string;
  readonly data?: Uint8Array;
  /** What the header says where that is not the truth; a text is put there as it is. */
  readonly size?: number | string;
  readonly type?: string;
  /** Added to the header's checksum. */
  readonly off?: number;
}

export function tarBytes(members: readonly ForgedTarMember[]): Buffer {
  const blocks = members.flatMap(
    ({ name, data = new Uint8Array(0), size = data.length, type = "0", off = 0 }) => {
      const header = new Uint8Array(512);
      header.set(utf8(name), 0);
      header.set(utf8(typeof size === "string" ? size : size.toString(8).padStart(11, "0")), 124);
      header.set(utf8(type), 156);
      header.set(utf8("ustar\u000000"), 257);
      header.fill(0x20, 148, 156);
      const sum = header.reduce((total, byte) => total + byte, off);
      header.set(utf8(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
      return [header, data, new Uint8Array((512 - (data.length % 512)) % 512)];
    },
  );
  return Buffer.concat([...blocks, new Uint8Array(1024)]);
}
