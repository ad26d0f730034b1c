/** Bicubic interpolation: by hand, its order, the poles, gaps, and against CDO on real fields. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openArchive } from "../../src/data/archive.ts";
import { bicubicOperator } from "../../src/grid/bicubic.ts";
import { type Grid, gaussianLatitudes, makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { makeRegridder, type RegridMethod } from "../../src/grid/regrid.ts";
import { rowSums } from "../../src/grid/separable.ts";

const radians = Math.PI / 180;
const steps = (n: number, step: number, from = 0) => Array.from({ length: n }, (_, i) => from + i * step);

function fieldOn({ lat, lon }: Grid, formula: (lat: number, lon: number) => number): Float64Array {
  const w = lon.length;
  return Float64Array.from({ length: lat.length * w }, (_, k) =>
    formula(lat[Math.floor(k / w)]!, lon[k % w]!),
  );
}

function regrid(source: Grid, target: Grid, method: RegridMethod, field: ArrayLike<number>): Float64Array {
  const out = new Float64Array(target.lat.length * target.lon.length);
  return makeRegridder(source, target, method).apply(Float64Array.from(field), out);
}

const worst = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);

test("by hand: halfway on an even axis the weights are -1/16, 9/16, 9/16, -1/16; across Greenwich too", () => {
  const source = makeGrid(steps(6, 10), steps(36, 10));
  const row = Float64Array.from({ length: 6 * 36 }, (_, k) => [0, 0, 0, 16, 0, 0][Math.floor(k / 36)]!);
  const at = (y: number) => regrid(source, makeGrid([y], [100]), "bicubic", row)[0]!;
  expect([at(15), at(25), at(30), at(35)].map((x) => Number(x.toFixed(12)))).toEqual([-1, 9, 16, 9]);
  const column = Float64Array.from({ length: 6 * 36 }, (_, k) => (k % 36 === 35 ? 16 : 0)); // 350 E
  const on = (x: number) => regrid(source, makeGrid([20], [x]), "bicubic", column)[0]!;
  expect([on(335), on(345), on(355), on(5)].map((x) => Number(x.toFixed(12)))).toEqual([-1, 9, 9, -1]);
});

test("is exact for parabolas on uneven axes of a region, up to its edges", () => {
  const axis = (low: number, high: number) =>
    fc
      .uniqueArray(fc.integer({ min: low, max: high }), { minLength: 3, maxLength: 9 })
      .map((points) => points.sort((a, b) => a - b));
  const coefficient = fc.integer({ min: -3, max: 3 });
  const parabola = fc.tuple(coefficient, coefficient, coefficient);
  fc.assert(
    fc.property(axis(-40, 40), axis(10, 80), parabola, parabola, (lat, lon, [a, b, c], [d, e, f]) => {
      const formula = (y: number, x: number) =>
        (a + (b * y) / 40 + c * (y / 40) ** 2) * (d + (e * x) / 80 + f * (x / 80) ** 2);
      const source = makeGrid(lat, lon);
      const inner = ({ length }: number[], from: number[]) =>
        steps(21, (from[length - 1]! - from[0]!) / 20, from[0]);
      const target = makeGrid(inner(lat, lat), inner(lon, lon));
      // Values within 50; a few hundred roundings of 1e-16 each, times slopes of uneven spacing up to 80 : 1.
      return (
        worst(regrid(source, target, "bicubic", fieldOn(source, formula)), fieldOn(target, formula)) < 1e-10
      );
    }),
    { numRuns: 100, seed: 5 },
  );
});

test("weights sum to 1 in every row of latitude, with its pole, and of longitude", () => {
  const sources = [
    regularGrid(5.625),
    makeGrid(gaussianLatitudes(32), steps(64, 5.625)),
    makeGrid(steps(19, 10, -90), steps(36, 10)),
  ];
  for (const source of sources)
    for (const target of [regularGrid(1.40625), makeGrid([-90, 0, 90], steps(7, 50, 3))]) {
      const { lat, lon, poles } = bicubicOperator(source, target);
      const sums = rowSums(lat);
      for (const { row, weight } of poles) sums[row]! += weight;
      expect(
        worst(
          sums,
          sums.map(() => 1),
        ),
      ).toBeLessThan(1e-14);
      expect(
        worst(
          rowSums(lon),
          Array.from(target.lon, () => 1),
        ),
      ).toBeLessThan(1e-14);
    }
});

test("the error falls with the third power of the spacing, bilinear's with the second", () => {
  const wave = (lat: number, lon: number) => Math.cos(3 * lat * radians) * Math.cos(4 * lon * radians + 1);
  const target = makeGrid(steps(40, 3.1, -60), steps(100, 3.59));
  const error = (resolution: number, method: RegridMethod) => {
    const source = regularGrid(resolution);
    return worst(regrid(source, target, method, fieldOn(source, wave)), fieldOn(target, wave));
  };
  const order = (method: RegridMethod) => Math.log2(error(5, method) / error(2.5, method));
  expect(order("bicubic")).toBeGreaterThan(2.8);
  expect(order("bilinear")).toBeLessThan(2.2);
  expect(error(5, "bicubic")).toBeLessThan(error(5, "bilinear") / 8);
});

test("poleward of the last row a field that is smooth in space is nearer the truth than bilinear", () => {
  const source = makeGrid(gaussianLatitudes(96), steps(192, 1.875)); // last row 88.572
  const target = regularGrid(1.40625); // last row 89.297
  // Linear in space: x and z of the sphere.
  const smooth = (lat: number, lon: number) =>
    100 * Math.cos(lat * radians) * Math.cos(lon * radians) + 100 * Math.sin(lat * radians);
  const truth = fieldOn(target, smooth);
  const errorOf = (method: RegridMethod) => {
    const out = regrid(source, target, method, fieldOn(source, smooth));
    return Math.max(
      worst(out.subarray(0, 256), truth.subarray(0, 256)),
      worst(out.subarray(127 * 256), truth.subarray(127 * 256)),
    );
  };
  // Bilinear takes the row's mean of z, 99.97, for the pole's 100. Here the slope at the last row is left to a
  // parabola over uneven spacing: third order, 100 (1.9 degrees)^3 / 30 = 1.2e-4.
  expect(errorOf("bilinear")).toBeGreaterThan(1e-2);
  expect(errorOf("bicubic")).toBeLessThan(2e-4);
});

test("a row at the pole is used as it is, and targets at it get it", () => {
  const source = makeGrid(steps(19, 10, -90), steps(36, 10));
  const field = fieldOn(source, (lat) => (lat === 90 ? 7 : lat === -90 ? -3 : 0));
  const out = regrid(source, makeGrid([-90, 90], [0, 45]), "bicubic", field);
  expect([...out]).toEqual([-3, -3, 7, 7]);
});

test("beside a gap the value is the bilinear one, farther away it stays bicubic", () => {
  const source = makeGrid(steps(9, 10, -40), steps(9, 10, 100));
  const field = fieldOn(source, (lat, lon) => Math.sin(lat / 9) + Math.cos(lon / 11));
  const target = makeGrid([-33, 5], [115, 155]);
  const [cubic, linear] = (["bicubic", "bilinear"] as const).map((m) => regrid(source, target, m, field));
  // The gap at 20 N, 140 E is a corner of the stencil of 5 N, 155 E (rows -10..20, columns 140..170) only.
  field[6 * 9 + 4] = Number.NaN;
  const out = regrid(source, target, "bicubic", field);
  expect([...out]).toEqual([cubic![0], cubic![1], cubic![2], linear![3]]);
  expect(Math.abs(cubic![3]! - linear![3]!)).toBeGreaterThan(1e-3); // else the two could not be told apart
  field[5 * 9 + 5] = Number.NaN; // 10 N, 150 E: a neighbour of bilinear, too
  expect(regrid(source, target, "bicubic", field)[3]).toBeNaN();
});

const data = fileURLToPath(new URL("../../../shared/data/", import.meta.url));

describe.skipIf(!existsSync(data))(
  "CDO 2.1.1 remapbic on real fields (skipped without ../shared/data)",
  () => {
    /** Largest difference by row of the target, [row, latitude, difference], and the largest value. */
    async function compare(file: string, reference: string, name: string) {
      const [from, cdo] = await Promise.all(
        [`${data}${file}`, `${data}reference-cdo/${reference}_remapbic.nc`].map(async (path) => {
          const archive = await openArchive([path], { variables: [name] });
          const values = await archive.variables.get(name)!.read(0).finally(archive.close);
          return { grid: archive.grid, values };
        }),
      );
      const ours = makeRegridder(from!.grid, cdo!.grid, "bicubic").apply(from!.values);
      const w = cdo!.grid.lon.length;
      const row = (values: Float32Array, r: number) => values.subarray(r * w, (r + 1) * w);
      return Array.from(cdo!.grid.lat, (lat, r) => ({
        lat,
        difference: worst(row(ours, r), row(cdo!.values, r)),
      }));
    }

    test("a degree apart, rows at the poles: equal but for one step of float32", async () => {
      // Both are summed in f64 and rounded once: a step is 2^-15 for 256..512 K, 2^-8 for 32768..65536 m2 s-2.
      for (const [name, step] of [
        ["temperature_500", 2 ** -15],
        ["geopotential_500", 2 ** -8],
      ] as const)
        for (const { difference } of await compare("ecmwf-pl-timeseries/test4.nc", "era_tz", name))
          expect(difference).toBeLessThanOrEqual(step);
    });

    test("Gaussian: equal but for the unevenness of the rows and the last of them", async () => {
      const file = "cmip6-mini-esgf/tas_Amon_AWI-ESM-1-1-LR_1pctCO2_r1i1p1f1_gn_185501.nc";
      for (const { lat, difference } of await compare(file, "awi_tas", "2m_temperature")) {
        // CDO takes slopes as if rows were evenly spaced; near the poles spacing changes by 1e-3 from row to row, which
        // times some kelvins from row to row and 1/8, the most a slope weighs, is 2e-4 K.
        if (Math.abs(lat) < 60) expect(difference).toBeLessThanOrEqual(2 ** -15);
        else if (Math.abs(lat) < 85) expect(difference).toBeLessThan(2e-4);
        // Beyond the second last row (86.7) CDO has no slope to go on; there the pole's value is one here.
        else expect(difference).toBeLessThan(0.5);
      }
    });
  },
);
