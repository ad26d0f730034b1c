// Damaged GRIB messages are read or refused with a ClimaxError: never a crash, a hang, or memory without bound. ecCodes
// itself does crash on some of them, in its own process.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/open.ts";
import { ClimaxError } from "../../src/errors.ts";
import { eccodesInstalled } from "../support/eccodes.ts";
import { grib1, grib2 } from "../support/gribwriter.ts";

const installed = await eccodesInstalled();
const shared = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "climax-gribfuzz-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Opens a file and reads all of it; returns the bytes it gave, or the error. */
async function exhaust(path: string): Promise<number | ClimaxError> {
  try {
    const dataset = await openDataset(path);
    let bytes = 0;
    try {
      for (const variable of dataset.variables.values()) bytes += (await variable.readUnpacked()).byteLength;
    } finally {
      await dataset.close();
    }
    return bytes;
  } catch (error) {
    if (error instanceof ClimaxError) return error;
    throw error;
  }
}

const shape = { columns: 4, rows: 3, lat: [60, -60], lon: [0, 270] } as const;
const gaps = [0, Number.NaN, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const sketch = {
  shape: { ...shape, lat: [60, -60] as [number, number], lon: [0, 270] as [number, number] },
  values: gaps,
};
/** The first message of a real file of edition 2. */
const first = (name: string) => {
  const bytes = readFileSync(join(shared, name));
  return bytes.subarray(0, Number(bytes.readBigUInt64BE(8)));
};

// Unbiased: fast-check's preference for small numbers would hit the first bytes only. Half of the damage is in the
// headers, of which a message has far fewer bytes than of data.
const place = fc.noBias(fc.nat(1_000_000));
const within = fc.oneof(
  place,
  place.map((at) => 8 + (at % 200)),
);
const damage = fc.record({
  flips: fc.array(fc.record({ at: within, bit: fc.nat(7) }), { maxLength: 3 }),
  set: fc.array(fc.record({ at: within, value: fc.constantFrom(0, 1, 127, 128, 255) }), { maxLength: 2 }),
  cut: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: place }),
});

describe.skipIf(!installed)("damaged messages (skipped without ecCodes)", () => {
  const cases: [string, number, () => Buffer][] = [
    ["GRIB 1", 80, () => Buffer.concat([grib1(sketch), grib1({ ...sketch, member: 2, step: 6 })])],
    ["GRIB 2", 80, () => grib2(sketch, { ...sketch, level: 850 })],
  ];
  if (existsSync(shared)) {
    cases.push(["JPEG 2000", 25, () => first("gfs-grib2/flux.grb")]);
    cases.push(["complex packing", 25, () => first("gfs-grib2/gfs.grb")]);
    cases.push(["a reduced Gaussian grid", 25, () => first("ecmwf-pl-timeseries/O32_global.grib2")]);
  }
  test.each(cases)("%s, damaged in %i ways", async (name, runs, make) => {
    const original = make();
    const path = join(folder, `${name}.grib`);
    writeFileSync(path, original);
    const whole = await exhaust(path);
    expect(whole).toBeTypeOf("number");
    const outcomes = { read: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(damage, async ({ flips, set, cut }) => {
        const bytes = Buffer.from(original.subarray(0, original.length - (cut % (original.length - 4))));
        for (const { at, bit } of flips) bytes[at % bytes.length]! ^= 1 << bit;
        for (const { at, value } of set) bytes[at % bytes.length] = value;
        if (!bytes.includes("GRIB")) return; // another kind of file
        writeFileSync(path, bytes);
        const result = await exhaust(path);
        outcomes[typeof result === "number" ? "read" : "refused"]++;
        if (typeof result === "number") expect(result).toBeLessThan(2 ** 26);
        else expect(result.message).toContain(path);
      }),
      { numRuns: runs, seed: 20180101, endOnFailure: true },
    );
    // The damage is neither always fatal nor always harmless, or this would test nothing.
    expect(outcomes.read).toBeGreaterThan(runs / 10);
    expect(outcomes.refused).toBeGreaterThan(runs / 10);
    writeFileSync(path, original);
    expect(await exhaust(path)).toBe(whole);
  });
});
