// ClimaX's own npz shards as an archive: dates, units, one step without its shard, wrong layouts, damage.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openArchive } from "../../src/data/archive.ts";
import { openDataset } from "../../src/data/open.ts";
import { readClimaxStatistics } from "../../src/data/shardstatistics.ts";
import { parseShardName } from "../../src/data/shardtimes.ts";
import { formatTime } from "../../src/data/time.ts";
import { ClimaxError } from "../../src/errors.ts";
import { writeNpy } from "../../src/files/npy.ts";
import { inflatedCache, openNpz } from "../../src/files/npz.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { type NpzArray, npzBytes } from "../support/npzfile.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "climax-shards-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

const [lat, lon] = [
  [-45, 45],
  [0, 120, 240],
];
const cells = 6;

/** 250 K and up: a hundredth for each step since the file's first, a tenth for each cell. */
const temperature = (steps: number, from = 0): NpzArray => ({
  shape: [steps, 1, 2, 3],
  data: Float32Array.from(
    { length: steps * cells },
    (_, i) => 250 + (from + Math.floor(i / cells)) / 100 + (i % cells) / 10,
  ),
});
const constant = (steps: number, value: number): NpzArray => ({
  shape: [steps, 1, 2, 3],
  data: new Float32Array(steps * cells).fill(value),
});

async function folder(
  name: string,
  files: Record<string, Record<string, NpzArray>>,
  { deflate = false, axes = ["lat", "lon"] } = {},
): Promise<string> {
  const root = join(dir, name);
  mkdirSync(root, { recursive: true });
  if (axes.includes("lat")) await writeNpy(join(root, "lat.npy"), [2], Float64Array.from(lat));
  if (axes.includes("lon")) await writeNpy(join(root, "lon.npy"), [3], Float64Array.from(lon));
  for (const [file, arrays] of Object.entries(files)) {
    mkdirSync(join(root, file, ".."), { recursive: true });
    writeFileSync(join(root, file), npzBytes(arrays, deflate));
  }
  return root;
}

/** Years of 8 shards in steps of a day: 365 states do not divide by 8, so 5 shards of 73. */
function daily(split: string, year: number): Record<string, Record<string, NpzArray>> {
  return Object.fromEntries(
    [0, 1, 2, 3, 4].map((shard) => [
      `${split}/${year}_${shard}.npz`,
      {
        land_sea_mask: constant(73, 0.5),
        "2m_temperature": temperature(73, shard * 73),
        "3d_field": constant(73, 1),
      },
    ]),
  );
}

async function failure(run: () => Promise<unknown>): Promise<string> {
  const error = await run().catch((error: unknown) => error);
  if (!(error instanceof ClimaxError)) throw error ?? new Error("nothing thrown");
  return `${error.kind}: ${error.message} | ${error.hint}`.replaceAll(`${dir}/`, "");
}

describe("an archive of shards", () => {
  test.each([false, true])(
    "joins splits and years, without the last day of a leap year (deflated: %s)",
    async (deflate) => {
      const files = { ...daily("train", 1999), ...daily("train", 2000), ...daily("val", 2001) };
      const root = await folder(`daily-${deflate}`, files, { deflate });
      writeFileSync(join(root, "train", "climatology.npz"), npzBytes({ "2m_temperature": constant(1, 1) }));
      const archive = await openArchive([root]);
      expect([...archive.grid.lat]).toEqual(lat);
      expect([...archive.grid.lon]).toEqual(lon);
      expect(archive.times.length).toBe(3 * 365);
      const at = (text: string) => archive.times.findIndex((time) => formatTime(time).startsWith(text));
      expect([at("1999-01-01T00"), at("2000-12-30"), at("2000-12-31"), at("2001-01-01")]).toEqual([
        0, 729, -1, 730,
      ]);
      const field = archive.variables.get("2m_temperature")!;
      for (const [step, inYear] of [
        [0, 0],
        [72, 72],
        [73, 73],
        [364, 364],
        [365, 0],
        [1094, 364],
      ] as const)
        expect(await field.read(step)).toEqual(
          Float32Array.from({ length: cells }, (_, cell) => 250 + inYear / 100 + cell / 10),
        );
      expect(archive.variables.get("land_sea_mask")).toMatchObject({ constant: true, units: "1" });
      expect(archive.unrecognised.map(({ name }) => name)).toEqual(["3d_field"]);
      const notes = archive.notes.join("\n");
      expect(notes).toContain(
        "every 24 h from 1 January 00 UTC (5 shards a year of 73 states; 31 December of leap years",
      );
      expect(notes).toContain("the shards have no units; taken as those of ClimaX's names");
      await archive.close();
    },
  );

  test("one split by itself has its grid one up; names of other files are no shards", async () => {
    const root = await folder("split", { ...daily("train", 2001), ...daily("test", 2003) });
    const archive = await openArchive([join(root, "test")]);
    expect([archive.times.length, formatTime(archive.times[0]!)]).toEqual([365, "2003-01-01T00:00:00"]);
    await archive.close();
    expect(parseShardName("1979_7.npz")).toEqual({ label: "1979", index: 7 });
    expect(parseShardName("185001010600-185501010000_10.npz")).toMatchObject({ index: 10 });
    for (const name of ["climatology.npz", "1979.npz", "1979_7.npy", "79_1.npz"])
      expect(parseShardName(name)).toBeUndefined();
  });

  test("ranges of years, six-hourly from the first date of the name; geopotential height told by its values", async () => {
    const z = (steps: number, value: number) => constant(steps, value);
    const shard = (geopotential: number) => ({
      geopotential_500: z(730, geopotential),
      geopotential_1000: z(730, geopotential / 50),
    });
    const label = (year: number) => `train/${year}01010600-${year + 1}01010000`;
    const files = (value: number) => ({
      [`${label(1851)}_1.npz`]: shard(value),
      [`${label(1851)}_0.npz`]: shard(value),
      [`${label(1852)}_0.npz`]: shard(value),
      [`${label(1852)}_1.npz`]: shard(value),
    });
    const heights = await openArchive([await folder("awi", files(5600))]);
    expect(heights.times.slice(0, 2).map(formatTime)).toEqual(["1851-01-01T06:00:00", "1851-01-01T12:00:00"]);
    expect(formatTime(heights.times[1459]!)).toBe("1852-01-01T00:00:00");
    // 1852 is a leap year: 1460 states end a day before 1853 begins.
    expect(formatTime(heights.times[2919]!)).toBe("1852-12-31T00:00:00");
    expect((await heights.variables.get("geopotential_500")!.read(0))[0]).toBeCloseTo(5600 * 9.80665, 1);
    expect(heights.notes.join("\n")).toContain("geopotential_500 in m, geopotential_1000 in m");
    expect(heights.notes.join("\n")).toContain("the shards do not say their calendar; taken as standard");
    await heights.close();
    const potential = await openArchive([await folder("awi-z", files(55000))]);
    expect((await potential.variables.get("geopotential_500")!.read(0))[0]).toBe(55000);
    await potential.close();
  });

  test("a step is read by itself: neither its shard nor the other variables", async () => {
    const file = join(await folder("positions", daily("train", 2001)), "train/2001_2.npz");
    const bytes = readFileSync(file);
    // All but the headers of the arrays and 2m_temperature's step 10 is made unreadable.
    const header = bytes.indexOf("2m_temperature.npy") + "2m_temperature.npy".length + 128;
    const keep = header + 10 * cells * 4;
    bytes.fill(0xff, header, keep);
    bytes.fill(0xff, keep + cells * 4, bytes.indexOf("PK\x03\x04", keep, "latin1"));
    writeFileSync(file, bytes);
    const archive = await openArchive([join(dir, "positions")]);
    const field = archive.variables.get("2m_temperature")!;
    expect((await field.read(2 * 73 + 10))[0]).toBeCloseTo(250 + 1.56, 4);
    expect((await field.read(2 * 73 + 11)).every(Number.isNaN)).toBe(true);
    await archive.close();
  });
});

test("a training set is made of them, split by date", async () => {
  const root = await folder("to-set", {
    ...daily("train", 2001),
    ...daily("train", 2002),
    ...daily("val", 2003),
  });
  const archive = await openArchive([root], { variables: ["2m_temperature", "land_sea_mask"] });
  const { manifest } = await prepare(archive, join(dir, "set"), {
    ...{ train: "2001..2002", val: "2003" },
    provenance: { command: "climax prepare", version: "0.0.0", files: [root] },
  });
  await archive.close();
  expect([manifest.stepHours, manifest.splits.train?.steps, manifest.splits.val?.steps]).toEqual([
    24, 730, 365,
  ]);
  // 250 + the mean of 0..364 hundredths and 0..5 tenths.
  expect(manifest.mean["2m_temperature"]).toBeCloseTo(250 + 1.82 + 0.25, 4);
  expect(manifest.notes.join()).toContain("the shards have no dates");
});

describe("what is wrong with a layout is said", () => {
  const year = daily("train", 2001);
  test.each<[string, () => Promise<string>, RegExp]>([
    [
      "no lat.npy",
      () => folder("no-lat", year, { axes: ["lon"] }),
      /^data: the shards have no no-lat\/lat\.npy, so their grid is unknown \| write it/,
    ],
    [
      "another grid",
      async () => {
        const root = await folder("grid", year);
        await writeNpy(join(root, "lon.npy"), [4], Float64Array.of(0, 90, 180, 270));
        return root;
      },
      /^data: land_sea_mask in grid\/train\/2001_\d.npz has the shape \(73, 1, 2, 3\); wanted \(time, 1, 2, 4\) by lat.npy/,
    ],
    [
      "other keys",
      () =>
        folder("keys", {
          ...year,
          "train/2001_3.npz": {
            "2m_temperature": temperature(73),
            t: temperature(73),
            "3d_field": temperature(73),
          },
        }),
      /^data: keys\/train\/2001_3.npz lacks land_sea_mask and has also t, unlike keys\/train\/2001_0.npz/,
    ],
    [
      "a shorter shard",
      () =>
        folder("short", {
          ...year,
          "train/2001_4.npz": {
            land_sea_mask: constant(70, 1),
            "2m_temperature": temperature(70),
            "3d_field": constant(70, 1),
          },
        }),
      /2001_0.npz has 73 states and .*2001_4.npz 70; the shards of 2001 were cut to the same length/,
    ],
    [
      "variables of different lengths",
      () =>
        folder("uneven", {
          ...year,
          "train/2001_4.npz": {
            land_sea_mask: constant(73, 1),
            "2m_temperature": temperature(72),
            "3d_field": constant(73, 1),
          },
        }),
      /2001_4.npz has 73 steps of land_sea_mask and 72 of 2m_temperature/,
    ],
    [
      "a year in parts",
      () => folder("parts", { "train/2001_0.npz": { "2m_temperature": temperature(73) } }),
      /^data: parts: 1 shards a year of 73 states are 73 a year; 365 days in steps of 1, 3, 6, 12, 24 h are 8760, 2920, 1460, 730, 365 \| give all shards/,
    ],
    [
      "the same year twice",
      () => folder("twice", { ...year, ...daily("val", 2001) }),
      /twice\/train\/2001_\d.npz and .*twice\/val\/2001_\d.npz are of the same time/,
    ],
    [
      "impossible values",
      () => folder("celsius", { "train/2001_0.npz": { "2m_temperature": constant(365, 15) } }),
      /^data: 2m_temperature in celsius goes from 15 to 15, which cannot be 2m_temperature in K \(170 to 340 K\)/,
    ],
    [
      "no shards",
      () => folder("none", { "train/climatology.npz": { t: constant(1, 1) } }),
      /^data: none has no shards: no file of it is called YEAR_SHARD.npz/,
    ],
  ])("%s", async (_, make, wanted) => {
    const root = await make();
    expect(await failure(() => openDataset(root))).toMatch(wanted);
  });
});

test("statistics of the reference", async () => {
  const root = await folder("statistics", {
    "normalize_mean.npz": { "2m_temperature": { shape: [1], data: Float32Array.of(278) } },
    "normalize_std.npz": { "2m_temperature": { shape: [1], data: Float32Array.of(21) } },
  });
  expect(await readClimaxStatistics(root)).toEqual({
    mean: new Map([["2m_temperature", 278]]),
    std: new Map([["2m_temperature", 21]]),
  });
  const other = await folder("other-statistics", {
    "normalize_mean.npz": { a: { shape: [1], data: Float32Array.of(1) } },
    "normalize_std.npz": { b: { shape: [1], data: Float32Array.of(1) } },
  });
  expect(await failure(() => readClimaxStatistics(other))).toMatch(/a has no deviation, b has no mean/);
  const wide = await folder("wide-statistics", {
    "normalize_mean.npz": { a: { shape: [2], data: Float32Array.of(1, 2) } },
  });
  expect(await failure(() => readClimaxStatistics(wide))).toMatch(
    /a in .*normalize_mean.npz is of shape \(2\); wanted one number/,
  );
});

const real = fileURLToPath(new URL("../../../shared/data/era5-normalization-npz", import.meta.url));
test.skipIf(!existsSync(real))("real statistics (skipped without ../shared/data)", async () => {
  const { mean, std } = await readClimaxStatistics(real);
  expect([mean.size, std.size]).toEqual([109, 109]);
  expect(mean.get("geopotential_500")).toBeCloseTo(54107.86, -2); // 5518 m
  expect(std.get("2m_temperature")).toBeGreaterThan(20);
});

test("deflated members are kept while there is room", async () => {
  const root = await folder(
    "cache",
    { "a.npz": { x: temperature(100), y: temperature(100) } },
    { deflate: true },
  );
  const size = 128 + 100 * cells * 4;
  const kept = new Map<string, number>();
  const cache = inflatedCache(size);
  const counted = {
    get: cache.get,
    set(key: string, bytes: Promise<Uint8Array>, length: number) {
      kept.set(key.slice(-5), (kept.get(key.slice(-5)) ?? 0) + 1);
      cache.set(key, bytes, length);
    },
  };
  const file = await openNpz(join(root, "a.npz"), counted);
  const x = await file.array("x");
  expect([...(await x.read(0, 2))]).toEqual([250, Math.fround(250.1)]);
  await x.read(5, 1);
  await (await file.array("y")).read(0, 1); // there is room for one
  await x.read(0, 1);
  expect([...kept]).toEqual([
    ["x.npy", 2],
    ["y.npy", 1],
  ]);
  await expect(file.array("z")).rejects.toThrow("a.npz has no array z; it has x, y");
  await file.close();
});

test.each([
  ["stored", false, 0xfffffff0, /size mismatch for stored file: 8888 != 4294967280/],
  [
    "deflated beyond what deflate can",
    true,
    0xfffffff0,
    /2m_temperature.npy: claims 4294967280 bytes from \d+/,
  ],
  ["deflated to a little more", true, 9000, /2m_temperature.npy: holds 8888 bytes, 9000 were claimed/],
])(
  "a member that claims more than it has is refused before memory is taken: %s",
  async (name, deflate, claim, wanted) => {
    const shard = { "train/2001_0.npz": { "2m_temperature": temperature(365) } };
    const root = await folder(`claim-${name.slice(-4)}`, shard, { deflate });
    const file = join(root, "train/2001_0.npz");
    const bytes = readFileSync(file);
    bytes.writeUInt32LE(claim, bytes.lastIndexOf("PK\x01\x02", undefined, "latin1") + 24);
    writeFileSync(file, bytes);
    const before = process.memoryUsage().arrayBuffers;
    expect(await failure(() => openDataset(root))).toMatch(wanted);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 26);
  },
);

test.each([false, true])("any damage to a shard is read or refused (deflated: %s)", async (deflate) => {
  const root = await folder(
    `fuzz-${deflate}`,
    { "train/2001_0.npz": { "2m_temperature": temperature(365), land_sea_mask: constant(365, 1) } },
    { deflate },
  );
  const file = join(root, "train/2001_0.npz");
  const whole = readFileSync(file);
  const outcomes = { read: 0, refused: 0 };
  const place = fc.noBias(fc.nat(1_000_000));
  // Most bytes are data, whose damage is no damage to the layout: the last 300 hold the table of contents.
  const at = fc.oneof(
    place,
    place.map((n) => -1 - (n % 300)),
    place.map((n) => n % 200),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(at, fc.constantFrom(0, 1, 127, 128, 255)), { maxLength: 3 }),
      fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: place }),
      async (changes, cut) => {
        const bytes = Buffer.from(whole.subarray(0, whole.length - (cut % whole.length)));
        for (const [offset, value] of changes)
          if (bytes.length > 0) bytes[((offset % bytes.length) + bytes.length) % bytes.length] = value;
        writeFileSync(file, bytes);
        try {
          const dataset = await openDataset(root);
          try {
            for (const variable of dataset.variables.values())
              expect((await variable.readUnpacked()).byteLength).toBeLessThan(2 ** 20);
          } finally {
            await dataset.close();
          }
          outcomes.read++;
        } catch (error) {
          if (!(error instanceof ClimaxError)) throw error;
          expect(error.message).toContain(root);
          outcomes.refused++;
        }
      },
    ),
    { numRuns: 150, seed: 1979, endOnFailure: true },
  );
  expect(outcomes.read).toBeGreaterThan(10);
  expect(outcomes.refused).toBeGreaterThan(30);
});
