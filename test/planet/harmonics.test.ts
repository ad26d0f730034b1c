// Legendre functions, quadrature, the Fourier transform of a row and the whole spherical harmonic transform.
import { describe, expect, test } from "vitest";
import { digitReversed, fft64 } from "../../src/planet/fft64.ts";
import { gaussLegendre, legendre, triangle } from "../../src/planet/harmonics.ts";
import { longitudes, makeTransform } from "../../src/planet/transform.ts";

const shape = triangle(21);
const { mu, weights } = gaussLegendre(32);
const transform = makeTransform(shape, mu, weights);

/** Reproducible numbers in [-1, 1]. */
function numbers(count: number, seed: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (state * 16_807) % 2_147_483_647;
    return (2 * state) / 2_147_483_647 - 1;
  });
}

/** A random spectrum of a real field: zonal coefficients are real. */
function spectrum(seed: number): Float64Array {
  const values = numbers(2 * shape.size, seed);
  for (let k = 0; k < shape.size; k++) if (shape.m[k] === 0) values[2 * k + 1] = 0;
  return values;
}

const largest = (a: Float64Array, b: Float64Array) => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

test("fft64 is the discrete Fourier transform", () => {
  const input = numbers(128, 3);
  const data = new Float64Array(128);
  for (let k = 0; k < 64; k++) {
    data[2 * digitReversed[k]!] = input[2 * k]!;
    data[2 * digitReversed[k]! + 1] = input[2 * k + 1]!;
  }
  fft64(data, 0);
  const direct = new Float64Array(128);
  for (let w = 0; w < 64; w++) {
    for (let k = 0; k < 64; k++) {
      const angle = (2 * Math.PI * k * w) / 64;
      direct[2 * w]! += input[2 * k]! * Math.cos(angle) - input[2 * k + 1]! * Math.sin(angle);
      direct[2 * w + 1]! += input[2 * k]! * Math.sin(angle) + input[2 * k + 1]! * Math.cos(angle);
    }
  }
  expect(largest(data, direct)).toBeLessThan(1e-12); // 64 terms of size 1 in f64
});

describe("Gauss-Legendre quadrature", () => {
  test("integrates mu^62 exactly on 32 nodes, and mu^64 not", () => {
    const integral = (power: number) => weights.reduce((sum, w, i) => sum + w * mu[i]! ** power, 0);
    expect(integral(0)).toBeCloseTo(2, 14);
    expect(integral(62)).toBeCloseTo(2 / 63, 14);
    expect(Math.abs(integral(64) - 2 / 65)).toBeGreaterThan(1e-19);
    expect(Math.abs(integral(63))).toBeLessThan(1e-16);
  });
});

describe("Legendre functions", () => {
  test("agree with the closed forms of low degree", () => {
    const x = 0.3;
    const cosine = Math.sqrt(1 - x * x);
    expect(Array.from(legendre(0, 2, x).p)).toEqual([
      1,
      expect.closeTo(Math.sqrt(3) * x, 14),
      expect.closeTo((Math.sqrt(5) * (3 * x * x - 1)) / 2, 14),
    ]);
    expect(legendre(1, 2, x).p[0]).toBeCloseTo(Math.sqrt(3 / 2) * cosine, 14);
    expect(legendre(1, 2, x).p[1]).toBeCloseTo(Math.sqrt(15 / 2) * x * cosine, 14);
    expect(legendre(2, 2, x).p[0]).toBeCloseTo(Math.sqrt(15 / 8) * cosine ** 2, 14);
  });

  test("are orthonormal under the quadrature", () => {
    for (const m of [0, 1, 7, 21]) {
      const columns = Array.from(mu, (x) => legendre(m, 21, x).p);
      for (let a = 0; a <= 21 - m; a++) {
        for (let b = a; b <= 21 - m; b++) {
          const mean = columns.reduce((sum, p, j) => sum + (weights[j]! / 2) * p[a]! * p[b]!, 0);
          expect(mean).toBeCloseTo(a === b ? 1 : 0, 12);
        }
      }
    }
  });

  test("have the derivative that central differences give", () => {
    const [x, step] = [0.42, 1e-5];
    for (const m of [0, 3, 20]) {
      const { h } = legendre(m, 21, x);
      const [above, below] = [legendre(m, 21, x + step).p, legendre(m, 21, x - step).p];
      h.forEach((value, i) => {
        const slope = ((1 - x * x) * (above[i]! - below[i]!)) / (2 * step);
        expect(Math.abs(value - slope)).toBeLessThan(1e-5); // step^2 times a third derivative below 1e5
      });
    }
  });
});

describe("the transform", () => {
  test("there and back is the identity to 1e-12", () => {
    const [a, b] = [spectrum(1), spectrum(2)];
    const pair = new Float64Array(2 * 32 * longitudes);
    transform.fields(a, b, pair);
    const back = new Float64Array(a.length);
    transform.analyse(
      pair.filter((_, i) => i % 2 === 0),
      back,
    );
    expect(largest(back, a)).toBeLessThan(1e-12);
    transform.analyse(
      pair.filter((_, i) => i % 2 === 1),
      back,
    );
    expect(largest(back, b)).toBeLessThan(1e-12);
  });

  test("gives the value of the sum of harmonics at a point", () => {
    const a = spectrum(5);
    const pair = new Float64Array(2 * 32 * longitudes);
    transform.fields(a, new Float64Array(a.length), pair);
    const [row, column] = [5, 11]; // a southern row: tells odd harmonics from even
    const longitude = (2 * Math.PI * column) / longitudes;
    let direct = 0;
    for (let m = 0; m <= 21; m++) {
      const { p } = legendre(m, 21, mu[row]!);
      p.forEach((value, i) => {
        const k = 2 * (shape.offset[m]! + i);
        const wave = a[k]! * Math.cos(m * longitude) - a[k + 1]! * Math.sin(m * longitude);
        direct += (m === 0 ? 1 : 2) * value * wave;
      });
    }
    expect(pair[2 * (row * longitudes + column)]).toBeCloseTo(direct, 11);
  });

  test("mean square gradient of each harmonic is n (n + 1), the eigenvalue of the Laplacian", () => {
    const out = new Float64Array(2 * 32 * longitudes);
    for (let k = 1; k < shape.size; k++) {
      const one = new Float64Array(2 * shape.size);
      one[2 * k] = 1;
      transform.gradient(one, out);
      let mean = 0;
      for (let row = 0, at = 0; row < 32; row++) {
        const weight = weights[row]! / (2 * longitudes * (1 - mu[row]! ** 2));
        for (let end = at + longitudes; at < end; at++)
          mean += weight * (out[2 * at]! ** 2 + out[2 * at + 1]! ** 2);
      }
      const [m, n] = [shape.m[k]!, shape.n[k]!];
      // a real wave of amplitude 2 has mean square 2
      expect(mean / (m === 0 ? 1 : 2)).toBeCloseTo(n * (n + 1), 9);
    }
  });

  test("refuses latitudes that do not come in pairs", () => {
    expect(() => makeTransform(shape, Float64Array.of(-0.5, 0, 0.5))).toThrow(
      /latitudes in pairs about the equator/,
    );
    expect(() => makeTransform(triangle(32), mu)).toThrow(/T32/);
  });
});
