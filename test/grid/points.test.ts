import { describe, expect, test } from "vitest";
import { makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { describeSource, makePoints } from "../../src/grid/points.ts";
import { coveredTarget } from "../../src/grid/region.ts";
import { makeRegridder } from "../../src/grid/regrid.ts";
import { triangles } from "../support/triangles.ts";

const radians = Math.PI / 180;
const chord = (degrees: number) => 2 * Math.sin((degrees * radians) / 2);

test("coordinates are checked, wrapped, and those that are fill become cells without a place", () => {
  const { lat, lon } = makePoints([90.0000001, 9.96921e36, 10, Number.NaN, -3], [-10, 5, 1e20, 3, 360], [5]);
  expect([...lat]).toEqual([90, Number.NaN, Number.NaN, Number.NaN, -3]);
  expect([...lon]).toEqual([350, Number.NaN, Number.NaN, Number.NaN, 0]);
});

test("what is no place on the sphere is refused", () => {
  expect(() => makePoints([0, 91], [0, 1], [2])).toThrow(
    "latitude 1 of the grid is 91; wanted a number in [-90, 90]",
  );
  expect(() => makePoints([0, Number.NaN], [0, 1], [2])).toThrow(
    "a grid of 2 cells has 1 with coordinates; at least 2 are wanted",
  );
});

test("sources are described in a line", () => {
  expect(describeSource(makePoints([0, 1, 2], [0, 1, 2], [3]))).toBe("3 cells, unstructured");
  expect(describeSource(makePoints([0, 1, 2, 3], [0, 1, 2, 3], [2, 2]))).toBe("2 x 2, curvilinear");
  expect(describeSource(regularGrid(5.625))).toBe("32 x 64, 5.625 degrees");
});

describe("distance-weighted", () => {
  // Five points on a meridian, at 0, 1, 3, 6 and 10 degrees from the target.
  const points = makePoints([0, 1, -3, 6, -10], [50, 50, 50, 50, 50], [5]);
  const field = Float64Array.of(100, 1, 2, 4, 1000);

  test("by hand: four points by the inverse of their chords", () => {
    const weights = [0.5, 0.5, 3.5, 5.5].map((d) => 1 / chord(d));
    const values = [100, 1, 2, 4];
    const mean = weights.reduce((sum, w, i) => sum + w * values[i]!, 0) / weights.reduce((a, b) => a + b);
    const regridder = makeRegridder(points, makeGrid([0.5], [50]), "distance-weighted");
    expect(regridder.apply(field, new Float64Array(1))[0]).toBeCloseTo(mean, 12);
  });

  test("a point at the target is taken alone", () => {
    const out = makeRegridder(points, makeGrid([1, 6], [50]), "distance-weighted").apply(
      field,
      new Float64Array(2),
    );
    expect([...out]).toEqual([1, 4]);
  });

  test("missing points are among the four, the others' weights are scaled up", () => {
    const gappy = Float64Array.of(Number.NaN, 1, 2, Number.NaN, 1000);
    const target = makeGrid([0.5], [50]);
    const [a, b] = [1 / chord(0.5), 1 / chord(3.5)];
    const out = (minimumValid?: number) =>
      makeRegridder(
        points,
        target,
        "distance-weighted",
        minimumValid === undefined ? {} : { minimumValid },
      ).apply(gappy, new Float64Array(1))[0];
    expect(out()).toBeCloseTo((a * 1 + b * 2) / (a + b), 12);
    const whole = [0.5, 0.5, 3.5, 5.5].reduce((sum, d) => sum + 1 / chord(d), 0);
    expect(out((a + b) / whole)).toBeCloseTo((a * 1 + b * 2) / (a + b), 12);
    expect(out((a + b) / whole + 1e-6)).toBeNaN();
    expect(makeRegridder(points, target, "nearest").apply(gappy)[0]).toBeNaN();
  });

  test("fewer than four points are enough", () => {
    const pair = makePoints([0, 0], [0, 90], [2]);
    const out = makeRegridder(pair, makeGrid([0], [30]), "distance-weighted").apply(
      Float64Array.of(1, 2),
      new Float64Array(1),
    );
    const [a, b] = [1 / chord(30), 1 / chord(60)];
    expect(out[0]).toBeCloseTo((a + 2 * b) / (a + b), 13);
  });
});

describe("how far a source reaches", () => {
  test("a globe has no holes, whatever its mesh: cells, latitude by longitude, few", () => {
    const grid = regularGrid(4);
    const flat = { lat: [] as number[], lon: [] as number[] };
    for (const lat of grid.lat)
      for (const lon of grid.lon) {
        flat.lat.push(lat);
        flat.lon.push(lon);
      }
    const meshes = [
      ...[1, 2, 3, 4].map((levels) => triangles(levels, [0.1, 0.2, 0.3]).points),
      makePoints(flat.lat, flat.lon, [flat.lat.length]),
      makePoints(flat.lat, flat.lon, [grid.lat.length, grid.lon.length]),
    ];
    for (const points of meshes) {
      for (const method of ["nearest", "distance-weighted"] as const) {
        const out = makeRegridder(points, regularGrid(5.625), method).apply(
          new Float32Array(points.lat.length).fill(287.65),
        );
        expect(new Set(out)).toEqual(new Set([Math.fround(287.65)]));
      }
    }
  });

  test("a region ends two of its spacings beyond its points, and holes of dead cells stay holes", () => {
    const [lat, lon]: [number[], number[]] = [[], []];
    for (let i = 0; i < 41; i++) {
      for (let j = 0; j < 41; j++) {
        const dead = Math.abs(i - 20) < 10 && Math.abs(j - 20) < 10;
        lat.push(dead ? Number.NaN : 30 + 0.5 * i);
        lon.push(350 + 0.5 * j);
      }
    }
    const points = makePoints(lat, lon, [41, 41]);
    const target = regularGrid(2);
    for (const method of ["nearest", "distance-weighted"] as const) {
      const regridder = makeRegridder(points, target, method);
      const out = regridder.apply(new Float32Array(41 * 41).fill(5));
      const wrong: string[] = [];
      target.lat.forEach((y, r) => {
        target.lon.forEach((x, c) => {
          const east = ((x - 350 + 540) % 360) - 180;
          const value = out[r * 180 + c]!;
          const middle = Math.max(Math.abs(y - 40), Math.abs(east - 10)); // half a side of the square round it
          const [there, gap] = [middle > 5.5 && middle <= 10, middle < 3.5 || middle > 11.1];
          if ((there && value !== 5) || (gap && !Number.isNaN(value))) wrong.push(`${y} ${x} ${value}`);
        });
      });
      expect(wrong).toEqual([]);
      const part = coveredTarget(regridder);
      expect([part.lat[0], part.lat.at(-1)]).toEqual([31, 49]);
    }
  });
});

test("methods that want rows and columns name those that do not", () => {
  const points = makePoints([0, 1, 2, 3], [0, 1, 2, 3], [2, 2]);
  for (const method of ["bilinear", "bicubic"] as const) {
    expect(() => makeRegridder(points, regularGrid(45), method)).toThrow(
      expect.objectContaining({
        kind: "grid",
        message: `${method} regridding wants a source of latitudes by longitudes; found 2 x 2, curvilinear`,
        hint: "choose --method distance-weighted, nearest, conservative",
      }),
    );
  }
});

test("a field of another size is refused, naming both grids", () => {
  const points = makePoints([0, 1, 2], [0, 1, 2], [3]);
  expect(() => makeRegridder(points, regularGrid(45), "nearest").apply(new Float32Array(4))).toThrow(
    "a field of 4 values into one of 32; wanted 3 cells, unstructured into 4 x 8, 45 degrees",
  );
});
