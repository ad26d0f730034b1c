import { describe, expect, test } from "vitest";
import { makeGrid } from "../../src/grid/grid.ts";
import type { FieldPair } from "../../src/scores/metric.ts";
import { checkMetrics, metricInfo } from "../../src/scores/metrics.ts";
import { ensemblePair, score as scoreOf } from "./scored.ts";

// Rows at -60 and 0 degrees weigh 2/3 and 4/3.
const grid = makeGrid([-60, 0], [0]);
const score = (name: string, pairs: FieldPair[]) => scoreOf(metricInfo(name), pairs, { grid });
const pair = (
  members: number[][],
  truth: number[],
  kind: typeof Float64Array | typeof Float32Array = Float64Array,
) =>
  ensemblePair(
    members.map((member) => kind.from(member)),
    kind.from(truth),
  );

// Of four members, 3 and 1 are above 10; the truth of the first cell is, that of the second is not.
const members = [
  [11, 9],
  [12, 10],
  [13, 12],
  [8, 7],
];
const truth = [15, 10];

describe("Brier score", () => {
  test("is the squared error of the probability to lie above a threshold", () => {
    // (3/4 - 1)^2 = 1/16 and (1/4 - 0)^2 = 1/16.
    expect(score("brier(2m_temperature>10)", [pair(members, truth)])).toBeCloseTo(1 / 16, 14);
    // Of the truth 9, 11: (3/4)^2 and (3/4)^2.
    expect(score("brier(2m_temperature>10)", [pair(members, [9, 11])])).toBeCloseTo(9 / 16, 14);
  });

  test("or below it: what equals the threshold is neither", () => {
    // p = 1/4 and 2/4; neither truth is below 10.
    expect(score("brier(2m_temperature<10)", [pair(members, truth)])).toBeCloseTo((1 / 16 + 2 / 4) / 3, 14);
  });

  test("fair, it is free of the sampling of the members", () => {
    // p (1 - p) / 3 = 1/16 in both.
    expect(score("fair_brier(2m_temperature>10)", [pair(members, truth)])).toBeCloseTo(0, 14);
    expect(score("fair_brier(2m_temperature<10)", [pair(members, truth)])).toBeCloseTo(
      (1 / 16 - 1 / 16 + 2 * (1 / 4 - 1 / 12)) / 3,
      14,
    );
  });

  test("a single forecast says yes or no", () => {
    for (const name of ["brier(2m_temperature>10)", "fair_brier(2m_temperature>10)"]) {
      expect(score(name, [pair([[11, 11]], truth)])).toBeCloseTo(2 / 3, 14);
    }
  });

  test("is the mean over forecasts; cells without truth do not count", () => {
    const rows = [
      pair(members, truth),
      pair(members, [Number.NaN, 11]),
      pair(members, [Number.NaN, Number.NaN]),
    ];
    expect(score("brier(2m_temperature>10)", rows)).toBeCloseTo((1 / 16 + 9 / 16) / 2, 14);
  });

  test("a threshold is rounded as the values are: float32's 303.15 is not below 303.15", () => {
    for (const kind of [Float64Array, Float32Array]) {
      const equal = pair([[303.15, 303.15]], [303.15, 400], kind);
      expect(score("brier(2m_temperature<303.15)", [equal])).toBe(0);
      expect(score("brier(2m_temperature>303.15)", [equal])).toBeCloseTo(2 / 3, 14);
    }
  });
});

describe("its name", () => {
  test("says the variable, which alone it scores, and the threshold", () => {
    const info = metricInfo("brier(2m_temperature>303.15)");
    expect(info.title).toBe("Brier score of 2m_temperature > 303.15");
    expect(["2m_temperature", "temperature_850"].map((name) => info.applies!(name))).toEqual([true, false]);
  });

  test("is made one of all ways to write it", () => {
    expect(
      checkMetrics([
        "brier(t2m > 303.150)",
        "brier(2m_temperature>303.15)",
        "fair_brier(z_500<5.1e4)",
        "rmse",
      ]),
    ).toEqual(["brier(2m_temperature>303.15)", "fair_brier(geopotential_500<51000)", "rmse"]);
  });

  test.for([
    ["brier(2m_temprature>303)", 'unknown variable "2m_temprature"'],
    ["brier(z>5e4)", 'the metric "brier(z>5e4)" is about geopotential without a level'],
    [
      "brier(2m_temperature>hot)",
      'the metric "brier(2m_temperature>hot)" has the threshold "hot", which is no number',
    ],
    ["brier(2m_temperature)", 'unknown metric "brier(2m_temperature)"'],
    ["brier", 'unknown metric "brier"'],
  ])("%s is refused", ([name, message]) => {
    expect(() => checkMetrics([name!])).toThrow(
      expect.objectContaining({ kind: "config", message: expect.stringContaining(message!) }),
    );
  });
});
