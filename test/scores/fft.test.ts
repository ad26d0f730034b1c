import { describe, expect, test } from "vitest";
import { realTransform } from "../../src/scores/fft.ts";

/** By the definition; angles are reduced first, so that they are exact for any k l. */
function direct(x: Float64Array): [number, number][] {
  const n = x.length;
  return Array.from({ length: Math.floor(n / 2) + 1 }, (_, k) => {
    let [re, im] = [0, 0];
    for (let l = 0; l < n; l++) {
      const angle = (-2 * Math.PI * ((k * l) % n)) / n;
      re += x[l]! * Math.cos(angle);
      im += x[l]! * Math.sin(angle);
    }
    return [re, im];
  });
}

const noise = (n: number) => Float64Array.from({ length: n }, (_, l) => Math.sin(l * l * 12.9898 + 1) * 43);

// Powers of two and four, the lengths of weather grids, primes, squares of primes, odd and even products.
const lengths = [
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 25, 27, 31, 49, 60, 64, 97, 121, 128, 144, 180, 192, 240, 256,
  320, 360, 362, 480, 500, 512, 1440,
];

describe("transform of a real row", () => {
  test.for(lengths)("of length %i is the sum it is defined by", (n) => {
    const x = noise(n);
    const waves = Math.floor(n / 2) + 1;
    const [real, imaginary] = [new Float64Array(waves), new Float64Array(waves)];
    realTransform(n)(x, 0, real, imaginary);
    const scale = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) * n);
    direct(x).forEach(([re, im], k) => {
      expect(Math.abs(real[k]! - re), `real part of F_${k}`).toBeLessThan(1e-14 * scale);
      expect(Math.abs(imaginary[k]! - im), `imaginary part of F_${k}`).toBeLessThan(1e-14 * scale);
    });
  });

  test("reads the row that begins where it is told, of float32 too, and may be used again", () => {
    const transform = realTransform(12);
    const rows = Float32Array.from(noise(36));
    const [real, imaginary] = [new Float64Array(7), new Float64Array(7)];
    for (const from of [24, 0, 12]) {
      transform(rows, from, real, imaginary);
      direct(Float64Array.from(rows.subarray(from, from + 12))).forEach(([re, im], k) => {
        expect(real[k]).toBeCloseTo(re, 11);
        expect(imaginary[k]).toBeCloseTo(im, 11);
      });
    }
  });

  test("a single wave is a single number, exactly", () => {
    const wave = Float64Array.from({ length: 8 }, (_, l) => [3, 0, -3, 0][l % 4]!);
    const [real, imaginary] = [new Float64Array(5), new Float64Array(5)];
    realTransform(8)(wave, 0, real, imaginary);
    expect([...real]).toEqual([0, 0, 12, 0, 0]);
    expect([...imaginary].map(Math.abs)).toEqual([0, 0, 0, 0, 0]);
  });
});
