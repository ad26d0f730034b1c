// Zarr stores as Zarr's own writers make them (test/fixtures/zarr/make.py and make.mjs), in a folder, and a real one.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { openArchive } from "../../src/data/archive.ts";
import { openDataset } from "../../src/data/open.ts";
import { ClimaxError } from "../../src/errors.ts";

const fixtures = "test/fixtures/zarr";
const scratch = mkdtempSync(join(tmpdir(), "climax-zarr-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** The numbers of every field, by their row-major index. */
const [T, Y, X] = [3, 24, 36];
const numbers = Array.from({ length: T * Y * X }, (_, i) => (Math.floor(i / 3) * 7) % 31);
const { NaN: missing } = Number;

async function refusal(path: string, variable?: string): Promise<ClimaxError> {
  const work = async () => {
    const dataset = await openDataset(path);
    if (variable) await dataset.variables.get(variable)!.readUnpacked();
  };
  const caught = await work().catch((error: unknown) => error);
  expect(caught).toBeInstanceOf(ClimaxError);
  expect((caught as ClimaxError).kind).toBe("data");
  return caught as ClimaxError;
}

/** A copy of a fixture that may be broken: all of it, or its metadata and some arrays. */
function copy(name: "v2" | "v3", arrays?: string[]): string {
  const path = join(mkdtempSync(join(scratch, "store-")), `${name}.zarr`);
  const source = join(fixtures, `${name}.zarr`);
  for (const part of arrays ? [name === "v2" ? ".zmetadata" : "zarr.json", ...arrays] : [""]) {
    cpSync(join(source, part), join(path, part), { recursive: true });
  }
  return path;
}

type Json = Record<string, unknown>;
const load = (path: string) => JSON.parse(readFileSync(path, "utf8")) as Json;
const save = (path: string, json: unknown) => writeFileSync(path, JSON.stringify(json));

/** A copy of v2.zarr with one array, whose metadata are changed where they are consolidated. */
function edited(name: string, change: (array: Json, attributes: Json) => void): string {
  const path = copy("v2", [name]);
  const consolidated = readFileSync(join(path, ".zmetadata"), "utf8").replaceAll(":NaN", ':"NaN"');
  const json = JSON.parse(consolidated) as { metadata: Record<string, Json> };
  change(json.metadata[`${name}/.zarray`]!, json.metadata[`${name}/.zattrs`]!);
  save(join(path, ".zmetadata"), json);
  return path;
}

describe("Zarr 2", () => {
  test.each([
    "blosc_lz4",
    "blosc_lz4hc_blocks",
    "blosc_zstd_bits",
    "blosc_zlib_plain",
    "blosc_stored",
    "blosc_blosclz",
    "zstd",
    "lz4",
    "gzip",
    "zlib",
    "fortran",
    "nested",
    "big_f4",
    "big_f2",
    "float16",
    "shuffle",
    "scaled",
  ])("%s is read bit for bit", async (name) => {
    const dataset = await openDataset(`${fixtures}/v2.zarr`);
    const variable = dataset.variables.get(name)!;
    expect(variable.dimensions).toEqual(["time", "latitude", "longitude"]);
    expect(variable.chunks).toEqual([2, 16, 36]);
    expect(variable.dtype).toBe(name.endsWith("2") || name.endsWith("16") ? "float16" : "float32");
    expect(await variable.read()).toEqual(Float32Array.from(numbers, (n) => n / 2));
    await dataset.close();
  });

  test.each<[string, string, (values: number[]) => object]>([
    ["blosc_bits_i2", "int16", (values) => Int16Array.from(values)],
    ["blosc_bits_u1", "uint8", (values) => Uint8Array.from(values)],
    ["blosc_bits_odd", "int16", () => Int16Array.from({ length: 1001 }, (_, i) => Math.floor(i / 9))],
    ["delta", "int32", (values) => Int32Array.from(values)],
    ["int64", "int64", (values) => Float64Array.from(values)],
    ["uint8", "uint8", (values) => Uint8Array.from(values)],
    ["mask", "uint8", (values) => Uint8Array.from(values, (n) => Number(n > 0))],
    ["blosc_zstd_f8", "float64", (values) => Float64Array.from(values, (n) => n / 2)],
  ])("%s is %s", async (name, dtype, expected) => {
    const dataset = await openDataset(`${fixtures}/v2.zarr`);
    expect(dataset.variables.get(name)!.dtype).toBe(dtype);
    expect(await dataset.variables.get(name)!.read()).toEqual(expected(numbers));
    await dataset.close();
  });

  test("a box across chunks is cut out of them, at edges too", async () => {
    const dataset = await openDataset(`${fixtures}/v2.zarr`);
    for (const name of ["blosc_lz4", "fortran"]) {
      const box = await dataset.variables.get(name)!.read([1, 14, 5], [2, 10, 3]);
      const expected = Float32Array.from({ length: 60 }, (_, i) => {
        const [t, y, x] = [1 + Math.floor(i / 30), 14 + (Math.floor(i / 3) % 10), 5 + (i % 3)];
        return numbers[(t * Y + y) * X + x]! / 2;
      });
      expect(box).toEqual(expected);
      expect(await dataset.variables.get(name)!.read([0, 0, 0], [1, 0, 3])).toEqual(new Float32Array(0));
      const outside = dataset.variables.get(name)!.read([0, 0, 0], [4, 1, 1]);
      await expect(outside).rejects.toThrow(RangeError);
    }
    await dataset.close();
  });

  test("what callers do to their numbers does not reach the kept chunks", async () => {
    const dataset = await openDataset(`${fixtures}/v2.zarr`);
    const first = await dataset.variables.get("zlib")!.readUnpacked();
    first.fill(7);
    expect((await dataset.variables.get("zlib")!.readUnpacked())[4]).toBe(3.5);
    await dataset.close();
  });

  test("packed numbers, chunks that were never written and fill values", async () => {
    const dataset = await openDataset(`${fixtures}/v2.zarr`);
    const packed = dataset.variables.get("packed")!;
    expect(packed.attributes.get("_FillValue")).toBe(30); // what xarray keeps in fill_value
    expect(packed.attributes.get("missing_value")).toBeNaN(); // bare in the JSON, as Python writes it
    expect(await packed.readUnpacked()).toEqual(
      Float64Array.from(numbers, (n) => (n === 30 ? missing : n * 0.25 + 200)),
    );
    const inHole = (i: number) => Math.floor(i / X / Y) === 2 && Math.floor(i / X) % Y >= 16;
    expect(await dataset.variables.get("sparse")!.readUnpacked()).toEqual(
      Float32Array.from(numbers, (n, i) => (inHole(i) ? missing : n / 2)),
    );
    // A fill of zero, Zarr's default, fills but does not hide the zeros there are.
    const inFirst = (i: number) => Math.floor(i / X / Y) < 2 && Math.floor(i / X) % Y < 16;
    expect(await dataset.variables.get("zeros")!.readUnpacked()).toEqual(
      Float32Array.from(numbers, (n, i) => (inFirst(i) ? 0 : n / 2)),
    );
    expect(await dataset.variables.get("time")!.readUnpacked()).toEqual(Float64Array.of(0, 6, 12));
    await dataset.close();
  });

  test("dates, spans, texts, a scalar, an array without names, and what is no number", async () => {
    const dataset = await openDataset(`${fixtures}/v2.zarr`);
    const { variables } = dataset;
    expect(dataset.format).toBe("Zarr 2");
    expect(dataset.attributes.get("title")).toBe("codecs");
    const date = variables.get("date")!;
    expect(date.attributes.get("units")).toBe("microseconds since 1970-01-01");
    expect(Array.from(await date.readUnpacked())).toEqual([1514764800000000, 1514786400123456.8, missing]);
    expect(variables.get("lead")!.attributes.get("units")).toBe("hours");
    expect(await variables.get("lead")!.readUnpacked()).toEqual(Float64Array.of(0, 6, 12));
    for (const [name, texts] of [
      ["name", ["Zürich", "", "Ulaanbaatar"]],
      ["code", ["ZRH", "", "ULN"]],
      ["story", ["Föhn", "", "dzud"]],
    ] as const) {
      expect(variables.get(name)!.dtype).toBe("string");
      expect(await variables.get(name)!.readText()).toEqual(texts);
      await expect(variables.get(name)!.read()).rejects.toThrow(/variable "\w+" holds text/);
    }
    await expect(variables.get("zlib")!.readText()).rejects.toThrow(/"zlib" holds numbers, not text/);
    expect(Array.from(await variables.get("scalar")!.readUnpacked())).toEqual([42]);
    expect(variables.get("bare")!.dimensions).toEqual(["phony_dim_4"]);
    expect(variables.get("pair")!.dtype).toBe("other");
    await expect(variables.get("pair")!.read()).rejects.toThrow(/"pair" cannot be read: its type/);
    await dataset.close();
  });

  test("without consolidated metadata its folder is listed, with the same result", async () => {
    const path = copy("v2");
    rmSync(join(path, ".zmetadata"));
    const [listed, whole] = [await openDataset(path), await openDataset(`${fixtures}/v2.zarr`)];
    expect([...listed.variables.keys()].sort()).toEqual([...whole.variables.keys()].sort());
    for (const [name, { attributes, shape, dtype, dimensions }] of whole.variables) {
      expect(listed.variables.get(name)).toMatchObject({ attributes, shape, dtype, dimensions });
    }
    expect(listed.dimensions).toEqual(whole.dimensions);
    expect((await listed.variables.get("zstd")!.read())[4]).toBe(3.5);
  });

  test("a codec that nobody brings is named, with those there are", async () => {
    const error = await refusal(`${fixtures}/v2.zarr`, "bz2");
    expect(error.message).toMatch(/"bz2" is compressed by numcodecs.bz2, which is not read; read are blosc/);
    expect(error.hint).toMatch(/write it anew/);
  });
});

describe("Zarr 3", () => {
  test.each(["blosc", "zstd", "big_crc", "transposed", "dots"])("%s is read bit for bit", async (name) => {
    const dataset = await openDataset(`${fixtures}/v3.zarr`);
    expect(dataset.format).toBe("Zarr 3");
    const variable = dataset.variables.get(name)!;
    expect(variable.dimensions).toEqual(["time", "latitude", "longitude"]);
    expect(await variable.read()).toEqual(Float32Array.from(numbers, (n) => n / 2));
    await dataset.close();
  });

  test.each(["sharded_end", "sharded_start"])(
    "%s: chunks of shards, and one that is not there",
    async (name) => {
      const dataset = await openDataset(`${fixtures}/v3.zarr`);
      const variable = dataset.variables.get(name)!;
      expect(variable.chunks).toEqual([1, 8, 36]);
      const inHole = (i: number) => Math.floor(i / X / Y) === 2 && Math.floor(i / X / 8) % 3 === 1;
      expect(await variable.read()).toEqual(Float32Array.from(numbers, (n, i) => (inHole(i) ? 0 : n / 2)));
      await dataset.close();
    },
  );

  test("fill values and attributes", async () => {
    const dataset = await openDataset(`${fixtures}/v3.zarr`);
    const inHole = (i: number) => Math.floor(i / X / Y) === 2 && Math.floor(i / X) % Y >= 16;
    expect(await dataset.variables.get("holes")!.readUnpacked()).toEqual(
      Float32Array.from(numbers, (n, i) => (inHole(i) ? missing : n / 2)),
    );
    expect(await dataset.variables.get("masked")!.readUnpacked()).toEqual(
      Float32Array.from(numbers, (n) => (n === 30 ? missing : n / 2)),
    );
    expect([...dataset.attributes]).toEqual([
      ["title", "version 3"],
      ["levels", [1, 2]],
      ["nested", '{"a":true}'],
    ]);
    await dataset.close();
  });

  test("metadata consolidated in the root's, and texts, halves and dates of version 3", async () => {
    const path = copy("v3");
    const root = load(join(path, "zarr.json"));
    const array = (data_type: unknown, shape: number[], codecs: unknown[], fill_value: unknown): Json => ({
      ...load(join(path, "time/zarr.json")),
      data_type,
      shape,
      chunk_grid: { name: "regular", configuration: { chunk_shape: shape } },
      codecs,
      fill_value,
      dimension_names: [null],
      attributes: {},
    });
    const bytes = { name: "bytes", configuration: { endian: "little" } };
    const time = { name: "numpy.datetime64", configuration: { unit: "D", scale_factor: 1 } };
    const utf32 = { name: "fixed_length_utf32", configuration: { length_bytes: 8 } };
    const metadata: Record<string, Json> = {
      blosc: load(join(path, "blosc/zarr.json")),
      halves: array("float16", [2], [bytes], "0x3e00"),
      days: array(time, [2], [bytes], "NaT"),
      flags: array("bool", [2], [bytes], true),
      words: array("string", [2], [{ name: "vlen-utf8" }], ""),
      letters: array(utf32, [2], [bytes], ""),
      "group/deep": array("bool", [2], [bytes], true),
    };
    save(join(path, "zarr.json"), { ...root, consolidated_metadata: { kind: "inline", metadata } });
    const put = (name: string, content: Uint8Array) => {
      mkdirSync(join(path, name, "c"), { recursive: true });
      writeFileSync(join(path, name, "c/0"), content);
    };
    put("words", Buffer.from("\x02\0\0\0\x03\0\0\0foo\0\0\0\0"));
    put("letters", Buffer.from(Uint32Array.of(0xe5, 0x62, 0x63, 0).buffer)); // å, b; c and a filler
    put("days", Buffer.from(BigInt64Array.of(17532n, -(2n ** 63n)).buffer));
    const { variables } = await openDataset(path);
    expect([...variables.keys()].sort()).toEqual(["blosc", "days", "flags", "halves", "letters", "words"]);
    expect(Array.from(await variables.get("halves")!.read())).toEqual([1.5, 1.5]); // absent: the fill, by its bits
    expect(Array.from(await variables.get("flags")!.read())).toEqual([1, 1]);
    expect(variables.get("days")!.attributes.get("units")).toBe("days since 1970-01-01");
    expect(Array.from(await variables.get("days")!.readUnpacked())).toEqual([17532, missing]);
    expect(await variables.get("words")!.readText()).toEqual(["foo", ""]);
    expect(await variables.get("letters")!.readText()).toEqual(["åb", "c"]);
    expect((await variables.get("blosc")!.read())[4]).toBe(3.5);
  });
});

describe("what cannot be a dataset, or should not be believed", () => {
  test("an array alone, groups only, nothing at all", async () => {
    const bare = await refusal(`${fixtures}/v2.zarr/zlib`);
    expect(bare.message).toMatch(/v2.zarr\/zlib is one array of a Zarr store, without its coordinates/);
    expect(bare.hint).toBe("name the store: test/fixtures/zarr/v2.zarr");
    expect((await refusal(`${fixtures}/v3.zarr/blosc/`)).hint).toBe(
      "name the store: test/fixtures/zarr/v3.zarr",
    );
    const path = join(scratch, "groups.zarr");
    mkdirSync(join(path, "inner"), { recursive: true });
    save(join(path, ".zgroup"), { zarr_format: 2 });
    expect((await refusal(path)).message).toMatch(/has no arrays in its root group$/);
    save(join(path, "inner/.zgroup"), { zarr_format: 2 });
    const groups = await refusal(path);
    expect(groups.message).toMatch(/has no arrays in its root group, only the groups inner$/);
    expect(groups.hint).toBe(`name one: ${path}/inner`);
    // A group inside is a dataset of its own.
    const inner = await openDataset(`${fixtures}/v2.zarr/deeper`);
    expect([...inner.variables.keys()]).toEqual(["x"]);
  });

  test.each<[string, (array: Json, attributes: Json) => void, RegExp]>([
    [
      "a chunk of a petabyte",
      (json) => (json.chunks = [2 ** 25, 2 ** 25, 1]),
      /its chunks of \[33554432,33554432,1\] float32 are larger than 1 GiB/,
    ],
    [
      "a shape of a petabyte",
      (json, attributes) => {
        json.shape = [2 ** 40, 24, 36];
        delete attributes._ARRAY_DIMENSIONS;
      },
      /bytes in \d+ chunks of "zlib" were asked for at once; at most 2147483648 in 131072 are read/,
    ],
    [
      "a million chunks",
      (json, attributes) => {
        Object.assign(json, { shape: [2 ** 20, 16, 1], chunks: [1, 16, 1] });
        delete attributes._ARRAY_DIMENSIONS;
      },
      /in 1048576 chunks of "zlib" were asked for/,
    ],
    [
      "a chunk of less than it holds",
      (json) => (json.chunks = [1, 16, 36]),
      /chunk \d.\d.0 of "zlib" is damaged: it decodes to more than the 2368 bytes expected/,
    ],
    [
      "a chunk of more than it holds",
      (json) => (json.chunks = [3, 16, 36]),
      /it decodes to 1152 elements; wanted 1728/,
    ],
    [
      "another compressor",
      (json) => (json.compressor = { id: "gzip" }),
      /chunk 0.0.0 of "zlib" is damaged: its gzip data are damaged/,
    ],
    ["blosc", (json) => (json.compressor = { id: "blosc" }), /damaged: its blosc format 120 is not known/],
    ["zstd", (json) => (json.compressor = { id: "zstd" }), /damaged: it is not zstd data/],
    [
      "lz4",
      (json) => (json.compressor = { id: "lz4" }),
      /damaged: it claims \d+ bytes; at most 4672 were expected/,
    ],
    [
      "an unknown filter",
      (json) => (json.filters = [{ id: "magic" }]),
      /"zlib" is compressed by numcodecs.magic, which is not read/,
    ],
    [
      "no shape",
      (json) => delete json.shape,
      /the metadata of "zlib" cannot be understood: shape: Invalid input/,
    ],
    ["a negative shape", (json) => (json.shape = [-1, 24, 36]), /cannot be understood: shape.0: /],
    ["chunks of nothing", (json) => (json.chunks = [0, 16, 36]), /cannot be understood: chunks.0: /],
    ["another rank", (json) => (json.chunks = [16, 36]), /its shape is \[3,24,36\], its chunks \[16,36\]/],
    ["a longer axis", (json) => (json.shape = [4, 24, 36]), /"\w+" is \d long along "time", "\w+" is \d/],
    [
      "a separator that climbs",
      (json) => (json.dimension_separator = "/../"),
      /cannot be understood: dimension_separator: Invalid option/,
    ],
    ["a fill that is no number", (json) => (json.fill_value = "soup"), /its fill_value "soup" is no float32/],
    ["another version", (json) => (json.zarr_format = 4), /zarr_format: Invalid input: expected 2/],
    ["a type that is none", (json) => (json.dtype = "<q9"), /"zlib" cannot be read: its type <q9 is neither/],
  ])("%s", async (_, change, message) => {
    expect((await refusal(edited("zlib", change), "zlib")).message).toMatch(message);
  });

  test.each<[string, (json: Json) => void, RegExp]>([
    [
      "shards that do not divide",
      (json) =>
        (json.codecs = [
          {
            name: "sharding_indexed",
            configuration: { chunk_shape: [2, 7, 36], codecs: [], index_codecs: [] },
          },
        ]),
      /its shards of \[2,16,36\] do not divide into chunks of \[2,7,36\]/,
    ],
    [
      "shards of too many",
      (json) =>
        Object.assign(json, {
          chunk_grid: { name: "regular", configuration: { chunk_shape: [2 ** 20, 2 ** 10, 36] } },
          codecs: [
            {
              name: "sharding_indexed",
              configuration: { chunk_shape: [1, 1, 36], codecs: [], index_codecs: [] },
            },
          ],
        }),
      /do not divide into chunks/,
    ],
    [
      "another grid",
      (json) => (json.chunk_grid = { name: "rectilinear", configuration: {} }),
      /its chunk_grid "rectilinear" is not known/,
    ],
    [
      "another key",
      (json) => (json.chunk_key_encoding = { name: "default", configuration: { separator: ".." } }),
      /its chunk_key_encoding .* is not known/,
    ],
    [
      "an extension",
      (json) => (json.secret = { must_understand: true }),
      /its extension "secret" is not known/,
    ],
    ["a transformer", (json) => (json.storage_transformers = [{}]), /storage transformers are not known/],
    [
      "a wrong sum",
      (json) => (json.codecs as Json[]).push({ name: "crc32c" }),
      /does not agree with its checksum \(CRC-32C\)/,
    ],
  ])("version 3: %s", async (_, change, message) => {
    const path = copy("v3", ["zstd"]);
    const json = load(join(path, "zstd/zarr.json"));
    change(json);
    save(join(path, "zstd/zarr.json"), json);
    expect((await refusal(path, "zstd")).message).toMatch(message);
  });

  test("JSON that is none, and JSON of something else", async () => {
    for (const text of ["{", "[]", '"x"', "{}", '{"metadata": 3}', "[".repeat(100_000), "<html>"]) {
      const path = copy("v2", []);
      writeFileSync(join(path, ".zmetadata"), text);
      expect((await refusal(path)).message).toMatch(/.zmetadata cannot be understood: /);
    }
    const deep = `{"x": ${"[".repeat(50_000)}${"]".repeat(50_000)}}`;
    for (const owner of ["", "zlib/"]) {
      const path = copy("v2", []);
      const text = readFileSync(join(path, ".zmetadata"), "utf8");
      writeFileSync(
        join(path, ".zmetadata"),
        text.replace(new RegExp(`"${owner}\\.zattrs":\\{[^}]*\\}`), `"${owner}.zattrs":${deep}`),
      );
      expect((await refusal(path)).message).toMatch(/cannot be understood: Maximum call stack size exceeded/);
    }
  });

  test.each(["../../secret", "/etc", "a/../../b", "..", ".", "", "a\\b", "a\0b"])(
    "an array named %j is refused before anything of that name is read",
    async (name) => {
      const path = copy("v2", []);
      const json = JSON.parse(readFileSync(join(path, ".zmetadata"), "utf8").replaceAll(":NaN", ":0")) as {
        metadata: Record<string, Json>;
      };
      json.metadata[`${name}/.zarray`] = json.metadata["zlib/.zarray"]!;
      save(join(path, ".zmetadata"), json);
      const error = await refusal(path);
      expect(error.message).toContain(
        `name an array ${JSON.stringify(name)}, which is no name inside a store`,
      );
    },
  );

  test("names that mean something in addresses are only names", async () => {
    const path = copy("v2", ["zlib", ".zgroup"]);
    cpSync(join(path, "zlib"), join(path, "a?b#c %2e%2e"), { recursive: true });
    rmSync(join(path, ".zmetadata"));
    const dataset = await openDataset(path);
    expect((await dataset.variables.get("a?b#c %2e%2e")!.read())[4]).toBe(3.5);
  });

  test("symbolic links may lead about in the store, not out of it", async () => {
    const path = copy("v2", ["zlib", "gzip/0.0.0"]);
    rmSync(join(path, "zlib/0.0.0"));
    symlinkSync("../gzip/0.0.0", join(path, "zlib/0.0.0"));
    expect((await refusal(path, "zlib")).message).toMatch(/damaged: its zlib data are damaged/); // gzip's bytes came
    rmSync(join(path, "zlib/0.0.0"));
    writeFileSync(join(scratch, "secret"), "x");
    symlinkSync(join(scratch, "secret"), join(path, "zlib/0.0.0"));
    expect((await refusal(path, "zlib")).message).toMatch(/zlib\/0.0.0 is a symbolic link out of the store/);
    rmSync(join(path, "zlib"), { recursive: true });
    symlinkSync(join(process.cwd(), fixtures, "v2.zarr/zlib"), join(path, "zlib"));
    expect((await refusal(path, "zlib")).message).toMatch(/zlib\/0.0.0 is a symbolic link out of the store/);
  });

  /** A zstd frame that does not say how long its content is; a block is [kind, size, data]. RFC 8878, 3.1.1. */
  const zstdFrame = (blocks: [kind: number, size: number, data: Uint8Array][]): Buffer =>
    Buffer.concat([
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x58]),
      ...blocks.flatMap(([kind, size, data], i) => {
        const header = Buffer.alloc(3);
        header.writeUIntLE(Number(i === blocks.length - 1) | (kind << 1) | (size << 3), 0, 3);
        return [header, data];
      }),
    ]);

  test.each<[string, string, Buffer, RegExp]>([
    [
      "gzip of 50 MB",
      "gzip",
      gzipSync(Buffer.alloc(50_000_000)),
      /decodes to more than the 4672 bytes expected/,
    ],
    [
      "zstd of 1.3 GB",
      "zstd",
      zstdFrame(Array(10_000).fill([1, 131_072, Buffer.alloc(1)])),
      /claims 1310588928 bytes/,
    ],
    ["zstd cut off", "zstd", zstdFrame([[0, 4608, Buffer.alloc(20)]]), /its zstd data are (cut off|damaged)/],
    ["LZ4 of 4 GB", "lz4", Buffer.from([255, 255, 255, 255, 0]), /claims 4294967295 bytes; at most 4672/],
    ["LZ4 of nothing", "lz4", Buffer.from([0, 18, 0, 0]), /its LZ4 data are damaged/],
    [
      "blosc of 4 GB",
      "blosc",
      Buffer.from([2, 1, 33, 4, 255, 255, 255, 255, 0, 16, 0, 0, 16, 0, 0, 0]),
      /claims 4294967295 bytes; at most 4672/,
    ],
    [
      "blosc of blocks that are not there",
      "blosc",
      Buffer.from([2, 1, 33, 4, 0, 18, 0, 0, 1, 0, 0, 0, 16, 0, 0, 0]),
      /too short for its 4608 blocks/,
    ],
    [
      "blosc with snappy inside",
      "blosc",
      Buffer.from([2, 1, 65, 4, 0, 18, 0, 0, 0, 18, 0, 0, 16, 0, 0, 0]),
      /snappy/,
    ],
  ])("%s is refused before it is unpacked", async (_, id, chunk, message) => {
    const path = edited("zlib", (json) => (json.compressor = { id }));
    writeFileSync(join(path, "zlib/0.0.0"), chunk);
    const dataset = await openDataset(path);
    const read = dataset.variables.get("zlib")!.read([0, 0, 0], [1, 1, 1]);
    await expect(read).rejects.toThrow(message);
    await expect(read).rejects.toThrow(/chunk 0.0.0 of "zlib" is damaged/);
  });

  test("zstd that does not say its length is read all the same", async () => {
    const path = edited("zlib", (json) => (json.compressor = { id: "zstd" }));
    const raw = Buffer.from(Float32Array.from({ length: 1152 }, (_, i) => i).buffer);
    const halves = [raw.subarray(0, 2000), raw.subarray(2000)];
    writeFileSync(join(path, "zlib/0.0.0"), zstdFrame(halves.map((half) => [0, half.length, half])));
    const dataset = await openDataset(path);
    const row = await dataset.variables.get("zlib")!.read([1, 15, 30], [1, 1, 6]);
    expect(Array.from(row)).toEqual([1146, 1147, 1148, 1149, 1150, 1151]);
  });

  test("a chunk that is cut off, a folder, or much too long", async () => {
    const path = copy("v2", ["zlib"]);
    const chunk = join(path, "zlib/0.0.0");
    writeFileSync(chunk, readFileSync(chunk).subarray(0, 100));
    const error = await refusal(path, "zlib");
    expect(error.message).toBe(`${path}: chunk 0.0.0 of "zlib" is damaged: its zlib data are damaged`);
    expect(error.hint).toMatch(/copy or fetch that chunk again/);
    writeFileSync(chunk, Buffer.alloc(2_000_000));
    expect((await refusal(path, "zlib")).message).toMatch(
      /zlib\/0.0.0 has 2000000 bytes; at most \d+ were expected/,
    );
    rmSync(chunk);
    mkdirSync(chunk);
    expect((await refusal(path, "zlib")).message).toMatch(/zlib\/0.0.0 is not a regular file/);
  });
});

const real = "../shared/data/zarr-earthkit/test_zarr";
describe.skipIf(!existsSync(real))(
  "ERA5 as earthkit wrote it (skipped where ../shared/data is absent)",
  () => {
    test("values that numcodecs and NumPy give, and an archive of it", async () => {
      const dataset = await openDataset(real);
      expect(Object.fromEntries(dataset.dimensions)).toEqual({
        time: 1,
        level: 2,
        latitude: 181,
        longitude: 360,
      });
      for (const [name, first, middle, last, mean] of [
        ["t", 228.0458749235554, 293.39198520114326, 259.37994577069253, 263.01570014056796],
        ["z", 48127.11627967971, 14608.998707712148, 12662.039618398365, 33657.38715438177],
      ] as const) {
        const values = await dataset.variables.get(name)!.readUnpacked();
        expect([values[0], values[181 * 360 + 90 * 360 + 180], values.at(-1)]).toEqual([first, middle, last]);
        const sum = Array.from(values).reduce((total, value) => total + (value - mean), 0);
        expect(Math.abs(sum / values.length / mean)).toBeLessThan(1e-12);
      }
      await dataset.close();
      const archive = await openArchive([real]);
      expect([...archive.variables.keys()].sort()).toEqual([
        "geopotential_500",
        "geopotential_850",
        "temperature_500",
        "temperature_850",
      ]);
      const field = await archive.variables.get("temperature_850")!.read(0);
      expect(field.length).toBe(181 * 360);
      expect(field.every((kelvin) => kelvin > 220 && kelvin < 305)).toBe(true);
      await archive.close();
    });
  },
);
