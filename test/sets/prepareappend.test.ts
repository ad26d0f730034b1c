/** Sets that grow: as if all had been prepared at once, and only by what fits and does not leak. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CfTime, formatTime, parseTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { makeGrid } from "../../src/grid/grid.ts";
import { makeClimatology } from "../../src/sets/climatology.ts";
import { type PrepareOptions, prepare } from "../../src/sets/prepare.ts";
import { type AppendOptions, appendToSet } from "../../src/sets/prepareappend.ts";
import { openSet } from "../../src/sets/prepared.ts";
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
  root = mkdtempSync(join(tmpdir(), "climax-append-"));
});
afterAll(() => rmSync(root, { recursive: true }));

// Six days at the turn of the year.
const given: FakeArchiveOptions = { start: "2015-12-29", steps: 24, constants: ["orography"] };
async function make(
  options: Partial<PrepareOptions> = {},
  archive: FakeArchiveOptions = given,
): Promise<string> {
  const dir = join(root, `set${count++}`);
  await prepare(fakeArchive(archive), dir, {
    train: "2015-12-29..2015-12-30",
    val: "2016-01-02",
    provenance,
    ...options,
  });
  return dir;
}
const append = (dir: string, options: Partial<AppendOptions>, archive: FakeArchiveOptions = given) =>
  appendToSet(fakeArchive(archive), dir, { provenance: { ...provenance, files: ["more.nc"] }, ...options });

describe("a set that grows", () => {
  test("by a test period has it beside what it had, of which nothing changes", async () => {
    const dir = await make();
    const before = JSON.parse(readFileSync(join(dir, "set.json"), "utf8"));
    const { manifest } = await append(dir, { test: "2016-01-03" });
    expect(manifest.splits.test).toMatchObject({ start: "2016-01-03T00:00:00", steps: 4 });
    expect(manifest.checksums).toMatchObject(before.checksums);
    for (const same of ["mean", "std", "statistics", "climatology", "grid"] as const)
      expect(manifest[same]).toEqual(before[same]);
    expect(manifest.notes).toEqual([
      ...before.notes,
      expect.stringMatching(/^appended \d{4}-\d\d-\d\d: 20 of 24 states lie in no split$/),
    ]);
    expect(manifest.provenance.appended).toMatchObject([
      { files: ["more.nc"], splits: { test: "2016-01-03T00:00:00 to 2016-01-03T18:00:00" } },
    ]);
    await verifySet(dir);
    const set = await openSet(dir);
    const time = set.split("test").times[2]!;
    const field = await set.split("test").read(2, ["temperature_850", "orography"]);
    expect(field[5]).toBe(fakeValue("temperature_850", time, 5));
    await set.close();
  });

  test.each(["float32", "float16"] as const)(
    "by more of train is what it had been if prepared at once: %s",
    async (dtype) => {
      const climatology = ["weekly", "dayofyear"] as const;
      const dir = await make({ dtype, climatology });
      // Within 2015 (a second file of that year), then beyond its end; val moves nowhere.
      await append(dir, { train: "2015-12-31" });
      const { manifest } = await append(dir, { train: "2016-01-01" });
      const whole = await make({ dtype, climatology, train: "2015-12-29..2016-01-01" });
      const wanted = JSON.parse(readFileSync(join(whole, "set.json"), "utf8"));
      expect(manifest.mean).toEqual(wanted.mean);
      expect(manifest.std).toEqual(wanted.std);
      expect(manifest.statistics).toEqual(wanted.statistics);
      expect(manifest.climatology).toMatchObject({ base: "climatology_3", weekly: true });
      expect(manifest.splits.train).toMatchObject({
        steps: 16,
        start: "2015-12-29T00:00:00",
        end: "2016-01-01T18:00:00",
      });
      expect(manifest.splits.train.shards.map(({ file }) => file)).toEqual([
        "train/2015.npy",
        "train/2015_2.npy",
        "train/2016.npy",
      ]);
      const [grown, once] = [await openSet(dir), await openSet(whole)];
      for (let step = 0; step < 16; step++)
        // In float16 the offset is that of the first states, so only the error's bound is the same.
        if (dtype === "float32")
          expect(await grown.split("train").read(step, ["temperature_850"])).toEqual(
            await once.split("train").read(step, ["temperature_850"]),
          );
      expect(grown.climatology("temperature_850")).toEqual(once.climatology("temperature_850"));
      const files = [
        ["train/2015_2.sums.npy", "train/2015.sums.npy"],
        ["train/2016.sums.npy", "train/2016.sums.npy"],
        ["climatology_3.npy", "climatology.npy"],
        ...(dtype === "float32"
          ? ["weekly/2m_temperature.npy", "dayofyear/temperature_850.npy"].map((file) => [
              `climatology_3/${file}`,
              `climatology/${file}`,
            ])
          : []),
      ];
      for (const [own, other] of files)
        expect(readFileSync(join(dir, own!)).equals(readFileSync(join(whole, other!))), own).toBe(true);
      // The year's first sums have gone on into those of its second file.
      expect(existsSync(join(dir, "train/2015.sums.npy"))).toBe(false);
      const weekly = await makeClimatology(grown, "weekly", "2m_temperature");
      expect(weekly.field(parseTime("2016-01-03", "standard"))).toHaveLength(fakeCells);
      await grown.close();
      await once.close();
      await verifySet(dir);
      // The climatologies before are gone.
      expect(readdirSync(dir).filter((name) => name.startsWith("clim"))).toEqual([
        "climatology_3",
        "climatology_3.npy",
      ]);
      expect(manifest.notes.at(-1)).toMatch(
        /train has grown \(train 2016-01-01T00:00:00 to .*\); models trained before saw other statistics/,
      );
    },
  );

  test("by earlier years has them first", async () => {
    const dir = await make({ train: "2016-01-01", statistics: "climax" });
    const { manifest } = await append(dir, { train: "2015-12-30..2015-12-31" });
    expect(manifest.splits.train.shards.map(({ firstTime }) => firstTime)).toEqual([
      "2015-12-30T00:00:00",
      "2016-01-01T00:00:00",
    ]);
    const whole = await prepare(fakeArchive(given), join(root, "at-once"), {
      train: "2015-12-30..2016-01-01",
      statistics: "climax",
      provenance,
    });
    expect(manifest.mean).toEqual(whole.manifest.mean);
    expect(manifest.std).toEqual(whole.manifest.std);
    expect(manifest.statistics).toEqual(whole.manifest.statistics);
    const mean = (folder: string, base: string) => readFileSync(join(folder, `${base}.npy`));
    expect(mean(dir, "climatology_2").equals(mean(join(root, "at-once"), "climatology"))).toBe(true);
    await (await openSet(dir)).close();
  });

  test("fills gaps as it did, with the mean that it had then", async () => {
    const hole = (name: string, time: CfTime, cell: number) =>
      cell === 7 && formatTime(time).endsWith("06:00:00") ? Number.NaN : fakeValue(name, time, cell);
    const holes = { ...given, value: hole, constants: [] };
    const dir = await make({ nanFill: "mean" }, holes);
    const first = JSON.parse(readFileSync(join(dir, "set.json"), "utf8")).mean;
    const { manifest } = await append(dir, { train: "2015-12-31" }, holes);
    expect(manifest.mean.temperature_850).not.toBe(first.temperature_850);
    const set = await openSet(dir);
    for (const step of [1, 5, 9])
      expect((await set.split("train").read(step, ["temperature_850"]))[7]).toBe(
        Math.fround(first.temperature_850),
      );
    await set.close();
    // Moments are of what there was.
    expect(manifest.statistics!.moments.temperature_850!.count).toBe(12 * fakeCells - 3);
    await expect(append(dir, { test: "2016-01-03", nanFill: 250 }, holes)).rejects.toThrow(
      /the gaps of .* are filled with the training mean, --nan-fill says 250/,
    );
    const whole = await make();
    await expect(append(whole, { test: "2016-01-03" }, holes)).rejects.toThrow(
      "values are missing (NaN or infinite) at 2016-01-03T06",
    );
    expect((await append(whole, { test: "2016-01-03", nanFill: 250 }, holes)).manifest.filled).toEqual({
      by: 250,
    });
  });
});

describe("what does not fit is refused, and the set stays as it is", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await make({ test: "2016-01-03" });
  });

  test.each<[string, Partial<AppendOptions>, string]>([
    ["states that it has", { val: "2016-01-02" }, "--val 2016-01-02 has states within val of"],
    [
      "train across val",
      { train: "2016-01-03" },
      "train of DIR would go from 2015-12-29T00:00:00 to 2016-01-03",
    ],
    [
      "test before val",
      { test: "2016-01-01" },
      "test of DIR would go from 2016-01-01T00:00:00 to 2016-01-03T18:00:00, across val",
    ],
    [
      "a period that only touches val",
      { train: "2015-12-31..2016-01-02T00" },
      "across val (2016-01-02T00:00:00",
    ],
    [
      "new periods that overlap",
      { train: "2015-12-31..2016-01-01", val: "2016-01-01" },
      "overlap: both hold",
    ],
    ["a period without states", { test: "2017" }, "--test 2017 has no state"],
  ])("%s", async (_, options, message) => {
    await refused({}, options, message);
  });

  test.each<[string, FakeArchiveOptions, string]>([
    [
      "a variable less",
      { names: ["2m_temperature"] },
      "the files lack temperature_850 of the variables of DIR",
    ],
    [
      "another calendar",
      { calendar: "noleap" },
      "the files count in the noleap calendar, DIR in the standard calendar",
    ],
    ["another step", { stepHours: 3, steps: 48 }, "the files have states every 3 h, DIR every 6 h"],
  ])("%s", async (_, archive, message) => {
    await refused(archive, { train: "2015-12-31" }, message);
  });

  test("another grid", async () => {
    const archive = { ...fakeArchive(given), grid: makeGrid([-45, 0, 45], [0, 90, 180, 270]) };
    const work = appendToSet(archive, dir, { train: "2015-12-31", provenance });
    await expect(work).rejects.toThrow("the files are on 3 x 4");
  });

  test("more of train for a set without its sums; val is no matter", async () => {
    const old = await make();
    const path = join(old, "set.json");
    const { statistics: _, ...manifest } = JSON.parse(readFileSync(path, "utf8"));
    for (const shard of manifest.splits.train.shards) delete shard.sums;
    writeFileSync(path, JSON.stringify({ ...manifest, climatology: undefined }));
    await expect(append(old, { train: "2015-12-31" })).rejects.toThrow(
      "kept no sums of its train period, so it cannot grow",
    );
    await append(old, { val: "2016-01-03" });
    await (await openSet(old)).close();
  });

  async function refused(archive: FakeArchiveOptions, options: Partial<AppendOptions>, message: string) {
    const files = () => readdirSync(dir, { recursive: true, encoding: "utf8" }).toSorted();
    const [before, manifest] = [files(), readFileSync(join(dir, "set.json"), "utf8")];
    const error = await append(dir, options, { ...given, ...archive }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ClimaxError);
    expect((error as ClimaxError).message.replaceAll(dir, "DIR")).toContain(message);
    expect((error as ClimaxError).hint).not.toBe("");
    expect(files()).toEqual(before);
    expect(readFileSync(join(dir, "set.json"), "utf8")).toBe(manifest);
  }
});

test("an addition that failed goes on; another is refused until --force", async () => {
  const dir = await make({ val: undefined });
  const broken = fakeArchive(given);
  const { read } = broken.variables.get("2m_temperature")!;
  broken.variables.get("2m_temperature")!.read = async (step) => {
    if (step === 22) throw new ClimaxError("data", "the file ends early", "fetch it again");
    return read(step);
  };
  const more = { train: "2015-12-31..2016-01-01", test: "2016-01-03", provenance };
  const kept: unknown[] = [];
  await expect(appendToSet(broken, dir, { ...more, onKept: (what) => void kept.push(what) })).rejects.toThrow(
    "ends early",
  );
  expect(kept).toEqual([{ folder: dir, done: 2, files: 3 }]);
  await verifySet(dir);
  const other = { test: "2016-01-02" };
  await expect(append(dir, other)).rejects.toThrow("train: 2015-12-31..2016-01-01 then, not given now");
  let done = 0;
  const { manifest } = await append(dir, { ...more, onResume: (what) => (done = what.done) });
  expect(done).toBe(2);
  expect(manifest.splits.train.steps).toBe(16);
  expect(readdirSync(dir).filter((name) => name.startsWith("journal"))).toEqual([]);
});
