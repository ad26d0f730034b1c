import { expect, test } from "vitest";
import { allFinite } from "../../src/model/finite.ts";

test("tells numbers from what is none, wherever it stands", () => {
  const numbers = [0, -0, 1, -1, 2 ** -149, -(2 ** -126), 3.4028234663852886e38, -3.4028234663852886e38];
  expect(allFinite(Float32Array.from(numbers))).toBe(true);
  expect(allFinite(new Float32Array())).toBe(true);
  const many = new Float32Array(200_003).fill(1);
  expect(allFinite(many)).toBe(true);
  for (const place of [0, 65535, 65536, 131072, 200_002]) {
    for (const strange of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const spoilt = many.slice();
      spoilt[place] = strange;
      expect(allFinite(spoilt), `${strange} at ${place}`).toBe(false);
    }
  }
  const odd = new Uint32Array([0x7f800001, 0x3f800000]); // a signalling NaN, then 1
  expect(allFinite(new Float32Array(odd.buffer))).toBe(false);
  expect(allFinite(new Float32Array(odd.buffer, 4))).toBe(true);
});
