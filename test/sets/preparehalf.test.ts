/** Sets of float16: half the size, an error within the bound for every variable, opened without our code. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CfTime, formatTime } from "../../src/data/time.ts";
import { default48, parseName } from "../../src/data/variables.ts";
import { fromHalf } from "../../src/files/half.ts";
import { readManifest } from "../../src/sets/manifest.ts";
import { type PrepareOptions, prepare } from "../../src/sets/prepare.ts";
import { openSet } from "../../src/sets/prepared.ts";
import { choosePacking, packField, packingBound, unpackFields } from "../../src/sets/setpacking.ts";
import { momentsOf } from "../../src/sets/statistics.ts";
import { verifySet } from "../../src/sets/verifyset.ts";
import { fakeArchive, fakeCells, provenance } from "../support/fakearchive.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "climax-half-"));
});
afterAll(() => rmSync(root, { recursive: true }));

/** Every variable of the paper as on Earth: a mean and waves within its bounds, as float32. */
function earth(name: string, time: CfTime, cell: number): number {
  const { info, level = 1000 } = parseName(name);
  const wave =
    Math.sin(cell * 1.7 + time.seconds / 7e4 + name.length) + 0.3 * Math.sin(time.seconds / 1.3e4 + cell);
  if (info.name === "geopotential") return Math.fround(9.80665 * 7000 * Math.log(1000 / level) + 2000 * wave);
  if (info.name === "specific_humidity")
    return Math.fround(
      level < 100 ? 2.7e-6 + 3e-7 * wave : Math.max(0, 4e-3 * (level / 1000) ** 3 * (1 + wave)),
    );
  if (info.name === "total_precipitation") return Math.fround(Math.max(0, wave - 0.8) * 3e-3);
  const [low, high] = info.bounds;
  return Math.fround((low + high) / 2 + ((high - low) / 8) * wave);
}

const constants = default48.slice(0, 3);
const names = [...default48.slice(3), "total_precipitation", "mean_sea_level_pressure"];
const options: PrepareOptions = {
  train: "2015-12-25..2016-01-01",
  val: "2016-01-02..2016-01-03",
  provenance,
};
const archive = () => fakeArchive({ constants, names, value: earth });

describe("a set of float16", () => {
  let half: string;
  let full: string;
  beforeAll(async () => {
    [half, full] = [join(root, "half"), join(root, "full")];
    await prepare(archive(), half, { ...options, dtype: "float16" });
    await prepare(archive(), full, options);
  });

  test("gives every value of every variable within the bound, and exact zeros of rain", async () => {
    const [a, b] = [await openSet(half), await openSet(full)];
    const { scale, offset } = a.manifest.packing!;
    let zeros = 0;
    for (const split of ["train", "val"] as const)
      for (let step = 0; step < a.split(split).times.length; step++) {
        const [found, wanted] = [
          await a.split(split).read(step, names),
          await b.split(split).read(step, names),
        ];
        for (const [v, name] of names.entries()) {
          const worst = Array.from({ length: fakeCells }, (_, i) => {
            const at = v * fakeCells + i;
            return Math.abs(found[at]! - wanted[at]!) / packingBound(wanted[at]!, scale[v]!, offset[v]!);
          });
          expect(Math.max(...worst), `${name} at step ${step}`).toBeLessThanOrEqual(1);
        }
        const rain = names.indexOf("total_precipitation") * fakeCells;
        for (let i = rain; i < rain + fakeCells; i++)
          if (wanted[i] === 0) {
            zeros++;
            expect(found[i]).toBe(0);
          }
      }
    expect(zeros).toBeGreaterThan(10);
    // In any order, and constants among them.
    const mixed = ["temperature_850", "orography", "geopotential_50"];
    const [x, y] = [await a.split("val").read(3, mixed), await b.split("val").read(3, mixed)];
    expect([...x.subarray(fakeCells, 2 * fakeCells)]).toEqual([...y.subarray(fakeCells, 2 * fakeCells)]);
    for (const i of [0, 2 * fakeCells]) expect(Math.abs(x[i]! / y[i]! - 1)).toBeLessThan(1e-3);
    await a.close();
    await b.close();
  });

  test("loses at most a thousandth of a deviation within two deviations of the mean, but where 0 is near", async () => {
    const { packing, mean, std } = await readManifest(half);
    for (const [v, name] of names.entries()) {
      const { [v]: scale } = packing!.scale;
      const { [v]: offset } = packing!.offset;
      const far = Math.max(
        ...[-2, 2].map((k) => packingBound(mean[name]! + k * std[name]!, scale!, offset!)),
      );
      // An offset of 0, taken within 3 deviations of the mean, lies at most 5 away: 5 * 2^-11.
      expect(far / std[name]!, name).toBeLessThan(offset === 0 ? 5.2 * 2 ** -11 : 2.7 * 2 ** -11);
    }
  });

  test("has the statistics and climatology of float32, and half the bytes", async () => {
    const [a, b] = [await readManifest(half), await readManifest(full)];
    expect(a.mean).toEqual(b.mean);
    expect(a.std).toEqual(b.std);
    expect(a.checksums["climatology.npy"]).toBe(b.checksums["climatology.npy"]);
    const size = (dir: string) => statSync(join(dir, "train/2015.npy")).size - 128;
    expect(size(full)).toBe(2 * size(half));
    await verifySet(half);
  });

  const numpy = spawnSync("python3", ["-c", "import numpy"]).status === 0;
  test.skipIf(!numpy)("is opened by NumPy to the same bits (skipped without NumPy)", async () => {
    const script = `
import json, sys, numpy as np
p = json.load(open("set.json"))["packing"]
shard = np.load("train/2015.npy", mmap_mode="r")
x = shard[5].astype("f4") * np.float32(p["scale"])[:, None, None] + np.float32(p["offset"])[:, None, None]
assert x.dtype == np.float32
sys.stdout.buffer.write(x.tobytes())`;
    const { stdout, stderr } = spawnSync("python3", ["-c", script], { cwd: half });
    expect(stderr.toString()).toBe("");
    const set = await openSet(half);
    expect(new Float32Array(new Uint8Array(stdout).buffer)).toEqual(await set.split("train").read(5, names));
    await set.close();
  });

  test("without its packing, or with one too short, is refused", async () => {
    const { packing, ...manifest } = await readManifest(half);
    const path = join(half, "set.json");
    const write = (changed: object) => writeFileSync(path, JSON.stringify(changed));
    write(manifest);
    await expect(openSet(half)).rejects.toThrow("packing has 0 scales and 0 offsets for 47 variables");
    write({ ...manifest, packing: { scale: packing!.scale.slice(1), offset: packing!.offset } });
    await expect(openSet(half)).rejects.toThrow("packing has 46 scales and 47 offsets for 47 variables");
    write({ ...manifest, packing });
    await (await openSet(half)).close();
  });
});

test("a value that float16 cannot hold is refused by name, before it would become infinite", async () => {
  const spike = (name: string, time: CfTime, cell: number) =>
    name === "2m_temperature" && cell === 3 && formatTime(time) === "2016-01-03T06:00:00"
      ? 9.96921e36
      : earth(name, time, cell);
  const spiky = fakeArchive({ names: ["2m_temperature"], value: spike });
  const work = prepare(spiky, join(root, "spike"), { ...options, dtype: "float16" });
  await expect(work).rejects.toThrow(
    /^2m_temperature is 9\.969\d+e\+36 K; float16 takes -[\d.e+]+ to [\d.e+]+ of it$/,
  );
});

test("gaps are filled with the mean in float16 too", async () => {
  const hole = (name: string, time: CfTime, cell: number) =>
    cell === 3 ? Number.NaN : earth(name, time, cell);
  const dir = join(root, "holes");
  const holed = fakeArchive({ names: ["2m_temperature", "total_precipitation"], value: hole });
  const { manifest } = await prepare(holed, dir, { ...options, dtype: "float16", nanFill: "mean" });
  const set = await openSet(dir);
  for (const name of ["2m_temperature", "total_precipitation"]) {
    const field = await set.split("val").read(2, [name]);
    expect(Math.abs(field[3]! - manifest.mean[name]!)).toBeLessThan(manifest.std[name]! * 2 ** -9);
    expect(field.some(Number.isNaN)).toBe(false);
  }
  await set.close();
  await verifySet(dir);
});

test("a variable that the sample does not show is stored by its bounds", () => {
  // Ice that comes only in a later winter: nothing of it in the sample.
  const { scale, offset } = choosePacking(momentsOf(new Float32Array(100)), [0, 1e-6]);
  expect(offset).toBe(0);
  expect(scale).toBe(2 ** -25);
});

test("the bound holds for any field and any packing", () => {
  const number = fc.float({ min: -1e6, max: 1e6, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(number, { minLength: 2, maxLength: 30 }),
      fc.constantFrom(1, 1e-3, 1e3),
      (values, spread) => {
        const field = Float32Array.from(values, (value) => value * spread);
        const { scale, offset } = choosePacking(momentsOf(field), [-1, 1]);
        const bits = new Uint16Array(field.length);
        const refused = packField(field, scale, offset, bits);
        const back = fromHalf(bits);
        unpackFields(back, field.length, { scale: [scale], offset: [offset] });
        if (refused === undefined)
          for (const [i, value] of field.entries())
            if (!(Math.abs(back[i]! - value) <= packingBound(value, scale, offset)))
              throw new Error(`${value} became ${back[i]} with ${scale}, ${offset}`);
      },
    ),
    { seed: 1 },
  );
});
