/** Scores of ensembles: cases worked by hand, and nine real ERA5 members against the tenth. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Field, Metric } from "../../src/eval/accumulator.ts";
import { cellWeights, definition } from "../../src/eval/definitions.ts";
import { crps, ensembleMean, spread, spreadSkill } from "../../src/eval/ensemble.ts";
import { rmse } from "../../src/eval/metrics.ts";
import { makeGrid } from "../../src/grid/grid.ts";
import { readGrib1 } from "../support/grib1.ts";

const climax = definition("climax");
// Rows at -60 and 0 degrees weigh 2/3 and 4/3.
const weights = cellWeights(makeGrid([-60, 0], [0]), climax);

function score(metric: Metric, rows: readonly [members: number[][], truth: number[]][]): number {
  const accumulator = metric(weights, climax);
  for (const [fields, truth] of rows) {
    const members: Field[] = fields.map((field) => Float64Array.from(field));
    const forecast = ensembleMean(members);
    accumulator.add({
      forecast,
      truth: Float64Array.from(truth),
      ...(members.length > 1 && { members }),
    });
  }
  return accumulator.value();
}

describe("by hand", () => {
  // First cell: members 3, 0, 1, truth 2: mean |X - y| = (1 + 2 + 1) / 3, pairs 3 + 2 + 1 = 6 of 3 * 2.
  // Second: members 5, 5, 5, truth 4: mean |X - y| = 1, no pairs.
  const members = [
    [3, 5],
    [0, 5],
    [1, 5],
  ];

  test("CRPS, fair, whatever the order of members", () => {
    const expected = (1 * (4 / 3 - 1) + 2 * 1) / 3;
    expect(score(crps, [[members, [2, 4]]])).toBeCloseTo(expected, 14);
    expect(score(crps, [[members.toReversed(), [2, 4]]])).toBeCloseTo(expected, 14);
    // And the mean over forecasts.
    expect(
      score(crps, [
        [members, [2, 4]],
        [members, [Number.NaN, 5]],
      ]),
    ).toBeCloseTo(expected / 2, 14);
  });

  test("CRPS of a single forecast is its absolute error", () => {
    expect(score(crps, [[[[1, 2]], [4, 0]]])).toBeCloseTo((1 * 3 + 2 * 2) / 3, 14);
  });

  test("spread is the root of the mean variance with one degree of freedom less; one member has none", () => {
    // Variances (25 + 16 + 1) / 9 / 2 = 7/3 and 0.
    expect(score(spread, [[members, [2, 4]]])).toBeCloseTo(Math.sqrt(7 / 9), 14);
    // Of two forecasts, the mean of the variances 7/9 and 8/3 before the root.
    const wide = [
      [0, 0],
      [4, 0],
    ];
    expect(
      score(spread, [
        [members, [2, 4]],
        [wide, [0, 0]],
      ]),
    ).toBeCloseTo(Math.sqrt((7 / 9 + 8 / 3) / 2), 14);
    expect(score(spread, [[[[1, 2]], [4, 0]]])).toBeNaN();
  });

  test("spread over skill: the error is that of the mean", () => {
    // Mean 4/3 and 5, errors 2/3 and 1: (4/9 + 2) / 3.
    expect(score(spreadSkill, [[members, [2, 4]]])).toBeCloseTo(Math.sqrt(7 / 9 / ((4 / 9 + 2) / 3)), 14);
    expect(score(spreadSkill, [[[[1, 2]], [4, 0]]])).toBeNaN();
  });
});

const grib = "../shared/data/era5-ensemble-grib/era5-levels-members.grib";
const reference = "../shared/data/reference-cdo/era5_eda_reference_metrics.json";
const skipped = !existsSync(grib) || !existsSync(reference);

describe.skipIf(skipped)("ERA5 members 1 to 9 against member 0 (needs ../shared/data)", () => {
  test.for([
    ["z500", 129, 500],
    ["t850", 130, 850],
  ] as const)("%s", ([short, parameter, level]) => {
    const fields = readGrib1(grib).filter((field) => field.parameter === parameter && field.level === level);
    const [{ lat, columns }] = fields as [(typeof fields)[0]];
    const grid = makeGrid(
      lat.toReversed(),
      Float64Array.from({ length: columns }, (_, i) => (i * 360) / columns),
    );
    // Rows run from north to south here; their weights are the same from either end.
    const by = definition("weatherbench2");
    const cells = cellWeights(grid, by);
    const scores = [crps, spread, spreadSkill, rmse].map((metric) => metric(cells, by));
    for (const date of new Set(fields.map((field) => field.date))) {
      const [truth, ...members] = fields
        .filter((field) => field.date === date)
        .toSorted((a, b) => a.member - b.member)
        .map(({ values }) => values);
      for (const each of scores) each.add({ forecast: ensembleMean(members), members, truth: truth! });
    }
    const wanted = JSON.parse(readFileSync(reference, "utf8"))[`${short} ensemble members1-9 vs member0`];
    const deviation = wanted["ens std sqrt(mean var ddof1)"];
    const error = wanted["ens mean RMSE (sqrt of time-mean)"];
    // Both in f64; what is left is the order of sums of 3e5 numbers near 5e4, of which the 10 above remains.
    const expected = [wanted["CRPS fair (WB2)"], deviation, deviation / error, error];
    for (const [i, value] of scores.map((each) => each.value()).entries()) {
      expect(Math.abs(value / expected[i] - 1)).toBeLessThanOrEqual(1e-11);
    }
  });
});
