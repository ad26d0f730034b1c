/** Initial states from files and sets, and which of them are meant. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { addHours, type Calendar, formatTime, parseTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { sameGrid } from "../../src/grid/grid.ts";
import { openStates, pickTimes, type States } from "../../src/infer/states.ts";
import { writeToyStates } from "../support/toycheckpoint.ts";
import { toyGrid, toyNames, toyStart, toyValue, writeToySet } from "../support/toyset.ts";

let root: string;
const opened: States[] = [];
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-states-"));
});
afterEach(async () => {
  for (const states of opened.splice(0)) await states.close();
});
afterAll(() => rmSync(root, { recursive: true }));

async function states(paths: string[], wanted: string[] = toyNames): Promise<States> {
  const found = await openStates(paths, wanted);
  opened.push(found);
  return found;
}

async function refusal(work: () => unknown): Promise<ClimaxError> {
  let error: unknown;
  try {
    await work();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(ClimaxError);
  return error as ClimaxError;
}

/** The toy planet's field south to north, as float32. */
function field(name: string, hours: number): Float32Array {
  const { lat, lon } = toyGrid;
  const time = addHours(toyStart, hours);
  return Float32Array.from([...lat].flatMap((y) => [...lon].map((x) => toyValue(name, time, y, x))));
}

describe("openStates", () => {
  test("weather files, in whatever direction, with what is wanted and there", async () => {
    const path = await writeToyStates(join(root, "south.nc"), { southward: true, synthetic: true });
    const found = await states([path], ["temperature_850", "orography", "geopotential_500"]);
    expect(found.name).toBe(path);
    expect(found.variables.toSorted()).toEqual(["orography", "temperature_850"]);
    expect(sameGrid(found.grid, toyGrid)).toBe(true);
    expect(found.times.map(formatTime)).toEqual(
      [0, 6, 12, 18, 24].map((h) => formatTime(addHours(toyStart, h))),
    );
    expect(found.synthetic).toBe(true);
    expect(await found.read(2, "temperature_850")).toEqual(field("temperature_850", 12));
    expect(await found.read(2, "orography")).toEqual(field("orography", 0));
  });

  test("several files are one state", async () => {
    const a = await writeToyStates(join(root, "a.nc"), { names: ["2m_temperature"] });
    const b = await writeToyStates(join(root, "b.nc"), { names: ["temperature_850"] });
    const found = await states([a, b]);
    expect(found.name).toBe(`${a}, ${b}`);
    expect(found.variables.toSorted()).toEqual(toyNames);
    expect(found.synthetic).toBe(false);
  });

  test("the test split of a prepared set, or else train, which is said", async () => {
    const found = await states([await writeToySet(join(root, "set"))]);
    expect(found.name).toBe(`${join(root, "set")} (test)`);
    expect(found.notes).toEqual([]);
    expect(found.synthetic).toBe(true);
    expect(formatTime(found.times[0]!)).toBe("2001-01-31T00:00:00");
    expect(await found.read(1, "2m_temperature")).toEqual(field("2m_temperature", 30 * 24 + 6));
    const dir = await writeToySet(join(root, "train"), { splits: { train: "2001-01" } });
    const train = await states([dir]);
    expect(train.notes).toEqual([`${dir} has no test split: states are taken from train`]);
    expect(formatTime(train.times[0]!)).toBe("2001-01-01T00:00:00");
  });

  test("a folder that is no set", async () => {
    const dir = join(root, "folder");
    mkdirSync(dir);
    const error = await refusal(() => states([dir]));
    expect(error.message).toBe(
      `${dir} is a folder without set.json; weather files or a prepared set are wanted`,
    );
  });

  test("files without a time axis", async () => {
    const path = await writeToyStates(join(root, "timeless.nc"), { hours: null });
    const error = await refusal(() => states([path]));
    expect(error.message).toBe(`${path}: no time axis, so it cannot be said what the forecast starts from`);
    expect(error.hint).toContain("cdo -settaxis");
  });

  test("files with constants alone, or with nothing that is known", async () => {
    const constants = await writeToyStates(join(root, "constants.nc"), { names: ["orography"] });
    expect((await refusal(() => states([constants], ["orography"]))).message).toContain("no time axis");
    const other = await writeToyStates(join(root, "other.nc"), { names: ["geopotential_500"] });
    const error = await refusal(() => states([other]));
    expect(error.kind).toBe("data");
    expect(error.message).toContain(other);
  });

  test("files that are cut off, empty, or not there", async () => {
    const whole = await writeToyStates(join(root, "whole.nc"));
    const bytes = readFileSync(whole);
    for (const [name, content] of [
      ["cut.nc", bytes.subarray(0, bytes.length >> 1)],
      ["empty.nc", Buffer.alloc(0)],
    ] as const) {
      const path = join(root, name);
      writeFileSync(path, content);
      const error = await refusal(() => states([path]));
      expect(error.message).toContain(path);
    }
    expect((await refusal(() => states([join(root, "nothing.nc")]))).message).toContain("nothing.nc");
  });
});

describe("pickTimes", () => {
  /** A year of states every six hours. */
  const year = (calendar: Calendar = "standard", count = 4 * 365): Pick<States, "name" | "times"> => ({
    name: "2018.nc",
    times: Array.from({ length: count }, (_, i) => addHours(parseTime("2018-01-01", calendar), 6 * i)),
  });
  const pick = (text?: string[], every?: number, from = year()) => pickTimes(from as States, text, every);

  test("a time, a day, a month, a stretch, several", () => {
    expect(pick(["2018-01-02T06"])).toEqual([5]);
    expect(pick(["2018-01-02T06:00:00"])).toEqual([5]);
    expect(pick(["2018-01-02"])).toEqual([4, 5, 6, 7]);
    expect(pick(["2018-12"])).toHaveLength(4 * 31);
    expect(pick(["2018"])).toHaveLength(4 * 365);
    expect(pick(["2018-01-01..2018-01-03"])).toHaveLength(12);
    expect(pick(["2018-01-03T00", "2018-01-01T12", "2018-01-01T12..2018-01-01T18"])).toEqual([2, 3, 8]);
  });

  test("every so often, counted from the first picked", () => {
    expect(pick(["2018-01-01T06..2018-01-03T23"], 24)).toEqual([1, 5, 9]);
    expect(pick(["2018-01-01"], 12)).toEqual([0, 2]);
    expect(pick(undefined, 24 * 73)).toEqual([0, 292, 584, 876, 1168]);
  });

  test("in the calendar of the file", () => {
    const march = pick(["2018-02"], undefined, year("360_day", 4 * 360));
    expect(march).toHaveLength(4 * 30);
  });

  test("one state needs no words", () => {
    expect(pick(undefined, undefined, year("standard", 1))).toEqual([0]);
  });

  test("of several, one must be said", async () => {
    const error = await refusal(() => pick());
    expect(error.message).toBe(
      "2018.nc has 1460 states from 2018-01-01T00:00:00 to 2018-12-31T18:00:00, and it was not said which to start from",
    );
    expect(error.hint).toBe("give --time 2018-12-31T18:00, or a list, a month such as 2018-01, or a..b");
  });

  test("a time that is not there", async () => {
    for (const text of ["2019", "2018-01-01T03", "2017-12-31..2017-12-31T23"]) {
      const error = await refusal(() => pick(["2018-01-01", text]));
      expect(error.message).toBe(
        `2018.nc has 1460 states from 2018-01-01T00:00:00 to 2018-12-31T18:00:00, none of them in ${text}`,
      );
    }
    expect((await refusal(() => pick(["yesterday"]))).kind).toBe("config");
    expect((await refusal(() => pick(["2019"], undefined, year("standard", 1)))).message).toBe(
      "2018.nc has one state, 2018-01-01T00:00:00, not in 2019",
    );
  });
});
