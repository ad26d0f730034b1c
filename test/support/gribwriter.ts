/** Writes small GRIB messages of whole numbers in simple packing, so that tests know exactly what is in them. */

export interface GribShape {
  /** Points along a row, and rows. */
  columns: number;
  rows: number;
  /** First and last latitude and longitude, degrees. */
  lat: [number, number];
  lon: [number, number];
  /** Flags of table 3.4: 0x80 westward, 0x40 northward, 0x20 columns first, 0x10 every other row turned. */
  scanning?: number;
}

export interface GribSketch {
  shape: GribShape;
  /** In the order of the scanning mode; NaN where missing. */
  values: number[];
  /** [year, month, day, hour] */
  date?: [number, number, number, number];
  /** Hours. */
  step?: number;
  /** Of a sum, in place of a step: first and last hour. GRIB 1 only. */
  sum?: [number, number];
  /** Type of level by table 3: 100 pressure, 1 the surface. GRIB 1 only. */
  levelType?: number;
  /** hPa */
  level?: number;
  /** Number within its table: GRIB 1 by ECMWF's table 128, GRIB 2 [category, number] of discipline 0. */
  parameter?: number | [number, number];
  member?: number;
  /** ECMWF's type of data, for GRIB 1 with a member: 11 perturbed forecast (default), 18 spread of the ensemble. */
  type?: number;
}

const bytes = (length: number, value: number) => {
  const buffer = Buffer.alloc(length);
  if (value >= 0) buffer.writeUIntBE(value, 0, length);
  else buffer.writeUIntBE(2 ** (8 * length - 1) - value, 0, length); // sign and magnitude
  return buffer;
};
const join = (...parts: (number | Buffer)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === "number" ? Buffer.from([part]) : part)));

/** Values as 16-bit numbers, and the bitmap if any is missing. */
function pack(values: number[]) {
  const present = values.filter((value) => !Number.isNaN(value));
  const data = Buffer.alloc(present.length * 2);
  for (const [i, value] of present.entries()) data.writeUInt16BE(value, 2 * i);
  const bitmap = Buffer.alloc(Math.ceil(values.length / 8));
  values.forEach((value, i) => {
    if (!Number.isNaN(value)) bitmap[i >> 3]! |= 0x80 >> (i & 7);
  });
  return { count: present.length, data, bitmap: present.length < values.length ? bitmap : undefined };
}

const section1 = (body: Buffer) => join(bytes(3, body.length + 3), body);
const section2 = (number: number, body: Buffer) => join(bytes(4, body.length + 5), number, body);

export function grib1(sketch: GribSketch): Buffer {
  const {
    shape,
    values,
    date = [2020, 1, 1, 0],
    step = 0,
    level = 500,
    parameter = 130,
    member,
    type = 11,
    sum,
    levelType = 100,
  } = sketch;
  const times = sum ? [...sum, 4] : [step, 0, 0];
  const { data, bitmap } = pack(values);
  const ensemble = member === undefined ? [] : [1, 1, type, 4, 11, 0x30, 0x30, 0x30, 0x31, member, 50, 0]; // ECMWF's local definition 1
  const product = section1(
    join(
      Buffer.from([128, 98, 1, 255, 0x80 | (bitmap ? 0x40 : 0), parameter as number, levelType]),
      bytes(2, level),
      Buffer.from([date[0] % 100 || 100, date[1], date[2], date[3], 0, 1, ...times]),
      Buffer.from([0, 0, 0, Math.ceil(date[0] / 100), 0, 0, 0]),
      Buffer.from(ensemble.length > 0 ? [...Array<number>(12).fill(0), ...ensemble] : []),
    ),
  );
  const milli = (degrees: number) => bytes(3, Math.round(degrees * 1000));
  const grid = section1(
    join(
      Buffer.from([0, 255, 0]),
      bytes(2, shape.columns),
      bytes(2, shape.rows),
      milli(shape.lat[0]),
      milli(shape.lon[0]),
      0, // no increments are given
      milli(shape.lat[1]),
      milli(shape.lon[1]),
      Buffer.alloc(4, 255),
      shape.scanning ?? 0,
      Buffer.alloc(4),
    ),
  );
  const mask = bitmap ? section1(join(bitmap.length * 8 - values.length, 0, 0, bitmap)) : Buffer.alloc(0);
  // Of an even number of bytes: 11 before the values, one behind them.
  const content = section1(join(8, 0, 0, Buffer.alloc(4), 16, data, 0));
  const length = 8 + product.length + grid.length + mask.length + content.length + 4;
  return join(Buffer.from("GRIB"), bytes(3, length), 1, product, grid, mask, content, Buffer.from("7777"));
}

/** One message; several sketches make several fields of it. A bitmap equal to the one before is used again. */
export function grib2(...sketches: GribSketch[]): Buffer {
  const { date = [2020, 1, 1, 0] } = sketches[0]!;
  const identification = section2(
    1,
    join(bytes(2, 98), bytes(2, 0), 5, 0, 1, bytes(2, date[0]), date[1], date[2], date[3], 0, 0, 0, 1),
  );
  let before: Buffer | undefined;
  const fields = sketches.map((sketch) => {
    const { shape, values, step = 0, level = 500, parameter = [0, 0], member } = sketch;
    const { count, data, bitmap } = pack(values);
    const [category, number] = parameter as [number, number];
    const again = bitmap !== undefined && before !== undefined && bitmap.equals(before);
    before = bitmap;
    const product = join(
      bytes(2, 0),
      bytes(2, member === undefined ? 0 : 1),
      Buffer.from([category, number, member === undefined ? 2 : 4, 255, 0, 0, 0, 0, 1]),
      bytes(4, step),
      Buffer.from([100, 0]),
      bytes(4, level * 100),
      Buffer.alloc(6, 255),
      Buffer.from(member === undefined ? [] : [3, member, 50]),
    );
    return join(
      section2(3, join(0, bytes(4, values.length), 0, 0, bytes(2, 0), latlon(shape))),
      section2(4, product),
      section2(5, join(bytes(4, count), bytes(2, 0), Buffer.alloc(4), bytes(4, 0), 16, 0)),
      section2(6, bitmap ? (again ? Buffer.from([254]) : join(0, bitmap)) : Buffer.from([255])),
      section2(7, data),
    );
  });
  const body = join(identification, ...fields, Buffer.from("7777"));
  const head = join(Buffer.from("GRIB"), 0, 0, 0, 2, bytes(4, 0), bytes(4, 16 + body.length));
  return join(head, body);
}

function latlon({ columns, rows, lat, lon, scanning = 0 }: GribShape): Buffer {
  const micro = (degrees: number) => bytes(4, Math.round(degrees * 1e6));
  const step = (ends: [number, number], n: number) => micro(Math.abs(ends[1] - ends[0]) / (n - 1));
  return join(
    6,
    Buffer.alloc(15),
    bytes(4, columns),
    bytes(4, rows),
    bytes(4, 0),
    Buffer.alloc(4, 255),
    micro(lat[0]),
    micro(lon[0]),
    0x30,
    micro(lat[1]),
    micro(lon[1]),
    step(lon, columns),
    step(lat, rows),
    scanning,
  );
}
