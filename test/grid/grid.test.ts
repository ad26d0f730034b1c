import { describe, expect, test } from "vitest";
import {
  cellAreaWeights,
  describeGrid,
  gaussianLatitudes,
  latitudeEdges,
  latitudeWeights,
  longitudeSeam,
  makeGrid,
  regularGrid,
  sameGrid,
} from "../../src/grid/grid.ts";

const steps = (n: number, step: number, from = 0) => Array.from({ length: n }, (_, i) => from + i * step);

describe("grids", () => {
  test("the 5.625 degree grid is ClimaX's", () => {
    const grid = regularGrid(5.625);
    expect([grid.lat.length, grid.lat[0], grid.lat[31]]).toEqual([32, -87.1875, 87.1875]);
    expect([grid.lon.length, grid.lon[0], grid.lon[63]]).toEqual([64, 0, 354.375]);
    expect(regularGrid(1.40625).lon.length).toBe(256);
  });

  test.each([0, -1, 7, 200, Number.NaN])("a resolution of %s is refused", (resolution) => {
    expect(() => regularGrid(resolution)).toThrow(
      `a regular global grid of ${resolution} degrees does not exist: the resolution must divide 180`,
    );
  });

  test.each([
    [[], [0], "the grid has no latitudes; at least one is wanted"],
    [[0], [], "the grid has no longitudes; at least one is wanted"],
    [[10, -10], [0], "latitudes of the grid must increase, but latitude 1 is -10 after 10"],
    [[0, 0], [0], "latitudes of the grid must increase, but latitude 1 is 0 after 0"],
    [[-91], [0], "latitude 0 of the grid is -91; wanted a number in [-90, 90]"],
    [[0], [0, 360], "longitude 1 of the grid is 360; wanted a number in [0, 360)"],
    [[0], [-10, 0], "longitude 0 of the grid is -10; wanted a number in [0, 360)"],
    [[0], [0, Number.NaN], "longitude 1 of the grid is NaN; wanted a number in [0, 360)"],
  ])("%j by %j is refused", (lat, lon, message) => {
    expect(() => makeGrid(lat, lon)).toThrow(message);
  });

  test("Gaussian latitudes: two are at 1/sqrt(3), 96 are ECHAM's T63, and they integrate P_2 to nothing", () => {
    expect(Math.sin((gaussianLatitudes(2)[1]! * Math.PI) / 180)).toBeCloseTo(1 / Math.sqrt(3), 14);
    expect(gaussianLatitudes(96)[95]).toBeCloseTo(88.5721685140073, 12);
    const lat = gaussianLatitudes(640);
    expect(lat.every((x, i) => Math.abs(x + lat[639 - i]!) < 1e-12)).toBe(true);
  });

  test("weights, worked by hand on latitudes -67.5, -22.5, 22.5, 67.5", () => {
    const grid = regularGrid(45);
    // cos 67.5 = 0.38268, cos 22.5 = 0.92388, their mean 0.65328. By area: sin 45 = 0.70711 of each half.
    const polar = 0.585786;
    for (const [i, w] of [polar, 2 - polar, 2 - polar, polar].entries()) {
      expect(latitudeWeights(grid)[i]).toBeCloseTo(w, 5);
      expect(cellAreaWeights(grid)[i]).toBeCloseTo(w, 5);
    }
    // With rows at the poles the two definitions part: cos 90 = 0, but a polar cap has an area.
    const poles = makeGrid([-90, -45, 0, 45, 90], [0, 90, 180, 270]);
    expect(latitudeWeights(poles)[0]).toBeCloseTo(0, 14);
    expect(cellAreaWeights(poles)[0]).toBeCloseTo((5 * (1 - Math.sin(Math.PI * 0.375))) / 2, 14);
  });

  test("cell edges reach the pole for global grids and half a cell out for regions", () => {
    const edges = (lat: number[]) => Array.from(latitudeEdges(makeGrid(lat, [0])));
    expect(edges([-60, 0, 60])).toEqual([-90, -30, 30, 90]);
    expect(edges([-90, 0, 90])).toEqual([-90, -45, 45, 90]);
    expect(edges([10, 20, 40])).toEqual([5, 15, 30, 50]);
    const gaussian = latitudeEdges(makeGrid(gaussianLatitudes(48), [0]));
    expect([gaussian[0], gaussian[48]]).toEqual([-90, 90]);
    expect(edges([10])).toEqual([10, 10]);
  });

  test("the seam: round the globe, a region, a region across Greenwich", () => {
    expect(longitudeSeam(regularGrid(5.625))).toEqual({ start: 0, periodic: true });
    expect(longitudeSeam(makeGrid([0], steps(41, 0.25, 30)))).toEqual({ start: 0, periodic: false });
    expect(longitudeSeam(makeGrid([0], [0, 10, 20, 340, 350]))).toEqual({ start: 3, periodic: false });
    expect(longitudeSeam(makeGrid([0], [50]))).toEqual({ start: 0, periodic: false });
  });

  test("grids that differ by the rounding of float32 are the same", () => {
    const a = makeGrid(gaussianLatitudes(96), steps(192, 1.875));
    const b = makeGrid(Float32Array.from(a.lat), Float32Array.from(a.lon));
    expect(sameGrid(a, b)).toBe(true);
    expect(sameGrid(regularGrid(5.625), regularGrid(1.40625))).toBe(false);
    expect(
      sameGrid(
        a,
        makeGrid(
          a.lat.map((x) => x * 0.9999),
          a.lon,
        ),
      ),
    ).toBe(false);
  });

  test("a grid in words", () => {
    expect(describeGrid(regularGrid(5.625))).toBe("32 x 64, 5.625 degrees");
    expect(describeGrid(makeGrid(gaussianLatitudes(96), steps(192, 1.875)))).toBe("96 x 192, Gaussian");
    expect(describeGrid(makeGrid(steps(41, 0.25, 35), steps(41, 0.25, 2)))).toBe(
      "41 x 41, 0.25 degrees, 35..45N 2..12E",
    );
    expect(describeGrid(makeGrid([10, 20, 30], [0, 10, 340, 350]))).toBe(
      "3 x 4, 10 degrees, 10..30N 340..10E",
    );
    expect(describeGrid(makeGrid([10], [3, 4]))).toBe("1 x 2, irregular, 10..10N 3..4E");
    expect(describeGrid(makeGrid([-60, 0, 60], steps(36, 10)))).toBe("3 x 36, 60 x 10 degrees");
  });
});
