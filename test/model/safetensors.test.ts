import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { openSafetensors, writeSafetensors } from "../../src/model/safetensors.ts";
import { peakMemory } from "../support/peakmemory.ts";
import { refusalOf } from "../support/refusal.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "climax-safetensors-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A file with this header and this many bytes of data. */
async function forged(header: unknown, data: Uint8Array, length?: bigint): Promise<string> {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  const path = join(folder, "forged.safetensors");
  await writeFile(path, bytes);
  return path;
}

const f32 = (start: number, end: number, shape = [(end - start) / 4]) => ({
  dtype: "F32",
  shape,
  data_offsets: [start, end],
});

async function readOne(path: string, name: string): Promise<Float32Array> {
  const file = await openSafetensors(path);
  try {
    return await file.read(name);
  } finally {
    await file.close();
  }
}

test("a file that is cut off while it is open is refused", async () => {
  const file = await openSafetensors(await forged({ a: f32(0, 8) }, new Uint8Array(8)));
  await truncate(file.path, 60);
  expect(await refusalOf(file.read("a"))).toContain("were there a moment ago");
  await file.close();
});

test("what is written is read again, with its shapes and metadata", async () => {
  const path = join(folder, "round.safetensors");
  const a = Float32Array.of(1, -2, 0.5, Math.PI, 1e-30, 3e38);
  await writeSafetensors(
    path,
    [
      { name: "blocks.0.a", shape: [2, 3], values: () => a },
      { name: "empty", shape: [0, 4], values: () => new Float32Array(0) },
      { name: "b", shape: [], values: async () => Float32Array.of(7) },
    ],
    { note: "Grüße" },
  );
  const file = await openSafetensors(path);
  expect([...file.tensors].map(([name, { shape }]) => [name, shape])).toEqual([
    ["blocks.0.a", [2, 3]],
    ["empty", [0, 4]],
    ["b", []],
  ]);
  expect(file.metadata.get("note")).toBe("Grüße");
  expect(await file.read("blocks.0.a")).toEqual(a);
  expect(await file.read("b")).toEqual(Float32Array.of(7));
  await expect(file.read("c")).rejects.toThrow('has no tensor "c"');
  await file.close();
  const bytes = await readFile(path);
  expect(bytes.readBigUInt64LE(0) % 8n).toBe(0n); // so that others can map the data in place
});

test("half precision, bfloat16 and double are read as f32", async () => {
  const data = new DataView(new ArrayBuffer(26));
  for (const [i, bits] of [0x3c00, 0xc248, 0x0001, 0x7c00].entries()) data.setUint16(2 * i, bits, true);
  data.setFloat64(8, -1.5, true);
  for (const [i, bits] of [0x3f80, 0xc049, 0x0000, 0x4000, 0x0080].entries())
    data.setUint16(16 + 2 * i, bits, true);
  const path = await forged(
    {
      half: { dtype: "F16", shape: [4], data_offsets: [0, 8] },
      double: { dtype: "F64", shape: [1], data_offsets: [8, 16] },
      brain: { dtype: "BF16", shape: [5], data_offsets: [16, 26] },
    },
    new Uint8Array(data.buffer),
  );
  expect([...(await readOne(path, "half"))]).toEqual([1, -3.140625, 2 ** -24, Number.POSITIVE_INFINITY]);
  expect([...(await readOne(path, "double"))]).toEqual([-1.5]);
  expect([...(await readOne(path, "brain"))]).toEqual([1, -3.140625, 0, 2, 2 ** -126]);
});

test("integers are read as numbers, to the nearest f32; kinds that have none are named", async () => {
  const data = new DataView(new ArrayBuffer(34));
  data.setBigInt64(0, -3n, true);
  data.setBigUint64(8, 2n ** 64n - 1n, true);
  data.setInt32(16, 2 ** 24 + 1, true);
  data.setInt16(20, -7, true);
  data.setUint16(22, 65_535, true);
  data.setInt8(24, -1);
  data.setUint8(25, 255);
  data.setUint8(26, 1);
  const entry = (dtype: string, start: number, end: number) => ({
    dtype,
    shape: [1],
    data_offsets: [start, end],
  });
  const path = await forged(
    {
      ...{
        i64: entry("I64", 0, 8),
        u64: entry("U64", 8, 16),
        i32: entry("I32", 16, 20),
        i16: entry("I16", 20, 22),
      },
      ...{
        u16: entry("U16", 22, 24),
        i8: entry("I8", 24, 25),
        u8: entry("U8", 25, 26),
        bool: entry("BOOL", 26, 27),
      },
      ...{ f8: entry("F8_E4M3", 27, 28) },
    },
    new Uint8Array(data.buffer, 0, 28),
  );
  for (const [name, value] of Object.entries({
    ...{ i64: -3, u64: 2 ** 64, i32: 2 ** 24, i16: -7, u16: 65_535, i8: -1, u8: 255, bool: 1 },
  }))
    expect([...(await readOne(path, name))], name).toEqual([value]);
  expect(await refusalOf(readOne(path, "f8"))).toBe(
    `checkpoint: ${path}: "f8" has dtype F8_E4M3, which is not read; F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL are | save it as one of these`,
  );
});

test("names that JavaScript knows are names like any other", async () => {
  const header =
    '{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"__metadata__":{"__proto__":"x"}}';
  const path = await forged(header, new Uint8Array(Float32Array.of(7).buffer));
  const file = await openSafetensors(path);
  expect([...file.tensors.keys()]).toEqual(["__proto__"]);
  expect([...file.metadata]).toEqual([["__proto__", "x"]]);
  expect([...(await file.read("__proto__"))]).toEqual([7]);
  await file.close();
});

test("a header that is not UTF-8 is refused", async () => {
  const path = await forged('{"a":{}}', new Uint8Array(0));
  const bytes = await readFile(path);
  bytes[10] = 0xff;
  await writeFile(path, bytes);
  await expect(openSafetensors(path)).rejects.toThrow("its header is not UTF-8");
});

test("what is wrong with a file fits in a paragraph, whatever its names", async () => {
  const path = await forged(
    { ["x".repeat(1e5)]: { dtype: "y".repeat(1e5), shape: [], data_offsets: [0, 0] } },
    new Uint8Array(0),
  );
  expect((await refusalOf(openSafetensors(path))).length).toBeLessThan(600);
});

describe("a header made to fill the memory is refused within bounds:", () => {
  test.for<[string, string, string]>([
    ["empty lists", `{"a":[${"[],".repeat(2e6)}[]]}`, '"a" is not an object'],
    ["lists in lists", `{"a":${"[".repeat(8e6)}`, '"a" is not an object'],
    ["objects in objects", '{"a":'.repeat(1e5), 'an unknown field, "a"'],
    [
      "a long shape",
      `{"a":{"dtype":"F32","shape":[${"1,".repeat(4e6)}1],"data_offsets":[0,4]}}`,
      '"a" has no proper shape',
    ],
    ["20 MB of spaces", `{${" ".repeat(20e6)}}`, "its header claims 20000002 bytes"],
    [
      "forty thousand tensors in the same place",
      `{${Array.from({ length: 4e4 }, (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`).join()},"x":{}}`,
      '"x" has no dtype',
    ],
  ])("%s", async ([, header, message]) => {
    const path = await forged(header, new Uint8Array(0));
    const before = peakMemory();
    expect(await refusalOf(openSafetensors(path))).toContain(message);
    expect(peakMemory() - before).toBeLessThan(300e6);
  });
});

test("bit flips in a header end in a refusal or in a file that reads", async () => {
  const path = join(folder, "flipped.safetensors");
  await writeSafetensors(
    path,
    [
      { name: "a", shape: [2, 2], values: () => Float32Array.of(1, 2, 3, 4) },
      { name: "b", shape: [0], values: () => new Float32Array(0) },
      { name: "c", shape: [], values: () => Float32Array.of(5) },
    ],
    { key: "value" },
  );
  const whole = await readFile(path);
  const outcomes = { read: 0, refused: 0 };
  for (let bit = 0; bit < 8 * (whole.length - 20); bit += 7) {
    const bytes = Buffer.from(whole);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    await writeFile(path, bytes);
    try {
      const file = await openSafetensors(path);
      for (const name of file.tensors.keys()) await file.read(name);
      await file.close();
      outcomes.read++; // a letter of a name or of the metadata
    } catch (error) {
      expect(error, `bit ${bit}`).toBeInstanceOf(ClimaxError);
      outcomes.refused++;
    }
  }
  expect(outcomes.refused).toBeGreaterThan(130);
  expect(outcomes.read).toBeGreaterThan(8);
});

describe("a forged file is refused:", () => {
  test.for<[string, unknown, number, bigint | undefined, string]>([
    ["a header longer than the file", { a: f32(0, 4) }, 4, 10n ** 6n, "its header claims 1000000 bytes"],
    ["a header of 2^63 bytes", { a: f32(0, 4) }, 4, 2n ** 63n, "its header claims"],
    ["no JSON", "{", 0, undefined, "is not JSON"],
    ["a JSON list", [], 0, undefined, 'its header does not begin with "{"'],
    ["a byte order mark", "\uFEFF{}", 0, undefined, 'its header does not begin with "{"'],
    ["a space before the header", " {}", 0, undefined, 'its header does not begin with "{"'],
    ["something after the header", "{} {}", 0, undefined, "is not JSON, from character 3 on"],
    ["a comma too many", '{"__metadata__":{},}', 0, undefined, "a name in it is not a string"],
    ["an unknown escape", '{"\\x61":{}}', 0, undefined, "is not JSON"],
    ["a line break in a name", '{"a\nb":{}}', 0, undefined, "is not JSON"],
    ["a name cut off", '{"a', 0, undefined, "is not JSON"],
    ["a missing entry", { a: null }, 0, undefined, '"a" is not an object'],
    [
      "an entry without a dtype",
      { a: { shape: [], data_offsets: [0, 4] } },
      4,
      undefined,
      '"a" has no dtype',
    ],
    [
      "an entry without a shape",
      { a: { dtype: "F32", data_offsets: [0, 4] } },
      4,
      undefined,
      '"a" has no proper shape',
    ],
    [
      "an entry without offsets",
      { a: { dtype: "F32", shape: [1] } },
      4,
      undefined,
      '"a" has no proper data_offsets',
    ],
    [
      "a third offset",
      { a: { ...f32(0, 4), data_offsets: [0, 4, 8] } },
      4,
      undefined,
      "no proper data_offsets",
    ],
    [
      "a dtype that is a number",
      { a: { ...f32(0, 4), dtype: 7 } },
      4,
      undefined,
      'the dtype of "a" is not a string',
    ],
    ["an unknown field", { a: { ...f32(0, 4), device: "cpu" } }, 4, undefined, 'an unknown field, "device"'],
    [
      "a tensor that is named twice",
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      8,
      undefined,
      'two tensors are called "a"',
    ],
    [
      "a tensor that is named twice, once with an escape",
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      8,
      undefined,
      'two tensors are called "a"',
    ],
    [
      "a shape that is given twice",
      '{"a":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,4]}}',
      4,
      undefined,
      '"a" has a second "shape"',
    ],
    [
      "two lots of metadata",
      '{"__metadata__":{},"__metadata__":{}}',
      0,
      undefined,
      "it has two __metadata__",
    ],
    [
      "a key twice in the metadata",
      '{"__metadata__":{"k":"1","k":"2"}}',
      0,
      undefined,
      'its __metadata__ names "k" twice',
    ],
    ["offsets beyond 2^53", { a: f32(0, 2 ** 60, [1]) }, 4, undefined, '"a" has no proper data_offsets'],
    [
      "an offset in exponents",
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4e0]}}',
      4,
      undefined,
      "no proper",
    ],
    [
      "an offset with a leading zero",
      '{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}',
      4,
      undefined,
      "no proper",
    ],
    ["65 dimensions", { a: f32(0, 4, Array(65).fill(1)) }, 4, undefined, '"a" has no proper shape'],
    [
      "a shape that overflows beside a zero",
      { a: f32(0, 0, [0, 2 ** 52, 2 ** 52]) },
      0,
      undefined,
      '"a" has the shape [0,4503599627370496,4503599627370496], more than any file holds',
    ],
    ["an inherited name as dtype", { a: { ...f32(0, 4), dtype: "toString" } }, 4, undefined, "unknown dtype"],
    ["a negative extent", { a: f32(0, 4, [-1, -1]) }, 4, undefined, '"a" has no proper shape'],
    ["a fractional extent", { a: f32(0, 4, [0.5, 2]) }, 4, undefined, '"a" has no proper shape'],
    [
      "a shape that overflows",
      { a: f32(0, 4, [2 ** 40, 2 ** 40]) },
      4,
      undefined,
      "more than any file holds",
    ],
    ["offsets the wrong way round", { a: f32(4, 0, [1]) }, 4, undefined, '"a" has -4 bytes'],
    [
      "a shape that needs more bytes",
      { a: f32(0, 4, [2]) },
      4,
      undefined,
      '"a" has 4 bytes, but F32 [2] takes 8',
    ],
    [
      "a shape that needs fewer bytes",
      { a: f32(0, 8, [1]) },
      8,
      undefined,
      '"a" has 8 bytes, but F32 [1] takes 4',
    ],
    ["tensors that overlap", { a: f32(0, 8), b: f32(4, 12) }, 12, undefined, '"b" begins at byte'],
    ["a hole", { a: f32(0, 4), b: f32(8, 12) }, 12, undefined, '"b" begins at byte'],
    ["bytes beyond the end", { a: f32(0, 8) }, 4, undefined, "its tensors end at byte"],
    ["bytes nobody owns", { a: f32(0, 4) }, 8, undefined, "its tensors end at byte"],
    [
      "metadata that is not text",
      { __metadata__: { a: 1 } },
      0,
      undefined,
      '"a" in its __metadata__ is not a string',
    ],
  ])("%s", async ([, header, bytes, length, message]) => {
    const path = await forged(header, new Uint8Array(bytes), length);
    await expect(openSafetensors(path)).rejects.toThrow(message);
  });
});

test("a file cut off anywhere is refused", async () => {
  const path = join(folder, "cut.safetensors");
  await writeSafetensors(path, [{ name: "a", shape: [3], values: () => Float32Array.of(1, 2, 3) }]);
  const whole = await readFile(path);
  for (let length = 0; length < whole.length; length++) {
    await writeFile(path, whole.subarray(0, length));
    await expect(openSafetensors(path), `${length} bytes`).rejects.toThrow("no sound safetensors file");
  }
});

test("a missing file and a folder are refused in plain words", async () => {
  await expect(openSafetensors(join(folder, "absent"))).rejects.toThrow("there is no such file");
  await expect(openSafetensors(folder)).rejects.toThrow("it is a folder");
});

test("a pipe is refused at once, not waited for", async ({ skip }) => {
  const path = join(folder, "pipe");
  if (spawnSync("mkfifo", [path]).status !== 0) skip();
  await expect(openSafetensors(path)).rejects.toThrow("it is not a regular file");
});

test("a write that fails leaves the old file and nothing else", async () => {
  const path = join(folder, "kept.safetensors");
  await writeSafetensors(path, [{ name: "a", shape: [1], values: () => Float32Array.of(1) }]);
  const before = await readdir(folder);
  const failing = {
    name: "b",
    shape: [1],
    values: () => {
      throw new Error("device lost");
    },
  };
  const a = { name: "a", shape: [1], values: () => Float32Array.of(2) };
  await expect(writeSafetensors(path, [a, failing])).rejects.toThrow("device lost");
  expect(await readdir(folder)).toEqual(before);
  expect(await readOne(path, "a")).toEqual(Float32Array.of(1));
});

test("places that cannot be written are named with a mend", async () => {
  const one = [{ name: "a", shape: [1], values: () => Float32Array.of(1) }];
  const inNoFolder = join(folder, "absent", "a.safetensors");
  await expect(writeSafetensors(inNoFolder, one)).rejects.toMatchObject({
    kind: "checkpoint",
    message: `cannot write ${inNoFolder}: its folder does not exist`,
    hint: "make the folder first",
  });
  await expect(writeSafetensors(folder, one)).rejects.toThrow("it is a folder");
  expect((await readdir(tmpdir())).filter((name) => name.includes(".partial-"))).toEqual([]);
});
