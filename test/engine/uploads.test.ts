import { expect, test } from "vitest";
import { done, read, size, tensor, write } from "../../src/engine/tensor.ts";
import { Uploads } from "../../src/engine/uploads.ts";
import { scale } from "../../src/ops/elementwise.ts";
import { gpu } from "../support/gradcheck.ts";

/** Enough to go through a buffer of our own. */
const shape = [256, 100];

test("a large upload keeps its place among the commands, and its data may change at once", async () => {
  const values = new Float32Array(size(shape)).fill(1);
  const x = tensor(gpu, shape, values);
  values.fill(2);
  const before = scale(x, 10);
  write(x, values);
  values.fill(3);
  const after = scale(x, 10);
  write(x, values);
  const [first, second, last] = [await read(before), await read(after), await read(x)];
  for (const [i, wanted] of [10, 20, 3].entries())
    expect(new Set([first, second, last][i])).toEqual(new Set([wanted]));
});

test("buffers come back to be used again", async () => {
  const values = Float32Array.from({ length: size(shape) }, (_, i) => i);
  const x = tensor(gpu, shape, values);
  for (let i = 0; i < 5; i++) {
    await done(gpu);
    values[0] = -i;
    write(x, values);
    expect(Buffer.from((await read(x)).buffer).equals(Buffer.from(values.buffer))).toBe(true);
  }
});

interface Made {
  readonly size: number;
  mapped: boolean;
  destroyed: boolean;
}

/** Uploads of a device that makes buffers of the host, and a list of those. */
function counted(lost = false): { uploads: Uploads; made: Made[] } {
  const made: Made[] = [];
  const createBuffer = ({ size: bytes }: { size: number }) => {
    const buffer = {
      ...{ size: bytes, mapped: true, destroyed: false },
      getMappedRange: (_: number, length: number) => new ArrayBuffer(length),
      unmap: () => (buffer.mapped = false),
      mapAsync: async () => {
        if (lost) throw new Error("lost");
        buffer.mapped = true;
      },
      destroy: () => (buffer.destroyed = true),
    };
    made.push(buffer);
    return buffer;
  };
  return { uploads: new Uploads({ createBuffer } as unknown as GPUDevice, 2 ** 27), made };
}

test("one buffer serves uploads that follow one another, two those that overlap", async () => {
  const { uploads, made } = counted();
  const data = new Float32Array(1000);
  const first = uploads.fill(data);
  expect(made[0]!.mapped).toBe(false);
  const second = uploads.fill(data);
  expect(made.length).toBe(2);
  await uploads.giveBack(first);
  await uploads.giveBack(second);
  expect(uploads.fill(data)).toBe(second);
  expect(uploads.fill(data)).toBe(first);
  uploads.fill(data.subarray(0, 100)); // of another size
  expect(made.length).toBe(3);
});

test("idle buffers are kept up to 128 MiB, those used last", async () => {
  const { uploads, made } = counted();
  const data = new Float32Array(10 * 2 ** 20); // 40 MiB
  const lent = [data, data, data, data].map((each) => uploads.fill(each));
  for (const buffer of lent) await uploads.giveBack(buffer);
  expect(made.map(({ destroyed }) => destroyed)).toEqual([true, false, false, false]);
});

test("a lost device is no error of an upload", async () => {
  const { uploads, made } = counted(true);
  const data = new Float32Array(1000);
  await uploads.giveBack(uploads.fill(data));
  uploads.fill(data);
  expect(made.length).toBe(2);
});
