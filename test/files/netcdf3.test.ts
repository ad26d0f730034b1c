// The classic reader against values worked out by hand from weather.cdl, and against netcdfjs.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NetCDFReader } from "netcdfjs";
import { afterAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { ClimaxError } from "../../src/errors.ts";
import type { Dataset } from "../../src/files/dataset.ts";

const fixture = (name: string): string => `test/fixtures/netcdf/${name}`;
const folder = mkdtempSync(join(tmpdir(), "climax-netcdf3-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function using<T>(path: string, use: (dataset: Dataset) => Promise<T>): Promise<T> {
  const dataset = await openDataset(path);
  try {
    return await use(dataset);
  } finally {
    await dataset.close();
  }
}

const error = async (promise: Promise<unknown>): Promise<ClimaxError> => {
  const caught = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(caught).toBeInstanceOf(ClimaxError);
  return caught as ClimaxError;
};

/** A classic header by hand: what ncgen would not write. */
function header(version: number, records: number, recordVariables: [string, number, number][]): Buffer {
  const words: Buffer[] = [];
  const word = (n: number): number => words.push(Buffer.from([n >>> 24, n >>> 16, n >>> 8, n]));
  const name = (text: string): void => {
    word(text.length);
    words.push(Buffer.from(text.padEnd(Math.ceil(text.length / 4) * 4, "\0"), "latin1"));
  };
  words.push(Buffer.from([0x43, 0x44, 0x46, version]));
  word(records);
  word(10);
  word(2);
  name("time");
  word(0);
  name("x");
  word(3);
  word(0);
  word(0);
  word(11);
  word(recordVariables.length);
  for (const [variable, type, begin] of recordVariables) {
    name(variable);
    word(2);
    word(0);
    word(1);
    word(0);
    word(0);
    word(type);
    word(0); // vsize: never to be trusted
    word(begin);
  }
  return Buffer.concat(words);
}

function save(name: string, bytes: Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

describe.each([
  ["weather-cdf1.nc", "NetCDF classic (CDF-1)"],
  ["weather-cdf2.nc", "NetCDF 64-bit offset (CDF-2)"],
  ["weather-cdf5.nc", "NetCDF 64-bit data (CDF-5)"],
])("%s", (file, format) => {
  test("names, shapes and attributes are those of weather.cdl", async () => {
    await using(fixture(file), async (dataset) => {
      expect(dataset.format).toBe(format);
      expect([...dataset.dimensions]).toEqual([
        ["time", 2],
        ["lat", 3],
        ["lon", 4],
        ["name_length", 5],
      ]);
      expect([...dataset.unlimited]).toEqual(["time"]);
      expect([...dataset.attributes]).toEqual([
        ["title", "Zürich"],
        ["counts", [1, 2, 3]],
        ["ratio", 2.5],
      ]);
      const packed = dataset.variables.get("packed")!;
      expect([packed.dtype, packed.dimensions, packed.shape]).toEqual([
        "int16",
        ["time", "lat", "lon"],
        [2, 3, 4],
      ]);
      expect(packed.attributes.get("valid_range")).toEqual([-1000, 1000]);
      expect(packed.attributes.get("scale_factor")).toBe(0.01);
    });
  });

  test("numbers and text are those of weather.cdl", async () => {
    await using(fixture(file), async ({ variables }) => {
      expect(await variables.get("time")!.read()).toEqual(Float64Array.of(0, 6));
      expect(await variables.get("height")!.read()).toEqual(Float64Array.of(2));
      expect(await variables.get("flag")!.read()).toEqual(Int8Array.of(1, 2, 3, 1, 2, 3, -1, -128));
      expect(await variables.get("station")!.readText()).toEqual(["north", "mid", "Süd"]);
      const t = await variables.get("t")!.readUnpacked([1, 0, 0], [1, 3, 4]);
      expect(t).toEqual(Float32Array.of(13, 14, 15, Number.NaN, 17, 18, 19, 20, 21, 22, 23, 24.5));
      const packed = await variables.get("packed")!.readUnpacked([1, 0, 0], [1, 3, 4]);
      const expected = [100, 200, null, 400, 500, null, null, 800, 900, 1000, -1000, -1];
      expect([...packed]).toEqual(expected.map((n) => (n === null ? Number.NaN : n * 0.01 + 273.15)));
      // The last value was never written: NetCDF's default fill of int.
      expect((await variables.get("mask")!.readUnpacked()).at(-1)).toBeNaN();
    });
  });

  test("every hyperslab is the same part of the whole", async () => {
    await using(fixture(file), async ({ variables }) => {
      const t = variables.get("t")!;
      const whole = await t.read();
      const [T, H, W] = t.shape as [number, number, number];
      let boxes = 0;
      for (let t0 = 0; t0 < T; t0++)
        for (let y0 = 0; y0 < H; y0++)
          for (let x0 = 0; x0 < W; x0++)
            for (let nt = 1; nt <= T - t0; nt++)
              for (let ny = 1; ny <= H - y0; ny++)
                for (let nx = 1; nx <= W - x0; nx++) {
                  const expected: number[] = [];
                  for (let i = t0; i < t0 + nt; i++)
                    for (let j = y0; j < y0 + ny; j++)
                      for (let k = x0; k < x0 + nx; k++) expected.push(whole[(i * H + j) * W + k]!);
                  expect([...(await t.read([t0, y0, x0], [nt, ny, nx]))]).toEqual(expected);
                  boxes++;
                }
      expect(boxes).toBe(3 * 6 * 10);
      expect(await t.read([0, 0, 0], [0, 3, 4])).toHaveLength(0);
    });
  });

  test("a box outside the shape is refused, not clamped", async () => {
    await using(fixture(file), async ({ variables }) => {
      const t = variables.get("t")!;
      await expect(t.read([0, 0, 0], [3, 3, 4])).rejects.toThrow(
        'hyperslab start [0,0,0] count [3,3,4] is outside variable "t" of shape [2,3,4]',
      );
      await expect(t.read([-1, 0, 0], [1, 1, 1])).rejects.toThrow(RangeError);
      await expect(t.read([0, 0], [1, 1])).rejects.toThrow(RangeError);
    });
  });

  test("text is not numbers and numbers are not text", async () => {
    await using(fixture(file), async ({ variables }) => {
      expect((await error(variables.get("station")!.readUnpacked())).message).toContain(
        "holds text, not numbers",
      );
      expect((await error(variables.get("t")!.readText())).message).toContain("holds numbers, not text");
    });
  });

  test("cut off anywhere, it is an error that says so", async () => {
    const bytes = readFileSync(fixture(file));
    // The last variable ends without padding, so the last byte counts.
    for (const length of [1, 4, 9, 100, 600, bytes.length - 40, bytes.length - 1]) {
      const path = save(`cut-${file}`, bytes.subarray(0, length));
      expect((await error(openDataset(path))).message, `${length} bytes`).toMatch(
        /truncated|no known|unknown version/,
      );
    }
    const path = save(`cut-${file}`, bytes.subarray(0, bytes.length - 5));
    const { message, hint } = await error(openDataset(path));
    expect(message).toBe(
      `${path} is truncated: its header promises ${bytes.length} bytes, the file has ${bytes.length - 5}; 5 bytes are missing`,
    );
    expect(hint).toContain("fetch or write it again");
  });
});

// netcdfjs reads CDF-1 and CDF-2 only.
test.each(["weather-cdf1.nc", "weather-cdf2.nc"])("%s agrees with netcdfjs", async (file) => {
  const other = new NetCDFReader(readFileSync(fixture(file)));
  await using(fixture(file), async ({ variables }) => {
    const numeric = [...variables.values()].filter((variable) => variable.dtype !== "char");
    expect(numeric.map((variable) => variable.name)).toHaveLength(8);
    for (const variable of numeric) {
      const numbers = [other.getDataVariable(variable.name)].flat(Infinity) as number[];
      // netcdfjs takes bytes as unsigned; NetCDF's NC_BYTE is signed.
      const theirs = variable.dtype === "int8" ? [...Int8Array.from(numbers)] : numbers;
      expect([...(await variable.read())], variable.name).toEqual(theirs);
    }
  });
});

test("a lone record variable of shorts is not padded; two are", async () => {
  const values = Buffer.alloc(2 * 3 * 2);
  for (let i = 0; i < 6; i++) values.writeInt16BE(i + 1, 2 * i);
  const size = header(1, 2, [["a", 3, 0]]).length;
  const alone = save("alone.nc", Buffer.concat([header(1, 2, [["a", 3, size]]), values]));
  await using(alone, async ({ variables }) => {
    expect(await variables.get("a")!.read()).toEqual(Int16Array.of(1, 2, 3, 4, 5, 6));
    expect(await variables.get("a")!.read([1, 1], [1, 2])).toEqual(Int16Array.of(5, 6));
  });
  const two = header(1, 2, [
    ["a", 3, 0],
    ["b", 3, 0],
  ]).length;
  const body = Buffer.alloc(32);
  for (const [record, variable] of [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ] as const)
    for (let x = 0; x < 3; x++)
      body.writeInt16BE(100 * variable + 10 * record + x, 16 * record + 8 * variable + 2 * x);
  const both = save(
    "both.nc",
    Buffer.concat([
      header(1, 2, [
        ["a", 3, two],
        ["b", 3, two + 8],
      ]),
      body,
    ]),
  );
  await using(both, async ({ variables }) => {
    expect(await variables.get("b")!.read()).toEqual(Int16Array.of(100, 101, 102, 110, 111, 112));
  });
});

test("a streamed file has as many records as fit", async () => {
  const size = header(1, 0, [["a", 4, 0]]).length;
  const body = Buffer.alloc(3 * 12 + 5);
  for (let i = 0; i < 9; i++) body.writeInt32BE(i, 4 * i);
  const path = save("streaming.nc", Buffer.concat([header(1, 0xffffffff, [["a", 4, size]]), body]));
  await using(path, async ({ dimensions, variables }) => {
    expect(dimensions.get("time")).toBe(3);
    expect(await variables.get("a")!.read([2, 0], [1, 3])).toEqual(Int32Array.of(6, 7, 8));
  });
});

test("a header that claims what no file holds is refused before memory is", async () => {
  const bytes = readFileSync(fixture("weather-cdf1.nc"));
  const damage = (at: number, value: number): Promise<ClimaxError> => {
    const copy = Buffer.from(bytes);
    copy.writeUInt32BE(value, at);
    return error(openDataset(save("damaged.nc", copy)));
  };
  // Byte 12 counts the dimensions, byte 16 the letters of the first name, byte 4 the records.
  expect((await damage(12, 0x7fffffff)).message).toContain("claims 2147483647 dimensions in 1116 bytes");
  expect((await damage(16, 0xfffffff0)).message).toContain("claims 4294967280 bytes of a name in 1116 bytes");
  expect((await damage(4, 1000)).message).toMatch(
    /is truncated: its header promises \d+ bytes, the file has 1116/,
  );
  expect((await damage(8, 77)).message).toContain("should begin with tag 10, found 77");
});
