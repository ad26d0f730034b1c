import { describe, expect, test } from "vitest";
import { type Grid, makeGrid } from "../../src/grid/grid.ts";
import { definition } from "../../src/scores/definitions.ts";
import type { FieldPair } from "../../src/scores/metric.ts";
import { metricTable } from "../../src/scores/metrics.ts";
import { allCells, curves, ensemblePair, someCells } from "./scored.ts";

const spectrum = metricTable.spectrum!;
/** m, of WeatherBench 2's sphere. */
const equator = 2 * Math.PI * 6367500;
// Rows at -60 and 0 degrees weigh 2/3 and 4/3; the circle at 60 degrees is half as long.
const grid = makeGrid([-60, 0], [0, 90, 180, 270]);
const cells = allCells(grid, definition("climax"));

const pairOf = (forecast: number[], truth: number[]): FieldPair => ({
  forecast: Float64Array.from(forecast),
  truth: Float64Array.from(truth),
});
const of = (pairs: FieldPair[], given: { grid: Grid; cells?: typeof cells } = { grid }) =>
  curves(spectrum, pairs, given);
const close = (values: number[]) =>
  values.map((value) => expect.closeTo(value * equator, value === 0 ? 6 : 3) as unknown as number);

describe("zonal energy spectrum", () => {
  // F of (3, 1, 1, -1): 1, (1 - i)/2, 1, ...: energies 1, 2 . 1/2, 2 . 1; of a constant 2: 4.
  const wavy = [3, 1, 1, -1];
  const flat = [2, 2, 2, 2];
  const none = [0, 0, 0, 0];

  test("of a circle, in metres times the square: all waves but the mean count twice", () => {
    const made = of([pairOf([...none, ...wavy], [...none, ...flat])])!;
    expect(made.axis).toEqual({ name: "zonal wavenumber", values: [0, 1, 2] });
    expect(made.values).toEqual(close([(4 / 3 / 2) * 1, (4 / 3 / 2) * 1, (4 / 3 / 2) * 2]));
    expect(made.truth).toEqual(close([(4 / 3 / 2) * 4, 0, 0]));
  });

  test("circles weigh as their cells do, and are as long as their latitude lets them", () => {
    const made = of([pairOf([...wavy, ...flat], [...flat, ...none])])!;
    expect(made.values).toEqual(close([1 / 6 + (2 / 3) * 4, 1 / 6, (1 / 6) * 2]));
    expect(made.truth).toEqual(close([(1 / 6) * 4, 0, 0]));
  });

  test("is the mean over forecasts, and over members rather than of their mean", () => {
    const zonal = [...none, ...flat];
    const two = of([pairOf(zonal, zonal), pairOf([...none, ...none], zonal)])!;
    expect(two.values).toEqual(close([(2 / 3) * 2, 0, 0]));
    // Two members in opposite phase have the energy of each, their mean has none.
    const [one, other] = [
      [...none, 1, -1, 1, -1],
      [...none, -1, 1, -1, 1],
    ].map((x) => Float64Array.from(x));
    const made = of([ensemblePair([one!, other!], Float64Array.from(zonal))])!;
    expect(made.values).toEqual(close([0, 0, (2 / 3) * 2]));
  });

  test("circles that are not whole do not count: cut by a region, or without a truth", () => {
    const pair = pairOf([...wavy, ...flat], [...flat, Number.NaN, ...flat.slice(1)]);
    const south = [1 / 2, 1 / 2, 1];
    expect(of([pair])!.values).toEqual(close(south));
    const whole = pairOf([...wavy, ...flat], [...flat, ...flat]);
    expect(of([whole], { grid, cells: someCells(cells, [0, 1, 2, 3, 5, 6, 7]) })!.values).toEqual(
      close(south),
    );
    expect(of([whole], { grid, cells: someCells(cells, [1, 2, 3, 4, 5, 6]) })).toBeUndefined();
  });

  test("grids that do not go round, or unevenly, have none", () => {
    for (const lon of [
      [0, 30, 60, 90],
      [0, 80, 180, 270],
    ]) {
      expect(
        of([pairOf([...wavy, ...flat], [...flat, ...none])], { grid: makeGrid([-60, 0], lon) }),
      ).toBeUndefined();
    }
  });

  test("adds up to the square along the circle where the columns are odd in number (Parseval)", () => {
    const W = 45;
    const odd = makeGrid(
      [0],
      Float64Array.from({ length: W }, (_, i) => (i * 360) / W),
    );
    const values = Array.from({ length: W }, (_, i) => Math.sin(i * i));
    const made = of([pairOf(values, values)], { grid: odd })!;
    const square = values.reduce((sum, x) => sum + x * x, 0) / W;
    expect(made.values.reduce((sum, s) => sum + s, 0) / equator).toBeCloseTo(square, 14);
    expect(made.truth).toEqual(made.values);
  });
});
