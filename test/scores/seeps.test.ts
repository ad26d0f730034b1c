import { describe, expect, test } from "vitest";
import { makeGrid } from "../../src/grid/grid.ts";
import type { Field, FieldPair } from "../../src/scores/metric.ts";
import { metricInfo } from "../../src/scores/metrics.ts";
import { score as scoreOf } from "./scored.ts";

const seeps = metricInfo("seeps");
const mm = 1e-3; // precipitation is in metres

interface Given {
  readonly p?: number[];
  readonly heavy?: number[];
  readonly variable?: string;
  readonly kind?: typeof Float64Array | typeof Float32Array;
}

/** Of cells in one row, of dry fraction 1/2 and a border of 4 mm unless given; rain in mm. */
function pair(forecast: number[], truth: number[], { p, heavy, kind = Float64Array }: Given): FieldPair {
  const all = (value: number) => forecast.map(() => value);
  const field = (values: number[]): Field => kind.from(values.map((x) => x * mm));
  return {
    forecast: field(forecast),
    truth: field(truth),
    seeps: { dryFraction: kind.from(p ?? all(0.5)), heavy: field(heavy ?? all(4)) },
  };
}

function score(forecast: number[], truth: number[], given: Given = {}): number {
  const grid = makeGrid(
    [0],
    forecast.map((_, i) => i),
  );
  const { variable = "total_precipitation_24hr" } = given;
  return scoreOf(seeps, [pair(forecast, truth, given)], { grid, variable });
}

describe("SEEPS", () => {
  const [dry, light, heavy] = [0, 1, 9];

  // With p = 1/2: 1 / (1 - p) = 2, 1 / p = 2, 3 / (2 + p) = 6/5.
  test.for([
    [dry, dry, 0],
    [dry, light, 1],
    [dry, heavy, 4],
    [light, dry, 1],
    [light, light, 0],
    [light, heavy, 3],
    [heavy, dry, 1 + 3 / 5],
    [heavy, light, 3 / 5],
    [heavy, heavy, 0],
  ] as const)("a forecast of %f mm where %f mm fell costs %f", ([forecast, truth, cost]) => {
    expect(score([forecast], [truth])).toBeCloseTo(cost, 14);
  });

  test("costs go by the dry fraction of the cell", () => {
    // p = 1/4: 1/2 . 4 / (1 - p) = 8/3; 1/2 (1 / p + 3 / (2 + p)) = 2 + 2/3.
    expect(score([dry], [heavy], { p: [1 / 4] })).toBeCloseTo(8 / 3, 14);
    expect(score([heavy], [dry], { p: [1 / 4] })).toBeCloseTo(8 / 3, 14);
  });

  test("leaves out cells that are too wet or too dry, and those whose truth or border is not known", () => {
    const p = [0.1, 0.85, 0.5, 0.5, 0.5, 0.5];
    const border = [4, 4, 4, 4, Number.NaN, 4];
    const truth = [heavy, heavy, heavy, Number.NaN, heavy, dry];
    expect(score([dry, dry, dry, dry, dry, dry], truth, { p, heavy: border })).toBeCloseTo(4 / 2, 14);
    expect(score([dry], [heavy], { p: [0.1] })).toBeNaN();
  });

  test.for([Float64Array, Float32Array])("%o: rain at a border is of the greater class", (kind) => {
    // 0.25 mm is light and 4 mm heavy, for forecast and truth.
    expect(score([0.25, 4], [dry, light], { kind })).toBeCloseTo((1 + 3 / 5) / 2, 6);
    expect(score([dry, light], [0.25, 4], { kind })).toBeCloseTo((1 + 3) / 2, 6);
    expect(score([0.25, 4], [light, heavy], { kind })).toBe(0);
    // Of six hours the dry ones have less than 0.1 mm.
    expect(score([0.1], [dry], { kind, variable: "total_precipitation_6hr" })).toBeCloseTo(1, 6);
    expect(score([0.1], [dry], { kind })).toBe(0);
  });

  test("is of sums over 6 and 24 hours alone", () => {
    const names = [
      "total_precipitation_6hr",
      "total_precipitation_24hr",
      "total_precipitation",
      "2m_temperature",
    ];
    expect(names.map((name) => seeps.applies!(name))).toEqual([true, true, false, false]);
  });

  test("climatological chance forecasts of any one class score 1 on average", () => {
    // Where dry, light and heavy fall with p, 2 (1 - p) / 3 and (1 - p) / 3; p = 2/5: of 15 times 6, 6 and 3.
    const truth = [
      ...Array<number>(6).fill(dry),
      ...Array<number>(6).fill(light),
      ...Array<number>(3).fill(heavy),
    ];
    for (const always of [dry, light, heavy]) {
      const forecast = truth.map(() => always);
      expect(score(forecast, truth, { p: truth.map(() => 2 / 5) })).toBeCloseTo(1, 14);
    }
  });
});
