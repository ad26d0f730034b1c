// Weather from streamfunctions: balance, hydrostatics and the surface formulas against closed forms.
import { describe, expect, test } from "vitest";
import { regularGrid } from "../../src/grid/grid.ts";
import { makeDiagnosis, parabola, standardAtmosphere } from "../../src/planet/diagnose.ts";
import { earthGround, seaGround } from "../../src/planet/ground.ts";
import { makeModel, marshallMolteni } from "../../src/planet/quasigeostrophic.ts";
import { disturb } from "../../src/planet/simulation.ts";

const model = makeModel(marshallMolteni, seaGround);
const grid = regularGrid(5.625);
const { radius, rotation } = marshallMolteni;
const gasConstant = 287.05;
const sine = (row: number) => Math.sin((grid.lat[row]! * Math.PI) / 180);
const cosine = (row: number) => Math.cos((grid.lat[row]! * Math.PI) / 180);

test("the standard atmosphere has its tabulated heights and temperatures", () => {
  // ICAO Doc 7488: 500 hPa at 5574.4 m and 252 K; 250 hPa at 10363 m and 220.8 K; 850 hPa at 1457.3 m
  expect(standardAtmosphere(500).geopotential / 9.80665).toBeCloseTo(5574, -1);
  expect(standardAtmosphere(500).temperature).toBeCloseTo(252, 0);
  expect(standardAtmosphere(250).geopotential / 9.80665).toBeCloseTo(10363, -1);
  expect(standardAtmosphere(850).geopotential / 9.80665).toBeCloseTo(1457, -1);
  expect(standardAtmosphere(100).temperature).toBeCloseTo(216.65, 1);
  expect(standardAtmosphere(500, 4).temperature - standardAtmosphere(500).temperature).toBeCloseTo(4, 12);
});

test("the parabola passes through the levels and follows a quadratic in ln p exactly", () => {
  expect(parabola(500).value).toEqual([0, 1, 0].map((x) => expect.closeTo(x, 12)));
  const quadratic = (p: number) => 2 + 3 * Math.log(p) - Math.log(p) ** 2;
  const slope = (p: number) => 3 - 2 * Math.log(p);
  const sum = (weights: number[]) =>
    weights[0]! * quadratic(200) + weights[1]! * quadratic(500) + weights[2]! * quadratic(800);
  expect(sum(parabola(850).value)).toBeCloseTo(quadratic(850), 10);
  expect(sum(parabola(300).slope)).toBeCloseTo(slope(300), 10);
});

describe("solid rotation", () => {
  // psi = -U a mu gives u = U cos(lat), v = 0, and by balance Phi = Omega a U (1/3 - mu^2)
  const speed = [30, 20, 10] as const;
  const [psi, q] = [model.zeros(), model.zeros()];
  speed.forEach((u, level) => {
    psi[2 * (level * model.triangle.size + 1)] = (-u * radius) / Math.sqrt(3);
  });
  model.vorticity(psi, q);
  const { fields, update } = makeDiagnosis(model, seaGround, grid, [200, 500, 800]);
  update(q, 0);

  test("has its winds and balanced geopotential on every row", () => {
    for (const [level, u] of [
      [200, 30],
      [500, 20],
      [800, 10],
    ] as const) {
      for (let row = 0; row < 32; row++) {
        const at = row * 64 + 17;
        expect(fields.get(`u_component_of_wind_${level}`)![at]).toBeCloseTo(u * cosine(row), 4);
        expect(fields.get(`v_component_of_wind_${level}`)![at]).toBeCloseTo(0, 4);
        const phi = standardAtmosphere(level).geopotential + rotation * radius * u * (1 / 3 - sine(row) ** 2);
        expect(Math.abs(fields.get(`geopotential_${level}`)![at]! - phi)).toBeLessThan(0.02); // float32 of 1e5
      }
    }
  });

  test("with westerlies growing upward is cold at the poles", () => {
    const t = fields.get("temperature_500")!;
    expect(t[16 * 64]! - t[31 * 64]!).toBeGreaterThan(10);
    expect(t[16 * 64]! - t[0]!).toBeGreaterThan(10);
  });
});

describe("a random flow", () => {
  const q = model.zeros();
  disturb(model, q, 8, 5e-6);
  const { fields, update } = makeDiagnosis(model, earthGround(), grid, [495, 500, 505, 850]);
  update(q, 0);
  const field = (name: string) => fields.get(name)!;

  test("is in hydrostatic balance: T = -(1/R) dPhi / d ln p", () => {
    const step = Math.log(505 / 495);
    for (let at = 0; at < 2048; at += 37) {
      const slope = (field("geopotential_505")[at]! - field("geopotential_495")[at]!) / step;
      // centred in p, not in ln p, and float32 of 5e4 over a step of 0.02: a tenth of a kelvin
      expect(Math.abs(-slope / gasConstant - field("temperature_500")[at]!)).toBeLessThan(0.1);
    }
  });

  test("is free of divergence: each row has no mean meridional wind", () => {
    for (let row = 0; row < 32; row++) {
      const mean =
        field("v_component_of_wind_500")
          .subarray(row * 64, row * 64 + 64)
          .reduce((a, b) => a + b) / 64;
      expect(Math.abs(mean)).toBeLessThan(1e-5);
    }
  });

  test("is slower at 10 m, by 0.7 over sea and 0.5 over land", () => {
    for (let at = 0; at < 2048; at++) {
      const aloft = Math.hypot(field("u_component_of_wind_850")[at]!, field("v_component_of_wind_850")[at]!);
      const below = Math.hypot(field("10m_u_component_of_wind")[at]!, field("10m_v_component_of_wind")[at]!);
      const land = earthGround().land(grid.lat[(at / 64) | 0]!, grid.lon[at % 64]!);
      expect(below / aloft).toBeCloseTo(0.7 - 0.2 * land, 4);
    }
  });

  test("blows towards low pressure near the ground", () => {
    // 10 m wind against 850 hPa wind: to the left in the north, to the right in the south
    for (const [row, side] of [
      [27, 1],
      [4, -1],
    ] as const) {
      const at = row * 64 + 40;
      const [u, v] = [field("u_component_of_wind_850")[at]!, field("v_component_of_wind_850")[at]!];
      const cross = u * field("10m_v_component_of_wind")[at]! - v * field("10m_u_component_of_wind")[at]!;
      expect(Math.sign(cross)).toBe(side);
    }
  });

  test("is colder at 2 m over land in its own winter, less so over sea", () => {
    const januaryField = field("2m_temperature").slice(); // the update above was for 1 January
    update(q, 182 * 86_400);
    const [land, sea, southern] = [24 * 64 + 16, 24 * 64 + 35, 11 * 64 + 24]; // Asia, Pacific, Australia
    const swing = (at: number) => field("2m_temperature")[at]! - januaryField[at]!;
    expect(earthGround().land(grid.lat[24]!, grid.lon[16]!)).toBeGreaterThan(0.9);
    expect(swing(land)).toBeGreaterThan(7);
    expect(swing(sea)).toBeGreaterThan(0.5);
    expect(swing(sea)).toBeLessThan(swing(land));
    expect(swing(southern)).toBeLessThan(-3);
  });
});
