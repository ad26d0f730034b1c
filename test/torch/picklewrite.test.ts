import { expect, test } from "vitest";
import { unpickle } from "../../src/torch/pickle.ts";
import { type Picklable, pickle, StorageTensor } from "../../src/torch/picklewrite.ts";
import { torchGlobals } from "../../src/torch/torchclasses.ts";
import { TorchTensor } from "../../src/torch/torchvalue.ts";

/** What our own reader makes of a pickle. */
function read(bytes: Uint8Array): unknown {
  const globals = torchGlobals("test.ckpt", []);
  const { value, end } = unpickle(bytes, {
    path: "test.ckpt",
    globals: globals.resolver,
    persistent: (id) => globals.storage(id) as never,
  });
  expect(end).toBe(bytes.length);
  expect([...globals.unbuilt]).toEqual([]);
  return value;
}

const body = (value: Picklable) => Buffer.from(pickle(value)).subarray(2, -1).toString("latin1");

test("a pickle is of protocol 2, and ends", () => {
  expect([...pickle(null)]).toEqual([0x80, 2, 0x4e, 0x2e]);
});

test.for<[string, Picklable, string]>([
  ["none", null, "N"],
  ["true", true, "\x88"],
  ["false", false, "\x89"],
  ["one byte", 255, "K\xff"],
  ["two bytes", 256, "M\x00\x01"],
  ["four bytes", 65_536, "J\x00\x00\x01\x00"],
  ["the least of four bytes", -(2 ** 31), "J\x00\x00\x00\x80"],
  ["beyond four bytes", 2 ** 31, "\x8a\x08\x00\x00\x00\x80\x00\x00\x00\x00"],
  ["beyond four bytes, below zero", -(2 ** 31) - 1, "\x8a\x08\xff\xff\xff\x7f\xff\xff\xff\xff"],
  ["the largest integer that is exact", 2 ** 53 - 1, "\x8a\x08\xff\xff\xff\xff\xff\xff\x1f\x00"],
  ["beyond it a float", 2 ** 53, "G\x43\x40\x00\x00\x00\x00\x00\x00"],
  ["a fraction", 0.5, "G\x3f\xe0\x00\x00\x00\x00\x00\x00"],
  ["minus nought", -0, "G\x80\x00\x00\x00\x00\x00\x00\x00"],
  ["text in UTF-8", "é𝄞", "X\x06\x00\x00\x00\xc3\xa9\xf0\x9d\x84\x9e"],
  ["a list", [1, []], "](K\x01](ee"],
  ["a dict", { a: 1 }, "}(X\x01\x00\x00\x00aK\x01u"],
  ["an ordered dict", new Map([["a", 1]]), "ccollections\nOrderedDict\nq\x02)R(X\x01\x00\x00\x00aK\x01u"],
])("%s", ([, value, wanted]) => {
  expect(body(value)).toBe(wanted);
});

test("plain data come back as they were", () => {
  const value = {
    epoch: 0,
    text: "Grüße\n'\"",
    lists: [[], [null, true, false], [1e-300, -1.5, Number.POSITIVE_INFINITY, Number.NaN]],
    integers: [0, 1, 255, 256, 65_535, 65_536, -1, -65_536, 2 ** 31 - 1, 2 ** 31, -(2 ** 40), 2 ** 53 - 1],
    nested: { a: { b: { c: {} } }, "": "" },
  };
  const map = (x: unknown): unknown =>
    Array.isArray(x)
      ? x.map(map)
      : typeof x === "object" && x !== null
        ? new Map(Object.entries(x).map(([key, item]) => [key, map(item)]))
        : x;
  expect(read(pickle(value))).toEqual(map(value));
});

test("keys that JavaScript holds for special are keys like others", () => {
  const value = JSON.parse('{"__proto__": {"x": 1}, "constructor": 2}') as Picklable;
  expect(read(pickle(value))).toEqual(
    new Map<string, unknown>([
      ["__proto__", new Map([["x", 1]])],
      ["constructor", 2],
    ]),
  );
});

test("tensors are views of their storages in C order, and what they share is written once", () => {
  const bytes = pickle(
    new Map<string, Picklable>([
      ["matrix", new StorageTensor("0", [2, 3, 4])],
      ["scalar", new StorageTensor("1", [])],
      ["empty", new StorageTensor("2", [0, 4])],
      ["long", new StorageTensor("3", [2 ** 31, 2])],
    ]),
  );
  const tensors = read(bytes) as Map<string, TorchTensor>;
  const seen = [...tensors].map(([name, t]) => {
    expect(t).toBeInstanceOf(TorchTensor);
    return [name, t.storage.key, t.storage.length, t.dtype, t.offset, t.shape, t.strides];
  });
  expect(seen).toEqual([
    ["matrix", "0", 24, "F32", 0, [2, 3, 4], [12, 4, 1]],
    ["scalar", "1", 1, "F32", 0, [], []],
    ["empty", "2", 0, "F32", 0, [0, 4], [4, 1]],
    ["long", "3", 2 ** 32, "F32", 0, [2 ** 31, 2], [2, 1]],
  ]);
  const text = Buffer.from(bytes).toString("latin1");
  for (const name of ["_rebuild_tensor_v2", "FloatStorage", "OrderedDict"]) {
    expect(text.split(name).length - 1, name).toBe(1);
  }
});

test("data nested a hundred thousand deep, and lists two hundred thousand long, are written", () => {
  let deep: Picklable = [];
  for (let i = 0; i < 100_000; i++) deep = [deep];
  expect(pickle(deep).length).toBe(3 * 100_001 + 3);
  expect(pickle(new Array<number>(200_000).fill(1)).length).toBe(2 * 200_000 + 6);
});

test("half of a surrogate pair, which UTF-8 cannot hold, is refused", () => {
  expect(() => pickle({ note: "a\ud800b" })).toThrow(
    'the text "a\\ud800b" has half of a surrogate pair, which a PyTorch checkpoint cannot hold',
  );
});
