// Regridding in threads and without them, from every way in which files hold their numbers.
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { regridFile } from "../../src/data/regridfile.ts";
import { regridPool } from "../../src/data/regridpool.ts";
import { packChunk } from "../../src/files/hdf5append.ts";
import { createNetcdf, type WrittenVariable } from "../../src/files/netcdf4writer.ts";
import { makeGrid, regularGrid } from "../../src/grid/grid.ts";
import { makeRegridder, type RegridMethod } from "../../src/grid/regrid.ts";
import { classicFile, fieldValue } from "../support/regridclassic.ts";
import { difference, readVariable } from "../support/weatherfile.ts";

const folder = mkdtempSync(join(tmpdir(), "climax-regrid-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

const [steps, height, width] = [24, 37, 72];
const source = makeGrid(
  Array.from({ length: height }, (_, r) => -90 + 5 * r),
  Array.from({ length: width }, (_, c) => 5 * c),
);
const stepField = (step: number) =>
  Float32Array.from({ length: height * width }, (_, i) => fieldValue(step, i));

/** t(time, lat, lon) from north to south; `gaps` makes some points missing. */
async function netcdf4(name: string, layout: Partial<WrittenVariable>, gaps = false): Promise<string> {
  const axis = (key: string, units: string, data: number[]) => ({
    name: key,
    dimensions: [key],
    dtype: "float64" as const,
    data,
    attributes: { units },
  });
  const writer = await createNetcdf(at(name), {
    dimensions: { time: null, lat: height, lon: width },
    variables: [
      axis(
        "time",
        "hours since 2000-01-01",
        Array.from({ length: steps }, (_, i) => 6 * i),
      ),
      axis("lat", "degrees_north", [...source.lat].reverse()),
      axis("lon", "degrees_east", [...source.lon]),
      {
        name: "t",
        dimensions: ["time", "lat", "lon"],
        dtype: "float32",
        attributes: { units: "K", _FillValue: -999 },
        ...layout,
      },
    ],
  });
  for (let step = 0; step < steps; step++) {
    const values = stepField(step);
    if (gaps) for (let i = step; i < values.length; i += 97) values[i] = -999;
    if (layout.packed) await writer.writePacked("t", [[step, 0, 0]], [packChunk(values, 1)]);
    else await writer.write("t", [step, 0, 0], values, [1, height, width]);
  }
  await writer.close();
  return at(name);
}

const files: Record<string, () => Promise<string>> = {
  "a field a chunk, deflated": () => netcdf4("deflated.nc", {}),
  "a field a chunk, shuffled and deflated": () =>
    netcdf4("shuffled.nc", { chunk: [1, height, width], packed: [steps, height, width] }),
  "a field a chunk, as it is": () => netcdf4("plain.nc", { deflate: 0, chunk: [1, height, width] }),
  "blocks of time and place": () => netcdf4("blocks.nc", { chunk: [7, 10, 30] }),
  "with gaps": () => netcdf4("gaps.nc", {}, true),
  "classic records": async () => {
    classicFile(at("classic.nc"), { steps, height, width });
    return at("classic.nc");
  },
};

const made = new Map<string, Promise<string>>();
function fileOf(name: string): Promise<string> {
  const file = made.get(name) ?? files[name]!();
  made.set(name, file);
  return file;
}

const pool = regridPool(3);
afterAll(() => pool.close());

const settings = {
  target: regularGrid(2.5),
  cut: true,
  commandLine: "test",
  program: "test",
} as const;

test.each(
  Object.keys(files).flatMap((name) =>
    (["bilinear", "conservative", "nearest", "bicubic"] as const).map((method) => [name, method] as const),
  ),
)("%s, %s: the same numbers as without threads, and as the regridder's", async (name, method) => {
  const input = await fileOf(name);
  await regridFile(input, at("alone.nc"), { ...settings, method });
  await regridFile(input, at("threads.nc"), { ...settings, method, pool });
  const [alone, threads] = [
    await readVariable(at("alone.nc"), "t"),
    await readVariable(at("threads.nc"), "t"),
  ];
  expect(threads.shape).toEqual([steps, 72, 144]);
  expect(Buffer.from(threads.values.buffer).equals(Buffer.from(alone.values.buffer))).toBe(true);
  if (name === "with gaps") {
    expect(threads.values.some(Number.isNaN) && threads.values.some(Number.isFinite)).toBe(true);
    return;
  }
  const regridder = makeRegridder(source, settings.target, method as RegridMethod);
  for (const step of [0, 13, steps - 1]) {
    const values = stepField(step);
    const field = Float64Array.from({ length: height * width }, (_, i) => {
      return values[(height - 1 - Math.floor(i / width)) * width + (i % width)]!;
    });
    const part = threads.values.subarray(step * 72 * 144, (step + 1) * 72 * 144);
    // Summed in f64 in another order: one step of float32 at 300.
    expect(difference(regridder.apply(field), part)).toBeLessThan(3.1e-5);
  }
});

test("levels of compression hold the same numbers", async () => {
  const input = await fileOf("blocks of time and place");
  const sizes: number[] = [];
  const all: Buffer[] = [];
  for (const compress of [0, 1, 9]) {
    await regridFile(input, at("level.nc"), { ...settings, compress, pool });
    sizes.push(statSync(at("level.nc")).size);
    all.push(Buffer.from((await readVariable(at("level.nc"), "t")).values.buffer));
  }
  expect(all[1]!.equals(all[0]!) && all[2]!.equals(all[0]!)).toBe(true);
  expect(sizes[0]! > sizes[1]! && sizes[1]! > sizes[2]!).toBe(true);
});

test("an error in a thread is the user's to mend, and leaves nothing", async () => {
  const input = await files["a field a chunk, deflated"]!();
  // Amid the numbers: the last part of the file holds chunks and their index.
  const size = statSync(input).size;
  const descriptor = openSync(input, "r+");
  writeSync(descriptor, Buffer.alloc(2000, 255), 0, 2000, Math.floor(size * 0.7));
  closeSync(descriptor);
  const before = readdirSync(folder);
  await expect(regridFile(input, at("damaged-out.nc"), { ...settings, pool })).rejects.toThrow(/corrupt/);
  expect(readdirSync(folder)).toEqual(before);
});

test("a file of 4 GB is read where it has the steps and rows that are wanted", async () => {
  classicFile(at("huge.nc"), { steps: 1000, height: 721, width: 1440, sparse: true });
  expect(statSync(at("huge.nc")).size).toBeGreaterThan(4.1e9);
  await regridFile(at("huge.nc"), at("small.nc"), {
    ...settings,
    target: regularGrid(5.625),
    pool,
    every: 240,
  });
  const t = await readVariable(at("small.nc"), "t");
  expect(t.shape).toEqual([25, 32, 64]);
  expect(t.values.every((value) => value === 0)).toBe(true);
  const time = await readVariable(at("small.nc"), "time");
  // Ten days counted from 1970, so three days beside those from 2000.
  expect([...time.values.slice(-2)]).toEqual([5592, 5832]);
});
