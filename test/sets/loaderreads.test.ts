// Reads into given memory: the numbers of reads without, of every element type and order of variables.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openNpy, writeNpy } from "../../src/files/npy.ts";
import { gather } from "../../src/sets/batching.ts";
import { prepare } from "../../src/sets/prepare.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { samples } from "../../src/sets/samples.ts";
import { readMean } from "../../src/sets/targets.ts";
import { fakeArchive, fakeCells, provenance } from "../support/fakearchive.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-reads-"));
});
afterAll(() => rmSync(root, { recursive: true }));

const names = ["2m_temperature", "temperature_850", "temperature_500"];

describe.each(["float32", "float16"] as const)("a set of %s", (dtype) => {
  test("gives the same state in memory of its own and in memory given", async () => {
    const dir = join(root, dtype);
    const archive = fakeArchive({ names, constants: ["orography"], steps: 30 });
    await prepare(archive, dir, { train: "2015-12-25..2015-12-30", dtype, provenance });
    const set = await openSet(dir);
    try {
      const split = set.split("train");
      const orders = [
        names,
        ["orography", ...names],
        [...names].reverse(),
        ["temperature_500", "orography", "2m_temperature"],
        ["temperature_850", "temperature_850"],
        ["orography"],
      ];
      for (const order of orders) {
        const own = await split.read(3, order);
        const into = new Float32Array(order.length * fakeCells).fill(Number.NaN);
        expect(await split.read(3, order, into)).toBe(into);
        expect(into, order.join()).toEqual(own);
        const mean = await readMean(split, [3, 4, 5], order);
        expect(await readMean(split, [3, 4, 5], order, into)).toEqual(mean);
      }
    } finally {
      await set.close();
    }
  });
});

describe("elements of an array", () => {
  test("in float32 and float16, in the middle of memory that is used otherwise", async () => {
    const values = Float32Array.from({ length: 40 }, (_, i) => (i - 20) / 8); // exact as halves
    await writeNpy(join(root, "single.npy"), [5, 8], values);
    const header = (descr: string) => {
      const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (5, 8), }`;
      return Buffer.concat([
        Buffer.from("\x93NUMPY\x01\x00v\x00", "latin1"),
        Buffer.from(`${text.padEnd(117)}\n`),
      ]);
    };
    const half = (value: number): number => {
      if (value === 0) return 0;
      const exponent = Math.floor(Math.log2(Math.abs(value)));
      const fraction = (Math.abs(value) / 2 ** exponent - 1) * 1024;
      return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | fraction;
    };
    const [little, big] = [Buffer.alloc(80), Buffer.alloc(80)];
    for (const [i, value] of values.entries()) {
      little.writeUInt16LE(half(value), 2 * i);
      big.writeUInt16BE(half(value), 2 * i);
    }
    writeFileSync(join(root, "half.npy"), Buffer.concat([header("<f2"), little]));
    writeFileSync(join(root, "swapped.npy"), Buffer.concat([header(">f2"), big]));
    for (const name of ["single", "half", "swapped"]) {
      const file = await openNpy(join(root, `${name}.npy`));
      try {
        for (const [start, count] of [
          [0, 40],
          [7, 9],
          [39, 1],
        ] as const) {
          const memory = new Float32Array(count + 2).fill(99);
          await file.readInto(memory.subarray(1, count + 1), start);
          expect([...memory], name).toEqual([99, ...values.subarray(start, start + count), 99]);
        }
        await expect(file.readInto(new Float32Array(2), 39)).rejects.toThrow("elements 39..41 of 40");
      } finally {
        await file.close();
      }
    }
  });

  test("of other types are refused", async () => {
    await writeNpy(join(root, "double.npy"), [4], new Float64Array(4));
    const file = await openNpy(join(root, "double.npy"));
    try {
      await expect(file.readInto(new Float32Array(4), 0)).rejects.toThrow("holds float64, read as float32");
    } finally {
      await file.close();
    }
  });
});

describe("samples of a batch", () => {
  const fields = (cells: number) => ({ names: ["a"], statistics: { mean: { a: 1 }, std: { a: 2 } }, cells });
  test("are made in the memory of another batch, where it is as long", async () => {
    const read = async (b: number) => Float32Array.of(b, 1);
    const spare = new Float32Array(6).fill(7);
    const made = await gather(3, fields(2), read, spare);
    expect(made).toBe(spare);
    expect([...made]).toEqual([-0.5, 0, 0, 0, 0.5, 0]);
    const other = await gather(2, fields(2), read, spare);
    expect(other).not.toBe(spare);
    expect([...other]).toEqual([-0.5, 0, 0, 0]);
  });

  test("all are ended before a failure is thrown, and no more are begun", async () => {
    const begun: number[] = [];
    let ended = 0;
    const read = async (b: number) => {
      begun.push(b);
      if (b === 1) throw new Error("no sample 1");
      await new Promise((resolve) => setTimeout(resolve, 5));
      ended++;
      return Float32Array.of(b);
    };
    await expect(gather(50, fields(1), read)).rejects.toThrow("no sample 1");
    expect(ended).toBe(begun.length - 1);
    expect(begun).toEqual([0, 1, 2, 3]); // four at once
  });

  test("a source uses the arrays of a spare batch, targets of a roll-out too", async () => {
    const dir = join(root, "spare");
    await prepare(fakeArchive({ names, steps: 30 }), dir, { train: "2015-12-25..2015-12-30", provenance });
    const set = await openSet(dir);
    try {
      const options = { inputs: names, outputs: names, leads: [6], steps: 3, batchSize: 4, seed: 1 };
      const source = samples(set, "train", options);
      const wanted = await source.batchAt(0, 1);
      const spare = await source.batchAt(0, 0);
      const made = await source.batchAt(0, 1, spare);
      expect(made).toEqual(wanted);
      expect([made.x, made.y, ...made.later!].map(({ buffer }) => buffer)).toEqual(
        [spare.x, spare.y, ...spare.later!].map(({ buffer }) => buffer),
      );
      expect(made.x).toBe(spare.x);
      expect(made.later![1]).toBe(spare.later![1]);
    } finally {
      await set.close();
    }
  });
});
