// The dynamics against what theory says: conservation, Rossby-Haurwitz waves, and each process alone.
import { describe, expect, test } from "vitest";
import { makeForcing } from "../../src/planet/forcing.ts";
import { earthGround, seaGround } from "../../src/planet/ground.ts";
import { planet } from "../../src/planet/planets.ts";
import { type Levels, makeModel, marshallMolteni, type QgModel } from "../../src/planet/quasigeostrophic.ts";
import { disturb } from "../../src/planet/simulation.ts";

const off = { radiativeTime: Infinity, ekmanTime: Infinity, diffusionTime: Infinity };
const day = 86_400;

/** Where coefficient (m, n) of a level lies. */
const at = ({ triangle }: QgModel, level: number, m: number, n: number) =>
  2 * (level * triangle.size + triangle.offset[m]! + n - m);

function product({ triangle }: QgModel, a: Levels, b: Levels, level: number): number {
  let sum = 0;
  for (let k = 0; k < triangle.size; k++) {
    const i = 2 * (level * triangle.size + k);
    sum += (triangle.m[k] === 0 ? 1 : 2) * (a[i]! * b[i]! + a[i + 1]! * b[i + 1]!);
  }
  return sum;
}

test("streamfunction undoes vorticity", () => {
  const model = makeModel(marshallMolteni, seaGround);
  const [q, psi, back] = [model.zeros(), model.zeros(), model.zeros()];
  disturb(model, q, 4, 1e-5);
  model.streamfunction(q, psi);
  model.vorticity(psi, back);
  expect(Math.max(...q.map((x, i) => Math.abs(x - back[i]!)))).toBeLessThan(1e-5 * 1e-12);
});

describe("without sources and sinks", () => {
  const model = makeModel({ ...marshallMolteni, ...off }, earthGround());
  const q = model.zeros();
  disturb(model, q, 5, 1e-5);
  const rate = model.zeros();
  model.tendency(q, model.zeros(), rate);

  test("advection changes neither energy nor the enstrophy of any level, over mountains too", () => {
    const psi = model.zeros();
    model.streamfunction(q, psi);
    const whole = q.map((x, i) => x + model.planetary[i]!);
    let energyRate = 0;
    let scale = 0;
    for (let level = 0; level < 3; level++) {
      const size = Math.sqrt(product(model, rate, rate, level));
      energyRate -= product(model, psi, rate, level);
      scale += Math.sqrt(product(model, psi, psi, level)) * size;
      const enstrophyRate = product(model, whole, rate, level);
      // what is left is rounding: 1e-16 times a sum of 506 terms
      expect(Math.abs(enstrophyRate)).toBeLessThan(
        1e-13 * Math.sqrt(product(model, whole, whole, level)) * size,
      );
    }
    expect(Math.abs(energyRate)).toBeLessThan(1e-13 * scale);
  });

  test("energy and enstrophy stay over five days of turbulence", () => {
    const state = q.map((x) => x / 5);
    const [energy, enstrophy] = [model.energy(state), model.enstrophy(state)];
    for (let i = 0; i < 5 * 48; i++) model.advance(state, model.zeros(), 1800);
    const moved = Math.sqrt(product(model, state, q, 0) / product(model, q, q, 0) / 0.2);
    expect(moved).toBeLessThan(0.9); // it is not a state of rest that is conserved
    // the spectral truncation conserves exactly; the fourth-order steps of half an hour lose 4e-6
    expect(Math.abs(model.energy(state) / energy - 1)).toBeLessThan(1e-5);
    model.enstrophy(state).forEach((value, i) => {
      expect(Math.abs(value / enstrophy[i]! - 1)).toBeLessThan(1e-5);
    });
  });
});

describe("a Rossby-Haurwitz wave", () => {
  const model = makeModel({ ...marshallMolteni, ...off }, seaGround);
  const { radius, rotation } = marshallMolteni;
  const [m, n] = [4, 5];
  const turning = 0.1 * rotation; // solid rotation of the air, rad/s

  function start(): Levels {
    const psi = model.zeros();
    for (let level = 0; level < 3; level++) {
      psi[at(model, level, 0, 1)] = (-turning * radius ** 2) / Math.sqrt(3);
      psi[at(model, level, m, n)] = 4e7;
    }
    const q = model.zeros();
    model.vorticity(psi, q);
    return q;
  }

  test("moves at the analytic speed without change of shape", () => {
    // Haurwitz (1940): angular speed turning - 2 (rotation + turning) / (n (n + 1))
    const speed = turning - (2 * (rotation + turning)) / (n * (n + 1));
    const q = start();
    const k = at(model, 1, m, n);
    const amplitude = q[k]!;
    const hours = 72;
    for (let i = 0; i < hours; i++) model.advance(q, model.zeros(), 3600);
    // cos(m (longitude - speed t)): the coefficient turns by -m speed t
    const angle = -m * speed * hours * 3600;
    expect(Math.abs(m * speed * hours * 3600)).toBeGreaterThan(0.5); // it did move
    expect(q[k]! / amplitude).toBeCloseTo(Math.cos(angle), 6);
    expect(q[k + 1]! / amplitude).toBeCloseTo(Math.sin(angle), 6);
  });

  test("shows the steps to be of fourth order", () => {
    const error = (dt: number) => {
      const q = start();
      for (let t = 0; t < 48 * 3600; t += dt) model.advance(q, model.zeros(), dt);
      const angle = -m * (turning - (2 * (rotation + turning)) / (n * (n + 1))) * 48 * 3600;
      const k = at(model, 0, m, n);
      const amplitude = start()[k]!;
      return Math.hypot(q[k]! / amplitude - Math.cos(angle), q[k + 1]! / amplitude - Math.sin(angle));
    };
    const order = Math.log2(error(4 * 3600) / error(2 * 3600));
    expect(order).toBeGreaterThan(3.7);
    expect(order).toBeLessThan(4.3);
  });
});

describe("each process alone", () => {
  test("Ekman drag over flat sea takes vorticity at 800 hPa at 1 / (3 days)", () => {
    const model = makeModel({ ...marshallMolteni, ...off, ekmanTime: 3 * day }, seaGround);
    const [psi, q, rate] = [model.zeros(), model.zeros(), model.zeros()];
    const k = at(model, 2, 0, 3); // a zonal flow, which advection leaves alone
    psi[k] = 1e7;
    model.vorticity(psi, q);
    model.tendency(q, model.zeros(), rate);
    const laplacian = (-12 / marshallMolteni.radius ** 2) * 1e7;
    expect(rate[k]! / (-laplacian / (3 * day))).toBeCloseTo(1, 9);
    expect(Math.abs(rate[at(model, 1, 0, 3)]!)).toBeLessThan(1e-9 * Math.abs(rate[k]!));
  });

  test("Ekman drag over land and mountains always takes energy", () => {
    const model = makeModel({ ...marshallMolteni, ...off, ekmanTime: 3 * day }, earthGround());
    const [psi, q, rate] = [model.zeros(), model.zeros(), model.zeros()];
    disturb(model, q, 6, 1e-5);
    model.streamfunction(q, psi);
    model.tendency(q, model.zeros(), rate);
    const loss = [0, 1, 2].reduce((sum, level) => sum - product(model, psi, rate, level), 0);
    expect(loss).toBeLessThan(0);
  });

  test("thermal relaxation lets a thickness decay in 25 days and keeps the vertical mean", () => {
    const model = makeModel({ ...marshallMolteni, ...off, radiativeTime: 25 * day }, seaGround);
    const [psi, q, rate] = [model.zeros(), model.zeros(), model.zeros()];
    const k = at(model, 0, 0, 2);
    psi[k] = 1e7;
    model.vorticity(psi, q);
    model.tendency(q, model.zeros(), rate);
    const stretching = 1e7 / 700e3 ** 2;
    expect(rate[k]! / (stretching / (25 * day))).toBeCloseTo(1, 9);
    expect(rate[at(model, 1, 0, 2)]! / rate[k]!).toBeCloseTo(-1, 9);
  });

  test("diffusion takes the smallest scale at 1 / (2 days), and del^8 less of larger ones", () => {
    const model = makeModel({ ...marshallMolteni, ...off, diffusionTime: 2 * day }, seaGround);
    const [q, rate] = [model.zeros(), model.zeros()];
    const [small, large] = [at(model, 1, 0, 21), at(model, 1, 0, 10)];
    q[small] = 1e-6;
    q[large] = 1e-6;
    model.tendency(q, model.zeros(), rate);
    expect(rate[small]! * 2 * day).toBeCloseTo(-1e-6, 12);
    expect(rate[large]! / rate[small]!).toBeCloseTo((110 / 462) ** 4, 9);
  });

  test("the forcing holds its own radiative equilibrium at the equinox", () => {
    const { forcing, dynamics } = planet("aqua");
    const model = makeModel({ ...dynamics, diffusionTime: Infinity }, seaGround);
    const { source, equilibrium } = makeForcing(model, seaGround, forcing);
    const [q, push, rate] = [model.zeros(), model.zeros(), model.zeros()];
    model.vorticity(equilibrium, q); // a zonal flow aloft, none at 800 hPa: nothing to advect or drag
    source((14 + 365.2425 / 4) * day, push);
    model.tendency(q, push, rate);
    const strength = Math.max(...push.map(Math.abs));
    expect(strength).toBeGreaterThan(0);
    expect(Math.max(...rate.map(Math.abs))).toBeLessThan(1e-6 * strength);
  });
});
