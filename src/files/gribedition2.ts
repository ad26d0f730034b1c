// The structure of a GRIB 2 message: sections, their order and lengths, and the few numbers that have to agree.
// Octets are counted from 1 in the WMO tables and from 0 here.
import { checkGaussian, damaged, type GribField, gribSeconds, mostPoints } from "./gribfield.ts";
import type { GribWindow } from "./gribwindow.ts";

/** Which section may come after which; 8 stands for the end. Several fields of a message repeat from 2, 3 or 4. */
const follows: Record<number, number[]> = {
  0: [1],
  1: [2, 3],
  2: [3],
  3: [4],
  4: [5],
  5: [6],
  6: [7],
  7: [2, 3, 4, 8],
};
/** Least bytes of each section. */
const least = [16, 21, 5, 14, 9, 11, 6, 5];

/** No honest section before the data is longer, bytes: rows of a reduced grid, centre's own section. */
const longestHeader = 2 ** 20;

/** Data representation templates (table 5.0), in words. */
const packings: Record<number, string> = {
  0: "simple packing",
  2: "complex packing",
  3: "complex packing with spatial differences",
  4: "IEEE numbers",
  40: "JPEG 2000",
  41: "PNG",
  42: "CCSDS (libaec)",
  50: "spectral",
  51: "spectral",
  61: "simple packing of logarithms",
  200: "run lengths",
  40000: "JPEG 2000",
  40010: "PNG",
};

/** Grid definition templates (table 3.1) of spherical harmonics. */
const spectral = new Set([50, 51, 52, 53]);

/** Those whose points have no coordinates in the message. */
const placeless: Record<number, string> = {
  61: "the Fourier coefficients of a region (Mercator)",
  62: "the Fourier coefficients of a region (polar stereographic)",
  63: "the Fourier coefficients of a region (Lambert)",
  101: "an unstructured grid whose coordinates are in another file (ICON)",
};

/** Units of time (table 4.4) of a fixed length. */
const fixedUnits = new Set([0, 1, 2, 10, 11, 12, 13]);

/** Products whose statistics end at a date of their own, so that the step cannot be kept apart from the date. */
const instantaneous = new Set([0, 1, 2, 5, 6, 7, 15, 40, 41, 44, 45, 48]);

interface Section {
  at: number;
  length: number;
}

/** The fields of the message at `at`; returns the byte behind the message. */
export async function* fieldsOfEdition2(
  window: GribWindow,
  at: number,
  message: number,
): AsyncGenerator<GribField, number> {
  const { path, size } = window;
  const fail = (what: string): never => {
    throw damaged(path, message, at, what);
  };
  const length = Number((await window.bytes(at, 16)).readBigUInt64BE(8));
  if (length < 16 + 21 + 4) fail(`it says it has ${length} bytes`);
  if (at + length > size) fail(`it has ${length} bytes, and the file ends after ${size - at} of them`);
  const end = at + length - 4;
  if ((await window.bytes(end, 4)).toString("latin1") !== "7777") {
    fail(`it does not end with 7777 at byte ${end}`);
  }

  const found: Section[] = [{ at, length: 16 }];
  let bitmap: Section | undefined;
  let before = 0;
  for (let p = at + 16; p < end; ) {
    if (p + 5 > end) fail(`no room for a section at byte ${p}`);
    const head = await window.bytes(p, 5);
    const [bytes, number] = [head.readUInt32BE(0), head[4]!];
    if (!follows[before]!.includes(number)) fail(`at byte ${p}, section ${number} follows section ${before}`);
    if (bytes < least[number]! || p + bytes > end) {
      fail(`section ${number} at byte ${p} says it has ${bytes} bytes`);
    }
    if (number < 6 && bytes > longestHeader) fail(`section ${number} at byte ${p} has ${bytes} bytes`);
    found[number] = { at: p, length: bytes };
    if (number === 6) {
      const indicator = (await window.bytes(p, 6))[5]!;
      if (indicator === 0) bitmap = found[6];
      else if (indicator === 254) found[6] = bitmap ?? fail("it uses a bitmap that it does not have");
      else if (indicator !== 255) fail(`its bitmap is number ${indicator} of a catalogue`);
    }
    if (number === 7) yield await makeField(window, found, { message, at }, fail);
    p += bytes;
    before = number;
  }
  if (before !== 7) fail(`it ends after section ${before}`);
  return at + length;
}

/** Checks that the sections agree, and makes the field. */
async function makeField(
  window: GribWindow,
  found: Section[],
  place: { message: number; at: number },
  fail: (what: string) => never,
): Promise<GribField> {
  const copy = async (number: number, most = Infinity) => {
    const { at, length } = found[number]!;
    return Buffer.from(await window.bytes(at, Math.min(length, most)));
  };
  const [grid, product, representation] = [await copy(3), await copy(4), await copy(5)];
  const points = grid.readUInt32BE(6);
  const values = representation.readUInt32BE(5);
  const [gridTemplate, template] = [grid.readUInt16BE(12), representation.readUInt16BE(9)];
  const isSpectral = spectral.has(gridTemplate);
  if (points === 0 || points > mostPoints) fail(`it claims ${points} points`);
  if ([0, 1, 2, 3, 10, 20, 30, 40, 41, 42, 43].includes(gridTemplate) && grid.length >= 38) {
    const [columns, rows] = [grid.readUInt32BE(30), grid.readUInt32BE(34)];
    const reduced = columns === 0xffffffff;
    if (!reduced && columns * rows !== points) fail(`a grid of ${columns} x ${rows} for ${points} points`);
  }
  if (gridTemplate >= 40 && gridTemplate <= 43 && grid.length >= 72) {
    checkGaussian(grid.readUInt32BE(34), grid.readUInt32BE(67), fail);
  }
  const { at: bitmapAt, length: bitmapBytes } = found[6]!;
  const masked = (await window.bytes(bitmapAt, 6))[5] === 0;
  if (masked && (bitmapBytes - 6) * 8 < points)
    fail(`a bitmap of ${bitmapBytes - 6} bytes for ${points} points`);
  if (masked ? values > points : values !== points && !isSpectral) {
    fail(`${values} numbers for ${points} points`);
  }
  checkData(template, values, representation, found[7]!.length - 5, await copy(7, 64), fail);

  const identification = await copy(1);
  const healpix = gridTemplate === 150 ? healpixOf(grid, points, fail) : undefined;
  const { seen, alternating, staggered } = understandable(grid, gridTemplate, points);
  const local = found[2] ? await copy(2) : Buffer.alloc(0);
  const start = await copy(0);
  const unknown = staggered ? "a grid whose rows are shifted against one another" : placeless[gridTemplate];
  const unit = product.length > 17 ? product[17]! : 255;
  // Section 6 may be an earlier one; section 2 is not in every message.
  const order = [found[0]!, found[1]!, ...(found[2] ? [found[2]] : []), ...found.slice(3, 8)];
  return {
    ...place,
    edition: 2,
    parts: order.flatMap((section) => [section.at, section.length]),
    ...(seen !== grid && { replaced: { part: order.indexOf(found[3]!), section: seen } }),
    alternating,
    points: isSpectral ? 0 : points,
    bits: bitsOf(template, representation),
    packing: packings[template] ?? `data representation 5.${template}`,
    bare: bareMessage([start, identification, local, seen, product], points),
    gridKey: `2${gridKeyOf(grid, gridTemplate)}`,
    grid: isSpectral ? "spectral" : (healpix ?? (unknown === undefined ? "library" : { unknown })),
    reference: gribSeconds(
      identification.readUInt16BE(12),
      identification[14]!,
      identification[15]!,
      identification[16]!,
      identification[17]!,
      identification[18]!,
    ),
    dateBytes: [16 + 12, 16 + 19],
    fixedSteps: fixedUnits.has(unit) && instantaneous.has(product.readUInt16BE(7)),
  };
}

/** What of the data can be checked without unpacking them. `head`: the first bytes of section 7. */
function checkData(
  template: number,
  values: number,
  representation: Buffer,
  bytes: number,
  head: Buffer,
  fail: (what: string) => never,
): void {
  const need = (length: number) => {
    if (representation.length < length) fail(`section 5 has ${representation.length} bytes, not ${length}`);
  };
  const same = (width: number, height: number) => {
    if (width * height !== values) fail(`an image of ${width} x ${height} for ${values} numbers`);
  };
  if ([0, 2, 3, 40, 41, 42, 61, 40000, 40010].includes(template)) need(20);
  const bits = representation.length > 19 ? representation[19]! : 0;
  if (template === 0 && values * bits > bytes * 8)
    fail(`${values} numbers of ${bits} bits in ${bytes} bytes`);
  if (template === 4) {
    need(12);
    const width = 4 * 2 ** (representation[11]! - 1);
    if (values * width > bytes) fail(`${values} numbers of ${width} bytes in ${bytes} bytes`);
  }
  if (template === 2 || template === 3) {
    need(47);
    const groups = representation.readUInt32BE(31);
    if (groups > values) fail(`${groups} groups of ${values} numbers`);
  }
  if ((template === 40 || template === 40000) && bits > 0 && bytes > 24) {
    // A codestream begins with SOC and SIZ: FF4F FF51, length, capabilities, width, height.
    if (head.readUInt32BE(5) !== 0xff4fff51) fail("its data do not begin as JPEG 2000 does");
    same(head.readUInt32BE(13), head.readUInt32BE(17));
  }
  if ((template === 41 || template === 40010) && bits > 0 && bytes > 24) {
    if (head.toString("latin1", 6, 9) !== "PNG") fail("its data do not begin as PNG does");
    same(head.readUInt32BE(21), head.readUInt32BE(25));
  }
}

/** IEEE numbers: precision 1 is 32 bits, 2 is 64 (table 5.7). */
function bitsOf(template: number, representation: Buffer): number {
  if (template === 4) return representation[11] === 1 ? 24 : 64;
  return representation.length > 19 ? representation[19]! : 24;
}

/** Template 3.150: the pixels along a side, and whether they are counted along rings or nested. */
function healpixOf(grid: Buffer, points: number, fail: (what: string) => never): GribField["grid"] {
  if (grid.length < 42) fail(`its grid is described in ${grid.length} bytes`);
  const nside = grid.readUInt32BE(31);
  const [longitude, position, ordering, scanning] = [grid.readUInt32BE(35), grid[39]!, grid[40]!, grid[41]!];
  if (12 * nside * nside !== points) fail(`a HEALPix of nside ${nside} for ${points} points`);
  // Position 4 is the centre; the first base pixel lies round 45 degrees east.
  if (longitude !== 45_000_000 || position !== 4 || ordering > 1 || scanning !== 0) {
    return { unknown: `a HEALPix that is turned or counted in an unusual way (${grid.toString("hex", 35)})` };
  }
  return { healpix: nside, nested: ordering === 1 };
}

/** Byte of the scanning mode by template. */
const scanningAt: Record<number, number> = {
  ...{ 0: 71, 1: 71, 2: 71, 3: 71, 40: 71, 41: 71, 42: 71, 43: 71 },
  ...{ 10: 59, 12: 59, 20: 64, 30: 64, 31: 64, 90: 63, 140: 63 },
};

/** The grid as the library may see it: ecCodes 2.28 returns rows that run backwards as they are, and newer ones may not. */
function understandable(grid: Buffer, template: number, points: number) {
  if (template === 150) return { seen: plainGrid(points), alternating: false, staggered: false };
  const at = scanningAt[template] ?? grid.length;
  const flags = at < grid.length ? grid[at]! : 0;
  const staggered = (flags & 0x0f) !== 0;
  if ((flags & 0x10) === 0) return { seen: grid, alternating: false, staggered };
  const seen = Buffer.from(grid);
  seen[at] = flags & ~0x10;
  return { seen, alternating: true, staggered };
}

/** A row of points on the equator: lets a library that knows no HEALPix (before 2.34) unpack its numbers. */
function plainGrid(points: number): Buffer {
  const grid = Buffer.alloc(72);
  grid.writeUInt32BE(72, 0);
  grid[4] = 3;
  grid.writeUInt32BE(points, 6);
  grid[14] = 6; // a sphere of 6371 km
  grid.writeUInt32BE(points, 30);
  grid.writeUInt32BE(1, 34);
  grid.writeUInt32BE(0xffffffff, 42);
  grid[54] = 0x30;
  grid.writeUInt32BE(359_000_000, 59);
  grid.writeUInt32BE(0xffffffff, 63);
  grid.writeUInt32BE(0xffffffff, 67);
  return grid;
}

/** Without the bit that says which way winds point. */
function gridKeyOf(grid: Buffer, template: number): string {
  const fixed = Buffer.from(grid);
  const flags = template <= 3 || (template >= 40 && template <= 43) ? 54 : 46;
  if (flags < fixed.length) fixed[flags]! &= ~0x08;
  return fixed.toString("latin1");
}

function bareMessage(sections: Buffer[], points: number): Buffer {
  const representation = Buffer.alloc(21);
  representation.writeUInt32BE(21, 0);
  representation[4] = 5;
  representation.writeUInt32BE(points, 5);
  const rest = Buffer.from([0, 0, 0, 6, 6, 255, 0, 0, 0, 5, 7, 0x37, 0x37, 0x37, 0x37]);
  return withLength(Buffer.concat([...sections, representation, rest]));
}

/** Writes the length of a message into it. */
export function withLength<T extends Buffer>(message: T): T {
  message.writeBigUInt64BE(BigInt(message.length), 8);
  return message;
}
