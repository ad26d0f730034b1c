// The structure of a GRIB 1 message: sections, their lengths, and the few numbers that have to agree.
// Octets are counted from 1 in the WMO tables and from 0 here.
import { checkGaussian, damaged, type GribField, gribSeconds, mostPoints } from "./gribfield.ts";
import type { GribWindow } from "./gribwindow.ts";

/** Kinds of data representation (table 6) that hold spherical harmonics. */
const spectral = new Set([50, 60, 70, 80]);

/** Those that are Gaussian grids. */
const gaussian = new Set([4, 14, 24, 34]);

/** Units of time (table 4) of a fixed length: minutes, hours, days, 3, 6, 12 hours, quarters and halves of an hour, seconds. */
const fixedUnits = new Set([0, 1, 2, 10, 11, 12, 13, 14, 254]);

/** The one field of the message at `at`; returns the byte behind the message. */
export async function* fieldsOfEdition1(
  window: GribWindow,
  at: number,
  message: number,
): AsyncGenerator<GribField, number> {
  const { path, size } = window;
  const fail = (what: string): never => {
    throw damaged(path, message, at, what);
  };
  let length = (await window.bytes(at, 8)).readUIntBE(4, 3);
  const cutOff = () => fail(`it has ${length} bytes, and the file ends after ${size - at} of them`);
  if (length < large && at + length > size) cutOff();
  const next = at + 8;
  const section = async (name: string, from: number, least: number, end: number) => {
    if (from + least > end) fail(`no room for section ${name} at byte ${from}`);
    const bytes = (await window.bytes(from, 3)).readUIntBE(0, 3);
    if (bytes < least || from + bytes > end)
      fail(`section ${name} at byte ${from} says it has ${bytes} bytes`);
    return Buffer.from(await window.bytes(from, Math.min(bytes, longestHeader)));
  };
  const limit = Math.min(size, length >= large ? size : at + length);
  const product = await section("1", next, 28, limit);
  const flags = product[7]!;
  if ((flags & 0x80) === 0) fail("it does not describe its grid, but gives the number of one in a catalogue");
  const grid = await section("2", next + product.length, 32, limit);
  if (product.length + grid.length > longestHeader) fail("its headers are absurdly long");
  let data = next + product.length + grid.length;
  let bitmap = 0;
  if ((flags & 0x40) !== 0) {
    if (data + 6 > limit) fail("no room for its bitmap");
    const head = await window.bytes(data, 6);
    bitmap = head.readUIntBE(0, 3);
    if (bitmap < 6 || data + bitmap > limit) fail(`its bitmap says it has ${bitmap} bytes`);
    if (head.readUInt16BE(4) !== 0) fail("its bitmap is one of a catalogue");
    data += bitmap;
  }
  if (data + 15 > limit) fail("no room for its data");
  const head = Buffer.from(await window.bytes(data, 11));
  let dataBytes = head.readUIntBE(0, 3);
  // Above 8 MB the length counts in 120 bytes, and section 4 says how much that is too long (ECMWF's extension).
  if (length >= large && dataBytes < 120) {
    length = (length - large) * 120 - dataBytes + 4;
    dataBytes = at + length - 4 - data;
  }
  if (at + length > size) cutOff();
  if (dataBytes < 11 || data + dataBytes + 4 !== at + length) {
    fail(`its sections end at byte ${data + dataBytes}, the message itself at ${at + length - 4}`);
  }
  if ((await window.bytes(at + length - 4, 4)).toString("latin1") !== "7777") {
    fail(`it does not end with 7777 at byte ${at + length - 4}`);
  }

  const isSpectral = spectral.has(grid[5]!);
  const points = isSpectral ? 0 : countPoints(grid, fail);
  if (gaussian.has(grid[5]!)) checkGaussian(grid.readUInt16BE(8), grid.readUInt16BE(25), fail);
  const bits = head[10]!;
  const [kind, unused] = [head[3]! >> 4, head[3]! & 15];
  if (bits > 64) fail(`its numbers have ${bits} bits`);
  if (bitmap > 0 && (bitmap - 6) * 8 < points) fail(`a bitmap of ${bitmap - 6} bytes for ${points} points`);
  if (!isSpectral && bitmap === 0 && (kind & 4) === 0 && points * bits > (dataBytes - 11) * 8 - unused) {
    fail(`${points} points of ${bits} bits in ${dataBytes - 11} bytes`);
  }
  yield {
    message,
    at,
    edition: 1,
    parts: [at, length],
    alternating: false,
    points,
    bits: kind & 4 ? 24 : bits,
    packing: isSpectral ? "spectral" : kind & 4 ? "second-order packing" : "simple packing",
    bare: bareMessage(product, grid),
    gridKey: gridKeyOf(grid),
    grid: isSpectral ? "spectral" : "library",
    reference: gribSeconds(
      (product[24]! - 1) * 100 + product[12]!,
      product[13]!,
      product[14]!,
      product[15]!,
      product[16]!,
      0,
    ),
    dateBytes: [8 + 12, 8 + 17, 8 + 24, 8 + 25],
    fixedSteps: fixedUnits.has(product[17]!),
  };
  return at + length;
}

/** From this length on a message counts in 120 bytes. */
const large = 0x800000;

/** No honest section before the data is longer, bytes: rows of a reduced grid, coefficients of model levels. */
const longestHeader = 2 ** 18;

function countPoints(grid: Buffer, fail: (what: string) => never): number {
  const [columns, rows] = [grid.readUInt16BE(6), grid.readUInt16BE(8)];
  let points = columns * rows;
  if (columns === 0xffff) {
    const list = listAt(grid);
    if (list + 2 * rows > grid.length) fail(`the lengths of its ${rows} rows are missing`);
    points = 0;
    for (let row = 0; row < rows; row++) points += grid.readUInt16BE(list + 2 * row);
  }
  if (points === 0 || points > mostPoints) fail(`it claims ${points} points`);
  return points;
}

/** Where the list of row lengths begins: behind that of vertical coordinates, of which there are `grid[3]`. */
const listAt = (grid: Buffer) => (grid[4] === 255 ? grid.length : grid[4]! - 1 + 4 * grid[3]!);

/** Without vertical coordinates, and without the bit that says which way winds point. */
function gridKeyOf(grid: Buffer): string {
  const fixed = Buffer.from(grid.subarray(5, 32));
  fixed[16 - 5]! &= ~0x08;
  return `1${fixed.toString("latin1")}${grid.subarray(listAt(grid)).toString("latin1")}`;
}

function bareMessage(product: Buffer, grid: Buffer): Buffer {
  const head = Buffer.from("GRIB\0\0\0\x01", "latin1");
  // 12 bytes, simple packing, 8 unused bits: 0 bits for each number.
  const data = Buffer.from([0, 0, 12, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
  const bare = Buffer.concat([head, product, grid, data, Buffer.from("7777")]);
  bare.writeUIntBE(bare.length, 4, 3);
  bare[8 + 7]! &= ~0x40; // no bitmap
  return bare;
}
