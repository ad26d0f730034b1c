// The discrete Fourier transform of 64 complex numbers, in place: the circle of latitude of a 64-point grid.

/** Where element i must be put before the transform: base-4 digits reversed. */
export const digitReversed = Int32Array.from({ length: 64 }, (_, i) => ((i & 3) << 4) | (i & 12) | (i >> 4));

const cosine = Float64Array.from({ length: 64 }, (_, k) => Math.cos((2 * Math.PI * k) / 64));
const sine = Float64Array.from({ length: 64 }, (_, k) => Math.sin((2 * Math.PI * k) / 64));

/**
 * x[w] = sum over k of X[k] exp(+2 pi i k w / 64), not scaled. `data` holds interleaved complex numbers; the 64
 * from `start` (counted in doubles) are X with element k at position digitReversed[k], and become x in order.
 * Three radix-4 passes. The transform with exp(-...) is the same read at index (64 - k) mod 64.
 */
export function fft64(data: Float64Array, start: number): void {
  for (let span = 1, turn = 16; span < 64; span *= 4, turn >>= 2) {
    for (let j = 0; j < span; j++) {
      const a = j * turn;
      const c1 = cosine[a]!;
      const s1 = sine[a]!;
      const c2 = cosine[2 * a]!;
      const s2 = sine[2 * a]!;
      const c3 = cosine[(3 * a) & 63]!;
      const s3 = sine[(3 * a) & 63]!;
      for (let g = j; g < 64; g += span * 4) {
        const i0 = start + 2 * g;
        const i1 = i0 + 2 * span;
        const i2 = i1 + 2 * span;
        const i3 = i2 + 2 * span;
        const x0 = data[i0]!;
        const y0 = data[i0 + 1]!;
        const x1 = data[i1]! * c1 - data[i1 + 1]! * s1;
        const y1 = data[i1]! * s1 + data[i1 + 1]! * c1;
        const x2 = data[i2]! * c2 - data[i2 + 1]! * s2;
        const y2 = data[i2]! * s2 + data[i2 + 1]! * c2;
        const x3 = data[i3]! * c3 - data[i3 + 1]! * s3;
        const y3 = data[i3]! * s3 + data[i3 + 1]! * c3;
        const px = x0 + x2;
        const py = y0 + y2;
        const qx = x0 - x2;
        const qy = y0 - y2;
        const rx = x1 + x3;
        const ry = y1 + y3;
        const sx = x1 - x3;
        const sy = y1 - y3;
        data[i0] = px + rx;
        data[i0 + 1] = py + ry;
        data[i1] = qx - sy;
        data[i1 + 1] = qy + sx;
        data[i2] = px - rx;
        data[i2 + 1] = py - ry;
        data[i3] = qx + sy;
        data[i3 + 1] = qy - sx;
      }
    }
  }
}
