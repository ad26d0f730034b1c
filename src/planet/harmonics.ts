// Spherical harmonics: associated Legendre functions at any latitude, their derivatives, Gaussian quadrature.
//
// A real field on the sphere is f(longitude, mu) = sum over |m| <= n <= T of F(m, n) P(m, n)(mu) exp(i m longitude),
// mu = sin(latitude), F(-m, n) = conj F(m, n), so only m >= 0 is stored. The functions are normalised so that
// the mean over the sphere of |P exp(i m longitude)|^2 is 1 and carry no Condon-Shortley sign.

/** Which (m, n) a triangular truncation keeps and where they lie: m outermost, n = m..truncation within. */
export interface Triangle {
  readonly truncation: number;
  /** Number of complex coefficients; a spectrum is a Float64Array of 2 x size, real and imaginary interleaved. */
  readonly size: number;
  /** Position of (m, m). */
  readonly offset: Int32Array;
  /** Zonal wavenumber and degree of each coefficient, [size]. */
  readonly m: Int32Array;
  readonly n: Int32Array;
}

/** The triangular truncation T: 0 <= m <= n <= truncation. */
export function triangle(truncation: number): Triangle {
  const size = ((truncation + 1) * (truncation + 2)) / 2;
  const offset = new Int32Array(truncation + 2);
  const m = new Int32Array(size);
  const n = new Int32Array(size);
  let k = 0;
  for (let order = 0; order <= truncation; order++) {
    offset[order] = k;
    for (let degree = order; degree <= truncation; degree++, k++) {
      m[k] = order;
      n[k] = degree;
    }
  }
  offset[truncation + 1] = k;
  return { truncation, size, offset, m, n };
}

/** mu P(m, n) = epsilon(m, n + 1) P(m, n + 1) + epsilon(m, n) P(m, n - 1). */
export function epsilon(m: number, n: number): number {
  return n <= m ? 0 : Math.sqrt((n * n - m * m) / (4 * n * n - 1));
}

/**
 * P(m, n)(mu) and its meridional derivative (1 - mu^2) dP/dmu for n = m..truncation.
 * Three-term recurrence in n from P(m, m), stable at any truncation used here.
 */
export function legendre(m: number, truncation: number, mu: number): { p: Float64Array; h: Float64Array } {
  const count = truncation - m + 1;
  const p = new Float64Array(count + 1); // one more degree: the derivative needs it
  let sectoral = 1;
  for (let k = 1; k <= m; k++) sectoral *= Math.sqrt(((2 * k + 1) / (2 * k)) * (1 - mu * mu));
  p[0] = sectoral;
  for (let i = 1; i <= count; i++) {
    const n = m + i;
    const before = i > 1 ? epsilon(m, n - 1) * p[i - 2]! : 0;
    p[i] = (mu * p[i - 1]! - before) / epsilon(m, n);
  }
  const h = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const n = m + i;
    const below = i > 0 ? (n + 1) * epsilon(m, n) * p[i - 1]! : 0;
    h[i] = below - n * epsilon(m, n + 1) * p[i + 1]!;
  }
  return { p: p.subarray(0, count), h };
}

/**
 * Nodes (ascending) and weights (sum 2) of Gauss-Legendre quadrature on [-1, 1]: exact for polynomials of
 * degree 2 count - 1. Newton's iteration on P_count from the usual cosine guess (Press et al., section 4.6).
 */
export function gaussLegendre(count: number): { mu: Float64Array; weights: Float64Array } {
  const mu = new Float64Array(count);
  const weights = new Float64Array(count);
  for (let i = 0; i < count >> 1; i++) {
    let x = Math.cos((Math.PI * (i + 0.75)) / (count + 0.5));
    let slope = 1;
    for (let pass = 0; pass < 100; pass++) {
      let previous = 1;
      let value = x;
      for (let n = 2; n <= count; n++)
        [previous, value] = [value, ((2 * n - 1) * x * value - (n - 1) * previous) / n];
      slope = (count * (x * value - previous)) / (x * x - 1);
      const correction = value / slope;
      x -= correction;
      if (Math.abs(correction) < 1e-15) break;
    }
    mu[count - 1 - i] = x;
    mu[i] = -x;
    weights[i] = weights[count - 1 - i] = 2 / ((1 - x * x) * slope * slope);
  }
  return { mu, weights };
}
