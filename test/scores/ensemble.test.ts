/** Scores of ensembles, worked by hand on two cells. */
import { describe, expect, test } from "vitest";
import { makeGrid } from "../../src/grid/grid.ts";
import { definition } from "../../src/scores/definitions.ts";
import type { FieldPair, MetricInfo } from "../../src/scores/metric.ts";
import { metricTable } from "../../src/scores/metrics.ts";
import { allCells, curves, ensemblePair, score as scoreOf, someCells } from "./scored.ts";

// Rows at -60 and 0 degrees weigh 2/3 and 4/3.
const grid = makeGrid([-60, 0], [0]);
const {
  crps,
  crps_skill: skill,
  crps_spread: differences,
  spread,
  spread_skill: spreadSkill,
  debiased_mse: debiasedMse,
  rank_histogram: rankHistogram,
} = metricTable as Record<string, MetricInfo> as Readonly<
  Record<
    "crps" | "crps_skill" | "crps_spread" | "spread" | "spread_skill" | "debiased_mse" | "rank_histogram",
    MetricInfo
  >
>;

type Row = [members: number[][], truth: number[]];
const pairOf = ([members, truth]: Row): FieldPair =>
  ensemblePair(
    members.map((member) => Float64Array.from(member)),
    Float64Array.from(truth),
  );
const score = (info: MetricInfo, rows: Row[]) => scoreOf(info, rows.map(pairOf), { grid });

// First cell: members 3, 0, 1, truth 2: mean |X - y| = (1 + 2 + 1) / 3, pairs 3 + 2 + 1 = 6 of 3 * 2.
// Second: members 5, 5, 5, truth 4: mean |X - y| = 1, no pairs.
const members = [
  [3, 5],
  [0, 5],
  [1, 5],
];

describe("CRPS", () => {
  const expected = (1 * (4 / 3 - 1) + 2 * 1) / 3;

  test("is fair, and the same whatever the order of members", () => {
    expect(score(crps, [[members, [2, 4]]])).toBeCloseTo(expected, 14);
    expect(score(crps, [[members.toReversed(), [2, 4]]])).toBeCloseTo(expected, 14);
  });

  test("is the mean over forecasts, cells without truth left out", () => {
    const rows: Row[] = [
      [members, [2, 4]],
      [members, [Number.NaN, 5]],
      [members, [Number.NaN, Number.NaN]],
    ];
    expect(score(crps, rows)).toBeCloseTo(expected / 2, 14);
  });

  test("has two parts, E|X - y| and half of E|X - X'|", () => {
    expect(score(skill, [[members, [2, 4]]])).toBeCloseTo((4 / 3 + 2 * 1) / 3, 14);
    expect(score(differences, [[members, [2, 4]]])).toBeCloseTo(2 / 3, 14);
  });

  test("of a single forecast is its absolute error; E|X - X'| has no value then", () => {
    const single: Row = [[[1, 2]], [4, 0]];
    expect(score(crps, [single])).toBeCloseTo((1 * 3 + 2 * 2) / 3, 14);
    expect(score(skill, [single])).toBeCloseTo((1 * 3 + 2 * 2) / 3, 14);
    expect(score(differences, [single])).toBeNaN();
  });

  test.for([63, 64, 65, 200])("of %i members, sorted or not, is what all pairs give", (M) => {
    const many = Array.from({ length: M }, (_, m) => [2e5 + ((m * 37) % M) ** 1.5, 2e5 + (m % 7)]);
    let pairs = 0;
    let errors = 0;
    for (const [a, b] of many) {
      errors += Math.abs(a! - 2e5 - 30) + 2 * Math.abs(b! - 2e5 - 3);
      for (const [c, d] of many) pairs += Math.abs(a! - c!) + 2 * Math.abs(b! - d!);
    }
    const expected = (errors / M - pairs / (2 * M * (M - 1))) / 3;
    expect(score(crps, [[many, [2e5 + 30, 2e5 + 3]]]) / expected).toBeCloseTo(1, 12);
  });
});

describe("spread", () => {
  test("is the root of the mean variance with one degree of freedom less; one member has none", () => {
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

  test("over skill: the error is that of the mean", () => {
    // Mean 4/3 and 5, errors 2/3 and 1: (4/9 + 2) / 3.
    expect(score(spreadSkill, [[members, [2, 4]]])).toBeCloseTo(Math.sqrt(7 / 9 / ((4 / 9 + 2) / 3)), 14);
    expect(score(spreadSkill, [[[[1, 2]], [4, 0]]])).toBeNaN();
  });

  test("is taken off the squared error of the mean, a member's share of it", () => {
    expect(score(debiasedMse, [[members, [2, 4]]])).toBeCloseTo((4 / 9 + 2) / 3 - 7 / 9 / 3, 14);
    expect(score(debiasedMse, [[members, [4 / 3, 5]]])).toBeCloseTo(-7 / 27, 14);
    expect(score(debiasedMse, [[[[1, 2]], [4, 0]]])).toBeNaN();
  });

  test("of members that are alike is nothing, however large they are", () => {
    const alike = Array.from({ length: 9 }, () => [101325.7, 287.3]);
    expect(score(spread, [[alike, [101300.1, 280.9]]])).toBe(0);
    expect(score(spreadSkill, [[alike, [101300.1, 280.9]]])).toBe(0);
  });
});

describe("rank histogram", () => {
  const histogram = (rows: Row[], cells = allCells(grid, definition("climax"))) =>
    curves(rankHistogram, rows.map(pairOf), { grid, cells });
  const close = (values: number[]) => values.map((value) => expect.closeTo(value, 14));

  test("counts the members below the truth, by weight", () => {
    // 2 is above 0 and 1; 4 is below all.
    const made = histogram([[members, [2, 4]]])!;
    expect(made.axis).toEqual({ name: "rank", values: [0, 1, 2, 3] });
    expect(made.values).toEqual(close([2 / 3, 0, 1 / 3, 0]));
    expect(made.truth).toEqual(close([1 / 4, 1 / 4, 1 / 4, 1 / 4]));
  });

  test("shares a truth that equals members out among the ranks it may have", () => {
    // 1 equals one member and is above 0: ranks 1 and 2. 5 equals all three: all ranks.
    const made = histogram([[members, [1, 5]]])!;
    expect(made.values).toEqual(close([2 / 12, 2 / 12 + 1 / 6, 2 / 12 + 1 / 6, 2 / 12]));
  });

  test("is the mean over forecasts; cells without truth do not count", () => {
    const made = histogram([
      [members, [2, 4]],
      [members, [9, Number.NaN]],
    ])!;
    expect(made.values).toEqual(close([1 / 3, 0, 1 / 6, 1 / 2]));
    const second = someCells(allCells(grid, definition("climax")), [1]);
    expect(histogram([[members, [2, 4]]], second)!.values).toEqual(close([1, 0, 0, 0]));
  });

  test("a single forecast has none", () => {
    expect(histogram([[[[1, 2]], [4, 0]]])).toBeUndefined();
  });
});
