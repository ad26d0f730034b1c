// NetCDF-4 and HDF5: the same weather as in the classic files, NetCDF-4's own features, chunks, filters, damage.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { ClimaxError } from "../../src/errors.ts";
import type { Dataset } from "../../src/files/dataset.ts";
import { hdf5Library } from "../../src/files/hdf5library.ts";
import { createVariable, type OpenFile, type StoredLayout, writeBox } from "../../src/files/hdf5write.ts";

const fixture = (name: string): string => `test/fixtures/netcdf/${name}`;
const folder = mkdtempSync(join(tmpdir(), "climax-hdf5-"));
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

/** A plain HDF5 file, with no scales. */
async function plain(name: string, make: (file: OpenFile) => void): Promise<string> {
  const path = resolve(folder, name);
  const library = await hdf5Library();
  const id = library.call((h5) => h5.open(path, h5.H5F_ACC_TRUNC, true, -1, -1));
  make({ library, id });
  library.call((h5) => h5.close_file(id));
  return path;
}

const floats = (shape: number[], more: Partial<StoredLayout> = {}): StoredLayout => ({
  dtype: "float32",
  shape,
  growing: shape.map(() => false),
  chunk: undefined,
  deflate: 0,
  ...more,
});

test("the NetCDF-4 weather is the classic weather", async () => {
  await using(fixture("weather-netcdf4.nc"), async (ours) => {
    await using(fixture("weather-cdf1.nc"), async (classic) => {
      expect(ours.format).toBe("NetCDF-4");
      expect(ours.dimensions).toEqual(classic.dimensions);
      expect(ours.unlimited).toEqual(classic.unlimited);
      expect(ours.attributes).toEqual(classic.attributes);
      expect([...ours.variables.keys()]).toEqual([...classic.variables.keys()]);
      for (const [name, variable] of ours.variables) {
        const other = classic.variables.get(name)!;
        expect([variable.dimensions, variable.shape, variable.dtype], name).toEqual([
          other.dimensions,
          other.shape,
          other.dtype,
        ]);
        expect(variable.attributes, name).toEqual(other.attributes);
        expect(await variable.read(), name).toEqual(await other.read());
        if (variable.dtype === "char") expect(await variable.readText()).toEqual(await other.readText());
        else expect(await variable.readUnpacked(), name).toEqual(await other.readUnpacked());
      }
    });
  });
});

describe("features.cdl", () => {
  const features = fixture("features-netcdf4.nc");

  test("types, text and attributes", async () => {
    await using(features, async ({ variables, attributes, dimensions, unlimited }) => {
      expect([...dimensions]).toEqual([
        ["time", 3],
        ["lat", 5],
        ["lon", 6],
        ["letters", 3],
      ]);
      expect([...unlimited]).toEqual(["time"]);
      expect(Object.fromEntries(attributes)).toEqual({ count: 2 ** 40, several: "one, zwölf", nothing: "" });
      expect(variables.get("time")!.dtype).toBe("int64");
      expect(await variables.get("time")!.read()).toEqual(Float64Array.of(1, 2, 3));
      expect(await variables.get("big")!.read()).toEqual(Uint16Array.of(1, 2, 3, 4, 65000));
      expect(await variables.get("bits")!.readUnpacked()).toEqual(Float32Array.of(0, 1, 2, 253, 254, 255));
      expect(await variables.get("answer")!.read()).toEqual(Int8Array.of(1, 0, 1, 0, 1, 1));
      expect(await variables.get("names")!.readText()).toEqual(["a", "bé", "", "dddd", "e"]);
      expect((await error(variables.get("names")!.read())).message).toContain('"names" holds text');
      expect((await error(variables.get("pairs")!.read())).message).toContain("a type that is not a number");
    });
  });

  test("a coordinate of several dimensions, and a variable that only shares a dimension's name", async () => {
    await using(features, async ({ variables }) => {
      expect(variables.get("lon")!.dimensions).toEqual(["lon", "letters"]);
      expect(await variables.get("lon")!.readText()).toEqual(["abc", "def", "ghi", "jkl", "mno", "pq"]);
      expect(variables.get("lat")!.dimensions).toEqual(["letters"]);
    });
  });

  test("a variable shorter than its unlimited dimension reads fill beyond its end", async () => {
    await using(features, async ({ variables }) => {
      const late = variables.get("late")!;
      expect(late.shape).toEqual([3]);
      expect(await late.read()).toEqual(Int16Array.of(5, -7, -7));
      expect(await late.readUnpacked([1], [2])).toEqual(Float32Array.of(Number.NaN, Number.NaN));
    });
  });

  test("every hyperslab of compressed chunks is the same part of the whole", async () => {
    await using(features, async ({ variables }) => {
      const chunky = variables.get("chunky")!;
      for (let y0 = 0; y0 < 5; y0++)
        for (let x0 = 0; x0 < 6; x0++)
          for (const t0 of [0, 1, 2])
            for (const nt of [1, 3 - t0])
              for (const ny of [1, 5 - y0])
                for (const nx of [1, 6 - x0]) {
                  const expected: number[] = [];
                  for (let t = t0; t < t0 + nt; t++)
                    for (let y = y0; y < y0 + ny; y++)
                      for (let x = x0; x < x0 + nx; x++) expected.push((t * 5 + y) * 6 + x);
                  expect([...(await chunky.read([t0, y0, x0], [nt, ny, nx]))]).toEqual(expected);
                }
    });
  });

  test("a box outside the shape is refused, not clamped", async () => {
    await using(features, async ({ variables }) => {
      await expect(variables.get("chunky")!.read([0, 0, 0], [4, 5, 6])).rejects.toThrow(RangeError);
    });
  });

  test("what a caller does to an array does not come back at the next read", async () => {
    await using(features, async ({ variables }) => {
      const chunky = variables.get("chunky")!;
      (await chunky.read([0, 0, 0], [1, 1, 6])).fill(-1);
      expect(await chunky.read([0, 0, 0], [1, 1, 6])).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5));
    });
  });
});

test("plain HDF5 gets phony dimensions; equal lengths share one, as in NetCDF-C", async () => {
  const path = await plain("plain.h5", (file) => {
    createVariable(file, "a", floats([3, 4, 4]), 7);
    createVariable(file, "b", floats([4]), 8);
  });
  await using(path, async ({ format, dimensions, variables }) => {
    expect(format).toBe("HDF5");
    expect([...dimensions]).toEqual([
      ["phony_dim_0", 3],
      ["phony_dim_1", 4],
      ["phony_dim_2", 4],
    ]);
    expect(variables.get("a")!.dimensions).toEqual(["phony_dim_0", "phony_dim_1", "phony_dim_2"]);
    expect(variables.get("b")!.dimensions).toEqual(["phony_dim_1"]);
    expect(await variables.get("b")!.read()).toEqual(Float32Array.of(8, 8, 8, 8));
  });
});

test("variables in groups only: the groups are named", async () => {
  const path = await plain("groups.h5", ({ library, id }) => {
    library.call((h5) => h5.create_group(id, "/forecast", true));
    library.call((h5) => h5.create_group(id, "/analysis", true));
  });
  const { message, hint } = await error(openDataset(path));
  expect(message).toBe(`${path} has no variables in its root group, only the groups forecast, analysis`);
  expect(hint).toContain("ncks -g forecast");
});

test("a user block before the signature", async () => {
  const path = join(folder, "userblock.h5");
  writeFileSync(path, Buffer.concat([Buffer.alloc(512, "#"), readFileSync(fixture("weather-netcdf4.nc"))]));
  await using(path, async ({ variables }) => {
    expect(await variables.get("time")!.read()).toEqual(Float64Array.of(0, 6));
  });
});

// 32015 is zstd, 32001 blosc, 32004 lz4 (HDF5's registry of filters).
test.each([32015, 32001, 32004])("filter %i comes from the plug-ins", async (filter) => {
  const values = Float32Array.from({ length: 6000 }, (_, i) => i % 10);
  const path = await plain(`filter-${filter}.h5`, ({ library, id }) => {
    library.installPlugins();
    library.withMemory(values.byteLength, (pointer) =>
      library.call((h5) => {
        h5.HEAPU8.set(new Uint8Array(values.buffer), pointer);
        const metadata = {
          ...{ type: 1, size: 4, signed: false, vlen: false, littleEndian: true },
          ...{
            shape: [6000n],
            maxshape: [6000n],
            chunks: [1000n],
            compression: filter,
            compression_opts: [],
          },
        };
        return h5.create_dataset(id, "/v", BigInt(pointer), metadata as never);
      }),
    );
  });
  expect(readFileSync(path).length).toBeLessThan(values.byteLength);
  await using(path, async ({ variables }) => {
    expect(await variables.get("v")!.read()).toEqual(values);
    expect(await variables.get("v")!.read([995], [10])).toEqual(values.slice(995, 1005));
  });
});

test("a box larger than one call into the library comes together right", async () => {
  // 80 MB, stored as 20 chunks; a call takes 64 MiB.
  const length = 20_000_000;
  const path = await plain("large.h5", (file) => {
    createVariable(file, "v", floats([length], { chunk: [1_000_000], deflate: 1 }), 0);
    for (const at of [0, 16_777_215, 16_777_216, length - 1])
      writeBox(file, "v", [at], [1], Float32Array.of(at % 1000));
  });
  await using(path, async ({ variables }) => {
    const values = await variables.get("v")!.read();
    expect(values).toHaveLength(length);
    expect([0, 16_777_215, 16_777_216, length - 1].map((at) => values[at])).toEqual([0, 215, 216, 999]);
    expect((values as Float32Array).reduce((sum, n) => sum + n)).toBe(215 + 216 + 999);
  });
});

describe("damage", () => {
  const bytes = readFileSync(fixture("features-netcdf4.nc"));
  const save = (name: string, content: Buffer): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };

  test("a truncated file says how much is missing", async () => {
    const path = save("short.nc", bytes.subarray(0, bytes.length - 1000));
    expect((await error(openDataset(path))).message).toBe(
      `${path} is truncated: its header promises ${bytes.length} bytes, the file has ${bytes.length - 1000}; 1000 bytes are missing`,
    );
    for (const length of [8, 9, 48, 100, 2000]) {
      const cut = save("short.nc", bytes.subarray(0, length));
      expect((await error(openDataset(cut))).message).toMatch(/is truncated|is corrupt/);
    }
  });

  test("a damaged chunk is an error of its variable alone, and no number is made up", async () => {
    // The chunks of `chunky` end in a Fletcher-32 checksum. Find one by its zlib header (78 5e: level 2 to 5).
    const at = bytes.indexOf(Buffer.from([0x78, 0x5e]));
    expect(at).toBeGreaterThan(0);
    const copy = Buffer.from(bytes);
    copy[at + 12]! ^= 1;
    const path = save("chunk.nc", copy);
    await using(path, async ({ variables }) => {
      const { message } = await error(variables.get("chunky")!.read());
      expect(message).toContain(
        `${path} (${bytes.length} bytes) is corrupt: reading variable "chunky" failed`,
      );
      expect(message).toContain("filter returned failure during read");
      expect(await variables.get("big")!.read()).toEqual(Uint16Array.of(1, 2, 3, 4, 65000));
    });
    // And the same path, mended, is read anew.
    writeFileSync(path, bytes);
    await using(path, async ({ variables }) => {
      expect((await variables.get("chunky")!.read()).at(-1)).toBe(89);
    });
  });

  test("heap blocks on which HDF5 would loop for ever are refused", async () => {
    const heap = bytes.indexOf("GCOL");
    const copy = Buffer.from(bytes);
    // Object 1 follows the header of 16 bytes: index 0, length 0 is free space of no length.
    copy.fill(0, heap + 16, heap + 32);
    expect((await error(openDataset(save("heap.nc", copy)))).message).toContain("is corrupt");
  });

  test("references that lead nowhere are refused, and HDF5's messages are not lost after", async () => {
    // Found by flipping bits: a reference to a scale becomes an address beyond the file. HDF5 leaves its printing
    // of errors switched off when it meets it.
    const copy = Buffer.from(bytes);
    copy[2414] = 128;
    const path = save("reference.nc", copy);
    expect((await error(openDataset(path))).message).toMatch(
      /the scale of ".+" along its axis \d cannot be found/,
    );
    const bad = save("bad.nc", Buffer.concat([bytes.subarray(0, 48), Buffer.alloc(bytes.length - 48)]));
    expect((await error(openDataset(bad))).message).not.toContain("no reason");
  });

  test("after a trap the library starts anew and the next file opens", async () => {
    const library = await hdf5Library();
    const before = await openDataset(fixture("weather-netcdf4.nc"));
    expect(() =>
      library.call(() => {
        throw new Error("memory access out of bounds");
      }),
    ).toThrow("memory access out of bounds");
    expect(library.alive).toBe(false);
    expect((await error(before.variables.get("t")!.read())).message).toContain("had to be restarted");
    await before.close();
    await using(fixture("weather-netcdf4.nc"), async ({ variables }) => {
      expect(await variables.get("time")!.read()).toEqual(Float64Array.of(0, 6));
    });
  });
});
