import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createNetcdf, type WrittenVariable } from "../../src/files/netcdf4writer.ts";
import { toCsv } from "../../src/scores/tables.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { tinyFolder, writeForecast, writeTruth } from "../eval/tinyfiles.ts";
import { evaluate, failure, printed, said } from "../support/evaluating.ts";
import { fakeArchive, provenance } from "../support/fakearchive.ts";

/*
 * Rows at -60 and 0 degrees weigh 2/3 and 4/3: the weighted mean of [a, b, c, d] is (a + b + 2c + 2d) / 6.
 * Temperatures are whole numbers, so that everything below is exact but for the last bits of f64.
 */
const truthStates = [
  [280, 280, 290, 290],
  [283, 283, 290, 290],
  [280, 280, 293, 293],
  [286, 280, 290, 290],
];
const plus = (state: number[], added: number[]) => state.map((value, i) => value + added[i]!);
/** From 0 h and from 24 h, for 24 h and 48 h. */
const forecastStates = [
  [plus(truthStates[1]!, [1, 1, 1, 1]), plus(truthStates[2]!, [6, 0, 0, 0])],
  [plus(truthStates[2]!, [3, 3, 3, 3]), truthStates[3]!],
];

let folder: string;
let truth: string;
let forecast: string;

beforeAll(async () => {
  folder = await tinyFolder();
  truth = await writeTruth(join(folder, "truth.nc"), [0, 24, 48, 72], { "2m_temperature": truthStates });
  forecast = await writeForecast(join(folder, "ours.nc"), [0, 24], [24, 48], {
    "2m_temperature": forecastStates,
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function scores(...argv: string[]) {
  const json = join(folder, "scores.json");
  await evaluate("--truth", truth, "--forecast", forecast, "--json", json, ...argv);
  const document = JSON.parse(readFileSync(json, "utf8"));
  const value = (system: string, metric: string, lead: number, variable = "2m_temperature"): number =>
    document.rows.find(
      (row: Record<string, unknown>) =>
        row.system === system &&
        row.metric === metric &&
        row.lead_hours === lead &&
        row.variable === variable,
    )?.value;
  return { document, value };
}

const axis = (name: string, value: number, attributes: Record<string, string>): WrittenVariable => ({
  name,
  dimensions: [name],
  dtype: "float64",
  attributes,
  data: [value],
});

describe("exact scores of a tiny forecast", () => {
  test("climax: the root of each forecast, then the mean", async () => {
    const { document, value } = await scores();
    // Uniform errors of 1 and 3; then 6 in one cell of weight 2/3 ((36 / 6) = 6), and none.
    expect(value("ours", "rmse", 24)).toBeCloseTo((1 + 3) / 2, 12);
    expect(value("ours", "rmse", 48)).toBeCloseTo((Math.sqrt(6) + 0) / 2, 12);
    expect(value("ours", "mae", 48)).toBeCloseTo((6 / 6 + 0) / 2, 12);
    expect(value("ours", "bias", 24)).toBeCloseTo((1 + 3) / 2, 12);
    // Truth at the initial time: [-3 -3 0 0] and [3 3 -3 -3]; then [0 0 -3 -3] and [-3 3 0 0].
    expect(value("persistence", "rmse", 24)).toBeCloseTo((Math.sqrt(3) + 3) / 2, 12);
    expect(value("persistence", "rmse", 48)).toBeCloseTo((Math.sqrt(6) + Math.sqrt(3)) / 2, 12);
    expect(value("persistence", "bias", 24)).toBeCloseTo((-1 + -1) / 2, 12);
    expect(document.definition.name).toBe("climax");
    expect(document.rows.every((row: { definition: string }) => row.definition === "climax")).toBe(true);
  });

  test("weatherbench1: the root of the mean", async () => {
    const { document, value } = await scores("--definition", "weatherbench1");
    expect(value("ours", "rmse", 24)).toBeCloseTo(Math.sqrt((1 + 9) / 2), 12);
    expect(value("persistence", "rmse", 24)).toBeCloseTo(Math.sqrt((3 + 9) / 2), 12);
    expect(document.rows[0].definition).toBe("weatherbench1");
    expect(printed.join("")).toContain("RMSE (definition weatherbench1");
  });

  test("weatherbench2: cells weigh by area", async () => {
    // The border at -30 and the outer ones 30 degrees off the centres: sin(-30) - sin(-90) = 1/2 and sin(30) - sin(-30) = 1.
    const { value } = await scores("--definition", "weatherbench2");
    expect(value("persistence", "mae", 24)).toBeCloseTo((3 * (1 / 3) + 3) / 2, 12);
  });

  test("acc takes anomalies from the mean of the truth over all its dates, pooled, less the unweighted mean", async () => {
    const { document, value } = await scores("--leads", "24");
    const climate = [0, 1, 2, 3].map((i) => truthStates.reduce((sum, state) => sum + state[i]! / 4, 0));
    const centred = (states: number[][]) => {
      const all = states.flatMap((state) => state.map((x, i) => x - climate[i]!));
      const mean = all.reduce((sum, x) => sum + x / all.length, 0);
      return all.map((x) => x - mean);
    };
    const a = centred([forecastStates[0]![0]!, forecastStates[1]![0]!]);
    const b = centred([truthStates[1]!, truthStates[2]!]);
    const w = [1, 1, 2, 2];
    const dot = (p: number[], q: number[]) => p.reduce((sum, x, i) => sum + w[i % 4]! * x * q[i]!, 0);
    expect(value("ours", "acc", 24)).toBeCloseTo(dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)), 12);
    expect(document.anomalies).toBe(
      "the mean of the truth over 2018-01-01T00:00:00 to 2018-01-04T00:00:00 (4 states)",
    );
  });
});

describe("outputs", () => {
  test("JSON has the rows, the definition and where everything came from", async () => {
    const { document } = await scores("--metrics", "rmse", "--leads", "1d");
    expect(document.rows).toHaveLength(2);
    expect(document.rows[0]).toEqual({
      system: "ours",
      definition: "climax",
      metric: "rmse",
      variable: "2m_temperature",
      lead_hours: 24,
      region: "global",
      season: "all",
      value: expect.closeTo(2, 12),
      low: null,
      high: null,
      samples: 2,
      units: "K",
      source: "measured",
      synthetic: false,
    });
    expect(document).toMatchObject({
      format: "climax-scores",
      version: 2,
      bench: "weatherbench",
      versus: "persistence",
      systems: [
        { name: "ours", files: [forecast], members: 1, made: [] },
        { name: "persistence", files: [], members: 1, made: [] },
      ],
      initial_times: ["2018-01-01T00:00:00", "2018-01-02T00:00:00"],
      valid_times: ["2018-01-02T00:00:00", "2018-01-03T00:00:00"],
      synthetic: false,
      climatology: null,
    });
    expect(document.provenance.command).toContain("climax evaluate --truth");
    expect(document.provenance.files[0].path).toBe(forecast);
    expect(document.provenance.files[0].sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  test("CSV has the same rows", async () => {
    const csv = join(folder, "scores.csv");
    const { document } = await scores("--csv", csv);
    expect(readFileSync(csv, "utf8")).toBe(toCsv(document.rows));
    const [head, first] = readFileSync(csv, "utf8").split("\n");
    expect(head).toBe(
      "system,definition,metric,variable,lead_hours,region,season,value,low,high,samples,units,source,synthetic",
    );
    expect(first).toMatch(/^ours,climax,rmse,2m_temperature,24,global,all,2(\.0+\d*)?,,,2,K,measured,false$/);
  });

  test("the table names definition, systems, leads and the number of forecasts, and stars the best", async () => {
    await scores("--metrics", "rmse");
    expect(printed.join("")).toContain(
      [
        "RMSE (definition climax; * best measured)",
        "variable            system        24 h    48 h",
        "------------------  -----------  ------  ------",
        "2m_temperature [K]  ours         2.000*  1.225*",
        "                    persistence  2.366   2.091",
        "forecasts                            2       2",
      ].join("\n"),
    );
    expect(said.join("")).toContain(
      "of the variables of weatherbench, left out: geopotential_500 (not in ours, the truth)",
    );
  });

  test("leads that do not fit the terminal go to a further table", async () => {
    const columns = Object.getOwnPropertyDescriptor(process.stdout, "columns");
    const isTTY = Object.getOwnPropertyDescriptor(process.stdout, "isTTY");
    Object.defineProperty(process.stdout, "columns", { value: 40, configurable: true });
    Object.defineProperty(process.stdout, "isTTY", { value: true, configurable: true });
    try {
      await scores("--metrics", "rmse");
    } finally {
      for (const [name, old] of [
        ["columns", columns],
        ["isTTY", isTTY],
      ] as const) {
        if (old) Object.defineProperty(process.stdout, name, old);
        else Reflect.deleteProperty(process.stdout, name);
      }
    }
    const lines = printed.join("").split("\n");
    expect(lines.filter((line) => line.startsWith("RMSE"))).toHaveLength(2);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40);
  });

  test("nothing is left behind when an output cannot be written", async () => {
    const before = readdirSync(folder);
    const missing = join(folder, "nowhere", "scores.json");
    const error = await failure("--truth", truth, "--forecast", forecast, "--json", missing);
    expect(error.message).toBe(`cannot write ${missing}: its folder does not exist`);
    expect(readdirSync(folder)).toEqual(before);
  });
});

describe("several systems", () => {
  test("are scored at the initial times and leads that all have", async () => {
    const theirs = await writeForecast(join(folder, "theirs.nc"), [24], [24, 48], {
      "2m_temperature": [forecastStates[1]!],
    });
    const { document, value } = await scores("--forecast", theirs);
    expect(value("ours", "rmse", 24)).toBeCloseTo(3, 12);
    expect(value("theirs", "rmse", 24)).toBeCloseTo(3, 12);
    expect(value("persistence", "rmse", 24)).toBeCloseTo(3, 12);
    expect(document.rows.every(({ samples }: { samples: number }) => samples === 1)).toBe(true);
    expect(said.join("")).toContain("2 forecast fields are not in all systems and were left out");
  });

  test("files that continue one another are one system, and are said to be", async () => {
    const first = await writeForecast(join(folder, "a.nc"), [0], [24, 48], {
      "2m_temperature": [forecastStates[0]!],
    });
    const second = await writeForecast(join(folder, "b.nc"), [24], [24, 48], {
      "2m_temperature": [forecastStates[1]!],
    });
    const json = join(folder, "joined.json");
    await evaluate("--truth", truth, "--forecast", first, second, "--json", json);
    const { rows } = JSON.parse(readFileSync(json, "utf8"));
    expect(rows[0]).toMatchObject({ system: "a", value: expect.closeTo(2, 12), samples: 2 });
    expect(said.join("")).toContain(
      `2 files, ${first} to ${second}, are one system, a; --name says otherwise`,
    );
  });

  test("--name names them", async () => {
    const { document } = await scores("--name", "climax-small");
    expect(document.rows[0].system).toBe("climax-small");
    const error = await failure("--truth", truth, "--forecast", forecast, "--name", "persistence");
    expect(error.message).toBe("a system is named persistence, as a baseline is");
    const two = await failure("--truth", truth, "--forecast", forecast, "--name", "a,b");
    expect(two.message).toBe("2 names for 1 forecast files");
  });
});

describe("a prepared set as the truth", () => {
  let set: string;
  let made: string;

  beforeAll(async () => {
    set = join(folder, "set");
    // Ten days of six-hourly states: 1 to 7 January to train, 8 to 10 January to test.
    const archive = fakeArchive({ start: "2018-01-01", steps: 40 });
    await prepare(archive, set, {
      train: "2018-01-01..2018-01-07",
      test: "2018-01-08..2018-01-10",
      provenance,
    });
    const initial = [7 * 24, 7 * 24 + 6];
    const opened = await openSet(set);
    const { read } = opened.split("test");
    const states = await Promise.all(
      initial.map(async (_, i) => [Array.from(await read(i + 4, ["2m_temperature"]), (x) => x + 0.5)]),
    );
    await opened.close();
    made = await writeForecast(
      join(folder, "half-a-degree.nc"),
      initial,
      [24],
      { "2m_temperature": states },
      {
        lat: [-60, 0, 60],
        lon: [0, 90, 180, 270],
        attributes: { system: "half a degree off", synthetic: "true" },
      },
    );
  });

  test("brings the climatology of its training period", async () => {
    const json = join(folder, "set.json");
    await evaluate("--truth", set, "--forecast", made, "--json", json);
    const document = JSON.parse(readFileSync(json, "utf8"));
    const value = (system: string, metric: string) =>
      document.rows.find((row: Record<string, unknown>) => row.system === system && row.metric === metric)
        ?.value;
    // 0.5 of float32 temperatures near 300, whose steps are 2^-15.
    expect(value("half a degree off", "rmse")).toBeCloseTo(0.5, 4);
    expect(value("half a degree off", "bias")).toBeCloseTo(0.5, 4);
    expect(value("half a degree off", "acc")).toBeCloseTo(1, 6);

    const opened = await openSet(set);
    const climatology = opened.climatology("2m_temperature");
    const { read } = opened.split("test");
    const weights = [0.75, 1.5, 0.75]; // cos 60 = 1/2 and 1, over their mean 2/3
    let expected = 0;
    for (const step of [4, 5]) {
      const field = await read(step, ["2m_temperature"]);
      const mse = field.reduce(
        (sum, y, i) => sum + (weights[Math.floor(i / 4)]! * (climatology[i]! - y) ** 2) / 12,
        0,
      );
      expected += Math.sqrt(mse) / 2;
    }
    await opened.close();
    expect(value("climatology", "rmse")).toBeCloseTo(expected, 10);
    expect(document.climatology).toBe(`the mean of the training period of ${set}`);
    expect(document.anomalies).toBe(
      "the mean of the truth over the test split, 2018-01-08T00:00:00 to 2018-01-10T18:00:00 (12 states)",
    );
    expect(document.provenance.files[1].path).toBe(join(set, "set.json"));
  });

  test("is called synthetic when it is, everywhere, and shows no published scores unasked", async () => {
    const json = join(folder, "synthetic.json");
    const csv = join(folder, "synthetic.csv");
    await evaluate("--truth", set, "--forecast", made, "--json", json, "--csv", csv);
    const document = JSON.parse(readFileSync(json, "utf8"));
    expect(document.synthetic).toBe(true);
    expect(document.notes[0]).toBe("synthetic: the truth and half a degree off come from simulated weather");
    expect(
      readFileSync(csv, "utf8")
        .trim()
        .split("\n")
        .slice(1)
        .every((line) => line.endsWith(",true")),
    ).toBe(true);
    expect(printed.join("")).toContain("SIMULATED WEATHER");
    expect(printed.join("")).not.toContain("published");
  });

  test("--published shows published scores, marked, and says that they do not compare", async () => {
    const json = join(folder, "published.json");
    await evaluate("--truth", set, "--forecast", made, "--json", json, "--published", "--metrics", "rmse");
    const { rows } = JSON.parse(readFileSync(json, "utf8"));
    expect(rows).toContainEqual({
      system: "ClimaX 5.625 (published)",
      definition: "climax",
      metric: "rmse",
      variable: "2m_temperature",
      lead_hours: 24,
      region: "global",
      season: "all",
      value: 1.1,
      low: null,
      high: null,
      samples: null,
      units: "K",
      source: "published: ClimaX, arXiv 2301.10343, Table 10 (test years 2017-2018)",
      synthetic: false,
    });
    expect(said.join("")).toContain("warning: published scores are about real weather (ERA5, 2017-2018)");
    expect(printed.join("")).toContain("published: ClimaX, arXiv 2301.10343, Table 10");
  });

  test("with the training mean as climatology of acc, the climatology baseline has no acc", async () => {
    const json = join(folder, "train.json");
    await evaluate(
      "--truth",
      set,
      "--forecast",
      made,
      "--json",
      json,
      "--climatology",
      "train",
      "--metrics",
      "acc",
    );
    const { rows, anomalies } = JSON.parse(readFileSync(json, "utf8"));
    expect(anomalies).toBe(`the mean of the training period of ${set}`);
    expect(rows.find((row: { system: string }) => row.system === "climatology").value).toBeNull();
  });

  test("scores in the training period are said not to be held out", async () => {
    const early = await writeForecast(
      join(folder, "early.nc"),
      [0],
      [24],
      { "2m_temperature": [[Array<number>(12).fill(250)]] },
      { lat: [-60, 0, 60], lon: [0, 90, 180, 270] },
    );
    // Far off, and meant to be.
    await evaluate("--truth", set, "--forecast", early, "--doubts", "warn");
    expect(said.join("")).toContain("1 of 1 valid times lie in the train split: not held out");
  });
});

describe("a climatology of one's own", () => {
  test("is the baseline and what anomalies are taken from; several states are averaged", async () => {
    const path = await writeTruth(join(folder, "climatology.nc"), [-48, -24], {
      "2m_temperature": [
        [281, 281, 290, 290],
        [283, 283, 290, 290],
      ],
    });
    const { document, value } = await scores("--climatology", path);
    // Its mean is [282 282 290 290]: off by [-1 -1 0 0] and [2 2 -3 -3] at 24 h.
    expect(value("climatology", "rmse", 24)).toBeCloseTo(
      (Math.sqrt(2 / 6) + Math.sqrt((8 + 36) / 6)) / 2,
      12,
    );
    expect(value("climatology", "acc", 24)).toBeNull();
    expect(document.climatology).toBe(`the mean of ${path} (2 states)`);
    expect(document.anomalies).toBe(document.climatology);
  });

  test("is brought to the truth's grid, and that is said; refused where it must not be, or is none", async () => {
    const wide = await writeTruth(
      join(folder, "wide.nc"),
      [0],
      { "2m_temperature": [Array<number>(16).fill(281)] },
      { lat: [-75, -45, -15, 15], lon: [0, 90, 180, 270] },
    );
    const { value } = await scores("--climatology", wide, "--metrics", "bias");
    // The truth is [283 283 290 290] and [280 280 293 293] at 24 h.
    expect(value("climatology", "bias", 24)).toBeCloseTo((-(4 + 36) / 6 + (2 - 48) / 6) / 2, 12);
    expect(said.join("")).toMatch(/the climatology .*wide\.nc: regridded from 4 x 4/);
    const args = ["--truth", truth, "--forecast", forecast, "--climatology"];
    expect(await failure(...args, wide, "--regrid", "none")).toMatchObject({
      kind: "grid",
      message: expect.stringContaining(`the climatology ${wide} is on 4 x 4`),
    });
    const narrow = await writeTruth(
      join(folder, "narrow.nc"),
      [0],
      { "2m_temperature": [[281, 281, 281, 281]] },
      { lat: [-45, 45] },
    );
    expect((await failure(...args, narrow)).message).toContain("does not cover all that is scored");
    const train = await failure("--truth", truth, "--forecast", forecast, "--climatology", "train");
    expect(train.message).toBe(`--climatology train wants a prepared set as the truth; ${truth} is none`);
  });
});

describe("what cannot be scored", () => {
  test("missing truth: how many times and the first", async () => {
    const late = await writeForecast(join(folder, "late.nc"), [0, 48], [24, 48], {
      "2m_temperature": forecastStates,
    });
    const error = await failure("--truth", truth, "--forecast", late);
    expect(error.message).toBe(
      `the truth ${truth} lacks 1 time of 1 forecast fields, first 2018-01-05T00:00:00, last 2018-01-05T00:00:00; ` +
        "it has 4 states from 2018-01-01T00:00:00 to 2018-01-04T00:00:00",
    );
    expect(error.hint).toContain("--missing skip");
    await evaluate("--truth", truth, "--forecast", late, "--missing", "skip");
    expect(said.join("")).toContain("1 forecast fields have no truth and were skipped");
  });

  test("no date in common", async () => {
    const other = await writeForecast(join(folder, "other.nc"), [24000], [24, 48], {
      "2m_temperature": [forecastStates[0]!],
    });
    const error = await failure("--truth", truth, "--forecast", other, "--missing", "skip");
    expect(error.message).toContain(
      "has none of the times of the forecasts (2020-09-27T00:00:00 to 2020-09-29T00:00:00)",
    );
  });

  test("a forecast that is NaN where the truth is known: variable, cells, time and lead", async () => {
    const holes = structuredClone(forecastStates);
    holes[1]![0]![2] = Number.NaN;
    const path = await writeForecast(join(folder, "holes.nc"), [0, 24], [24, 48], {
      "2m_temperature": holes,
    });
    const json = join(folder, "holes.json");
    const error = await failure("--truth", truth, "--forecast", path, "--json", json);
    expect(error.message).toBe(
      "2m_temperature of holes is missing or not finite in 1 of 4 cells where the truth is known " +
        "(initial time 2018-01-02T00:00:00, lead 24 h)",
    );
    expect(existsSync(json)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.includes("partial"))).toEqual([]);
  });

  test("NaN in the truth as well is left out, for every system", async () => {
    const gap = (state: number[]) => [Number.NaN, ...state.slice(1)];
    const land = await writeTruth(join(folder, "land.nc"), [0, 24, 48, 72], {
      "2m_temperature": truthStates.map(gap),
    });
    const path = await writeForecast(join(folder, "gaps.nc"), [0, 24], [24, 48], {
      "2m_temperature": forecastStates.map((states) => states.map(gap)),
    });
    const json = join(folder, "gaps.json");
    await evaluate("--truth", land, "--forecast", path, "--json", json, "--metrics", "mae", "--leads", "48");
    const { rows } = JSON.parse(readFileSync(json, "utf8"));
    expect(rows[0].value).toBeCloseTo(0, 12); // the only error, 6 in the first cell, is not scored
    // Persistence: [- 0 -3 -3] and [- 3 0 0], weights 1, 2, 2: (12 + 3) / 5 / 2.
    expect(rows[1].value).toBeCloseTo(15 / 10, 12);
  });

  test("another calendar", async () => {
    const path = join(folder, "noleap.nc");
    const file = await createNetcdf(path, {
      dimensions: { time: 1, step: 1, latitude: 2, longitude: 2 },
      variables: [
        axis("time", 0, { units: "hours since 2018-01-01", calendar: "noleap" }),
        axis("step", 24, { units: "hours" }),
        { ...axis("latitude", 0, { units: "degrees_north" }), data: [-60, 0] },
        { ...axis("longitude", 0, { units: "degrees_east" }), data: [0, 180] },
        {
          ...axis("t2m", 0, { units: "K" }),
          dimensions: ["time", "step", "latitude", "longitude"],
          data: [1, 2, 3, 4],
        },
      ],
    });
    await file.close();
    const error = await failure("--truth", truth, "--forecast", path);
    expect(error.message).toBe(
      `noleap counts time in the noleap calendar, the truth ${truth} in the standard calendar`,
    );
  });

  test("another grid, where it must not be regridded", async () => {
    const path = await writeForecast(
      join(folder, "grid.nc"),
      [0, 24],
      [24, 48],
      { "2m_temperature": forecastStates },
      { lat: [-45, 45] },
    );
    const error = await failure("--truth", truth, "--forecast", path, "--regrid", "none");
    expect(error).toMatchObject({
      kind: "grid",
      message: expect.stringContaining(`(${path}) is on 2 x 2, 90 x 180 degrees`),
    });
    expect(error.hint).toContain("climax regrid");
  });

  test("a variable that is not there, and a lead that is not", async () => {
    const error = await failure("--truth", truth, "--forecast", forecast, "--variables", "z_500,t2m");
    expect(error.message).toBe("cannot score geopotential_500 (not in ours, the truth)");
    expect(error.hint).toBe("forecast and truth share 2m_temperature: choose among these with --variables");
    const lead = await failure("--truth", truth, "--forecast", forecast, "--leads", "24,5d");
    expect(lead.message).toBe("no forecast with a lead of 120 h; there are 24, 48 h");
    const text = await failure("--truth", truth, "--forecast", forecast, "--leads", "soon");
    expect(text.message).toBe('"soon" is not a lead time');
  });

  test("a variable whose truth is unknown everywhere has no scores, and that is said", async () => {
    const [half, both] = [join(folder, "half.nc"), join(folder, "both.nc")];
    await writeTruth(half, [0, 24, 48, 72], {
      "2m_temperature": truthStates,
      skin_temperature: truthStates.map((state) => state.map(() => Number.NaN)),
    });
    await writeForecast(both, [0, 24], [24, 48], {
      "2m_temperature": forecastStates,
      skin_temperature: forecastStates,
    });
    await evaluate("--truth", half, "--forecast", both, "--variables", "t2m,skin_temperature");
    const text = "no scores of skin_temperature: no cell has a value in the truth and in the forecasts";
    expect(said.join("")).toContain(`warning: ${text}\n`);
    expect(said.join("")).not.toContain("no scores of 2m_temperature");
  });

  test("what published scores are of is said only where they may be shown", async () => {
    await evaluate("--truth", truth, "--forecast", forecast);
    expect(said.join("")).toContain("numbers published for weatherbench do not compare");
    await evaluate("--truth", truth, "--forecast", forecast, "--no-published");
    expect(said.join("")).not.toContain("numbers published");
  });

  test("a system to compare with that is none, before anything is measured", async () => {
    const error = await failure("--truth", truth, "--forecast", forecast, "--versus", "theirs");
    expect(error.message).toBe('unknown system "theirs"');
    expect(error.hint).toBe('did you mean "ours"? Known: ours, persistence, climatology');
    expect(said.join("")).not.toContain("evaluate 4/4");
  });

  test("no forecast, and files that are none", async () => {
    expect((await failure("--truth", truth)).message).toBe("no forecast file was given");
    const error = await failure("--truth", truth, "--forecast", truth);
    expect(error.message).toBe(
      `${truth} has no initial time and no lead; its dimensions are time, latitude, longitude`,
    );
  });

  test("a forecast in other units is doubted, not scored in silence", async () => {
    const celsius = await writeForecast(
      join(folder, "celsius.nc"),
      [0, 24],
      [24, 48],
      {
        "2m_temperature": forecastStates.map((states) => states.map((state) => state.map((x) => x - 273.15))),
      },
      { variableAttributes: {} },
    );
    const error = await failure("--truth", truth, "--forecast", celsius);
    expect(error.message).toMatch(
      /^2m_temperature of celsius averages 14\.\d+ where the truth averages 286\.50: is it in the same units \(K\)\? It looks like degrees Celsius/,
    );
    expect(error.hint).toContain("--doubts warn");
    await evaluate("--truth", truth, "--forecast", celsius, "--doubts", "warn");
    expect(said.join("")).toContain("warning: 2m_temperature of celsius averages 14.");
    expect(printed.join("")).toContain("RMSE");
  });
});
