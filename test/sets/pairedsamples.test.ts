/** Downscaling samples: pairs by date, coarse fields on the fine grid, each side by its own statistics. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CfTime, formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { coarsener } from "../../src/grid/coarsen.ts";
import { makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { patchWindow, regionNamed } from "../../src/grid/regions.ts";
import { makeRegridder } from "../../src/grid/regrid.ts";
import { type CoarseSource, type PairedOptions, pairedSamples } from "../../src/sets/pairedsamples.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { openSet, type PreparedSet } from "../../src/sets/prepared.ts";
import { fakeArchive, fakeCells, provenance } from "../support/fakearchive.ts";
import { toyValue, writeToySet } from "../support/toyset.ts";

const name = "2m_temperature";
const [fineGrid, coarseGrid] = [regularGrid(11.25), regularGrid(22.5)];
let root: string;
let fine: PreparedSet;
let coarse: PreparedSet;
const opened: PreparedSet[] = [];
const open = async (dir: string) => {
  const set = await openSet(dir);
  opened.push(set);
  return set;
};
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-paired-"));
  const splits = { train: "2001-01-01..2001-01-06", val: "2001-01-07..2001-01-08" };
  fine = await open(await writeToySet(join(root, "fine"), { grid: fineGrid, steps: 32, splits }));
  // Another climate, and other periods.
  const others = { train: "2001-01-03..2001-01-07", val: "2001-01-08" };
  const offset = -8;
  coarse = await open(
    await writeToySet(join(root, "coarse"), { grid: coarseGrid, steps: 36, offset, splits: others }),
  );
});
afterAll(async () => {
  for (const set of opened) await set.close();
  rmSync(root, { recursive: true });
});

const options: PairedOptions = { inputs: [name], outputs: [name], batchSize: 4, seed: 2 };
const value = (grid: typeof fineGrid, time: CfTime, offset = 0) =>
  Float32Array.from({ length: grid.lat.length * grid.lon.length }, (_, i) => {
    const w = grid.lon.length;
    return offset + toyValue(name, time, grid.lat[Math.floor(i / w)]!, grid.lon[i % w]!);
  });

function expectClose(found: Float32Array, wanted: ArrayLike<number>) {
  expect(found.length).toBe(wanted.length);
  const worst = found.reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]!)), 0);
  expect(worst).toBeLessThan(1e-5); // values within 4, through float32 fields of 3e-5 K over a deviation of 6 K
}

describe.each(["bilinear", "bicubic", "nearest"] as const)("%s", (method) => {
  test("x is the coarse field on the fine grid by the coarse statistics, y the fine one by its own", async () => {
    const { x, y, times, leadHours, size, variables, outputs } = await pairedSamples(coarse, fine, "train", {
      ...options,
      method,
    }).batchAt(0, 1);
    expect([variables, outputs, size]).toEqual([[name], [name], 4]);
    expect([...leadHours]).toEqual([0, 0, 0, 0]);
    const regridder = makeRegridder(coarseGrid, fineGrid, method);
    const cells = 16 * 32;
    for (let b = 0; b < size; b++) {
      const interpolated = regridder.apply(value(coarseGrid, times[b]!, -8));
      const by = (set: PreparedSet) => (v: number) => (v - set.mean[name]!) / set.std[name]!;
      expectClose(x.subarray(b * cells, (b + 1) * cells), interpolated.map(by(coarse)));
      expectClose(y.subarray(b * cells, (b + 1) * cells), value(fineGrid, times[b]!).map(by(fine)));
    }
    expect(Math.abs(coarse.mean[name]! - fine.mean[name]!)).toBeGreaterThan(1); // else they could be swapped
  });
});

test("pairs are the times that the same split of both has; in train shuffled, whole batches", async () => {
  const train = pairedSamples(coarse, fine, "train", options);
  // 3 to 6 January, six-hourly.
  expect([train.samples, train.batches]).toEqual([16, 4]);
  const times = async (epoch: number) =>
    (await Promise.all([0, 1, 2, 3].map((index) => train.batchAt(epoch, index)))).flatMap((batch) =>
      batch.times.map(formatTime),
    );
  const [first, again, next] = [await times(0), await times(0), await times(1)];
  expect(again).toEqual(first);
  expect(next).not.toEqual(first);
  expect(next.toSorted()).toEqual(first.toSorted());
  expect([first.toSorted()[0], first.toSorted().at(-1)]).toEqual([
    "2001-01-03T00:00:00",
    "2001-01-06T18:00:00",
  ]);
  const val = pairedSamples(coarse, fine, "val", { ...options, batchSize: 3 });
  expect([val.samples, val.batches]).toEqual([4, 2]);
  expect((await val.batchAt(0, 1)).times.map(formatTime)).toEqual(["2001-01-08T18:00:00"]);
});

test("calendars meet on the dates that both have, at the times of day that both have", async () => {
  const make = async (dir: string, calendar: "standard" | "360_day", stepHours: number, days: number) => {
    const steps = (days * 24) / stepHours;
    const archive = fakeArchive({ start: "2001-02-27", calendar, stepHours, steps, names: [name] });
    await prepare(archive, join(root, dir), { train: "2001", provenance });
    return open(join(root, dir));
  };
  const [model, reanalysis] = [
    await make("model", "360_day", 12, 6),
    await make("reanalysis", "standard", 6, 6),
  ];
  const source = pairedSamples(model, reanalysis, "train", {
    ...options,
    batchSize: 8,
    shuffle: false,
    dropLast: false,
  });
  const { times, x } = await source.batchAt(0, 0);
  // The model has 29 and 30 February, the reanalysis does not.
  expect(times.map((time) => formatTime(time).slice(5, 13))).toEqual([
    ...["02-27T00", "02-27T12", "02-28T00", "02-28T12"],
    ...["03-01T00", "03-01T12", "03-02T00", "03-02T12"],
  ]);
  expect(times.every(({ calendar }) => calendar === "standard")).toBe(true);
  // The field of 1 March is the model's of that date.
  const own = (await model.split("train").read(8, [name])).map(
    (v) => (v - model.mean[name]!) / model.std[name]!,
  );
  expect(formatTime(model.split("train").times[8]!)).toBe("2001-03-01T00:00:00");
  expectClose(x.subarray(4 * fakeCells, 5 * fakeCells), own);
});

test("of one set: x are block means of y, interpolated back, by the set's statistics", async () => {
  const { x, y, times } = await pairedSamples({ coarsen: 2 }, fine, "train", options).batchAt(0, 0);
  const blocks = coarsener(fineGrid, 2);
  const back = makeRegridder(blocks.target, fineGrid, "bilinear");
  const field = value(fineGrid, times[0]!);
  const by = (v: number) => (v - fine.mean[name]!) / fine.std[name]!;
  expectClose(x.subarray(0, 512), back.apply(blocks.apply(field)).map(by));
  expectClose(y.subarray(0, 512), field.map(by));
});

test("a window is of the fine grid, and statistics may be those of a checkpoint", async () => {
  const window = patchWindow(fineGrid, regionNamed("0..60,300..60"), 2);
  const statistics = { mean: { [name]: 0 }, std: { [name]: 2 } };
  const { x, y, times } = await pairedSamples(coarse, fine, "train", {
    ...options,
    window,
    inputStatistics: statistics,
    outputStatistics: statistics,
  }).batchAt(0, 0);
  const interpolated = makeRegridder(coarseGrid, fineGrid, "bilinear").apply(
    value(coarseGrid, times[0]!, -8),
  );
  const cells = window.rows.flatMap((row) =>
    [0, 1].flatMap((i) =>
      window.columns.flatMap((column) => [0, 1].map((j) => (2 * row + i) * 32 + 2 * column + j)),
    ),
  );
  expectClose(
    x.subarray(0, cells.length),
    cells.map((cell) => interpolated[cell]! / 2),
  );
  expectClose(
    y.subarray(0, cells.length),
    cells.map((cell) => value(fineGrid, times[0]!)[cell]! / 2),
  );
});

describe("what does not fit is refused", () => {
  const failure = (
    source: CoarseSource,
    change: Partial<PairedOptions> = {},
    split: "train" | "test" = "train",
  ) => {
    try {
      pairedSamples(source, fine, split, { ...options, ...change });
    } catch (error) {
      expect(error).toBeInstanceOf(ClimaxError);
      return (error as ClimaxError).message;
    }
    return expect.fail("nothing was thrown");
  };

  test("variables, splits, batches, blocks", () => {
    expect(failure(coarse, { inputs: ["temperature_500"] })).toBe('unknown variable "temperature_500"');
    expect(failure(coarse, { outputs: ["temperature_500"] })).toBe('unknown variable "temperature_500"');
    expect(failure(coarse, {}, "test")).toContain("has no test split");
    expect(failure(coarse, { batchSize: 17 })).toContain("has 16 samples, fewer than one batch of 17");
    expect(failure({ coarsen: 3 })).toContain("means over blocks of 3 x 3 points do not tile the grid");
  });

  test("no common time", async () => {
    const splits = { train: "2001-01-07" };
    const later = await open(await writeToySet(join(root, "later"), { grid: coarseGrid, steps: 32, splits }));
    expect(failure(later)).toContain("no state of the one has the date and time of one of the other");
  });

  test("a coarse grid that does not reach all of the fine region", async () => {
    const splits = { train: "2001-01-01..2001-01-06" };
    const grid = makeGrid([0, 20, 40], [0, 20, 40]);
    const region = await open(await writeToySet(join(root, "region"), { grid, steps: 32, splits }));
    const window = patchWindow(fineGrid, regionNamed("10..50,10..50"), 1);
    expect(failure(region, { window })).toBe(
      "the coarse grid (3 x 3, 20 degrees, 0..40N 0..40E) does not reach 3 of the 12 points of the fine one " +
        "(3 x 4, 11.25 degrees, 16.875..39.375N 11.25..45E)",
    );
    expect(
      pairedSamples(region, fine, "train", {
        ...options,
        window: patchWindow(fineGrid, regionNamed("10..30,10..30"), 1),
      }).samples,
    ).toBe(24);
  });
});
