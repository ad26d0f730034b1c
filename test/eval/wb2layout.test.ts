/** Forecasts and analyses as WeatherBench 2 stores them, in Zarr by xarray (test/fixtures/weatherbench2/make.py). */
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { formatTime } from "../../src/data/time.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import { openSystems } from "../../src/eval/systems.ts";
import { openTruth } from "../../src/eval/truth.ts";
import { serveFolder } from "../support/webserver.ts";
import { tinyFolder } from "./tinyfiles.ts";

const fixtures = join(import.meta.dirname, "../fixtures/weatherbench2");

let folder: string;
beforeAll(async () => {
  folder = await tinyFolder();
});
afterAll(() => rm(folder, { recursive: true }));

/** [H, W] of a variable, by the fixture's formula. */
const field = (name: string, place: { time: number; lead: number; level?: number; number?: number }) =>
  Array.from({ length: 5 * 8 }, (_, i) => {
    const [row, column] = [Math.floor(i / 8), i % 8];
    const outer = 64 * (place.number ?? 0) + 32 * place.time + 8 * place.lead + 4 * (place.level ?? 0);
    return name.length + outer + column + 0.125 * row;
  });

test("the HRES: names, levels, times as timedeltas; longitude before latitude, both poles", async () => {
  const file = await openForecastFile(join(fixtures, "hres.zarr"));
  expect([...file.fields.keys()].toSorted()).toEqual([
    "10m_wind_speed",
    "2m_temperature",
    "geopotential_500",
    "geopotential_850",
    "mean_sea_level_pressure",
    "total_precipitation_6hr",
    "wind_speed_500",
    "wind_speed_850",
  ]);
  expect(file.leads).toEqual([0, 6, 12, 24]);
  expect(file.initial.map(formatTime)).toEqual(["2020-01-01T00:00:00", "2020-01-01T12:00:00"]);
  expect([...file.grid.lat]).toEqual([-90, -45, 0, 45, 90]);
  const read = async (name: string, i: number, j: number) => [...(await file.fields.get(name)!.read(i, j))];
  expect(await read("geopotential_850", 1, 2)).toEqual(field("geopotential", { time: 1, lead: 2, level: 1 }));
  expect(await read("10m_wind_speed", 0, 3)).toEqual(field("10m_wind_speed", { time: 0, lead: 3 }));
  expect(await read("total_precipitation_6hr", 1, 1)).toEqual(
    field("total_precipitation_6hr", { time: 1, lead: 1 }),
  );
  // Derived variables carry no units there.
  expect(file.notes.map((note) => note.slice(note.indexOf(": ") + 2))).toEqual([
    "10m_wind_speed: no units; taken as m s-1, the units of 10m_wind_speed",
    "wind_speed: no units; taken as m s-1, the units of wind_speed",
  ]);
  await file.close();
});

test("an ensemble along number, before time", async () => {
  const { systems, close } = await openSystems([join(fixtures, "ens.zarr")]);
  const [ens] = systems;
  expect([ens!.name, ens!.members]).toEqual(["ens", 3]);
  const found = await ens!.read("2m_temperature", ens!.initialTimes[1]!, 24, 2);
  expect([...found]).toEqual(field("2m_temperature", { number: 2, time: 1, lead: 3 }));
  await close();
});

test("over HTTP, as from a folder", async () => {
  vi.stubEnv("CLIMAX_CACHE", "off");
  const server = await serveFolder(fixtures);
  try {
    const { systems, close } = await openSystems([`${server.address}/hres.zarr`]);
    const found = await systems[0]!.read("wind_speed_500", systems[0]!.initialTimes[0]!, 12);
    expect([...found]).toEqual(field("wind_speed", { time: 0, lead: 2 }));
    await close();
  } finally {
    await server.close();
    vi.unstubAllEnvs();
  }
});

test("a folder of stores is one system of many files; a Zarr store may be the truth", async () => {
  await cp(join(fixtures, "hres.zarr"), join(folder, "stores", "a.zarr"), { recursive: true });
  await cp(join(fixtures, "ens.zarr"), join(folder, "stores", "b.zarr"), { recursive: true });
  const { systems, close } = await openSystems([join(folder, "stores")]);
  // Both hold 2m_temperature of the same times.
  expect(systems.map(({ name }) => name)).toEqual(["a", "b"]);
  await close();
  // Its axis of leads is none of an analysis: what is refused is that, not the folder.
  await expect(openTruth([join(fixtures, "hres.zarr")])).rejects.toThrow(
    "its dimension prediction_timedelta has 4 entries that are no time, level, latitude or longitude",
  );
});
