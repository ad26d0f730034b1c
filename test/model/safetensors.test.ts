import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSafetensors, writeSafetensors } from "../../src/model/safetensors.ts";

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

describe("a forged file is refused:", () => {
  test.for<[string, unknown, number, bigint | undefined, string]>([
    ["a header longer than the file", { a: f32(0, 4) }, 4, 10n ** 6n, "its header claims 1000000 bytes"],
    ["a header of 2^63 bytes", { a: f32(0, 4) }, 4, 2n ** 63n, "its header claims"],
    ["no JSON", "{", 0, undefined, "is not JSON"],
    ["a JSON list", [], 0, undefined, "is not a JSON object"],
    ["a missing entry", { a: null }, 0, undefined, '"a" has the unknown dtype undefined'],
    ["an inherited name as dtype", { a: { ...f32(0, 4), dtype: "toString" } }, 4, undefined, "unknown dtype"],
    ["a negative extent", { a: f32(0, 4, [-1, -1]) }, 4, undefined, '"a" has no proper shape'],
    ["a fractional extent", { a: f32(0, 4, [0.5, 2]) }, 4, undefined, '"a" has no proper shape'],
    ["a shape that overflows", { a: f32(0, 4, [2 ** 40, 2 ** 40]) }, 4, undefined, "but F32"],
    ["offsets the wrong way round", { a: f32(4, 0, [1]) }, 4, undefined, '"a" has -4 bytes'],
    [
      "a shape that needs more bytes",
      { a: f32(0, 4, [2]) },
      4,
      undefined,
      '"a" has 4 bytes, but F32 [2] takes 8',
    ],
    ["tensors that overlap", { a: f32(0, 8), b: f32(4, 12) }, 12, undefined, '"b" begins at byte'],
    ["a hole", { a: f32(0, 4), b: f32(8, 12) }, 12, undefined, '"b" begins at byte'],
    ["bytes beyond the end", { a: f32(0, 8) }, 4, undefined, "its tensors end at byte"],
    ["bytes nobody owns", { a: f32(0, 4) }, 8, undefined, "its tensors end at byte"],
    ["metadata that is not text", { __metadata__: { a: 1 } }, 0, undefined, "__metadata__.a is not a string"],
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
  await expect(openSafetensors(folder)).rejects.toThrow("is not a regular file");
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
