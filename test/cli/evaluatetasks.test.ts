/** Ensembles, means over time, regions, projections, downscaling and seasonal climatologies through `climax evaluate`. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { timeParts } from "../../src/data/time.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { tinyFolder, writeEnsemble, writeForecast, writeTruth } from "../eval/tinyfiles.ts";
import { evaluate, failure, printed, said } from "../support/evaluating.ts";
import { fakeArchive, provenance } from "../support/fakearchive.ts";

/* Rows at -60 and 0 degrees weigh 2/3 and 4/3: the weighted mean of [a, b, c, d] is (a + b + 2c + 2d) / 6. */
let folder: string;
beforeAll(async () => {
  folder = await tinyFolder();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function scores(...argv: string[]) {
  const json = join(folder, "scores.json");
  await evaluate("--json", json, ...argv);
  const document = JSON.parse(readFileSync(json, "utf8"));
  const row = (system: string, metric: string, lead: number, variable = "2m_temperature") =>
    document.rows.find(
      (row: Record<string, unknown>) =>
        row.system === system &&
        row.metric === metric &&
        row.lead_hours === lead &&
        row.variable === variable,
    );
  return { document, row };
}

const path = (name: string) => join(folder, name);
const flat = (value: number) => [value, value, value, value];

describe("an ensemble", () => {
  let truth: string;
  let forecast: string;
  beforeAll(async () => {
    truth = await writeTruth(path("truth.nc"), [0, 24], { "2m_temperature": [flat(280), flat(282)] });
    forecast = await writeEnsemble(path("members.nc"), [0], [24], {
      // Errors of the members: 3, 0 and -1, everywhere.
      "2m_temperature": [[[flat(285), flat(282), flat(281)]]],
    });
  });

  test("is scored as its mean, with CRPS and spread", async () => {
    const { document, row } = await scores("--truth", truth, "--forecast", forecast);
    expect(row("members", "rmse", 24)).toMatchObject({ value: expect.closeTo(2 / 3, 12), samples: 1 });
    // mean |X - y| = 4/3; pairs 3 + 4 + 1 = 8 of 3 * 2.
    expect(row("members", "crps", 24).value).toBeCloseTo(4 / 3 - 8 / 6, 12);
    expect(row("members", "spread", 24).value).toBeCloseTo(Math.sqrt(13 / 3), 12);
    expect(row("members", "spread_skill", 24)).toMatchObject({
      value: expect.closeTo(Math.sqrt(13 / 3) / (2 / 3), 12),
      units: "1",
    });
    expect(row("persistence", "crps", 24).value).toBeCloseTo(2, 12);
    expect(row("persistence", "spread", 24).value).toBeNull();
    expect(row("members control", "rmse", 24)).toBeUndefined();
    expect(document.notes).toContain(
      "members has 3 members: its scores are of their mean, but crps and spread",
    );
    expect(printed.join("")).toContain("CRPS, fair (definition climax; * best measured)");
  });

  test("beside its control", async () => {
    const { row } = await scores("--truth", truth, "--forecast", forecast, "--control");
    expect(row("members control", "rmse", 24).value).toBeCloseTo(3, 12);
    expect(row("members control", "crps", 24).value).toBeCloseTo(3, 12);
    expect(row("members control", "spread", 24).value).toBeNull();
    expect(row("members", "rmse", 24).value).toBeCloseTo(2 / 3, 12);
  });

  test("--control wants members, and a name that is free", async () => {
    const single = await writeForecast(path("single.nc"), [0], [24], { "2m_temperature": [[flat(283)]] });
    const error = await failure("--truth", truth, "--forecast", single, "--control");
    expect(error.message).toBe("--control wants an ensemble; single has one member");
    const named = ["--forecast", forecast, single, "--name", "a,a control", "--control"];
    expect((await failure("--truth", truth, ...named)).message).toBe(
      "a system is named a control, as the control of an ensemble is",
    );
  });

  test("files of one system with other numbers of members are refused", async () => {
    const two = await writeEnsemble(path("two.nc"), [24], [24], { "2m_temperature": [[[flat(1), flat(2)]]] });
    const error = await failure("--truth", truth, "--forecast", forecast, two);
    expect(error.message).toBe(
      `the forecasts of members differ in their members: 2m_temperature in ${forecast}: 3; 2m_temperature in ${two}: 2`,
    );
  });
});

describe("means over time", () => {
  const states = [flat(280), flat(281), flat(285), flat(290), flat(300)];
  const days = [0, 24, 48, 72, 96];
  const means = { attributes: { climax_average_hours: "48" } };
  let truth: string;
  beforeAll(async () => {
    truth = await writeTruth(path("days.nc"), days, { "2m_temperature": states });
  });

  test("are scored against the mean of the states inside, the end not included", async () => {
    const forecast = await writeForecast(
      path("mean.nc"),
      [0, 24],
      [24, 48],
      {
        "2m_temperature": [
          [flat(284), flat(287.5)],
          [flat(287.5), flat(295)],
        ],
      },
      means,
    );
    const climatology = await writeTruth(path("usual.nc"), [0], { "2m_temperature": [flat(283)] });
    const { document, row } = await scores(
      ...["--truth", truth, "--forecast", forecast, "--climatology", climatology, "--metrics", "rmse,acc"],
    );
    // Means of days 1 and 2, 2 and 3 (twice), 3 and 4: 283, 287.5, 295.
    expect(row("climax", "rmse", 24).value).toBeCloseTo((1 + 0) / 2, 12);
    expect(row("climax", "rmse", 48).value).toBeCloseTo(0, 12);
    expect(row("persistence", "rmse", 24).value).toBeCloseTo((3 + 6.5) / 2, 12);
    expect(row("climatology", "rmse", 48).value).toBeCloseTo((4.5 + 12) / 2, 12);
    expect(document.average_hours).toBe(48);
    expect(document.valid_times).toEqual(["2018-01-02T00:00:00", "2018-01-05T00:00:00"]);
    expect(document.notes).toContain(
      "forecasts are means over 48 h from their valid time on: each is scored against the mean of the 2 states of " +
        "the truth inside; persistence is the one state at the initial time",
    );
  });

  test("want every state inside", async () => {
    const forecast = await writeForecast(
      path("over.nc"),
      [0, 48],
      [24, 48],
      {
        "2m_temperature": [
          [flat(1), flat(2)],
          [flat(3), flat(4)],
        ],
      },
      means,
    );
    const error = await failure("--truth", truth, "--forecast", forecast);
    expect(error.message).toBe(
      `the truth ${truth} lacks 1 time of 1 forecast fields, first 2018-01-06T00:00:00, last 2018-01-06T00:00:00; ` +
        "it has 5 states from 2018-01-01T00:00:00 to 2018-01-05T00:00:00",
    );
    const gap = await writeTruth(path("gap.nc"), [0, 24, 48, 96, 120, 144], {
      "2m_temperature": [...states, flat(301)],
    });
    expect((await failure("--truth", gap, "--forecast", forecast)).message).toContain(
      "first 2018-01-04T00:00:00",
    );
  });

  test("bench s2s scores two-week means only", async () => {
    const forecast = await writeForecast(
      path("short.nc"),
      [0],
      [24],
      { "2m_temperature": [[flat(1)]] },
      means,
    );
    const error = await failure("--truth", truth, "--forecast", forecast, "--bench", "s2s");
    expect(error).toMatchObject({
      kind: "data",
      message: "bench s2s scores means over 336 h from the valid time on; climax holds means over 48 h",
    });
    const plain = await writeForecast(path("plain.nc"), [0], [24], { "2m_temperature": [[flat(1)]] });
    expect((await failure("--truth", truth, "--forecast", plain, "--bench", "s2s")).message).toContain(
      "plain holds states at single times",
    );
    expect((await failure("--truth", truth, "--forecast", plain, forecast)).message).toBe(
      "plain holds states at single times, climax holds means over 48 h: they have no truth in common",
    );
  });

  test("of two weeks stand beside the published ones", async () => {
    const lat = Array.from({ length: 32 }, (_, i) => -87.1875 + 5.625 * i);
    const lon = Array.from({ length: 64 }, (_, i) => 5.625 * i);
    const field = (value: number) => Array<number>(2048).fill(value);
    const hours = Array.from({ length: 43 }, (_, day) => 24 * day);
    const globe = await writeTruth(
      path("globe.nc"),
      hours,
      { t2m: hours.map((h) => field(250 + h / 24)) },
      { lat, lon },
    );
    const forecast = await writeForecast(
      path("s2s.nc"),
      [0],
      [336, 672],
      { t2m: [[field(272), field(284.5)]] },
      {
        lat,
        lon,
        attributes: { climax_average_hours: "336" },
      },
    );
    const { row } = await scores("--truth", globe, "--forecast", forecast, "--bench", "s2s");
    // Days 14 to 27 and 28 to 41: 250 + 20.5 and 250 + 34.5.
    expect(row("climax", "rmse", 336).value).toBeCloseTo(1.5, 10);
    expect(row("climax", "rmse", 672).value).toBeCloseTo(0, 10);
    expect(row("ClimaX (published)", "rmse", 336).value).toBe(1.66);
    expect(row("ClimaX (published)", "rmse", 672).value).toBe(1.7);
  });
});

describe("a region", () => {
  const lat = [-60, 0, 60];
  const lon = [0, 90, 180, 270];
  test("cuts the truth, its climatology and nothing else", async () => {
    const field = (added: number) => Array.from({ length: 12 }, (_, i) => 280 + i + added);
    const truth = await writeTruth(path("whole.nc"), [0, 24], { t2m: [field(0), field(3)] }, { lat, lon });
    // Rows 0 and 60 N, columns 90 and 270 E: points 5, 7, 9, 11.
    const forecast = await writeForecast(
      path("part.nc"),
      [0],
      [24],
      {
        t2m: [[[5, 7, 9, 11].map((i) => 284 + i)]],
      },
      { lat: [0, 60], lon: [90, 270], attributes: { climax_region: "Somewhere" } },
    );
    const usual = await writeTruth(path("usualwhole.nc"), [0], { t2m: [field(5)] }, { lat, lon });
    const { document, row } = await scores(
      ...["--truth", truth, "--forecast", forecast, "--climatology", usual, "--metrics", "bias"],
    );
    expect(row("climax", "bias", 24)).toMatchObject({ value: expect.closeTo(1, 12), region: "Somewhere" });
    expect(row("persistence", "bias", 24).value).toBeCloseTo(-3, 12);
    expect(row("climatology", "bias", 24).value).toBeCloseTo(2, 12);
    expect(document.notes[0]).toMatch(
      /^cut to the region of .*part\.nc, Somewhere, 2 x 2.*: the truth .*whole\.nc \(3 x 4/,
    );
    // A forecast of the whole is held against it over the same points: 285 + i there, 999 elsewhere.
    const inside = (i: number) => [5, 7, 9, 11].includes(i);
    const all = await writeForecast(
      path("wide.nc"),
      [0],
      [24],
      { t2m: [[Array.from({ length: 12 }, (_, i) => (inside(i) ? 285 + i : 999))]] },
      { lat, lon },
    );
    const both = await scores(
      ...["--truth", truth, "--forecast", `${all},${forecast}`, "--name", "wide,part", "--metrics", "bias"],
      ...["--baselines", "none"],
    );
    expect(both.row("wide", "bias", 24)).toMatchObject({ value: expect.closeTo(2, 12), region: "Somewhere" });
    expect(both.row("part", "bias", 24).value).toBeCloseTo(1, 12);
    const elsewhere = await writeForecast(
      path("off.nc"),
      [0],
      [24],
      { t2m: [[[1, 2, 3, 4]]] },
      {
        lat: [0, 61],
        lon: [90, 270],
      },
    );
    expect(await failure("--truth", truth, "--forecast", elsewhere, "--regrid", "none")).toMatchObject({
      kind: "grid",
    });
  });

  test("of the paper stands beside the published scores of that region, not those of the globe", async () => {
    const box = { lat: [15.46875, 16.875], lon: [220.78125 - 1.40625, 220.78125] };
    const whole = await writeTruth(
      path("box.nc"),
      [0, 72],
      { t2m: [Array(6).fill(280), Array(6).fill(281)] },
      {
        lat: [14.0625, ...box.lat],
        lon: box.lon,
      },
    );
    const forecast = await writeForecast(
      path("boxed.nc"),
      [0],
      [72],
      { t2m: [[flat(283)]] },
      {
        ...box,
        attributes: { climax_region: "NorthAmerica" },
      },
    );
    const { document, row } = await scores("--truth", whole, "--forecast", forecast, "--metrics", "rmse");
    expect(row("climax", "rmse", 72)).toMatchObject({ value: expect.closeTo(2, 10), region: "NorthAmerica" });
    const shown = document.rows.filter(({ source }: { source: string }) => source !== "measured");
    expect(shown).toHaveLength(5);
    expect(row("ClimaX, pretrained at 1.40625 (published)", "rmse", 72)).toMatchObject({
      value: 1.35,
      region: "NorthAmerica",
    });
  });
});

describe("tasks without a lead", () => {
  test("downscaling: files of valid times, RMSE, Pearson correlation, mean bias, no baselines", async () => {
    const truth = await writeTruth(path("fine.nc"), [0, 6], {
      t2m: [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
      ].map((f) => f.map((x) => x + 280)),
    });
    const forecast = await writeTruth(path("finer.nc"), [0, 6], {
      t2m: [
        [1, 2, 3, 5],
        [5, 6, 7, 9],
      ].map((f) => f.map((x) => x + 280)),
    });
    const { document, row } = await scores(
      "--truth",
      truth,
      "--forecast",
      forecast,
      "--bench",
      "downscaling",
    );
    expect(row("finer", "rmse", 0)).toMatchObject({
      value: expect.closeTo(Math.sqrt(2 / 6), 12),
      samples: 2,
    });
    expect(row("finer", "mean_bias", 0).value).toBeCloseTo(1 / 4, 12);
    // By hand: sums of squares about the means 4.5 and 4.75, and of products.
    const [f, y] = [
      [1, 2, 3, 5, 5, 6, 7, 9],
      [1, 2, 3, 4, 5, 6, 7, 8],
    ];
    const dot = (a: number[], b: number[], p: number, q: number) =>
      a.reduce((s, x, i) => s + (x - p) * (b[i]! - q), 0);
    expect(row("finer", "pearson", 0).value).toBeCloseTo(
      dot(f, y, 4.75, 4.5) / Math.sqrt(dot(f, f, 4.75, 4.75) * dot(y, y, 4.5, 4.5)),
      12,
    );
    expect(new Set(document.rows.map(({ metric }: { metric: string }) => metric))).toEqual(
      new Set(["rmse", "pearson", "mean_bias"]),
    );
    expect(document.rows.every(({ system }: { system: string }) => system === "finer")).toBe(true);
    const shown = await scores(
      "--truth",
      truth,
      "--forecast",
      forecast,
      "--bench",
      "downscaling",
      "--published",
    );
    expect(shown.row("ClimaX (published)", "mean_bias", 0).value).toBe(-0.06);
    const error = await failure(
      ...["--truth", truth, "--forecast", forecast, "--bench", "downscaling", "--baselines", "persistence"],
    );
    expect(error.message).toBe(
      "bench downscaling has forecasts without a lead; persistence would be the truth itself",
    );
    expect((await failure("--truth", truth, "--forecast", forecast)).message).toContain(
      "has no initial time and no lead",
    );
  });

  test("climatebench: all years at once, precipitation by the day, its published rows for its years only", async () => {
    // Years 2080 and 2100 in hours since 2018; kg m-2 s-1.
    const years = [2080, 2100].map((year) => (Date.UTC(year, 0, 1) - Date.UTC(2018, 0, 1)) / 3.6e6);
    const rain = (...fields: number[][]) => ({ pr: fields.map((field) => field.map((x) => x / 86400)) });
    const units = { variableAttributes: { units: "kg m-2 s-1" } };
    const truth = await writeTruth(path("pr.nc"), years, rain([1, 1, 2, 2], [3, 3, 2, 2]), units);
    const forecast = await writeTruth(path("projected.nc"), years, rain([2, 2, 2, 2], [5, 5, 2, 2]), units);
    const PR = "mean_total_precipitation_rate";
    const { row } = await scores("--truth", truth, "--forecast", forecast, "--bench", "climatebench");
    // Time means differ by [1.5 1.5 0 0]; global means by 1/3 and 2/3; the truth's own is (5/3 + 7/3) / 2 = 2.
    const s = Math.sqrt((2 * 2.25) / 6) / 2;
    const g = Math.sqrt((1 / 9 + 4 / 9) / 2) / 2;
    // The files hold float32.
    expect(row("projected", "nrmse_s", 0, PR).value).toBeCloseTo(s, 6);
    expect(row("projected", "nrmse_g", 0, PR).value).toBeCloseTo(g, 6);
    expect(row("projected", "nrmse_total", 0, PR)).toMatchObject({
      value: expect.closeTo(s + 5 * g, 6),
      samples: 2,
    });
    expect(row("projected", "rmse", 0, PR)).toMatchObject({
      value: expect.closeTo((Math.sqrt(2 / 6) + Math.sqrt(8 / 6)) / 2, 6),
      units: "kg m-2 day-1",
    });
    expect(row("ClimaX-frozen (published)", "nrmse_total", 0, PR).value).toBe(3.11);
    expect(said.join("")).toContain("left out: 2m_temperature (not in projected, the truth)");

    const tas = await writeTruth(path("tas.nc"), years, { tas: [flat(280), flat(281)] });
    const other = await scores("--truth", tas, "--forecast", tas, "--name", "x", "--bench", "climatebench");
    expect(other.row("Linear pattern scaling, 96 x 144 (published)", "nrmse_total", 0).value).toBe(0.2836);
    const now = await writeTruth(path("now.nc"), [0, 8760], { tas: [flat(280), flat(281)] });
    const past = await scores("--truth", now, "--forecast", now, "--name", "x", "--bench", "climatebench");
    expect(past.document.rows.every(({ source }: { source: string }) => source === "measured")).toBe(true);
    expect(said.join("")).toContain(
      "published scores of climatebench are about 2080..2100: see them with --published",
    );
  });
});

describe("seasonal climatologies of a prepared set", () => {
  // Each week has a value of its own, and so has each half of the day: 280 + week + 0.5 at 12 h.
  const week = (day: number) => Math.min(51, Math.floor((day - 1) / 7));
  let set: string;
  let forecast: string;
  beforeAll(async () => {
    set = path("set");
    const archive = fakeArchive({
      start: "2017-01-01",
      steps: 2 * (365 + 20),
      stepHours: 12,
      names: ["2m_temperature"],
      value: (_, time) => {
        const { year, dayOfYear, hour } = timeParts(time);
        return 280 + week(dayOfYear) + (hour === 12 ? 0.5 : 0) + (year === 2018 ? 2 : 0);
      },
    });
    await prepare(archive, set, { train: "2017", test: "2018", provenance });
    // From 1 January 2018: truth at 24 h is 282, at 36 h 282.5, at 8 days 283.
    forecast = await writeForecast(
      path("seasonal.nc"),
      [0],
      [24, 36, 192],
      { "2m_temperature": [[Array(12).fill(281), Array(12).fill(281), Array(12).fill(281)]] },
      { lat: [-60, 0, 60], lon: [0, 90, 180, 270] },
    );
  });

  test("are baselines when asked for", async () => {
    const asked = [
      "--baselines",
      "climatology,climatology-weekly,climatology-dayofyear",
      "--metrics",
      "bias",
    ];
    const { document, row } = await scores("--truth", set, "--forecast", forecast, ...asked);
    // A week's mean is 280 + week + 0.25, the truth 2 more.
    expect(row("climatology-weekly", "bias", 24).value).toBeCloseTo(-1.75, 5);
    expect(row("climatology-weekly", "bias", 36).value).toBeCloseTo(-2.25, 5);
    expect(row("climatology-weekly", "bias", 192).value).toBeCloseTo(-1.75, 5);
    const smoothed = (day: number) => {
      let [sum, total] = [0, 0];
      for (let k = -30; k <= 30; k++) {
        // A table of 366 days whose last is 31 December again.
        const slot = ((day - 1 + k + 366) % 366) + 1;
        sum += (1 - Math.abs(k) / 30) * week(Math.min(365, slot));
        total += 1 - Math.abs(k) / 30;
      }
      return 280 + sum / total;
    };
    expect(row("climatology-dayofyear", "bias", 24).value).toBeCloseTo(smoothed(2) - 282, 4);
    expect(row("climatology-dayofyear", "bias", 36).value).toBeCloseTo(smoothed(2) - 282, 4);
    expect(row("climatology-dayofyear", "bias", 192).value).toBeCloseTo(smoothed(9) - 283, 4);
    expect(document.climatology).toBe(
      `the mean of the training period of ${set}; the weekly means of the training period of ${set}; ` +
        `the smoothed means by day of the year and hour (61-day triangular window) of the training period of ${set}`,
    );
  });

  test("are what anomalies are taken from when asked for", async () => {
    const asked = ["--climatology", "weekly", "--metrics", "acc", "--definition", "weatherbench2"];
    const { document, row } = await scores("--truth", set, "--forecast", forecast, ...asked);
    expect(document.anomalies).toBe(`the weekly means of the training period of ${set}`);
    // Anomalies are even: 0.75 beside 1.75, 0.75 beside 2.25; at 192 h -0.25 beside 1.75.
    expect(row("seasonal", "acc", 24).value).toBeCloseTo(1, 5);
    expect(row("seasonal", "acc", 192).value).toBeCloseTo(-1, 5);
  });

  test("want a prepared set", async () => {
    const file = await writeTruth(
      path("file.nc"),
      [0, 24],
      { t2m: [Array(12).fill(280), Array(12).fill(281)] },
      {
        lat: [-60, 0, 60],
        lon: [0, 90, 180, 270],
      },
    );
    const asked = [
      "--truth",
      file,
      "--forecast",
      forecast,
      "--leads",
      "24",
      "--baselines",
      "climatology-weekly",
    ];
    expect(await failure(...asked)).toMatchObject({
      kind: "config",
      message: `the baseline climatology-weekly wants the training period of a prepared set; ${file} is none`,
    });
    // That of a set that is given apart.
    const { row } = await scores(...asked, "--climatology", set, "--metrics", "bias");
    expect(row("climatology-weekly", "bias", 24).value).toBeCloseTo(-0.75, 5);
    expect(
      (await failure("--truth", file, "--forecast", forecast, "--leads", "24", "--climatology", "dayofyear"))
        .message,
    ).toBe(`--climatology dayofyear wants a prepared set as the truth; ${file} is none`);
  });
});
