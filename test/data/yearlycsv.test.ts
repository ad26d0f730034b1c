/** Tables of yearly numbers for the globe: read as text, and joined with fields that are dated otherwise. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openArchive } from "../../src/data/archive.ts";
import { openDataset } from "../../src/data/open.ts";
import { formatTime } from "../../src/data/time.ts";
import { looksLikeYearlyCsv, parseYearlyCsv } from "../../src/data/yearlycsv.ts";
import { ClimaxError } from "../../src/errors.ts";
import { fakeDataset, fakeGrid, fakeTime } from "../support/fakedataset.ts";

const table = `# emitted since 1850
year, CO2 , "CH4 (Mt)"
2000,1000.5,300

2001,1026,310
2002,1052,320
`;
const parsed = () => parseYearlyCsv("forcing.csv", table);

test("columns become variables of time, which counts years", async () => {
  const { variables, dimensions } = parsed();
  expect([...dimensions]).toEqual([["time", 3]]);
  expect([...variables.keys()]).toEqual(["time", "CO2", "CH4"]);
  expect(await variables.get("time")!.read()).toEqual(Float64Array.of(2000, 2001, 2002));
  expect(await variables.get("CO2")!.readUnpacked([1], [2])).toEqual(Float64Array.of(1026, 1052));
  expect(variables.get("CO2")!.attributes.size).toBe(0);
  expect(variables.get("CH4")!.attributes.get("units")).toBe("Mt");
  await expect(variables.get("CO2")!.readText()).rejects.toThrow("holds numbers, not text");
});

test("byte order marks, CRLF and upper case are taken", async () => {
  const text = "\uFEFFYear,CO2 [Mt]\r\n1999,1\r\n2000,2\r\n";
  expect(looksLikeYearlyCsv(text)).toBe(true);
  const { variables } = parseYearlyCsv("x.csv", text);
  expect(variables.get("CO2")!.attributes.get("units")).toBe("Mt");
});

test.each([
  ["a table without a year", "country,year,CO2\n"],
  ["prose", "the year, as it was\n"],
  ["a column of another name", "yearly,CO2\n"],
])("%s is not taken for one", (_, text) => expect(looksLikeYearlyCsv(text)).toBe(false));

test.each([
  ["no rows", "year,CO2\n", "a table without rows"],
  ["a column that is no forcing", "year,t2m\n2000,280\n", 'unknown column in x.csv "t2m"'],
  ["a mixing ratio in small letters", "year,co2\n2000,280\n", 'unknown column in x.csv "co2"'],
  ["a column twice", "year,CO2,CO2 (Mt)\n2000,1,2\n", "two columns are CO2"],
  ["a row that is short", "year,CO2\n2000,1\n2001\n", "line 3 has 1 entries; wanted 2"],
  ["a gap in a row", "year,CO2\n2000,\n", '"" in line 2 is no number'],
  ["decimal commas", "year,CO2\n2000,1,5\n", "line 2 has 3 entries; wanted 2"],
  ["words", "year,CO2\n2000,many\n", '"many" in line 2 is no number'],
  ["a year left out", "year,CO2\n2000,1\n2002,2\n", "the year 2002 after 2000 in line 3"],
  ["steps that are counted", "year,CO2\n1,1\n2,2\n", "the year 1 in line 2"],
])("refused: %s", (_, text, message) => {
  expect(() => parseYearlyCsv("x.csv", text)).toThrow(ClimaxError);
  expect(() => parseYearlyCsv("x.csv", text)).toThrow(message);
});

describe("beside fields", () => {
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "climax-yearly-"));
  });
  afterAll(() => rmSync(root, { recursive: true }));

  const grid = fakeGrid([-30, 30], [0, 120, 240]);
  const fields = (days: number[], calendar?: string) =>
    fakeDataset("t.nc", {
      ...grid,
      ...fakeTime(
        days.map((day) => 24 * day),
        calendar,
      ),
      t2m: {
        dimensions: { time: days.length, lat: 2, lon: 3 },
        data: (i) => 280 + i,
        attributes: { units: "K" },
      },
    });
  const open = (t2m: ReturnType<typeof fields>) =>
    openArchive(["t.nc", "forcing.csv"], { open: async (path) => (path === "t.nc" ? t2m : parsed()) });

  test("a file opens by what it holds", async () => {
    const path = join(root, "forcing.txt");
    writeFileSync(path, table);
    const dataset = await openDataset(path);
    expect([dataset.format, dataset.variables.size]).toEqual(["CSV, a row a year", 3]);
    await dataset.close();
    writeFileSync(path, "country,CO2\nWorld,1\n");
    await expect(openDataset(path)).rejects.toThrow(
      "is a table, but not of what drives the climate year by year",
    );
  });

  // Days since 2001-01-01: two in 2001, one in 2002, one in 2003, for which there is no number.
  test("a year's number holds for every state of that year", async () => {
    const { variables, times, notes } = await open(fields([10, 200, 400, 800]));
    expect(times.map(formatTime)).toEqual([
      "2001-01-11T00:00:00",
      "2001-07-20T00:00:00",
      "2002-02-05T00:00:00",
    ]);
    const co2 = variables.get("CO2")!;
    expect([await co2.read(0), await co2.read(1), await co2.read(2)]).toEqual(
      [1026, 1026, 1052].map((value) => new Float32Array(6).fill(value)),
    );
    expect(await variables.get("2m_temperature")!.read(1)).toEqual(
      Float32Array.from([286, 287, 288, 289, 290, 291]),
    );
    expect((await variables.get("CH4")!.read(0))[0]).toBeCloseTo(0.31, 6); // Gt
    expect(notes).toContain("forcing.csv: CO2: one number a year, taken for all times of that year");
  });

  test("whatever the calendar of the fields", async () => {
    const { times, variables } = await open(fields([10, 400], "360_day"));
    expect(times.map(({ calendar }) => calendar)).toEqual(["360_day", "360_day"]);
    expect((await variables.get("CO2")!.read(1))[0]).toBe(1052);
  });

  test("no year in common is refused", async () => {
    await expect(open(fields([4000, 4001]))).rejects.toThrow("the variables have no time in common");
  });
});
