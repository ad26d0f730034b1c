// The simulated planets as a source of weather: reproducible, chaotic, stable, of the right size.
import { beforeAll, describe, expect, test } from "vitest";
import { latitudeWeights, regularGrid } from "../../src/grid/grid.ts";
import { makeDiagnosis } from "../../src/planet/diagnose.ts";
import { earthGround } from "../../src/planet/ground.ts";
import { planet, planetNames } from "../../src/planet/planets.ts";
import { disturb, startSimulation } from "../../src/planet/simulation.ts";

const day = 24;
const difference = (a: Float64Array, b: Float64Array) => Math.hypot(...a.map((x, i) => x - b[i]!));

test("one seed gives one weather, bit for bit; another seed another", () => {
  const run = (seed: number) => {
    const simulation = startSimulation(planet("earth"), seed, 0);
    simulation.advance(5 * day);
    return simulation;
  };
  const [one, same, other] = [run(1), run(1), run(2)];
  expect(one.state).toEqual(same.state);
  expect(one.state).not.toEqual(other.state);
  expect(one.seconds).toBe(5 * day * 3600);
});

test("an unknown planet is refused with the nearest name", () => {
  expect(() => planet("erth")).toThrow(/unknown planet "erth"/);
});

test("continents cover about as much as the Earth's, mountains reach 2 to 6 km", () => {
  const grid = regularGrid(5.625);
  const { land, height } = earthGround();
  const weights = latitudeWeights(grid);
  let fraction = 0;
  let highest = 0;
  grid.lat.forEach((lat, row) => {
    grid.lon.forEach((lon) => {
      fraction += (weights[row]! * land(lat, lon)) / 2048;
      highest = Math.max(highest, height(lat, lon));
    });
  });
  expect(fraction).toBeGreaterThan(0.25); // Earth 0.29
  expect(fraction).toBeLessThan(0.36);
  expect(highest).toBeGreaterThan(2000);
  expect(highest).toBeLessThan(6000);
});

describe.each(planetNames)("planet %s", (name) => {
  test("is alive and stable 30 to 45 days after the start", () => {
    const run = startSimulation(planet(name), 3, 0);
    run.advance(30 * day);
    for (let i = 0; i < 3; i++) {
      run.advance(5 * day);
      const energy = run.model.energy(run.state); // m2/s2 over three levels: Earth's is near 4000
      expect(energy).toBeGreaterThan(1000);
      expect(energy).toBeLessThan(20_000);
    }
  });
});

describe("the earth after its spin-up", () => {
  const grid = regularGrid(5.625);
  const weights = latitudeWeights(grid);
  const earth = planet("earth");
  const run = startSimulation(earth, 1, 0);
  const { fields, update } = makeDiagnosis(run.model, earth.ground, grid, [250, 500, 850]);
  const series = new Map<string, Float32Array[]>();
  const names = [
    "geopotential_500",
    "temperature_850",
    "2m_temperature",
    "10m_u_component_of_wind",
    "u_component_of_wind_250",
  ];

  beforeAll(() => {
    run.advance(90 * day);
    for (const name of names) series.set(name, []);
    for (let i = 0; i < 4 * 90; i++) {
      run.advance(6);
      update(run.state, run.seconds);
      for (const name of names) series.get(name)!.push(fields.get(name)!.slice());
    }
  });

  const mean = (states: Float32Array[]) =>
    Float64Array.from(
      { length: 2048 },
      (_, at) => states.reduce((sum, state) => sum + state[at]!, 0) / states.length,
    );
  const meanSquare = (a: ArrayLike<number>, b: ArrayLike<number>) => {
    let sum = 0;
    for (let at = 0; at < 2048; at++) sum += weights[at >> 6]! * (a[at]! - b[at]!) ** 2;
    return sum / 2048;
  };
  const climatologyError = (name: string) => {
    const states = series.get(name)!;
    const average = mean(states);
    return Math.sqrt(states.reduce((sum, state) => sum + meanSquare(state, average), 0) / states.length);
  };
  const persistenceError = (name: string, hours: number) => {
    const states = series.get(name)!;
    const lead = hours / 6;
    const later = states.slice(lead);
    return Math.sqrt(later.reduce((sum, state, i) => sum + meanSquare(state, states[i]!), 0) / later.length);
  };

  // Bounds a third around what years of it give; ERA5 in brackets, of WeatherBench (Rasp et al. 2020, table 2).
  test.each([
    ["geopotential_500", 500, 1100], // [1075]
    ["temperature_850", 2.8, 6], // [5.5]
    ["2m_temperature", 2, 5], // [6.1]
    ["10m_u_component_of_wind", 2.2, 4.6], // [about 4]
  ])("%s varies as much as weather does: rmse of climatology", (name, least, most) => {
    expect(climatologyError(name)).toBeGreaterThan(least);
    expect(climatologyError(name)).toBeLessThan(most);
  });

  test("persistence is good at 6 h, imperfect at 24 h and worse than climatology in the end", () => {
    for (const name of names.slice(0, 4)) {
      const climatology = climatologyError(name);
      expect(persistenceError(name, 6)).toBeLessThan(0.35 * climatology);
      expect(persistenceError(name, 24)).toBeGreaterThan(0.35 * climatology);
      expect(persistenceError(name, 24)).toBeLessThan(climatology);
      expect(persistenceError(name, 240)).toBeGreaterThan(climatology);
    }
  });

  test("has a westerly jet of 15 to 45 m/s in both hemispheres and weak wind at the equator", () => {
    const u = mean(series.get("u_component_of_wind_250")!);
    const zonal = Array.from(
      { length: 32 },
      (_, row) => u.subarray(row * 64, row * 64 + 64).reduce((a, b) => a + b) / 64,
    );
    for (const half of [zonal.slice(0, 16), zonal.slice(16)]) {
      expect(Math.max(...half)).toBeGreaterThan(15);
      expect(Math.max(...half)).toBeLessThan(45);
    }
    expect(Math.abs(zonal[16]!)).toBeLessThan(15);
  });

  test("is warm at the equator and cold at the poles", () => {
    const t = mean(series.get("2m_temperature")!);
    expect(t[16 * 64]!).toBeGreaterThan(290);
    expect(t[16 * 64]!).toBeLessThan(310);
    expect(t[31 * 64]!).toBeLessThan(275);
    expect(t[31 * 64]!).toBeGreaterThan(220);
  });

  test("is chaotic: a small error doubles in 1.5 to 6 days", () => {
    const [a, b] = [startSimulation(earth, 1, 0), startSimulation(earth, 1, 0)];
    a.state.set(run.state);
    b.state.set(run.state);
    disturb(b.model, b.state, 9, 1e-12);
    // first the error finds the growing shapes, then it grows
    a.advance(8 * day);
    b.advance(8 * day);
    const early = difference(a.state, b.state);
    a.advance(20 * day);
    b.advance(20 * day);
    const doubling = (20 * Math.LN2) / Math.log(difference(a.state, b.state) / early);
    expect(doubling).toBeGreaterThan(1.5);
    expect(doubling).toBeLessThan(6);
  });
});
