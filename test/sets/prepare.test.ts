/** From an archive to a set on disk: what is in it, what is said of it, and that a failure leaves nothing. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CfTime, formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { readNpy } from "../../src/files/npy.ts";
import { type PrepareOptions, prepare } from "../../src/sets/prepare.ts";
import { refuseFullDisk } from "../../src/sets/prepareroom.ts";
import { verifySet } from "../../src/sets/verifyset.ts";
import {
  type FakeArchiveOptions,
  fakeArchive,
  fakeCells,
  fakeValue,
  provenance,
} from "../support/fakearchive.ts";

let root: string;
let count = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-prepare-"));
});
afterAll(() => rmSync(root, { recursive: true }));

const periods = { train: "2015-12-25..2016-01-01", val: "2016-01-02", test: "2016-01-03" };

async function make(archive: FakeArchiveOptions = {}, options: Partial<PrepareOptions> = {}) {
  const dir = join(root, `set${count++}`);
  const result = await prepare(fakeArchive(archive), dir, { ...periods, provenance, ...options });
  return { dir, ...result };
}

async function failure(archive: FakeArchiveOptions, options: Partial<PrepareOptions>): Promise<ClimaxError> {
  const before = readdirSync(root);
  const error = await make(archive, options).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ClimaxError);
  expect(readdirSync(root)).toEqual(before);
  return error as ClimaxError;
}

const isoValues = (names: readonly string[], times: readonly CfTime[]) =>
  times.flatMap((time) =>
    names.flatMap((name) => Array.from({ length: fakeCells }, (_, c) => fakeValue(name, time, c))),
  );

describe("prepare", () => {
  test("writes every state of each split once, by year, in physical units", async () => {
    const { dir, manifest, bytes } = await make();
    const top = ["climatology.npy", "set.json", "test", "train", "val"];
    expect(readdirSync(dir).toSorted()).toEqual(top);
    expect(readdirSync(join(dir, "train")).toSorted()).toEqual([
      "2015.npy",
      "2015.sums.npy",
      "2015.time.npy",
      "2016.npy",
      "2016.sums.npy",
      "2016.time.npy",
    ]);
    const archive = fakeArchive();
    const names = ["2m_temperature", "temperature_850"];
    const inTrain = archive.times.filter((time) => formatTime(time) < "2016-01-02");
    expect(manifest.splits.train).toMatchObject({
      start: "2015-12-25T00:00:00",
      end: "2016-01-01T18:00:00",
      steps: 32,
    });
    expect(inTrain.length).toBe(32);
    const [a, b] = [await readNpy(join(dir, "train/2015.npy")), await readNpy(join(dir, "train/2016.npy"))];
    expect(a.shape).toEqual([28, 2, 3, 4]);
    expect(b.shape).toEqual([4, 2, 3, 4]);
    expect([...a.data, ...b.data]).toEqual(isoValues(names, inTrain));
    const seconds = [
      ...(await readNpy(join(dir, "train/2015.time.npy"))).data,
      ...(await readNpy(join(dir, "train/2016.time.npy"))).data,
    ];
    expect(seconds).toEqual(inTrain.map((time) => time.seconds));
    expect(manifest.splits.val).toMatchObject({
      steps: 4,
      start: "2016-01-02T00:00:00",
      end: "2016-01-02T18:00:00",
    });
    expect(manifest.splits.test).toMatchObject({ steps: 4, start: "2016-01-03T00:00:00" });
    expect(manifest.stepHours).toBe(6);
    expect(manifest.synthetic).toBe(true);
    const files = Object.keys(manifest.checksums);
    expect(bytes).toBe(
      [...files, "set.json"].reduce((sum, file) => sum + readFileSync(join(dir, file)).length, 0),
    );
  });

  test("mean, deviation and climatology are those of train alone, all years, each cell with equal weight", async () => {
    const { dir, manifest } = await make();
    const inTrain = fakeArchive().times.filter((time) => formatTime(time) < "2016-01-02");
    const climatology = (await readNpy(join(dir, "climatology.npy"))).data;
    for (const [v, name] of ["2m_temperature", "temperature_850"].entries()) {
      const values = isoValues([name], inTrain);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      // f64 sums of 384 values
      expect(Math.abs(manifest.mean[name]! / mean - 1)).toBeLessThan(1e-13);
      expect(Math.abs(manifest.std[name]! / Math.sqrt(variance) - 1)).toBeLessThan(1e-12);
      const cell = values.filter((_, i) => i % fakeCells === 5);
      expect(climatology[v * fakeCells + 5]).toBe(
        Math.fround(cell.reduce((s, value) => s + value, 0) / cell.length),
      );
    }
  });

  test("two runs write the same bytes", async () => {
    const [one, two] = [await make(), await make()];
    expect(two.manifest.checksums).toEqual(one.manifest.checksums);
    expect(Object.keys(one.manifest.checksums).length).toBe(11);
  });

  test("leap days are kept, in calendars that have them", async () => {
    const february = { start: "2016-02-28", steps: 12 };
    const { manifest } = await make(february, { train: "2016-02-28", val: "2016-02-29", test: "2016-03-01" });
    expect(manifest.splits.val).toMatchObject({ steps: 4, end: "2016-02-29T18:00:00" });
    const noleap = await make(
      { ...february, calendar: "noleap" },
      { train: "2016-02", val: "2016-03-01", test: "2016-03-02" },
    );
    expect(noleap.manifest.splits.train.steps).toBe(4);
    const thirty = await make(
      { start: "2015-12-29", steps: 12, calendar: "360_day" },
      { train: "2015", val: "2016", test: undefined },
    );
    expect(thirty.manifest.splits.train.end).toBe("2015-12-30T18:00:00");
  });

  test("constants are kept once; the variables of the paper come first, in its order", async () => {
    const { dir, manifest } = await make(
      {
        constants: ["lattitude", "orography"],
        names: ["vorticity_850", "temperature_850", "2m_temperature"],
        value: (name, time, cell) =>
          name === "lattitude" ? 60 * Math.floor(cell / 4) - 60 : fakeValue(name, time, cell),
      },
      { variables: ["temperature", "vo_850", "lattitude", "orography", "t2m"] },
    );
    expect(manifest.variables).toEqual([
      { name: "orography", units: "m", constant: true },
      { name: "lattitude", units: "degrees_north", constant: true },
      { name: "2m_temperature", units: "K", constant: false },
      { name: "temperature_850", units: "K", constant: false },
      { name: "vorticity_850", units: "s-1", constant: false },
    ]);
    const { shape, data } = await readNpy(join(dir, "constants.npy"));
    expect(shape).toEqual([2, 3, 4]);
    expect([...data.subarray(fakeCells)]).toEqual([-60, -60, -60, -60, 0, 0, 0, 0, 60, 60, 60, 60]);
    // Population deviation of -60, 0, 60.
    expect(manifest.std.lattitude).toBeCloseTo(Math.sqrt(2400), 10);
    expect((await readNpy(join(dir, "train/2016.npy"))).shape).toEqual([4, 3, 3, 4]);
  });

  test("missing steps, uncovered periods and unused states are reported with dates", async () => {
    const { manifest } = await make({ without: [2, 3, 33] }, { train: "2015..2016-01-01", test: undefined });
    expect(manifest.notes).toEqual([
      "train: asked for 2015..2016-01-01, the files begin at 2015-12-25T00:00:00",
      "train: not every 6 h: 2015-12-25T06:00:00 to 2015-12-26T00:00:00 (18 h, 2 missing)",
      "val: not every 6 h: 2016-01-02T00:00:00 to 2016-01-02T12:00:00 (12 h, 1 missing)",
      "4 of 37 states lie in no split",
    ]);
  });

  test("a variable that does not vary gets std 1 and a note", async () => {
    const { manifest } = await make({
      value: (name, ...rest) => (name === "2m_temperature" ? 280 : fakeValue(name, ...rest)),
    });
    expect(manifest.std["2m_temperature"]).toBe(1);
    expect(manifest.notes).toContain(
      "2m_temperature is 280 everywhere in train; its std is stored as 1, so it is 0 when normalised",
    );
  });

  test("values beyond physical bounds are noted", async () => {
    const { manifest } = await make({
      value: (name, time, cell) => (cell === 3 ? 9.97e36 : fakeValue(name, time, cell)),
    });
    expect(manifest.notes.join("\n")).toContain("beyond what occurs on Earth (170 to 340)");
  });
});

test("statistics of climax: of upper air the last year's, without the 366th day; rain is not shifted", async () => {
  const names = ["2m_temperature", "temperature_850", "total_precipitation"];
  const value = (name: string, time: CfTime, cell: number) =>
    name === "total_precipitation" ? fakeValue(name, time, cell) / 1e6 : fakeValue(name, time, cell);
  // 2016 is a leap year, and train ends within 2018.
  const long = { start: "2016-11-01", steps: 500, stepHours: 24, names, value };
  const periods = { train: "2016-11-01..2018-01-20", val: undefined, test: undefined };
  const { manifest } = await make(long, { ...periods, statistics: "climax" });
  const { manifest: whole } = await make(long, periods);
  const times = fakeArchive(long).times.filter((time) => formatTime(time) < "2018-01-21");
  const yearly = (name: string) =>
    ["2016", "2017", "2018"].map((year) => {
      const own = times.filter(
        (time) => formatTime(time).startsWith(year) && formatTime(time) < "2016-12-31" === (year === "2016"),
      );
      const values = own.flatMap((time) =>
        Array.from({ length: fakeCells }, (_, c) => Math.fround(value(name, time, c))),
      );
      const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
      return { mean, variance: values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length };
    });
  for (const name of ["2m_temperature", "total_precipitation"]) {
    const years = yearly(name);
    const mean = years.reduce((sum, year) => sum + year.mean / 3, 0);
    const variance = years.reduce((sum, year) => sum + (year.variance + (year.mean - mean) ** 2) / 3, 0);
    expect(manifest.mean[name]).toBeCloseTo(name === "total_precipitation" ? 0 : mean, 9);
    expect(manifest.std[name]! / Math.sqrt(variance)).toBeCloseTo(1, 9);
    expect(whole.std[name]! / manifest.std[name]!).not.toBeCloseTo(1, 4);
  }
  const last = yearly("temperature_850")[2]!;
  expect(manifest.mean.temperature_850).toBeCloseTo(last.mean, 9);
  expect(manifest.std.temperature_850).toBeCloseTo(Math.sqrt(last.variance), 9);
  expect(manifest.statistics).toMatchObject({ kind: "climax", moments: whole.statistics!.moments });
  expect(manifest.notes).toContain(
    "mean and std as ClimaX's scripts make them: on pressure levels of the last training year only, the mean of total_precipitation 0",
  );
});

describe("missing values", () => {
  const hole = (name: string, time: CfTime, cell: number) =>
    name === "temperature_850" && cell === 7 && formatTime(time) >= "2015-12-26T12"
      ? Number.NaN
      : fakeValue(name, time, cell);

  test("are refused, naming the variable and the first date", async () => {
    const error = await failure({ value: hole }, {});
    expect(error.message).toBe(
      "values are missing (NaN or infinite) at 2015-12-26T12:00:00: temperature_850 (1 of 12 cells)",
    );
    expect(error.hint).toContain("--nan-fill mean");
  });

  test("are filled with the mean of what train has, in every split", async () => {
    const { dir, manifest } = await make({ value: hole }, { nanFill: "mean" });
    const inTrain = fakeArchive().times.filter((time) => formatTime(time) < "2016-01-02");
    const present = inTrain
      .flatMap((time) => Array.from({ length: fakeCells }, (_, cell) => hole("temperature_850", time, cell)))
      .filter((value) => !Number.isNaN(value));
    const mean = present.reduce((sum, value) => sum + value, 0) / present.length;
    expect(manifest.mean.temperature_850).toBeCloseTo(mean, 10);
    for (const file of ["train/2016.npy", "val/2016.npy", "test/2016.npy"]) {
      const { data } = await readNpy(join(dir, file));
      expect(data[fakeCells + 7]).toBe(Math.fround(manifest.mean.temperature_850!));
      expect(data.some(Number.isNaN)).toBe(false);
    }
    expect(manifest.notes.join()).toContain(
      "temperature_850: 34 missing values (first: 2015-12-26T12:00:00)",
    );
    // The checksum is of the filled shard.
    expect((await verifySet(dir)).files).toBe(11);
    expect(manifest.filled).toEqual({ by: "mean", values: manifest.mean });
  });

  test("are filled with a number, which then counts as data", async () => {
    const { dir, manifest } = await make({ value: hole }, { nanFill: 250 });
    const { data } = await readNpy(join(dir, "val/2016.npy"));
    expect(data[fakeCells + 7]).toBe(250);
    const shards = [await readNpy(join(dir, "train/2015.npy")), await readNpy(join(dir, "train/2016.npy"))];
    const values = shards.flatMap((shard) =>
      [...shard.data].filter((_, i) => Math.floor(i / fakeCells) % 2 === 1),
    );
    expect(manifest.mean.temperature_850).toBeCloseTo(values.reduce((s, x) => s + x, 0) / values.length, 10);
  });

  test("a variable without any value cannot be filled by its mean", async () => {
    const empty = (name: string, time: CfTime, cell: number) =>
      name === "2m_temperature" ? Number.NaN : fakeValue(name, time, cell);
    await expect(make({ value: empty }, { nanFill: "mean" })).rejects.toThrow(
      "2m_temperature has no value in train, so it has no mean",
    );
  });
});

describe("what is refused before a shard is whole leaves nothing behind", () => {
  test.each<[string, Partial<PrepareOptions>, string]>([
    [
      "neighbours",
      { train: "2015-12-25..2016-01-02" },
      "--train 2015-12-25..2016-01-02 and --val 2016-01-02 overlap",
    ],
    ["nested", { train: "2015..2017", val: undefined }, "--train 2015..2017 and --test 2016-01-03 overlap"],
    [
      "one within, not next to, another",
      { train: "2015-12..2016-01-03", val: "2015-12-26", test: "2015-12-30" },
      "overlap: both hold 2015-12-26",
    ],
  ])("periods that overlap: %s", async (_, options, message) => {
    const error = await failure({}, options);
    expect(error.kind).toBe("config");
    expect(error.message).toContain(message);
  });

  test.each<[string, FakeArchiveOptions, Partial<PrepareOptions>, string]>([
    [
      "a period without states",
      {},
      { test: "2017..2018" },
      "--test 2017..2018 has no state: the files go from 2015-12-25",
    ],
    ["a reversed period", {}, { train: "2016..2015" }, "ends before"],
    ["no date", {}, { train: "yesterday" }, '"yesterday" is no date'],
    ["a misspelt variable", {}, { variables: ["geopotental_500"] }, 'unknown variable "geopotental_500"'],
    [
      "a level that is not there",
      {},
      { variables: ["temperature_500"] },
      "the files have no temperature_500; they have 2m_temperature, temperature_850",
    ],
    ["constants alone", { constants: ["orography"], names: [] }, {}, "varies in time"],
    ["no time axis", { steps: 0 }, {}, "the files have no time axis"],
  ])("%s", async (_, archive, options, message) => {
    const error = await failure(archive, options);
    expect(error.message).toContain(message);
    expect(error.hint).not.toBe("");
  });

  test("a set that exists, unless --force, which replaces it only when the new one is whole", async () => {
    const { dir } = await make();
    const options = { ...periods, provenance };
    await expect(prepare(fakeArchive(), dir, options)).rejects.toThrow("is a prepared set already");
    const broken = fakeArchive({ names: ["2m_temperature"], value: () => Number.NaN });
    await expect(prepare(broken, dir, { ...options, force: true })).rejects.toThrow("values are missing");
    expect((await readNpy(join(dir, "train/2015.npy"))).shape).toEqual([28, 2, 3, 4]);
    await prepare(fakeArchive({ names: ["2m_temperature"] }), dir, { ...options, force: true });
    expect((await readNpy(join(dir, "train/2015.npy"))).shape).toEqual([28, 1, 3, 4]);
    expect(existsSync(`${dir}.replaced`)).toBe(false);
    expect(existsSync(`${dir}.partial`)).toBe(false);
  });

  test("a folder that is no set is never replaced; an empty one is used", async () => {
    const dir = join(root, "home");
    mkdirSync(dir);
    writeFileSync(join(dir, "thesis.tex"), "all my work");
    const options = { ...periods, provenance, force: true };
    await expect(prepare(fakeArchive(), dir, options)).rejects.toThrow("exists and is not a prepared set");
    expect(readFileSync(join(dir, "thesis.tex"), "utf8")).toBe("all my work");
    const empty = join(root, "empty");
    mkdirSync(empty);
    await prepare(fakeArchive(), empty, { ...options, force: false });
    expect(existsSync(join(empty, "set.json"))).toBe(true);
  });

  test("a read that fails midway, and the folders made on the way", async () => {
    const archive = fakeArchive();
    archive.variables.get("temperature_850")!.read = async (step) => {
      if (step === 20) throw new ClimaxError("data", "the file ends early", "fetch it again");
      return new Float32Array(fakeCells).fill(step);
    };
    const dir = join(root, "deep", "er", "set");
    await expect(prepare(archive, dir, { ...periods, provenance })).rejects.toThrow("the file ends early");
    expect(existsSync(join(root, "deep"))).toBe(false);
  });

  test("an interrupt", async () => {
    const controller = new AbortController();
    const dir = join(root, "interrupted");
    const work = prepare(fakeArchive(), dir, {
      ...periods,
      provenance,
      signal: controller.signal,
      onStep: (done) => done === 20 && controller.abort(new Error("stop")),
    });
    await expect(work).rejects.toThrow("stop");
    expect(readdirSync(root).filter((name) => name.startsWith("interrupted"))).toEqual([]);
  });

  test("a disk that is too small, before anything is written", async () => {
    await expect(refuseFullDisk(root, 2e17, "big")).rejects.toThrow(
      /big: the set needs 200\.0 PB, its disk has .* left/,
    );
    await expect(refuseFullDisk(root, 1, "small")).resolves.toBeUndefined();
  });

  test("an output beneath a file", async () => {
    const file = join(root, "file");
    writeFileSync(file, "");
    const error = await prepare(fakeArchive(), join(file, "set"), { ...periods, provenance }).catch((e) => e);
    expect(error).toBeInstanceOf(ClimaxError);
    expect(error.message).toContain("its folder cannot be made");
    expect(readFileSync(file, "utf8")).toBe("");
    rmSync(file);
  });
});
