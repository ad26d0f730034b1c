// The spherical harmonic transform between a triangular spectrum and a grid of 64 longitudes on latitudes that
// come in pairs north and south of the equator. Precomputed tables; no allocation after it is made.
import { ClimaxError } from "../errors.ts";
import { digitReversed, fft64 } from "./fft64.ts";
import { legendre, type Triangle } from "./harmonics.ts";

/** Longitudes 0, 5.625, ... 354.375. */
export const longitudes = 64;

/**
 * Spectra are [2 * triangle.size]. Pairs of grids are one interleaved Float64Array [H * 64 * 2], latitudes
 * ascending: element 2 * (row * 64 + column) of the first grid, the next of the second.
 */
export interface Transform {
  readonly triangle: Triangle;
  /** sin(latitude), ascending, [H]. */
  readonly mu: Float64Array;
  /** The two fields themselves. */
  fields(first: Float64Array, second: Float64Array, out: Float64Array): void;
  /** df/dlongitude and (1 - mu^2) df/dmu of one field, both per radian, on a sphere of radius 1. */
  gradient(spectrum: Float64Array, out: Float64Array): void;
  /** Grid [H * 64] to spectrum; with Gaussian latitudes and weights exact while T + degree of the field < 2 H. */
  analyse(grid: Float64Array, spectrum: Float64Array): void;
}

/**
 * `mu`: sines of the latitudes, ascending, an even number, symmetric about the equator. `weights`: quadrature
 * weights (sum 2), wanted by `analyse` only.
 */
export function makeTransform(triangle: Triangle, mu: Float64Array, weights?: Float64Array): Transform {
  const { truncation, size, offset } = triangle;
  const rows = mu.length;
  const half = rows >> 1;
  const symmetric = mu.every((x, i) => Math.abs(x + mu[rows - 1 - i]!) < 1e-12);
  if (rows % 2 !== 0 || !symmetric || 2 * truncation >= longitudes)
    throw new ClimaxError(
      "grid",
      `a transform of T${truncation} wants latitudes in pairs about the equator and T below 32`,
      "use a grid without a row on the equator, such as 32 x 64",
    );

  // [m][northern row][n]: at offset[m] * half + row * (truncation - m + 1) + (n - m)
  const p = new Float64Array(size * half);
  const h = new Float64Array(size * half);
  for (let m = 0; m <= truncation; m++) {
    for (let j = 0; j < half; j++) {
      const at = offset[m]! * half + j * (truncation - m + 1);
      const columns = legendre(m, truncation, mu[half + j]!);
      p.set(columns.p, at);
      h.set(columns.h, at);
    }
  }

  const rowLength = 2 * longitudes;
  const work = new Float64Array(rowLength);

  /** Puts the Fourier coefficient m of two real fields, a + i b, where the transform of the row wants it. */
  function place(
    out: Float64Array,
    row: number,
    m: number,
    aRe: number,
    aIm: number,
    bRe: number,
    bIm: number,
  ): void {
    const start = row * rowLength;
    const plus = start + 2 * digitReversed[m]!;
    out[plus] = aRe - bIm;
    out[plus + 1] = aIm + bRe;
    if (m === 0) return;
    const minus = start + 2 * digitReversed[longitudes - m]!;
    out[minus] = aRe + bIm;
    out[minus + 1] = bRe - aIm;
  }

  function fields(first: Float64Array, second: Float64Array, out: Float64Array): void {
    out.fill(0);
    for (let m = 0; m <= truncation; m++) {
      const count = truncation - m + 1;
      const from = 2 * offset[m]!;
      for (let j = 0; j < half; j++) {
        const at = offset[m]! * half + j * count;
        // even: n - m even, the same in both hemispheres; odd: opposite
        let aRe = 0;
        let aIm = 0;
        let bRe = 0;
        let bIm = 0;
        for (let i = 0, k = from; i < count; i += 2, k += 4) {
          const value = p[at + i]!;
          aRe += value * first[k]!;
          aIm += value * first[k + 1]!;
          bRe += value * second[k]!;
          bIm += value * second[k + 1]!;
        }
        let cRe = 0;
        let cIm = 0;
        let dRe = 0;
        let dIm = 0;
        for (let i = 1, k = from + 2; i < count; i += 2, k += 4) {
          const value = p[at + i]!;
          cRe += value * first[k]!;
          cIm += value * first[k + 1]!;
          dRe += value * second[k]!;
          dIm += value * second[k + 1]!;
        }
        place(out, half + j, m, aRe + cRe, aIm + cIm, bRe + dRe, bIm + dIm);
        place(out, half - 1 - j, m, aRe - cRe, aIm - cIm, bRe - dRe, bIm - dIm);
      }
    }
    for (let row = 0; row < rows; row++) fft64(out, row * rowLength);
  }

  function gradient(spectrum: Float64Array, out: Float64Array): void {
    out.fill(0);
    for (let m = 0; m <= truncation; m++) {
      const count = truncation - m + 1;
      const from = 2 * offset[m]!;
      for (let j = 0; j < half; j++) {
        const at = offset[m]! * half + j * count;
        let aRe = 0;
        let aIm = 0;
        let bRe = 0;
        let bIm = 0;
        for (let i = 0, k = from; i < count; i += 2, k += 4) {
          const re = spectrum[k]!;
          const im = spectrum[k + 1]!;
          aRe += p[at + i]! * re;
          aIm += p[at + i]! * im;
          bRe += h[at + i]! * re;
          bIm += h[at + i]! * im;
        }
        let cRe = 0;
        let cIm = 0;
        let dRe = 0;
        let dIm = 0;
        for (let i = 1, k = from + 2; i < count; i += 2, k += 4) {
          const re = spectrum[k]!;
          const im = spectrum[k + 1]!;
          cRe += p[at + i]! * re;
          cIm += p[at + i]! * im;
          dRe += h[at + i]! * re;
          dIm += h[at + i]! * im;
        }
        // d/dlongitude multiplies by i m; the meridional derivative swaps the parities
        place(out, half + j, m, -m * (aIm + cIm), m * (aRe + cRe), bRe + dRe, bIm + dIm);
        place(out, half - 1 - j, m, -m * (aIm - cIm), m * (aRe - cRe), dRe - bRe, dIm - bIm);
      }
    }
    for (let row = 0; row < rows; row++) fft64(out, row * rowLength);
  }

  function analyse(grid: Float64Array, spectrum: Float64Array): void {
    if (!weights) throw new Error("a transform without quadrature weights cannot analyse");
    spectrum.fill(0);
    for (let j = 0; j < half; j++) {
      const north = (half + j) * longitudes;
      const south = (half - 1 - j) * longitudes;
      // one transform of (sum of the hemispheres) + i (difference)
      for (let w = 0; w < longitudes; w++) {
        const to = 2 * digitReversed[w]!;
        const a = grid[north + w]!;
        const b = grid[south + w]!;
        work[to] = a + b;
        work[to + 1] = a - b;
      }
      fft64(work, 0);
      const scale = weights[half + j]! / (2 * longitudes) / 2;
      for (let m = 0; m <= truncation; m++) {
        const count = truncation - m + 1;
        const at = offset[m]! * half + j * count;
        const from = 2 * offset[m]!;
        const minus = 2 * ((longitudes - m) & (longitudes - 1)); // exp(-i m longitude): see fft64
        const plus = 2 * m;
        const evenRe = (work[minus]! + work[plus]!) * scale;
        const evenIm = (work[minus + 1]! - work[plus + 1]!) * scale;
        const oddRe = (work[minus + 1]! + work[plus + 1]!) * scale;
        const oddIm = (work[plus]! - work[minus]!) * scale;
        for (let i = 0, k = from; i < count; i += 2, k += 4) {
          spectrum[k]! += p[at + i]! * evenRe;
          spectrum[k + 1]! += p[at + i]! * evenIm;
        }
        for (let i = 1, k = from + 2; i < count; i += 2, k += 4) {
          spectrum[k]! += p[at + i]! * oddRe;
          spectrum[k + 1]! += p[at + i]! * oddIm;
        }
      }
    }
  }

  return { triangle, mu, fields, gradient, analyse };
}
