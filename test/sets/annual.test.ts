/** Series of annual and monthly means: their irregular steps, ClimateBench's files, and real ones where they are. */

import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { prepareCommand } from "../../src/cli/prepare.ts";
import { regridCommand } from "../../src/cli/regrid.ts";
import { openArchive } from "../../src/data/archive.ts";
import { type Calendar, formatTime, parseTime } from "../../src/data/time.ts";
import { describeStep, monthsOf } from "../../src/data/timestep.ts";
import { ClimaxError } from "../../src/errors.ts";
import { historySamples } from "../../src/sets/historysamples.ts";
import { planSplits } from "../../src/sets/plan.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { fakeArchive, provenance } from "../support/fakearchive.ts";
import { type FakeDataset, type FakeVariable, fakeDataset, fakeGrid } from "../support/fakedataset.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-annual-"));
});
afterAll(() => rmSync(root, { recursive: true }));

describe("the step", () => {
  test.each([
    [0, undefined, "single states"],
    [6, undefined, "every 6 h"],
    [24, undefined, "every 24 h"],
    [24 * 10, undefined, "every 240 h"],
    [24 * 40, undefined, "every 960 h"],
    [24 * 28, 1, "every month"],
    [24 * 31, 1, "every month"],
    [24 * 59, 2, "every 2 months"],
    [24 * 90, 3, "every 3 months"],
    [24 * 360, 12, "every year"],
    [24 * 366, 12, "every year"],
    [24 * (5 * 365 + 1), 60, "every 5 years"],
  ])("of %i h is %s months", (stepHours, months, text) => {
    expect(monthsOf(stepHours)).toBe(months);
    expect(describeStep({ stepHours })).toBe(text);
  });
});

const dates = (list: string[], calendar: Calendar = "standard") =>
  list.map((text) => parseTime(text, calendar));

describe("planSplits", () => {
  test("annual: a file for each split, a step of a year, and leap years are no gap", () => {
    const times = dates(Array.from({ length: 12 }, (_, i) => `${1999 + i}-07-02`));
    const { shards, stepHours, notes } = planSplits(times, { train: "1999..2006", val: "2007..2010" });
    expect(shards.map(({ split, year, steps }) => [split, year, steps.length])).toEqual([
      ["train", 1999, 8],
      ["val", 2007, 4],
    ]);
    expect([stepHours, notes]).toEqual([8760, []]);
  });

  test("annual: a missing year is said", () => {
    const times = dates([1995, 1996, 1997, 1999, 2000].map((year) => `${year}-01-01`));
    const { notes } = planSplits(times, { train: "1995..2000" });
    expect(notes).toEqual([
      "train: not every year: 1997-01-01T00:00:00 to 1999-01-01T00:00:00 (17520 h, 1 missing)",
    ]);
  });

  test("monthly: months of 28 to 31 days are no gap, a missing one is said", () => {
    const all = Array.from({ length: 24 }, (_, i) => `${2003 + Math.floor(i / 12)}-${(i % 12) + 1}-16`);
    const whole = planSplits(dates(all), { train: "2003..2004" });
    expect([whole.notes, whole.stepHours, whole.shards.length]).toEqual([[], 744, 1]);
    const { notes } = planSplits(dates(all.toSpliced(5, 1)), { train: "2003..2004" });
    expect(notes).toEqual([
      "train: not every month: 2003-05-16T00:00:00 to 2003-07-16T00:00:00 (1464 h, 1 missing)",
    ]);
  });

  test("shorter steps are in files by year, as before", () => {
    const times = dates(
      Array.from({ length: 20 }, (_, i) => `2000-12-${12 + i}`).concat("2001-01-01", "2001-01-02"),
    );
    const { shards, stepHours } = planSplits(times, { train: "2000..2001" });
    expect(shards.map(({ year, steps }) => [year, steps.length])).toEqual([
      [2000, 20],
      [2001, 2],
    ]);
    expect(stepHours).toBe(24);
  });
});

test("a prepared set of annual means opens, and says its step in years", async () => {
  const archive = fakeArchive({ names: ["2m_temperature"], steps: 30 });
  archive.times.splice(0, 30, ...dates(Array.from({ length: 30 }, (_, i) => `${1980 + i}-07-02T12`)));
  const dir = join(root, "annual");
  const { manifest } = await prepare(archive, dir, { train: "1980..1999", val: "2000..2009", provenance });
  expect(manifest.stepHours).toBe(8760);
  expect(manifest.notes).toEqual([]);
  expect(readdirSync(join(dir, "train")).toSorted()).toEqual(["1980.npy", "1980.sums.npy", "1980.time.npy"]);
  const set = await openSet(dir);
  expect(set.split("val").times.map(formatTime).at(4)).toBe("2004-07-02T12:00:00");
  await set.close();
});

describe("files as ClimateBench has them", () => {
  const grid = fakeGrid([-30, 30], [0, 120, 240]);
  const years = (first: number, count = 3): FakeVariable => ({
    dimensions: { time: count },
    data: (i) => first + i,
    dtype: "int64",
  });
  const perYear = (values: number[]): FakeVariable => ({ dimensions: { time: values.length }, data: values });
  const field = (scale: number): FakeVariable => ({
    dimensions: { time: 3, lat: 2, lon: 3 },
    data: (i) => scale * i,
  });
  const inputs = () =>
    fakeDataset("inputs.nc", {
      ...grid,
      time: years(2015),
      CO2: perYear([1500, 1540, 1580]),
      CH4: perYear([0.37, 0.38, 0.39]),
      SO2: field(1e-12),
      BC: field(1e-13),
    });
  const open = (...files: FakeDataset[]) =>
    openArchive(
      files.map(({ path }) => path),
      { open: async (path) => files.find((file) => file.path === path)! },
    );

  test("one number a year is the same everywhere; a time that is the year is dated to its middle", async () => {
    const { variables, times, notes, unrecognised } = await open(inputs());
    expect([...variables.keys()]).toEqual(["CO2", "CH4", "SO2", "BC"]);
    expect(times.map(formatTime)).toEqual([
      "2015-07-01T00:00:00",
      "2016-07-01T00:00:00",
      "2017-07-01T00:00:00",
    ]);
    expect(await variables.get("CO2")!.read(1)).toEqual(new Float32Array(6).fill(1540));
    expect(await variables.get("SO2")!.read(1)).toEqual(
      Float32Array.from([6, 7, 8, 9, 10, 11], (i) => i * 1e-12),
    );
    expect(variables.get("CO2")!.info).toMatchObject({ units: "Gt", role: "forcing" });
    expect(unrecognised).toEqual([]);
    expect(notes).toContain("inputs.nc: CO2: no units; taken as Gt, the units of CO2");
    expect(notes).toContain(
      "inputs.nc: time has no units and counts years (2015, ...); dated to their 1 July",
    );
  });

  test("the number and the grid may come of different files, and other units are converted", async () => {
    const co2 = fakeDataset("co2.nc", {
      time: years(2014),
      CO2: { ...perYear([1.4e6, 1.5e6, 1.6e6]), attributes: { units: "Tg" } },
    });
    const other = fakeDataset("so2.nc", { ...grid, time: years(2015), SO2: field(1e-12) });
    const { variables, times } = await open(co2, other);
    expect(times.length).toBe(2);
    expect(await variables.get("CO2")!.read(0)).toEqual(new Float32Array(6).fill(1500));
  });

  test.each<[string, FakeDataset, string]>([
    [
      "a number of the globe alone",
      fakeDataset("co2.nc", { time: years(2015), CO2: perYear([1, 2, 3]) }),
      "CO2 in co2.nc is one number for the whole globe, and no field gives a grid",
    ],
    [
      "one number of what is no forcing",
      fakeDataset("t.nc", {
        ...grid,
        time: years(2015),
        t2m: { ...perYear([280, 281, 282]), attributes: { units: "K" } },
      }),
      "t2m(time) in t.nc has no latitude",
    ],
    [
      "a time that counts steps",
      fakeDataset("steps.nc", { ...grid, time: years(1), SO2: field(1e-12) }),
      "time in steps.nc has no units, so its steps have no dates",
    ],
  ])("%s is refused", async (_, file, message) => {
    await expect(open(file)).rejects.toThrow(ClimaxError);
    await expect(open(file)).rejects.toThrow(message);
  });

  test("mixing ratios in small letters are no emissions", async () => {
    const co2 = {
      ...field(1e-4),
      attributes: { units: "mol mol-1", standard_name: "mole_fraction_of_carbon_dioxide_in_air" },
    };
    const { variables, unrecognised } = await open(
      fakeDataset("air.nc", { ...grid, time: years(2015), co2, SO2: field(1e-12) }),
    );
    expect([...variables.keys()]).toEqual(["SO2"]);
    expect(unrecognised.map(({ name }) => name)).toEqual(["co2"]);
  });
});

const data = fileURLToPath(new URL("../../../shared/data/", import.meta.url));

describe.skipIf(!existsSync(data))("real annual series (skipped without ../shared/data)", () => {
  async function set(file: string, dir: string, splits: { train: string; val: string; test: string }) {
    const lines: string[] = [];
    const spies = (["stdout", "stderr"] as const).map((stream) =>
      vi.spyOn(process[stream], "write").mockImplementation((text) => lines.push(String(text)) > 0),
    );
    const periods = Object.entries(splits).flatMap(([name, period]) => [`--${name}`, period]);
    try {
      expect(
        await regridCommand.run([`${data}${file}`, "--res", "5.625", "-o", join(root, `${dir}.nc`)]),
      ).toBe(0);
      expect(await prepareCommand.run([join(root, `${dir}.nc`), ...periods, "-o", join(root, dir)])).toBe(0);
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
    return { opened: await openSet(join(root, dir)), said: lines.join("") };
  }

  test("three CCSM members, 110 years each, as samples with ten years of history", async () => {
    const splits = { train: "1890..1969", val: "1970..1979", test: "1980..1999" };
    const members = [];
    for (const member of ["57", "59", "60"])
      members.push(await set(`geocat/TREFHT.B06.${member}.atm.1890-1999ANN.nc`, `member${member}`, splits));
    const sets = members.map(({ opened }) => opened);
    expect(members[0]!.said).toContain("every year, standard calendar");
    expect(sets.map(({ manifest }) => manifest.notes)).toEqual([[], [], []]);
    expect(sets[0]!.manifest.splits.train).toMatchObject({
      steps: 80,
      shards: [{ file: "train/1890.npy", steps: 80 }],
    });
    const names = ["2m_temperature"];
    const source = historySamples(sets, "train", { inputs: names, outputs: names, batchSize: 8, seed: 1 });
    expect(source.samples).toBe(3 * 71);
    const { x, y } = await source.batchAt(0, 0);
    expect([x.length, y.length]).toEqual([8 * 10 * 2048, 8 * 2048]);
    // By the members' own statistics together.
    const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
    expect(Math.abs(mean)).toBeLessThan(0.05); // years differ by tenths of a kelvin of 21
    // The last year of the history is the target's.
    expect(x.subarray(9 * 2048, 10 * 2048)).toEqual(y.subarray(0, 2048));
    for (const opened of sets) await opened.close();
  });

  test("240 years of A1B over North America, 360-day calendar", async () => {
    const splits = { train: "1860..2059", val: "2060..2069", test: "2070..2099" };
    const { opened, said } = await set("projection-annual/A1B_north_america.nc", "a1b", splits);
    expect(said).toContain("every year, 360_day calendar");
    expect(opened.manifest.notes).toEqual([
      expect.stringContaining("air_temperature at a height of 1.5 m: taken as 2m_temperature"),
    ]);
    expect(opened.manifest.stepHours).toBe(8640);
    await opened.close();
  });
});
