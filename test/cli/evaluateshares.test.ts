/** Shares of an evaluation, regions and seasons of it, and everything that it writes, as a user types it. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import type { DifferenceRow, ReportRow, ScoreDocument } from "../../src/scores/scoredocument.ts";
import { tinyFolder, writeForecast, writeTruth } from "../eval/tinyfiles.ts";
import { evaluate, failure, printed, said } from "../support/evaluating.ts";

const lat = [-75, -45, -15, 15, 45, 75];
const lon = Array.from({ length: 8 }, (_, i) => i * 45);
const layout = { lat, lon };
const cells = lat.length * lon.length;
const days = 40;

/** Smooth weather with a wave that moves, of no particular meaning; never the same twice. */
const state = (day: number) =>
  Array.from({ length: cells }, (_, i) => {
    const [row, column] = [Math.floor(i / 8), i % 8];
    return 280 - 6 * Math.abs(row - 2.5) + 5 * Math.sin(0.8 * column + 0.9 * day) + Math.cos(1.7 * day + row);
  });
/** Errors that wander from one initial time to the next. */
const off = (values: number[], day: number, size: number) =>
  values.map((value, i) => value + size * Math.sin(0.37 * day * (1 + (i % 5)) + i));

let folder: string;
let inputs: string[];
const path = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await tinyFolder();
  const hours = Array.from({ length: days + 3 }, (_, day) => 24 * day);
  const truth = await writeTruth(path("truth.nc"), hours, { t2m: hours.map((h) => state(h / 24)) }, layout);
  const initial = hours.slice(0, days);
  const made = (name: string, size: number) => {
    const fields = initial.map((h) => [1, 2].map((lead) => off(state(h / 24 + lead), h / 24, size * lead)));
    return writeForecast(path(`${name}.nc`), initial, [24, 48], { t2m: fields }, layout);
  };
  inputs = [
    ...["--forecast", `${await made("good", 0.5)},${await made("poor", 1.5)}`, "--name", "good,poor"],
    ...["--truth", truth],
  ];
});
afterAll(() => rmSync(folder, { recursive: true }));

const read = (name: string): ScoreDocument => JSON.parse(readFileSync(path(name), "utf8"));
const row = ({ rows }: ScoreDocument, wanted: Partial<ReportRow>) =>
  rows.find((row) => Object.entries(wanted).every(([key, value]) => row[key as keyof ReportRow] === value));

describe("shares", () => {
  const chosen = [
    "--region",
    "global,tropics",
    "--metrics",
    "rmse,mae,bias,acc,pearson",
    "--seasons",
    "all,DJF",
  ];

  test.for([2, 3])("%i of them merge to the very scores of one process, byte for byte", async (count) => {
    await evaluate(...inputs, ...chosen, "--json", path("whole.json"), "--csv", path("whole.csv"));
    const parts: string[] = [];
    for (let index = count; index >= 1; index--) {
      parts.push(path(`${index}of${count}.part`));
      await evaluate(...inputs, ...chosen, "--shard", `${index}/${count}`, "--part", parts.at(-1)!);
      expect(printed.join("")).toContain(`share ${index}/${count}`);
    }
    const outputs = ["--json", path("merged.json"), "--csv", path("merged.csv"), "--seasons", "all,DJF"];
    await evaluate("--merge", parts.join(","), ...outputs);
    expect(readFileSync(path("merged.csv"), "utf8")).toBe(readFileSync(path("whole.csv"), "utf8"));
    const [whole, merged] = [read("whole.json"), read("merged.json")];
    expect(merged.differences).toEqual(whole.differences);
    // A share keeps what any output may want; the run of one process was not asked for curves.
    const strip = ({ provenance, profiles, ...rest }: ScoreDocument) => rest;
    expect(strip(merged)).toEqual(strip(whole));
    expect(merged.provenance.files).toEqual(whole.provenance.files);
    expect(merged.profiles.map(({ metric }) => metric)).not.toContain("acc");
  });

  test("are refused where they cannot be what was meant", async () => {
    const part = path("one.part");
    expect(await failure(...inputs, "--shard", "1/2")).toMatchObject({
      message: "found --shard without --part",
      hint: "a share has no scores yet: name the file that it goes to, --part FILE",
    });
    expect((await failure(...inputs, "--part", part)).message).toBe("found --part without --shard");
    expect((await failure(...inputs, "--shard", "3/2", "--part", part)).message).toBe(
      "found --shard 3/2; wanted I/N with I from 1 to N",
    );
    expect((await failure(...inputs, "--shard", "1/2", "--part", part, "--csv", path("x.csv"))).message).toBe(
      "found --csv beside --shard; a share has no scores yet",
    );
    await evaluate(...inputs, "--shard", "1/2", "--part", part);
    expect((await failure("--merge", part)).message).toBe("of 2 shares 1 were given; 2/2 is lacking");
    expect((await failure(...inputs, "--merge", part)).message).toContain("beside --merge");
    expect((await failure("--merge", path("good.nc"))).message).toContain("is no share of an evaluation");
  });
});

describe("regions and seasons", () => {
  test("are scored beside the whole; a season's forecasts are those of its valid times", async () => {
    const regions = "global,tropics,northern-hemisphere,20..80/-10..100";
    await evaluate(...inputs, "--region", regions, "--seasons", "all,DJF,MAM", "--json", path("r.json"));
    const document = read("r.json");
    expect(new Set(document.rows.map(({ region }) => region)).size).toBe(4);
    const at = (season: string) =>
      row(document, { system: "good", metric: "mae", lead_hours: 24, region: "global", season });
    // From 1 January: valid times of 59 - 1 days lie in winter, and 40 of them are forecast.
    expect([at("all")!.samples, at("DJF")!.samples]).toEqual([days, days]);
    expect(at("DJF")!.value).toBe(at("all")!.value);
    expect(at("MAM")).toBeUndefined();
    expect(printed.join("")).toContain("RMSE, tropics");
  });

  test("unknown ones are refused, and land without a mask", async () => {
    expect((await failure(...inputs, "--region", "tropic")).message).toContain("tropic");
    const land = await failure(...inputs, "--region", "land");
    expect(land.hint).toContain("--land FILE");
  });
});

describe("confidence", () => {
  test("limits hold the score, and the better system is better beyond chance", async () => {
    await evaluate(...inputs, "--metrics", "rmse", "--versus", "poor", "--json", path("c.json"));
    const document = read("c.json");
    expect(document.versus).toBe("poor");
    expect(document.intervals).toMatchObject({ level: 0.95, resamples: 1000, seed: 0, block: null });
    const good = row(document, { system: "good", lead_hours: 24 })!;
    expect(good.low!).toBeLessThan(good.value!);
    expect(good.high!).toBeGreaterThan(good.value!);
    const pair = document.differences.find(
      (d: DifferenceRow) => d.system === "good" && d.versus === "poor" && d.lead_hours === 24,
    )!;
    expect(pair.better).toBe("system");
    expect(pair.difference).toBeCloseTo(
      good.value! - row(document, { system: "poor", lead_hours: 24 })!.value!,
      12,
    );
    expect(pair.p!).toBeLessThan(0.05);
  });

  test("--bootstrap.resamples 0 leaves them out, another seed moves them a little", async () => {
    await evaluate(...inputs, "--metrics", "mae", "--bootstrap.resamples", "0", "--json", path("none.json"));
    expect(read("none.json")).toMatchObject({
      intervals: null,
      rows: [{ low: null, high: null }, {}, {}, {}, {}, {}],
    });
    const limits = async (seed: string) => {
      await evaluate(...inputs, "--metrics", "mae", "--bootstrap.seed", seed, "--json", path("seed.json"));
      const { low, high } = row(read("seed.json"), { system: "good", lead_hours: 24 })!;
      return [low!, high!] as const;
    };
    const [a, again, b] = [await limits("1"), await limits("1"), await limits("2")];
    expect(again).toEqual(a);
    expect(b).not.toEqual(a);
    expect(Math.abs(b[0] - a[0])).toBeLessThan(0.25 * (a[1] - a[0]));
  });

  test("an unknown --versus names those that there are", async () => {
    const error = await failure(...inputs, "--versus", "god");
    expect(error.message).toContain("god");
    expect(`${error.message} ${error.hint}`).toContain("good");
  });
});

test("a forecast that is the truth itself is scored, and that is said", async () => {
  const hours = [0, 24];
  const fields = hours.map((h) => [1, 2].map((lead) => state(h / 24 + lead)));
  const same = await writeForecast(path("same.nc"), hours, [24, 48], { t2m: fields }, layout);
  await evaluate("--forecast", same, "--truth", path("truth.nc"), "--metrics", "rmse");
  expect(said.join("")).toContain(
    "warning: 2m_temperature of same is the truth itself to the last digit: was the truth given as the forecast?",
  );
  await evaluate(...inputs, "--metrics", "rmse");
  expect(said.join("")).not.toContain("to the last digit");
});

test("everything is written: NetCDF that opens, Markdown, a report that needs no network", async () => {
  const report = path("report");
  const files = ["--netcdf", path("s.nc"), "--markdown", path("s.md"), "--report", report];
  await evaluate(...inputs, ...files);
  const dataset = await openDataset(path("s.nc"));
  expect([...dataset.variables.keys()]).toEqual(expect.arrayContaining(["value", "low", "high", "rmse_map"]));
  await dataset.close();
  expect(readFileSync(path("s.md"), "utf8")).toMatch(/\| *2m_temperature.*\|.*good/s);
  const page = readFileSync(join(report, "index.html"), "utf8");
  expect(page).toContain("data:image/webp;base64,");
  expect(page).toContain("good");
  expect(page).not.toMatch(/<script|src="http/);
  // The folder may be written again, by us.
  await evaluate(...inputs, "--report", report);
});
