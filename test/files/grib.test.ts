// GRIB files that the tests write themselves: the structure is checked without ecCodes, all else is skipped where it
// is not installed.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openArchive } from "../../src/data/archive.ts";
import { openDataset } from "../../src/data/open.ts";
import { ClimaxError } from "../../src/errors.ts";
import type { Dataset } from "../../src/files/dataset.ts";
import { libraryPaths } from "../../src/files/eccodes.ts";
import { eccodesInstalled } from "../support/eccodes.ts";
import { type GribShape, type GribSketch, grib1, grib2 } from "../support/gribwriter.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-grib-"));
afterAll(() => rmSync(folder, { recursive: true }));
const installed = await eccodesInstalled();

const shape: GribShape = { columns: 4, rows: 3, lat: [60, -60], lon: [0, 270] };
const count = (from: number) => Array.from({ length: 12 }, (_, i) => from + i);
const sketch = (more: Partial<GribSketch> = {}): GribSketch => ({ shape, values: count(0), ...more });
let files = 0;
function save(...messages: Buffer[]): string {
  const path = join(folder, `${++files}.grib`);
  writeFileSync(path, Buffer.concat(messages));
  return path;
}

async function refusal(path: string): Promise<ClimaxError> {
  const caught = await openDataset(path).then(
    (dataset) => dataset.close(),
    (error: unknown) => error,
  );
  expect(caught).toBeInstanceOf(ClimaxError);
  return caught as ClimaxError;
}

async function opened<T>(path: string, use: (dataset: Dataset) => Promise<T>): Promise<T> {
  const dataset = await openDataset(path);
  try {
    return await use(dataset);
  } finally {
    await dataset.close();
  }
}

describe("a damaged message is named by its number and byte, without asking ecCodes", () => {
  const one = grib1(sketch());
  const two = grib2(sketch());
  const change = (message: Buffer, at: number, ...values: number[]) => {
    const copy = Buffer.from(message);
    copy.set(values, at);
    return copy;
  };
  test.each<[string, Buffer[], RegExp]>([
    [
      "cut off, GRIB 1",
      [one, one.subarray(0, 60)],
      /message 2 at byte 108 is damaged: it has 108 bytes, and the file ends after 60/,
    ],
    [
      "cut off, GRIB 2",
      [two, two.subarray(0, 100)],
      /message 2 at byte 203 is damaged: it has 203 bytes, and the file ends after 100/,
    ],
    [
      "cut off in the first bytes",
      [two, Buffer.from("GRIB\0\0")],
      /message 2 at byte 203 is damaged: the file ends 6 bytes after/,
    ],
    [
      "no end, GRIB 1",
      [change(one, one.length - 1, 0)],
      /message 1 at byte 0 .* does not end with 7777 at byte 104/,
    ],
    ["no end, GRIB 2", [change(two, two.length - 4, 0)], /does not end with 7777 at byte 199/],
    ["unknown edition", [change(two, 7, 3)], /it says edition 3/],
    [
      "section longer than the message",
      [change(two, 16, 0, 1)],
      /section 1 at byte 16 says it has 65557 bytes/,
    ],
    ["sections out of order", [change(two, 20, 4)], /at byte 16, section 4 follows section 0/],
    ["too many points, GRIB 1", [change(one, 8 + 28 + 6, 255, 0, 255, 255)], /claims 4278124800 points/],
    ["too many points, GRIB 2", [change(two, 16 + 21 + 6, 255)], /claims 4278190092 points/],
    ["a grid of other size", [change(two, 16 + 21 + 30, 0, 0, 0, 5)], /a grid of 5 x 3 for 12 points/],
    ["too few data", [change(two, 16 + 21 + 72 + 34 + 19, 17)], /12 numbers of 17 bits in 24 bytes/],
    ["too few data, GRIB 1", [change(one, 8 + 28 + 32 + 10, 17)], /12 points of 17 bits in 25 bytes/],
    [
      "something between",
      [one, Buffer.alloc(600, 65), one],
      /from byte 108, behind GRIB message 1, there is something that is no GRIB/,
    ],
    [
      "a message without its beginning",
      [two, change(two, 0, 0), two],
      /from byte 203, behind GRIB message 1/,
    ],
  ])("%s", async (_, messages, wanted) => {
    const error = await refusal(save(...messages));
    expect(error.message).toMatch(wanted);
    expect(error.hint).toMatch(/fetch or write the file again; .*grib_copy/);
  });
});

test("without ecCodes the error says what to install, how to name it, and the other way", async () => {
  const before = process.env.CLIMAX_ECCODES_LIB;
  process.env.CLIMAX_ECCODES_LIB = join(folder, "libeccodes.so");
  try {
    const path = save(grib2(sketch()));
    const error = await refusal(path);
    expect(error.message).toContain(`${path} is a GRIB file, which is read through ECMWF's library ecCodes`);
    expect(error.message).toContain(`CLIMAX_ECCODES_LIB is ${folder}`);
    for (const way of [
      "apt install libeccodes0",
      "dnf install eccodes",
      "conda-forge eccodes",
      "brew install eccodes",
      "module load eccodes",
    ]) {
      expect(error.hint).toContain(way);
    }
    expect(error.hint).toContain(`cdo -f nc4 copy ${path} ${files}.nc`);
  } finally {
    if (before === undefined) delete process.env.CLIMAX_ECCODES_LIB;
    else process.env.CLIMAX_ECCODES_LIB = before;
  }
});

test("the library is looked for where it was named, in conda and module folders, then by the system", () => {
  expect(libraryPaths({ CLIMAX_ECCODES_LIB: "/opt/lib.so", CONDA_PREFIX: "/c" }, "linux")).toEqual([
    "/opt/lib.so",
  ]);
  expect(libraryPaths({ CONDA_PREFIX: "/c" }, "linux")).toEqual([
    "/c/lib/libeccodes.so.0",
    "/c/lib/libeccodes.so",
    "/c/lib64/libeccodes.so.0",
    "/c/lib64/libeccodes.so",
    "libeccodes.so.0",
    "libeccodes.so",
  ]);
  expect(libraryPaths({}, "darwin")).toContain("/opt/homebrew/lib/libeccodes.dylib");
  expect(libraryPaths({ ECCODES_DIR: "" }, "win32")).toEqual(["eccodes.dll"]);
});

describe.skipIf(!installed)("read through ecCodes (skipped where it is not installed)", () => {
  const values = (dataset: Dataset, name: string, start?: number[], number?: number[]) =>
    dataset.variables
      .get(name)!
      .readUnpacked(start, number)
      .then((list) => Array.from(list));

  test.each([
    ["GRIB 1", (...list: GribSketch[]) => Buffer.concat(list.map((each) => grib1(each)))],
    ["GRIB 2", (...list: GribSketch[]) => Buffer.concat(list.map((each) => grib2(each)))],
    ["GRIB 2, several fields in a message", (...list: GribSketch[]) => grib2(...list)],
  ])("%s: times, levels, bitmaps, any hyperslab", async (name, write) => {
    const several = name.includes("several"); // one date for all of them
    const gaps = [0, Number.NaN, ...count(2).slice(0, 10)];
    const later = several ? { step: 6 } : { date: [2020, 1, 1, 6] as [number, number, number, number] };
    const path = save(
      Buffer.from("\x01\r\r\nHTXE80 ECMF 010000\r\r\n"),
      write(
        sketch({ level: 850, values: gaps }),
        sketch({ level: 500, values: gaps }),
        sketch({ level: 850, values: count(100), ...later }),
        sketch({ level: 500, values: count(200), ...later }),
      ),
      Buffer.alloc(100),
    );
    await opened(path, async (dataset) => {
      const t = dataset.variables.get("t")!;
      expect(t.dimensions).toEqual(["time", "level", "latitude", "longitude"]);
      expect(t.shape).toEqual([2, 2, 3, 4]);
      expect(t.dtype).toBe("float32");
      expect(t.attributes.get("units")).toBe("K");
      expect(await values(dataset, "level")).toEqual([850, 500]);
      expect(await values(dataset, "latitude")).toEqual([60, 0, -60]);
      expect(await values(dataset, "longitude")).toEqual([0, 90, 180, 270]);
      const [first, second] = await values(dataset, "time");
      expect([first, second! - first!]).toEqual([Date.UTC(2020, 0, 1) / 1000, 6 * 3600]);
      expect(await values(dataset, "t")).toEqual([...gaps, ...gaps, ...count(100), ...count(200)]);
      expect(await values(dataset, "t", [1, 0, 1, 1], [1, 2, 2, 2])).toEqual([
        105, 106, 109, 110, 205, 206, 209, 210,
      ]);
    });
    const archive = await openArchive([path]);
    expect([...archive.variables.keys()]).toEqual(["temperature_850", "temperature_500"]);
    // South to north.
    expect(Array.from(await archive.variables.get("temperature_500")!.read(1)).slice(0, 5)).toEqual([
      208, 209, 210, 211, 204,
    ]);
    await archive.close();
  });

  test.each([
    ["westward", 0x80, ["latitude", "longitude"], [60, 0, -60], [270, 180, 90, 0]],
    ["northward", 0x40, ["latitude", "longitude"], [-60, 0, 60], [0, 90, 180, 270]],
    ["columns first", 0x20, ["longitude", "latitude"], [60, 0, -60], [0, 90, 180, 270]],
    ["all three", 0xe0, ["longitude", "latitude"], [-60, 0, 60], [270, 180, 90, 0]],
  ])(
    "scanning %s keeps the order of the file and says which it is",
    async (_, scanning, dimensions, lat, lon) => {
      const turned: GribShape = {
        ...shape,
        scanning,
        lat: [lat[0]!, lat[2]!],
        lon: [lon[0]!, lon[3]!],
      };
      for (const message of [grib1(sketch({ shape: turned })), grib2(sketch({ shape: turned }))]) {
        await opened(save(message), async (dataset) => {
          expect(dataset.variables.get("t")!.dimensions.slice(-2)).toEqual(dimensions);
          expect(await values(dataset, "latitude")).toEqual(lat);
          expect(await values(dataset, "longitude")).toEqual(lon);
          expect(await values(dataset, "t")).toEqual(count(0));
        });
      }
    },
  );

  test("rows that run to and fro are put in one direction", async () => {
    const path = save(
      grib2(sketch({ shape: { ...shape, scanning: 0x10 }, values: [0, 1, 2, 3, 7, 6, 5, 4, 8, 9, 10, 11] })),
    );
    await opened(path, async (dataset) => {
      expect(await values(dataset, "t")).toEqual(count(0));
      expect(await values(dataset, "longitude")).toEqual([0, 90, 180, 270]);
    });
  });

  test("members are a dimension; one that is missing at a time is NaN, and noted", async () => {
    const path = save(
      ...[1, 2, 3].map((member) => grib2(sketch({ member, values: count(member) }))),
      ...[1, 3].map((member) => grib2(sketch({ member, values: count(10 * member), date: [2020, 1, 1, 6] }))),
    );
    await opened(path, async (dataset) => {
      const t = dataset.variables.get("t")!;
      expect(t.dimensions.slice(0, 3)).toEqual(["time", "number", "level"]);
      expect(await values(dataset, "number")).toEqual([1, 2, 3]);
      expect(await values(dataset, "t", [1, 0, 0, 0, 0], [1, 3, 1, 1, 1])).toEqual([10, Number.NaN, 30]);
      expect(dataset.notes).toEqual(["t: 1 of 6 fields are not in the file; missing values stand for them"]);
    });
  });

  test("a level that lacks a time becomes a variable of its own", async () => {
    const path = save(
      grib2(sketch({ level: 850 })),
      grib2(sketch({ level: 500 })),
      grib2(sketch({ level: 1000, values: count(50) })),
      grib2(sketch({ level: 850, date: [2020, 1, 1, 6] })),
      grib2(sketch({ level: 500, date: [2020, 1, 1, 6] })),
    );
    await opened(path, async (dataset) => {
      expect(dataset.variables.get("t")!.shape).toEqual([2, 2, 3, 4]);
      expect(dataset.variables.get("t_1000")!.shape).toEqual([1, 1, 3, 4]);
      expect(await values(dataset, "t_1000")).toEqual(count(50));
    });
    const archive = await openArchive([path]);
    expect([...archive.variables.keys()]).toEqual(["temperature_850", "temperature_500", "temperature_1000"]);
    await archive.close();
  });

  test("one forecast lies along its valid times, with its initial time; several that overlap get an axis of steps", async () => {
    const steps = [0, 6, 12].map((step) => grib2(sketch({ step, values: count(step) })));
    await opened(save(...steps), async (dataset) => {
      expect(dataset.variables.get("t")!.dimensions[0]).toBe("time");
      expect(await values(dataset, "forecast_reference_time")).toEqual([Date.UTC(2020, 0, 1) / 1000]);
      expect(await values(dataset, "time")).toEqual(
        [0, 6, 12].map((hour) => Date.UTC(2020, 0, 1, hour) / 1000),
      );
    });
    const next = [0, 6, 12].map((step) =>
      grib2(sketch({ step, date: [2020, 1, 1, 6], values: count(100 + step) })),
    );
    await opened(save(...steps, ...next), async (dataset) => {
      const t = dataset.variables.get("t")!;
      expect(t.dimensions.slice(0, 2)).toEqual(["forecast_reference_time", "step"]);
      expect(await values(dataset, "step")).toEqual([0, 6, 12]);
      expect(await values(dataset, "t", [1, 2, 0, 0, 0], [1, 1, 1, 1, 2])).toEqual([112, 113]);
    });
  });

  test("a field that is there twice is taken from the last message, and noted", async () => {
    await opened(save(grib1(sketch()), grib1(sketch({ values: count(40) }))), async (dataset) => {
      expect(await values(dataset, "t")).toEqual(count(40));
      expect(dataset.notes).toEqual([
        "t: 1 fields are in the file more than once; the last of each is taken",
      ]);
    });
  });

  test("a packing that the library does not have says so, and how to get one that has it", async () => {
    const message = grib2(sketch());
    message.writeUInt16BE(1000, 16 + 21 + 72 + 34 + 9);
    await opened(save(message), async (dataset) => {
      const error: unknown = await dataset.variables
        .get("t")!
        .read()
        .catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(ClimaxError);
      const { message: said, hint } = error as ClimaxError;
      expect(said).toMatch(
        /GRIB message 1 at byte 0 \(data representation 5\.1000\) cannot be unpacked: ecCodes \d/,
      );
      expect(hint).toMatch(
        /built without data representation 5\.1000: .*conda-forge eccodes.* CLIMAX_ECCODES_LIB/,
      );
    });
  });

  test("the spread of an ensemble is no temperature", async () => {
    const path = save(grib1(sketch({ member: 0, type: 18 })));
    await opened(path, async (dataset) => {
      const spread = dataset.variables.get("t_es")!;
      expect(spread.attributes.get("long_name")).toBe("Temperature (es)");
      expect([spread.attributes.has("standard_name"), spread.attributes.has("GRIB_shortName")]).toEqual([
        false,
        false,
      ]);
    });
    await expect(openArchive([path])).rejects.toThrow("holds no variable that ClimaX knows");
  });

  test("spherical harmonics are refused with the transform; beside other fields they are left out, and noted", async () => {
    const harmonic = grib2(sketch());
    harmonic.writeUInt16BE(50, 16 + 21 + 12); // only the template's number: nothing of it is read
    expect(await refusal(save(harmonic))).toMatchObject({
      message: `${join(folder, `${files}.grib`)} holds spherical harmonics, not values on a grid`,
      hint: `transform it first: cdo -f nc4 sp2gpl ${join(folder, `${files}.grib`)} ${files}.nc`,
    });
    await opened(save(harmonic, grib2(sketch({ parameter: [3, 4] }))), async (dataset) => {
      expect([...dataset.variables.keys()]).toContain("z");
      expect([...dataset.variables.keys()]).not.toContain("t");
      expect(dataset.notes).toEqual(["t left out: spherical harmonics; to have them too: cdo -f nc4 sp2gpl"]);
    });
  });

  test("an unstructured grid without coordinates is refused with the way to give them", async () => {
    const icon = grib2(sketch());
    icon.writeUInt16BE(101, 16 + 21 + 12);
    const error = await refusal(save(icon));
    expect(error.message).toContain("an unstructured grid whose coordinates are in another file (ICON)");
    expect(error.hint).toMatch(/cdo -f nc4 setgrid,GRIDFILE\.nc/);
  });

  test("a year of steps costs a few questions, and dates are right", async () => {
    const messages = Array.from({ length: 400 }, (_, i) => {
      const day = new Date(Date.UTC(2019, 11, 1 + i));
      return grib1(
        sketch({ date: [day.getUTCFullYear(), day.getUTCMonth() + 1, day.getUTCDate(), 12], step: 6 }),
      );
    });
    await opened(save(...messages), async (dataset) => {
      // One lead for all: initial times stay, with the step beside them.
      const times = await values(dataset, "forecast_reference_time");
      expect(times.length).toBe(400);
      expect(times.every((time, i) => time === Date.UTC(2019, 11, 1 + i, 12) / 1000)).toBe(true);
      expect(await values(dataset, "step")).toEqual([6]);
    });
  });
});
