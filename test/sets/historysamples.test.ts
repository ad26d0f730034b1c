/** Projection samples: years in a row up to the target's, from several experiments, by pooled statistics. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CfTime, parseTime, timeParts } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { patchWindow, regionNamed } from "../../src/grid/regions.ts";
import { type HistoryOptions, historySamples, pooledStatistics } from "../../src/sets/historysamples.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { openSet, type PreparedSet } from "../../src/sets/prepared.ts";
import type { Batch, BatchSource } from "../../src/sets/samples.ts";
import { batchesOf } from "../support/batches.ts";
import { fakeArchive, fakeCells, fakeGrid, provenance } from "../support/fakearchive.ts";

const yearOf = (time: CfTime) => timeParts(time).year;
/** Tells variable, year and cell; `scenario` makes experiments differ. */
const valueIn = (scenario: number) => (name: string, time: CfTime, cell: number) =>
  Math.fround((name === "CO2" ? 1000 * scenario : 250 * scenario) + (yearOf(time) - 1990) + cell / 16);

/** Annual states of the standard calendar, leap years and all. */
async function makeSet(
  dir: string,
  scenario: number,
  years: number[],
  splits: { train: string; val?: string },
) {
  const archive = fakeArchive({
    steps: years.length,
    names: ["CO2", "2m_temperature"],
    value: valueIn(scenario),
  });
  archive.times.splice(
    0,
    archive.times.length,
    ...years.map((year) => parseTime(`${year}-07-01`, "standard")),
  );
  await prepare(archive, dir, { ...splits, provenance });
  return openSet(dir);
}

let root: string;
const sets: PreparedSet[] = [];
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "climax-history-"));
  const years = Array.from({ length: 24 }, (_, i) => 1990 + i);
  const splits = { train: "1990..2007", val: "2008..2013" };
  sets.push(await makeSet(join(root, "low"), 1, years, splits));
  // Without 2003, and its validation before its training.
  const gap = years.filter((year) => year !== 2003);
  sets.push(await makeSet(join(root, "high"), 3, gap, { train: "1996..2013", val: "1990..1995" }));
});
afterAll(async () => {
  for (const set of sets) await set.close();
  rmSync(root, { recursive: true });
});

const options: HistoryOptions = {
  inputs: ["CO2"],
  outputs: ["2m_temperature"],
  history: 5,
  batchSize: 4,
  seed: 1,
  statistics: { mean: { CO2: 10, "2m_temperature": 20 }, std: { CO2: 2, "2m_temperature": 4 } },
};

async function all(source: BatchSource, epoch = 0): Promise<Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of batchesOf(source, epoch)) batches.push(batch);
  return batches;
}
const years = (batches: Batch[]) => batches.flatMap(({ times }) => times.map(yearOf));

test("x are the years up to and including the target's, oldest first; y is of the target's", async () => {
  for (const { x, y, times, leadHours, size, history, variables, outputs } of await all(
    historySamples([sets[0]!], "train", options),
  )) {
    expect([history, size, variables, outputs]).toEqual([5, 4, ["CO2"], ["2m_temperature"]]);
    expect([...leadHours]).toEqual([0, 0, 0, 0]);
    expect([x.length, y.length]).toEqual([4 * 5 * fakeCells, 4 * fakeCells]);
    for (let b = 0; b < size; b++) {
      const target = yearOf(times[b]!);
      for (let t = 0; t < 5; t++)
        for (const cell of [0, 11]) {
          const co2 = 1000 + (target - 4 + t - 1990) + cell / 16;
          expect(x[(b * 5 + t) * fakeCells + cell]).toBeCloseTo((co2 - 10) / 2, 3); // of 500, in float32
        }
      expect(y[b * fakeCells + 3]).toBeCloseTo((250 + (target - 1990) + 3 / 16 - 20) / 4, 4);
    }
  }
});

test("several variables lie side by side within a year: [B, T, V, H, W]", async () => {
  const inputs = ["CO2", "2m_temperature"];
  const source = historySamples([sets[0]!], "val", { ...options, inputs, history: 2 });
  const { x, times } = await source.batchAt(0, 0);
  expect(yearOf(times[1]!)).toBe(2009);
  const at = (b: number, t: number, v: number, cell: number) => x[((b * 2 + t) * 2 + v) * fakeCells + cell]!;
  expect(at(1, 0, 0, 7) * 2 + 10).toBeCloseTo(1018 + 7 / 16, 2); // CO2 of 2008
  expect(at(1, 0, 1, 7) * 4 + 20).toBeCloseTo(268 + 7 / 16, 3); // 2m_temperature of 2008
  expect(at(1, 1, 0, 7) * 2 + 10).toBeCloseTo(1019 + 7 / 16, 2); // CO2 of 2009
});

test("leap years are no gap, a missing year is; targets stay in the split, histories may reach before it", async () => {
  const inOrder = { ...options, shuffle: false, dropLast: false };
  expect(years(await all(historySamples([sets[0]!], "train", inOrder)))).toEqual(
    Array.from({ length: 14 }, (_, i) => 1994 + i),
  );
  expect(years(await all(historySamples([sets[0]!], "val", inOrder)))).toEqual([
    2008, 2009, 2010, 2011, 2012, 2013,
  ]);
  // Validation first: its first four years have no history; training reaches back over it. 2003 is missing.
  expect(years(await all(historySamples([sets[1]!], "val", inOrder)))).toEqual([1994, 1995]);
  expect(years(await all(historySamples([sets[1]!], "train", inOrder)))).toEqual([
    ...[1996, 1997, 1998, 1999, 2000, 2001, 2002],
    ...[2008, 2009, 2010, 2011, 2012, 2013],
  ]);
});

test("ten years are the default, and one is no history at all", async () => {
  const { history: _, ...rest } = options;
  const ten = historySamples([sets[0]!], "train", rest);
  expect((await ten.batchAt(0, 0)).history).toBe(10);
  expect(ten.samples).toBe(18 - 9);
  expect(historySamples([sets[1]!], "train", { ...options, history: 1 }).samples).toBe(17);
});

test("all samples of all sets are shuffled together, none has years of two sets", async () => {
  const source = historySamples(sets, "train", { ...options, dropLast: false });
  expect(source.samples).toBe(14 + 13);
  const batches = await all(source, 2);
  expect(batches).toEqual(await all(historySamples(sets, "train", { ...options, dropLast: false }), 2));
  const scenarios = batches.flatMap(({ x, size }) =>
    Array.from({ length: size }, (_, b) => {
      const own = Array.from({ length: 5 }, (_, t) =>
        Math.round((x[(b * 5 + t) * fakeCells]! * 2 + 10) / 1000),
      );
      expect(new Set(own).size).toBe(1);
      return own[0]!;
    }),
  );
  expect(scenarios.filter((scenario) => scenario === 1).length).toBe(14);
  expect(scenarios).not.toEqual(scenarios.toSorted());
  expect(years(await all(source, 3))).not.toEqual(years(batches));
  const order = await all(historySamples(sets, "train", { ...options, shuffle: false, dropLast: false }));
  expect(years(order).slice(0, 15)).toEqual([...Array.from({ length: 14 }, (_, i) => 1994 + i), 1996]);
});

test("statistics are those of all training states together, and what x and y are normalised by", async () => {
  const { mean, std } = pooledStatistics(sets);
  for (const name of ["CO2", "2m_temperature"]) {
    const values = (
      await Promise.all(
        sets.map(async (set) => {
          const { times, read } = set.split("train");
          return (await Promise.all(times.map((_, step) => read(step, [name])))).map((field) => [...field]);
        }),
      )
    ).flat(2);
    const average = values.reduce((sum, v) => sum + v, 0) / values.length;
    const variance = values.reduce((sum, v) => sum + (v - average) ** 2, 0) / values.length;
    expect(mean[name]).toBeCloseTo(average, 8);
    expect(std[name]! / Math.sqrt(variance)).toBeCloseTo(1, 10);
  }
  const { statistics: _, ...own } = options;
  const [mine, given] = [
    historySamples(sets, "train", own),
    historySamples(sets, "train", { ...own, statistics: { mean, std } }),
  ];
  expect(await mine.batchAt(0, 0)).toEqual(await given.batchAt(0, 0));
});

test("a field that does not vary, in one set or between them, keeps the deviation 1", () => {
  const fake = (mean: number, std: number) =>
    ({
      variables: [{ name: "BC" }],
      mean: { BC: mean },
      std: { BC: std },
      split: () => ({ times: [1, 2] }),
    }) as unknown as PreparedSet;
  expect(pooledStatistics([fake(3, 1), fake(3, 1)])).toEqual({ mean: { BC: 3 }, std: { BC: 1 } });
  // Each constant, but not the same: they differ by 2 from their mean.
  expect(pooledStatistics([fake(3, 1), fake(7, 1)])).toEqual({ mean: { BC: 5 }, std: { BC: 2 } });
});

test("a window cuts every year and the target", async () => {
  const window = patchWindow(fakeGrid, regionNamed("-10..90,260..10"), 1);
  const [whole, part] = [
    await historySamples(sets, "train", options).batchAt(0, 0),
    await historySamples(sets, "train", { ...options, window }).batchAt(0, 0),
  ];
  const cut = (fields: Float32Array) =>
    Array.from({ length: fields.length / fakeCells }, (_, n) =>
      [4, 7, 8, 11].map((cell) => fields[n * fakeCells + cell]!),
    ).flat();
  expect([...part.x]).toEqual(cut(whole.x));
  expect([...part.y]).toEqual(cut(whole.y));
});

describe("what cannot be is refused", () => {
  test.each<[string, Partial<HistoryOptions>, string]>([
    ["an unknown variable", { inputs: ["CH4"] }, 'unknown variable "CH4"'],
    ["a history of none", { history: 0 }, "a history of 0 steps; wanted a whole number from 1"],
    ["a history longer than the sets", { history: 25 }, "no state has the 24 before it in a row"],
    ["too few samples", { batchSize: 99 }, "has 27 samples, fewer than one batch of 99"],
  ])("%s", (_, change, message) => {
    const make = () => historySamples(sets, "train", { ...options, ...change });
    expect(make).toThrow(ClimaxError);
    expect(make).toThrow(message);
  });

  test("no set, and sets on two grids", () => {
    expect(() => historySamples([], "train", options)).toThrow("no set was given");
    const other = { ...sets[1]!, grid: { ...sets[1]!.grid, lat: Float64Array.of(-50, 0, 50) } };
    expect(() => historySamples([sets[0]!, other], "train", options)).toThrow("the grids differ");
  });
});
