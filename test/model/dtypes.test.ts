import { expect, test } from "vitest";
import { fromHalf } from "../../src/files/half.ts";
import { type Dtype, toFloat32 } from "../../src/model/dtypes.ts";
import { refusal } from "../support/refusal.ts";

const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  new Uint8Array(buffer, byteOffset, byteLength);

const bits = ({ buffer, byteOffset, length }: Float32Array) => new Uint32Array(buffer, byteOffset, length);

test("aligned F32 is a view, not a copy; anything else leaves the bytes alone", () => {
  const values = Float32Array.of(1, 2, 3);
  const same = toFloat32("F32", bytes(values).subarray(4));
  expect([same.buffer === values.buffer, same.byteOffset, same.length]).toEqual([true, 4, 2]);
});

test.for<[Dtype, ArrayBufferView, readonly number[]]>([
  [
    "F64",
    Float64Array.of(1.5, 1 + 2 ** -24, 1 + 3 * 2 ** -24, 1e300, -0),
    [1.5, 1, 1 + 2 ** -22, Infinity, -0],
  ],
  ["F32", Float32Array.of(0.1, -0), [Math.fround(0.1), -0]],
  [
    "F16",
    Uint16Array.of(0x3c00, 0xc248, 0x0001, 0x03ff, 0x7bff),
    [1, -3.140625, 2 ** -24, 1023 * 2 ** -24, 65504],
  ],
  ["BF16", Uint16Array.of(0x3f80, 0xc049, 0x0001), [1, -3.140625, 2 ** -133]],
  ["I64", BigInt64Array.of(-1n, 2n ** 40n, -(2n ** 63n)), [-1, 2 ** 40, -(2 ** 63)]],
  ["I32", Int32Array.of(-5, 2 ** 24 + 1), [-5, 2 ** 24]],
  ["I16", Int16Array.of(-32_768, 7), [-32_768, 7]],
  ["I8", Int8Array.of(-128, 127), [-128, 127]],
  ["U8", Uint8Array.of(0, 255), [0, 255]],
  ["BOOL", Uint8Array.of(0, 1, 2), [0, 1, 1]],
])("%s to f32, aligned or not", ([dtype, values, wanted]) => {
  expect([...toFloat32(dtype, bytes(values))]).toEqual(wanted);
  const shifted = new Uint8Array(values.byteLength + 1);
  shifted.set(bytes(values), 1);
  expect([...toFloat32(dtype, shifted.subarray(1))]).toEqual(wanted);
});

test("every half is what the table of files/half.ts says, and NaN keeps its payload", () => {
  const all = Uint16Array.from({ length: 65_536 }, (_, half) => half);
  const found = toFloat32("F16", bytes(all));
  const table = fromHalf(all);
  expect(all.filter((half) => !Object.is(found[half], table[half]))).toHaveLength(0);
  expect(bits(found)[0x7e01]).toBe(0x7fc0_2000);
  expect(bits(found)[0xfc01]).toBe(0xff80_2000); // a signalling one, negative
});

test("bits of NaN survive in F32 and BF16", () => {
  const odd = Uint32Array.of(0x7fc1_2345, 0xff80_0001);
  expect([...bits(toFloat32("F32", bytes(odd)))]).toEqual([...odd]);
  expect([...bits(toFloat32("BF16", bytes(Uint16Array.of(0x7fc1, 0xff81))))]).toEqual([
    0x7fc1_0000, 0xff81_0000,
  ]);
});

test("64-bit integers are rounded once: to the nearest f32, ties to even", () => {
  const cases: bigint[] = [];
  for (const power of [24n, 30n, 52n, 53n, 54n, 60n, 62n])
    for (const tie of [1n, 3n, 5n])
      for (const off of [-1n, 0n, 1n]) cases.push(2n ** power + tie * 2n ** (power - 24n) + off);
  const signed = BigInt64Array.from([...cases, ...cases.map((n) => -n), 2n ** 63n - 1n]);
  const found = toFloat32("I64", bytes(signed));
  for (const [i, value] of signed.entries()) expect(found[i], `${value}`).toBe(nearest(value));
});

/** The nearest f32 by comparing exact distances to the f32 below and above. */
function nearest(value: bigint): number {
  const size = value < 0n ? -value : value;
  const unit = 1n << BigInt(Math.max(0, size.toString(2).length - 24));
  const below = size / unit;
  const twice = 2n * (size - below * unit);
  const up = twice > unit || (twice === unit && below % 2n === 1n);
  return (value < 0n ? -1 : 1) * Number((below + (up ? 1n : 0n)) * unit);
}

test("bytes that are no whole elements are refused", () => {
  expect(refusal(() => toFloat32("F32", new Uint8Array(6)))).toBe(
    "checkpoint: 6 bytes are no whole number of F32 elements of 4 bytes | copy or download the file again",
  );
});
