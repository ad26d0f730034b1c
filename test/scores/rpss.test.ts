/** The ranked probability skill score by hand, on 2 x 2 points whose rows weigh 2/3 and 4/3. */
import { describe, expect, test } from "vitest";
import type { Grid } from "../../src/grid/grid.ts";
import { cellWeights, definition } from "../../src/scores/definitions.ts";
import type { CellMetric, Cells, FieldPair } from "../../src/scores/metric.ts";
import { rpss } from "../../src/scores/rpss.ts";

const grid: Grid = { lat: Float64Array.of(-60, 0), lon: Float64Array.of(0, 180) };
const weights = cellWeights(grid, definition("climax"));
const globe: Cells = { grid, weights, inside: Int32Array.of(0, 1, 2, 3) };
const nan = Number.NaN;

const field = (values: number[]) => Float64Array.from(values);

/** Terciles 1 and 2 everywhere unless given. */
function pair(truth: number[], members: number[][], lower = [1, 1, 1, 1], upper = [2, 2, 2, 2]): FieldPair {
  const all = members.map(field);
  const mean = field(truth.map((_, i) => all.reduce((sum, member) => sum + member[i]!, 0) / all.length));
  return {
    forecast: mean,
    truth: field(truth),
    members: all,
    terciles: [field(lower), field(upper)],
  };
}

function score(pairs: readonly FieldPair[], cells = globe): number {
  const metric = rpss.make({
    ...{ definition: definition("climax"), grid, members: 4, variable: "2m_temperature" },
  }) as CellMetric;
  const sums = Array.from({ length: metric.size }, () => new Float64Array(weights.length));
  for (const one of pairs) metric.measure(one, sums);
  return metric.score(sums, cells, pairs.length);
}

/** The same in every cell. */
const everywhere = (truth: number, members: number[]) =>
  pair(
    Array(4).fill(truth),
    members.map((x) => Array(4).fill(x) as number[]),
  );

describe("rpss", () => {
  test("sums squared errors of cumulative probabilities, as xskillscore", () => {
    // Members below, near, near, above: P = 1/4, 1/2, 1/4. The truth is above: RPS = (1/4)^2 + (3/4)^2 = 5/8;
    // of a third each (1/3)^2 + (2/3)^2 = 5/9.
    expect(score([everywhere(2.5, [0, 1.5, 1.5, 3])])).toBeCloseTo(1 - 5 / 8 / (5 / 9), 14);
    // The truth is near: (1/4)^2 + (1/4)^2 = 1/8; of a third each 2/9.
    expect(score([everywhere(1.5, [0, 1.5, 1.5, 3])])).toBeCloseTo(1 - 1 / 8 / (2 / 9), 14);
    // The truth is below: (3/4)^2 + (1/4)^2.
    expect(score([everywhere(0.5, [0, 1.5, 1.5, 3])])).toBeCloseTo(1 - 5 / 8 / (5 / 9), 14);
  });

  test("an edge belongs to the category above it, for truth and members", () => {
    expect(score([everywhere(1, [1, 1.9])])).toBe(1);
    expect(score([everywhere(2, [2, 2])])).toBe(1);
    expect(score([everywhere(1, [2, 2])])).toBeCloseTo(1 - 1 / (2 / 9), 14);
  });

  test("chances of a third each have no skill, and a sure forecast that is right has 1", () => {
    const truths = [0, 1.5, 3];
    expect(score(truths.map((truth) => everywhere(truth, [0, 1.5, 3])))).toBeCloseTo(0, 14);
    expect(score(truths.map((truth) => everywhere(truth, [truth])))).toBe(1);
  });

  test("is the ratio of means over forecasts in each cell, then the weighted mean over cells", () => {
    // Row at 60 S: first right, then two categories off: RPS 0 and 2 over 5/9 and 5/9. The equator: right both times.
    const pairs = [pair([0, 0, 0, 0], [[0, 0, 0, 0]]), pair([3, 3, 0, 0], [[0, 0, 0, 0]])];
    const south = 1 - 2 / (10 / 9);
    expect(score(pairs)).toBeCloseTo((2 * (2 / 3) * south + 2 * (4 / 3)) / 4, 14);
  });

  test("is never below -8, so that clipping to -10 as the challenge does would change nothing", () => {
    // All members above while the truth is near: RPS 1 over 2/9.
    expect(score([everywhere(1.5, [3])])).toBeCloseTo(-3.5, 14);
    expect(score([everywhere(1.5, [nan])])).toBeCloseTo(-8, 14);
  });

  test("a missing forecast counts as RPS 2 where the truth is known; single missing members do not count", () => {
    expect(score([everywhere(3, [nan, nan])])).toBeCloseTo(1 - 2 / (5 / 9), 14);
    expect(score([everywhere(3, [nan, 3])])).toBe(1);
  });

  test("cells without truth or without terciles are not scored; nor those outside a region", () => {
    const mixed = pair([nan, 3, 3, 0], [[0, 3, 0, 0]], [1, 1, nan, 1]);
    expect(score([mixed])).toBe(1);
    const region: Cells = { grid, weights, inside: Int32Array.of(2) };
    expect(score([pair([3, 3, 3, 3], [[0, 0, 3, 0]])], region)).toBe(1);
    expect(score([pair([nan, nan, nan, nan], [[0, 0, 0, 0]])])).toBeNaN();
  });

  test("a forecast without members is a sure one", () => {
    const { members: _, ...single } = everywhere(3, [1.5]);
    expect(score([single])).toBeCloseTo(1 - 1 / (5 / 9), 14);
  });
});
