/** Just enough of GRIB 1 to read the ensemble of ../shared/data: global latitude-longitude grids, simple packing. */
import { readFileSync } from "node:fs";

export interface Grib1Field {
  /** ECMWF's number: 129 geopotential, 130 temperature. */
  readonly parameter: number;
  /** hPa */
  readonly level: number;
  /** "1999-12-31 12" */
  readonly date: string;
  readonly member: number;
  /** [H], north to south as in the file. */
  readonly lat: readonly number[];
  readonly columns: number;
  /** [H * W], f64. */
  readonly values: Float64Array;
}

export function readGrib1(path: string): Grib1Field[] {
  const bytes = readFileSync(path);
  const fields: Grib1Field[] = [];
  for (let at = bytes.indexOf("GRIB"); at >= 0; ) {
    const length = bytes.readUIntBE(at + 4, 3);
    fields.push(readMessage(bytes.subarray(at, at + length)));
    at = bytes.indexOf("GRIB", at + length);
  }
  return fields;
}

/** Sign and magnitude, as GRIB 1 writes whole numbers. */
const signed = (raw: number, bits: number) => (raw >= 2 ** (bits - 1) ? -(raw - 2 ** (bits - 1)) : raw);

function readMessage(message: Buffer): Grib1Field {
  const product = message.subarray(8, 8 + message.readUIntBE(8, 3));
  const grid = message.subarray(8 + product.length);
  const data = grid.subarray(grid.readUIntBE(0, 3));
  const [W, H] = [grid.readUInt16BE(6), grid.readUInt16BE(8)];
  const [first, last] = [10, 17].map((byte) => signed(grid.readUIntBE(byte, 3), 24) / 1000) as [
    number,
    number,
  ];
  const lat = Array.from({ length: H }, (_, row) => first + ((last - first) * row) / (H - 1));
  const decimal = 10 ** signed(product.readUInt16BE(26), 16);
  const binary = 2 ** signed(data.readUInt16BE(4), 16);
  // IBM's floating point: a base of 16, and 24 bits of fraction.
  const [head, fraction] = [data.readUInt8(6), data.readUIntBE(7, 3)];
  const reference = (head > 127 ? -1 : 1) * fraction * 2 ** -24 * 16 ** ((head & 127) - 64);
  const bits = data.readUInt8(10);
  if (bits !== 16 || (data.readUInt8(3) & 0xf0) !== 0 || lat.length * W * 2 + 11 > data.length) {
    throw new RangeError(
      `simple packing in 16 bits was wanted; found ${bits} bits, flags ${data.readUInt8(3)}`,
    );
  }
  const values = Float64Array.from(
    { length: H * W },
    (_, i) => (reference + data.readUInt16BE(11 + 2 * i) * binary) / decimal,
  );
  const [year, month, day, hour] = product.subarray(12, 16);
  return {
    parameter: product.readUInt8(8),
    level: product.readUInt16BE(10),
    date: `${100 * (product.readUInt8(24) - 1) + year!}-${month}-${day} ${hour}`,
    member: product.readUInt8(49),
    lat,
    columns: W,
    values,
  };
}
