/** Scores of hand-made statistics, worked out by hand. */
import { describe, expect, test } from "vitest";
import { hash32 } from "../../src/data/hash.ts";
import { parseTime } from "../../src/data/time.ts";
import { definition } from "../../src/scores/definitions.ts";
import { type ReduceOptions, reduce, type Season, seasonOf } from "../../src/scores/reduce.ts";
import { additive, countingSteps, scoreSource } from "../../src/scores/scoresource.ts";
import { scoreUnits } from "../../src/scores/scoreunits.ts";
import type { Statistics } from "../../src/scores/statistics.ts";
import {
  every,
  leadOf,
  reduceOptions,
  seriesOf,
  statisticsOf,
  tinyGrid,
  wholeGlobe,
} from "./tinystatistics.ts";

const uniform = (...words: number[]) => hash32(...words) / 2 ** 32;
/** Squared errors of so many forecasts around a level. */
const noisy = (n: number, level: number, stream: number) =>
  Array.from({ length: n }, (_, i) => level + uniform(stream, i));
const bootstrap = { resamples: 200, level: 0.95, block: undefined, seed: 1 };

describe("rows", () => {
  test("a score is made of the sums over the forecasts that count, by the definition", () => {
    const lead = leadOf(every(24, 3), {
      series: [seriesOf("a", "rmse", [1, undefined, 9]), seriesOf("a", "mae", [1, 2, 6])],
    });
    const { rows, differences, intervals, notes } = reduce(statisticsOf([lead]), reduceOptions());
    expect(rows[0]).toEqual({
      system: "a",
      definition: "weatherbench2",
      metric: "rmse",
      variable: "2m_temperature",
      lead_hours: 24,
      region: "global",
      season: "all",
      value: Math.sqrt(5), // the root of the mean of 1 and 9
      low: null,
      high: null,
      samples: 2,
      units: "K",
      source: "measured",
      synthetic: false,
    });
    expect(rows[1]).toMatchObject({ metric: "mae", value: 3, samples: 3 });
    expect([rows.length, differences, intervals, notes]).toEqual([2, [], null, []]);
    const climax = reduce(statisticsOf([lead]), reduceOptions({ definition: definition("climax") }));
    expect(climax.rows[0]).toMatchObject({ definition: "climax", value: 5 }); // the mean of roots 1 and 9
  });

  test("stand in the order of metrics, variables, systems, leads, regions and seasons", () => {
    const leads = ["2m_temperature", "10m_u_component_of_wind"].flatMap((variable) =>
      [24, 6].map((leadHours) =>
        leadOf(every(24, 2), {
          variable,
          leadHours,
          series: ["b", "a"].flatMap((system) =>
            ["tropics", "global"].flatMap((region) =>
              ["rmse", "wind_vector_rmse"]
                .slice(0, variable.includes("wind") ? 2 : 1)
                .map((metric) => seriesOf(system, metric, [1, 4], region)),
            ),
          ),
        }),
      ),
    );
    const regions = ["global", "tropics"];
    const { rows } = reduce(
      statisticsOf(leads, { regions }),
      reduceOptions({
        regions: regions.map((name) => ({ name, cells: wholeGlobe })),
        seasons: ["DJF", "all"],
        units: new Map([["10m_u_component_of_wind", "m s-1"]]),
      }),
    );
    expect(rows.length).toBe((2 + 1) * 2 * 2 * 2 * 2);
    expect(
      rows.slice(0, 9).map((row) => [row.system, row.lead_hours, row.region, row.season].join(" ")),
    ).toEqual([
      "b 6 global DJF",
      "b 6 global all",
      "b 6 tropics DJF",
      "b 6 tropics all",
      "b 24 global DJF",
      "b 24 global all",
      "b 24 tropics DJF",
      "b 24 tropics all",
      "a 6 global DJF",
    ]);
    expect([...new Set(rows.map((row) => `${row.metric} ${row.variable} ${row.units}`))]).toEqual([
      "rmse 2m_temperature ",
      "rmse 10m_u_component_of_wind m s-1",
      "wind_vector_rmse 10m_wind m s-1",
    ]);
  });

  test("a correlation without variance has no value", () => {
    const values = Float64Array.from([4, 0, 0, 4, 0, 0, 0, 0, 0]);
    const series = [{ system: "a", metric: "acc", region: "global", size: 9, values }];
    const { rows, notes } = reduce(
      statisticsOf([leadOf(every(24, 1), { series })]),
      reduceOptions({ definition: definition("climax"), bootstrap }),
    );
    expect(rows).toMatchObject([{ value: null, low: null, high: null, samples: 1, units: "1" }]);
    expect(notes).toEqual([]);
  });

  test("a projection is scored on its means over all years, of each region, and not by season", () => {
    // Two years on four points: errors of the sums -2 0 2 4, truths of the sums 8 8 4 4, all known twice.
    const cells = [
      {
        ...{ system: "a", metric: "nrmse_s", size: 3, forecasts: 2 },
        sums: Float64Array.of(-2, 0, 2, 3.5, 8, 8, 4, 4, 2, 2, 2, 2),
        rest: Float64Array.of(0, 0, 0, 0.5, 0, 0, 0, 0, 0, 0, 0, 0),
      },
    ];
    // (<f> - <y>)^2 and <y> of each year
    const values = Float64Array.of(1, 2, 1, 4, 3, 1);
    const series = [{ system: "a", metric: "nrmse_g", region: "global", size: 3, values }];
    const south = { ...wholeGlobe, inside: Int32Array.of(0, 1) };
    const { rows, differences, notes } = reduce(
      statisticsOf([leadOf(every(24 * 365, 2), { series, cells })], {
        metrics: ["nrmse_s", "nrmse_g", "nrmse_total"],
        regions: ["global", "south"],
      }),
      reduceOptions({
        seasons: ["all", "DJF"],
        regions: [
          { name: "global", cells: wholeGlobe },
          { name: "south", cells: south },
        ],
      }),
    );
    // Squared errors of the means 1 0 1 4 by weights 2/3 2/3 4/3 4/3: 22/3 over 4; mean truth (8/3 + 8/3 + 8/3 + 8/3) / 4
    const s = Math.sqrt(22 / 12) / (8 / 3);
    const g = Math.sqrt(2.5) / 2.5;
    const value = (metric: string, region = "global", season = "all") =>
      rows.find((row) => row.metric === metric && row.region === region && row.season === season)?.value;
    expect(value("nrmse_s")).toBeCloseTo(s, 12);
    expect(value("nrmse_g")).toBeCloseTo(g, 12);
    expect(value("nrmse_total")).toBeCloseTo(s + 5 * g, 12);
    expect(value("nrmse_s", "south")).toBeCloseTo(Math.sqrt(1 / 2) / 4, 12); // errors -1 and 0 where truth is 4
    expect(value("nrmse_total", "south")).toBeUndefined(); // of a part nothing was kept there
    expect(value("nrmse_g", "global", "DJF")).toBeCloseTo(g, 12);
    expect(value("nrmse_s", "global", "DJF")).toBeUndefined();
    expect(differences).toEqual([]);
    expect(notes).toEqual([
      "nrmse_s is one score of all forecasts: none for a season",
      "nrmse_total is one score of all forecasts: none for a season",
    ]);
  });

  test("units", () => {
    expect(scoreUnits("none", "K")).toBe("1");
    expect(scoreUnits("variable", "m s-1")).toBe("m s-1");
    expect(scoreUnits("squared", "m2 s-2")).toBe("m4 s-4");
    expect(scoreUnits("squared", "K")).toBe("K2");
    expect(scoreUnits("squared", "1")).toBe("1");
    expect(scoreUnits("energy", "m s-1")).toBe("m3 s-2");
    expect(scoreUnits("energy", "K")).toBe("m K2");
    expect(scoreUnits("energy", "1")).toBe("m");
    expect(scoreUnits("squared", "(0 - 1)")).toBe("((0 - 1))^2");
    expect(scoreUnits("squared", "")).toBe("");
  });
});

describe("seasons", () => {
  test("go by the month of the valid time, in its own calendar", () => {
    const of = (text: string) => seasonOf(parseTime(text, "360_day"));
    expect(["2018-12-01", "2018-01-30", "2018-02-30"].map(of)).toEqual(["DJF", "DJF", "DJF"]);
    expect(["2018-03-01", "2018-05-30"].map(of)).toEqual(["MAM", "MAM"]);
    expect(["2018-06-01", "2018-08-30"].map(of)).toEqual(["JJA", "JJA"]);
    expect(["2018-09-01", "2018-11-30"].map(of)).toEqual(["SON", "SON"]);
  });

  /** Three systems over two years, five days apart. */
  function twoYears(systems: string[], keep: (season: Season) => boolean = () => true): Statistics {
    const times = every(120, 146);
    const kept = times.flatMap((time, i) => (keep(seasonOf(time)) ? [i] : []));
    return statisticsOf(
      [24, 72].map((leadHours) =>
        leadOf(
          kept.map((i) => times[i]!),
          {
            leadHours,
            series: systems.flatMap((system) => {
              const all = noisy(146, leadHours / 24, system.charCodeAt(0));
              return ["rmse", "mae"].map((metric) =>
                seriesOf(
                  system,
                  metric,
                  kept.map((i) => all[i]!),
                ),
              );
            }),
          },
        ),
      ),
      { systems },
    );
  }
  const options = (seasons: Season[]): ReduceOptions => reduceOptions({ seasons, versus: "b", bootstrap });

  test("the scores of a season are those of a run on its forecasts only", () => {
    const both = reduce(twoYears(["a", "b"]), options(["all", "JJA", "DJF"]));
    for (const season of ["DJF", "JJA"] as const) {
      const only = reduce(
        twoYears(["a", "b"], (one) => one === season),
        options(["all"]),
      );
      const named = <T extends { season: string }>(rows: readonly T[]) =>
        rows.map((row) => ({ ...row, season }));
      expect(both.rows.filter((row) => row.season === season)).toEqual(named(only.rows));
      expect(both.differences.filter((row) => row.season === season)).toEqual(named(only.differences));
      expect(only.rows[0]!.low).toBeLessThan(only.rows[0]!.value!);
    }
  });

  test("nothing depends on the order of systems and seasons", () => {
    const one = reduce(twoYears(["a", "b", "c"]), options(["all", "MAM"]));
    const other = reduce(twoYears(["c", "b", "a"]), options(["MAM", "all"]));
    const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).toSorted();
    expect(sorted(other.rows)).toEqual(sorted(one.rows));
    const against = (reduced: typeof one) => reduced.differences.filter(({ versus }) => versus === "b");
    expect(sorted(against(other))).toEqual(sorted(against(one)));
  });

  test("a season in which no forecast is valid has no rows, and that is said", () => {
    const { rows, notes } = reduce(
      twoYears(["a"], (season) => season !== "SON"),
      reduceOptions({ seasons: ["all", "SON"] }),
    );
    expect(rows.every(({ season }) => season === "all")).toBe(true);
    expect(notes).toEqual(["no forecast is valid in SON: there are no scores of it"]);
  });
});

describe("differences", () => {
  const pairs = (statistics: Statistics, versus?: string) =>
    reduce(statistics, reduceOptions({ versus })).differences.map((row) => `${row.system}-${row.versus}`);
  const run = (systems: string[]) =>
    statisticsOf([leadOf(every(24, 2), { series: systems.map((name) => seriesOf(name, "mae", [1, 3])) })]);

  test("are of all against one, and of each forecast against the forecasts and baselines after it", () => {
    const systems = ["a", "b", "persistence", "climatology"];
    const sorted = (versus?: string) => pairs(run(systems), versus).toSorted();
    expect(sorted("climatology")).toEqual([
      ...["a-b", "a-climatology", "a-persistence", "b-climatology", "b-persistence"],
      "persistence-climatology",
    ]);
    expect(sorted("b")).toEqual(["a-b", "a-climatology", "a-persistence", "climatology-b", "persistence-b"]);
    expect(pairs(run(["a", "b"]))).toEqual(["a-b"]);
    expect(pairs(run(["a", "persistence"]))).toEqual(["a-persistence"]);
  });

  test("are taken on the forecasts that count for both", () => {
    const series = [seriesOf("a", "mae", [1, 2, undefined, 6]), seriesOf("b", "mae", [3, undefined, 5, 7])];
    const { rows, differences } = reduce(statisticsOf([leadOf(every(24, 4), { series })]), reduceOptions());
    expect(rows.map(({ value }) => value)).toEqual([3, 5]);
    // (1 + 6) / 2 - (3 + 7) / 2
    expect(differences).toMatchObject([{ difference: -1.5, samples: 2, low: null, p: null, better: null }]);
  });

  const compare = (metric: string, own: number[], other: number[]) => {
    const series = [seriesOf("a", metric, own), seriesOf("b", metric, other)];
    const statistics = statisticsOf([leadOf(every(24, own.length), { series })]);
    return reduce(statistics, reduceOptions({ bootstrap })).differences[0]!;
  };

  test("a system against itself: 0, p 1, a tie", () => {
    const errors = noisy(60, 1, 3);
    expect(compare("rmse", errors, errors)).toMatchObject({
      ...{ difference: 0, low: 0, high: 0, p: 1, better: "tie", samples: 60 },
    });
  });

  test("what is better depends on the metric, and a difference within chance is a tie", () => {
    const [low, high] = [noisy(60, 1, 3), noisy(60, 3, 4)];
    expect(compare("rmse", low, high)).toMatchObject({ better: "system", p: 2 / 201 });
    expect(compare("rmse", high, low)).toMatchObject({ better: "versus", p: 2 / 201 });
    expect(compare("acc", high, low)).toMatchObject({ better: "system" });
    expect(compare("rmse", low, noisy(60, 1, 5))).toMatchObject({ better: "tie" });
    const { difference, low: from, high: to } = compare("mae", low, high);
    expect(from! < difference! && difference! < to! && to! < 0).toBe(true);
  });

  test("of two biases the nearer to zero is better, whatever the sign", () => {
    const positive = noisy(60, 1, 3);
    const negative = positive.map((x) => -x);
    expect(
      compare(
        "bias",
        negative,
        positive.map((x) => 3 * x),
      ).better,
    ).toBe("system");
    expect(
      compare(
        "bias",
        negative.map((x) => 3 * x),
        positive,
      ).better,
    ).toBe("versus");
    // As far from zero as each other: they differ, and neither is better.
    expect(compare("bias", negative, positive)).toMatchObject({ better: "tie", p: 2 / 201 });
  });
});

describe("confidence limits", () => {
  test("hold the score, and are made as they say", () => {
    const series = [seriesOf("a", "rmse", noisy(100, 4, 1))];
    const statistics = statisticsOf([leadOf(every(24, 100), { series })]);
    const { rows, intervals, notes } = reduce(
      statistics,
      reduceOptions({ bootstrap: { ...bootstrap, block: 5 } }),
    );
    const [{ low, value, high }] = rows as [(typeof rows)[0]];
    expect(low! < value! && value! < high!).toBe(true);
    // Uniform in 4..5: the mean has a standard deviation of 1 / sqrt(1200), its root a quarter of half of that.
    expect(high! - low!).toBeGreaterThan((2 * 1.96) / Math.sqrt(1200) / Math.sqrt(4.5) / 2 / 1.5);
    expect(high! - low!).toBeLessThan(((2 * 1.96) / Math.sqrt(1200) / Math.sqrt(4.5) / 2) * 1.5);
    expect(intervals).toEqual({
      method:
        "circular block bootstrap over initial times, 200 resamples, blocks of 5 initial times, percentiles widened by Student's t of the number of blocks",
      ...{ level: 0.95, resamples: 200, seed: 1, block: 5 },
    });
    expect(notes).toEqual([]);
    const again = reduce(statistics, reduceOptions({ bootstrap: { ...bootstrap, block: 5 } }));
    expect(again.rows).toEqual(rows);
    const seed = reduce(statistics, reduceOptions({ bootstrap: { ...bootstrap, block: 5, seed: 2 } }));
    expect(seed.rows[0]!.low).not.toBe(low);
  });

  test("are not made of a few forecasts or blocks, and that is said once", () => {
    const few = [seriesOf("a", "rmse", noisy(7, 1, 1)), seriesOf("b", "rmse", noisy(7, 1, 2))];
    const reduced = reduce(
      statisticsOf([leadOf(every(24, 7), { series: few })]),
      reduceOptions({ bootstrap }),
    );
    expect(reduced.rows.every(({ low, high }) => low === null && high === null)).toBe(true);
    expect(reduced.differences).toMatchObject([{ low: null, p: null, better: null, samples: 7 }]);
    expect(reduced.intervals).toBeNull();
    expect(reduced.notes).toEqual([
      "3 scores and differences have no confidence limits: fewer than 8 forecasts say nothing of how they vary",
    ]);
    const series = [seriesOf("a", "rmse", noisy(20, 1, 1))];
    const long = reduce(
      statisticsOf([leadOf(every(24, 20), { series })]),
      reduceOptions({ bootstrap: { ...bootstrap, block: 7 } }),
    );
    expect(long.notes).toEqual([
      "1 score or difference has no confidence limits: their forecasts make fewer than 3 blocks of 7 initial times; give a shorter --bootstrap.block",
    ]);
  });

  test("the parts of a derived score are drawn together", () => {
    const first = { ...seriesOf("a", "x", [1, 2, undefined, 4]), size: 2 };
    const second = seriesOf("a", "y", [2, 4, 6, 8]);
    const mean = (sums: ArrayLike<number>) => sums[0]! / sums[1]!;
    const source = scoreSource("ratio", {
      lead: leadOf(every(24, 4), { series: [first, second] }),
      system: "a",
      region: "global",
      cells: wholeGlobe,
      metric: (name) =>
        name === "ratio"
          ? { kind: "derived", from: ["x", "y"], score: ([x, y]) => x! / y! }
          : { kind: "series", size: 2, measure: () => undefined, score: mean },
    });
    if (source?.kind !== "series") throw new Error("it is made of series");
    const steps = countingSteps(source, [0, 1, 2, 3]);
    expect(steps).toEqual([0, 1, 3]);
    const { columns, score } = additive(source, steps);
    expect(columns.map((column) => [...column])).toEqual([
      [1, 2, 4],
      [1, 1, 1],
      [2, 4, 8],
      [1, 1, 1],
    ]);
    expect(score(Float64Array.of(7, 3, 14, 3))).toBe(0.5);
  });
});

describe("maps and curves", () => {
  test("maps: root of the mean squared error and mean error at each point with a truth", () => {
    const cells = [
      {
        ...{ system: "a", metric: "maps", size: 3, forecasts: 2 },
        sums: Float64Array.of(2, -4, 0, 0, 10, 8, 0, 0, 2, 2, 1, 0),
        rest: new Float64Array(12),
      },
    ];
    const { maps, rows } = reduce(statisticsOf([leadOf(every(24, 2), { cells })]), reduceOptions());
    expect(rows).toEqual([]);
    const common = { system: "a", variable: "2m_temperature", lead_hours: 24, units: "K", grid: tinyGrid };
    expect(maps).toEqual([
      { ...common, what: "rmse", values: Float32Array.of(Math.sqrt(5), 2, 0, Number.NaN) },
      { ...common, what: "bias", values: Float32Array.of(1, -2, 0, Number.NaN) },
    ]);
  });

  test("curves: from their sums, with the units of the variable squared and metres", () => {
    const profile = (system: string, metric: string, numbers: number[], forecasts: number) => ({
      ...{ system, metric, region: "global", size: numbers.length, forecasts },
      sums: Float64Array.from(numbers),
      rest: new Float64Array(numbers.length),
    });
    const profiles = [
      // Two columns: wavenumbers 0 and 1 of forecast and truth, and the count.
      profile("b", "spectrum", [2, 4, 6, 8, 2], 2),
      profile("a", "spectrum", [0, 0, 0, 0, 0], 0),
      profile("b", "rank_histogram", [1, 2, 1], 4),
    ];
    const reduced = reduce(
      statisticsOf([leadOf(every(24, 4), { profiles })]),
      reduceOptions({ members: new Map([["b", 2]]) }),
    );
    const common = { system: "b", variable: "2m_temperature", lead_hours: 24, region: "global" };
    expect(reduced.rows).toEqual([]);
    expect(reduced.profiles).toEqual([
      {
        ...common,
        metric: "spectrum",
        axis: { name: "zonal wavenumber", values: [0, 1] },
        ...{ values: [1, 2], truth: [3, 4], units: "m K2", samples: 2 },
      },
      {
        ...common,
        metric: "rank_histogram",
        axis: { name: "rank", values: [0, 1, 2] },
        ...{ values: [0.25, 0.5, 0.25], truth: [1 / 3, 1 / 3, 1 / 3], units: "1", samples: 4 },
      },
    ]);
  });
});
