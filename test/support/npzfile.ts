/** .npz archives as numpy.savez (stored) and savez_compressed (deflated) write them, made anew for a test. */
import { crc32, deflateRawSync } from "node:zlib";
import { dtypeOf, type NpyData, npyHeader } from "../../src/files/npyformat.ts";

export interface NpzArray {
  shape: readonly number[];
  data: NpyData;
}

/** One .npy file. */
export function npyBytes({ shape, data }: NpzArray): Buffer {
  return Buffer.concat([
    npyHeader(shape, dtypeOf(data)),
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  ]);
}

/** A ZIP archive of the arrays, by their names without ".npy". */
export function npzBytes(arrays: Readonly<Record<string, NpzArray>>, deflate = false): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [key, array] of Object.entries(arrays)) {
    const name = Buffer.from(`${key}.npy`);
    const bytes = npyBytes(array);
    const stored = deflate ? deflateRawSync(bytes) : bytes;
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(deflate ? 8 : 0, 4);
    fields.writeUInt32LE(crc32(bytes), 10);
    fields.writeUInt32LE(stored.length, 14);
    fields.writeUInt32LE(bytes.length, 18);
    fields.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from("504b0304", "hex"), fields, name, stored]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from("504b01021400", "hex"), fields, tail, name]));
    parts.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("504b0506", "hex");
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}
