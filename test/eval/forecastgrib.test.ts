/** Forecasts in GRIB: by step, from several initial times, of ensembles, with sums of rain. */
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatTime } from "../../src/data/time.ts";
import { alignAll } from "../../src/eval/align.ts";
import { openForecastFile } from "../../src/eval/forecastfile.ts";
import { openSystems } from "../../src/eval/systems.ts";
import { openTruth } from "../../src/eval/truth.ts";
import { eccodesInstalled } from "../support/eccodes.ts";
import { type GribSketch, grib1, grib2 } from "../support/gribwriter.ts";
import { tinyFolder } from "./tinyfiles.ts";

const installed = await eccodesInstalled();
const shared = join(import.meta.dirname, "../../../shared/data");

let folder: string;
beforeAll(async () => {
  folder = await tinyFolder();
});
afterAll(() => rm(folder, { recursive: true }));

/** North first, from Greenwich, as ECMWF writes. */
const shape = { columns: 4, rows: 3, lat: [60, -60], lon: [0, 270] } satisfies GribSketch["shape"];
const from = (value: number) => Array.from({ length: 12 }, (_, i) => value + i);
/** The same south to north. */
const turned = (value: number) => [8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3].map((i) => value + i);

async function write(
  name: string,
  sketches: Omit<GribSketch, "shape">[],
  edition: 1 | 2 = 1,
): Promise<string> {
  const path = join(folder, name);
  const messages = sketches.map((sketch) => (edition === 1 ? grib1 : grib2)({ shape, ...sketch }));
  await writeFile(path, Buffer.concat(messages));
  return path;
}
const day: [number, number, number, number] = [2020, 1, 1, 0];
const noon: typeof day = [2020, 1, 1, 12];
const [temperature, t2m, rain] = [130, 167, 228];

describe.skipIf(!installed)("GRIB forecasts (skipped without ecCodes)", () => {
  test.for([1, 2] as const)("edition %i: one initial time, steps and levels (ai-models)", async (edition) => {
    const parameter = edition === 1 ? temperature : ([0, 0] as [number, number]);
    const path = await write(
      `one${edition}.grib`,
      [6, 12, 18].flatMap((step) =>
        [500, 850].map((level) => ({ values: from(step * 100 + level), date: day, step, level, parameter })),
      ),
      edition,
    );
    const file = await openForecastFile(path);
    expect(file.leads).toEqual([6, 12, 18]);
    expect(file.initial.map(formatTime)).toEqual(["2020-01-01T00:00:00"]);
    expect([...file.fields.keys()].toSorted()).toEqual(["temperature_500", "temperature_850"]);
    expect([...(await file.fields.get("temperature_850")!.read(0, 1))]).toEqual(turned(1200 + 850));
    expect(file.notes).toEqual([]);
    await file.close();
  });

  test("several initial times whose valid times do not meet: each its own", async () => {
    const path = await write(
      "several.grib",
      [day, noon].flatMap((date, i) =>
        [0, 6].map((step) => ({ values: from(i * 100 + step), date, step, parameter: temperature })),
      ),
    );
    const file = await openForecastFile(path);
    expect([file.initial.map(formatTime), file.leads]).toEqual([
      ["2020-01-01T00:00:00", "2020-01-01T12:00:00"],
      [0, 6],
    ]);
    expect([...(await file.fields.get("temperature_500")!.read(1, 1))]).toEqual(turned(106));
    expect(file.notes).toEqual([]);
    await file.close();
  });

  test("overlapping ones, of which one is shorter: what is not there is absent, not missing", async () => {
    const path = await write("overlap.grib", [
      ...[6, 12, 18].map((step) => ({ values: from(step), date: day, step, parameter: temperature })),
      ...[6, 12].map((step) => ({ values: from(100 + step), date: noon, step, parameter: temperature })),
    ]);
    const { systems, notes, close } = await openSystems([path]);
    const [system] = systems;
    expect(notes).toEqual([]);
    expect([6, 12, 18].map((lead) => system!.has("temperature_500", system!.initialTimes[1]!, lead))).toEqual(
      [true, true, false],
    );
    expect([...(await system!.read("temperature_500", system!.initialTimes[1]!, 12))]).toEqual(turned(112));
    await close();
  });

  test("one file for each step: one system", async () => {
    const paths = await Promise.all(
      [6, 12].map((step) =>
        write(`step${step}.grib`, [
          { values: from(step), date: day, step, parameter: t2m, levelType: 1, level: 0 },
        ]),
      ),
    );
    const { systems, close } = await openSystems([join(folder, "step*.grib")]);
    expect(systems.map(({ paths, leads }) => [paths.length, leads])).toEqual([[paths.length, [6, 12]]]);
    const [system] = systems;
    expect([...(await system!.read("2m_temperature", system!.initialTimes[0]!, 12))]).toEqual(turned(12));
    await close();
  });

  test("members", async () => {
    const path = await write(
      "members.grib",
      [6, 12].flatMap((step) =>
        [1, 2, 3].map((member) => ({
          values: from(step * 10 + member),
          date: day,
          step,
          member,
          parameter: temperature,
        })),
      ),
    );
    const file = await openForecastFile(path);
    const field = file.fields.get("temperature_500")!;
    expect(field.members).toBe(3);
    expect([...(await field.read(0, 1, 2))]).toEqual(turned(123));
    await file.close();
  });

  test("rain since the initial time (0-6, 0-12, ...): what falls between leads", async () => {
    const path = await write("since.grib", [
      ...[6, 12, 18].map((hour) => ({
        values: from(hour),
        date: day,
        sum: [0, hour] as [number, number],
        parameter: rain,
        levelType: 1,
        level: 0,
      })),
      { values: from(280), date: day, step: 6, parameter: t2m, levelType: 1, level: 0 },
    ]);
    const file = await openForecastFile(path);
    expect(file.notes).toEqual([
      `${path}: tp is summed since the initial time; differences between leads give total_precipitation_6hr, total_precipitation_12hr`,
    ]);
    const six = file.fields.get("total_precipitation_6hr")!;
    expect([...(await six.read(0, 0))]).toEqual(turned(6));
    expect([...(await six.read(0, 2))]).toEqual(Array(12).fill(6));
    expect([...(await file.fields.get("total_precipitation_12hr")!.read(0, 1))]).toEqual(turned(12));
    expect(file.leads.map((_, j) => file.fields.get("2m_temperature")!.has(0, j))).toEqual([
      true,
      false,
      false,
    ]);
    await file.close();
  });

  test("rain of each 6 hours (0-6, 6-12, ...) has that name", async () => {
    const path = await write(
      "each.grib",
      [6, 12].map((hour) => ({
        values: from(hour),
        date: day,
        sum: [hour - 6, hour] as [number, number],
        parameter: rain,
        levelType: 1,
        level: 0,
      })),
    );
    const file = await openForecastFile(path);
    expect(file.notes).toEqual([`${path}: tp is what falls in 6 h: taken as total_precipitation_6hr`]);
    expect([...(await file.fields.get("total_precipitation_6hr")!.read(0, 1))]).toEqual(turned(12));
    await file.close();
  });

  test("an analysis is no forecast; a variable twice is refused with GRIB's own mend", async () => {
    const analysis = await write("analysis.grib", [
      { values: from(280), date: day, step: 0, parameter: temperature },
    ]);
    await expect(openForecastFile(analysis)).rejects.toThrow(`${analysis} has no initial time and no lead`);
  });
});

const real = join(shared, "ecmwf-pl-timeseries/pl_regular_ll.grib");
describe.skipIf(!installed || !existsSync(real))(
  "real GRIB files (skipped without ecCodes and ../shared/data)",
  () => {
    test("ECMWF, four initial times with steps 0 and 6: forecasts from their file against its own analyses", async () => {
      const truth = await openTruth([real]);
      const { systems, close } = await openSystems([real], ["ecmwf"]);
      const aligned = alignAll(truth, systems, new Map());
      const [system] = aligned.systems;
      expect([system!.initialTimes.length, system!.leads]).toEqual([4, [0, 6]]);
      const step = truth.times.findIndex(({ seconds }) => seconds === system!.initialTimes[2]!.seconds);
      expect(await system!.read("geopotential_500", system!.initialTimes[2]!, 0)).toEqual(
        await aligned.truth.read("geopotential_500", step),
      );
      await close();
      await truth.close();
    });

    const gfs = join(shared, "gfs-grib2/gfs.grb");
    test.skipIf(!existsSync(gfs))(
      "NCEP's GFS holds the pressure at sea level twice (skipped without its file)",
      async () => {
        await expect(openForecastFile(gfs)).rejects.toMatchObject({
          message: `${gfs}: mslet and prmsl are both mean_sea_level_pressure`,
          hint: "leave one of them in the file: grib_copy -w shortName!=prmsl in.grib out.grib",
        });
      },
    );
  },
);
