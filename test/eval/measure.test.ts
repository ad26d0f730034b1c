import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatTime, parseTime } from "../../src/data/time.ts";
import type { ClimaxError } from "../../src/errors.ts";
import { measure } from "../../src/eval/measure.ts";
import type { Samples } from "../../src/eval/samples.ts";
import type { Truth } from "../../src/eval/truth.ts";
import { makeGrid } from "../../src/grid/grid.ts";
import { definition } from "../../src/scores/definitions.ts";
import type { LeadStatistics } from "../../src/scores/statistics.ts";
import { type Asked, alwaysThe, climatologyOf, measureFiles, rowsOf } from "./measuring.ts";
import { tinyFolder, writeEnsemble, writeForecast, writeTruth } from "./tinyfiles.ts";

/*
 * Rows at -60 and 0 degrees weigh 2/3 and 4/3: the weighted mean of [a, b, c, d] is (a + b + 2c + 2d) / 6.
 * All numbers are whole, so that what follows is exact but for the last bits of f64.
 */
const states = [
  [280, 280, 290, 290],
  [283, 283, 290, 290],
  [280, 280, 293, 293],
  [286, 280, 290, 290],
];
const plus = (state: number[], added: number[]) => state.map((value, i) => value + added[i]!);
/** From 0 h and from 24 h, for 24 h and 48 h. */
const forecasts = [
  [plus(states[1]!, [1, 1, 1, 1]), plus(states[2]!, [6, 0, 0, 0])],
  [plus(states[2]!, [3, 3, 3, 3]), states[3]!],
];
const hole = Number.NaN;

let folder: string;
let truth: string;
let ours: string;

beforeAll(async () => {
  folder = await tinyFolder();
  truth = await writeTruth(join(folder, "truth.nc"), [0, 24, 48, 72], { "2m_temperature": states });
  ours = await writeForecast(join(folder, "ours.nc"), [0, 24], [24, 48], { "2m_temperature": forecasts });
});
afterAll(() => rmSync(folder, { recursive: true }));

const measured = (asked: Partial<Asked> = {}) => measureFiles({ truth, forecasts: [ours], ...asked });

async function failure(asked: Partial<Asked>): Promise<ClimaxError> {
  const error: unknown = await measured(asked).then(
    () => undefined,
    (error) => error,
  );
  expect(error).toMatchObject({ name: "ClimaxError" });
  return error as ClimaxError;
}

const near = (rows: number[][]) => rows.map((row) => row.map((x) => expect.closeTo(x, 12)));

describe("series", () => {
  test("hold a row for each forecast, in order of time", async () => {
    const { statistics } = await measured({ baselines: ["persistence"], metrics: ["rmse", "mae"] });
    expect(statistics.systems).toEqual(["ours", "persistence"]);
    expect(statistics.metrics).toEqual(["rmse", "mae"]);
    expect(statistics.regions).toEqual(["global"]);
    expect(statistics.leads.map(({ variable, leadHours }) => [variable, leadHours])).toEqual([
      ["2m_temperature", 24],
      ["2m_temperature", 48],
    ]);
    const { initial, valid } = statistics.leads[1]!;
    expect(initial.map(formatTime)).toEqual(["2018-01-01T00:00:00", "2018-01-02T00:00:00"]);
    expect(valid.map(formatTime)).toEqual(["2018-01-03T00:00:00", "2018-01-04T00:00:00"]);
    // Uniform errors of 1 and 3; then 6 in one cell of weight 2/3 (36 / 6 = 6), and none.
    expect(rowsOf(statistics, { system: "ours", metric: "rmse" })).toEqual(
      near([
        [1, 1],
        [3, 1],
      ]),
    );
    expect(rowsOf(statistics, { system: "ours", metric: "rmse", lead: 48 })).toEqual(
      near([
        [Math.sqrt(6), 1],
        [0, 1],
      ]),
    );
    expect(rowsOf(statistics, { system: "ours", metric: "mae", lead: 48 })).toEqual(
      near([
        [1, 1],
        [0, 1],
      ]),
    );
    // The truth at the initial time: [-3 -3 0 0] and [3 3 -3 -3].
    expect(rowsOf(statistics, { system: "persistence", metric: "rmse" })).toEqual(
      near([
        [Math.sqrt(3), 1],
        [3, 1],
      ]),
    );
  });

  test("of regions are over their cells", async () => {
    const { statistics } = await measured({ regions: ["tropics", "-60..-30/100..200"] });
    expect(statistics.regions).toEqual(["tropics", "-60..-30/100..200"]);
    const of = (region: string) => rowsOf(statistics, { system: "ours", metric: "rmse", lead: 48, region });
    expect(of("tropics")).toEqual(
      near([
        [0, 1],
        [0, 1],
      ]),
    );
    expect(of("-60..-30/100..200")).toEqual(
      near([
        [0, 1],
        [0, 1],
      ]),
    );
    const { statistics: west } = await measured({ regions: ["-60..-30/0..90"] });
    expect(rowsOf(west, { system: "ours", metric: "rmse", lead: 48, region: "-60..-30/0..90" })).toEqual(
      near([
        [6, 1],
        [0, 1],
      ]),
    );
  });

  test("anomalies are taken from the climatology, which may be a baseline as well", async () => {
    const { statistics } = await measured({
      ...{ metrics: ["acc", "mae"], definition: "weatherbench2", baselines: ["climatology"] },
      climatologies: climatologyOf([280, 280, 290, 290]),
      anomalies: alwaysThe([280, 280, 290, 290]),
    });
    // a = [4 4 1 1], b = [3 3 0 0]: 24 / sqrt(36 . 18), with weights 1, 1, 2, 2.
    expect(rowsOf(statistics, { system: "ours", metric: "acc" })![0]![0]).toBeCloseTo(
      24 / Math.sqrt(36 * 18),
      12,
    );
    expect(rowsOf(statistics, { system: "climatology", metric: "mae" })).toEqual(
      near([
        [1, 1],
        [2, 1],
      ]),
    );
  });
});

test("all systems are scored on the cells that truth and baselines know", async () => {
  const gap = states.map((state, i) => (i === 0 ? [hole, ...state.slice(1)] : state));
  const land = await writeTruth(join(folder, "land.nc"), [0, 24, 48, 72], { "2m_temperature": gap });
  const alone = await measured({ truth: land, metrics: ["mae"] });
  expect(rowsOf(alone.statistics, { system: "ours", metric: "mae", lead: 48 })).toEqual(
    near([
      [1, 1],
      [0, 1],
    ]),
  );
  const { statistics } = await measured({ truth: land, metrics: ["mae"], baselines: ["persistence"] });
  // Persistence does not know the first cell at 0 h, where the only error is.
  expect(rowsOf(statistics, { system: "ours", metric: "mae", lead: 48 })).toEqual(
    near([
      [0, 1],
      [0, 1],
    ]),
  );
});

test("a truth that is not known anywhere makes a row that does not count", async () => {
  const path = await writeTruth(join(folder, "dark.nc"), [0, 24, 48, 72], {
    "2m_temperature": [states[0]!, [hole, hole, hole, hole], states[2]!, states[3]!],
  });
  const { statistics } = await measured({ truth: path, maps: true });
  expect(rowsOf(statistics, { system: "ours", metric: "rmse" })).toEqual([
    [hole, hole],
    [expect.closeTo(3, 12), 1],
  ]);
  expect(statistics.leads[0]!.cells[0]!.forecasts).toBe(1);
});

describe("sums over forecasts", () => {
  test("for maps: error, squared error and how many, in each cell", async () => {
    const { statistics } = await measured({ maps: true, baselines: ["persistence"] });
    const { cells } = statistics.leads[0]!;
    expect(cells.map(({ system, metric, size }) => [system, metric, size])).toEqual([
      ["ours", "maps", 3],
      ["persistence", "maps", 3],
    ]);
    expect(cells[0]!.forecasts).toBe(2);
    expect([...cells[0]!.sums]).toEqual([4, 4, 4, 4, 10, 10, 10, 10, 2, 2, 2, 2]);
    expect([...cells[1]!.sums]).toEqual([0, 0, -3, -3, 18, 18, 9, 9, 2, 2, 2, 2]);
    expect((await measured()).statistics.leads[0]!.cells).toEqual([]);
  });

  test("for maps are left out, and that is said, where they would not fit into memory", async () => {
    const grid = makeGrid(
      Array.from({ length: 3000 }, (_, row) => row / 100),
      Array.from({ length: 3000 }, (_, column) => column / 100),
    );
    const truth: Truth = {
      ...{ path: "truth", grid, synthetic: false, calendar: "standard", notes: [], training: undefined },
      ...{ times: [parseTime("2018-01-01", "standard")], units: new Map([["x", "K"]]) },
      splitOf: () => undefined,
      read: async () => new Float32Array(9e6).fill(1),
      close: async () => undefined,
    };
    const said: string[] = [];
    const none = { samples: [], initial: undefined, valid: undefined } as unknown as Samples;
    const byVariable = ["x", "y", "z"].map((variable) => ({ variable, leads: [6, 12], samples: [] }));
    await measure({
      ...{ systems: [], truth, definition: definition("climax"), metrics: [], regions: [] },
      ...{ samples: { ...none, byVariable }, baselines: ["persistence"], climatologies: new Map() },
      ...{
        anomalies: undefined,
        gaps: "error",
        doubts: "error",
        maps: true,
        warn: (text) => said.push(text),
      },
    });
    expect(said).toEqual([
      "no maps of error: those of 6 systems, variables and leads would take 2.4 GiB of memory; choose fewer with --variables or --leads to have them",
    ]);
  });

  test("of a metric of time means, with what a score is derived from", async () => {
    const { statistics } = await measured({ metrics: ["nrmse_total"] });
    expect(statistics.metrics).toEqual(["nrmse_total"]);
    const [lead] = statistics.leads as [LeadStatistics];
    expect(lead.cells.map(({ metric, forecasts }) => [metric, forecasts])).toEqual([["nrmse_s", 2]]);
    expect([...lead.cells[0]!.sums]).toEqual([4, 4, 4, 4, 563, 563, 583, 583, 2, 2, 2, 2]);
    expect(lead.series.map(({ metric }) => metric)).toEqual(["nrmse_g"]);
  });

  test("of a curve, by region", async () => {
    const path = await writeEnsemble(join(folder, "ranks.nc"), [0, 24], [24], {
      "2m_temperature": [
        // Truth [283 283 290 290], then [280 280 293 293]: its rank is the number of members below.
        [
          [
            [280, 280, 280, 280],
            [300, 281, 300, 300],
          ],
        ],
        [
          [
            [290, 290, 290, 290],
            [300, 300, 300, 300],
          ],
        ],
      ],
    });
    const { statistics } = await measured({
      ...{ forecasts: [path], metrics: ["rank_histogram"], regions: ["global", "tropics"] },
    });
    const [global, tropics] = statistics.leads[0]!.profiles;
    expect(global).toMatchObject({
      system: "ranks",
      metric: "rank_histogram",
      region: "global",
      forecasts: 2,
    });
    expect([...global!.sums]).toEqual([2 / 6, 5 / 6 + 4 / 6, 1 / 6].map((x) => expect.closeTo(x, 12)));
    expect([...tropics!.sums]).toEqual([0, 2, 0].map((x) => expect.closeTo(x, 12)));
  });
});

describe("ensembles", () => {
  test("enter as their mean, and with their members; the control on its own if asked", async () => {
    const path = await writeEnsemble(join(folder, "members.nc"), [0, 24], [24], {
      "2m_temperature": [
        [[plus(states[1]!, [3, 3, 3, 3]), plus(states[1]!, [-1, -1, -1, -1])]],
        [[states[2]!, plus(states[2]!, [4, 4, 4, 4])]],
      ],
    });
    const { statistics } = await measured({
      ...{ forecasts: [path, ours], names: ["members", "ours"], control: true },
      metrics: ["mae", "crps"],
    });
    expect(statistics.systems).toEqual(["members", "members control", "ours"]);
    const rows = (system: string, metric: string) => rowsOf(statistics, { system, metric });
    expect(rows("members", "mae")).toEqual(
      near([
        [1, 1],
        [2, 1],
      ]),
    );
    expect(rows("members control", "mae")).toEqual(
      near([
        [3, 1],
        [0, 1],
      ]),
    );
    // Mean of |X - y|, 2 and 2, and of |X - X'|, 4 and 4; of an ensemble of one its error, and no spread.
    expect(rows("members", "crps")).toEqual(
      near([
        [2, 4, 1],
        [2, 4, 1],
      ]),
    );
    expect(rows("ours", "crps")).toEqual(
      near([
        [1, 0, 1],
        [3, 0, 1],
      ]),
    );
  });
});

describe("winds", () => {
  const [u, v] = ["10m_u_component_of_wind", "10m_v_component_of_wind"];
  const still = [1, 2, 3, 4];
  const asked = { variables: [u], metrics: ["rmse", "wind_vector_rmse"], gaps: "mask" as const };
  let air: string;

  beforeAll(async () => {
    air = await writeTruth(
      join(folder, "air.nc"),
      [0, 24, 48],
      { [u]: [still, still, still], [v]: [still, still, [hole, 2, 3, 4]] },
      { variableAttributes: { units: "m s-1" } },
    );
  });

  const wind = (name: string, fields: Record<string, number[][][]>) =>
    writeForecast(join(folder, name), [0, 24], [24], fields, { variableAttributes: { units: "m s-1" } });

  test("are scored as vectors where both components are known, and u wherever it is", async () => {
    const path = await wind("wind.nc", {
      [u]: [[plus(still, [3, 3, 3, 3])], [plus(still, [6, 0, 0, 0])]],
      [v]: [[plus(still, [4, 4, 4, 4])], [plus(still, [0, 0, 5, 5])]],
    });
    const { statistics } = await measureFiles({
      ...asked,
      truth: air,
      forecasts: [path],
      baselines: ["persistence"],
    });
    const rows = (metric: string, system = "wind") => rowsOf(statistics, { system, metric, variable: u });
    expect(statistics.leads).toHaveLength(1);
    expect(rows("rmse")).toEqual(
      near([
        [3, 1],
        [Math.sqrt(6), 1],
      ]),
    );
    // Without the first cell: (25 . 2 + 25 . 2) / 5.
    expect(rows("wind_vector_rmse")).toEqual(
      near([
        [5, 1],
        [Math.sqrt(20), 1],
      ]),
    );
    expect(rows("wind_vector_rmse", "persistence")).toEqual(
      near([
        [0, 1],
        [0, 1],
      ]),
    );
  });

  test("a gap of v is none of u", async () => {
    const path = await wind("gusts.nc", { [u]: [[still], [still]], [v]: [[still], [[1, hole, hole, 4]]] });
    const run = (gaps: "mask" | "skip") => measureFiles({ ...asked, truth: air, forecasts: [path], gaps });
    const masked = await run("mask");
    expect(rowsOf(masked.statistics, { system: "gusts", metric: "rmse", variable: u })).toEqual([
      [0, 1],
      [0, 1],
    ]);
    expect(masked.said).toEqual([
      `${v} of gusts has gaps in 2 of the 3 cells of 1 forecast, the first from 2018-01-02T00:00:00 for 24 h: these cells are left out for all systems`,
    ]);
    const skipped = await run("skip");
    expect(rowsOf(skipped.statistics, { system: "gusts", metric: "rmse", variable: u })).toEqual([
      [0, 1],
      [0, 1],
    ]);
    expect(rowsOf(skipped.statistics, { system: "gusts", metric: "wind_vector_rmse", variable: u })).toEqual([
      [0, 1],
      [hole, hole],
    ]);
  });

  test("without v are refused before anything is read", async () => {
    const path = await wind("half.nc", { [u]: [[still], [still]] });
    await expect(measureFiles({ ...asked, truth: air, forecasts: [path] })).rejects.toMatchObject({
      message: `wind_vector_rmse of ${u} needs ${v} at the same times and leads; it is not in half`,
      hint: "give the files that hold it as well, or leave wind_vector_rmse out of --metrics",
    });
  });
});

describe("gaps", () => {
  const one = [...forecasts[0]!];
  const written = (name: string, field: number[]) =>
    writeForecast(join(folder, name), [0, 24], [24, 48], { "2m_temperature": [one, [field, states[3]!]] });
  let pierced: string;
  let lost: string;

  beforeAll(async () => {
    pierced = await written("pierced.nc", [280, Number.POSITIVE_INFINITY, 293, hole]);
    lost = await written("lost.nc", [hole, hole, hole, hole]);
  });

  test("are refused", async () => {
    const error = await failure({ forecasts: [pierced] });
    expect(error.message).toBe(
      "2m_temperature of pierced is missing or not finite in 2 of 4 cells where the truth is known " +
        "(initial time 2018-01-02T00:00:00, lead 24 h)",
    );
    expect(error.hint).toContain(
      "leave out for all systems those cells with --gaps mask, those forecasts with --gaps skip",
    );
    expect((await failure({ forecasts: [lost] })).message).toBe(
      "2m_temperature of lost has no value in any of the 4 cells where the truth is known " +
        "(initial time 2018-01-02T00:00:00, lead 24 h): a lead that is missing?",
    );
  });

  test("are masked for all systems and baselines, and counted", async () => {
    const asked: Partial<Asked> = {
      forecasts: [ours, pierced],
      metrics: ["mae"],
      baselines: ["persistence"],
      gaps: "mask",
    };
    const { statistics, said } = await measured({ ...asked, names: ["ours", "pierced"] });
    const rows = (system: string) => rowsOf(statistics, { system, metric: "mae" });
    // Cells 0 and 2 of the second forecast are left: errors 3 and 3; 0 and 0; persistence 3 and -3.
    expect(rows("ours")).toEqual(
      near([
        [1, 1],
        [3, 1],
      ]),
    );
    expect(rows("pierced")).toEqual(
      near([
        [1, 1],
        [0, 1],
      ]),
    );
    expect(rows("persistence")).toEqual(
      near([
        [1, 1],
        [3, 1],
      ]),
    );
    expect(said).toEqual([
      "2m_temperature of pierced has gaps in 2 of the 4 cells of 1 forecast, the first from 2018-01-02T00:00:00 for 24 h: " +
        "these cells are left out for all systems",
    ]);
  });

  test("leave the whole forecast out for all systems, and are counted", async () => {
    const asked: Partial<Asked> = { forecasts: [ours, lost], metrics: ["mae"], gaps: "skip", maps: true };
    const { statistics, said } = await measured({ ...asked, names: ["ours", "lost"] });
    expect(rowsOf(statistics, { system: "ours", metric: "mae" })).toEqual(near([[1, 1]]));
    expect(rowsOf(statistics, { system: "ours", metric: "mae", lead: 48 })).toHaveLength(2);
    expect(statistics.leads[0]!.initial.map(formatTime)).toEqual(["2018-01-01T00:00:00"]);
    expect(statistics.leads[0]!.cells[0]!.forecasts).toBe(1);
    expect(said).toEqual([
      "2m_temperature of lost has gaps in 4 of the 4 cells of 1 forecast (1 of them wholly: leads that are missing?), " +
        "the first from 2018-01-02T00:00:00 for 24 h: these forecasts are left out for all systems",
    ]);
  });

  test("everywhere leave nothing to score", async () => {
    const nothing = [hole, hole, hole, hole];
    const path = await writeForecast(join(folder, "nothing.nc"), [0, 24], [24], {
      "2m_temperature": [[nothing], [nothing]],
    });
    expect((await failure({ forecasts: [path], gaps: "skip" })).message).toBe(
      "all 2 forecasts of nothing have gaps, and none is left to score",
    );
  });
});

describe("what a metric needs", () => {
  test("and was not given is said before anything is read", async () => {
    const acc = await failure({ metrics: ["rmse", "acc"] });
    expect(acc.message).toBe(
      "acc of 2m_temperature needs the climatology that anomalies are taken from; none was given",
    );
    expect(acc.hint).toBe("give one with --climatology, or leave acc out of --metrics");
    const rain = await writeTruth(
      join(folder, "rain.nc"),
      [0, 24],
      { total_precipitation_24hr: [states[0]!, states[1]!] },
      { variableAttributes: { units: "m" } },
    );
    const wet = await writeForecast(
      join(folder, "wet.nc"),
      [0],
      [24],
      { total_precipitation_24hr: [[states[1]!]] },
      { variableAttributes: { units: "m" } },
    );
    const seeps = await failure({
      ...{ truth: rain, forecasts: [wet], variables: ["total_precipitation_24hr"], metrics: ["seeps"] },
    });
    expect(seeps.message).toBe(
      "seeps of total_precipitation_24hr needs how often it is dry and where heavy precipitation begins, in each place; none was given",
    );
  });

  test("is given by valid time", async () => {
    const asked: string[] = [];
    const rain = await writeTruth(
      join(folder, "rain2.nc"),
      [0, 24],
      {
        total_precipitation_24hr: [
          [0, 0, 0, 0],
          [0, 1, 0, 2],
        ],
      },
      { variableAttributes: { units: "m" } },
    );
    const wet = await writeForecast(
      join(folder, "wet2.nc"),
      [0],
      [24],
      { total_precipitation_24hr: [[[0, 2, 0, 2]]] },
      { variableAttributes: { units: "m" } },
    );
    const half = new Float64Array(4).fill(0.5);
    const { statistics } = await measured({
      ...{ truth: rain, forecasts: [wet], variables: ["total_precipitation_24hr"], metrics: ["seeps"] },
      seeps: {
        field: async () => (valid) => {
          asked.push(formatTime(valid));
          return { dryFraction: half, heavy: new Float64Array(4).fill(1.5) };
        },
      },
    });
    expect(asked).toEqual(["2018-01-02T00:00:00"]);
    // Light rain forecast as heavy: 3 / (2 + p) / 2 = 0.6 in a cell of weight 1 of 6.
    expect(
      rowsOf(statistics, { system: "wet2", metric: "seeps", variable: "total_precipitation_24hr" }),
    ).toEqual(near([[0.6 / 6, 1]]));
  });

  test("of other variables is said to score none of these", async () => {
    const { statistics, said } = await measured({ metrics: ["rmse", "seeps"] });
    expect(said).toEqual(["seeps scores none of 2m_temperature"]);
    expect(statistics.leads[0]!.series.map(({ metric }) => metric)).toEqual(["rmse"]);
  });

  test("a variable without a climatology has no such baseline", async () => {
    const climatologies = new Map([
      ["climatology", { label: "the mean of x.nc", field: async () => undefined }],
    ] as const);
    const { statistics, said } = await measured({ baselines: ["climatology"], climatologies });
    expect(statistics.systems).toEqual(["ours"]);
    expect(said).toEqual(["the mean of x.nc has no 2m_temperature: no climatology baseline for it"]);
  });
});

describe("reading", () => {
  test("the same statistics whatever the files are split into, and in whatever order they come", async () => {
    const part = (name: string, hours: number[], leads: number[], fields: number[][][]) =>
      writeForecast(join(folder, name), hours, leads, { "2m_temperature": fields });
    const [a, b] = forecasts as [number[][], number[][]];
    const byTime = [await part("t0.nc", [0], [24, 48], [a]), await part("t1.nc", [24], [24, 48], [b])];
    const byLead = [
      await part("l24.nc", [0, 24], [24], [[a[0]!], [b[0]!]]),
      await part("l48.nc", [0, 24], [48], [[a[1]!], [b[1]!]]),
    ];
    const turned = await part("turned.nc", [24, 0], [48, 24], [b.toReversed(), a.toReversed()]);
    const run = (paths: string[]) =>
      measured({
        ...{ forecasts: paths, names: ["ours"], baselines: ["persistence"], maps: true },
        metrics: ["rmse", "nrmse_s"],
        regions: ["global", "tropics"],
      });
    const whole = (await run([ours])).statistics;
    expect(whole.leads[0]!.series).toHaveLength(4);
    for (const paths of [byTime, byTime.toReversed(), byLead, byLead.toReversed(), [turned]]) {
      expect((await run(paths)).statistics).toEqual(whole);
    }
  });

  test("tells how far it is, and stops when it is told to", async () => {
    const done: [number, number][] = [];
    await measured({ onProgress: (...numbers) => done.push(numbers) });
    expect(done).toEqual([
      [1, 4],
      [2, 4],
      [3, 4],
      [4, 4],
    ]);
    const controller = new AbortController();
    const stopped = measured({
      signal: controller.signal,
      onProgress: (count) => count === 2 && controller.abort(new Error("enough")),
    });
    await expect(stopped).rejects.toThrow("enough");
  });

  test("a truth that is infinite is refused", async () => {
    const path = await writeTruth(join(folder, "infinite.nc"), [0, 24, 48, 72], {
      "2m_temperature": [states[0]!, states[1]!, [Infinity, 280, 293, 293], states[3]!],
    });
    expect((await failure({ truth: path })).message).toBe(
      `2m_temperature of the truth ${path} is infinite in 1 of 4 cells at 2018-01-03T00:00:00`,
    );
  });

  test("a forecast in other units is refused, or scored and said", async () => {
    const path = await writeForecast(
      join(folder, "celsius.nc"),
      [0, 24],
      [24, 48],
      { "2m_temperature": forecasts.map((fields) => fields.map((field) => field.map((x) => x - 273.15))) },
      { variableAttributes: {} },
    );
    const error = await failure({ forecasts: [path] });
    expect(error.message).toMatch(
      /^2m_temperature of celsius averages 14\.\d{3} where the truth averages 286\.\d\d: is it in the same units \(K\)\? It looks like degrees Celsius$/,
    );
    const { said } = await measured({ forecasts: [path], doubts: "warn" });
    expect(said).toEqual([error.message]);
  });
});
