// Archives of thousands of files: few open at once, metadata shared, steps read in blocks that suit the files.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ArchiveOptions, openArchive } from "../../src/data/archive.ts";
import { openDataset } from "../../src/data/open.ts";
import { inParallel, openFiles } from "../../src/data/openfiles.ts";
import { expandPaths } from "../../src/data/paths.ts";
import { formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import type { Dataset } from "../../src/files/dataset.ts";
import { classicBytes } from "../support/classicfile.ts";
import {
  type FakeDataset,
  type FakeVariable,
  fakeDataset,
  fakeGrid,
  fakeTime,
} from "../support/fakedataset.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "climax-scale-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** Counts what is open, and when most was. */
function counting(open: (path: string) => Promise<Dataset>) {
  const count = { opened: 0, now: 0, most: 0 };
  return {
    count,
    async open(path: string): Promise<Dataset> {
      const dataset = await open(path);
      count.opened++;
      count.most = Math.max(count.most, ++count.now);
      return {
        ...dataset,
        close: async () => {
          count.now--;
          await dataset.close();
        },
      };
    },
  };
}

const days = 4;
const width = 6;
/** Value of a variable on a day in a cell. */
const value = (variable: number, day: number, cell: number) => 200 + variable + day / 16 + cell / 256;

/** A file for each variable and every four days, a folder for each variable, as WeatherBench 1 has them. */
function writeFiles(root: string, names: readonly string[], files: number) {
  const units: Record<string, string> = { t2m: "K", sp: "Pa", u10: "m s-1" };
  for (const [v, name] of names.entries()) {
    mkdirSync(join(root, name), { recursive: true });
    for (let file = 0; file < files; file++) {
      const bytes = classicBytes({
        lat: {
          dimensions: { lat: 2 },
          data: Float64Array.of(-45, 45),
          attributes: { units: "degrees_north" },
        },
        lon: {
          dimensions: { lon: 3 },
          data: Float64Array.of(0, 120, 240),
          attributes: { units: "degrees_east" },
        },
        time: {
          dimensions: { time: days },
          data: Float64Array.from({ length: days }, (_, i) => file * days + i),
          attributes: { units: "days since 1979-01-01", calendar: "noleap" },
        },
        [name]: {
          dimensions: { time: days, lat: 2, lon: 3 },
          data: Float32Array.from({ length: days * width }, (_, i) =>
            value(v, file * days + Math.floor(i / width), i % width),
          ),
          attributes: { units: units[name]!, long_name: "made for a test" },
        },
      });
      writeFileSync(join(root, name, `${name}_${file}.nc`), bytes);
    }
  }
}

/** What is garbage goes at once, whatever the flags that Node was started with. */
function collect(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

test("900 files of three variables: 64 open at most, each opened for its metadata once, memory bounded", async () => {
  const names = ["t2m", "sp", "u10"];
  writeFiles(join(dir, "many"), names, 300);
  const pattern = join(dir, "many", "*", "*.nc");
  const paths = await expandPaths([pattern]);
  expect(paths.length).toBe(900);
  expect(paths.slice(0, 11).at(-1)).toBe(join(dir, "many", "sp", "sp_10.nc"));
  const { open, count } = counting(openDataset);
  collect();
  const before = process.memoryUsage().heapUsed;
  const archive = await openArchive([pattern], { open });
  expect(archive.paths).toEqual(paths);
  collect();
  const kept = process.memoryUsage().heapUsed - before;
  expect(count).toMatchObject({ opened: 900 });
  expect(count.most).toBeLessThanOrEqual(64 + 8);
  // 4 kB a file: its times and its name. A dataset kept whole is more than 20 kB.
  expect(kept).toBeLessThan(900 * 8_000);
  expect(archive.times.length).toBe(300 * days);
  expect(formatTime(archive.times[365]!)).toBe("1980-01-01T00:00:00");
  expect(archive.notes).toEqual([]);
  const variables = ["2m_temperature", "surface_pressure", "10m_u_component_of_wind"];
  for (const day of [0, 1, 1199, 17, 1024, 5])
    for (const [v, name] of variables.entries())
      expect([...(await archive.variables.get(name)!.read(day))]).toEqual(
        Array.from({ length: width }, (_, cell) => value(v, day, cell)),
      );
  expect(count.most).toBeLessThanOrEqual(64 + 8);
  await archive.close();
  expect(count.now).toBe(0);
});

const kelvin = { units: "K" };
const grid = fakeGrid([-45, 45], [0, 120, 240]);
const hours = (n: number) => Array.from({ length: n }, (_, i) => i);
function fakes(files: FakeDataset[], options: Omit<ArchiveOptions, "open"> = {}) {
  const byPath = new Map(files.map((file) => [file.path, file]));
  return openArchive([...byPath.keys()], { ...options, open: async (path) => byPath.get(path)! });
}
const slab = (levels: number, steps: number): FakeVariable => ({
  dimensions: { time: steps, level: levels, lat: 2, lon: 3 },
  data: (i) => 200 + i / 1024,
  attributes: kelvin,
});
const level = (levels: number[]): FakeVariable => ({
  dimensions: { level: levels.length },
  data: levels,
  attributes: { units: "hPa" },
});

test("steps in a row are read ahead, twice as many each time; a step on its own is read alone", async () => {
  const file = fakeDataset("a.nc", {
    ...grid,
    ...fakeTime(hours(12)),
    t2m: { ...slab(1, 12), dimensions: { time: 12, lat: 2, lon: 3 } },
  });
  const archive = await fakes([file]);
  const field = archive.variables.get("2m_temperature")!;
  file.reads.length = 0;
  for (const step of [7, 2, 3, 4, 5, 6, 7, 8, 9])
    expect((await field.read(step))[5]).toBe(Math.fround(200 + (step * 6 + 5) / 1024));
  expect(file.reads).toEqual([
    "t2m 7,0,0 1,2,3",
    "t2m 2,0,0 1,2,3",
    "t2m 3,0,0 2,2,3",
    "t2m 5,0,0 4,2,3",
    "t2m 9,0,0 3,2,3",
  ]);
});

test("levels of a step come together, and with the steps that follow", async () => {
  const file = fakeDataset("a.nc", {
    ...grid,
    ...fakeTime(hours(8)),
    level: level([500, 850]),
    t: slab(2, 8),
  });
  const archive = await fakes([file]);
  file.reads.length = 0;
  for (const step of hours(8))
    for (const [at, name] of ["temperature_500", "temperature_850"].entries())
      expect((await archive.variables.get(name)!.read(step))[0]).toBe(
        Math.fround(200 + (step * 12 + at * 6) / 1024),
      );
  expect(file.reads).toEqual([
    "t 0,0,0,0 1,1,2,3", // the first level by itself: it may be all that is wanted
    "t 0,0,0,0 1,2,2,3",
    "t 1,0,0,0 2,2,2,3",
    "t 3,0,0,0 4,2,2,3",
    "t 7,0,0,0 1,2,2,3",
  ]);
});

test("a chunk is read once: all its steps and levels", async () => {
  const file = fakeDataset("a.nc", {
    ...grid,
    ...fakeTime(hours(10)),
    level: level([500, 850]),
    t: slab(2, 10),
  });
  Object.assign(file.variables.get("t")!, { chunks: [4, 2, 2, 3] });
  const archive = await fakes([file]);
  file.reads.length = 0;
  for (const step of [5, 6, 7, 4, 9, 8, 0])
    expect((await archive.variables.get("temperature_850")!.read(step))[2]).toBe(
      Math.fround(200 + (step * 12 + 8) / 1024),
    );
  expect(file.reads).toEqual(["t 4,0,0,0 4,2,2,3", "t 8,0,0,0 2,2,2,3", "t 0,0,0,0 4,2,2,3"]);
});

test("whatever the chunks, the order of dimensions and of the reads, a step is that step", async () => {
  const hPa = [100, 250, 500, 700, 850];
  const orders = [
    ["time", "level", "lat", "lon"],
    ["level", "lon", "time", "lat"],
    ["lat", "lon", "level", "time"],
  ] as const;
  const lengths = { time: 9, level: 5, lat: 2, lon: 3 };
  const chunk = fc.record({ time: fc.integer({ min: 1, max: 9 }), level: fc.integer({ min: 1, max: 5 }) });
  const reads = fc.array(fc.tuple(fc.nat(8), fc.nat(4)), { minLength: 1, maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(
      ...([fc.constantFrom(...orders), fc.option(chunk), fc.subarray(hPa, { minLength: 1 }), reads] as const),
      async (order, chunks, levels, steps) => {
        const dimensions = Object.fromEntries(order.map((name) => [name, lengths[name]]));
        const data = (flat: number) => {
          const at = { time: 0, level: 0, lat: 0, lon: 0 };
          for (const name of order.toReversed()) {
            at[name] = flat % lengths[name];
            flat = Math.floor(flat / lengths[name]);
          }
          return 200 + at.time + at.level / 8 + at.lat / 64 + at.lon / 512;
        };
        const t = { dimensions, data, attributes: kelvin };
        const file = fakeDataset("a.nc", { ...grid, ...fakeTime(hours(9)), level: level(hPa), t });
        const lengthsOf = { lat: 2, lon: 3, ...chunks };
        if (chunks)
          Object.assign(file.variables.get("t")!, { chunks: order.map((name) => lengthsOf[name as "lat"]) });
        const archive = await fakes([file], { variables: levels.map((one) => `temperature_${one}`) });
        for (const [step, which] of steps) {
          const one = levels[which % levels.length]!;
          const base = 200 + step + hPa.indexOf(one) / 8;
          expect([...(await archive.variables.get(`temperature_${one}`)!.read(step))]).toEqual(
            [0, 1].flatMap((row) => [0, 1, 2].map((column) => base + row / 64 + column / 512)),
          );
        }
      },
    ),
    { numRuns: 300, seed: 1 },
  );
});

test("files of one variable that overlap, in any order, with a grid a little off", async () => {
  const part = (path: string, from: number, shift = 0) =>
    fakeDataset(path, {
      ...fakeGrid([-45, 45 + shift], [0, 120, 240]),
      ...fakeTime(hours(6).map((hour) => hour + from)),
      t2m: {
        dimensions: { time: 6, lat: 2, lon: 3 },
        data: (i) => 250 + from + Math.floor(i / 6),
        attributes: kelvin,
      },
    });
  const archive = await fakes([part("c.nc", 8), part("a.nc", 0), part("b.nc", 4, 5e-4)]);
  expect(archive.times.length).toBe(14);
  for (const step of hours(14))
    expect((await archive.variables.get("2m_temperature")!.read(step))[0]).toBe(250 + step);
  expect(archive.notes).toEqual([
    "b.nc: its grid lies up to 0.00050 degrees from that of c.nc; taken as the same",
    "b.nc and 1 more: 2 of 6 steps left out, whose times were there already",
  ]);
});

test("a file that changed since it was opened is no crash", async () => {
  const files = openFiles(async () => ({ close: async () => undefined }), 1);
  await files.use("a", async () => 1);
  await files.close();
  await expect(files.use("a", async () => 1)).rejects.toThrow("a is read after its archive was closed");
  const t2m = (name: string) =>
    fakeDataset("a.nc", {
      ...grid,
      ...fakeTime([0]),
      [name]: { dimensions: { time: 1, lat: 2, lon: 3 }, attributes: kelvin },
    });
  let opened = 0;
  const other = fakeDataset("b.nc", {
    ...grid,
    ...fakeTime([0]),
    skt: { dimensions: { time: 1, lat: 2, lon: 3 }, attributes: kelvin },
  });
  const paths = ["a.nc", ...Array.from({ length: 80 }, (_, i) => `${i}.nc`)];
  const open = async (path: string) => (path === "a.nc" ? t2m(opened++ === 0 ? "t2m" : "tas") : other);
  const archive = await openArchive(paths, { open });
  const error = await archive.variables
    .get("2m_temperature")!
    .read(0)
    .catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ClimaxError);
  expect((error as ClimaxError).message).toBe("a.nc had t2m when it was opened first, and has it no more");
});

test("work in parallel keeps its order, and gives the first error", async () => {
  let [running, most] = [0, 0];
  const work = async (item: number) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 5 - item));
    running--;
    if (item >= 3) throw new Error(`item ${item}`);
    return item * 2;
  };
  expect(await inParallel([0, 1, 2], 2, work)).toEqual([0, 2, 4]);
  expect(most).toBe(2);
  await expect(inParallel([0, 3, 4, 1], 4, work)).rejects.toThrow("item 3");
});
