// The three-level quasi-geostrophic model of Marshall and Molteni (1993), Toward a dynamical understanding of
// planetary-scale flow regimes, J. Atmos. Sci. 50, 1792-1818, section 2: potential vorticity (PV) at 200, 500 and
// 800 hPa, on spherical harmonics T21 with a 32 x 64 Gaussian grid for the products.
//
//   dq_i/dt = -J(psi_i, q_i) - D_i + S_i
//   q_1 = del2 psi_1 - R1^-2 (psi_1 - psi_2) + f
//   q_2 = del2 psi_2 + R1^-2 (psi_1 - psi_2) - R2^-2 (psi_2 - psi_3) + f
//   q_3 = del2 psi_3 + R2^-2 (psi_2 - psi_3) + f (1 + h / H0)
//
// D: relaxation of the two thicknesses, Ekman drag at 800 hPa and del^8 diffusion of PV. S: a source of PV.
import { gaussLegendre, type Triangle, triangle } from "./harmonics.ts";
import { longitudes, makeTransform, type Transform } from "./transform.ts";

/** SI units. Times may be Infinity: that process is off. */
export interface QgParameters {
  /** Of the planet, m. */
  readonly radius: number;
  /** Of the planet, rad/s. */
  readonly rotation: number;
  /** Rossby radii of deformation of the layers 200-500 and 500-800 hPa, m. */
  readonly deformationRadii: readonly [number, number];
  /** H0, m. */
  readonly scaleHeight: number;
  /** e-folding time of the thicknesses, s. */
  readonly radiativeTime: number;
  /** Spin-down time at 800 hPa over a flat sea, s; drag is (1 + landDrag land + heightDrag (1 - exp(-h / 1 km))) times that. */
  readonly ekmanTime: number;
  readonly landDrag: number;
  readonly heightDrag: number;
  /** e-folding time of PV at the smallest scale, s. */
  readonly diffusionTime: number;
}

const day = 86_400;

/** The constants of Marshall and Molteni (1993), section 2. */
export const marshallMolteni: QgParameters = {
  radius: 6.371e6,
  rotation: 7.292e-5,
  deformationRadii: [700e3, 450e3],
  scaleHeight: 9000,
  radiativeTime: 25 * day,
  ekmanTime: 3 * day,
  landDrag: 0.5,
  heightDrag: 0.5,
  diffusionTime: 2 * day,
};

/** What lies under the air: land fraction 0..1 and height in m at a place given in degrees. */
export interface Ground {
  land(latitude: number, longitude: number): number;
  height(latitude: number, longitude: number): number;
}

/** Spectra of the three levels, 200, 500 and 800 hPa, one after the other: [3 * 2 * size]. */
export type Levels = Float64Array;

export interface QgModel {
  readonly parameters: QgParameters;
  readonly triangle: Triangle;
  readonly transform: Transform;
  /** f plus, at level 3, f h / H0: the part of the PV that does not flow, 1/s. */
  readonly planetary: Levels;
  zeros(): Levels;
  /** PV less the planetary part, 1/s, from streamfunction, m2/s; and back. */
  vorticity(psi: Levels, q: Levels): void;
  streamfunction(q: Levels, psi: Levels): void;
  /** dq/dt, 1/s2, of the state q under the source (1/s2). */
  tendency(q: Levels, source: Levels, rate: Levels): void;
  /** Advances q in place by dt seconds: classical Runge-Kutta of order 4. */
  advance(q: Levels, source: Levels, dt: number): void;
  /** Kinetic plus available potential energy per unit mass, sum of the levels, m2/s2. */
  energy(q: Levels): number;
  /** Half the mean square of the whole PV of each level, 1/s2. */
  enstrophy(q: Levels): [number, number, number];
}

/** Sphere mean of the product of two fields given by `length` doubles of their spectra from `start`. */
function meanProduct(triangle: Triangle, a: Float64Array, b: Float64Array, start: number): number {
  let sum = 0;
  for (let k = 0; k < triangle.size; k++) {
    const i = start + 2 * k;
    sum += (triangle.m[k] === 0 ? 1 : 2) * (a[i]! * b[i]! + a[i + 1]! * b[i + 1]!);
  }
  return sum;
}

/** The inverse of a 3 x 3 matrix, rows one after the other. */
function inverse3([a, b, c, d, e, f, g, h, i]: readonly number[]): number[] {
  const [A, B, C] = [e! * i! - f! * h!, f! * g! - d! * i!, d! * h! - e! * g!];
  const determinant = a! * A! + b! * B! + c! * C!;
  const adjugate = [
    A,
    c! * h! - b! * i!,
    b! * f! - c! * e!,
    B,
    a! * i! - c! * g!,
    c! * d! - a! * f!,
    C,
    b! * g! - a! * h!,
    a! * e! - b! * d!,
  ];
  return adjugate.map((x) => x! / determinant);
}

/** A model over the given ground. All memory is taken here; stepping allocates nothing. */
export function makeModel(parameters: QgParameters, ground: Ground, truncation = 21): QgModel {
  const { radius, rotation, scaleHeight } = parameters;
  const rows = 32;
  const points = rows * longitudes;
  const shape = triangle(truncation);
  const { mu, weights } = gaussLegendre(rows);
  const transform = makeTransform(shape, mu, weights);
  const stride = 2 * shape.size;
  const zeros = () => new Float64Array(3 * stride);
  const level = (levels: Levels, i: number) => levels.subarray(i * stride, (i + 1) * stride);

  const [s1, s2] = parameters.deformationRadii.map((r) => 1 / (r * r)) as [number, number];
  // By degree n: q = (n (n + 1) part + stretching) psi, rows and columns levels 1..3.
  const forward = new Float64Array((truncation + 1) * 9);
  const backward = new Float64Array((truncation + 1) * 9);
  for (let n = 1; n <= truncation; n++) {
    const laplacian = -(n * (n + 1)) / radius ** 2;
    const rowsOfMatrix = [laplacian - s1, s1, 0, s1, laplacian - s1 - s2, s2, 0, s2, laplacian - s2];
    forward.set(rowsOfMatrix, n * 9);
    backward.set(inverse3(rowsOfMatrix), n * 9);
  }

  function byDegree(matrices: Float64Array, from: Levels, to: Levels): void {
    for (let k = 0; k < shape.size; k++) {
      const a = shape.n[k]! * 9;
      for (let i = 2 * k; i <= 2 * k + 1; i++) {
        const x = from[i]!;
        const y = from[i + stride]!;
        const z = from[i + 2 * stride]!;
        to[i] = matrices[a]! * x + matrices[a + 1]! * y + matrices[a + 2]! * z;
        to[i + stride] = matrices[a + 3]! * x + matrices[a + 4]! * y + matrices[a + 5]! * z;
        to[i + 2 * stride] = matrices[a + 6]! * x + matrices[a + 7]! * y + matrices[a + 8]! * z;
      }
    }
  }
  const vorticity = (psi: Levels, q: Levels) => byDegree(forward, psi, q);
  const streamfunction = (q: Levels, psi: Levels) => byDegree(backward, q, psi);

  // The ground on the Gaussian grid: f h / H0 and the drag coefficient, 1/s, with its gradient.
  const degrees = 180 / Math.PI;
  const stretching = new Float64Array(points);
  const dragGrid = new Float64Array(points);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let w = 0; w < longitudes; w++, at++) {
      const latitude = Math.asin(mu[row]!) * degrees;
      const longitude = (w * 360) / longitudes;
      const height = Math.max(0, ground.height(latitude, longitude));
      const land = parameters.landDrag * ground.land(latitude, longitude);
      const rough = parameters.heightDrag * (1 - Math.exp(-height / 1000));
      stretching[at] = (2 * rotation * mu[row]! * height) / scaleHeight;
      dragGrid[at] = (1 + land + rough) / parameters.ekmanTime;
    }
  }
  const planetary = zeros();
  transform.analyse(stretching, level(planetary, 2));
  for (let i = 0; i < 3; i++) planetary[i * stride + 2]! += (2 * rotation) / Math.sqrt(3); // mu = P(0, 1) / sqrt 3
  const dragSpectrum = new Float64Array(stride);
  transform.analyse(dragGrid, dragSpectrum);
  // drag and its gradient come from one spectrum, so that the divergence below is exact
  const drag = new Float64Array(2 * points);
  const dragGradient = new Float64Array(2 * points);
  transform.fields(dragSpectrum, new Float64Array(stride), drag);
  transform.gradient(dragSpectrum, dragGradient);

  const diffusion = new Float64Array(shape.size);
  const smallest = truncation * (truncation + 1);
  for (let k = 0; k < shape.size; k++)
    diffusion[k] = ((shape.n[k]! * (shape.n[k]! + 1)) / smallest) ** 4 / parameters.diffusionTime;
  const relaxation1 = s1 / parameters.radiativeTime;
  const relaxation2 = s2 / parameters.radiativeTime;

  const psi = zeros();
  const whole = zeros();
  const vorticity3 = new Float64Array(stride);
  const none = new Float64Array(stride);
  const psiGradient = new Float64Array(2 * points);
  const qGradient = new Float64Array(2 * points);
  const vorticityGrid = new Float64Array(2 * points);
  const product = new Float64Array(points);
  const views = [0, 1, 2].map((i) => ({ psi: level(psi, i), whole: level(whole, i) }));
  const advection = new Float64Array(stride);

  function tendency(q: Levels, source: Levels, rate: Levels): void {
    streamfunction(q, psi);
    for (let i = 0; i < q.length; i++) whole[i] = q[i]! + planetary[i]!;
    for (let i = 0; i < 3; i++) {
      const { psi: p, whole: w } = views[i]!;
      transform.gradient(p, psiGradient);
      transform.gradient(w, qGradient);
      const friction = i === 2 && parameters.ekmanTime < Number.POSITIVE_INFINITY;
      if (friction) {
        for (let k = 0; k < shape.size; k++) {
          const factor = -(shape.n[k]! * (shape.n[k]! + 1)) / radius ** 2;
          vorticity3[2 * k] = factor * p[2 * k]!;
          vorticity3[2 * k + 1] = factor * p[2 * k + 1]!;
        }
        transform.fields(vorticity3, none, vorticityGrid);
      }
      for (let row = 0, at = 0; row < rows; row++) {
        const metric = 1 / (radius ** 2 * (1 - mu[row]! ** 2));
        for (let end = at + longitudes; at < end; at++) {
          const x = psiGradient[2 * at]!;
          const y = psiGradient[2 * at + 1]!;
          let value = (y * qGradient[2 * at]! - x * qGradient[2 * at + 1]!) * metric;
          if (friction) {
            const across = (x * dragGradient[2 * at]! + y * dragGradient[2 * at + 1]!) * metric;
            value -= drag[2 * at]! * vorticityGrid[2 * at]! + across; // div (k grad psi)
          }
          product[at] = value;
        }
      }
      transform.analyse(product, advection);
      advection[0] = 0; // a Jacobian and a divergence have no mean
      const start = i * stride;
      for (let k = 0; k < shape.size; k++) {
        const fade = diffusion[k]!;
        for (let c = 2 * k; c <= 2 * k + 1; c++) {
          const at = start + c;
          const upper = relaxation1 * (psi[c]! - psi[c + stride]!);
          const lower = relaxation2 * (psi[c + stride]! - psi[c + 2 * stride]!);
          const thermal = i === 0 ? upper : i === 1 ? lower - upper : -lower;
          rate[at] = advection[c]! + thermal - fade * q[at]! + source[at]!;
        }
      }
    }
  }

  const [k1, k2, k3, k4, trial] = [zeros(), zeros(), zeros(), zeros(), zeros()] as const;
  function advance(q: Levels, source: Levels, dt: number): void {
    tendency(q, source, k1);
    for (let i = 0; i < q.length; i++) trial[i] = q[i]! + (dt / 2) * k1[i]!;
    tendency(trial, source, k2);
    for (let i = 0; i < q.length; i++) trial[i] = q[i]! + (dt / 2) * k2[i]!;
    tendency(trial, source, k3);
    for (let i = 0; i < q.length; i++) trial[i] = q[i]! + dt * k3[i]!;
    tendency(trial, source, k4);
    for (let i = 0; i < q.length; i++) q[i]! += (dt / 6) * (k1[i]! + 2 * (k2[i]! + k3[i]!) + k4[i]!);
  }

  function energy(q: Levels): number {
    streamfunction(q, psi);
    let sum = 0;
    for (let i = 0; i < 3; i++) sum -= meanProduct(shape, psi, q, i * stride);
    return sum / 2;
  }

  function enstrophy(q: Levels): [number, number, number] {
    for (let i = 0; i < q.length; i++) whole[i] = q[i]! + planetary[i]!;
    const of = (i: number) => meanProduct(shape, whole, whole, i * stride) / 2;
    return [of(0), of(1), of(2)];
  }

  return {
    parameters,
    triangle: shape,
    transform,
    planetary,
    zeros,
    vorticity,
    streamfunction,
    tendency,
    advance,
    energy,
    enstrophy,
  };
}
