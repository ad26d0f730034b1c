/** Scores of single forecasts, worked by hand on grids of a few cells, and the table of all metrics. */
import { describe, expect, test } from "vitest";
import { cellWeights, type Definition, definition } from "../../src/scores/definitions.ts";
import type { FieldPair, MetricInfo } from "../../src/scores/metric.ts";
import {
  checkMetrics,
  ensembleMetrics,
  metricInfo,
  metricNames,
  metricTable,
} from "../../src/scores/metrics.ts";
import { allCells, score as scoreOf, someCells } from "./scored.ts";

// cos 60 = 1/2 and cos 0 = 1, so the rows weigh 2/3 and 4/3.
const grid = { lat: Float64Array.of(-60, 0), lon: Float64Array.of(0, 180) };
const climax = definition("climax");
const wb1 = definition("weatherbench1");
const wb2 = definition("weatherbench2");
const {
  rmse,
  mse,
  mae,
  bias,
  acc,
  pearson,
  mean_bias: meanBias,
} = metricTable as Record<string, MetricInfo> & {
  [name in "rmse" | "mse" | "mae" | "bias" | "acc" | "pearson" | "mean_bias"]: MetricInfo;
};

type Row = [forecast: number[], truth: number[], climatology?: number[]];
const pairOf = ([forecast, truth, climatology = [0, 0, 0, 0]]: Row): FieldPair => ({
  forecast: Float64Array.from(forecast),
  truth: Float64Array.from(truth),
  climatology: Float64Array.from(climatology),
});

/** The score of rows of fields [H * W]. Hand-worked values are exact to rounding in f64. */
const score = (info: MetricInfo, by: Definition, rows: Row[], cells = allCells(grid, climax)): number =>
  scoreOf(info, rows.map(pairOf), { grid, by, cells });

describe("weights", () => {
  test("cos(latitude) over its mean, for each cell", () => {
    expect([...cellWeights(grid, climax)]).toEqual(
      [2 / 3, 2 / 3, 4 / 3, 4 / 3].map((w) => expect.closeTo(w, 14)),
    );
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
          allCells(grid, by),
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
    const equal = { ...allCells(grid, climax), weights: Float64Array.of(1, 1, 1, 1) };
    // First: a = b, so 1. Second: a = (1, 1, 0, 0), b = (1, 0, 0, 0): 1 / sqrt(2). A shift of both is not removed.
    const rows: Row[] = [
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

  test("per forecast: one without an anomaly does not count", () => {
    const c = [1, 2, 3, 4];
    const half: Row = [[2, 3, 3, 4], [2, 2, 3, 4], c];
    // a = (1, 1, 0, 0), b = (1, 0, 0, 0), equal weights in their row: 1 / sqrt 2.
    expect(score(acc, wb2, [half, [c, [2, 3, 1, 4], c]])).toBeCloseTo(Math.SQRT1_2, 14);
  });

  test("has no value without anomalies", () => {
    const c = [1, 2, 3, 4];
    expect(score(acc, climax, [[c, [2, 3, 1, 4], c]])).toBeNaN();
    expect(score(acc, wb2, [[c, [2, 3, 1, 4], c]])).toBeNaN();
  });
});

test("scores do not depend on the order of the forecasts", () => {
  const rows = Array.from(
    { length: 9 },
    (_, n): Row => [
      [n, 2 - n, (n * 7) % 5, 1],
      [1, n % 3, 2, n % 4],
      [0.5, 1, 1.5, 2],
    ],
  );
  for (const by of [climax, wb1, wb2]) {
    for (const metric of [rmse, mae, bias, acc]) {
      expect(score(metric, by, rows.toReversed())).toBeCloseTo(score(metric, by, rows), 13);
    }
  }
});

describe("regions", () => {
  const corner = someCells(allCells(grid, climax), [1, 2]);

  test("only the cells inside count, with their weights", () => {
    const rows: Row[] = [
      [
        [99, 3, 6, 99],
        [0, 0, 3, 0],
        [0, 1, 0, 0],
      ],
    ];
    // Errors 3 and 3; 2/3 9 + 4/3 9 over 2.
    expect(score(rmse, wb2, rows, corner)).toBeCloseTo(3, 14);
    expect(score(mse, wb2, rows, corner)).toBeCloseTo(9, 14);
    expect(score(mae, wb2, rows, corner)).toBeCloseTo(3, 14);
    expect(
      score(
        bias,
        wb2,
        [
          [
            [99, 3, 0, 99],
            [0, 0, 3, 0],
          ],
        ],
        corner,
      ),
    ).toBeCloseTo((2 - 4) / 2, 14);
    // a = (2, 6), b = (-1, 3): (2/3 (-2) + 4/3 18) / sqrt((2/3 4 + 4/3 36) (2/3 1 + 4/3 9)).
    expect(score(acc, wb2, rows, corner)).toBeCloseTo(68 / Math.sqrt(152 * 38), 14);
  });

  test("the unweighted mean anomaly is that of the region", () => {
    // a = (2, 6), mean 4; b = (-1, 3), mean 1: both deviate by -2 and 2, so they agree.
    const rows: Row[] = [
      [
        [99, 3, 6, 99],
        [0, 0, 3, 0],
        [0, 1, 0, 0],
      ],
    ];
    expect(score(acc, climax, rows, corner)).toBeCloseTo(1, 14);
  });

  test("so does what is unweighted", () => {
    const rows: Row[] = [
      [
        [99, 3, 6, 99],
        [0, 0, 4, 0],
      ],
      [
        [99, 1, 2, 99],
        [0, 0, 1, 0],
      ],
    ];
    expect(score(meanBias, climax, rows, corner)).toBeCloseTo((3 + 2 + 1 + 1) / 4, 14);
    // f = 3 6 1 2, mean 3; y = 0 4 0 1, mean 5/4: covariance 26 - 15, variances 50 - 36 and 17 - 25/4.
    expect(score(pearson, climax, rows, corner)).toBeCloseTo(11 / Math.sqrt(14 * (43 / 4)), 14);
  });
});

describe("scores of the downscaling task", () => {
  const rows: Row[] = [
    [
      [1, 2, 7, 7],
      [1, 3, Number.NaN, Number.NaN],
    ],
    [
      [3, Number.NaN, 7, 7],
      [2, Number.NaN, Number.NaN, Number.NaN],
    ],
  ];

  test("are unweighted", () => {
    // (1, 2, 3) with (1, 3, 2): covariance 1, variances 2 and 2.
    expect(score(pearson, climax, rows)).toBeCloseTo(0.5, 14);
    expect(score(meanBias, climax, rows)).toBeCloseTo(0, 14);
  });

  test("Pearson keeps its digits where the mean is large", () => {
    const far = rows.map(([f, y]): Row => [f.map((x) => 2e5 + 10 * x), y.map((x) => 2e5 + 10 * x)]);
    // Within a forecast nothing is lost; between forecasts squares of 2e5 leave 1e-16 (2e5 / 10)^2 of the variance.
    expect(score(pearson, climax, far)).toBeCloseTo(0.5, 6);
    expect(score(pearson, climax, far.slice(0, 1))).toBeCloseTo(1, 7);
  });

  test("a constant field has no correlation, however large it is", () => {
    const constant = Array<number>(4).fill(101325.7);
    expect(score(pearson, climax, [[constant, [1, 2, 3, 4]]])).toBeNaN();
    expect(
      score(pearson, climax, [
        [[1, 2, 3, 4], constant],
        [[4, 1, 2, 2], constant],
      ]),
    ).toBeNaN();
  });
});

test("wind vector RMSE: the squared errors of both components add up", () => {
  const info = metricTable.wind_vector_rmse!;
  const pair: FieldPair = {
    ...pairOf([
      [3, 1, 0, 5],
      [0, 1, 0, 0],
    ]),
    other: pairOf([
      [4, 0, 1, 5],
      [0, 0, 0, Number.NaN],
    ]),
  };
  // |error|^2 = 25, 0, 1 and none where v is not known: (2/3 25 + 4/3) / (2/3 + 2/3 + 4/3).
  const expected = (2 / 3) * 25 + 4 / 3;
  for (const by of [climax, wb1]) {
    expect(scoreOf(info, [pair], { grid, by })).toBeCloseTo(Math.sqrt(expected / (8 / 3)), 14);
  }
  // Errors of length 5 and 0: the mean of the roots is 5/2, the root of the mean 5 / sqrt 2.
  const still: FieldPair = {
    ...pairOf([
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ]),
    other: pairOf([
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ]),
  };
  const wind: FieldPair = {
    ...still,
    forecast: new Float64Array(4).fill(3),
    other: pairOf([
      [4, 4, 4, 4],
      [0, 0, 0, 0],
    ]),
  };
  expect(scoreOf(info, [still, wind], { grid, by: climax })).toBeCloseTo(5 / 2, 14);
  expect(scoreOf(info, [still, wind], { grid, by: wb1 })).toBeCloseTo(5 / Math.SQRT2, 14);
  expect(
    ["u_component_of_wind_500", "10m_u_component_of_wind", "v_component_of_wind_500", "2m_temperature"].map(
      (name) => info.applies!(name) && info.rowVariable!(name),
    ),
  ).toEqual(["wind_500", "10m_wind", false, false]);
});

describe("activity", () => {
  const { activity, activity_ratio: ratio } = metricTable as Record<
    "activity" | "activity_ratio",
    MetricInfo
  >;
  // Anomalies 3, 1, 0, 2 and 1, 1, 0, 0; their weighted means (8/3 + 8/3) / 4 = 4/3 and (4/3) / 4 = 1/3.
  const rows: Row[] = [
    [
      [4, 2, 5, 7],
      [2, 2, 5, 5],
      [1, 1, 5, 5],
    ],
  ];

  test("about the mean over cells, as at ECMWF", () => {
    // (2/3 (9 + 1) + 4/3 (0 + 4)) / 4 - 16/9 = 11/9 and (2/3 2) / 4 - 1/9 = 2/9.
    expect(score(activity, climax, rows)).toBeCloseTo(Math.sqrt(11 / 9), 14);
    expect(score(ratio, climax, rows)).toBeCloseTo(Math.sqrt(11 / 2), 13);
  });

  test("about zero, as in WeatherBench-X", () => {
    expect(score(activity, wb2, rows)).toBeCloseTo(Math.sqrt(3), 14);
    expect(score(ratio, wb2, rows)).toBeCloseTo(3, 14);
  });

  test("of several forecasts, the root of the mean variance; climatology has none", () => {
    const usual: Row = [
      [1, 1, 5, 5],
      [2, 2, 5, 5],
      [1, 1, 5, 5],
    ];
    expect(score(activity, climax, [...rows, usual])).toBeCloseTo(Math.sqrt(11 / 18), 14);
    expect(score(activity, climax, [usual])).toBe(0);
    expect(score(ratio, climax, [usual])).toBe(0);
  });
});

describe("the table", () => {
  test("an unknown name is refused with the nearest one", () => {
    expect(() => definition("weatherbench3")).toThrow('unknown definition "weatherbench3"');
    expect(() => checkMetrics(["rmse", "rsme"])).toThrow('unknown metric "rsme"');
    expect(() => metricInfo("toString")).toThrow('unknown metric "toString"');
    try {
      metricInfo("biass");
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({
        kind: "config",
        hint: expect.stringContaining('did you mean "bias"? Known: rmse, mse'),
      });
      expect(error).toMatchObject({ hint: expect.stringContaining("brier(VARIABLE>NUMBER)") });
    }
  });

  test("names are kept once, in their order", () => {
    expect(checkMetrics(["mae", "rmse", "mae"])).toEqual(["mae", "rmse"]);
    expect(checkMetrics(metricNames)).toEqual(metricNames);
    expect(metricNames).toEqual(expect.arrayContaining([...ensembleMetrics]));
  });

  test("each title stands for one metric", () => {
    const titles = metricNames.map((name) => metricTable[name]!.title);
    expect(new Set(titles).size).toBe(titles.length);
  });

  test("what follows from other scores names them", () => {
    const context = { definition: climax, grid, members: 1, variable: "2m_temperature" };
    for (const name of metricNames) {
      const metric = metricTable[name]!.make(context);
      if (metric.kind === "derived") expect(metricNames).toEqual(expect.arrayContaining([...metric.from]));
    }
  });
});
