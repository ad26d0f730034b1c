import { describe, expect, test } from "vitest";
import type { Metric } from "../../src/eval/accumulator.ts";
import { cellWeights, type Definition, definition } from "../../src/eval/definitions.ts";
import { acc, bias, checkMetrics, mae, rmse } from "../../src/eval/metrics.ts";
import { meanBias, pearson, projectionScores, weightedMse } from "../../src/eval/reference.ts";

// cos 60 = 1/2 and cos 0 = 1, so the rows weigh 2/3 and 4/3.
const grid = { lat: Float64Array.of(-60, 0), lon: Float64Array.of(0, 180) };
const climax = definition("climax");
const wb1 = definition("weatherbench1");
const wb2 = definition("weatherbench2");
const weights = cellWeights(grid, climax);

/** The score of rows of [forecast, truth, climatology], each [H * W]. Hand-worked values are exact to rounding in f64. */
function score(
  metric: Metric,
  by: Definition,
  rows: [number[], number[], number[]?][],
  cells = weights,
): number {
  const accumulator = metric(cells, by);
  for (const [forecast, truth, climatology = [0, 0, 0, 0]] of rows) {
    accumulator.add({
      forecast: Float64Array.from(forecast),
      truth: Float64Array.from(truth),
      climatology: Float64Array.from(climatology),
    });
  }
  return accumulator.value();
}

describe("weights", () => {
  test("cos(latitude) over its mean, for each cell", () => {
    expect([...weights]).toEqual([2 / 3, 2 / 3, 4 / 3, 4 / 3].map((w) => expect.closeTo(w, 14)));
  });

  test("cell areas under weatherbench2: borders half way, the first and the last at the poles", () => {
    const area = cellWeights({ lat: Float64Array.of(-60, 0, 60), lon: Float64Array.of(0) }, wb2);
    // sin(-30) - sin(-90) = 1/2, sin(30) - sin(-30) = 1, and 1/2 again; their mean is 2/3.
    expect([...area]).toEqual([0.75, 1.5, 0.75].map((w) => expect.closeTo(w, 14)));
  });
});

describe("rmse", () => {
  test("weighs each row by the cosine of its latitude", () => {
    expect(
      score(rmse, climax, [
        [
          [3, 3, 0, 0],
          [0, 0, 0, 0],
        ],
      ]),
    ).toBeCloseTo(Math.sqrt((2 / 3) * (9 / 2)), 14);
  });

  const one = [1, 1, 1, 1];
  const three = [3, 3, 3, 3];
  const zero = [0, 0, 0, 0];

  test("climax takes the root per forecast, then the mean: (1 + 3) / 2", () => {
    expect(
      score(rmse, climax, [
        [one, zero],
        [three, zero],
      ]),
    ).toBeCloseTo(2, 14);
  });

  test("weatherbench1 and weatherbench2 take the root of the mean: sqrt((1 + 9) / 2)", () => {
    for (const by of [wb1, wb2]) {
      expect(
        score(
          rmse,
          by,
          [
            [one, zero],
            [three, zero],
          ],
          cellWeights(grid, by),
        ),
      ).toBeCloseTo(Math.sqrt(5), 14);
    }
  });

  test("leaves cells without truth out, with their weight", () => {
    // Left are one cell of 2/3 with error 2 and two of 4/3 with error 1: (8/3 + 8/3) / (10/3) = 1.6.
    const truth = [0, Number.NaN, 0, 0];
    expect(score(rmse, climax, [[[2, 99, 1, 1], truth]])).toBeCloseTo(Math.sqrt(1.6), 14);
  });

  test("a forecast that is NaN where the truth is known has no score", () => {
    expect(score(rmse, climax, [[[Number.NaN, 0, 0, 0], zero]])).toBeNaN();
  });

  test("a forecast whose truth is missing everywhere does not count", () => {
    const nothing = Array<number>(4).fill(Number.NaN);
    expect(
      score(rmse, climax, [
        [one, zero],
        [three, nothing],
      ]),
    ).toBeCloseTo(1, 14);
    expect(score(rmse, climax, [[three, nothing]])).toBeNaN();
  });
});

test("mae is the weighted mean of the absolute error", () => {
  // (2/3 (3 + 1) + 4/3 (2 + 0)) / 4 = 16/3 / 4
  expect(
    score(mae, climax, [
      [
        [3, -1, 2, 0],
        [0, 0, 0, 0],
      ],
    ]),
  ).toBeCloseTo(4 / 3, 14);
});

test("bias is forecast minus truth", () => {
  // (2/3 (3 - 1) + 4/3 (2 - 3)) / 4 = 0 and (4/3 * 4) / 4 = 4/3
  expect(
    score(bias, climax, [
      [
        [3, -1, 2, -3],
        [0, 0, 0, 0],
      ],
    ]),
  ).toBeCloseTo(0, 14);
  expect(
    score(bias, climax, [
      [
        [0, 0, 4, 0],
        [0, 0, 0, 0],
      ],
    ]),
  ).toBeCloseTo(4 / 3, 14);
});

describe("acc", () => {
  test("is 1 for the truth, whatever the climatology", () => {
    const state = [4, 7, 1, 9];
    for (const by of [climax, wb1, wb2]) {
      expect(score(acc, by, [[state, state, [1, 2, 3, 4]]])).toBeCloseTo(1, 14);
    }
  });

  test("pooled and centred: the unweighted mean anomaly goes, the weights stay", () => {
    // a = (2, 0, 0, 2), mean 1 -> (1, -1, -1, 1); b = (1, 0, 1, 2), mean 1 -> (0, -1, 0, 1).
    // sum w a b = 2/3 + 4/3 = 2; sum w a^2 = 4; sum w b^2 = 2/3 + 4/3 = 2.
    const c = [10, 20, 30, 40];
    const f = [12, 20, 30, 42];
    const y = [11, 20, 31, 42];
    expect(score(acc, climax, [[f, y, c]])).toBeCloseTo(2 / Math.sqrt(8), 14);
    expect(score(acc, wb1, [[f, y, c]])).toBeCloseTo(2 / Math.sqrt(8), 14);
  });

  test("pooled: a uniform shift of all forecasts changes nothing; of one of them it does", () => {
    const c = [0, 0, 0, 0];
    const y: [number[], number[]] = [
      [1, -1, 2, 0],
      [0, 3, -1, 1],
    ];
    const f: [number[], number[]] = [
      [2, 0, 1, 0],
      [1, 1, -2, 2],
    ];
    const shifted = f.map((row) => row.map((x) => x + 7)) as typeof f;
    const plain = score(acc, climax, [
      [f[0], y[0], c],
      [f[1], y[1], c],
    ]);
    expect(
      score(acc, climax, [
        [shifted[0], y[0], c],
        [shifted[1], y[1], c],
      ]),
    ).toBeCloseTo(plain, 12);
    expect(
      Math.abs(
        score(acc, climax, [
          [shifted[0], y[0], c],
          [f[1], y[1], c],
        ]) - plain,
      ),
    ).toBeGreaterThan(0.1);
  });

  test("per forecast: nothing is taken away, then the mean over forecasts", () => {
    const equal = Float64Array.of(1, 1, 1, 1);
    // First: a = b, so 1. Second: a = (1, 1, 0, 0), b = (1, 0, 0, 0): 1 / sqrt(2). A shift of both is not removed.
    const rows: [number[], number[]][] = [
      [
        [5, 5, 5, 5],
        [3, 3, 3, 3],
      ],
      [
        [1, 1, 0, 0],
        [1, 0, 0, 0],
      ],
    ];
    expect(score(acc, wb2, rows, equal)).toBeCloseTo((1 + Math.SQRT1_2) / 2, 14);
  });

  test("has no value without anomalies", () => {
    const c = [1, 2, 3, 4];
    expect(score(acc, climax, [[c, [2, 3, 1, 4], c]])).toBeNaN();
    expect(score(acc, wb2, [[c, [2, 3, 1, 4], c]])).toBeNaN();
  });
});

test("scores do not depend on the order of the forecasts", () => {
  const rows: [number[], number[], number[]][] = Array.from({ length: 9 }, (_, n) => [
    [n, 2 - n, (n * 7) % 5, 1],
    [1, n % 3, 2, n % 4],
    [0.5, 1, 1.5, 2],
  ]);
  for (const by of [climax, wb1, wb2]) {
    for (const metric of [rmse, mae, bias, acc]) {
      expect(score(metric, by, rows.toReversed())).toBeCloseTo(score(metric, by, rows), 13);
    }
  }
});

describe("scores of the ClimaX code base", () => {
  const f = Float64Array.of(3, 1, 2, 0);
  const y = Float64Array.of(0, 0, 0, 0);

  test("weighted MSE divides by the kept cells, not by their weight", () => {
    const plain = weightedMse(weights);
    plain.add(f, y);
    expect(plain.value()).toBeCloseTo(((2 / 3) * 10 + (4 / 3) * 4) / 4, 14);
    const masked = weightedMse(weights);
    masked.add(f, y, Float64Array.of(1, 0, 1, 0));
    expect(masked.value()).toBeCloseTo(((2 / 3) * 9 + (4 / 3) * 4) / 2, 14);
  });

  test("projection scores: the error of the time mean, and of the global mean", () => {
    const scores = projectionScores(weights, 2);
    // Errors +3 and -1 everywhere: the time mean is off by 1, the global mean by 3 and 1.
    scores.add(Float64Array.of(3, 3, 3, 3), y);
    scores.add(Float64Array.of(-1, -1, -1, -1), y);
    const { spatial, global, total } = scores.value();
    expect(spatial).toBeCloseTo(1 / 2, 14);
    expect(global).toBeCloseTo(Math.sqrt(5) / 2, 14);
    expect(total).toBeCloseTo(1 / 2 + (5 * Math.sqrt(5)) / 2, 14);
  });

  test("projection scores are normalised by the truth's global mean by default", () => {
    const scores = projectionScores(weights);
    scores.add(Float64Array.of(5, 5, 5, 5), Float64Array.of(4, 4, 4, 4));
    expect(scores.value().spatial).toBeCloseTo(1 / 4, 14);
  });

  test("pearson and mean bias are unweighted", () => {
    const correlation = pearson();
    const difference = meanBias();
    for (const accumulator of [correlation, difference]) {
      accumulator.add({ forecast: Float64Array.of(1, 2), truth: Float64Array.of(1, 3) });
      accumulator.add({ forecast: Float64Array.of(3, Number.NaN), truth: Float64Array.of(2, Number.NaN) });
    }
    // (1, 2, 3) with (1, 3, 2): covariance 1, variances 2 and 2.
    expect(correlation.value()).toBeCloseTo(0.5, 14);
    expect(difference.value()).toBeCloseTo(0, 14);
  });
});

test("an unknown name is refused with the nearest one", () => {
  expect(() => definition("weatherbench3")).toThrow('unknown definition "weatherbench3"');
  expect(() => checkMetrics(["rmse", "rsme"])).toThrow('unknown metric "rsme"');
});
