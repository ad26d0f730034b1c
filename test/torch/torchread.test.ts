import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { ClimaxError } from "../../src/errors.ts";
import { bytesOf, type Dtype } from "../../src/model/dtypes.ts";
import { unpickle } from "../../src/torch/pickle.ts";
import { torchGlobals } from "../../src/torch/torchclasses.ts";
import { readTensor } from "../../src/torch/torchread.ts";
import { TorchTensor, type TorchValue } from "../../src/torch/torchvalue.ts";
import { checkedView, MOST_REPEATED } from "../../src/torch/torchview.ts";
import { generator } from "../support/xorshift.ts";

/** A storage of bytes that tells what was read of it. */
function stored(dtype: Dtype, length: number) {
  const random = generator(12345);
  const bytes = new Uint8Array(length * bytesOf[dtype]).map(() => random(256));
  const reads: [number, number][] = [];
  const read = async (_: unknown, start: number, end: number): Promise<Uint8Array> => {
    if (end > bytes.length) throw new ClimaxError("checkpoint", "cut off", "copy it again");
    reads.push([start, end]);
    return bytes.subarray(start, end);
  };
  return { storage: { key: "0", dtype, length }, bytes, reads, read };
}

/** The definition: element after element. */
function gathered(bytes: Uint8Array, { dtype, offset, shape, strides }: TorchTensor): Uint8Array {
  const size = bytesOf[dtype];
  const elements = shape.reduce((a, b) => a * b, 1);
  const out = new Uint8Array(elements * size);
  const index = shape.map(() => 0);
  for (let k = 0; k < elements; k++) {
    const from = (offset + index.reduce((sum, i, d) => sum + i * strides[d]!, 0)) * size;
    out.set(bytes.subarray(from, from + size), k * size);
    for (let d = shape.length - 1; d >= 0 && ++index[d]! === shape[d]; d--) index[d] = 0;
  }
  return out;
}

/** Compared outside of `expect`, which takes seconds for megabytes. */
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

describe("contiguous tensors are one read of just their bytes", () => {
  test.each<[string, Dtype, number, number[], number[], [number, number]]>([
    ["all of a storage", "F32", 0, [4, 6], [6, 1], [0, 96]],
    ["a part of it", "F16", 5, [2, 3], [3, 1], [10, 22]],
    ["rows of one step with odd strides", "F32", 2, [1, 4, 1, 3], [777, 3, 0, 1], [8, 56]],
    ["a number", "I64", 7, [], [], [56, 64]],
    ["a number in brackets", "F64", 7, [1, 1], [9, 9], [56, 64]],
  ])("%s", async (_, dtype, offset, shape, strides, range) => {
    const { storage, bytes, reads, read } = stored(dtype, 24);
    const tensor = new TorchTensor(storage, offset, shape, strides);
    expect(await readTensor(tensor, read)).toEqual(bytes.subarray(...range));
    expect(reads).toEqual([range]);
  });

  test("no element, no read", async () => {
    const { storage, reads, read } = stored("F32", 0);
    expect(await readTensor(new TorchTensor(storage, 3, [2, 0, 5], [5, 5, 1]), read)).toEqual(
      new Uint8Array(0),
    );
    expect(reads).toEqual([]);
  });
});

describe("strided tensors are gathered in C order", () => {
  test.each<[string, number, number[], number[]]>([
    ["transposed", 0, [6, 4], [1, 6]],
    ["every other column", 1, [4, 3], [6, 2]],
    ["a column", 2, [4], [6]],
    ["three axes turned", 0, [2, 3, 4], [1, 8, 2]],
    ["repeated rows", 3, [5, 4], [0, 1]],
    ["one number repeated", 3, [5, 4], [0, 0]],
    ["overlapping windows", 0, [10, 5], [2, 1]],
    ["overlapping windows, turned", 0, [5, 10], [1, 2]],
    ["a diagonal", 0, [4], [7]],
    ["two axes of one stride", 0, [4, 4], [3, 3]],
  ])("%s, whatever the element", async (_, offset, shape, strides) => {
    for (const dtype of Object.keys(bytesOf) as Dtype[]) {
      const { storage, bytes, read } = stored(dtype, 24);
      const tensor = checkedView(storage, { offset, shape, strides }, (found) => expect.fail(found));
      expect(await readTensor(tensor, read)).toEqual(gathered(bytes, tensor));
    }
  });

  test("2000 random views, one byte off any alignment", async () => {
    const random = generator(9);
    const dtypes = Object.keys(bytesOf) as Dtype[];
    let strided = 0;
    for (let round = 0; round < 2000; round++) {
      const { storage, bytes, reads, read } = stored(dtypes[random(dtypes.length)]!, 400);
      const shape = Array.from({ length: random(6) }, () => random(5));
      const strides = shape.map(() => random(8));
      const tensor = new TorchTensor(storage, random(100), shape, strides);
      const askew = async (...args: Parameters<typeof read>) => {
        const part = await read(...args);
        const moved = Buffer.alloc(part.length + 1); // a Buffer: its slice() is no copy
        moved.set(part, 1);
        return moved.subarray(1);
      };
      const result = await readTensor(tensor, askew);
      if (reads.length > 1) strided++;
      if (!same(result, gathered(bytes, tensor)))
        expect(result, JSON.stringify(tensor)).toEqual(gathered(bytes, tensor));
    }
    expect(strided).toBeGreaterThan(500);
  });

  test("a large one is read in pieces of at most 4 MB, each once", async () => {
    const [rows, columns] = [1500, 2048];
    const { storage, bytes, reads, read } = stored("F32", rows * columns);
    const tensor = new TorchTensor(storage, 0, [columns, rows], [1, columns]);
    const result = await readTensor(tensor, read);
    const [from, to] = [new Uint32Array(bytes.buffer), new Uint32Array(result.buffer)];
    let wrong = 0;
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) if (from[r * columns + c] !== to[c * rows + r]) wrong++;
    }
    expect(wrong).toBe(0);
    const lengths = reads.map(([start, end]) => end - start);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(4 * 2 ** 20);
    expect(reads.length).toBe(1 + 3); // the last element, and 12 MB
    expect(lengths.reduce((a, b) => a + b)).toBe(4 + bytes.length);
  });

  test("of wide gaps nothing is read, narrow ones are read along", async () => {
    const wide = stored("F32", 100 * 5000);
    const column = new TorchTensor(wide.storage, 3, [100], [5000]);
    expect(same(await readTensor(column, wide.read), gathered(wide.bytes, column))).toBe(true);
    expect(wide.reads.reduce((sum, [start, end]) => sum + end - start, 0)).toBe(101 * 4);
    const narrow = stored("F32", 100 * 500);
    const other = new TorchTensor(narrow.storage, 3, [100], [500]);
    expect(same(await readTensor(other, narrow.read), gathered(narrow.bytes, other))).toBe(true);
    expect(narrow.reads.length).toBe(2);
  });
});

describe("what a file claims", () => {
  const claimed = { key: "0", dtype: "F32", length: 2 ** 40 } as const;

  test("nothing is allocated for a storage that the file does not have", async () => {
    const { read } = stored("F32", 10);
    const tensor = new TorchTensor(claimed, 0, [2 ** 20, 2 ** 19], [1, 2 ** 20]);
    await expect(readTensor(tensor, read)).rejects.toThrow("cut off");
  });

  test("a stride of 0 repeats up to 2^24 elements of a small storage, and no more", () => {
    const small = { key: "0", dtype: "F32", length: 1 } as const;
    const view = (count: number) => () =>
      checkedView(small, { offset: 0, shape: [count], strides: [0] }, (found) => {
        throw new Error(found);
      });
    expect(view(MOST_REPEATED)).not.toThrow();
    expect(view(MOST_REPEATED + 1)).toThrow(
      "a tensor of shape [16777217] with strides [0] from element 0 repeats the 1 elements of its storage until they are 16777217",
    );
  });
});

const python = "/usr/bin/python3";
const noTorch = spawnSync(python, ["-c", "import torch"]).status !== 0;

describe.skipIf(noTorch)("views that PyTorch saves (skipped without /usr/bin/python3 with torch)", () => {
  test("in every dtype, contiguous or not, shared or not: the elements PyTorch has", async () => {
    const { stdout, stderr, status } = spawnSync(python, ["test/support/torchviews.py"], {
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    });
    expect(status, stderr).toBe(0);
    const { pickle, storages, wanted } = JSON.parse(stdout) as {
      pickle: string;
      storages: Record<string, string>;
      wanted: Record<string, [string, number[], string]>;
    };
    const torch = torchGlobals("a.pt", []);
    const { value } = unpickle(Buffer.from(pickle, "base64"), {
      path: "a.pt",
      globals: torch.resolver,
      persistent: torch.storage,
    });
    const tensors = value as ReadonlyMap<TorchValue, TorchValue>;
    expect([...tensors.keys()]).toEqual(Object.keys(wanted));
    for (const [name, [dtype, shape, base64]] of Object.entries(wanted)) {
      const tensor = tensors.get(name) as TorchTensor;
      expect(tensor, name).toMatchObject({ dtype, shape });
      const bytes = Buffer.from(storages[tensor.storage.key]!, "base64");
      expect(bytes.length).toBe(tensor.storage.length * bytesOf[tensor.dtype]);
      const read = await readTensor(tensor, async (_, start, end) => bytes.subarray(start, end));
      expect(Buffer.from(read).toString("base64"), name).toBe(base64);
    }
    expect(torch.unbuilt.size).toBe(0);
  });
});
