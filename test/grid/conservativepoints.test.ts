import fc from "fast-check";
import { expect, test } from "vitest";
import { type CellEdges, cellEdges } from "../../src/grid/conservative.ts";
import { conservativePointWeights } from "../../src/grid/conservativepoints.ts";
import { type Grid, gaussianLatitudes, makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { overlapper } from "../../src/grid/overlap.ts";
import { makePoints } from "../../src/grid/points.ts";
import { makeRegridder } from "../../src/grid/regrid.ts";
import { triangles } from "../support/triangles.ts";

const steps = (n: number, step: number, from = 0) => Array.from({ length: n }, (_, i) => from + i * step);
const radians = Math.PI / 180;

/** Square radians of each cell of a target. */
function cellAreas({ lat, lon }: CellEdges): Float64Array {
  const width = lon.length / 2;
  return Float64Array.from({ length: (lat.length - 1) * width }, (_, k) => {
    const [r, c] = [Math.floor(k / width), k % width];
    const height = Math.sin(lat[r + 1]! * radians) - Math.sin(lat[r]! * radians);
    return height * (lon[2 * c + 1]! - lon[2 * c]!) * radians;
  });
}

function overlaps(target: Grid, lat: number[], lon: number[]): Map<number, number> {
  const found = new Map<number, number>();
  overlapper(cellEdges(target))(lat, lon, (cell, area) => found.set(cell, (found.get(cell) ?? 0) + area));
  return found;
}

test("by hand: an octant of the sphere over cells of 90 degrees, whichever way round its corners go", () => {
  const target = makeGrid([-45, 45], [45, 135, 225, 315]);
  for (const [lat, lon] of [
    [
      [0, 0, 90],
      [0, 90, 0],
    ],
    [
      [90, 0, 0],
      [123, 90, 0],
    ],
  ] as const) {
    const found = overlaps(target, [...lat], [...lon]);
    expect([...found.keys()]).toEqual([4]);
    expect(found.get(4)).toBeCloseTo(Math.PI / 2, 14);
  }
  // Moved by 45 degrees it lies in two cells, across Greenwich in the last and the first.
  const halves = overlaps(target, [0, 0, 90], [-45, 45, 0]);
  expect([...halves.keys()].sort()).toEqual([4, 7]);
  for (const area of halves.values()) expect(area).toBeCloseTo(Math.PI / 4, 14);
});

test("by hand: caps round a pole, whose edges go once round the globe", () => {
  const target = makeGrid([-45, 45], [45, 135, 225, 315]);
  for (const pole of [1, -1]) {
    for (const order of [1, -1]) {
      const found = overlaps(
        target,
        [60, 60, 60, 60].map((lat) => pole * lat),
        steps(4, 90, 10).map((lon) => order * lon),
      );
      const rows = pole > 0 ? [4, 5, 6, 7] : [0, 1, 2, 3];
      expect([...found.keys()].sort()).toEqual(rows);
      // Great circles between those corners: four triangles with the pole, of two sides of 30 degrees at 90 degrees.
      const excess = 8 * Math.atan(Math.tan(15 * radians) ** 2);
      const total = [...found.values()].reduce((sum, area) => sum + area, 0);
      expect(total).toBeCloseTo(excess, 13);
      for (const area of found.values()) expect(area).toBeCloseTo(excess / 4, 13);
    }
  }
});

test("an edge that bulges into the row poleward and back leaves its sliver there", () => {
  // Along 50 N over 60 degrees of longitude a great circle reaches 54 N.
  const cells: CellEdges = { lat: Float64Array.of(0, 50, 52, 90), lon: Float64Array.of(0, 180) };
  const found = new Map<number, number>();
  overlapper(cells)([0, 0, 50, 50], [60, 120, 120, 60], (cell, area) => found.set(cell, area));
  expect([...found.keys()].sort()).toEqual([0, 1, 2]);
  const below = Math.sin(50 * radians) * 60 * radians;
  expect(found.get(0)).toBeCloseTo(below, 13);
  // The area between the arc and the equator, from Karney's formula with both ends at 50 N.
  const t = Math.tan(25 * radians);
  const whole = 2 * Math.atan((Math.tan(30 * radians) * 2 * t) / (1 + t * t));
  expect(found.get(1)! + found.get(2)!).toBeCloseTo(whole - below, 13);
});

const targets: Record<string, Grid> = {
  regular: regularGrid(11.25),
  Gaussian: makeGrid(gaussianLatitudes(16), steps(32, 11.25)),
  "rows at the poles": makeGrid(steps(13, 15, -90), steps(24, 15)),
  "off zero and uneven": makeGrid([-83, -70, -30, 0, 10, 60, 85], steps(24, 15, 7)),
};
const angle = fc.double({ min: 0, max: 6.28, noNaN: true });

test("every target of a globe is covered once, and every cell given out whole", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(targets)),
      fc.constantFrom(0, 1, 2, 3),
      fc.oneof(fc.constant<[number, number, number]>([0, 0, 0]), fc.tuple(angle, angle, angle)),
      (target, levels, turns) => {
        const { points, areas } = triangles(levels, turns);
        const { start, column, weight } = conservativePointWeights(points, cellEdges(target));
        const cells = cellAreas(cellEdges(target));
        const given = new Float64Array(areas.length);
        for (let r = 0; r < cells.length; r++) {
          let sum = 0;
          for (let k = start[r]!; k < start[r + 1]!; k++) {
            sum += weight[k]!;
            given[column[k]!]! += weight[k]! * cells[r]!;
          }
          expect(Math.abs(sum - 1)).toBeLessThan(1e-9);
        }
        given.forEach((area, i) => {
          expect(Math.abs(area / areas[i]! - 1)).toBeLessThan(1e-9);
        });
      },
    ),
    { numRuns: 40, seed: 5 },
  );
});

test("keeps the integral over what is there, over a part of the globe too", () => {
  const { points, areas } = triangles(3, [0.3, 0.4, 0.5]);
  const field = Float64Array.from(areas, (_, i) => (i % 3 === 0 ? Number.NaN : 250 + (i % 50)));
  const there = areas.reduce((sum, area, i) => sum + (i % 3 === 0 ? 0 : area * field[i]!), 0);
  const target = regularGrid(5.625);
  const cells = cellAreas(cellEdges(target));
  const values = makeRegridder(points, target, "conservative").apply(field, new Float64Array(2048));
  const part = makeRegridder(points, target, "conservative").apply(
    field.map((x) => (Number.isNaN(x) ? 0 : 1)),
    new Float64Array(2048),
  );
  const kept = values.reduce((sum, x, i) => sum + (Number.isNaN(x) ? 0 : x * part[i]! * cells[i]!), 0);
  expect(Math.abs(kept / there - 1)).toBeLessThan(1e-9);
  // Half of each cell must be there: the others are gaps, and those that stay are what they were.
  const half = makeRegridder(points, target, "conservative", { minimumValid: 0.5 }).apply(
    field,
    new Float64Array(2048),
  );
  half.forEach((x, i) => {
    if (part[i]! < 0.5 - 1e-6) expect(x).toBeNaN();
    if (part[i]! > 0.5 + 1e-6) expect(x).toBe(values[i]);
  });
  // A region of the target gets the values that it has in the whole.
  const region = makeGrid(
    target.lat.slice(10, 20),
    Float64Array.from([...target.lon.slice(0, 9), ...target.lon.slice(50)]),
  );
  const regional = makeRegridder(points, region, "conservative").apply(field, new Float64Array(230));
  region.lat.forEach((_, r) => {
    region.lon.forEach((lon, c) => {
      const whole = values[(r + 10) * 64 + target.lon.indexOf(lon)]!;
      const here = regional[r * 23 + c]!;
      if (Number.isNaN(whole)) expect(here).toBeNaN();
      else expect(here).toBeCloseTo(whole, 10);
    });
  });
});

test("cells without a place are left out, corners that repeat or end in NaN are passed over", () => {
  const lat = [0, 0, 45, Number.NaN, 0, 0, 45, 45, 0, 0, 45, 45];
  const lon = [0, 45, 0, Number.NaN, 45, 90, 90, 90, 90, 135, 135, 90];
  const points = makePoints([20, 20, Number.NaN], [10, 70, 100], [3], {
    perCell: 4,
    lat: Float64Array.from(lat),
    lon: Float64Array.from(lon),
  });
  const { start, column } = conservativePointWeights(
    points,
    cellEdges(makeGrid([-45, 45], [45, 135, 225, 315])),
  );
  expect([...start]).toEqual([0, 0, 0, 0, 0, 2, 2, 2, 2]);
  expect([...column]).toEqual([0, 1]);
});

test("points without corners are refused with the methods that need none", () => {
  expect(() => makeRegridder(makePoints([0, 1, 2], [0, 1, 2], [3]), regularGrid(45), "conservative")).toThrow(
    expect.objectContaining({
      kind: "grid",
      message:
        "conservative regridding wants the corners of the source's cells; its file gives none (3 cells, unstructured)",
      hint: expect.stringContaining("--method distance-weighted or nearest"),
    }),
  );
});
