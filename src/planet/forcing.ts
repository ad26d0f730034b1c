// What drives the flow. Marshall and Molteni (1993) take the PV source S from winter analyses; here it is analytic:
// the two thicknesses psi_1 - psi_2 and psi_2 - psi_3 relax, with the model's own radiative time, to a state that
// is baroclinically unstable, has warm or cold continents, and follows the seasons.
import type { Ground, Levels, QgModel } from "./quasigeostrophic.ts";
import { longitudes } from "./transform.ts";

export interface ForcingParameters {
  /** Peak of the radiative-equilibrium shear of the zonal wind, 200-500 and 500-800 hPa, m/s. */
  readonly shear: readonly [number, number];
  /** Latitude of that peak, degrees. */
  readonly jetLatitude: number;
  /** Half width of the jet, degrees. */
  readonly jetWidth: number;
  /** The shear is 1 + seasons x cos(season) times that in the north, 1 - ... in the south. */
  readonly seasons: number;
  /** By how much a continent is colder than the sea at its latitude in mid-winter, and warmer in summer, K. */
  readonly landContrast: number;
}

/** Gas constant of dry air, J kg-1 K-1. */
const gasConstant = 287.05;
const yearSeconds = 365.2425 * 86_400;

/** Mid-January of the north, in seconds since 1970: the phase 0 of the season. */
const midwinter = 14 * 86_400;

/** cos of the season's phase: 1 in the northern mid-winter, -1 in its mid-summer. `seconds` since 1970. */
export function season(seconds: number): number {
  return Math.cos((2 * Math.PI * (seconds - midwinter)) / yearSeconds);
}

export interface Forcing {
  /** Writes the PV source, 1/s2, of this time, seconds since 1970. */
  source(seconds: number, out: Levels): void;
  /** The streamfunction of the annual mean radiative equilibrium at rest at 800 hPa, m2/s. */
  readonly equilibrium: Levels;
}

export function makeForcing(model: QgModel, ground: Ground, parameters: ForcingParameters): Forcing {
  const { radius, rotation, radiativeTime, deformationRadii } = model.parameters;
  const { mu } = model.transform;
  const rows = mu.length;
  const stride = 2 * model.triangle.size;
  const degrees = 180 / Math.PI;
  const { jetLatitude, jetWidth } = parameters;

  const profile = (latitude: number) => {
    const north = Math.exp(-(((latitude - jetLatitude) / jetWidth) ** 2));
    const south = Math.exp(-(((latitude + jetLatitude) / jetWidth) ** 2));
    return [north * Math.cos(latitude / degrees), south * Math.cos(latitude / degrees)] as const;
  };
  // psi = -radius x integral of u over latitude, from the south pole, trapezia of 1/20 degree
  const integral = (latitude: number) => {
    const steps = Math.max(1, Math.round((latitude + 90) * 20));
    const width = (latitude + 90) / steps;
    let north = 0;
    let south = 0;
    for (let i = 0; i <= steps; i++) {
      const [a, b] = profile(-90 + i * width);
      const end = i === 0 || i === steps ? 0.5 : 1;
      north += end * a;
      south += end * b;
    }
    return [(-radius * north * width) / degrees, (-radius * south * width) / degrees] as const;
  };

  const steadyGrid = new Float64Array(rows * longitudes);
  const swingGrid = new Float64Array(rows * longitudes);
  const landGrid = new Float64Array(rows * longitudes);
  for (let row = 0; row < rows; row++) {
    const latitude = Math.asin(mu[row]!) * degrees;
    const [north, south] = integral(latitude);
    const at = row * longitudes;
    const land = Float64Array.from({ length: longitudes }, (_, w) =>
      ground.land(latitude, (w * 360) / longitudes),
    );
    const mean = land.reduce((a, b) => a + b) / longitudes;
    // psi = phi / f, made regular at the equator; the sign makes northern winter land cold in both hemispheres
    const balance = Math.abs(mu[row]!) / (mu[row]! ** 2 + 0.15 ** 2) / (2 * rotation);
    for (let w = 0; w < longitudes; w++) {
      steadyGrid[at + w] = north + south;
      swingGrid[at + w] = parameters.seasons * (north - south);
      landGrid[at + w] = -parameters.landContrast * gasConstant * (land[w]! - mean) * balance;
    }
  }
  const spectrum = (grid: Float64Array) => {
    const out = new Float64Array(stride);
    model.transform.analyse(grid, out);
    out[0] = 0;
    return out;
  };
  const steady = spectrum(steadyGrid);
  const swing = spectrum(swingGrid);
  const land = spectrum(landGrid);
  const [upperShear, lowerShear] = parameters.shear;
  const [upperDepth, lowerDepth] = [Math.log(500 / 200), Math.log(800 / 500)];
  const upperRate =
    radiativeTime === Number.POSITIVE_INFINITY ? 0 : 1 / (radiativeTime * deformationRadii[0] ** 2);
  const lowerRate =
    radiativeTime === Number.POSITIVE_INFINITY ? 0 : 1 / (radiativeTime * deformationRadii[1] ** 2);

  function source(seconds: number, out: Levels): void {
    const phase = season(seconds);
    for (let i = 0; i < stride; i++) {
      const zonal = steady[i]! + phase * swing[i]!;
      const continents = phase * land[i]!;
      const upper = upperRate * (upperShear * zonal + upperDepth * continents);
      const lower = lowerRate * (lowerShear * zonal + lowerDepth * continents);
      out[i] = -upper;
      out[i + stride] = upper - lower;
      out[i + 2 * stride] = lower;
    }
  }

  const equilibrium = model.zeros();
  for (let i = 0; i < stride; i++) {
    equilibrium[i + stride] = lowerShear * steady[i]!;
    equilibrium[i] = (lowerShear + upperShear) * steady[i]!;
  }
  return { source, equilibrium };
}
