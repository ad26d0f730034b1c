import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { default48 } from "../../src/data/variables.ts";
import { regularGrid } from "../../src/grid/grid.ts";
import { CheckpointInfo, writeCheckpoint } from "../../src/model/checkpoint.ts";
import { networkOf } from "../../src/model/network.ts";
import { gatherStatistics } from "../../src/weights/statistics.ts";
import { npzBytes } from "../support/npzfile.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "climax-statistics-"));
});
afterAll(() => rm(folder, { recursive: true }));

const grid = regularGrid(45);
const gather = (sources: readonly string[], names: readonly string[]) =>
  gatherStatistics(sources, names, grid);

const refusal = async (source: string) => {
  const error = await gather([source], ["2m_temperature"]).catch(
    (caught: unknown) => caught as Error & { hint: string },
  );
  return error as Error & { hint: string };
};

let number = 0;
/** A file of statistics, and its path. */
async function written(text: string, name = `${number++}.yaml`): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

/** A prepared set, as far as statistics go. */
async function madeSet(change: Record<string, unknown> = {}): Promise<string> {
  const dir = join(folder, `set${number++}`);
  await mkdir(dir);
  const said = {
    ...{ format: "climax-set", version: 1, synthetic: false, calendar: "standard" },
    variables: [
      { name: "2m_temperature", units: "K", constant: false },
      { name: "relative_humidity_500", units: "%", constant: false },
    ],
    mean: { "2m_temperature": 280, relative_humidity_500: 50 },
    std: { "2m_temperature": 20, relative_humidity_500: 30 },
    ...change,
  };
  await writeFile(join(dir, "set.json"), JSON.stringify(said));
  return dir;
}

test("the first source that has a variable gives it, and each is said", async () => {
  const own = await written("2m_temperature: {mean: 280.5, std: 1.5e1}\n", "own.yaml");
  const set = await madeSet();
  const { of, missing, notes } = await gather(
    [own, "era5", set],
    ["lattitude", "2m_temperature", "temperature_850", "relative_humidity_500", "relative_humidity_50"],
  );
  expect(of.get("2m_temperature")).toEqual({ mean: 280.5, std: 15, units: "K", from: "own.yaml" });
  expect(of.get("temperature_850")).toEqual({ mean: 274.56662, std: 15.581419, units: "K", from: "era5" });
  expect(of.get("relative_humidity_500")).toEqual({ mean: 50, std: 30, units: "%", from: set });
  expect(missing).toEqual(["relative_humidity_50"]);
  expect(notes).toEqual([
    "mean and deviation from the grid: lattitude",
    "mean and deviation from own.yaml: 2m_temperature",
    "mean and deviation from era5: temperature_850",
    `mean and deviation from ${set}: relative_humidity_500`,
    "era5: ERA5 as published with Stormer",
  ]);
});

test("era5 has the paper's variables but relative humidity, in the order asked for", async () => {
  const { of, missing } = await gather(["era5"], default48);
  expect([...of.keys()]).toEqual(default48.filter((name) => !name.startsWith("relative_humidity")));
  expect(missing).toHaveLength(7);
  expect(of.get("orography")!.mean).toBeCloseTo(378.155, 3);
});

test("latitude is that of the grid's rows, each as often as the others", async () => {
  const { of } = await gather([], ["lattitude"]);
  const rows = [-67.5, -22.5, 22.5, 67.5];
  const std = Math.sqrt(rows.reduce((sum, x) => sum + x * x, 0) / 4);
  expect(of.get("lattitude")).toEqual({ mean: 0, std, units: "degrees_north", from: "the grid" });
});

test("a source that nothing was taken from is said", async () => {
  const { notes } = await gather(["era5", await madeSet()], ["2m_temperature"]);
  expect(notes[1]).toMatch(/^nothing was taken from .*set\d+$/);
});

test("other names of a variable count, and a surface geopotential becomes a height", async () => {
  const path = await written("t2m: {mean: 280, std: 20}\nphis: {mean: 3708.431, std: 8242.097}\n");
  const { of } = await gather([path], ["2m_temperature", "orography"]);
  expect(of.get("2m_temperature")).toMatchObject({ mean: 280, std: 20 });
  expect(of.get("orography")!.mean).toBeCloseTo(378.155, 3);
  expect(of.get("orography")!.std).toBeCloseTo(840.46, 2);
  const twice = await written("t2m: {mean: 280, std: 20}\ntas: {mean: 281, std: 20}\n");
  await expect(gather([twice], ["2m_temperature"])).rejects.toThrow("has 2m_temperature under t2m and tas");
});

test("a variable that the table does not know counts from a source that says its units", async () => {
  const bare = await written("dust: {mean: 1, std: 2}\n");
  expect((await gather([bare], ["dust"])).missing).toEqual(["dust"]);
  const full = await written("dust: {mean: 1, std: 2, units: kg m-3}\n");
  expect((await gather([full], ["dust"])).of.get("dust")).toMatchObject({ mean: 1, std: 2, units: "kg m-3" });
  const wrong = await written("2m_temperature: {mean: 281, std: 20, units: degC}\n");
  await expect(gather([wrong], ["2m_temperature"])).rejects.toThrow("has 2m_temperature in degC; wanted K");
});

test("a climax checkpoint gives those of its variables", async () => {
  const path = join(folder, "own.safetensors");
  const info = CheckpointInfo.parse({
    ...{ format: "climax-checkpoint", version: 1, synthetic: true, provenance: {} },
    model: { variables: ["2m_temperature"], gridShape: [2, 4], embedDim: 8, heads: 2, depth: 1 },
    variables: [{ name: "2m_temperature", units: "K", mean: 285, std: 12 }],
    outputs: ["2m_temperature"],
    grid: { lat: [-45, 45], lon: [0, 90, 180, 270] },
    leads: [6],
  });
  const start = networkOf(info.model).initialise(3);
  await writeCheckpoint(path, info, (name) => start.get(name)!);
  const { of, notes } = await gather([path], ["2m_temperature"]);
  expect(of.get("2m_temperature")).toEqual({ mean: 285, std: 12, units: "K", from: "own.safetensors" });
  expect(notes).toContain("own.safetensors: of a simulated atmosphere");
});

test.for([
  [
    "temperature_500: {mean: -20.2, std: 13}",
    "temperature_500",
    "a mean of -20.2, where values lie in 120..350 in K",
    "add 273.15",
  ],
  [
    "geopotential_500: {mean: 5518, std: 342}",
    "geopotential_500",
    "a mean of 5518, which is its height in metres",
    "multiply mean and std by 9.80665",
  ],
  [
    "geopotential_1000: {mean: 75.2, std: 109}",
    "geopotential_1000",
    "which is its height in metres",
    "9.80665",
  ],
  ["geopotential_50: {mean: 20330, std: 600}", "geopotential_50", "which is its height in metres", "9.80665"],
  [
    "relative_humidity_700: {mean: 0.52, std: 0.3}",
    "relative_humidity_700",
    "which is a fraction, not percent",
    "by 100",
  ],
  [
    "mean_sea_level_pressure: {mean: 1009.6, std: 13}",
    "mean_sea_level_pressure",
    "where values lie in 85000..110000 in Pa",
    "convert mean and std to Pa",
  ],
  [
    "specific_humidity_850: {mean: 4.6, std: 4}",
    "specific_humidity_850",
    "a mean of 4.6",
    "convert mean and std to kg kg-1",
  ],
  [
    "orography: {mean: 3708, std: 8242}",
    "orography",
    "a deviation of 8242",
    "it is geopotential: divide mean and std by 9.80665",
  ],
  [
    "2m_temperature: {mean: 280, std: 0}",
    "2m_temperature",
    "the deviation of 2m_temperature is 0; wanted a number above 0",
    "leave 2m_temperature out",
  ],
  [
    "2m_temperature: {mean: 280, std: -2}",
    "2m_temperature",
    "the deviation of 2m_temperature is -2",
    "leave",
  ],
  [
    "2m_temperature: {mean: .nan, std: 2}",
    "2m_temperature",
    "the mean of 2m_temperature is NaN; wanted a number",
    "leave",
  ],
] as const)("%s is refused", async ([text, name, message, hint]) => {
  const path = await written(text);
  await expect(gather([path], [name])).rejects.toMatchObject({
    kind: "data",
    message: expect.stringContaining(message),
    hint: expect.stringContaining(hint),
  });
});

test("a field that does not vary has the deviation 1 of a prepared set, whatever its bounds", async () => {
  const set = await madeSet({
    variables: [{ name: "lake_cover", units: "1" }],
    ...{ mean: { lake_cover: 0 }, std: { lake_cover: 1 } },
  });
  expect((await gather([set], ["lake_cover"])).of.get("lake_cover")).toMatchObject({ mean: 0, std: 1 });
});

test("what is no source says what would be one", async () => {
  const none = await refusal(join(folder, "nowhere"));
  expect(none.message).toContain("there is no such file or folder");
  expect(none.hint).toContain("give era5, a folder with normalize_mean.npz");
  const empty = join(folder, "empty");
  await mkdir(empty);
  expect((await refusal(empty)).message).toContain("the folder has neither set.json nor normalize_mean.npz");
  expect((await refusal(await written("a: [", "broken.yaml"))).message).toContain(
    "it is neither YAML nor JSON",
  );
  expect((await refusal(await written("2m_temperature: 280"))).message).toContain("2m_temperature is wrong");
  expect((await refusal(await written("2m_temperature: {mean: 280}"))).message).toContain(
    "2m_temperature.std is wrong",
  );
  expect((await refusal(await written(`PK\u0003\u0004`))).message).toContain("it is a zip archive");
  expect((await refusal(await written(`# ${"x".repeat(2 ** 20)}`))).message).toContain("more than 524288");
  expect((await refusal(await written("[".repeat(20_000)))).message).toContain("it is neither YAML nor JSON");
  expect((await refusal(await madeSet({ version: 2 }))).message).toContain("set.json: version is wrong");
  expect((await refusal(await madeSet({ mean: {} }))).message).toContain(
    "set.json has no mean or std of 2m_temperature",
  );
});

describe.skipIf(!existsSync("../shared/data/era5-normalization-npz"))(
  "ClimaX's npz files (skipped: ../shared/data is not there)",
  () => {
    test("a folder of them gives the same as era5, and says which year levels are of", async () => {
      const npz = "../shared/data/era5-normalization-npz";
      const names = default48.filter((name) => !/humidity|lattitude/.test(name));
      const [ours, theirs] = [await gather(["era5"], names), await gather([npz], names)];
      expect(theirs.missing).toEqual([]);
      for (const [name, { mean, std }] of ours.of) {
        expect(theirs.of.get(name)!.mean / mean, name).toBeCloseTo(1, 6);
        expect(theirs.of.get(name)!.std / std, name).toBeCloseTo(1, 6);
      }
      expect(theirs.notes.at(-1)).toContain("those of variables on levels are of the last training year");
      expect((await gather([npz], ["2m_temperature"])).notes).toHaveLength(1);
    });
  },
);

test("a pipe keeps nobody waiting, and a device that never ends is not read", async () => {
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  for (const source of [pipe, "/dev/zero"]) {
    expect((await refusal(source)).message).toContain("it is a device or a pipe, not a file");
  }
  for (const name of ["set.json", "normalize_mean.npz"]) {
    for (const there of [pipe, "/dev/zero"]) {
      const dir = join(folder, `${number++}`);
      await mkdir(dir);
      await symlink(there, join(dir, name));
      expect((await refusal(dir)).message).toMatch(/a device or a pipe|not a regular file/);
    }
  }
});

test("an archive of megabytes does not become gigabytes", async () => {
  const dir = join(folder, "bomb");
  await mkdir(dir);
  const big = { shape: [2 ** 20], data: new Float64Array(2 ** 20) };
  const bytes = npzBytes({ a: big, b: big, c: big }, true);
  expect(bytes.length).toBeLessThan(2 ** 16);
  for (const name of ["normalize_mean", "normalize_std"]) await writeFile(join(dir, `${name}.npz`), bytes);
  expect((await refusal(dir)).message).toMatch(/its arrays have \d+ bytes and more; 16777216 is the limit/);
});

test("a source that has lattitude goes before the grid", async () => {
  const own = await written("lattitude: {mean: 1, std: 40, units: degrees_north}\n", "latitude.yaml");
  expect((await gather([own], ["lattitude"])).of.get("lattitude")).toMatchObject({ mean: 1, std: 40 });
});

test("of the reference's precipitation no mean is subtracted", async () => {
  const dir = join(folder, "rain");
  await mkdir(dir);
  const one = (value: number) => ({ shape: [1], data: Float64Array.of(value) });
  await writeFile(join(dir, "normalize_mean.npz"), npzBytes({ total_precipitation: one(1e-4) }));
  await writeFile(join(dir, "normalize_std.npz"), npzBytes({ total_precipitation: one(2e-4) }));
  const { of, notes } = await gather([dir], ["total_precipitation"]);
  expect(of.get("total_precipitation")).toMatchObject({ mean: 0, std: 2e-4 });
  expect(notes.join()).toContain("a mean of 0 for total_precipitation");
});
