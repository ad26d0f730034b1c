// From the streamfunctions of the three levels to weather: geopotential, temperature and winds on pressure levels,
// 2 m temperature and 10 m winds, on the latitudes of the output grid, where the harmonics are evaluated exactly.
import type { Grid } from "../grid/grid.ts";
import { season } from "./forcing.ts";
import { epsilon, triangle } from "./harmonics.ts";
import type { Ground, Levels, QgModel } from "./quasigeostrophic.ts";
import { longitudes, makeTransform } from "./transform.ts";

const gravity = 9.80665;
const gasConstant = 287.05;
const lapseRate = 0.0065; // K/m, below 11 km, of the ICAO standard atmosphere
const seaLevelPressure = 1013.25;

/** The pressures of the model, hPa. */
export const modelPressures = [200, 500, 800] as const;
/** Beyond these, hPa, the parabola through three levels says nothing. */
export const pressureRange = [150, 925] as const;

/**
 * The ICAO standard atmosphere, the horizontal mean that the model does not predict; `warmer` K warmer throughout.
 * Geopotential m2/s2 and temperature K at a pressure in hPa, from 1013 hPa to 54 hPa.
 */
export function standardAtmosphere(
  pressure: number,
  warmer = 0,
): { geopotential: number; temperature: number } {
  const exponent = (gasConstant * lapseRate) / gravity;
  const below = Math.max(pressure, 226.32);
  const temperature = 288.15 * (below / seaLevelPressure) ** exponent;
  const geopotential =
    (gravity * (288.15 - temperature)) / lapseRate + gasConstant * temperature * Math.log(below / pressure);
  const extra = gasConstant * warmer * Math.log(seaLevelPressure / pressure);
  return { geopotential: geopotential + extra, temperature: temperature + warmer };
}

/**
 * Weights of the three levels at a pressure: the parabola in s = ln p through them, and its derivative in s. With
 * geopotential so interpolated, hydrostatic balance, T = -(1/R) dPhi/ds, makes temperature linear in ln p.
 */
export function parabola(pressure: number): { value: number[]; slope: number[] } {
  const s = Math.log(pressure);
  const at = modelPressures.map(Math.log);
  const terms = at.map((own, i) => {
    const [a, b] = at.filter((_, j) => j !== i) as [number, number];
    const scale = (own - a) * (own - b);
    return [((s - a) * (s - b)) / scale, (2 * s - a - b) / scale] as const;
  });
  return { value: terms.map(([v]) => v), slope: terms.map(([, d]) => d) };
}

/** Single-level fields. */
export const surfaceFields = [
  "2m_temperature",
  "10m_u_component_of_wind",
  "10m_v_component_of_wind",
] as const;
/** Fields on pressure levels. */
export const levelFields = [
  "geopotential",
  "u_component_of_wind",
  "v_component_of_wind",
  "temperature",
] as const;

export interface Diagnosis {
  /** All fields of one state, keyed by ClimaX name, [H * W], overwritten by the next call. */
  readonly fields: ReadonlyMap<string, Float32Array>;
  /** Diagnoses the state: PV spectra and the time in seconds since 1970. */
  update(q: Levels, seconds: number): void;
}

/**
 * Fields at `pressures` (hPa) and at the surface, on `grid`, which must be 32 x 64 or another with 64 longitudes
 * from 0. `warmer`: K, see `standardAtmosphere`.
 */
export function makeDiagnosis(
  model: QgModel,
  ground: Ground,
  grid: Grid,
  pressures: readonly number[],
  warmer = 0,
): Diagnosis {
  const { radius, rotation } = model.parameters;
  const inner = model.triangle;
  const shape = triangle(inner.truncation + 1); // the balance equation reaches one degree further
  const mu = grid.lat.map((degrees) => Math.sin((degrees * Math.PI) / 180));
  const transform = makeTransform(shape, mu);
  const rows = mu.length;
  const points = rows * longitudes;
  const stride = 2 * inner.size;
  const psi = model.zeros();
  const [flow, phi, heat, wide] = Array.from({ length: 4 }, () => new Float64Array(2 * shape.size)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const wind = new Float64Array(2 * points);
  const mass = new Float64Array(2 * points);

  /** out = sum of weights x levels of psi, in the wider triangle. */
  function combine(weights: readonly number[], out: Float64Array): void {
    const [a, b, c] = weights as [number, number, number];
    for (let k = 0; k < inner.size; k++) {
      const to = 2 * (shape.offset[inner.m[k]!]! + inner.n[k]! - inner.m[k]!);
      for (let part = 0; part < 2; part++) {
        const i = 2 * k + part;
        out[to + part] = a * psi[i]! + b * psi[i + stride]! + c * psi[i + 2 * stride]!;
      }
    }
  }

  // Linear balance, del2 Phi = div (f grad psi) with f = 2 Omega mu, in harmonics:
  // Phi(n) = 2 Omega [ (n - 1) / n epsilon(n) psi(n - 1) + (n + 2) / (n + 1) epsilon(n + 1) psi(n + 1) ].
  const lower = new Float64Array(shape.size);
  const upper = new Float64Array(shape.size);
  for (let k = 0; k < shape.size; k++) {
    const m = shape.m[k]!;
    const n = shape.n[k]!;
    if (n === 0) continue; // the mean is the standard atmosphere's
    if (n > m) lower[k] = 2 * rotation * ((n - 1) / n) * epsilon(m, n);
    if (n < shape.truncation) upper[k] = 2 * rotation * ((n + 2) / (n + 1)) * epsilon(m, n + 1);
  }
  function balance(from: Float64Array, to: Float64Array): void {
    for (let k = 0; k < shape.size; k++) {
      const below = lower[k]!;
      const above = upper[k]!;
      for (let i = 2 * k; i <= 2 * k + 1; i++)
        to[i] = (below === 0 ? 0 : below * from[i - 2]!) + (above === 0 ? 0 : above * from[i + 2]!);
    }
  }

  const surface = makeSurface(grid, ground, warmer);
  const fields = new Map<string, Float32Array>();
  const plan = [...new Set([...pressures, surfacePressure])].map((pressure) => {
    const { value, slope } = parabola(pressure);
    const named = levelFields.map((name) => {
      const field = new Float32Array(points);
      if (pressures.includes(pressure)) fields.set(`${name}_${pressure}`, field);
      return field;
    }) as [Float32Array, Float32Array, Float32Array, Float32Array];
    return { pressure, value, slope, named, mean: standardAtmosphere(pressure, warmer) };
  });
  for (const [name, field] of Object.entries(surface.fields)) fields.set(name, field);
  const acrossLatitude = mu.map((x) => 1 / (radius * Math.sqrt(1 - x * x)));

  function update(q: Levels, seconds: number): void {
    model.streamfunction(q, psi);
    for (const { pressure, value, slope, named, mean } of plan) {
      const [z, u, v, t] = named;
      combine(value, flow);
      transform.gradient(flow, wind);
      balance(flow, phi);
      combine(slope, wide);
      balance(wide, heat);
      transform.fields(phi, heat, mass);
      for (let row = 0, at = 0; row < rows; row++) {
        const scale = acrossLatitude[row]!;
        for (let end = at + longitudes; at < end; at++) {
          u[at] = -wind[2 * at + 1]! * scale;
          v[at] = wind[2 * at]! * scale;
          z[at] = mean.geopotential + mass[2 * at]!;
          t[at] = mean.temperature - mass[2 * at + 1]! / gasConstant;
        }
      }
      if (pressure === surfacePressure) surface.update(z, u, v, t, seconds);
    }
  }
  return { fields, update };
}

/** Where the air that the surface feels is taken from, hPa. */
const surfacePressure = 850;

/**
 * 2 m temperature: that of 850 hPa brought down (or up) to the ground at 6.5 K/km; over sea half of it is the
 * temperature of the water, which follows latitude and season (a mixed layer 60 days behind the sun); land swings
 * with the season by a further 8 K times sin(latitude), 30 days behind the sun. 10 m wind: that of 850 hPa slowed to
 * 0.7 over sea and 0.5 over land and turned towards low pressure by 15 and 30 degrees, less near the equator: the
 * size of what friction does in a boundary layer (Holton and Hakim 2013, chapter 8), not a theory of it.
 */
function makeSurface(grid: Grid, ground: Ground, warmer: number) {
  const points = grid.lat.length * longitudes;
  const height = new Float64Array(points);
  const sea = new Float64Array(points);
  const landSwing = new Float64Array(points);
  const along = new Float64Array(points);
  const across = new Float64Array(points);
  const water = new Float64Array(grid.lat.length);
  const waterSwing = new Float64Array(grid.lat.length);
  for (let row = 0, at = 0; row < grid.lat.length; row++) {
    const latitude = grid.lat[row]!;
    const sine = Math.sin((latitude * Math.PI) / 180);
    water[row] = 300 - 29 * sine ** 2 + warmer;
    waterSwing[row] = -4 * sine;
    for (let w = 0; w < longitudes; w++, at++) {
      const land = ground.land(latitude, grid.lon[w]!);
      height[at] = Math.max(0, ground.height(latitude, grid.lon[w]!));
      sea[at] = 0.5 * (1 - land);
      landSwing[at] = -8 * sine * land;
      const speed = 0.7 - 0.2 * land;
      const angle = ((15 + 15 * land) * Math.PI * Math.tanh(latitude / 15)) / 180;
      along[at] = speed * Math.cos(angle);
      across[at] = speed * Math.sin(angle);
    }
  }
  const [t2m, u10, v10] = [new Float32Array(points), new Float32Array(points), new Float32Array(points)];

  function update(z: Float32Array, u: Float32Array, v: Float32Array, t: Float32Array, seconds: number): void {
    const phase = season(seconds - 60 * 86_400);
    const landPhase = season(seconds - 30 * 86_400);
    for (let at = 0; at < points; at++) {
      const row = (at / longitudes) | 0;
      const air = t[at]! + lapseRate * (z[at]! / gravity - height[at]!);
      const mixed = sea[at]! * (water[row]! + phase * waterSwing[row]! - air);
      t2m[at] = air + mixed + landPhase * landSwing[at]!;
      u10[at] = along[at]! * u[at]! - across[at]! * v[at]!;
      v10[at] = across[at]! * u[at]! + along[at]! * v[at]!;
    }
  }
  return {
    fields: { "2m_temperature": t2m, "10m_u_component_of_wind": u10, "10m_v_component_of_wind": v10 },
    update,
  };
}
