// Smooth Gaussian noise on the sphere, by spherical harmonics: the same at every point of the globe, without a seam at
// the date line or the poles, and the same field on every grid.
import { pcg4d } from "../engine/random.ts";
import { ClimaxError } from "../errors.ts";
import type { Grid } from "../grid/grid.ts";

/** Radius of the Earth, km. */
const radius = 6371;

/** Two words that name a field: with them it is drawn, and drawn again. */
export type FieldKey = readonly [number, number];

/**
 * Random fields of mean 0 and variance 1 everywhere, with the correlation exp(-d^2 / (2 length^2)) of two points a
 * distance d apart that is short against the Earth's radius.
 *
 * The coefficients of degree l are independent with the variance c_l ~ exp(-l (l + 1) (length / radius)^2 / 2), the
 * spectrum of a Gaussian on the sphere, so that the sum of (2 l + 1) c_l is 1: by the addition theorem that is the
 * variance at every point.
 *
 * @param lengthKm  at least 100 km
 * @param keys      one for each field; different keys give independent fields
 * @returns         [keys, H, W]
 * @throws          ClimaxError "config" for a shorter length
 */
export function randomFields(grid: Grid, lengthKm: number, keys: readonly FieldKey[]): Float32Array {
  if (!(lengthKm >= 100)) {
    throw new ClimaxError(
      "config",
      `noise with a length of ${lengthKm} km is finer than the harmonics that make it; at least 100 km is wanted`,
      "give a length of some grid cells, such as 500 or 1000 km",
    );
  }
  const spectrum = gaussianSpectrum(lengthKm);
  const waves = keys.map((key) => drawCoefficients(key, spectrum));
  const [H, W] = [grid.lat.length, grid.lon.length];
  const degrees = spectrum.length;
  // cos(m lon) and sin(m lon), [m, W]
  const turns = Float64Array.from({ length: degrees * W * 2 }, (_, i) => {
    const angle = (Math.floor(i / (2 * W)) * grid.lon[(i >> 1) % W]! * Math.PI) / 180;
    return i % 2 === 0 ? Math.cos(angle) : Math.sin(angle);
  });
  const out = new Float32Array(keys.length * H * W);
  const row = new Float64Array(W);
  const legendre = new Float64Array((degrees * (degrees + 1)) / 2);
  for (let i = 0; i < H; i++) {
    legendreRow((grid.lat[i]! * Math.PI) / 180, degrees, legendre);
    for (const [k, wave] of waves.entries()) {
      row.fill(0);
      for (let m = 0, at = 0; m < degrees; m++) {
        let [cosine, sine] = [0, 0];
        for (let l = m; l < degrees; l++, at++) {
          cosine += legendre[at]! * wave[2 * at]!;
          sine += legendre[at]! * wave[2 * at + 1]!;
        }
        for (let j = 0, turn = 2 * m * W; j < W; j++, turn += 2)
          row[j]! += cosine * turns[turn]! + sine * turns[turn + 1]!;
      }
      out.set(row, (k * H + i) * W);
    }
  }
  return out;
}

/** Variance of each coefficient by degree, up to where what is left out is below 1e-6 of the variance. */
function gaussianSpectrum(lengthKm: number): Float64Array {
  const s = (lengthKm / radius) ** 2 / 2;
  const spectrum: number[] = [];
  let total = 0;
  for (let l = 0; ; l++) {
    const variance = Math.exp(-l * (l + 1) * s);
    total += (2 * l + 1) * variance;
    spectrum.push(variance);
    // The tail beyond l is about the integral of (2 l + 1) exp(-l (l + 1) s): exp(-l (l + 1) s) / s.
    if (variance / s < 1e-6 * total) break;
  }
  return Float64Array.from(spectrum, (variance) => variance / total);
}

/** Coefficients of cos(m lon) and sin(m lon), by m, then l from m on: a number's place in the spectrum names its draw. */
function drawCoefficients([first, second]: FieldKey, spectrum: Float64Array): Float64Array {
  const degrees = spectrum.length;
  const wave = new Float64Array(degrees * (degrees + 1));
  for (let m = 0, at = 0; m < degrees; m++) {
    for (let l = m; l < degrees; l++, at += 2) {
      const [u, v] = pcg4d([first, second, l, m]);
      // Box and Muller 1958; half a step keeps the logarithm finite.
      const amplitude = Math.sqrt(-2 * Math.log((u! + 0.5) / 2 ** 32) * spectrum[l]!);
      const phase = (2 * Math.PI * v!) / 2 ** 32;
      wave[at] = amplitude * Math.cos(phase);
      wave[at + 1] = amplitude * Math.sin(phase);
    }
  }
  return wave;
}

/**
 * Associated Legendre functions at one latitude, by m, then l from m on, scaled so that for each l the squares of the
 * harmonics P_lm cos(m lon), P_lm sin(m lon) add up to 2 l + 1 (geodesy's "4 pi" scaling; Holmes and Featherstone 2002).
 */
function legendreRow(latitude: number, degrees: number, out: Float64Array): void {
  const [t, u] = [Math.sin(latitude), Math.cos(latitude)];
  let sectoral = 1; // P_mm
  for (let m = 0, at = 0; m < degrees; m++) {
    if (m > 0) sectoral *= u * Math.sqrt(m === 1 ? 3 : (2 * m + 1) / (2 * m));
    let [before, now] = [0, sectoral];
    for (let l = m; l < degrees; l++, at++) {
      if (l > m) {
        const a = Math.sqrt((4 * l * l - 1) / (l * l - m * m));
        const b = l - 1 === m ? 0 : Math.sqrt(((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1));
        [before, now] = [now, a * (t * now - b * before)];
      }
      out[at] = now;
    }
  }
}
