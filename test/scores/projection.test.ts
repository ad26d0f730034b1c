/** ClimateBench's scores by hand, and beside microsoft/ClimaX on one random case (float32), `test/fixtures/metrics.npz`. */
import { beforeAll, describe, expect, test } from "vitest";
import { readNpz } from "../../src/files/npy.ts";
import type { Grid } from "../../src/grid/grid.ts";
import { cellWeights, definition } from "../../src/scores/definitions.ts";
import type {
  CellMetric,
  Cells,
  DerivedMetric,
  Field,
  FieldPair,
  MetricInfo,
  SeriesMetric,
} from "../../src/scores/metric.ts";
import { nrmseGlobal, nrmseSpatial, nrmseTotal } from "../../src/scores/projection.ts";

const climax = definition("climax");

/** The whole globe, or the cells named. */
function cellsOf(grid: Grid, only?: readonly number[]): Cells {
  const weights = cellWeights(grid, climax);
  const all = Array.from(weights.keys());
  for (const i of all) if (only && !only.includes(i)) weights[i] = 0;
  return { grid, weights, inside: Int32Array.from(only ?? all) };
}

const make = (info: MetricInfo, grid: Grid) =>
  info.make({ definition: climax, grid, members: 1, variable: "2m_temperature" });

/** The three scores of some years. */
function scores(pairs: readonly FieldPair[], cells: Cells) {
  const s = make(nrmseSpatial, cells.grid) as CellMetric;
  const g = make(nrmseGlobal, cells.grid) as SeriesMetric;
  const fields = Array.from({ length: s.size }, () => new Float64Array(cells.weights.length));
  const sums = new Float64Array(g.size);
  for (const pair of pairs) {
    s.measure(pair, fields);
    const numbers = g.measure(pair, cells);
    for (let k = 0; numbers && k < g.size; k++) sums[k]! += numbers[k]!;
  }
  const [spatial, global] = [s.score(fields, cells, pairs.length), g.score(sums)];
  const total = make(nrmseTotal, cells.grid) as DerivedMetric;
  expect(total.from).toEqual(["nrmse_s", "nrmse_g"]);
  return { spatial, global, total: total.score([spatial, global]) };
}

// cos 60 = 1/2 and cos 0 = 1, so the rows weigh 2/3 and 4/3.
const tiny: Grid = { lat: Float64Array.of(-60, 0), lon: Float64Array.of(0, 180) };
const pair = (forecast: number[], truth: number[]): FieldPair => ({
  forecast: Float64Array.from(forecast),
  truth: Float64Array.from(truth),
});
const unknown = Number.NaN;

describe("by hand", () => {
  test("errors +3 and -1 everywhere: the time mean is off by 1, the global mean by 3 and 1; the truth is 2", () => {
    const years = [pair([5, 5, 5, 5], [2, 2, 2, 2]), pair([1, 1, 1, 1], [2, 2, 2, 2])];
    const { spatial, global, total } = scores(years, cellsOf(tiny));
    expect(spatial).toBeCloseTo(1 / 2, 14);
    expect(global).toBeCloseTo(Math.sqrt(5) / 2, 14);
    expect(total).toBeCloseTo(1 / 2 + (5 * Math.sqrt(5)) / 2, 14);
  });

  test("cells weigh by the cosine of their latitude, in errors and in the normaliser", () => {
    // Errors of 3 in the row at 60 S, 0 at the equator; the truth is 1 and 4: <y> = (2/3 1 + 4/3 4) / 2 = 3.
    const { spatial, global } = scores([pair([4, 4, 4, 4], [1, 1, 4, 4])], cellsOf(tiny));
    expect(spatial).toBeCloseTo(Math.sqrt(3) / 3, 14); // w-mean of 9 and 0: 2/3 9 / 2 = 3
    expect(global).toBeCloseTo(1 / 3, 14); // <f> - <y> = 1
  });

  test("a normaliser below zero counts as its size", () => {
    const { spatial, global } = scores([pair([-5, -5, -5, -5], [-4, -4, -4, -4])], cellsOf(tiny));
    expect([spatial, global]).toEqual([0.25, 0.25]);
  });

  test("a cell that a year lacks has no time mean; that year's global mean is of the other cells", () => {
    const years = [pair([9, 3, 3, 3], [unknown, 2, 2, 2]), pair([9, 4, 2, 2], [1, 2, 2, 2])];
    const { spatial, global } = scores(years, cellsOf(tiny));
    // Cell 0 is out: time-mean errors 1.5, 0.5, 0.5 with weights 2/3, 4/3, 4/3; truth 2 in all three.
    expect(spatial).toBeCloseTo(Math.sqrt((2.25 + 2 * 0.25 + 2 * 0.25) / 5) / 2, 14);
    // Year 1: error 1 over three cells, <y> 2. Year 2: errors 8, 2, 0, 0: (8 + 2) 2/3 / 4 = 5/3; <y> = (1 + 2) 2/3 / 4 + 4/3 = 11/6.
    expect(global).toBeCloseTo(Math.sqrt((1 + 25 / 9) / 2) / ((2 + 11 / 6) / 2), 14);
  });

  test("a region counts its own cells alone, and its own normaliser", () => {
    const { spatial, global } = scores([pair([9, 9, 6, 6], [1, 1, 4, 4])], cellsOf(tiny, [2, 3]));
    expect([spatial, global]).toEqual([0.5, 0.5]);
  });

  test("a year without any truth has no global mean and leaves no time mean", () => {
    const years = [pair([3, 3, 3, 3], [2, 2, 2, 2]), pair([3, 3, 3, 3], Array(4).fill(unknown))];
    const { spatial, global } = scores(years, cellsOf(tiny));
    expect(spatial).toBeNaN();
    expect(global).toBe(0.5);
  });
});

describe("beside microsoft/ClimaX", () => {
  let arrays: Awaited<ReturnType<typeof readNpz>>;
  beforeAll(async () => {
    arrays = await readNpz("test/fixtures/metrics.npz");
  });
  const numbers = (name: string) => arrays.get(name)!.data as Field;
  const expected = (name: string) => numbers(name)[0]!;
  const field = (name: string, b: number, v: number) =>
    numbers(name).subarray((b * 2 + v) * 512, (b * 2 + v + 1) * 512);

  test.for([
    [0, "geopotential_500"],
    [1, "2m_temperature"],
  ] as const)("%i: NRMSEs, NRMSEg and their total of %s", ([v, name]) => {
    const grid: Grid = {
      lat: Float64Array.from(numbers("lat")),
      lon: Float64Array.from({ length: 32 }, (_, i) => (i * 360) / 32),
    };
    const cells = cellsOf(grid);
    const pairs = Array.from({ length: 6 }, (_, b) => ({
      forecast: field("pred", b, v),
      truth: field("y", b, v),
    }));
    const found = scores(pairs, cells);
    // The reference was given a normaliser; ours is the truth's own weighted mean.
    const own =
      pairs.reduce(
        (sum, { truth }) =>
          sum + Float64Array.from(truth).reduce((s, y, i) => s + (cells.weights[i]! * y) / 512, 0),
        0,
      ) / 6;
    const rescale = Math.abs(own) / expected("climatebench_normalization");
    // The reference subtracts two float32 means: what is left carries half a unit in the 24th bit of each, and of their sum.
    const rounding = (3 * 2 ** -24 * Math.abs(own)) / expected("climatebench_normalization");
    const expectClose = (value: number, key: string, allowed?: number) => {
      const wanted = expected(`climatebench/${key}_${name}`);
      expect(Math.abs(value * rescale - wanted), `${value * rescale} beside ${wanted}`).toBeLessThanOrEqual(
        allowed ?? 1e-5 * wanted,
      );
    };
    expectClose(found.spatial, "w_nrmses");
    expectClose(found.global, "w_nrmseg", rounding);
    expectClose(found.total, "w_nrmse", 5 * rounding);
  });
});
