// One run of a planet: a random start from a seed, a spin-up, then one state every few hours.
import { type Forcing, makeForcing } from "./forcing.ts";
import type { Planet } from "./planets.ts";
import { type Levels, makeModel, type QgModel } from "./quasigeostrophic.ts";

export interface Simulation {
  readonly model: QgModel;
  /** PV less its planetary part, the state, 1/s: advanced in place. */
  readonly state: Levels;
  /** Now, seconds since 1970. */
  readonly seconds: number;
  /** Advances by a multiple of the time step. */
  advance(hours: number): void;
}

/**
 * Of the Runge-Kutta scheme, hours. Within its bound, 2.83 radius / (21 dt) = 79 m/s of mean wind at the smallest
 * scale; jets reach 100 m/s in places, and 6 h steps are the first to blow up, within weeks.
 */
export const timeStep = 3;

/**
 * Starts at `seconds` since 1970 from half the radiative equilibrium with small random PV. The same seed gives the
 * same numbers, bit for bit, on one build of Node.
 */
export function startSimulation(planet: Planet, seed: number, seconds: number): Simulation {
  const model = makeModel(planet.dynamics, planet.ground);
  const forcing: Forcing = makeForcing(model, planet.ground, planet.forcing);
  const state = model.zeros();
  model.vorticity(
    forcing.equilibrium.map((x) => x / 2),
    state,
  );
  disturb(model, state, seed, 1e-6);
  const source = model.zeros();
  let now = seconds;
  return {
    model,
    state,
    get seconds() {
      return now;
    },
    advance: (hours) => {
      const steps = Math.round(hours / timeStep);
      for (let i = 0; i < steps; i++) {
        forcing.source(now, source);
        model.advance(state, source, timeStep * 3600);
        now += timeStep * 3600;
      }
    },
  };
}

/** Adds to every coefficient a number from a uniform distribution within +- `size`, 1/s. */
export function disturb(model: QgModel, state: Levels, seed: number, size: number): void {
  const random = uniform(seed);
  const { triangle } = model;
  for (let level = 0; level < 3; level++) {
    for (let k = 0; k < triangle.size; k++) {
      const at = 2 * (level * triangle.size + k);
      const [re, im] = [size * (2 * random() - 1), size * (2 * random() - 1)];
      if (triangle.n[k] === 0) continue; // no mean vorticity on a sphere
      state[at]! += re;
      if (triangle.m[k]! > 0) state[at + 1]! += im;
    }
  }
}

/** Uniform numbers in [0, 1) by SplitMix64 (Steele, Lea and Flood 2014), the top 53 bits. */
function uniform(seed: number): () => number {
  let state = BigInt.asUintN(64, BigInt(seed));
  return () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    z ^= z >> 31n;
    return Number(z >> 11n) / 2 ** 53;
  };
}
