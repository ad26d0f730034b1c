/** The same forecasts in whatever form give the same scores, to the last digit; through `climax evaluate`. */
import { readFileSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { along, axis, since, writeCounting } from "../eval/forecastwriter.ts";
import { tinyFolder, writeTruth } from "../eval/tinyfiles.ts";
import { eccodesInstalled } from "../support/eccodes.ts";
import { evaluate } from "../support/evaluating.ts";
import { grib1 } from "../support/gribwriter.ts";

const installed = await eccodesInstalled();
const [initial, leads] = [
  [0, 12, 24],
  [6, 12],
];
const lats = [-60, -20, 20, 60];
const lons = [0, 60, 120, 180, 240, 300];
const cells = lats.flatMap((lat) => lons.map((lon) => [lat, lon] as const));
/** Whole kelvins, which GRIB's 16 bits hold. */
const truthAt = (hour: number, lat: number, lon: number) =>
  290 - Math.round(Math.abs(lat) / 2) + ((hour * 7 + lon / 60 + lat) % 5);
const forecastAt = (start: number, lead: number, lat: number, lon: number) =>
  truthAt(start + lead, lat, lon) + ((((start / 12) * 3 + lead / 6 + lon / 60 - lat / 20) * 7) % 4);

let folder: string;
let truth: string;
let plain: unknown;
const at = (name: string) => join(folder, name);
const latitude = (values: number[]) => axis("latitude", values, { units: "degrees_north" });
const longitude = (values: number[]) => axis("longitude", values, { units: "degrees_east" });
const t2m = (dimensions: string[], data: number[]) => ({
  ...{ name: "2m_temperature", dimensions: [...dimensions, "latitude", "longitude"], units: "K", data },
});
const all = initial.flatMap((start) => leads.map((lead) => [start, lead] as const));
const field = (start: number, lead: number, rows = lats, columns = lons) =>
  rows.flatMap((lat) => columns.map((lon) => forecastAt(start, lead, lat, (lon + 360) % 360)));

async function rowsOf(...forecast: string[]): Promise<unknown> {
  const json = at("scores.json");
  const argv = ["--truth", truth, "--forecast", forecast.join(","), "--name", "x", "--json", json];
  await evaluate(...argv, "--variables", "t2m", "--metrics", "rmse,bias,mae", "--no-published");
  return JSON.parse(readFileSync(json, "utf8")).rows;
}

beforeAll(async () => {
  folder = await tinyFolder();
  const hours = Array.from({ length: 7 }, (_, i) => 6 * i);
  const states = hours.map((hour) => cells.map(([lat, lon]) => truthAt(hour, lat, lon)));
  truth = await writeTruth(at("truth.nc"), hours, { "2m_temperature": states }, { lat: lats, lon: lons });
  const axes = [axis("time", initial, since), axis("prediction_timedelta", leads, { units: "hours" })];
  const data = all.flatMap(([start, lead]) => field(start, lead));
  const path = at("plain.nc");
  await writeCounting(
    path,
    [...axes, latitude(lats), longitude(lons)],
    [t2m(["time", "prediction_timedelta"], data)],
  );
  plain = await rowsOf(path);
});
afterAll(() => rmSync(folder, { recursive: true }));

test("the scores are those of the numbers", () => {
  const errors = initial.flatMap((start) =>
    cells.map(([lat, lon]) => forecastAt(start, 6, lat, lon) - truthAt(start + 6, lat, lon)),
  );
  const weights = initial.flatMap(() => cells.map(([lat]) => Math.cos((lat * Math.PI) / 180)));
  const total = weights.reduce((a, b) => a + b);
  const bias = errors.reduce((sum, error, i) => sum + error * weights[i]!, 0) / total;
  const row = (plain as { system: string; metric: string; lead_hours: number }[]).find(
    (row) => row.system === "x" && row.metric === "bias" && row.lead_hours === 6,
  );
  expect(row).toMatchObject({ value: expect.closeTo(bias, 10), samples: 3 });
});

test("north first, from -180, leads before initial times and in days", async () => {
  const [rows, columns] = [lats.toReversed(), [-180, -120, -60, 0, 60, 120]];
  const axes = [
    axis("time", initial, since),
    axis(
      "step",
      leads.map((lead) => lead / 24),
      { units: "days" },
    ),
  ];
  const data = leads.flatMap((lead) => initial.flatMap((start) => field(start, lead, rows, columns)));
  const path = at("turned.nc");
  await writeCounting(path, [...axes, latitude(rows), longitude(columns)], [t2m(["step", "time"], data)]);
  expect(await rowsOf(path)).toEqual(plain);
});

test("records in any order, each with its initial and valid time", async () => {
  const order = [4, 0, 3, 5, 1, 2].map((i) => all[i]!);
  const reference = { ...since, standard_name: "forecast_reference_time" };
  const path = at("records.nc");
  await writeCounting(
    path,
    [
      axis(
        "time",
        order.map(([start, lead]) => start + lead),
        { ...since, standard_name: "time" },
      ),
      along(
        "time",
        "forecast_reference_time",
        order.map(([start]) => start),
        reference,
      ),
      ...[latitude(lats), longitude(lons)],
    ],
    [
      t2m(
        ["time"],
        order.flatMap(([start, lead]) => field(start, lead)),
      ),
    ],
  );
  expect(await rowsOf(path)).toEqual(plain);
});

test("a folder with a file for each initial time and lead", async () => {
  await mkdir(at("runs"));
  for (const [start, lead] of all) {
    await writeCounting(
      at(`runs/run${start}_${lead}.nc`),
      [
        axis("time", [start], since),
        axis("prediction_timedelta", [lead], { units: "hours" }),
        ...[latitude(lats), longitude(lons)],
      ],
      [t2m(["time", "prediction_timedelta"], field(start, lead))],
    );
  }
  expect(await rowsOf(at("runs"))).toEqual(plain);
});

test.skipIf(!installed)("GRIB, as ai-models writes it (skipped without ecCodes)", async () => {
  const rows = lats.toReversed();
  const shape = {
    columns: 6,
    rows: 4,
    lat: [60, -60] as [number, number],
    lon: [0, 300] as [number, number],
  };
  const messages = all.map(([start, step]) =>
    grib1({
      ...{
        shape,
        values: field(start, step, rows),
        date: [2018, 1, 1 + Math.floor(start / 24), start % 24],
        step,
      },
      ...{ parameter: 167, levelType: 1, level: 0 },
    }),
  );
  await writeFile(at("all.grib"), Buffer.concat(messages));
  expect(await rowsOf(at("all.grib"))).toEqual(plain);
});
