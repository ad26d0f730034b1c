// The element types of tensors in files, under the names of safetensors, and how each becomes f32. Little-endian.
import { ClimaxError } from "../errors.ts";

/** Bytes per element of every dtype that is read. */
export const bytesOf = {
  ...{ F64: 8, F32: 4, F16: 2, BF16: 2 },
  ...{ I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 },
} as const;

export type Dtype = keyof typeof bytesOf;

/**
 * Elements as f32. Aligned F32 is not copied: the result is a view of `bytes`. F16 and BF16 are exact, NaN payloads
 * included; F64 and integers are rounded once, to nearest, ties to even; BOOL becomes 0 and 1.
 *
 * @throws ClimaxError "checkpoint" if the bytes are not whole elements
 */
export function toFloat32(dtype: Dtype, bytes: Uint8Array): Float32Array {
  const size = bytesOf[dtype];
  if (bytes.byteLength % size !== 0) {
    throw new ClimaxError(
      "checkpoint",
      `${bytes.byteLength} bytes are no whole number of ${dtype} elements of ${size} bytes`,
      "copy or download the file again",
    );
  }
  const aligned = bytes.byteOffset % size === 0 ? bytes : Uint8Array.from(bytes);
  const view = [aligned.buffer, aligned.byteOffset, bytes.byteLength / size] as const;
  switch (dtype) {
    case "F32":
      return new Float32Array(...view);
    case "F64":
      return new Float32Array(new Float64Array(...view));
    case "F16":
      return fromHalves(new Uint16Array(...view));
    case "BF16":
      return fromBits(new Uint16Array(...view), (half) => half << 16);
    case "I64":
      return fromWords(new Int32Array(view[0], view[1], 2 * view[2]));
    case "U64":
      return fromWords(new Uint32Array(view[0], view[1], 2 * view[2]));
    case "I32":
      return new Float32Array(new Int32Array(...view));
    case "U32":
      return new Float32Array(new Uint32Array(...view));
    case "I16":
      return new Float32Array(new Int16Array(...view));
    case "U16":
      return new Float32Array(new Uint16Array(...view));
    case "I8":
      return new Float32Array(new Int8Array(...view));
    case "U8":
      return new Float32Array(bytes);
    case "BOOL":
      return Float32Array.from(bytes, (byte) => (byte === 0 ? 0 : 1));
  }
}

/** Writes bits, never numbers: a NaN that passes through a number may lose its payload. */
function fromBits(values: Uint16Array, bits: (half: number) => number): Float32Array {
  const out = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = bits(values[i]!);
  return new Float32Array(out.buffer);
}

let table: Uint32Array | undefined;

/**
 * IEEE 754 binary16, through a table of all halves: 256 kB, made once. That of files/half.ts is out of reach of this
 * column, and of numbers, not bits.
 */
function fromHalves(halves: Uint16Array): Float32Array {
  table ??= Uint32Array.from({ length: 65_536 }, (_, half) => singleOf(half));
  const bits = table;
  return fromBits(halves, (half) => bits[half]!);
}

/** The bits of a half as those of an f32. */
function singleOf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f80_0000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  const shift = Math.clz32(fraction) - 21; // to where the leading 1 is implied
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

/**
 * Integers of 64 bits, as pairs of words, low then high; the kind of array says whether they are signed. A double keeps
 * 53 bits, and rounding twice may end on the wrong side, so that beyond 2^53 the lost bits are kept as one odd bit.
 */
function fromWords(words: Int32Array | Uint32Array): Float32Array {
  const out = new Float32Array(words.length / 2);
  for (let i = 0; i < out.length; i++) {
    const high = words[2 * i + 1]!;
    let low = words[2 * i]! >>> 0;
    if (Math.abs(high) >= 0x1f_ffff && (low & 0x7ff) !== 0) low = ((low & ~0x7ff) | 0x800) >>> 0;
    out[i] = high * 2 ** 32 + low;
  }
  return out;
}
