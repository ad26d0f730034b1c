// Numbers read past the library, and chunks written past it: the same as the library's, whatever the file holds.
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { ClimaxError } from "../../src/errors.ts";
import { packChunk } from "../../src/files/hdf5append.ts";
import { lookup3 } from "../../src/files/hdf5checksum.ts";
import { createNetcdf } from "../../src/files/netcdf4writer.ts";
import { readFields } from "../../src/files/pieces.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-pieces-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

const value = (step: number, i: number) => Math.fround(step + i / 600);

/** a(time, lat, lon), 20 x 30, whose chunks are written past the library. */
async function packed(path: string, steps: number, level: number): Promise<void> {
  const writer = await createNetcdf(path, {
    dimensions: { time: null, lat: 20, lon: 30 },
    variables: [
      { name: "time", dimensions: ["time"], dtype: "float64" },
      {
        name: "a",
        dimensions: ["time", "lat", "lon"],
        dtype: "float32",
        chunk: [1, 20, 30],
        deflate: level,
        packed: [steps, 20, 30],
        attributes: { _FillValue: Number.NaN, units: "K" },
      },
    ],
  });
  await writer.write(
    "time",
    [0],
    Float64Array.from({ length: steps }, (_, i) => i),
  );
  for (let step = steps - 1; step >= 0; step--) {
    const values = Float32Array.from({ length: 600 }, (_, i) => value(step, i));
    await writer.writePacked("a", [[step, 0, 0]], [packChunk(values, level)]);
  }
  await writer.close();
}

async function readPast(path: string, name: string, fields: number[], rows: number[]) {
  const dataset = await openDataset(path);
  try {
    const variable = dataset.variables.get(name)!;
    const pieces = await variable.pieces!();
    if (!pieces) return undefined;
    const descriptor = openSync(path, "r");
    try {
      return readFields(pieces, descriptor, fields, rows);
    } finally {
      closeSync(descriptor);
    }
  } finally {
    await dataset.close();
  }
}

// 5000 chunks need a tree of three levels.
test.each([
  [1, 1],
  [200, 1],
  [200, 0],
  [5000, 1],
])("%i chunks packed at level %i are read by the library, past it, and by NetCDF-C", async (steps, level) => {
  const path = at("packed.nc");
  await packed(path, steps, level);
  const dataset = await openDataset(path);
  const a = await dataset.variables.get("a")!.readUnpacked();
  await dataset.close();
  expect(a.every((x, i) => x === value(Math.floor(i / 600), i % 600))).toBe(true);
  const past = await readPast(path, "a", [steps - 1, 0], [0, 1, 7]);
  expect([past![0], past![89], past![90 + 60]]).toEqual([
    value(steps - 1, 0),
    value(steps - 1, 239),
    value(0, 210),
  ]);
  if (spawnSync("ncdump", ["-h", path]).status === 0) {
    const header = execFileSync("ncdump", ["-hs", path], { encoding: "utf8" });
    expect(header).toContain("a:_ChunkSizes = 1, 20, 30");
    if (level > 0) expect(header).toMatch(/a:_Shuffle = "true" ;\s+a:_DeflateLevel = 1/);
  }
});

test("NetCDF-C adds to such a file as to its own (skipped without netCDF4-python)", async (context) => {
  const python = "/usr/bin/python3";
  context.skip(spawnSync(python, ["-c", "import netCDF4"]).status !== 0);
  await packed(at("grown.nc"), 130, 1);
  const program = `import netCDF4
d = netCDF4.Dataset(${JSON.stringify(at("grown.nc"))}, "a")
d["a"][130] = 7
d["a"][5] = 8
d.close()
d = netCDF4.Dataset(${JSON.stringify(at("grown.nc"))})
print(d["a"].shape, d["a"][130, 3, 3], d["a"][5, 3, 3], d["a"][129, 0, 0])`;
  expect(execFileSync(python, ["-c", program], { encoding: "utf8" })).toBe("(131, 20, 30) 7.0 8.0 129.0\n");
});

test("a chunk that never came is no file", async () => {
  const writer = await createNetcdf(at("half.nc"), {
    dimensions: { y: 4, x: 4 },
    variables: [
      { name: "a", dimensions: ["y", "x"], dtype: "float32", chunk: [2, 4], deflate: 1, packed: [4, 4] },
    ],
  });
  await writer.writePacked("a", [[0, 0]], [packChunk(new Float32Array(8), 1)]);
  await expect(writer.write("a", [0, 0], [1])).rejects.toThrow("write after packed chunks");
  await expect(writer.close()).rejects.toThrow("chunk 1 of a was never written");
});

test("the checksum is that of the file format", () => {
  // Of a superblock that NetCDF-C wrote: its last four bytes.
  const superblock = Buffer.from(
    "894844460d0a1a0a020808000000000000000000ffffffffffffffffe8420f1c00000000300000000000000049348320",
    "hex",
  );
  expect(lookup3(superblock.subarray(0, 44))).toBe(superblock.readUInt32LE(44));
  expect(lookup3(new Uint8Array(0))).toBe(0xdeadbeef);
});

test("bytes changed anywhere give the numbers, a refusal, or a ClimaxError, and no more memory than the shape's", async () => {
  await packed(at("whole.nc"), 12, 1);
  const whole = readFileSync(at("whole.nc"));
  let [refused, failed, read] = [0, 0, 0];
  for (let k = 0; k < 400; k++) {
    const bytes = Buffer.from(whole);
    const where = (k * 7919 * 31) % bytes.length;
    bytes[where]! ^= 1 << (k % 8);
    if (k % 3 === 0) bytes[(where * 13) % bytes.length] = 255;
    writeFileSync(at("changed.nc"), k % 10 === 9 ? bytes.subarray(0, where) : bytes);
    try {
      const values = await readPast(at("changed.nc"), "a", [0, 5, 11], [2, 3, 19]);
      if (values) {
        read++;
        expect(values.length).toBe(270);
      } else refused++;
    } catch (error) {
      if (!(error instanceof ClimaxError) && !(error instanceof TypeError)) throw error;
      failed++; // a TypeError: the file no longer has the variable
    }
  }
  expect([refused, failed, read].every((n) => n > 0)).toBe(true);
});
